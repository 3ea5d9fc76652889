#pragma once

#include "stemma/cli/context.hpp"
#include "stemma/volume/filesystem.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace stemma::cli {

/// A tree that lies on this machine: an unpacked folder, a tar (compressed or not), a disk image.
/// Images may have backing files in the store's images and where settings allow.
std::unique_ptr<volume::Filesystem> open_tree(const Context& context,
                                              const std::filesystem::path& path);

/// True for folders and for files that are called like tars or disk images.
bool is_called_tree(const std::filesystem::directory_entry& entry);

/// "web1" of "/srv/web1.tar.gz".
std::string name_of_tree(const std::filesystem::path& path);

} // namespace stemma::cli
