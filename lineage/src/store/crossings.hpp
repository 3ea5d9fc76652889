#pragma once

#include <cstdint>
#include <span>

#include "build_graph.hpp"
#include "impl.hpp"

/// Keeps what leaves builds and comes into them, in whatever order builds, packages and images
/// become known. See reach.hpp.
namespace stemma::lineage {

/// How a content was met so far: bits of content.uses. What is not set needs no look at other
/// builds, which is nearly always.
enum ContentUse : std::int64_t {
    made_by_build = 1, ///< an output of some build
    read_loosely = 2,  ///< read by some build that neither made it nor has it
                       ///< under version control
    put_elsewhere = 4, ///< packed, or put into an image
};

/// Writes what leaves a new build and what comes into it, and what that changes
/// for the others. outputs  files of the build that are in table `output`
void derive_reach(Store::Impl& store,
                  std::int64_t build,
                  const BuildGraph& graph,
                  std::span<const model::FileIndex> outputs);

/// These contents were packed, or put into an image: they leave the builds that made them.
void put_contents_elsewhere(Store::Impl& store, std::span<const std::int64_t> contents);

} // namespace stemma::lineage
