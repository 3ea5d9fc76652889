#include "memory_point.hpp"

#include "stemma/core/text.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace stemma::analyzer {

using namespace std::chrono_literals;

namespace {

constexpr auto start_patience = 10s;

Fd listen_at(const std::filesystem::path& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.string().size() >= sizeof address.sun_path) {
        throw Error(ErrorCode::usage, fmt::format("the path {} is too long", path.string()));
    }
    std::memcpy(address.sun_path, path.c_str(), path.string().size());
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::unlink(path.c_str());
    constexpr mode_t for_qemu = 0666; // its folder lets nobody look for it
    // NOLINTNEXTLINE: the C interface's own cast
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), for_qemu) != 0 || ::listen(socket.get(), 1) != 0) {
        throw system_error(errno, fmt::format("listen at {}", path.string()));
    }
    return socket;
}

/// Empty when nobody came, because the migration ended before it began.
Fd accept_one(const Fd& listener, const std::atomic<bool>& over)
{
    while (!over) {
        pollfd waiting{listener.get(), POLLIN, 0};
        if (::poll(&waiting, 1, 100) > 0) {
            return Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        }
    }
    return {};
}

std::size_t read_some(int fd, char* into, std::size_t size)
{
    for (;;) {
        const auto got = ::read(fd, into, size);
        if (got >= 0) {
            return static_cast<std::size_t>(got);
        }
        if (errno != EINTR) {
            throw system_error(errno, "read the memory stream");
        }
    }
}

} // namespace

MemoryPoint::MemoryPoint(const virt::Domain& domain,
                         std::filesystem::path socket,
                         const std::filesystem::path& file,
                         const std::string& machine,
                         Log& log)
    : domain_(domain),
      socket_(std::move(socket)),
      core_(file, machine),
      log_(log),
      listener_(listen_at(socket_))
{
    set_capability(true);
    prepared_ = true;
    receiver_ = std::thread([this] { receive(); });
}

MemoryPoint::~MemoryPoint()
{
    over_ = true;
    try {
        if (prepared_) {
            end_capture();
        }
    } catch (const std::exception& error) {
        log_.debug("ending the capture of memory: {}", error.what());
    }
    if (receiver_.joinable()) {
        receiver_.join();
    }
    ::unlink(socket_.c_str());
}

void MemoryPoint::end_capture() const
{
    if (!done_) {
        (void)monitor({{"execute", "migrate_cancel"}});
    }
    // libvirt knows nothing of it: left on, the VM's next migration would go wrong.
    for (int i = 0; i < 100; ++i) {
        const auto status = migration_status();
        if (status != "active" && status != "setup" && status != "cancelling") {
            break;
        }
        std::this_thread::sleep_for(50ms);
    }
    set_capability(false);
}

Json MemoryPoint::monitor(const Json& command) const
{
    const auto answer = parse_json(domain_.monitor_command(command.dump()), "QEMU's answer");
    if (answer.is_object() && answer.contains("error")) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("QEMU refuses '{}': {}",
                                string_member(command, "execute"),
                                printable(string_member(answer["error"], "desc"))));
    }
    return member(answer, "return");
}

void MemoryPoint::set_capability(bool on) const
{
    (void)monitor({{"execute", "migrate-set-capabilities"},
                   {"arguments",
                    {{"capabilities",
                      Json::array({{{"capability", "background-snapshot"}, {"state", on}}})}}}});
}

std::string MemoryPoint::migration_status() const
{
    return optional_string_member(monitor({{"execute", "query-migrate"}}), "status").value_or("");
}

void MemoryPoint::expect_no_failure() const
{
    const auto answer = monitor({{"execute", "query-migrate"}});
    if (optional_string_member(answer, "status") == "failed") {
        throw Error(ErrorCode::unsupported,
                    fmt::format("QEMU cannot take a background snapshot: {}",
                                optional_string_member(answer, "error-desc").value_or("no reason")),
                    "QEMU needs userfaultfd: vm.unprivileged_userfaultfd=1, or "
                    "clear_emulator_capabilities=0 in qemu.conf");
    }
}

void MemoryPoint::begin()
{
    (void)monitor({{"execute", "migrate"}, {"arguments", {{"uri", "unix:" + socket_.string()}}}});
    // QEMU stops the guest by itself, saves its devices, and lets it run: then pages come.
    const auto deadline = std::chrono::steady_clock::now() + start_patience;
    while (!flowing_ || domain_.status().state != virt::DomainState::running) {
        expect_no_failure();
        if (std::chrono::steady_clock::now() > deadline) {
            throw Error(ErrorCode::remote, "QEMU did not begin the background snapshot in time");
        }
        std::this_thread::sleep_for(1ms);
    }
}

void MemoryPoint::finish(const Cancel& cancel)
{
    while (!done_) {
        cancel.check();
        std::this_thread::sleep_for(10ms);
    }
    receiver_.join();
    if (failure_) {
        expect_no_failure();
        std::rethrow_exception(failure_);
    }
    core_.finish();
}

void MemoryPoint::receive() noexcept
{
    try {
        const auto connection = accept_one(listener_, over_);
        if (!connection) {
            throw Error(ErrorCode::remote, "QEMU did not send the memory");
        }
        (void)read_memory_stream(
            [&](char* into, std::size_t size) {
                const auto got = read_some(connection.get(), into, size);
                flowing_ = true;
                return got;
            },
            core_);
        // Devices follow; QEMU counts the migration as failed when nobody takes them.
        std::string rest(std::size_t{1} << 16U, '\0');
        while (read_some(connection.get(), rest.data(), rest.size()) > 0) {
        }
    } catch (...) {
        failure_ = std::current_exception();
    }
    done_ = true;
}

ResumeGuard::ResumeGuard(const std::string& uri, const virt::Domain& domain)
    : pipe_(make_pipe()),
      helper_({"/bin/sh",
               "-c",
               "read -r line || exec virsh -q -c \"$0\" resume \"$1\"",
               uri,
               domain.uuid()},
              {.in = pipe_.read_end.get()})
{
    pipe_.read_end.reset();
}

ResumeGuard::~ResumeGuard()
{
    // A line says that all is well; the end of the pipe without one, that we died.
    [[maybe_unused]] const auto told = ::write(pipe_.write_end.get(), "\n", 1);
    try {
        (void)helper_.wait();
    } catch (const std::exception&) {
        // it is gone already
    }
}

} // namespace stemma::analyzer
