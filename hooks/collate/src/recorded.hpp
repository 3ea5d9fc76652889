#pragma once

#include "stemma/hooks/journal.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stemma::hooks {

inline std::string last_name(const std::string& path)
{
    return path.substr(path.rfind('/') + 1);
}

/// A file at one moment, whoever saw it.
struct SeenFile {
    std::string path;
    Stamp stamp = 0;
    std::uint64_t size = 0;
    std::optional<Content> content;
    bool raced = false;
};

using SeenIndex = std::uint32_t;

struct SeenProcess {
    std::uint64_t writer = 0;
    ProcessRecord record; ///< ids are SeenIndex
};

/// All that a journal holds, with the writers' own numbers resolved.
struct Recorded {
    std::vector<SeenFile> files;
    std::vector<SeenProcess> processes;
    std::vector<SessionRecord> sessions;
    std::vector<HoleRecord> holes;
    std::uint64_t finished = 0; ///< microseconds since 1970; the last end
};

/// What cannot be read becomes a hole.
Recorded gather(std::string_view journal);

} // namespace stemma::hooks
