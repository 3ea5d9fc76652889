#include "stemma/analyzer/schedule.hpp"
#include "stemma/cli/command.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"

#include <algorithm>

#include "deploy_support.hpp"
#include "snapshot.hpp"

namespace stemma::cli {

namespace {

using analyzer::Schedule;

analyzer::ScheduleBook schedule_book(Context& context)
{
    return analyzer::ScheduleBook(context.make_state_folder("snapshots"));
}

Json schedule_item(const Schedule& schedule)
{
    auto runs = Json::array();
    std::size_t failed = 0;
    for (const auto& [vm, run] : schedule.runs) {
        runs.push_back({{"at", format_time(run.at)},
                        {"error", run.error.empty() ? Json(nullptr) : json_text(run.error)},
                        {"name", json_text(run.name)},
                        {"uuid", vm}});
        failed += run.error.empty() ? 0U : 1U;
    }
    return {{"every", analyzer::period_text(schedule.every)},
            {"every_s", schedule.every.count()},
            {"failed", failed},
            {"id", schedule.id},
            {"keep", schedule.keep ? Json(to_string(*schedule.keep)) : Json(nullptr)},
            {"keep_disk", schedule.keep_disk},
            {"memory", schedule.memory},
            {"method", schedule.method ? Json(to_string(*schedule.method)) : Json(nullptr)},
            {"quiesce", schedule.quiesce},
            {"runs", runs},
            {"set", schedule.set},
            {"vms", join(schedule.set, " ")}};
}

int show_schedules(Context& context, const std::vector<Schedule>& schedules)
{
    Answer answer;
    answer.schema = "stemma.schedule/1";
    for (const auto& schedule : schedules) {
        answer.items.push_back(schedule_item(schedule));
        for (const auto& [vm, run] : schedule.runs) {
            if (!run.error.empty()) {
                context.log().warning("{} at {}: {}", run.name, format_time(run.at), run.error);
            }
        }
    }
    return show(context,
                answer,
                {{"SCHEDULE", "id"},
                 {"VMS", "vms"},
                 {"EVERY", "every"},
                 {"KEEP", "keep"},
                 {"DISK", "keep_disk"},
                 {"FAILED", "failed", Column::Align::right}});
}

int add_schedule(Context& context, const Args& args)
{
    const auto every = args.value("every");
    if (!every) {
        throw Error(ErrorCode::usage,
                    "a schedule needs to know how often",
                    "for example --every 1h; or say list, remove ID or run");
    }
    const auto options = take_options(context, args);
    Schedule schedule;
    schedule.set = args.expect_words(1, 10'000, "SET…");
    schedule.every = analyzer::parse_period(*every);
    if (const auto keep = args.value("keep")) {
        schedule.keep = analyzer::parse_retention(*keep);
    }
    schedule.method = options.method;
    schedule.keep_disk = options.keep_disk;
    schedule.memory = options.memory;
    schedule.quiesce = options.quiesce;
    if (std::find(schedule.set.begin(), schedule.set.end(), "-") != schedule.set.end()) {
        throw Error(ErrorCode::usage, "a schedule cannot read its VMs from standard input");
    }
    (void)vms_named(context, schedule.set); // now, while there is somebody to tell
    schedule.id = make_uuid7(context.clock().now());
    schedule_book(context).add(schedule);
    return show_schedules(context, {schedule});
}

/// VMs whose turn it is. One that has no host cannot be taken, and is no VM of a schedule.
std::vector<lineage::VmInfo> due_vms(Context& context, const Schedule& schedule)
{
    auto vms = vms_named(context, schedule.set);
    const auto now = context.clock().now();
    std::erase_if(vms, [&](const auto& vm) {
        return vm.state == "retired" || !schedule.is_due(vm.uuid, now);
    });
    return vms;
}

void note_failure(Context& context,
                  const Schedule& schedule,
                  const lineage::VmInfo& vm,
                  const Error& error)
{
    context.log().warning("{}", error.one_line());
    record(context,
           "snapshot.failed",
           {{"uuid", vm.uuid},
            {"name", json_text(vm.name)},
            {"host", vm.host},
            {"schedule", schedule.id},
            {"reason", json_text(error.one_line())}});
}

/// One snapshot of each VM whose turn it is.
/// returns  how many failed
std::size_t
run_schedule(Context& context, const Schedule& schedule, analyzer::Taker& taker, Json& items)
{
    analyzer::TakeOptions options;
    options.work_folder = capture_folder();
    options.allow.assign(context.settings.image_allow.begin(), context.settings.image_allow.end());
    options.allow.push_back(context.state_folder / "images");
    options.quiesce = schedule.quiesce;
    options.keep_disk = schedule.keep_disk;
    options.memory = schedule.memory;
    options.method = schedule.method;
    options.schedule = schedule.id;
    const auto book = schedule_book(context);
    std::size_t failed = 0;
    for (const auto& vm : due_vms(context, schedule)) {
        context.cancel().check();
        Schedule::Run run{.name = vm.name, .at = context.clock().now(), .error = {}};
        Json id = nullptr;
        try {
            id = take_snapshot(context, taker, vm, std::nullopt, options).id;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            run.error = error.one_line();
            ++failed;
            note_failure(context, schedule, vm, error);
        }
        book.note(schedule.id, vm.uuid, run);
        items.push_back({{"error", run.error.empty() ? Json(nullptr) : json_text(run.error)},
                         {"name", json_text(vm.name)},
                         {"schedule", schedule.id},
                         {"snapshot", id},
                         {"uuid", vm.uuid}});
    }
    return failed;
}

/// Those that the schedule itself had taken.
void prune_schedule(Context& context, const Schedule& schedule)
{
    std::vector<lineage::SnapshotInfo> own;
    for (auto& snapshot : context.store().snapshots()) {
        const auto by = snapshot.body.find("schedule");
        if (by != snapshot.body.end() && *by == schedule.id) {
            own.push_back(std::move(snapshot));
        }
    }
    Answer unused;
    prune_snapshots(context, *schedule.keep, own, false, unused);
}

int run_due(Context& context)
{
    const FileLock one_at_a_time(context.make_state_folder("snapshots") / "schedule-run.lock",
                                 FileLock::Wait::no);
    auto taker = make_taker(context, analyzer::default_definition());
    Answer answer;
    answer.schema = "stemma.schedule-run/1";
    std::size_t failed = 0;
    for (const auto& schedule : schedule_book(context).all()) {
        const auto before = answer.items.size();
        try {
            failed += run_schedule(context, schedule, taker, answer.items);
            if (schedule.keep && answer.items.size() > before) {
                prune_schedule(context, schedule);
            }
        } catch (const Error& error) { // its VMs are gone: the other schedules go on
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            ++failed;
            context.log().warning("schedule {}: {}", schedule.id, error.one_line());
        }
    }
    answer.seq = context.store().last_seq();
    const int status =
        show(context, answer, {{"VM", "name"}, {"SNAPSHOT", "snapshot"}, {"ERROR", "error"}});
    return failed == 0 ? status : exit_incomplete;
}

} // namespace

bool any_snapshot_due(Context& context)
{
    const auto schedules = schedule_book(context).all();
    return std::any_of(schedules.begin(), schedules.end(), [&](const Schedule& schedule) {
        try {
            return !due_vms(context, schedule).empty();
        } catch (const Error& error) { // it names nothing any more
            context.log().debug("schedule {}: {}", schedule.id, error.one_line());
            return false;
        }
    });
}

int run_snapshot_schedule(Context& context, const Args& args)
{
    const auto action = args.words().empty() ? std::string() : args.words().front();
    if (action == "list") {
        (void)args.expect_words(1, 1, "list");
        return show_schedules(context, schedule_book(context).all());
    }
    if (action == "remove") {
        const auto& words = args.expect_words(2, 2, "remove ID");
        return show_schedules(context, {schedule_book(context).remove(words[1])});
    }
    if (action == "run") {
        (void)args.expect_words(1, 1, "run");
        return run_due(context);
    }
    return add_schedule(context, args);
}

} // namespace stemma::cli
