#include "stemma/hooks/observe.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/hooks/session.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "../lane/layout.hpp"
#include "companion.hpp"
#include "notify.hpp"
#include "preloading.hpp"
#include "starter.hpp"
#include "watch.hpp"

namespace stemma::hooks {

namespace {

std::uint64_t wall_clock() noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000U +
           static_cast<std::uint64_t>(now.tv_nsec) / 1000U;
}

void ignore_own_streams(Session& session)
{
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
        struct stat info {};
        if (::fstat(fd, &info) == 0) {
            session.ignore_stream(info);
        }
    }
}

/// Leaves somebody behind who answers for processes that go on.
void leave_answerer(Fd listener)
{
    const pid_t pid = ::fork();
    if (pid != 0) {
        return;
    }
    ::setsid();
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) {
        ::dup2(null, fd);
    }
    constexpr int kept = 3;
    const int moved = listener.get() == kept ? kept : ::dup3(listener.get(), kept, O_CLOEXEC);
    ::close_range(kept + 1, ~0U, 0);
    answer_forever(moved);
    ::_exit(0);
}

ObservedExit exit_of(int wait_status)
{
    ObservedExit exit;
    if (WIFSIGNALED(wait_status)) {
        exit.signal = WTERMSIG(wait_status);
    } else {
        exit.code = WEXITSTATUS(wait_status);
    }
    return exit;
}

std::string filter_problem(int error)
{
    if (error == EBUSY) {
        return "not observed: another program listens to this process tree already";
    }
    return "not observed: seccomp user notification: " + std::generic_category().message(error);
}

} // namespace

std::string_view to_string(Backend backend) noexcept
{
    switch (backend) {
    case Backend::automatic:
        return "auto";
    case Backend::notify:
        return "notify";
    case Backend::preload:
        return "preload";
    case Backend::none:
        return "none";
    }
    return "none";
}

std::optional<Backend> backend_from(std::string_view word) noexcept
{
    for (const auto backend :
         {Backend::automatic, Backend::notify, Backend::preload, Backend::none}) {
        if (to_string(backend) == word) {
            return backend;
        }
    }
    return std::nullopt;
}

bool is_observed() noexcept
{
    // NOLINTBEGIN(concurrency-mt-unsafe): nobody writes the environment
    const char* observer = std::getenv(observer_variable);
    const bool preloaded = std::getenv(preload::variable) != nullptr;
    // NOLINTEND(concurrency-mt-unsafe)
    if (observer == nullptr || (!preloaded && ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)) {
        return false;
    }
    const auto pid = static_cast<pid_t>(std::strtol(observer, nullptr, 10));
    return pid > 1 && (::kill(pid, 0) == 0 || errno == EPERM);
}

namespace {

/// One observation from its start to its end.
class Observer {
public:
    explicit Observer(Observation observation)
        : observation_(std::move(observation)), journal_(observation_.journal), session_(journal_)
    {
        ignore_own_streams(session_);
    }

    ObservedExit run()
    {
        take_wish();
        const bool wants_filter =
            observation_.backend == Backend::automatic || observation_.backend == Backend::notify;
        prepare_environment(wants_filter);
        const SignalWatch signals;
        Starter starter(observation_.argv, wants_filter, observation_.backend != Backend::none);
        if (const int problem = starter.start(signals.before()); problem != 0) {
            ObservedExit failed;
            failed.start_error = problem;
            return failed;
        }
        begin(starter);
        Watch watch(starter.child(),
                    signals,
                    notifications_ ? &*notifications_ : nullptr,
                    preloading_ ? &*preloading_ : nullptr);
        auto exit = exit_of(watch.until_end());
        finish(watch);
        exit.start_error = starter.start_error();
        journal_.add(EndRecord{exit.code, exit.signal, wall_clock(), 0});
        journal_.flush();
        exit.recorded = !journal_.failed();
        exit.backend = backend();
        return exit;
    }

private:
    [[nodiscard]] Backend backend() const
    {
        return notifications_ ? Backend::notify : preloading_ ? Backend::preload : Backend::none;
    }

    /// What the environment asks for, where the caller leaves it open.
    void take_wish()
    {
        const char* wish = std::getenv(backend_variable); // NOLINT(concurrency-mt-unsafe)
        if (observation_.backend == Backend::automatic && wish != nullptr) {
            observation_.backend = backend_from(wish).value_or(Backend::automatic);
        }
    }

    void prepare_environment(bool wants_filter)
    {
        // NOLINTBEGIN(concurrency-mt-unsafe): before the build and on the main thread
        ::setenv(observer_variable, std::to_string(::getpid()).c_str(), 1);
        lane_ = wants_filter ? companion_library("stemma-lane.so") : std::string();
        if (!lane_.empty()) {
            ::setenv(lane::idle_name, lane_.c_str(), 1);
        }
        // NOLINTEND(concurrency-mt-unsafe)
    }

    /// The command waits until it is known how it is watched.
    void begin(Starter& starter)
    {
        auto listener = starter.take_listener();
        if (listener) {
            notifications_.emplace(std::move(listener), session_, lane_);
        } else if (observation_.backend != Backend::none) {
            fall_back(starter.filter_error());
        }
        observation_.session.backend = to_string(backend());
        journal_.add(observation_.session);
        for (auto& hole : holes_) {
            journal_.add(hole);
        }
        journal_.flush();
        session_.root(starter.child(), std::move(observation_.tag));
        if (preloading_) {
            preloading_->look_at_root(starter.child(),
                                      find_program(observation_.argv.front()).value_or(""));
        }
        starter.let_go(preloading_ ? preloading_->environment() : std::vector<std::string>());
    }

    void fall_back(int filter_error)
    {
        const bool forced = observation_.backend == Backend::preload;
        const auto library = observation_.backend == Backend::notify
                                 ? std::string()
                                 : companion_library("stemma-preload.so");
        std::string problem = forced ? "not observed" : filter_problem(filter_error);
        if (!library.empty()) {
            try {
                preloading_.emplace(session_, library);
                return;
            } catch (const Error& error) {
                problem += "; preload: " + error.one_line();
            }
        } else if (observation_.backend != Backend::notify) {
            problem += "; preload: its library stemma-preload.so is not installed";
        }
        add_hole(std::move(problem));
    }

    void add_hole(std::string reason)
    {
        holes_.push_back({0, observation_.argv.front(), std::move(reason)});
    }

    void finish(Watch& watch)
    {
        const bool silent = watch.until_silence();
        if (notifications_) {
            notifications_->read_lanes();
        }
        const bool lost =
            (notifications_ && notifications_->lost()) || (preloading_ && preloading_->lost());
        if (!silent || (preloading_ && session_.has_running())) {
            journal_.add(HoleRecord{
                0, observation_.argv.front(), "processes of the build went on after its end"});
        }
        if (notifications_ && !silent) {
            leave_answerer(notifications_->release());
        }
        session_.finish();
        if (lost) {
            journal_.add(
                HoleRecord{0, observation_.argv.front(), "events were lost for want of memory"});
        }
    }

    Observation observation_;
    JournalWriter journal_;
    Session session_;
    std::string lane_;
    std::vector<HoleRecord> holes_;
    std::optional<Notifications> notifications_;
    std::optional<Preloading> preloading_;
};

} // namespace

ObservedExit observe(Observation observation)
{
    return Observer(std::move(observation)).run();
}

} // namespace stemma::hooks
