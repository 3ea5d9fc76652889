#pragma once

#include "stemma/core/json.hpp"
#include "stemma/image/library.hpp"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "change_session.hpp"

/// Taking out again what an earlier version of an image got, by the lineage's own record.
namespace stemma::image {

/// One entry of "installed" somewhere in an image's ancestry, with the file trees on both sides of
/// that change.
struct Installed {
    Json entry;
    std::string version;                        ///< name of the image that got it
    std::unique_ptr<volume::Filesystem> after;  ///< that image
    std::unique_ptr<volume::Filesystem> before; ///< its parent; nullptr: unknown (an import)
};

/// The newest entry of a kind whose name, path or sha256 is `word` and that no later version took
/// out again; nullopt: there is none.
/// throws  not_found: there is one, and the file of its image or of the parent is gone
std::optional<Installed> find_installed(World& world,
                                        const lineage::ImageInfo& image,
                                        std::string_view kind,
                                        const std::string& word);

/// Every path that a recorded entry put: "files" of an archive, "path" of a file.
std::vector<std::string> paths_of(const Json& entry);

/// Puts each of the entry's paths back as it was before: content, owner, mode, time, attributes, or
/// nothing at all; folders that the change had made go when they are empty.
/// throws  conflict: some were changed since (named); nothing has been changed then
void restore(ChangeSession& session, Installed& installed);

} // namespace stemma::image
