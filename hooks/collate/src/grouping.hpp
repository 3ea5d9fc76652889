#pragma once

#include "stemma/hooks/tools.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "recorded.hpp"

namespace stemma::hooks {

/// Which processes of a build are one step: a tool with all it starts; what a launcher tagged; the
/// members of a pipeline; a process whose output a shell took in.
class Grouping {
public:
    explicit Grouping(const Recorded& recorded);

    void join_all();

    /// The number of the process that the others of its group joined.
    std::size_t group_of(std::size_t index) { return groups_.find(index); }
    [[nodiscard]] Role role(std::size_t index) const { return roles_[index]; }
    /// True for a script that runs two tools or more: what its children write is theirs.
    [[nodiscard]] bool splits(std::size_t index) const { return splits_[index]; }

    /// The launcher's words for a process: its own, or those of the nearest process above.
    const Tag* tag_of(std::size_t index);

private:
    /// Disjoint sets over the processes.
    class Groups {
    public:
        explicit Groups(std::size_t size);
        std::size_t find(std::size_t index);
        /// The group of `into` keeps its name.
        void join(std::size_t index, std::size_t into) { parent_[find(index)] = find(into); }

    private:
        std::vector<std::size_t> parent_;
    };

    struct SerialHash {
        std::size_t operator()(const std::pair<std::uint64_t, std::uint64_t>& key) const noexcept
        {
            return std::hash<std::uint64_t>()(key.first * 0x9e3779b97f4a7c15U + key.second);
        }
    };
    using ByPipe = std::unordered_multimap<std::uint64_t, std::size_t>;

    void find_schedulers();
    [[nodiscard]] std::optional<std::size_t> parent(std::size_t index) const;
    [[nodiscard]] std::optional<std::size_t>
    next_sibling(std::size_t writer, const ByPipe& readers, const ByPipe& writers) const;
    bool join_with_readers(std::size_t index, const ByPipe& readers);
    void join_pipes();
    void join_with_parent(std::size_t index);
    void join_with_writer_above(std::size_t index);
    [[nodiscard]] bool writes(std::size_t index, const std::string& path) const;

    const Recorded& recorded_;
    Groups groups_;
    std::vector<Role> roles_;
    std::vector<bool> splits_;
    std::unordered_map<std::pair<std::uint64_t, std::uint64_t>, std::size_t, SerialHash> by_serial_;
};

/// A shell with a script, and not with a command line.
bool runs_script(const Image& image);

/// The program that a process is known by: the last that is no shell, else the last. Null: it never
/// became one.
const Image* main_image(const ProcessRecord& record);

} // namespace stemma::hooks
