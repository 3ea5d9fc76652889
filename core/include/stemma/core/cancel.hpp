#pragma once

#include <atomic>

namespace stemma {

/// Tells long work that the user asked to stop (^C, SIGTERM). Handed down by const reference;
/// loops that may run for over a second call check() in each round.
class Cancel {
public:
    Cancel() = default;
    ~Cancel() = default;
    Cancel(const Cancel&) = delete;
    Cancel& operator=(const Cancel&) = delete;

    void request() noexcept { requested_.store(true, std::memory_order_relaxed); }
    [[nodiscard]] bool requested() const noexcept
    {
        return requested_.load(std::memory_order_relaxed);
    }
    /// throws  interrupted: the user asked to stop
    void check() const;

private:
    std::atomic<bool> requested_{false};
};

} // namespace stemma
