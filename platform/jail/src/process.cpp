#include "stemma/jail/process.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <new>
#include <utility>

#include "confine.hpp"
#include "wire.hpp"

namespace stemma::jail {

namespace {

struct Ends {
    Fd ours;
    Fd theirs;
};

Ends make_socket()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw system_error(errno, "make a socket");
    }
    Ends made{.ours = Fd(ends[0]), .theirs = Fd(ends[1])};
    constexpr int buffer = 1 << 20; // a hint: the kernel may give less
    for (const int end : ends) {
        (void)::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    }
    return made;
}

/// What an exception that `work` let go says to the other side.
std::string words_of_failure(const Limits& limits)
{
    try {
        throw;
    } catch (const Error& error) {
        return pack_error(error);
    } catch (const std::bad_alloc&) {
        return pack_error(
            {ErrorCode::corrupt,
             fmt::format("reading it needs more than {} of memory", human_size(limits.memory)),
             "the image is damaged, or made to exhaust its reader"});
    } catch (const std::exception& other) {
        return pack_error({ErrorCode::corrupt, other.what()});
    }
}

[[noreturn]] void live(Channel channel,
                       const std::vector<int>& keep,
                       const Limits& limits,
                       pid_t parent,
                       const std::function<void(Channel&)>& work) noexcept
{
    try {
        try {
            confine(keep, limits, parent);
            channel.limit_processor(limits.processor);
            work(channel);
        } catch (...) {
            channel.send(words_of_failure(limits));
        }
    } catch (...) {
        ::_exit(1); // nobody listens any more
    }
    ::_exit(0);
}

std::pair<Channel, Child>
start(const std::vector<int>& keep, const Limits& limits, const std::function<void(Channel&)>& work)
{
    Ends ends = make_socket();
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
        throw system_error(errno, "start a process");
    }
    if (pid == 0) {
        std::vector<int> all = keep;
        all.push_back(ends.theirs.get());
        live(Channel(std::move(ends.theirs)), all, limits, parent, work);
    }
    return {Channel(std::move(ends.ours)), Child::adopt(pid)};
}

} // namespace

Process::Process(std::string name,
                 const std::vector<int>& keep,
                 const Limits& limits,
                 const std::function<void(Channel&)>& work)
    : Process(std::move(name), limits, start(keep, limits, work))
{
}

Process::Process(std::string name, const Limits& limits, std::pair<Channel, Child> started)
    : name_(std::move(name)),
      limits_(limits),
      channel_(std::move(started.first)),
      child_(std::move(started.second)),
      owner_(::getpid())
{
}

Process::~Process()
{
    if (::getpid() == owner_ && !ended()) {
        kill_all();
    }
}

void Process::kill_all() noexcept
{
    if (limits_.freedom == Freedom::programs) {
        ::kill(-child_.pid(), SIGKILL); // fails while it has no group of its own, nor children
    }
    child_.kill(SIGKILL); // it may have closed its socket and gone on; a corpse keeps its cause
}

void Process::send(std::string_view message)
{
    if (ended()) {
        report_end();
    }
    try {
        channel_.send(message);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::usage) {
            report_end();
        }
        throw;
    }
}

std::string Process::receive()
{
    if (!ended()) {
        wait_for_message();
        if (auto message = channel_.receive()) {
            return *std::move(message);
        }
    }
    report_end();
}

void Process::wait_for_message()
{
    constexpr std::chrono::milliseconds glance{200};
    if (limits_.cancel == nullptr && limits_.patience.count() == 0) {
        return;
    }
    const auto since = std::chrono::steady_clock::now();
    while (!channel_.has_message(glance)) {
        if (limits_.cancel != nullptr) {
            limits_.cancel->check();
        }
        if (limits_.patience.count() > 0 &&
            std::chrono::steady_clock::now() - since > limits_.patience) {
            kill_all();
            end_ = child_.wait();
            throw Error(ErrorCode::remote,
                        fmt::format("{}: the process that reads it gave no answer within {} s",
                                    name_,
                                    limits_.patience.count() / 1000),
                        "it was ended, with all that it had started");
        }
    }
}

Error Process::end_error() const
{
    std::string how;
    switch (end_->signal) {
    case SIGSYS:
        how = "tried what it may not do, and was ended";
        break;
    case SIGPROF:
        how =
            fmt::format("gave no answer within {} s of processor time", limits_.processor.count());
        break;
    case SIGKILL:
        how = "was killed";
        break;
    default:
        how = fmt::format("ended early ({})", end_->describe());
    }
    return {ErrorCode::corrupt,
            fmt::format("{}: the confined process that reads it {}", name_, how),
            "the image is damaged, or made to attack its reader; nothing else was touched"};
}

void Process::report_end()
{
    if (!end_ && ::getpid() != owner_) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: the process that reads it ended early", name_));
    }
    if (!end_) {
        kill_all();
        end_ = child_.wait();
    }
    throw end_error();
}

std::string compute(const std::string& name,
                    const std::vector<int>& keep,
                    const Limits& limits,
                    const std::function<std::string()>& work)
{
    constexpr std::size_t most_result = std::size_t{1} << 30U;
    constexpr std::size_t piece = std::size_t{1} << 20U;
    Process process(name, keep, limits, [&](Channel& channel) {
        const std::string result = work();
        for (std::size_t at = 0; at < result.size(); at += piece) {
            channel.send(static_cast<char>(Answer::piece) + result.substr(at, piece));
        }
        channel.send(std::string(1, static_cast<char>(Answer::last)));
    });
    std::string result;
    for (;;) {
        const std::string message = process.receive();
        const char kind = message.empty() ? '\0' : message.front();
        if (kind == static_cast<char>(Answer::error)) {
            throw unpack_error(message);
        }
        if (kind != static_cast<char>(Answer::piece)) {
            return result;
        }
        result.append(message, 1);
        if (result.size() > most_result) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{}: what was found in it is too much", name));
        }
    }
}

} // namespace stemma::jail
