#pragma once

#include "stemma/analyzer/extract.hpp"
#include "stemma/cli/context.hpp"

#include <filesystem>
#include <string>

namespace stemma::cli {

/// Features of a tree that lies on this machine: an unpacked folder, a tar (compressed or not), a
/// disk image. Images may have backing files in the store's images and where settings allow.
analyzer::FeatureSet features_of_tree(const Context& context,
                                      const analyzer::Definition& definition,
                                      const std::filesystem::path& path);

/// True for folders and for files that are called like tars or disk images.
bool is_called_tree(const std::filesystem::directory_entry& entry);

/// True when a file is called like a disk image: it is read in a process of its own, which must not
/// be made while other threads run.
bool is_called_image(const std::filesystem::path& path);

/// "web1" of "/srv/web1.tar.gz".
std::string name_of_tree(const std::filesystem::path& path);

} // namespace stemma::cli
