#include "helper_guest.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"

#include <algorithm>

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;

constexpr auto small_patience = 30s;    ///< for what a guest answers at once, even under emulation
constexpr auto transfer_patience = 24h; ///< the channel notices a dead VM by itself
constexpr std::size_t max_tcp_answer = 65536;

GuestFile file_of(const Json& json)
{
    GuestFile file;
    const auto digest = Digest::from_hex(string_member(json, "sha256"));
    const auto size = integer_member(json, "size");
    if (!digest || size < 0) {
        throw Error(ErrorCode::corrupt, "the VM's helper described a file in nonsense");
    }
    file.sha256 = digest->hex();
    file.size = static_cast<std::uint64_t>(size);
    if (json.contains("mode")) {
        file.mode = static_cast<std::uint32_t>(integer_member(json, "mode")) & 07777U;
    }
    return file;
}

class HelperGuest final : public GuestPort {
public:
    explicit HelperGuest(std::unique_ptr<virt::GuestClient> client) : client_(std::move(client)) {}

    [[nodiscard]] std::string helper() const override { return "stemma-guest"; }

    Json info() override
    {
        return client_->request({.body = {{"op", "info"}}, .patience = small_patience});
    }

    GuestFile digest(const std::string& path) override
    {
        return file_of(client_->request(
            {.body = {{"op", "sha256"}, {"path", json_text(path)}}, .patience = 10min}));
    }

    GuestExit exec(const std::vector<std::string>& argv,
                   std::chrono::milliseconds patience,
                   const Sink& sink) override
    {
        Json words = Json::array();
        for (const auto& word : argv) {
            words.push_back(json_text(word));
        }
        const auto answer = client_->request(
            {.body = {{"op", "exec"}, {"argv", words}, {"timeout_ms", patience.count()}},
             .patience = patience == 0ms ? std::chrono::milliseconds(transfer_patience)
                                         : patience + small_patience,
             .content = nullptr,
             .sink = [&](char stream, std::string_view bytes) {
                 sink(stream == guest::stream_err, bytes);
             }});
        return {.code = static_cast<int>(integer_member(answer, "exit")),
                .signal = static_cast<int>(integer_member(answer, "signal")),
                .timed_out = bool_member(answer, "timed_out")};
    }

    GuestFile read(const std::string& path,
                   const std::function<void(std::string_view)>& sink) override
    {
        Sha256 hash;
        auto file = file_of(client_->request({.body = {{"op", "read"}, {"path", json_text(path)}},
                                              .patience = transfer_patience,
                                              .content = nullptr,
                                              .sink = [&](char /*stream*/, std::string_view bytes) {
                                                  hash.update(bytes);
                                                  sink(bytes);
                                              }}));
        if (hash.finish().hex() != file.sha256) {
            throw Error(ErrorCode::corrupt, path + " did not arrive as it was sent");
        }
        return file;
    }

    GuestFile write(const std::string& path,
                    std::uint32_t mode,
                    const std::function<std::string()>& next) override
    {
        Sha256 hash;
        auto file = file_of(
            client_->request({.body = {{"op", "write"}, {"path", json_text(path)}, {"mode", mode}},
                              .patience = transfer_patience,
                              .content = [&] {
                                  auto piece = next();
                                  hash.update(piece);
                                  return piece;
                              }}));
        if (hash.finish().hex() != file.sha256) {
            throw Error(ErrorCode::corrupt, path + " did not arrive as it was sent");
        }
        return file;
    }

    std::string tcp(const TcpProbe& probe) override
    {
        std::string answer;
        (void)client_->request(
            {.body = {{"op", "tcp"},
                      {"address", probe.address},
                      {"port", probe.port},
                      {"send", json_text(probe.send)},
                      {"until", json_text(probe.until)},
                      {"max", max_tcp_answer},
                      {"timeout_ms", probe.patience.count()}},
             .patience = probe.patience + small_patience,
             .content = nullptr,
             .sink = [&](char /*stream*/, std::string_view bytes) {
                 answer +=
                     bytes.substr(0, max_tcp_answer - std::min(max_tcp_answer, answer.size()));
             }});
        return answer;
    }

private:
    std::unique_ptr<virt::GuestClient> client_;
};

} // namespace

std::unique_ptr<GuestPort> helper_guest(std::unique_ptr<virt::GuestClient> client)
{
    return std::make_unique<HelperGuest>(std::move(client));
}

} // namespace stemma::deployer
