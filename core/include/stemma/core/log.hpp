#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace stemma {

enum class LogLevel { debug, info, warning, error };

/// Where messages for people go. Never results: those go to standard output.
/// Handed down by reference; implementations are safe to call from several threads.
class Log {
public:
    virtual ~Log() = default;
    Log() = default;
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    virtual void write(LogLevel level, std::string_view text) noexcept = 0;
    [[nodiscard]] virtual bool wants(LogLevel level) const noexcept = 0;

    template <typename... Args>
    void debug(fmt::format_string<Args...> text, Args&&... args) noexcept
    {
        format(LogLevel::debug, text, std::forward<Args>(args)...);
    }
    template <typename... Args>
    void info(fmt::format_string<Args...> text, Args&&... args) noexcept
    {
        format(LogLevel::info, text, std::forward<Args>(args)...);
    }
    template <typename... Args>
    void warning(fmt::format_string<Args...> text, Args&&... args) noexcept
    {
        format(LogLevel::warning, text, std::forward<Args>(args)...);
    }

private:
    template <typename... Args>
    void format(LogLevel level, fmt::format_string<Args...> text, Args&&... args) noexcept
    {
        if (!wants(level)) {
            return;
        }
        try {
            write(level, fmt::format(text, std::forward<Args>(args)...));
        } catch (...) {
            write(level, "(message lost: out of memory)");
        }
    }
};

/// Drops everything; for tests and library users that do not care.
class NullLog final : public Log {
public:
    void write(LogLevel level, std::string_view text) noexcept override;
    [[nodiscard]] bool wants(LogLevel level) const noexcept override;
};

/// Lines on standard error: "stemma: warning: …". Shows `threshold` and above.
class StderrLog final : public Log {
public:
    StderrLog(LogLevel threshold, bool colour);
    void write(LogLevel level, std::string_view text) noexcept override;
    [[nodiscard]] bool wants(LogLevel level) const noexcept override;

private:
    LogLevel threshold_;
    bool colour_;
};

} // namespace stemma
