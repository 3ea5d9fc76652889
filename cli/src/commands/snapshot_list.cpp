#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"

#include <iterator>

#include "snapshot.hpp"

namespace stemma::cli {

namespace {

const Json& member_or_null(const Json& object, std::string_view key)
{
    static const Json null;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() ? *found : null;
}

/// Bytes that the pool grew by when it was taken.
std::uint64_t pooled_bytes(const Json& body)
{
    std::uint64_t total = 0;
    for (const auto* part : {"disk", "memory"}) {
        const auto& grown =
            member_or_null(member_or_null(member_or_null(body, "stored"), part), "stored");
        total += grown.is_number_unsigned() ? grown.get<std::uint64_t>() : 0;
    }
    return total;
}

} // namespace

Json snapshot_item(const lineage::SnapshotInfo& snapshot, const analyzer::SnapshotFolder& folder)
{
    const bool here = folder.has(snapshot.id);
    const auto& body = snapshot.body;
    return {{"bytes", here ? Json(folder.bytes(snapshot.id) + pooled_bytes(body)) : Json(nullptr)},
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
            {"stored", member_or_null(body, "stored")},
            {"taken", format_time(snapshot.taken)},
            {"uuid", snapshot.vm}};
}

std::vector<lineage::SnapshotInfo> snapshots_named(Context& context,
                                                   const std::vector<std::string>& words)
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

int run_snapshot_list(Context& context, const Args& args)
{
    const auto folder = snapshot_folder(context);
    Answer answer;
    answer.schema = "stemma.snapshot/1";
    for (const auto& snapshot : snapshots_named(context, args.words())) {
        auto item = snapshot_item(snapshot, folder);
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
    auto item = snapshot_item(snapshot, snapshot_folder(context));
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

} // namespace stemma::cli
