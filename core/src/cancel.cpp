#include "stemma/core/cancel.hpp"

#include "stemma/core/error.hpp"

namespace stemma {

void Cancel::check() const
{
    if (requested()) {
        throw Error(ErrorCode::interrupted, "interrupted");
    }
}

} // namespace stemma
