#include "stemma/image/diff.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <functional>
#include <future>
#include <map>

#include "diff_system.hpp"

namespace stemma::image {

namespace {

using volume::NodeInfo;
using volume::NodeKind;
using volume::NodeSurvey;

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
        const NodeSurvey was{.name = root, .info = left, .whole = false};
        const NodeSurvey is{.name = root, .info = right, .whole = false};
        compare_node(root, left ? &was : nullptr, right ? &is : nullptr, 0);
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

    /// left, right  nullptr where the side has nothing of that name
    void compare_node(const std::string& path,
                      const NodeSurvey* left,
                      const NodeSurvey* right,
                      int depth)
    {
        cancel_.check();
        guarded(path, [&] {
            const auto was = left != nullptr ? info_of(before_, path, *left) : std::nullopt;
            const auto is = right != nullptr ? info_of(after_, path, *right) : std::nullopt;
            if (!was && !is) {
                return;
            }
            if (!was) {
                report(DifferenceChange::added, path, {}, "", describe(*is));
            } else if (!is) {
                report(DifferenceChange::removed, path, {}, describe(*was), "");
            } else {
                compare_both(path, {*was, *left}, {*is, *right});
            }
            const bool left_folder = was && was->kind == NodeKind::directory;
            const bool right_folder = is && is->kind == NodeKind::directory;
            if ((left_folder || right_folder) && depth < most_depth) {
                compare_folder(path, left_folder, right_folder, depth);
            }
        });
    }

    /// What is at a path, by the survey of its folder or else by asking, with the reason when it
    /// cannot be said.
    static std::optional<NodeInfo>
    info_of(volume::Filesystem& tree, const std::string& path, const NodeSurvey& entry)
    {
        return entry.info ? entry.info : tree.look(path);
    }

    /// Both sides look at their folder at the same time: each has a process of its own.
    void compare_folder(const std::string& path, bool in_left, bool in_right, int depth)
    {
        const bool digests = in_left && in_right;
        auto coming = std::async(std::launch::async, [&] {
            return in_right ? after_.survey(path, digests) : std::vector<NodeSurvey>();
        });
        const auto left = in_left ? before_.survey(path, digests) : std::vector<NodeSurvey>();
        const auto right = coming.get();
        std::map<std::string_view, std::pair<const NodeSurvey*, const NodeSurvey*>> names;
        for (const NodeSurvey& entry : left) {
            names[entry.name].first = &entry;
        }
        for (const NodeSurvey& entry : right) {
            names[entry.name].second = &entry;
        }
        for (const auto& [name, sides] : names) {
            compare_node(
                volume::join_path(path, std::string(name)), sides.first, sides.second, depth + 1);
        }
    }

    /// What one side has at a path.
    struct Side {
        const NodeInfo& info;
        const NodeSurvey& entry;
    };

    bool same_content(const std::string& path, const Side& left, const Side& right)
    {
        if (left.info.size != right.info.size) {
            return false;
        }
        return (left.entry.digest ? *left.entry.digest : before_.digest(path)) ==
               (right.entry.digest ? *right.entry.digest : after_.digest(path));
    }

    static std::map<std::string, std::string>
    attributes_of(volume::Filesystem& tree, const std::string& path, const NodeSurvey& entry)
    {
        return entry.whole ? entry.attributes : tree.extended_attributes(path);
    }

    static std::string
    target_of(volume::Filesystem& tree, const std::string& path, const NodeSurvey& entry)
    {
        return entry.target ? *entry.target : tree.read_link(path);
    }

    void compare_both(const std::string& path, const Side& left, const Side& right)
    {
        std::vector<std::string> fields;
        std::string was = describe(left.info);
        std::string is = describe(right.info);
        if (left.info.kind != right.info.kind) {
            fields.emplace_back("kind");
        } else if (left.info.kind == NodeKind::file) {
            if (!same_content(path, left, right)) {
                fields.emplace_back("content");
            }
        } else if (left.info.kind == NodeKind::symlink) {
            const auto from = target_of(before_, path, left.entry);
            const auto to = target_of(after_, path, right.entry);
            if (from != to) {
                fields.emplace_back("target");
                was = "-> " + printable(from);
                is = "-> " + printable(to);
            }
        }
        if (left.info.mode != right.info.mode && left.info.kind != NodeKind::symlink) {
            fields.emplace_back("mode");
        }
        if (left.info.uid != right.info.uid || left.info.gid != right.info.gid) {
            fields.emplace_back("owner");
        }
        if (attributes_of(before_, path, left.entry) != attributes_of(after_, path, right.entry)) {
            fields.emplace_back("attributes");
        }
        if (options_.modified_times && left.info.kind != NodeKind::directory &&
            left.info.modified != right.info.modified) {
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
