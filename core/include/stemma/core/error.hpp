#pragma once

#include <fmt/format.h>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stemma {

/// What kind of failure this is; decides the exit status and nothing else.
enum class ErrorCode {
    usage,       ///< the command line is wrong (exit 2)
    config,      ///< a configuration or release file is wrong (exit 2)
    not_found,   ///< a named thing does not exist (exit 1)
    conflict,    ///< somebody else holds it, or the world moved (exit 1)
    io,          ///< the operating system refused (exit 1)
    remote,      ///< another machine or daemon failed (exit 1)
    corrupt,     ///< data fails its own check (exit 1; 5 where a ledger is verified)
    unsupported, ///< understood, and not done by this version (exit 1)
    interrupted, ///< the user asked to stop (exit 130)
};

/// The word that JSON and logs use for a code, e.g. "not_found".
std::string_view to_string(ErrorCode code) noexcept;

/// The one exception type of Stemma: a message, frames of "while …" added on the way out, and an
/// optional hint that says what the user can do about it.
class Error : public std::exception {
public:
    Error(ErrorCode code, std::string message, std::string hint = {});

    [[nodiscard]] ErrorCode code() const noexcept { return code_; }
    [[nodiscard]] const std::string& message() const noexcept { return message_; }
    /// Innermost first; each reads after the word "while".
    [[nodiscard]] const std::vector<std::string>& frames() const noexcept { return frames_; }
    [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
    [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

    void add_frame(std::string frame) { frames_.push_back(std::move(frame)); }
    [[nodiscard]] Error with_frame(std::string frame) &&
    {
        add_frame(std::move(frame));
        return std::move(*this);
    }

    /// The message with all frames on one line, for logs and per-item outcomes.
    [[nodiscard]] std::string one_line() const;

private:
    ErrorCode code_;
    std::string message_;
    std::string hint_;
    std::vector<std::string> frames_;
};

/// An `io` error for a failed system call: "cannot <what>: <strerror>". `error_number` is an errno;
/// ENOENT becomes `not_found`.
Error system_error(int error_number, std::string_view what);

/// Runs `work`; an exception that leaves it carries the frame "while <text>". Exceptions of other
/// types are turned into Error first.
template <typename Work, typename... Args>
auto doing(Work&& work, fmt::format_string<Args...> text, Args&&... args) -> decltype(work())
{
    try {
        return std::forward<Work>(work)();
    } catch (Error& error) {
        error.add_frame(fmt::format(text, std::forward<Args>(args)...));
        throw;
    } catch (const std::exception& other) {
        throw Error(ErrorCode::io, other.what())
            .with_frame(fmt::format(text, std::forward<Args>(args)...));
    }
}

/// One item's result where one bad item must not hide the others: a value, or the error instead.
template <typename T>
struct Outcome {
    std::string item;
    std::optional<T> value;
    std::optional<Error> error;
};

} // namespace stemma
