#pragma once

#include "stemma/analyzer/pool.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// What one feature says in the terms of a pool; `leaf` 0: nothing beyond its parent.
struct Reading {
    NodeId leaf = 0;
    NodeId parent = 0;
    Code code = code_absent;
    NodeId shape = 0;
};

/// Readings of the features that VMs have in common, so that they are brought into a pool's terms
/// once and not per VM. A reading depends on nothing but the feature and those of the VM's own
/// names that stand in it; a feature is known by a keyed hash of both.
///
/// Entries lie in the order in which they came, and VMs say the same things in the same order: most
/// are found right after the one before, without a look into the index. At most 16 MiB; a full
/// cache begins anew.
class ReadingCache {
public:
    /// 256 bits, one for each hash of three bytes that follow each other: a text can only be part
    /// of another one whose bits include its own.
    using Trigrams = std::array<std::uint64_t, 4>;

    struct Entry {
        std::uint64_t key = 0;
        Trigrams trigrams{};
        Reading reading{};
        bool known = false;    ///< `reading` is
        bool of_disks = false; ///< depends on which disks the VM has: never kept
    };

    /// The entry of a key; one without a key is for the caller to fill in. Valid until the next
    /// call.
    Entry& at(std::uint64_t key);

private:
    Entry& insert(std::uint64_t key);

    std::vector<Entry> entries_;
    std::vector<std::uint32_t> index_; ///< by key: one more than the place in `entries_`; 0: none
    std::size_t next_ = 0;             ///< where the next key is likely to be
};

/// The own names of one VM as the cache needs them.
class OwnNeedles {
public:
    explicit OwnNeedles(const std::vector<std::pair<std::string, std::string>>& replacements);
    /// Stands for those that occur in the feature; 0: none does.
    [[nodiscard]] std::uint64_t signature(const Feature& feature,
                                          const ReadingCache::Trigrams& trigrams) const;

private:
    struct Needle {
        std::string_view text;
        std::uint64_t hash;
        ReadingCache::Trigrams trigrams;
    };
    std::vector<Needle> needles_;
};

std::uint64_t hash_of(const Feature& feature);
ReadingCache::Trigrams trigrams_of(const Feature& feature);

} // namespace stemma::analyzer
