#pragma once

#include "stemma/core/json.hpp"
#include "stemma/image/library.hpp"
#include "stemma/image/transaction.hpp"

#include <string>

namespace stemma::image {

/// What an image.created event will say, but for the digest.
struct NewVersion {
    std::string name;
    std::optional<std::string> parent;
    std::string os;
    Json installed = Json::array();
    Json removed = Json::array();
    Json packages = Json::array();
    std::vector<std::string> notes;
};

/// throws  usage: no name that an image can have
void expect_name(const std::string& name);
void make_folder(const std::filesystem::path& folder);

/// Fills in what the root file system says: os, packages. An image without one that can be read is
/// recorded without, with a note.
void describe(NewVersion& version, volume::Volume& disk, World& world);
void describe_tree(NewVersion& version, volume::Filesystem& tree);

/// Says the event, unless the store has the very same name and content already.
Change record(World& world, const NewVersion& version, const Transaction::Published& published);

} // namespace stemma::image
