#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <cstdlib>

#include "image.hpp"

namespace stemma::cli {

namespace {

std::vector<std::filesystem::path> allowed_folders(const Context& context)
{
    std::vector<std::filesystem::path> folders = {context.state_folder / "images"};
    folders.insert(
        folders.end(), context.settings.image_allow.begin(), context.settings.image_allow.end());
    return folders;
}

std::optional<Time> source_date_epoch(const Context& context)
{
    if (!context.source_date_epoch || context.source_date_epoch->empty()) {
        return std::nullopt;
    }
    const auto seconds = parse_unsigned(*context.source_date_epoch);
    constexpr std::uint64_t most = 15'000'000'000;
    if (!seconds || *seconds > most) {
        throw Error(ErrorCode::usage,
                    fmt::format("SOURCE_DATE_EPOCH is not a number of seconds: {}",
                                printable(*context.source_date_epoch)));
    }
    return Time(std::chrono::seconds(static_cast<std::int64_t>(*seconds)));
}

} // namespace

std::vector<Option> opening_options()
{
    return {
        {.name = "as",
         .value = "FORMAT",
         .help = "the file's format: raw, qcow2, vmdk, vpc, vhdx or vdi"},
        {.name = "partition",
         .value = "N",
         .help = "this partition instead of the root file system"},
        {.name = "force-share",
         .value = "",
         .help = "read although a running VM writes to it; what is shown may contradict itself"},
    };
}

std::vector<Option> reading_options()
{
    auto options = opening_options();
    options.push_back(
        {.name = "snapshot",
         .value = "NAME",
         .help = "an internal snapshot of a qcow2 file instead of its current state"});
    return options;
}

std::optional<volume::ContainerFormat> format_option(const Args& args, std::string_view option)
{
    const auto word = args.value(option);
    if (!word) {
        return std::nullopt;
    }
    const auto format = volume::container_format_from(*word);
    if (!format) {
        static const std::vector<std::string> known = {
            "raw", "qcow2", "vmdk", "vpc", "vhdx", "vdi"};
        const auto near = nearest(*word, known);
        throw Error(ErrorCode::usage,
                    fmt::format("unknown image format {}", printable(*word)),
                    near ? fmt::format("did you mean {}?", *near)
                         : "one of raw, qcow2, vmdk, vpc, vhdx, vdi");
    }
    return format;
}

image::Selected select_image(Context& context, const Args& args, const std::string& selector)
{
    const auto format = format_option(args, "as");
    const bool is_file =
        !selector.starts_with("image:") &&
        (selector.find('/') != std::string::npos || std::filesystem::exists(selector));
    auto selected = image::select(
        is_file ? nullptr : store_if_any(context), selector, format, allowed_folders(context));
    selected.open.explain = [&log = context.log()](const std::string& sentence) {
        log.debug("{}", sentence);
    };
    selected.open.cancel = &context.cancel();
    if (const auto partition = args.number("partition", 0, 2000)) {
        selected.open.partition = static_cast<std::uint32_t>(*partition);
    }
    selected.open.snapshot = args.value_or("snapshot", "");
    selected.open.force_share = args.has("force-share");
    if (selected.open.force_share) {
        context.log().warning("{}: read while it may be written; the answer may contradict itself",
                              selected.shown);
    }
    return selected;
}

lineage::Store* store_if_any(Context& context)
{
    try {
        return &context.store();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) {
            throw;
        }
        return nullptr;
    }
}

image::World image_world(Context& context)
{
    return {.store = context.store(lineage::Store::Mode::write),
            .clock = context.clock(),
            .log = context.log(),
            .progress = context.progress(),
            .cancel = context.cancel(),
            .folder = context.make_state_folder("images"),
            .allow = allowed_folders(context),
            .epoch = source_date_epoch(context),
            .cache = context.cache_folder};
}

Json image_item(const lineage::ImageInfo& image)
{
    return {{"name", image.name},
            {"digest", image.digest},
            {"parent", json_or_null(image.parent)},
            {"format", image.format},
            {"size", image.size},
            {"path", image.path},
            {"os", json_text(image.os)},
            {"created", format_time(image.created)},
            {"retired", image.retired ? Json(format_time(*image.retired)) : Json(nullptr)},
            {"installed", image.installed},
            {"packages", image.packages}};
}

int show_change(Context& context, const image::Change& change, std::string_view verb, bool dry_run)
{
    for (const std::string& note : change.notes) {
        context.log().warning("{}", note);
    }
    if (context.format != Format::table) {
        Answer answer{.schema = fmt::format("stemma.image.{}/1", verb),
                      .as_of = std::nullopt,
                      .seq = std::nullopt,
                      .gaps = {}};
        answer.items.push_back(image_item(change.image));
        answer.extra = {{"existed", change.existed}, {"dry_run", dry_run}};
        return show(context,
                    answer,
                    {{.title = "name", .member = "name"}, {.title = "digest", .member = "digest"}});
    }
    if (dry_run) {
        context.out(fmt::format("image {} would be made from {:.12} with:\n",
                                change.image.name,
                                change.image.parent.value_or(change.image.digest)));
        for (const auto& entry : change.image.installed) {
            context.out(fmt::format("  {} {}\n",
                                    string_member(entry, "kind"),
                                    printable(text_of(member(entry, "name"), "name"))));
        }
        return 0;
    }
    context.out(fmt::format("image {} {:.12}{}\n",
                            change.image.name,
                            change.image.digest,
                            change.existed ? " (already there, nothing changed)" : ""));
    return 0;
}

} // namespace stemma::cli
