#include "stemma/core/error.hpp"

#include <cerrno>
#include <system_error>

namespace stemma {

std::string_view to_string(ErrorCode code) noexcept
{
    switch (code) {
    case ErrorCode::usage:
        return "usage";
    case ErrorCode::config:
        return "config";
    case ErrorCode::not_found:
        return "not_found";
    case ErrorCode::conflict:
        return "conflict";
    case ErrorCode::io:
        return "io";
    case ErrorCode::remote:
        return "remote";
    case ErrorCode::corrupt:
        return "corrupt";
    case ErrorCode::unsupported:
        return "unsupported";
    case ErrorCode::interrupted:
        return "interrupted";
    }
    return "io";
}

Error::Error(ErrorCode code, std::string message, std::string hint)
    : code_(code), message_(std::move(message)), hint_(std::move(hint))
{
}

std::string Error::one_line() const
{
    std::string line = message_;
    for (const auto& frame : frames_) {
        line += ", while ";
        line += frame;
    }
    return line;
}

Error system_error(int error_number, std::string_view what)
{
    const auto code = error_number == ENOENT ? ErrorCode::not_found : ErrorCode::io;
    std::string hint;
    if (error_number == ENOSPC) {
        hint = "free some space on that file system, then run the same command again";
    }
    return {code,
            fmt::format("cannot {}: {}", what, std::generic_category().message(error_number)),
            hint};
}

} // namespace stemma
