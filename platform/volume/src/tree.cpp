#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/filesystem.hpp"

#include <array>
#include <unordered_set>
#include <utility>

namespace stemma::volume {

namespace {

constexpr std::size_t deepest = 256;
constexpr std::size_t most_nodes = 20'000'000;

/// One folder on the way from the root to where the walk stands.
struct Level {
    std::string path;
    std::vector<FolderEntry> entries;
    std::size_t next = 0;
};

class TreeWalk {
public:
    TreeWalk(Filesystem& tree,
             const std::function<bool(const std::string&, const NodeInfo&)>& visit,
             const std::function<void(const std::string&, const std::string&)>& on_damage)
        : tree_(tree), visit_(visit), on_damage_(on_damage)
    {
    }

    void run(const std::string& root)
    {
        step(root);
        while (!levels_.empty()) {
            auto& level = levels_.back();
            if (level.next == level.entries.size()) {
                levels_.pop_back();
                continue;
            }
            step(join_path(level.path, level.entries[level.next++].name));
        }
    }

private:
    /// Visits one node; enters it when it is a folder. Damage of one node costs that node only.
    void step(const std::string& path)
    {
        if (++nodes_ > most_nodes) {
            on_damage_(path, fmt::format("more than {} nodes: the rest is left out", most_nodes));
            levels_.clear();
            return;
        }
        try {
            const auto info = tree_.look(path);
            if (!info) {
                on_damage_(path, "it is listed, and not there");
            } else if (visit_(path, *info) && info->kind == NodeKind::directory) {
                enter(path, *info);
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted || tree_.gone()) {
                throw;
            }
            on_damage_(path, error.one_line());
        }
    }

    void enter(const std::string& path, const NodeInfo& info)
    {
        if (levels_.size() >= deepest) {
            on_damage_(path, fmt::format("deeper than {} folders", deepest));
        } else if (!entered_.insert(info.inode).second) {
            on_damage_(path, "a folder that is here a second time");
        } else {
            levels_.push_back({path, tree_.list(path), 0});
        }
    }

    Filesystem& tree_;
    const std::function<bool(const std::string&, const NodeInfo&)>& visit_;
    const std::function<void(const std::string&, const std::string&)>& on_damage_;
    std::vector<Level> levels_;
    /// A damaged tree may hold a folder in several places: following them all never ends.
    std::unordered_set<std::uint64_t> entered_;
    std::size_t nodes_ = 0;
};

} // namespace

std::string_view to_string(NodeKind kind) noexcept
{
    constexpr std::array<std::string_view, 7> words = {
        "file", "directory", "symlink", "fifo", "socket", "char_device", "block_device"};
    return words[static_cast<std::size_t>(kind)];
}

namespace {

/// Fills in what one entry is; false when the budget for content is used up.
void survey_entry(Filesystem& tree,
                  const std::string& path,
                  NodeSurvey& entry,
                  std::uint64_t& budget)
{
    entry.info = tree.look(path);
    if (!entry.info) {
        entry.whole = false;
        return;
    }
    if (entry.info->kind == NodeKind::symlink) {
        entry.target = tree.read_link(path);
    }
    entry.attributes = tree.extended_attributes(path);
    if (entry.info->kind == NodeKind::file && entry.info->size <= budget) {
        budget -= entry.info->size;
        entry.digest = tree.digest(path);
    }
}

} // namespace

std::vector<NodeSurvey> Filesystem::survey(const std::string& folder, bool digests)
{
    // Of one question: what is larger is asked for by itself.
    std::uint64_t budget = digests ? std::uint64_t{512} << 20U : 0;
    std::vector<NodeSurvey> all;
    for (const FolderEntry& each : list(folder)) {
        all.push_back({.name = each.name});
        try {
            survey_entry(*this, join_path(folder, each.name), all.back(), budget);
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted || gone()) {
                throw;
            }
            all.back().whole = false;
        }
    }
    return all;
}

std::string Filesystem::read_all(const std::string& path, std::uint64_t max_bytes)
{
    std::string content;
    read(path, [&](std::string_view piece) {
        if (content.size() + piece.size() > max_bytes) {
            throw Error(
                ErrorCode::unsupported,
                fmt::format("{} is larger than {}", printable(path), human_size(max_bytes)));
        }
        content += piece;
        return true;
    });
    return content;
}

std::string join_path(const std::string& folder, const std::string& name)
{
    return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

Digest Filesystem::digest(const std::string& path)
{
    Sha256 hash;
    read(path, [&](std::string_view piece) {
        hash.update(piece);
        return true;
    });
    return hash.finish();
}

void walk(Filesystem& tree,
          const std::string& root,
          const std::function<bool(const std::string& path, const NodeInfo& info)>& visit,
          const std::function<void(const std::string& path, const std::string& why)>& on_damage)
{
    TreeWalk(tree, visit, on_damage).run(root);
}

} // namespace stemma::volume
