#include "stemma/deployer/apply.hpp"
#include "stemma/deployer/migrate.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/fake_clock.hpp"
#include "stemma/support/fake_hypervisor.hpp"
#include "stemma/virt/connection.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

#include "worlds.hpp"

using namespace stemma;
using namespace stemma::deployer;
using support::error_of;
using support::FakeHypervisor;
using Place = Whereabouts::Place;

namespace {

MigrationSide silent()
{
    return {};
}
MigrationSide without_vm()
{
    return {.reachable = true, .vm = std::nullopt};
}
MigrationSide with(const std::string& state, const std::string& reason = "", bool job = false)
{
    ObservedVm vm;
    vm.state = state;
    vm.reason = reason;
    return {.reachable = true, .vm = vm, .job = job};
}
const std::string half(virt::migrating_reason);

/// Source and target as libvirt left them, and what that means.
struct Case {
    std::string name;
    MigrationSide source;
    MigrationSide target;
    Place place;
    std::string mends; ///< letters: t drops the target's half, s the source's, r resumes
};

std::string mends_of(const Whereabouts& where)
{
    return std::string(where.drop_target ? "t" : "") + (where.drop_source ? "s" : "") +
           (where.resume_source ? "r" : "");
}

} // namespace

TEST_CASE("every end of a migration has one runner, or says that nobody knows")
{
    const std::vector<Case> cases{
        {"it worked", without_vm(), with("running"), Place::target, ""},
        {"it worked; the source kept its definition",
         with("stopped", "migrated away"),
         with("running"),
         Place::target,
         "s"},
        {"it was refused", with("running"), without_vm(), Place::source, ""},
        {"the link went down: the target took its half back",
         with("running"),
         without_vm(),
         Place::source,
         ""},
        {"the link is down, the source runs", with("running"), silent(), Place::source, ""},
        {"the link is down, memory still moves",
         with("running", "", true),
         silent(),
         Place::under_way,
         ""},
        {"the target crashed during the switch",
         with("paused", half),
         silent(),
         Place::unknown,
         ""},
        {"the target came back without it", with("paused", half), without_vm(), Place::source, "r"},
        {"the source crashed after the switch", silent(), with("running"), Place::target, ""},
        {"the source crashed before the switch",
         silent(),
         with("paused", half),
         Place::unknown,
         ""},
        {"the source crashed, the target has nothing", silent(), without_vm(), Place::unknown, ""},
        {"both crashed", silent(), silent(), Place::unknown, ""},
        {"the deployer died: the daemons go on",
         with("running", "", true),
         with("paused", half),
         Place::under_way,
         ""},
        {"the deployer died: the daemons finished",
         without_vm(),
         with("running"),
         Place::target,
         ""},
        {"a half was left on the target",
         with("running"),
         with("paused", half),
         Place::source,
         "t"},
        {"both halves wait, nobody moves them",
         with("paused", half),
         with("paused", half),
         Place::source,
         "tr"},
        {"the switch happened, the source waits to be told",
         with("paused", half),
         with("running"),
         Place::target,
         "s"},
        {"the source let go, the target has not begun",
         without_vm(),
         with("paused", half),
         Place::under_way,
         ""},
        {"two run", with("running"), with("running"), Place::both, ""},
        {"an admin paused it on the source",
         with("paused", "paused"),
         without_vm(),
         Place::source,
         ""},
        {"it does not run anywhere", with("stopped"), with("stopped"), Place::source, ""}};
    for (const auto& each : cases) {
        INFO(each.name);
        const auto where = judge(each.source, each.target);
        CHECK(to_string(where.place) == to_string(each.place));
        CHECK(mends_of(where) == each.mends);
        CHECK_FALSE(where.why.empty());
    }
}

TEST_CASE("nothing is mended where a host that may run the VM is silent, or both run it")
{
    const std::vector<MigrationSide> sides{silent(),
                                           without_vm(),
                                           with("running"),
                                           with("running", "", true),
                                           with("paused", half),
                                           with("paused", half, true),
                                           with("paused", "paused"),
                                           with("stopped")};
    for (const auto& source : sides) {
        for (const auto& target : sides) {
            const auto where = judge(source, target);
            if (where.place != Place::source && where.place != Place::target) {
                CHECK(mends_of(where).empty());
            }
            CHECK_FALSE((where.drop_target && where.drop_source));
            if (where.drop_target) {
                CHECK(target.vm->state == "paused");
            }
            if (where.drop_source) {
                CHECK(source.vm->state != "running");
            }
        }
    }
}

namespace {

class Notes final : public lineage::Recorder {
public:
    using Recorder::record;
    lineage::AppendResult record(std::span<const model::EventDraft> drafts) override
    {
        for (const auto& draft : drafts) {
            events.push_back({.origin = "o",
                              .oseq = events.size() + 1,
                              .at = draft.at,
                              .kind = draft.kind,
                              .body = draft.body});
        }
        return {.fresh = drafts.size(), .duplicates = 0, .last_seq = events.size()};
    }
    /// "vm.migrated a b": the facts of a VM, in short.
    std::vector<std::string> facts() const
    {
        std::vector<std::string> found;
        for (const auto& event : events) {
            if (event.kind == "vm.migrated") {
                found.push_back("migrated " + string_member(event.body, "from") + " " +
                                string_member(event.body, "to"));
            } else if (event.kind == "vm.state") {
                found.push_back(string_member(event.body, "state") + " " +
                                string_member(event.body, "host"));
            } else if (event.kind == "release.step") {
                found.push_back("step " + string_member(event.body, "phase"));
            }
        }
        return found;
    }
    std::vector<model::Event> events;
};

/// A running VM on host "a", and an empty host "b".
struct Pair {
    FakeHypervisor a{"a"};
    FakeHypervisor b{"b"};
    Notes notes;
    support::FakeClock clock;
    NullLog log;
    Cancel cancel;
    VmSpec spec;

    Pair()
    {
        spec.uuid = vm_uuid("web", "web-1");
        spec.name = "web-1";
        spec.release = "web";
        spec.host = "a";
        spec.image = images_named({"one"}).images.at("one");
        a.provide_image(spec);
        a.make_disks(spec);
        a.define(spec);
        a.start(spec.uuid);
        a.on_migrate = [this](const VmSpec& moved) { b.add(a.take(moved.uuid)); };
    }
    MigrationResult move()
    {
        return Migrator({.recorder = notes, .clock = clock, .log = log, .cancel = cancel})
            .migrate(spec, a, b, {.patience = std::chrono::seconds(0)});
    }
    [[nodiscard]] std::string runners()
    {
        const auto on = [&](FakeHypervisor& host) {
            const auto vm = host.look(spec.uuid);
            return vm && vm->state == "running" ? host.host() : "";
        };
        return on(a) + on(b);
    }
};

} // namespace

TEST_CASE("a VM that moved is recorded where it is, and leaves no files behind")
{
    Pair pair;
    CHECK(pair.move().moved);
    CHECK(pair.runners() == "b");
    CHECK(pair.notes.facts() ==
          std::vector<std::string>{"step begin", "migrated a b", "running b", "step done"});
    CHECK(pair.a.disks().empty());
    CHECK(pair.b.disks().size() == 1);
    CHECK_FALSE(Migrator::unfinished(pair.notes.events, pair.spec.uuid));
}

TEST_CASE("between hosts that see the same files none is removed")
{
    Pair pair;
    pair.b.storage = pair.a.storage;
    CHECK(pair.move().moved);
    CHECK(pair.a.disks().size() == 1);
}

TEST_CASE("a VM that stayed is recorded there, and the target is left clean")
{
    Pair pair;
    pair.a.on_migrate = [](const VmSpec&) { throw Error(ErrorCode::remote, "link down"); };
    const auto result = pair.move();
    CHECK_FALSE(result.moved);
    CHECK(result.error == "link down");
    CHECK(pair.runners() == "a");
    CHECK(pair.notes.facts() == std::vector<std::string>{"step begin", "running a", "step failed"});
    CHECK(pair.b.disks().empty());
    CHECK(pair.a.disks().size() == 1);
}

TEST_CASE("what the source refuses leaves nothing on the target either")
{
    Pair pair;
    pair.a.on_migrate = [](const VmSpec&) {
        throw Error(ErrorCode::conflict, "it has a snapshot");
    };
    const auto result = pair.move();
    CHECK_FALSE(result.moved);
    CHECK(result.error == "it has a snapshot");
    CHECK(pair.runners() == "a");
    CHECK(pair.b.disks().empty());
    CHECK_FALSE(Migrator::unfinished(pair.notes.events, pair.spec.uuid));
}

TEST_CASE("an error after the switch is still a move")
{
    Pair pair;
    pair.a.on_migrate = [&](const VmSpec& moved) {
        pair.b.add(pair.a.take(moved.uuid));
        throw Error(ErrorCode::remote, "the connection died before the answer came");
    };
    const auto result = pair.move();
    CHECK(result.moved);
    CHECK(result.error.empty());
    CHECK(pair.runners() == "b");
}

TEST_CASE("what a migration is refused for is said before anything moves")
{
    Pair pair;
    SECTION("a corrupt base on the target")
    {
        pair.b.corrupt_images = {pair.spec.image.digest};
    }
    SECTION("a copy on the target")
    {
        ObservedVm copy = *pair.a.look(pair.spec.uuid);
        copy.state = "stopped";
        pair.b.add(copy);
    }
    SECTION("it does not run")
    {
        pair.a.kill(pair.spec.uuid);
    }
    const auto before = pair.runners();
    CHECK(error_of([&] { pair.move(); }));
    CHECK(pair.runners() == before);
    CHECK(pair.b.disks().empty());
    CHECK_FALSE(Migrator::unfinished(pair.notes.events, pair.spec.uuid));
}

TEST_CASE("a begun migration without an end is found again, and settled")
{
    Pair again;
    (void)again.notes.record({.at = {},
                              .kind = "release.step",
                              .body = {{"uuid", again.spec.uuid},
                                       {"step", "migrate"},
                                       {"phase", "begin"},
                                       {"from", "a"},
                                       {"to", "b"}}});
    const auto begun = Migrator::unfinished(again.notes.events, again.spec.uuid);
    REQUIRE(begun);
    CHECK(begun->from == "a");
    CHECK(begun->to == "b");
    const Migrator::Options options{.patience = std::chrono::seconds(0)};
    Migrator second(
        {.recorder = again.notes, .clock = again.clock, .log = again.log, .cancel = again.cancel});
    const auto unknown = second.settle(again.spec, {"a", nullptr}, {"b", &again.b}, options);
    CHECK(to_string(unknown.where.place) == "unknown");
    CHECK(Migrator::unfinished(again.notes.events, again.spec.uuid));
    const auto stayed = second.settle(again.spec, {"a", &again.a}, {"b", &again.b}, options);
    CHECK(to_string(stayed.where.place) == "source");
    CHECK(again.runners() == "a");
    CHECK_FALSE(Migrator::unfinished(again.notes.events, again.spec.uuid));
}

TEST_CASE("what was applied is where its VM was moved to since, or made anew")
{
    VmSpec spec;
    spec.uuid = vm_uuid("web", "web-1");
    spec.name = "web-1";
    spec.release = "web";
    spec.image = images_named({"one"}).images.at("one");
    const auto applied_on = [&](const std::string& host) {
        Plan plan;
        plan.release = "web";
        PlannedVm vm;
        vm.spec = spec;
        vm.spec.host = host;
        plan.vms = {vm};
        const auto draft = applied_event(plan, Release{}, {});
        model::Event event;
        event.kind = draft.kind;
        event.body = draft.body;
        return event;
    };
    model::Event moved;
    moved.kind = "release.step";
    moved.body = {{"uuid", spec.uuid}, {"step", "migrate"}, {"phase", "done"}, {"to", "b"}};
    const auto homes = [](const std::vector<model::Event>& events) {
        std::string text;
        for (const auto& release : applied_releases(events)) {
            text += release.specs.at(0).host;
        }
        return text;
    };
    CHECK(homes({applied_on("a")}) == "a");
    CHECK(homes({applied_on("a"), moved}) == "b");
    CHECK(homes({applied_on("a"), moved, applied_on("c")}) == "cc");
    moved.body["phase"] = "failed";
    CHECK(homes({applied_on("a"), moved}) == "a");
}
