#include "stemma/jail/channel.hpp"

#include "stemma/core/error.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace stemma::jail {

void Channel::restart_clock() const noexcept
{
    if (limit_.count() > 0) {
        const itimerval clock{.it_interval = {},
                              .it_value = {.tv_sec = limit_.count(), .tv_usec = 0}};
        ::setitimer(ITIMER_PROF, &clock, nullptr);
    }
}

void Channel::send(std::string_view message)
{
    if (message.size() > most) {
        throw Error(ErrorCode::usage, "a message that is too long for its channel");
    }
    restart_clock();
    std::uint32_t length = static_cast<std::uint32_t>(message.size());
    std::array<iovec, 2> parts = {
        iovec{.iov_base = &length, .iov_len = sizeof length},
        iovec{.iov_base = const_cast<char*>(
                  message.data()), // NOLINT(cppcoreguidelines-pro-type-const-cast):
                                   // sendmsg(2) only reads
              .iov_len = message.size()}};
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
    while (header.msg_iovlen > 0) {
        const ssize_t sent = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            throw system_error(errno, "write to the other side");
        }
        auto left = static_cast<std::size_t>(sent);
        while (header.msg_iovlen > 0 && left >= header.msg_iov->iov_len) {
            left -= header.msg_iov->iov_len;
            ++header.msg_iov;
            --header.msg_iovlen;
        }
        if (header.msg_iovlen > 0) {
            header.msg_iov->iov_base = static_cast<char*>(header.msg_iov->iov_base) + left;
            header.msg_iov->iov_len -= left;
        }
    }
}

bool Channel::fill(char* into, std::size_t length)
{
    while (length > 0) {
        const ssize_t got = ::recv(socket_.get(), into, length, MSG_WAITALL);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        into += got;
        length -= static_cast<std::size_t>(got);
    }
    return true;
}

std::optional<std::string> Channel::receive()
{
    std::array<char, sizeof(std::uint32_t)> head{};
    if (!fill(head.data(), head.size())) {
        return std::nullopt;
    }
    std::uint32_t length = 0;
    std::memcpy(&length, head.data(), sizeof length);
    if (length > most) {
        throw Error(ErrorCode::corrupt, "a message that is too long for its channel");
    }
    std::string message(length, '\0');
    if (!fill(message.data(), message.size())) {
        return std::nullopt;
    }
    restart_clock();
    return message;
}

bool Channel::has_message(std::chrono::milliseconds patience) const noexcept
{
    pollfd state{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&state, 1, static_cast<int>(patience.count())) > 0;
}

} // namespace stemma::jail
