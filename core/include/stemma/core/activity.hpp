#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace stemma {

enum class ProgressMode {
    automatic, ///< a moving line on a terminal, else plain
    plain,     ///< a line every ten seconds
    none,
};

/// Draws what is under way on standard error. One per process; handed down by reference.
/// Nothing is drawn for work that takes less than two seconds.
class Progress {
public:
    explicit Progress(ProgressMode mode);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

private:
    friend class Activity;
    void update(const class Activity& activity) noexcept;
    void finish() noexcept;

    enum class Style { line, plain, none } style_;
    std::mutex mutex_;
    std::chrono::steady_clock::time_point last_drawn_;
    bool drawn_ = false;
};

/// A piece of work with a beginning and an end. Scoped; cheap to advance (draws at most five times
/// a second). Safe to advance from several threads.
class Activity {
public:
    /// title  present participle and object, e.g. "hashing /usr"
    /// total  how many units there are; 0 when unknown
    /// unit   plural noun, "files" or "bytes" (bytes are shown as MiB)
    Activity(Progress& progress, std::string title, std::uint64_t total, std::string unit);
    ~Activity();
    Activity(const Activity&) = delete;
    Activity& operator=(const Activity&) = delete;

    void advance(std::uint64_t units = 1) noexcept;
    /// What is being worked on right now, shown after the count.
    void detail(std::string_view text) noexcept;

private:
    friend class Progress;
    Progress& progress_;
    std::string title_;
    std::string unit_;
    std::string detail_;
    std::uint64_t total_;
    std::uint64_t done_ = 0;
    std::chrono::steady_clock::time_point started_;
};

} // namespace stemma
