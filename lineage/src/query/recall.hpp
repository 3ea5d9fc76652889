#pragma once

#include <cstdint>
#include <memory>

#include "builds.hpp"
#include "images.hpp"

/// What questions read and the next ones read again: the memory index of a long-lived process.
namespace stemma::lineage {

/// Kept by the store that it was read from, so it belongs to that store's thread. It fills as
/// questions are asked; what was read of builds and images stays until one of them changes.
/// At 2,000 builds of 3,600 files and 100,000 images it holds about 100 MB.
struct Recall {
    /// known_at  ledger position up to which facts count
    Recall(Store::Impl& store, std::uint64_t known_at);
    Builds builds;
    Images images;
    std::uint64_t last_seq = 0;
    std::int64_t schema = 0;  ///< changes when tables are made again
    std::int64_t changed = 0; ///< changes when another connection wrote
};

/// What the store knows by heart, if it still holds; else nothing yet. Within a read transaction.
std::shared_ptr<Recall> recall(Store::Impl& store);

} // namespace stemma::lineage
