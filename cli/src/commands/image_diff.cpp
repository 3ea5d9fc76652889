#include "stemma/analyzer/file_volume.hpp"
#include "stemma/analyzer/settings.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/diff.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "image.hpp"
#include "snapshot.hpp"

namespace stemma::cli {

namespace {

constexpr std::uint64_t most_settings_file = std::uint64_t{1} << 20U;

/// One opened side: the disk is opened twice, because a file tree owns its disk.
struct SideOfDiff {
    std::unique_ptr<volume::Volume> disk;
    std::unique_ptr<volume::Filesystem> tree;
    volume::PartitionTable table;
};

SideOfDiff open_side(const image::Selected& selected)
{
    SideOfDiff side;
    side.disk = disk::open_disk(selected.path, selected.open);
    side.table = disk::partition_table(*side.disk);
    auto second = selected.open;
    second.check = false; // as just before
    side.tree = disk::open_root(disk::open_disk(selected.path, second), second);
    return side;
}

/// What the sides are chosen with; disks of snapshots are written out of their pool into `scratch`,
/// sparse, for readers that may open nothing themselves.
struct Choosing {
    Context& context;
    const Args& args;
    const std::filesystem::path& scratch;
};

/// The kept disk of a snapshot ("snapshot:ID"), or of a VM's newest one ("vm:NAME").
image::Selected select_snapshot(const Choosing& choosing, const std::string& word)
{
    auto& context = choosing.context;
    const auto snapshot = snapshot_named(context, word);
    const auto kept = snapshot_folder(context).open(
        snapshot.id, analyzer::SnapshotFolder::Part::disk, context.cancel());
    if (!kept) {
        throw Error(ErrorCode::not_found,
                    fmt::format("snapshot {} kept no disk", snapshot.id),
                    fmt::format("take one that does: stemma snapshot take vm:{} --keep-disk",
                                snapshot.vm_name));
    }
    const auto file = choosing.scratch / (snapshot.id + ".raw");
    {
        analyzer::FileVolume to(file, kept->size());
        analyzer::copy_content(*kept, to, context.cancel());
    }
    auto selected = select_image(context, choosing.args, file.string());
    selected.shown = word;
    selected.open.format = volume::ContainerFormat::raw;
    return selected;
}

image::Selected select_side(const Choosing& choosing, const std::string& word)
{
    return word.starts_with("snapshot:") || word.starts_with("vm:")
               ? select_snapshot(choosing, word)
               : select_image(choosing.context, choosing.args, word);
}

/// The two sides: A and B, or an image and its parent.
std::pair<image::Selected, image::Selected> select_sides(const Choosing& choosing)
{
    auto& context = choosing.context;
    const auto& args = choosing.args;
    const auto& words = args.expect_words(1, 2, "A [B]");
    if (words.size() == 2) {
        return {select_side(choosing, words[0]), select_side(choosing, words[1])};
    }
    auto after = select_image(context, args, words[0]);
    if (!after.recorded || !after.recorded->parent) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} has no recorded parent to compare with", after.shown),
                    "name two images: stemma image diff A B");
    }
    return {select_image(context, args, *after.recorded->parent), std::move(after)};
}

Json difference_item(const image::Difference& difference)
{
    return {{"kind", image::to_string(difference.kind)},
            {"change", image::to_string(difference.change)},
            {"name", json_text(difference.name)},
            {"fields", difference.fields},
            {"before", json_text(difference.before)},
            {"after", json_text(difference.after)},
            {"line", nullptr}};
}

std::string content_or_empty(volume::Filesystem& tree, const std::string& path)
{
    const auto info = tree.look(path);
    return info && info->kind == volume::NodeKind::file && info->size <= most_settings_file
               ? tree.read_all(path, most_settings_file)
               : "";
}

bool holds_settings(const image::Difference& difference)
{
    return difference.kind == image::DifferenceKind::file &&
           (difference.name.starts_with("/etc/") || difference.name.starts_with("/boot/") ||
            difference.name.starts_with("/usr/lib/systemd/") ||
            difference.name.starts_with("/usr/lib/sysctl.d/"));
}

/// The settings of a changed file that differ, with the place of the new one.
void add_settings(SideOfDiff& before, SideOfDiff& after, const std::string& path, Json& items)
{
    const auto was = analyzer::parse_settings(path, content_or_empty(*before.tree, path));
    const auto is = analyzer::parse_settings(path, content_or_empty(*after.tree, path));
    std::map<std::string, analyzer::Setting> left;
    std::map<std::string, analyzer::Setting> right;
    std::set<std::string> keys;
    for (const auto& setting : was.settings) {
        left.emplace(setting.key, setting);
        keys.insert(setting.key);
    }
    for (const auto& setting : is.settings) {
        right.emplace(setting.key, setting);
        keys.insert(setting.key);
    }
    for (const std::string& key : keys) {
        const auto from = left.find(key);
        const auto to = right.find(key);
        const bool in_left = from != left.end();
        const bool in_right = to != right.end();
        if (in_left && in_right && from->second.value == to->second.value) {
            continue;
        }
        items.push_back({{"kind", "setting"},
                         {"change",
                          !in_left    ? "added"
                          : !in_right ? "removed"
                                      : "changed"},
                         {"name", json_text(std::string(path).append(":").append(key))},
                         {"fields", Json::array({"value"})},
                         {"before", json_text(in_left ? from->second.value : "")},
                         {"after", json_text(in_right ? to->second.value : "")},
                         {"line", in_right ? Json(to->second.line) : Json(nullptr)}});
    }
}

std::string sign_of(const std::string& change)
{
    return change == "added" ? "+" : change == "removed" ? "-" : "~";
}

/// The width of the column of names: most of them fit, a few long paths do not push the rest away.
std::size_t name_width(const Json& items)
{
    constexpr std::size_t most = 48;
    std::size_t width = 0;
    for (const auto& item : items) {
        const auto own = display_width(printable(text_of(item["name"], "name")));
        width = std::max(width, own > most ? 0 : own);
    }
    return width;
}

std::string padded(std::string text, std::size_t width)
{
    const auto own = display_width(text);
    return own < width ? text.append(width - own, ' ') : text;
}

std::string table_line(const Json& item, std::size_t width)
{
    const auto before = printable(text_of(item["before"], "before"));
    const auto after = printable(text_of(item["after"], "after"));
    const auto change = item["change"].get<std::string>();
    std::string detail = change == "added" ? after : before;
    if (change == "changed") {
        detail = before == after ? "" : before + " => " + after;
        std::string fields;
        for (const auto& field : item["fields"]) {
            fields += (fields.empty() ? "" : ", ") + field.get<std::string>();
        }
        if (item["kind"] == "file") {
            detail = fields + (detail.empty() ? "" : ": " + detail);
        }
    }
    auto line = fmt::format("{} {:<9} {}  {}",
                            sign_of(change),
                            item["kind"].get<std::string>(),
                            padded(printable(text_of(item["name"], "name")), width),
                            detail);
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
}

} // namespace

int run_image_diff(Context& context, const Args& args)
{
    const TemporaryFolder scratch("image-diff");
    const auto sides = select_sides({context, args, scratch.path()});
    auto before = open_side(sides.first);
    auto after = open_side(sides.second);
    image::DiffOptions options;
    options.root = args.value_or("path", "/");
    options.modified_times = args.has("times");
    const auto result = image::compare_trees(*before.tree, *after.tree, options, context.cancel());
    Answer answer{
        .schema = "stemma.image.diff/1", .as_of = std::nullopt, .seq = std::nullopt, .gaps = {}};
    for (const std::string& damage : result.damage) {
        answer.gaps.push_back({.what = "unreadable", .reason = damage});
    }
    std::string contents;
    for (const auto& difference : image::compare_tables(before.table, after.table)) {
        answer.items.push_back(difference_item(difference));
    }
    for (const auto& difference : image::compare_boot_code(*before.disk, *after.disk)) {
        answer.items.push_back(difference_item(difference));
    }
    for (const auto& difference : result.differences) {
        answer.items.push_back(difference_item(difference));
        if (args.has("settings") && holds_settings(difference)) {
            add_settings(before, after, difference.name, answer.items);
        }
        if (args.has("content") && difference.kind == image::DifferenceKind::file) {
            contents += image::text_difference(content_or_empty(*before.tree, difference.name),
                                               content_or_empty(*after.tree, difference.name),
                                               difference.name)
                            .value_or("");
        }
    }
    const int exit = !result.damage.empty() ? exit_incomplete
                     : answer.items.empty() ? 0
                                            : exit_differs;
    if (context.format != Format::table) {
        answer.extra = {{"text", json_text(contents)}};
        show(context,
             answer,
             {{.title = "kind", .member = "kind"},
              {.title = "change", .member = "change"},
              {.title = "name", .member = "name"},
              {.title = "before", .member = "before"},
              {.title = "after", .member = "after"}});
        return exit;
    }
    std::string text;
    const auto width = name_width(answer.items);
    for (const auto& item : answer.items) {
        text += table_line(item, width);
    }
    context.out(text + contents);
    for (const auto& gap : answer.gaps) {
        context.log().warning("{}", gap.reason);
    }
    return exit;
}

} // namespace stemma::cli
