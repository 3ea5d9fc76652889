#pragma once

#include "stemma/hooks/session.hpp"

#include <map>
#include <set>

namespace stemma::hooks {

/// What the session knows of one process; a tool's also holds what the processes below it did.
struct Session::Process {
    struct Write {
        Stamp before = 0; ///< 0: it was not there
        bool only_if_changed = false;
    };

    /// What one process of a compiler's did: "gcc -c a.c b.c" is two compilations.
    struct Part {
        std::set<VersionId> reads;
        std::set<std::uint64_t> from;    ///< parts whose temporary files this one read
        std::vector<std::size_t> images; ///< index in record.images
    };

    /// Outputs that have their inputs in common, with these.
    struct Group {
        std::set<VersionId> outputs;
        std::set<VersionId> reads;
        std::set<std::size_t> images;
    };

    ProcessRecord record;
    pid_t pid = 0;
    Role role = Role::other;
    bool ended = false;
    bool has_children = false;
    std::string folder; ///< current one; empty: look again
    StreamId out;       ///< what standard output is
    bool out_counts = false;
    ProcessPtr owner; ///< the tool that swallows this one; null: itself
    std::unordered_map<VersionId, unsigned> accesses;
    std::map<std::string, Write> writes;
    std::map<std::string, VersionId> made;            ///< outputs that were there at the end
    std::map<std::uint64_t, Part> parts;              ///< by the serial of who did it
    std::set<std::uint64_t> links;                    ///< parts that were a linker's, and are known
    std::map<std::string, std::uint64_t> last_writer; ///< gcc uses a temporary name again and again
    std::vector<pid_t> threads;

    /// An archive that more than a linker read counts whole.
    void settle_extractions();

    /// True when it began to write a file, and `now` is not what was there before.
    [[nodiscard]] bool wrote(const std::string& path, Stamp now) const
    {
        const auto write = writes.find(path);
        return write != writes.end() && write->second.before != now;
    }

    Part& part_of(const Process& process) { return parts[process.record.serial]; }

    /// For a compiler with several outputs whose inputs differ: one group each. Empty when all it
    /// did belongs together.
    [[nodiscard]] std::vector<Group> separate_outputs() const;

private:
    [[nodiscard]] std::set<std::uint64_t> parts_behind(const std::string& output) const;
};

/// argv with every "@FILE" replaced by the words in FILE, as gcc and binutils do; what cannot be
/// read stays as it is.
std::vector<std::string> expanded(std::vector<std::string> argv, const std::string& folder);

} // namespace stemma::hooks
