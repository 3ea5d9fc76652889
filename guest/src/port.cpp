#include "port.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <thread>

namespace stemma::guest {

namespace {

using namespace std::chrono_literals;

/// How often an unconnected port is looked at: poll(2) returns at once there.
constexpr auto idle_pause = 50ms;

} // namespace

std::optional<std::string> find_port()
{
    // udev's link is not there in an initramfs or under busybox: sysfs always is.
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::directory_iterator("/sys/class/virtio-ports", ignored)) {
        try {
            const std::string name = read_file(entry.path() / "name", 4096);
            if (trim(name) == port_name) {
                return "/dev/" + entry.path().filename().string();
            }
        } catch (const Error&) {
            continue; // unplugged meanwhile
        }
    }
    return std::nullopt;
}

Port::Port(Fd fd, bool ends) : fd_(std::move(fd)), ends_(ends) {}

bool Port::read_some()
{
    std::array<char, 16384> buffer{};
    const auto got = ::read(fd_.get(), buffer.data(), buffer.size());
    if (got > 0) {
        decoder_.feed({buffer.data(), static_cast<std::size_t>(got)});
        return true;
    }
    if (got == 0 && ends_) {
        ended_ = true;
        throw Abandoned{};
    }
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        throw system_error(errno, "read from the channel to the host");
    }
    return false;
}

std::optional<Frame> Port::receive(std::chrono::milliseconds patience)
{
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (true) {
        if (!pending_.empty()) {
            auto frame = std::move(pending_.front());
            pending_.pop_front();
            return frame;
        }
        if (auto frame = decoder_.next()) {
            return frame;
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (left < 0ms) {
            return std::nullopt;
        }
        pollfd wait{.fd = fd_.get(), .events = POLLIN, .revents = 0};
        const int ready = ::poll(&wait, 1, static_cast<int>(std::min(left, 60000ms).count()));
        if (ready > 0 && !read_some()) {
            std::this_thread::sleep_for(std::min(idle_pause, left + 1ms));
        }
    }
}

void Port::send(const Frame& frame)
{
    const auto bytes = encode(frame);
    std::string_view left(bytes);
    while (!left.empty()) {
        const auto sent = ::write(fd_.get(), left.data(), left.size());
        if (sent > 0) {
            left.remove_prefix(static_cast<std::size_t>(sent));
            continue;
        }
        if (sent < 0 && errno == EPIPE) {
            ended_ = ends_;
            throw Abandoned{};
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            throw system_error(errno, "write to the channel to the host");
        }
        pollfd wait{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
        ::poll(&wait, 1, 1000);
        if ((wait.revents & (POLLHUP | POLLERR)) != 0) {
            throw Abandoned{};
        }
    }
}

} // namespace stemma::guest
