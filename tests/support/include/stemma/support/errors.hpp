#pragma once

#include "stemma/core/error.hpp"

#include <optional>

namespace stemma::support {

/// The Error that `work` throws, or nullopt when it throws none.
template <typename Work>
std::optional<Error> error_of(Work&& work)
{
    try {
        work();
    } catch (const Error& error) {
        return error;
    }
    return std::nullopt;
}

} // namespace stemma::support
