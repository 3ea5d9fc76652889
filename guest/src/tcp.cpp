// The operation tcp: does something answer on this port, seen from inside?

#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "session.hpp"

namespace stemma::guest {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

/// Numbers only: a static program has no name service, and a probe must not depend on one.
Address address_of(const std::string& text, std::int64_t port)
{
    if (port < 1 || port > 65535) {
        throw Error(ErrorCode::usage, fmt::format("{} is not a TCP port", port));
    }
    Address address;
    sockaddr_in v4{};
    if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(static_cast<std::uint16_t>(port));
        std::memcpy(&address.storage, &v4, sizeof v4);
        address.size = sizeof v4;
        return address;
    }
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(static_cast<std::uint16_t>(port));
        std::memcpy(&address.storage, &v6, sizeof v6);
        address.size = sizeof v6;
        return address;
    }
    throw Error(ErrorCode::usage, fmt::format("{} is not an IP address", text));
}

bool wait_for(int fd, short what, SteadyTime deadline)
{
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd wait{.fd = fd, .events = what, .revents = 0};
    return left.count() > 0 && ::poll(&wait, 1, static_cast<int>(left.count())) > 0;
}

Fd connect_to(const Address& address, SteadyTime deadline, const std::string& name)
{
    Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        throw system_error(errno, "make a socket");
    }
    const auto* raw = reinterpret_cast<const sockaddr*>(&address.storage);
    int error = ::connect(fd.get(), raw, address.size) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        if (!wait_for(fd.get(), POLLOUT, deadline)) {
            throw Error(ErrorCode::remote, "no answer from " + name + " in time");
        }
        socklen_t size = sizeof error;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error != 0) {
        throw system_error(error, "connect to " + name);
    }
    return fd;
}

void send_all(int fd, std::string_view bytes, SteadyTime deadline)
{
    while (!bytes.empty()) {
        const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno != EAGAIN || !wait_for(fd, POLLOUT, deadline)) {
            throw Error(ErrorCode::remote, "the service does not take what is sent");
        }
    }
}

} // namespace

Json probe_tcp(const Json& request, Exchange& exchange)
{
    const auto host = string_member(request, "address");
    const auto port = integer_member(request, "port");
    const auto patience = std::clamp<std::int64_t>(integer_member(request, "timeout_ms"), 1, 60000);
    const auto most = std::clamp<std::int64_t>(integer_member(request, "max"), 0, 1 << 20);
    const auto until = text_of(member(request, "until"), "until");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience);
    const auto fd =
        connect_to(address_of(host, port), deadline, fmt::format("{} port {}", host, port));
    send_all(fd.get(), text_of(member(request, "send"), "send"), deadline);
    std::string answer;
    bool closed = false;
    while (answer.size() < static_cast<std::size_t>(most) && !closed &&
           (until.empty() || answer.find(until) == std::string::npos) &&
           wait_for(fd.get(), POLLIN, deadline)) {
        std::array<char, 4096> buffer{};
        const auto got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        closed = got <= 0;
        if (got > 0) {
            answer.append(buffer.data(), static_cast<std::size_t>(got));
        }
    }
    answer.resize(std::min(answer.size(), static_cast<std::size_t>(most)));
    exchange.send(stream_content, answer);
    return {{"connected", true}, {"bytes", answer.size()}, {"closed", closed}};
}

} // namespace stemma::guest
