#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/uuid.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "snapshot.hpp"

namespace stemma::cli {

namespace {

const Json& member_or_null(const Json& object, std::string_view key)
{
    static const Json null;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() ? *found : null;
}

Json item_of(const lineage::SnapshotInfo& snapshot, const analyzer::SnapshotFolder& folder)
{
    const bool here = folder.has(snapshot.id);
    const auto& body = snapshot.body;
    return {{"bytes", here ? Json(folder.bytes(snapshot.id)) : Json(nullptr)},
            {"disk", member_or_null(body, "disk")},
            {"extractors", member_or_null(body, "extractors")},
            {"features", member_or_null(body, "features")},
            {"here", here},
            {"host", snapshot.host},
            {"id", snapshot.id},
            {"image", snapshot.image},
            {"memory", member_or_null(body, "memory")},
            {"name", snapshot.vm_name},
            {"parent", json_or_null(snapshot.parent)},
            {"quiesced", member_or_null(body, "quiesced")},
            {"taken", format_time(snapshot.taken)},
            {"uuid", snapshot.vm}};
}

std::vector<lineage::SnapshotInfo> chosen(Context& context, const std::vector<std::string>& words)
{
    auto& store = context.store();
    if (words.empty()) {
        return store.snapshots();
    }
    std::vector<lineage::SnapshotInfo> result;
    for (const auto& vm : vms_named(context, words)) {
        auto some = store.snapshots(vm.uuid);
        result.insert(result.end(),
                      std::make_move_iterator(some.begin()),
                      std::make_move_iterator(some.end()));
    }
    return result;
}

/// What a `take` that was killed between folder and event left; one under way is younger.
void remove_orphans(Context& context,
                    const analyzer::SnapshotFolder& folder,
                    const std::set<std::string>& known)
{
    const auto limit = make_uuid7(context.clock().now() - std::chrono::hours(1));
    for (const auto& id : folder.ids()) {
        if (known.count(id) == 0 && id < limit) { // such ids are in order of time
            folder.remove(id);
        }
    }
}

} // namespace

int run_snapshot_list(Context& context, const Args& args)
{
    const auto folder = snapshot_folder(context);
    Answer answer;
    answer.schema = "stemma.snapshot/1";
    for (const auto& snapshot : chosen(context, args.words())) {
        auto item = item_of(snapshot, folder);
        if (item["here"].get<bool>() || args.has("all")) {
            answer.items.push_back(std::move(item));
        }
    }
    answer.seq = context.store().last_seq();
    return show(context,
                answer,
                {{"VM", "name"},
                 {"TAKEN", "taken", Column::Align::left, Column::Style::time},
                 {"SNAPSHOT", "id"},
                 {"FEATURES", "features.count", Column::Align::right},
                 {"SIZE", "bytes", Column::Align::right, Column::Style::size},
                 {"DISK", "disk.method"}});
}

int run_snapshot_show(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "SNAPSHOT or VM");
    const auto snapshot = snapshot_named(context, words[0]);
    auto item = item_of(snapshot, snapshot_folder(context));
    if (context.format != Format::table) {
        Answer answer;
        answer.schema = "stemma.snapshot/1";
        answer.items.push_back(std::move(item));
        return show(context, answer, {});
    }
    context.out(fmt::format("snapshot  {}\nvm        {} ({})\ntaken     {}\nimage     {}\n"
                            "host      {}\nparent    {}\n\n",
                            snapshot.id,
                            snapshot.vm_name,
                            snapshot.vm,
                            format_time(snapshot.taken),
                            snapshot.image.empty() ? "-" : snapshot.image,
                            snapshot.host.empty() ? "-" : snapshot.host,
                            snapshot.parent.value_or("-")));
    if (item["extractors"].is_array()) {
        context.out(format_table(item["extractors"],
                                 {{"EXTRACTOR", "extractor"},
                                  {"STATUS", "status"},
                                  {"FEATURES", "features", Column::Align::right},
                                  {"REASON", "reason"}},
                                 context.colour,
                                 160));
    }
    return 0;
}

int run_snapshot_prune(Context& context, const Args& args)
{
    const auto keep = args.number("keep", 0, 1'000'000);
    if (!keep) {
        throw Error(ErrorCode::usage,
                    "prune needs to know what stays",
                    "for example `stemma snapshot prune --keep 10`: the newest ten of each VM");
    }
    const auto folder = snapshot_folder(context);
    std::map<std::string, std::vector<lineage::SnapshotInfo>> by_vm;
    std::set<std::string> known;
    for (auto& snapshot : context.store().snapshots()) {
        known.insert(snapshot.id);
    }
    for (auto& snapshot : chosen(context, args.words())) {
        if (folder.has(snapshot.id)) {
            by_vm[snapshot.vm].push_back(std::move(snapshot));
        }
    }
    Answer answer;
    answer.schema = "stemma.snapshot/1";
    for (const auto& [vm, snapshots] : by_vm) {
        const auto surplus = snapshots.size() - std::min<std::size_t>(snapshots.size(), *keep);
        for (std::size_t i = 0; i < surplus; ++i) {
            answer.items.push_back(item_of(snapshots[i], folder));
            if (!args.has("dry-run")) {
                folder.remove(snapshots[i].id);
            }
        }
    }
    if (!args.has("dry-run")) {
        remove_orphans(context, folder, known);
    }
    return show(context,
                answer,
                {{"VM", "name"},
                 {"TAKEN", "taken", Column::Align::left, Column::Style::time},
                 {"REMOVED", "id"},
                 {"SIZE", "bytes", Column::Align::right, Column::Style::size}});
}

namespace {

/// Runs a copying command whose last argument is the file, written beside and renamed.
void write_beside(Context& context, std::vector<std::string> argv, const std::string& file)
{
    const auto temporary = file + ".part";
    argv.push_back(temporary);
    try {
        run_checked({.argv = std::move(argv), .cancel = &context.cancel()});
        std::filesystem::rename(temporary, file);
    } catch (...) {
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw;
    }
    context.log().info("wrote {}", file);
}

Error not_kept(const lineage::SnapshotInfo& snapshot,
               std::string_view what,
               std::string_view option)
{
    return {
        ErrorCode::not_found,
        fmt::format("snapshot {} kept no {}", snapshot.id, what),
        fmt::format("take one that does: stemma snapshot take vm:{} {}", snapshot.vm_name, option)};
}

} // namespace

int run_snapshot_export(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "SNAPSHOT or VM");
    const auto disk_file = args.value("disk");
    const auto memory_file = args.value("memory");
    if (!disk_file && !memory_file) {
        throw Error(ErrorCode::usage, "say what to export: --disk FILE, --memory FILE, or both");
    }
    const auto snapshot = snapshot_named(context, words[0]);
    const auto folder = snapshot_folder(context);
    const auto disk = folder.disk(snapshot.id);
    const auto memory = folder.memory(snapshot.id);
    if (disk_file && !disk) {
        throw not_kept(snapshot, "disk", "--keep-disk");
    }
    if (memory_file && !memory) {
        throw not_kept(snapshot, "memory", "--memory");
    }
    if (disk_file) {
        const auto format = args.value_or("as", disk_file->ends_with(".raw") ? "raw" : "qcow2");
        if (format != "raw" && format != "qcow2") {
            throw Error(ErrorCode::usage,
                        fmt::format("'{}' is no format of an export", format),
                        "use --as qcow2 or --as raw");
        }
        write_beside(context,
                     {"qemu-img", "convert", "-f", "qcow2", "-O", format, disk->string()},
                     *disk_file);
    }
    if (memory_file) {
        write_beside(context, {"cp", "--sparse=always", "--", memory->string()}, *memory_file);
    }
    return 0;
}

} // namespace stemma::cli
