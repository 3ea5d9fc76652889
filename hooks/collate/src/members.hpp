#pragma once

#include <vector>

#include "recorded.hpp"
#include "steps.hpp"

namespace stemma::hooks {

/// Goes into archives: a link comes from the members that it took and not from the rest, and an
/// archive that was changed comes from the members that it kept. Each such member becomes a file of
/// its own, "libx.a(a.o)", and a step copies it there from the object with the same bytes, else
/// from the archive.
///
/// An archive that a link took whole stays its input, and so does one of which it is not known.
/// recorded  the members are added to its files
void settle_members(std::vector<DraftStep>& steps, Recorded& recorded);

} // namespace stemma::hooks
