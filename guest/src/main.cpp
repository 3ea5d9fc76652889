// stemma-guest: answers the host over a virtio-serial port. No network, no authority: it only does
// what the host asks, and the host could do all of it to the disk anyway.

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "session.hpp"

namespace {

using stemma::Error;
using stemma::Fd;
namespace guest = stemma::guest;

constexpr std::string_view usage =
    "usage: stemma-guest [--port DEVICE | --fd NUMBER]\n"
    "Answers the Stemma deployer of this VM's host over the virtio-serial port\n"
    "org.stemma.guest.0. Waits for the port when it is not there yet.\n";

/// Serves the port for ever; finds it again when it was unplugged.
[[noreturn]] void serve_port(const std::string& given)
{
    while (true) {
        try {
            const auto device = given.empty() ? guest::find_port() : given;
            if (device) {
                guest::Port port(stemma::open_file(*device, O_RDWR | O_NONBLOCK), false);
                guest::serve(port);
            }
        } catch (const Error& error) {
            std::fprintf(stderr, "stemma-guest: %s\n", error.one_line().c_str());
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
}

void serve_socket(int fd)
{
    guest::Port port(Fd(fd), true);
    guest::serve(port);
}

} // namespace

int main(int argc, char** argv)
{
    try {
        std::string device;
        int fd = -1;
        for (int i = 1; i < argc; ++i) {
            const std::string_view word(argv[i]);
            if (word == "--port" && i + 1 < argc) {
                device = argv[++i];
            } else if (word == "--fd" && i + 1 < argc) {
                fd = static_cast<int>(stemma::parse_unsigned(argv[++i]).value_or(0));
            } else {
                std::fwrite(usage.data(), 1, usage.size(), word == "--help" ? stdout : stderr);
                return word == "--help" ? 0 : 2;
            }
        }
        ::signal(SIGPIPE, SIG_IGN); // NOLINT(cert-err33-c): cannot fail for a valid signal
        // An init that starts us early gives no PATH. Before any thread.
        // NOLINTNEXTLINE(concurrency-mt-unsafe)
        ::setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
        if (fd >= 0) {
            serve_socket(fd);
            return 0;
        }
        serve_port(device);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "stemma-guest: %s\n", error.what());
        return 1;
    }
}
