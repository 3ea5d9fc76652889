#include "stemma/analyzer/retention.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"

#include <chrono>
#include <map>
#include <set>

#include "snapshot.hpp"

namespace stemma::cli {

namespace {

/// What a `take` that was killed between folder and event left; one under way is younger.
void remove_orphans(Context& context, const analyzer::SnapshotFolder& folder)
{
    std::set<std::string> known;
    for (const auto& snapshot : context.store().snapshots()) {
        known.insert(snapshot.id);
    }
    const auto limit = make_uuid7(context.clock().now() - std::chrono::hours(1));
    for (const auto& id : folder.ids()) {
        if (known.count(id) == 0 && id < limit) { // such ids are in order of time
            folder.remove(id);
        }
    }
}

/// Those of one VM, each with why it stays; what goes has no reason.
Json decide(const analyzer::Retention& retention,
            const std::vector<lineage::SnapshotInfo>& snapshots,
            const analyzer::SnapshotFolder& folder)
{
    std::vector<Time> times;
    times.reserve(snapshots.size());
    for (const auto& snapshot : snapshots) {
        times.push_back(snapshot.taken);
    }
    const auto reasons = analyzer::reasons_to_keep(retention, times);
    auto items = Json::array();
    for (std::size_t i = 0; i < snapshots.size(); ++i) {
        auto item = snapshot_item(snapshots[i], folder);
        item["keep"] = !reasons[i].empty();
        item["decision"] = reasons[i].empty() ? "remove" : "keep";
        item["reasons"] = reasons[i];
        item["why"] = join(reasons[i], ", ");
        items.push_back(std::move(item));
    }
    return items;
}

/// Frees what only removed snapshots had.
void free_pool(Context& context, const analyzer::SnapshotFolder& folder, Answer& answer)
{
    const auto freed = folder.pool().collect(folder.maps(), false, context.cancel());
    for (const auto& reason : freed.kept) {
        answer.gaps.push_back({.what = "pool", .reason = reason});
    }
    answer.extra["freed"] = {{"blocks", freed.blocks}, {"bytes", freed.bytes}};
    if (freed.bytes > 0) {
        context.log().info(
            "the pool is {} smaller ({} blocks)", human_size(freed.bytes), freed.blocks);
    }
}

} // namespace

void prune_snapshots(Context& context,
                     const analyzer::Retention& retention,
                     const std::vector<lineage::SnapshotInfo>& among,
                     bool only_say,
                     Answer& answer)
{
    const auto folder = snapshot_folder(context);
    std::map<std::string, std::vector<lineage::SnapshotInfo>> by_vm;
    for (const auto& snapshot : among) {
        if (folder.has(snapshot.id)) {
            by_vm[snapshot.vm].push_back(snapshot);
        }
    }
    for (const auto& [vm, snapshots] : by_vm) {
        for (auto& item : decide(retention, snapshots, folder)) {
            const bool goes = !item.at("keep").get<bool>();
            if (goes && !only_say) {
                folder.remove(item.at("id").get<std::string>());
            }
            if (goes || only_say) {
                answer.items.push_back(std::move(item));
            }
        }
    }
    if (!only_say) {
        remove_orphans(context, folder);
        free_pool(context, folder, answer);
    }
}

int run_snapshot_prune(Context& context, const Args& args)
{
    const auto policy = args.value("keep");
    if (!policy) {
        throw Error(ErrorCode::usage,
                    "prune needs to know what stays",
                    "for example `stemma snapshot prune --keep 10`: the newest ten of each VM, or "
                    "--keep hourly:24,daily:7");
    }
    const auto retention = analyzer::parse_retention(*policy);
    const bool only_say = args.has("dry-run");
    Answer answer;
    answer.schema = "stemma.snapshot/1";
    prune_snapshots(context, retention, snapshots_named(context, args.words()), only_say, answer);
    answer.seq = context.store().last_seq();
    std::vector<Column> columns = {{"VM", "name"},
                                   {"TAKEN", "taken", Column::Align::left, Column::Style::time},
                                   {only_say ? "SNAPSHOT" : "REMOVED", "id"},
                                   {"SIZE", "bytes", Column::Align::right, Column::Style::size}};
    if (only_say) {
        columns.push_back({"DECISION", "decision"});
        columns.push_back({"WHY", "why"});
    }
    return show(context, answer, columns);
}

} // namespace stemma::cli
