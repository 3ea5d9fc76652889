// The QEMU guest agent as a second one to ask: whole files and outputs in base64, through libvirt.

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <thread>

#include "helper_guest.hpp"

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;

constexpr auto call_patience = 20s;
constexpr std::int64_t agent_piece = 48 << 10;

class AgentGuest final : public GuestPort {
public:
    AgentGuest(virt::Domain domain, const Cancel* cancel)
        : domain_(std::move(domain)), cancel_(cancel)
    {
    }

    [[nodiscard]] std::string helper() const override { return "qemu-guest-agent"; }

    Json info() override
    {
        const auto os = call("guest-get-osinfo");
        const auto name = call("guest-get-host-name");
        return {{"host_name", name.value("host-name", "")},
                {"kernel", os.value("kernel-release", "")},
                {"machine", os.value("machine", "")},
                {"os", os.value("pretty-name", "")},
                {"boot_id", ""},
                {"machine_id", ""},
                {"uptime_s", nullptr}};
    }

    GuestFile digest(const std::string& path) override
    {
        return read(path, [](std::string_view) {});
    }

    GuestExit exec(const std::vector<std::string>& argv,
                   std::chrono::milliseconds patience,
                   const Sink& sink) override
    {
        const Json words(std::vector<std::string>(argv.begin() + 1, argv.end()));
        const auto started =
            call("guest-exec", {{"path", argv.front()}, {"arg", words}, {"capture-output", true}});
        const auto pid = integer_member(started, "pid");
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (true) {
            const auto status = call("guest-exec-status", {{"pid", pid}});
            if (bool_member(status, "exited")) {
                sink(false, decoded(status, "out-data"));
                sink(true, decoded(status, "err-data"));
                return {.code = status.value("exitcode", 0), .signal = status.value("signal", 0)};
            }
            if (patience > 0ms && std::chrono::steady_clock::now() > deadline) {
                return {.code = 0, .signal = 0, .timed_out = true}; // the agent cannot kill it
            }
            pause();
        }
    }

    GuestFile read(const std::string& path,
                   const std::function<void(std::string_view)>& sink) override
    {
        const auto handle = open(path, "r");
        Sha256 hash;
        GuestFile file;
        for (bool end = false; !end;) {
            const auto answer =
                call("guest-file-read", {{"handle", handle}, {"count", agent_piece}});
            const auto bytes = decoded(answer, "buf-b64");
            hash.update(bytes);
            file.size += bytes.size();
            sink(bytes);
            end = bytes.empty() || answer.value("eof", false);
        }
        (void)call("guest-file-close", {{"handle", handle}});
        file.sha256 = hash.finish().hex();
        return file;
    }

    GuestFile write(const std::string& path,
                    std::uint32_t mode,
                    const std::function<std::string()>& next) override
    {
        const auto part = path + ".stemma-part";
        const auto handle = open(part, "w");
        Sha256 hash;
        GuestFile file;
        file.mode = mode;
        for (auto piece = next(); !piece.empty(); piece = next()) {
            hash.update(piece);
            file.size += piece.size();
            for (std::size_t at = 0; at < piece.size(); at += agent_piece) {
                const auto bytes = std::string_view(piece).substr(at, agent_piece);
                (void)call("guest-file-write", {{"handle", handle}, {"buf-b64", to_base64(bytes)}});
            }
        }
        (void)call("guest-file-close", {{"handle", handle}});
        must({"chmod", fmt::format("{:o}", mode), part});
        must({"mv", "-f", part, path});
        file.sha256 = hash.finish().hex();
        return file;
    }

    std::string tcp(const TcpProbe& /*probe*/) override
    {
        throw Error(ErrorCode::unsupported,
                    "the QEMU guest agent cannot try a TCP port",
                    "use a command check, or put stemma-guest into the image (docs/guest.md)");
    }

private:
    Json call(const std::string& name, const Json& arguments = nullptr)
    {
        if (cancel_ != nullptr) {
            cancel_->check();
        }
        Json command{{"execute", name}};
        if (!arguments.is_null()) {
            command["arguments"] = arguments;
        }
        const auto answer = parse_json(
            domain_.agent_command(canonical_json(command), call_patience), "guest agent's answer");
        return member(answer, "return");
    }

    std::int64_t open(const std::string& path, const std::string& mode)
    {
        const auto command = canonical_json(
            {{"execute", "guest-file-open"}, {"arguments", {{"path", path}, {"mode", mode}}}});
        const auto answer =
            parse_json(domain_.agent_command(command, call_patience), "guest agent's answer");
        return integer_member(answer, "return");
    }

    static std::string decoded(const Json& json, const char* key)
    {
        const auto text = optional_string_member(json, key).value_or("");
        const auto bytes = from_base64(text);
        if (!bytes) {
            throw Error(ErrorCode::corrupt, "the guest agent sent something that is not base64");
        }
        return *bytes;
    }

    void must(const std::vector<std::string>& argv)
    {
        const auto exit = exec(argv, call_patience, [](bool, std::string_view) {});
        if (exit.code != 0 || exit.timed_out) {
            throw Error(ErrorCode::remote, "in the VM: " + shell_join(argv) + " failed");
        }
    }

    void pause()
    {
        if (cancel_ != nullptr) {
            cancel_->check();
        }
        std::this_thread::sleep_for(50ms);
    }

    virt::Domain domain_;
    const Cancel* cancel_;
};

} // namespace

std::unique_ptr<GuestPort> agent_guest(virt::Domain domain, const Cancel* cancel)
{
    return std::make_unique<AgentGuest>(std::move(domain), cancel);
}

} // namespace stemma::deployer
