#pragma once

#include "stemma/model/manifest.hpp"

#include <vector>

namespace stemma::model {

/// Archives of which a step took members: files P of the manifest for which one of its steps reads
/// a file "P(NAME)". Such an archive has been used, although no step names it.
///
/// returns  ascending
/// throws   corrupt: an index is out of range
std::vector<FileIndex> archives_taken_from(const Manifest& manifest);

} // namespace stemma::model
