#pragma once

#include "stemma/core/json.hpp"
#include "stemma/image/library.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "change_session.hpp"

/// What goes into an image without a package manager: single files, archives, changes of text.
namespace stemma::image {

/// One source with its content's digest, known before anything is changed.
struct PlannedFile {
    std::filesystem::path source;
    std::string target;
    std::uint32_t mode = 0644;
    std::uint64_t size = 0;
    Digest sha256;
};

/// "/etc//motd" → "/etc/motd"; a last "/" (into this folder) stays.
/// throws  usage: not absolute, or with ".."
std::string expect_target(const std::string& target);

/// throws  usage: the source is no regular file; not_found; io
PlannedFile plan_file(const FileInstall& wanted);
/// The file's record for an image's history.
Json put_planned(ChangeSession& session, const PlannedFile& file);

/// Unpacks an archive at "/". The record names every file that it put, and the folders it made, so
/// that remove() can take them out again.
/// throws  corrupt: a name that leads out of the tree; unsupported: larger than is believable
Json put_tar(ChangeSession& session, const std::string& tar, const Cancel& cancel);

/// Applies a unified comparison to text files; what they have besides content stays.
/// throws  conflict: a file is not as the patch expects
Json put_text_patch(ChangeSession& session, const std::string& file);

} // namespace stemma::image
