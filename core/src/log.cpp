#include "stemma/core/log.hpp"

#include <unistd.h>

#include <string>

namespace stemma {

void NullLog::write(LogLevel, std::string_view) noexcept {}

bool NullLog::wants(LogLevel) const noexcept
{
    return false;
}

StderrLog::StderrLog(LogLevel threshold, bool colour) : threshold_(threshold), colour_(colour) {}

bool StderrLog::wants(LogLevel level) const noexcept
{
    return level >= threshold_;
}

void StderrLog::write(LogLevel level, std::string_view text) noexcept
{
    if (!wants(level)) {
        return;
    }
    try {
        std::string line = "stemma: ";
        if (level == LogLevel::warning) {
            line += colour_ ? "\x1b[33mwarning:\x1b[0m " : "warning: ";
        } else if (level == LogLevel::error) {
            line += colour_ ? "\x1b[31merror:\x1b[0m " : "error: ";
        }
        line += text;
        line += '\n';
        // One write per line, so that lines of several processes do not mix.
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    } catch (...) { // NOLINT(bugprone-empty-catch): a log that cannot log has nobody to tell
    }
}

} // namespace stemma
