#pragma once

#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "session.hpp"

/// The journal of ext3 and ext4 (jbd2). Private to this library.
namespace stemma::ext {

/// Where the newest logged copy of a block lies.
struct Logged {
    std::uint64_t offset = 0; ///< of the copy, bytes on the volume
    bool escaped = false;     ///< its first four bytes were the journal's magic number
};

/// What a replay would write.
struct Replay {
    std::uint32_t block_size = 0;
    std::unordered_map<std::uint64_t, Logged> blocks; ///< by block of the file system
    std::uint64_t journal_superblock = 0;             ///< byte offset
    std::uint32_t next_sequence = 0;                  ///< what the emptied journal goes on with
};

/// True when the file system was not closed cleanly and its journal holds what is missing.
bool needs_replay(Session& session);

/// Reads the log of a journal that needs a replay. Committed transactions only; revoked blocks are
/// left out. Bounded by the journal's own length.
/// throws  corrupt: a transaction that was committed fails its checksum; unsupported: an external
///         journal, fast commits, or a journal feature that is not known
Replay read_log(Session& session);

/// The volume as it would be after the replay; nothing is written.
std::unique_ptr<volume::Volume> replayed_view(std::unique_ptr<volume::Volume> volume,
                                              Replay replay);

/// Does the replay: copies the logged blocks to their places, then empties the journal. Whoever
/// opens the file system next clears the superblock's mark that something is left to recover.
void replay_onto(volume::Volume& volume, const Replay& replay);

} // namespace stemma::ext
