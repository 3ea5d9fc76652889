#include "server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "shop/answer.hpp"

namespace shop {

namespace {

constexpr std::size_t longest_line = 1024;

[[noreturn]] void fail(const std::string& what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

void say(int customer, const std::string& text)
{
    const auto line = text + "\n";
    for (std::size_t sent = 0; sent < line.size();) {
        const auto n = send(customer, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        sent += static_cast<std::size_t>(n);
    }
}

void attend(int customer, const Config& config)
{
    const timeval patience{static_cast<time_t>(config.idle_timeout_s), 0};
    setsockopt(customer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::string heard;
    char part[512];
    for (ssize_t n = 0; (n = recv(customer, part, sizeof part, 0)) > 0;) {
        heard.append(part, static_cast<std::size_t>(n));
        for (auto end = heard.find('\n'); end != std::string::npos; end = heard.find('\n')) {
            say(customer, answer(std::string_view(heard).substr(0, end), config));
            heard.erase(0, end + 1);
        }
        if (heard.size() > longest_line) {
            break;
        }
    }
    close(customer);
}

int open_shop(const Config& config)
{
    const int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (door < 0) {
        fail("socket");
    }
    const int yes = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(config.port);
    if (inet_pton(AF_INET, config.address.c_str(), &address.sin_addr) != 1) {
        errno = EINVAL;
        fail("address " + config.address);
    }
    if (bind(door, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(door, 64) != 0) {
        fail(config.address + ":" + std::to_string(config.port));
    }
    return door;
}

} // namespace

void serve(const Config& config)
{
    const int door = open_shop(config);
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < config.workers; ++i) {
        workers.emplace_back([door, &config] {
            for (;;) {
                const int customer = accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
                if (customer >= 0) {
                    attend(customer, config);
                }
            }
        });
    }
}

} // namespace shop
