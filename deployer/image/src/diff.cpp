#include "stemma/image/diff.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "diff_system.hpp"

namespace stemma::image {

namespace {

using volume::FolderEntry;
using volume::NodeInfo;
using volume::NodeKind;

std::string describe(const NodeInfo& info)
{
    return fmt::format("{} {:04o} {}:{}{}",
                       to_string(info.kind),
                       info.mode,
                       info.uid,
                       info.gid,
                       info.kind == NodeKind::file ? " " + human_size(info.size) : "");
}

/// Walks both trees at once, folder by folder in order of name.
class TreeComparer {
public:
    TreeComparer(volume::Filesystem& before,
                 volume::Filesystem& after,
                 const DiffOptions& options,
                 const Cancel& cancel)
        : before_(before), after_(after), options_(options), cancel_(cancel)
    {
    }

    void compare(const std::string& root)
    {
        const auto left = before_.look(root);
        const auto right = after_.look(root);
        if (!left && !right) {
            throw Error(ErrorCode::not_found,
                        fmt::format("{} is in neither of the images", printable(root)));
        }
        compare_node(root, left, right, 0);
    }

    std::vector<Difference> differences;
    std::vector<std::string> damage;

private:
    static constexpr int most_depth = 256;

    void report(DifferenceChange change,
                const std::string& path,
                std::vector<std::string> fields,
                const std::string& left,
                const std::string& right)
    {
        differences.push_back({.kind = DifferenceKind::file,
                               .change = change,
                               .name = path,
                               .fields = std::move(fields),
                               .before = left,
                               .after = right});
    }

    /// Work on one path; damage there is noted and does not end the comparison.
    template <typename Work>
    void guarded(const std::string& path, Work&& work)
    {
        try {
            work();
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) {
                throw;
            }
            damage.push_back(printable(path) + ": " + error.one_line());
        }
    }

    void compare_node(const std::string& path,
                      const std::optional<NodeInfo>& left,
                      const std::optional<NodeInfo>& right,
                      int depth)
    {
        cancel_.check();
        guarded(path, [&] {
            if (!left) {
                report(DifferenceChange::added, path, {}, "", describe(*right));
            } else if (!right) {
                report(DifferenceChange::removed, path, {}, describe(*left), "");
            } else {
                compare_both(path, *left, *right);
            }
            const bool left_folder = left && left->kind == NodeKind::directory;
            const bool right_folder = right && right->kind == NodeKind::directory;
            if ((left_folder || right_folder) && depth < most_depth) {
                compare_folder(path, left_folder, right_folder, depth);
            }
        });
    }

    void compare_folder(const std::string& path, bool in_left, bool in_right, int depth)
    {
        std::map<std::string, std::pair<bool, bool>> names;
        if (in_left) {
            for (const FolderEntry& entry : before_.list(path)) {
                names[entry.name].first = true;
            }
        }
        if (in_right) {
            for (const FolderEntry& entry : after_.list(path)) {
                names[entry.name].second = true;
            }
        }
        for (const auto& [name, where] : names) {
            const auto full = volume::join_path(path, name);
            guarded(full, [&, left = where.first, right = where.second] {
                compare_node(full,
                             left ? before_.look(full) : std::nullopt,
                             right ? after_.look(full) : std::nullopt,
                             depth + 1);
            });
        }
    }

    void compare_both(const std::string& path, const NodeInfo& left, const NodeInfo& right)
    {
        std::vector<std::string> fields;
        std::string was = describe(left);
        std::string is = describe(right);
        if (left.kind != right.kind) {
            fields.emplace_back("kind");
        } else if (left.kind == NodeKind::file) {
            if (left.size != right.size ||
                before_.digest(path).hex() != after_.digest(path).hex()) {
                fields.emplace_back("content");
            }
        } else if (left.kind == NodeKind::symlink) {
            const auto from = before_.read_link(path);
            const auto to = after_.read_link(path);
            if (from != to) {
                fields.emplace_back("target");
                was = "-> " + printable(from);
                is = "-> " + printable(to);
            }
        }
        if (left.mode != right.mode && left.kind != NodeKind::symlink) {
            fields.emplace_back("mode");
        }
        if (left.uid != right.uid || left.gid != right.gid) {
            fields.emplace_back("owner");
        }
        if (before_.extended_attributes(path) != after_.extended_attributes(path)) {
            fields.emplace_back("attributes");
        }
        if (options_.modified_times && left.kind != NodeKind::directory &&
            left.modified != right.modified) {
            fields.emplace_back("time");
        }
        if (!fields.empty()) {
            report(DifferenceChange::changed, path, std::move(fields), was, is);
        }
    }

    volume::Filesystem& before_;
    volume::Filesystem& after_;
    const DiffOptions& options_;
    const Cancel& cancel_;
};

void append(std::vector<Difference>& all, std::vector<Difference> more)
{
    all.insert(
        all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

} // namespace

std::string_view to_string(DifferenceKind kind) noexcept
{
    switch (kind) {
    case DifferenceKind::partition:
        return "partition";
    case DifferenceKind::boot:
        return "boot";
    case DifferenceKind::kernel:
        return "kernel";
    case DifferenceKind::package:
        return "package";
    case DifferenceKind::file:
        break;
    }
    return "file";
}

std::string_view to_string(DifferenceChange change) noexcept
{
    switch (change) {
    case DifferenceChange::added:
        return "added";
    case DifferenceChange::removed:
        return "removed";
    case DifferenceChange::changed:
        break;
    }
    return "changed";
}

DiffResult compare_trees(volume::Filesystem& before,
                         volume::Filesystem& after,
                         const DiffOptions& options,
                         const Cancel& cancel)
{
    DiffResult result;
    if (options.root == "/") {
        append(result.differences, compare_systems(before, after));
    }
    TreeComparer comparer(before, after, options, cancel);
    comparer.compare(options.root);
    append(result.differences, std::move(comparer.differences));
    result.damage = std::move(comparer.damage);
    return result;
}

} // namespace stemma::image
