#pragma once

#include "stemma/core/clock.hpp"

namespace stemma::support {

/// Stands still until it is told to move.
class FakeClock final : public Clock {
public:
    explicit FakeClock(Time start = parse_time("2026-01-02T03:04:05Z")) : now_(start) {}
    [[nodiscard]] Time now() const override { return now_; }
    void advance(std::chrono::microseconds by) { now_ += by; }
    void set(Time time) { now_ = time; }

private:
    Time now_;
};

} // namespace stemma::support
