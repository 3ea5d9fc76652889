#include "stemma/analyzer/restore.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include "deploy_support.hpp"
#include "snapshot.hpp"

namespace stemma::cli {

namespace {

using Part = analyzer::SnapshotFolder::Part;

analyzer::RestoreSource restore_source(const lineage::SnapshotInfo& snapshot,
                                       const analyzer::SnapshotFolder& folder,
                                       const volume::Volume& kept)
{
    return {.snapshot = snapshot.id,
            .vm = snapshot.vm,
            .vm_name = snapshot.vm_name,
            .target = string_member(member(snapshot.body, "disk"), "target"),
            .size = kept.size(),
            .domain = folder.domain(snapshot.id)};
}

/// One commit: the lineage knows all of it, or nothing.
void record_restore(Context& context,
                    const lineage::SnapshotInfo& snapshot,
                    const analyzer::RestorePlan& plan,
                    const std::string& host)
{
    const auto now = context.clock().now();
    auto& store = context.store(lineage::Store::Mode::write);
    const Json named = {{"uuid", plan.uuid}, {"name", plan.name}, {"host", host}};
    std::vector<model::EventDraft> drafts;
    const auto add = [&](std::string kind, const Json& more) {
        auto body = named;
        body.update(more);
        drafts.push_back({.at = now, .kind = std::move(kind), .body = std::move(body)});
    };
    const bool known = plan.is_new && store.find_vm(plan.uuid).has_value();
    if (known && plan.is_there) {
        return; // by an earlier run
    }
    if (plan.is_new && !known) {
        Json deployed = {
            {"adopted", true},
            {"how", fmt::format("restored from snapshot {} of {}", snapshot.id, snapshot.vm_name)}};
        if (!snapshot.image.empty()) {
            deployed["image"] = snapshot.image;
        }
        add("vm.deployed", deployed);
    }
    add("vm.state", {{"reason", "restored from a snapshot"}, {"state", "stopped"}});
    add("vm.changed",
        {{"what",
          fmt::format("disk restored from snapshot {} of {} ({})",
                      snapshot.id,
                      snapshot.vm_name,
                      format_time(snapshot.taken))},
         {"snapshot", snapshot.id},
         {"snapshot_of", snapshot.vm}});
    (void)store.record(drafts);
}

Json restore_item(const analyzer::RestorePlan& plan,
                  const lineage::SnapshotInfo& snapshot,
                  const std::string& host,
                  bool done)
{
    return {{"backing", plan.backing.empty() ? Json(nullptr) : Json(plan.backing)},
            {"disk", plan.disk.string()},
            {"done", done},
            {"host", host},
            {"left_out", plan.left_out},
            {"name", plan.name},
            {"new", plan.is_new},
            {"snapshot", snapshot.id},
            {"stops", plan.must_stop},
            {"taken", format_time(snapshot.taken)},
            {"untouched", plan.untouched},
            {"uuid", plan.uuid}};
}

std::string uri_to_restore_on(Context& context, const std::string& host)
{
    if (host.empty()) {
        throw Error(ErrorCode::not_found,
                    "the host of this VM is not known",
                    "say where: --host NAME (`stemma host list`), or --uri URI");
    }
    return find_host_entry(context, host).uri;
}

} // namespace

int run_snapshot_restore(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "SNAPSHOT or VM");
    const auto snapshot = snapshot_named(context, words[0]);
    const auto folder = snapshot_folder(context);
    const auto kept = folder.open(snapshot.id, Part::disk, context.cancel());
    if (!kept) {
        throw Error(ErrorCode::not_found,
                    fmt::format("snapshot {} kept no disk to restore", snapshot.id),
                    fmt::format("`stemma snapshot list vm:{0}` shows others; next time: stemma "
                                "snapshot take vm:{0} --keep-disk",
                                snapshot.vm_name));
    }
    const auto known = context.store().find_vm(snapshot.vm);
    const auto host = args.value_or("host", known ? known->host : snapshot.host);
    const auto uri = args.value("uri");
    const auto connection = virt::Connection::open(uri ? *uri : uri_to_restore_on(context, host));
    const bool only_say = args.has("dry-run");
    const analyzer::RestoreOptions options{.as = args.value_or("as", ""),
                                           .work_folder = capture_folder(),
                                           .stop = args.has("yes") || only_say};
    const auto plan =
        analyzer::plan_restore(connection, restore_source(snapshot, folder, *kept), options);
    for (const auto& device : plan.left_out) {
        context.log().warning("{} goes without {} of {}", plan.name, device, snapshot.vm_name);
    }
    if (!plan.untouched.empty()) {
        context.log().warning("{} of {} stays as it is now: the snapshot has {} alone",
                              join(plan.untouched, ", "),
                              plan.name,
                              string_member(member(snapshot.body, "disk"), "target"));
    }
    if (!only_say) {
        doing(
            [&] {
                analyzer::apply_restore(
                    connection, plan, *kept, options, {context.cancel(), context.log()});
            },
            "restoring {} from snapshot {}",
            plan.name,
            snapshot.id);
        record_restore(context, snapshot, plan, host);
        context.log().info("{} is stopped: `stemma vm start {}`", plan.name, plan.name);
    }
    Answer answer;
    answer.schema = "stemma.restore/1";
    answer.items.push_back(restore_item(plan, snapshot, host, !only_say));
    answer.seq = context.store().last_seq();
    return show(context,
                answer,
                {{"VM", "name"},
                 {"HOST", "host"},
                 {"SNAPSHOT", "snapshot"},
                 {"TAKEN", "taken", Column::Align::left, Column::Style::time},
                 {"DISK", "disk"},
                 {"DONE", "done"}});
}

} // namespace stemma::cli
