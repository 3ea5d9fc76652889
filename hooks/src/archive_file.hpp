#pragma once

#include "stemma/hooks/journal.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "file_part.hpp"

namespace stemma::hooks {

/// A static library as ar(1) writes it: GNU's format with long names, thin ones too; BSD's long
/// names are read, its index of symbols is not.
///
///     "!<arch>\n" or "!<thin>\n", then per member 60 bytes of text (name 16, date 12, uid 6, gid
///     6, mode 8, size 10, "`\n") and the bytes, padded to an even offset; "/" and "/SYM64/" hold
///     the index, "//" the long names. A thin archive has the bytes of these three alone.
struct ArchiveFile {
    struct Member {
        std::string name;         ///< of a thin archive: the path of the file, as written in it
        std::uint64_t header = 0; ///< offset; what the index of symbols names a member by
        std::uint64_t start = 0;  ///< offset of the bytes
        std::uint64_t size = 0;   ///< in bytes
    };
    using Symbol = std::pair<std::string, std::uint32_t>; ///< name, number of the member

    bool thin = false;
    std::vector<Member> members;
    /// In the order of the index; nullopt: there is none, or none that can be read.
    std::optional<std::vector<Symbol>> symbols;
};

/// The members, without the index.
/// returns  nullopt: no archive, or damaged; bounded by the file's size and 500,000 members
std::optional<ArchiveFile> read_archive(const FilePart& file);
/// The members with the index of symbols; at most 256 MiB of it.
std::optional<ArchiveFile> read_archive_index(const FilePart& file);

/// What is in an archive, by content: empty for a thin one, a Debian package, a damaged one.
std::vector<ArchiveMember> hash_members(const FilePart& file);

} // namespace stemma::hooks
