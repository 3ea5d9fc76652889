#include "socket.hpp"

#include "stemma/core/error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

namespace stemma::lineage {

namespace {

/// The address of a path of any length: a long one is named through an open folder.
struct Address {
    Fd folder;
    sockaddr_un name{};

    explicit Address(const std::string& place)
    {
        std::string path = place;
        if (path.size() >= sizeof name.sun_path) {
            const std::filesystem::path whole(place);
            folder = open_file(whole.parent_path().string(), O_PATH | O_DIRECTORY);
            path = fmt::format("/proc/self/fd/{}/{}", folder.get(), whole.filename().string());
        }
        if (path.size() >= sizeof name.sun_path) {
            throw system_error(ENAMETOOLONG, fmt::format("listen at {}", place));
        }
        name.sun_family = AF_UNIX;
        std::copy(path.begin(), path.end(), name.sun_path);
    }

    [[nodiscard]] const sockaddr* get() const noexcept
    {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): as sockets want it
        return reinterpret_cast<const sockaddr*>(&name);
    }
};

Fd make_socket(int more)
{
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | more, 0));
    if (!fd) {
        throw system_error(errno, "make a socket");
    }
    return fd;
}

} // namespace

std::string writer_place(const std::string& store_path)
{
    return store_path + "-writer";
}

Fd connect_to(const std::string& place)
{
    struct stat status {};
    if (::stat(place.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return {};
    }
    const Address address(place);
    auto fd = make_socket(0);
    if (::connect(fd.get(), address.get(), sizeof address.name) != 0) {
        return {};
    }
    return fd;
}

Fd listen_at(const std::string& place, mode_t mode)
{
    constexpr int waiting = 1024;
    const Address address(place);
    auto fd = make_socket(SOCK_NONBLOCK);
    ::fchmod(fd.get(), mode); // never open to more people, not even for a moment
    if (::bind(fd.get(), address.get(), sizeof address.name) != 0 ||
        ::listen(fd.get(), waiting) != 0) {
        throw system_error(errno, fmt::format("listen at {}", place));
    }
    ::chmod(place.c_str(), mode);
    return fd;
}

std::string framed(const std::string& text)
{
    std::string bytes;
    bytes.reserve(length_size + text.size());
    for (std::size_t i = 0; i < length_size; ++i) {
        bytes += static_cast<char>((text.size() >> (8U * i)) & 0xffU);
    }
    return bytes += text;
}

std::optional<std::size_t> message_length(std::string_view bytes) noexcept
{
    if (bytes.size() < length_size) {
        return std::nullopt;
    }
    std::size_t length = 0;
    for (std::size_t i = 0; i < length_size; ++i) {
        length |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])) << (8U * i);
    }
    return length;
}

bool send_all(int fd, std::string_view bytes) noexcept
{
    while (!bytes.empty()) {
        const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
    }
    return true;
}

namespace {

/// False when the other side has gone.
bool receive_exactly(int fd, char* into, std::size_t size)
{
    constexpr std::chrono::milliseconds patience = std::chrono::minutes(10);
    while (size > 0) {
        pollfd ready{fd, POLLIN, 0};
        const int count = ::poll(&ready, 1, static_cast<int>(patience.count()));
        if (count == 0) {
            throw Error(ErrorCode::conflict,
                        "the writer of the store has not answered for ten minutes; whether it "
                        "recorded this is not known",
                        "`stemma log` shows it if it did; end the writer when it hangs");
        }
        const auto got = count < 0 ? count : ::recv(fd, into, size, 0);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return false;
        }
        into += std::max<ssize_t>(got, 0);
        size -= static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    }
    return true;
}

} // namespace

std::optional<std::string> receive_message(int fd)
{
    std::string head(length_size, '\0');
    if (!receive_exactly(fd, head.data(), head.size())) {
        return std::nullopt;
    }
    const auto length = message_length(head).value_or(0);
    if (length > longest_message) {
        return std::nullopt;
    }
    std::string text(length, '\0');
    if (!receive_exactly(fd, text.data(), text.size())) {
        return std::nullopt;
    }
    return text;
}

} // namespace stemma::lineage
