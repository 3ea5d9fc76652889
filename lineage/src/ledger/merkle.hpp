#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/digest.hpp"

#include <cstdint>
#include <span>
#include <string_view>

/// The ledger's hashes: RFC 6962 trees (section 2.1) with SHA-256, and the chain of commits.
namespace stemma::lineage {

/// sha256(0x00 || event)
Digest leaf_hash(std::string_view canonical_event);

/// Merkle tree hash of the leaves' hashes; sha256("") of none.
Digest merkle_root(std::span<const Digest> leaves);

/// One commit: the events of [first, last], and their root.
struct Commit {
    std::uint64_t no = 0;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    Time recorded{};
    Digest root;
};

/// sha256(0x02 || before || no || first || last || recorded || root), numbers as eight bytes,
/// highest first. `before` of the first commit is all zero.
Digest chain_hash(const Digest& before, const Commit& commit);

} // namespace stemma::lineage
