// The operation exec: a program's outputs as they come, then how it ended.

#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <vector>

#include "session.hpp"

namespace stemma::guest {

namespace {

using namespace std::chrono_literals;
using SteadyTime = std::chrono::steady_clock::time_point;

/// After the program's end its outputs may be held open by something that it left running: what
/// comes within this time is still its own.
constexpr auto drain_time = 300ms;

struct Output {
    Fd fd;
    char stream = 0;
};

/// Forwards what is there; closes the output at its end.
void forward(Output& output, Exchange& exchange)
{
    std::array<char, 16384> buffer{};
    const auto got = ::read(output.fd.get(), buffer.data(), buffer.size());
    if (got > 0) {
        exchange.send(output.stream, {buffer.data(), static_cast<std::size_t>(got)});
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        output.fd.reset();
    }
}

/// One round of waiting on both outputs and the host.
void attend_outputs(std::array<Output, 2>& outputs, Exchange& exchange)
{
    std::array<pollfd, 3> waits{{{.fd = outputs[0].fd.get(), .events = POLLIN, .revents = 0},
                                 {.fd = outputs[1].fd.get(), .events = POLLIN, .revents = 0},
                                 {.fd = exchange.port_fd(), .events = POLLIN, .revents = 0}}};
    ::poll(waits.data(), waits.size(), 50);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        if (outputs[i].fd && waits[i].revents != 0) {
            forward(outputs[i], exchange);
        }
    }
    if ((waits[2].revents & POLLIN) != 0) {
        exchange.attend(0ms);
    }
}

std::vector<std::string> argv_of(const Json& request)
{
    std::vector<std::string> argv;
    for (const auto& word : array_member(request, "argv")) {
        argv.push_back(text_of(word, "argv"));
    }
    if (argv.empty() || argv.front().empty()) {
        throw Error(ErrorCode::usage, "no program was named");
    }
    return argv;
}

struct Pump {
    std::array<Output, 2> outputs;
    Child child;
    std::optional<SteadyTime> deadline;
    bool timed_out = false;

    ExitStatus run(Exchange& exchange)
    {
        std::optional<ExitStatus> status;
        std::optional<SteadyTime> last;
        while (true) {
            attend_outputs(outputs, exchange);
            const auto now = std::chrono::steady_clock::now();
            if (!status) {
                status = child.poll();
                if (status) {
                    last = now + drain_time;
                } else if (deadline && now >= *deadline && !timed_out) {
                    timed_out = true;
                    child.kill(SIGKILL);
                }
            }
            const bool open = outputs[0].fd || outputs[1].fd;
            if (status && (!open || now >= *last)) {
                return *status;
            }
        }
    }
};

} // namespace

Json run_program(const Json& request, Exchange& exchange)
{
    const auto argv = argv_of(request);
    if (!find_program(argv.front())) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no program {} in this VM", argv.front()));
    }
    Pipe out = make_pipe();
    Pipe err = make_pipe();
    Child child(argv, {.in = -1, .out = out.write_end.get(), .err = err.write_end.get()});
    out.write_end.reset();
    err.write_end.reset();
    ::fcntl(out.read_end.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(err.read_end.get(), F_SETFL, O_NONBLOCK);
    const auto timeout = integer_member(request, "timeout_ms");
    Pump pump{.outputs = {{{.fd = std::move(out.read_end), .stream = stream_out},
                           {.fd = std::move(err.read_end), .stream = stream_err}}},
              .child = std::move(child),
              .deadline = std::nullopt};
    if (timeout > 0) {
        pump.deadline = std::chrono::steady_clock::now() +
                        std::chrono::milliseconds(std::min<std::int64_t>(timeout, 86'400'000));
    }
    const auto status = pump.run(exchange);
    return {{"exit", status.code}, {"signal", status.signal}, {"timed_out", pump.timed_out}};
}

} // namespace stemma::guest
