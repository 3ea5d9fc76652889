#pragma once

#include "stemma/core/json.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "../store/impl.hpp"

/// How the body of an event lies in its row, by event.encoding:
///
/// | encoding | event.body                                                                |
/// |----------|---------------------------------------------------------------------------|
/// | 0        | canonical JSON                                                            |
/// | 1        | the same in a zstd frame                                                  |
/// | 2        | empty: it was pruned                                                      |
/// | 3        | packed (see packed_json.hpp)                                              |
/// | 4        | packed, in a zstd frame                                                   |
/// | 5        | position of a *keyframe* (LEB128), then a zstd frame of the difference    |
/// |          | from the keyframe's packed bytes                                          |
///
/// A keyframe is another event of encoding 4 about the same thing: a build of the same project,
/// say. It is never itself a difference, so reading an event takes two rows at most. Table keyframe
/// says for each topic which event new ones are compared with; it is a hint, and may be lost.
/// Stores of version 1 and 2 had encodings 0 to 2 alone; numbers that are no integers still have.
namespace stemma::lineage {

struct StoredBody {
    std::int64_t encoding = 0;
    std::string bytes;
};

/// canonical  canonical_json(placed.event.body)
/// Within the caller's transaction: words and keyframes are kept in the store.
StoredBody pack_body(Store::Impl& store, const Placed& placed, std::string canonical);

/// throws  corrupt: the body, its keyframe or a word is damaged or missing; unsupported: a newer
///         encoding
Json unpack_body(Store::Impl& store, const StoredBody& body, const std::string& name);

/// Makes the facts that rest on keyframes among `going` rest on others, or on none. Before the
/// bodies of `going`, which ascend, are taken away; within that transaction, updates allowed.
void replace_keyframes(Store::Impl& store, std::span<const std::uint64_t> going);

/// Packs the bodies that an older version left as JSON. Within a transaction, updates allowed.
void pack_old_bodies(Store::Impl& store);

/// Takes away the words that no body has; after bodies were taken away, within that transaction.
void forget_words(Store::Impl& store);

} // namespace stemma::lineage
