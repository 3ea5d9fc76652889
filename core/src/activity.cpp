#include "stemma/core/activity.hpp"

#include <fmt/format.h>

#include <unistd.h>

namespace stemma {

namespace {

using namespace std::chrono_literals;

constexpr auto quiet_time = 2s;
constexpr auto redraw_interval = 200ms;
constexpr auto plain_interval = 10s;

std::string amount(std::uint64_t done, std::uint64_t total, const std::string& unit)
{
    if (unit == "bytes") {
        constexpr double mib = 1024.0 * 1024.0;
        const double shown = static_cast<double>(done) / mib;
        return total == 0
                   ? fmt::format("{:.1f} MiB", shown)
                   : fmt::format("{:.1f}/{:.1f} MiB", shown, static_cast<double>(total) / mib);
    }
    return total == 0 ? fmt::format("{} {}", done, unit)
                      : fmt::format("{}/{} {}", done, total, unit);
}

void put(std::string_view text) noexcept
{
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

} // namespace

Progress::Progress(ProgressMode mode)
    : style_(mode == ProgressMode::none                                        ? Style::none
             : mode == ProgressMode::automatic && ::isatty(STDERR_FILENO) == 1 ? Style::line
                                                                               : Style::plain),
      last_drawn_(std::chrono::steady_clock::now())
{
}

Progress::~Progress()
{
    finish();
}

void Progress::update(const Activity& activity) noexcept
{
    if (style_ == Style::none) {
        return;
    }
    const auto now = std::chrono::steady_clock::now();
    const auto interval = style_ == Style::line ? std::chrono::milliseconds(redraw_interval)
                                                : std::chrono::milliseconds(plain_interval);
    if (now - activity.started_ < quiet_time || now - last_drawn_ < interval) {
        return;
    }
    last_drawn_ = now;
    try {
        const auto text = fmt::format("{}: {}{}{}",
                                      activity.title_,
                                      amount(activity.done_, activity.total_, activity.unit_),
                                      activity.detail_.empty() ? "" : ", ",
                                      activity.detail_);
        if (style_ == Style::line) {
            put(fmt::format("\r\x1b[K{}", text));
            drawn_ = true;
        } else {
            put(fmt::format("stemma: {}\n", text));
        }
    } catch (...) { // NOLINT(bugprone-empty-catch): progress is a courtesy
    }
}

void Progress::finish() noexcept
{
    if (drawn_) {
        put("\r\x1b[K");
        drawn_ = false;
    }
}

Activity::Activity(Progress& progress, std::string title, std::uint64_t total, std::string unit)
    : progress_(progress),
      title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      started_(std::chrono::steady_clock::now())
{
}

Activity::~Activity()
{
    const std::lock_guard guard(progress_.mutex_);
    progress_.finish();
}

void Activity::advance(std::uint64_t units) noexcept
{
    const std::lock_guard guard(progress_.mutex_);
    done_ += units;
    progress_.update(*this);
}

void Activity::detail(std::string_view text) noexcept
{
    try {
        const std::lock_guard guard(progress_.mutex_);
        detail_ = text;
        progress_.update(*this);
    } catch (...) { // NOLINT(bugprone-empty-catch): progress is a courtesy
    }
}

} // namespace stemma
