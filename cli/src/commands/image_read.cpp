#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include "image.hpp"

namespace stemma::cli {

namespace {

Json node_item(const std::string& path, const volume::NodeInfo& info, const std::string& target)
{
    return {{"path", json_text(path)},
            {"kind", volume::to_string(info.kind)},
            {"mode", fmt::format("{:04o}", info.mode)},
            {"uid", info.uid},
            {"gid", info.gid},
            {"size", info.size},
            {"modified", format_time(info.modified)},
            {"target", info.kind == volume::NodeKind::symlink ? json_text(target) : Json(nullptr)}};
}

/// The nodes of one folder, or the node itself.
void list_flat(volume::Filesystem& tree, const std::string& path, Answer& answer)
{
    const auto info = tree.look_through(path);
    if (!info) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no {} in the image", printable(path)));
    }
    if (info->kind != volume::NodeKind::directory) {
        answer.items.push_back(node_item(path, *tree.look(path), ""));
        return;
    }
    for (const auto& entry : tree.list(path)) {
        const auto full = volume::join_path(path, entry.name);
        try {
            if (const auto node = tree.look(full)) {
                const bool link = node->kind == volume::NodeKind::symlink;
                answer.items.push_back(node_item(full, *node, link ? tree.read_link(full) : ""));
            }
        } catch (const Error& error) {
            if (tree.gone()) {
                throw;
            }
            answer.gaps.push_back({.what = printable(full), .reason = error.one_line()});
        }
    }
}

void list_deep(Context& context, volume::Filesystem& tree, const std::string& path, Answer& answer)
{
    volume::walk(
        tree,
        path,
        [&](const std::string& at, const volume::NodeInfo& info) {
            context.cancel().check();
            const bool link = info.kind == volume::NodeKind::symlink;
            answer.items.push_back(node_item(at, info, link ? tree.read_link(at) : ""));
            return true;
        },
        [&](const std::string& at, const std::string& why) {
            answer.gaps.push_back({.what = printable(at), .reason = why});
        });
}

} // namespace

int run_image_list(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    Answer answer{.schema = "stemma.image.list/1",
                  .as_of = std::nullopt,
                  .seq = context.store().last_seq(),
                  .gaps = {}};
    for (const auto& image : context.store().images(args.has("all"))) {
        Json item = image_item(image);
        item["file"] = std::filesystem::exists(image.path) ? "there" : "missing";
        answer.items.push_back(std::move(item));
    }
    return show(context,
                answer,
                {{.title = "name", .member = "name"},
                 {.title = "digest", .member = "digest", .style = Column::Style::digest},
                 {.title = "parent", .member = "parent", .style = Column::Style::digest},
                 {.title = "size",
                  .member = "size",
                  .align = Column::Align::right,
                  .style = Column::Style::size},
                 {.title = "os", .member = "os"},
                 {.title = "created", .member = "created", .style = Column::Style::time},
                 {.title = "file", .member = "file"}});
}

namespace {

/// What the ledger says of an image, or the same members of a file that nobody recorded.
Json recorded_item(const image::Selected& selected)
{
    if (selected.recorded) {
        return image_item(*selected.recorded);
    }
    auto item = image_item({});
    item["name"] = selected.shown;
    item["path"] = selected.path.string();
    item["digest"] = nullptr;
    item["created"] = nullptr;
    return item;
}

Json chain_items(const std::vector<volume::Container>& chain)
{
    Json files = Json::array();
    for (const auto& container : chain) {
        files.push_back({{"path", container.path.string()},
                         {"format", volume::to_string(container.format)},
                         {"snapshots", container.snapshots}});
    }
    return files;
}

Json partition_items(const volume::PartitionTable& table)
{
    Json partitions = Json::array();
    for (const auto& partition : table.partitions) {
        partitions.push_back({{"number", partition.number},
                              {"offset", partition.offset},
                              {"length", partition.length},
                              {"type", partition.type},
                              {"label", partition.label},
                              {"content", partition.content}});
    }
    return partitions;
}

std::string described(const volume::Partition& partition)
{
    return fmt::format("{:<10} {} {} {}\n",
                       partition.number == 0     ? "disk"
                       : partition.type == "lvm" ? "volume"
                                                 : fmt::format("part {}", partition.number),
                       partition.content.empty() ? "unknown" : partition.content,
                       human_size(partition.length),
                       partition.label);
}

/// An image for people.
std::string image_text(const Json& item, const volume::PartitionTable& table)
{
    std::string text;
    for (const std::string_view key :
         {"name", "digest", "parent", "os", "format", "path", "created"}) {
        const auto& value = item[std::string(key)];
        if (value.is_string() && !value.get<std::string>().empty()) {
            text += fmt::format("{:<10} {}\n", key, printable(value.get<std::string>()));
        }
    }
    text += fmt::format("{:<10} {}\n", "size", human_size(item["size"].get<std::uint64_t>()));
    text += fmt::format("{:<10} {}\n", "table", volume::to_string(table.kind));
    for (const auto& partition : table.partitions) {
        text += described(partition);
    }
    for (const auto& file : item["chain"]) {
        text += fmt::format("{:<10} {}\n", "file", file["path"].get<std::string>());
    }
    for (const auto& entry : item["installed"]) {
        text += fmt::format("{:<10} {} {} {}\n",
                            "installed",
                            string_member(entry, "kind"),
                            printable(text_of(member(entry, "name"), "name")),
                            optional_string_member(entry, "version").value_or(""));
    }
    return text + fmt::format("{:<10} {}\n", "packages", item["packages"].size());
}

} // namespace

int run_image_show(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "SEL");
    const auto selected = select_image(context, args, words[0]);
    const auto chain = disk::chain_of(selected.path, selected.open);
    const auto disk = disk::open_disk(selected.path, selected.open);
    const auto table = disk::partition_table(*disk);
    auto item = recorded_item(selected);
    item["size"] = disk->size();
    item["chain"] = chain_items(chain);
    item["partition_table"] = volume::to_string(table.kind);
    item["partitions"] = partition_items(table);
    Answer answer{
        .schema = "stemma.image.show/1", .as_of = std::nullopt, .seq = std::nullopt, .gaps = {}};
    for (const std::string& complaint : table.complaints) {
        answer.gaps.push_back({.what = "partition table", .reason = complaint});
    }
    answer.items.push_back(item);
    if (context.format != Format::table) {
        return show(context, answer, {{.title = "name", .member = "name"}});
    }
    context.out(image_text(item, table));
    return 0;
}

int run_image_ls(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 2, "SEL [PATH]");
    const auto tree = image::open_selected(select_image(context, args, words[0]));
    const std::string path = words.size() > 1 ? words[1] : "/";
    Answer answer{
        .schema = "stemma.image.ls/1", .as_of = std::nullopt, .seq = std::nullopt, .gaps = {}};
    if (args.has("recursive")) {
        list_deep(context, *tree, path, answer);
    } else {
        list_flat(*tree, path, answer);
    }
    if (context.format != Format::table) {
        return show(context,
                    answer,
                    {{.title = "path", .member = "path"},
                     {.title = "kind", .member = "kind"},
                     {.title = "size", .member = "size"}});
    }
    std::string text;
    for (const auto& item : answer.items) {
        const auto shown = printable(text_of(item["path"], "path"));
        if (!args.has("long")) {
            text += shown + "\n";
            continue;
        }
        text += fmt::format(
            "{:<9} {} {:>5} {:>5} {:>10} {} {}{}\n",
            item["kind"].get<std::string>(),
            item["mode"].get<std::string>(),
            item["uid"].get<std::uint32_t>(),
            item["gid"].get<std::uint32_t>(),
            item["size"].get<std::uint64_t>(),
            item["modified"].get<std::string>().substr(0, 19),
            shown,
            item["target"].is_null() ? "" : " -> " + printable(text_of(item["target"], "target")));
    }
    context.out(text);
    for (const auto& gap : answer.gaps) {
        context.log().warning("{}: {}", gap.what, gap.reason);
    }
    return answer.gaps.empty() ? 0 : exit_incomplete;
}

int run_image_cat(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 64, "SEL PATH…");
    const auto tree = image::open_selected(select_image(context, args, words[0]));
    for (std::size_t i = 1; i < words.size(); ++i) {
        tree->read(words[i], [&](std::string_view part) {
            context.cancel().check();
            context.out(part);
            return true;
        });
    }
    return 0;
}

namespace {

/// What `image find` was asked to look for.
struct Wanted {
    std::optional<std::string> name;
    std::optional<std::string> sha256;
    std::optional<std::uint64_t> larger;
    bool setuid = false;
    bool digests = false;

    [[nodiscard]] bool fits(std::string_view path, const volume::NodeInfo& info) const
    {
        const bool file = info.kind == volume::NodeKind::file;
        return (!name || glob_match(*name, path.substr(path.rfind('/') + 1))) &&
               (!setuid || (info.mode & 06000U) != 0) &&
               (!larger || (file && info.size > *larger)) && (!sha256 || file) &&
               (!digests || file);
    }
};

} // namespace

int run_image_find(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 2, "SEL [PATH]");
    if (const auto hex = args.value("sha256"); hex && !Digest::from_hex(*hex)) {
        throw Error(ErrorCode::usage,
                    fmt::format("--sha256 takes 64 hexadecimal digits, not '{}'", printable(*hex)));
    }
    const auto tree = image::open_selected(select_image(context, args, words[0]));
    const Wanted wanted{.name = args.value("name"),
                        .sha256 = args.value("sha256"),
                        .larger = args.number("larger", 0, UINT64_MAX),
                        .setuid = args.has("setuid"),
                        .digests = args.has("digests")};
    Answer answer{
        .schema = "stemma.image.find/1", .as_of = std::nullopt, .seq = std::nullopt, .gaps = {}};
    const auto damaged = [&](const std::string& at, const std::string& why) {
        answer.gaps.push_back({.what = printable(at), .reason = why});
    };
    const auto look = [&](const std::string& at, const volume::NodeInfo& info) {
        context.cancel().check();
        if (!wanted.fits(at, info)) {
            return true;
        }
        const bool hashed = wanted.sha256 || wanted.digests;
        const auto digest = hashed ? tree->digest(at).hex() : std::string();
        if (!wanted.sha256 || Digest::from_hex(*wanted.sha256) == Digest::from_hex(digest)) {
            auto item = node_item(at, info, "");
            item["sha256"] = hashed ? Json(digest) : Json(nullptr);
            answer.items.push_back(std::move(item));
        }
        return true;
    };
    const std::string root = words.size() > 1 ? words[1] : "/";
    if (!tree->look(root)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no {} in the image", printable(root)));
    }
    volume::walk(*tree, root, look, damaged);
    if (wanted.digests && context.format == Format::table) {
        std::string text;
        for (const auto& item : answer.items) {
            text += item["sha256"].get<std::string>() + "  " +
                    printable(text_of(item["path"], "path")) + "\n";
        }
        context.out(text);
        return answer.gaps.empty() ? 0 : exit_incomplete;
    }
    return show(context,
                answer,
                {{.title = "path", .member = "path"},
                 {.title = "kind", .member = "kind"},
                 {.title = "mode", .member = "mode"},
                 {.title = "size", .member = "size", .align = Column::Align::right}});
}

} // namespace stemma::cli
