#include "stemma/core/error.hpp"
#include "stemma/virt/guest_client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace stemma::virt {

namespace {

using namespace std::chrono_literals;

class SocketChannel final : public ByteChannel {
public:
    explicit SocketChannel(Fd socket) : socket_(std::move(socket)) {}

    void send(std::string_view bytes, std::chrono::milliseconds patience) override
    {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!bytes.empty()) {
            const auto sent =
                ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent > 0) {
                bytes.remove_prefix(static_cast<std::size_t>(sent));
            } else if (errno != EAGAIN && errno != EINTR) {
                throw Error(ErrorCode::remote,
                            fmt::format("the VM's channel broke: {}",
                                        system_error(errno, "send").message()));
            } else if (!wait(POLLOUT, deadline)) {
                throw Error(ErrorCode::remote, "the VM does not read from its channel");
            }
        }
    }

    std::string receive(std::chrono::milliseconds patience) override
    {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        if (!wait(POLLIN, deadline)) {
            return {};
        }
        std::array<char, 65536> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): filled
        const auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got > 0) {
            return {buffer.data(), static_cast<std::size_t>(got)};
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return {};
        }
        throw Error(ErrorCode::remote, "the VM's channel was closed: has it stopped?");
    }

private:
    bool wait(short events, std::chrono::steady_clock::time_point deadline)
    {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd poll_fd{.fd = socket_.get(), .events = events, .revents = 0};
        return ::poll(&poll_fd, 1, static_cast<int>(std::max(left, 0ms).count())) > 0;
    }

    Fd socket_;
};

} // namespace

std::unique_ptr<ByteChannel> connect_unix(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw Error(ErrorCode::usage, "too long for a socket's path: " + path);
    }
    std::memcpy(static_cast<char*>(address.sun_path), path.c_str(), path.size() + 1);
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) {
        throw system_error(errno, "make a socket");
    }
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        if (error == ENOENT || error == ECONNREFUSED) {
            throw Error(ErrorCode::not_found, "nothing listens on " + path, "does the VM run?");
        }
        throw system_error(error, "connect to " + path);
    }
    return channel_over(std::move(socket));
}

std::unique_ptr<ByteChannel> channel_over(Fd socket)
{
    return std::make_unique<SocketChannel>(std::move(socket));
}

} // namespace stemma::virt
