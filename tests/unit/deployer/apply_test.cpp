#include "stemma/deployer/apply.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/fake_clock.hpp"
#include "stemma/support/fake_hypervisor.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <set>

#include "worlds.hpp"

using namespace stemma;
using namespace stemma::deployer;
using support::FakeHypervisor;

namespace {

/// Keeps what is recorded, and derives from it what the lineage would.
class Notebook final : public lineage::Recorder {
public:
    using Recorder::record;
    /// Called before each commit; may throw.
    std::function<void()> before;

    lineage::AppendResult record(std::span<const model::EventDraft> drafts) override
    {
        if (before) {
            before();
        }
        for (const auto& draft : drafts) {
            events.push_back({.origin = "o",
                              .oseq = events.size() + 1,
                              .at = draft.at,
                              .kind = draft.kind,
                              .body = draft.body});
        }
        return {.fresh = drafts.size(), .duplicates = 0, .last_seq = events.size()};
    }

    std::map<std::string, World::Recorded> live() const
    {
        std::map<std::string, World::Recorded> vms;
        for (const auto& event : events) {
            const auto uuid = event.body.value("uuid", std::string());
            if (event.kind == "vm.deployed") {
                vms[uuid] = {.name = string_member(event.body, "name"),
                             .host = string_member(event.body, "host"),
                             .image = string_member(event.body, "image"),
                             .release = string_member(event.body, "release"),
                             .state = "running"};
            } else if (event.kind == "vm.state" && vms.contains(uuid)) {
                vms[uuid].state = string_member(event.body, "state");
            } else if (event.kind == "vm.retired") {
                vms.erase(uuid);
            }
        }
        return vms;
    }

    std::vector<model::Event> events;
};

/// A deployer with one fake host that lives on between runs.
struct Bench {
    FakeHypervisor host;
    Notebook notebook;
    support::FakeClock clock;
    NullLog log;
    Progress progress{ProgressMode::none};
    Cancel cancel;

    World world()
    {
        auto world = world_with({host.observe()});
        world.verified = verified_specs(notebook.events);
        world.recorded = notebook.live();
        return world;
    }

    Plan plan(const Release& release)
    {
        return make_plan(release, images_named({"v1", "v2"}), world());
    }

    /// Asked by the applier; may be null.
    std::function<bool()> paused;
    std::map<std::string, Hypervisor*> reachable{{"local", &host}};

    ApplyResult apply(const Plan& plan, const Rollout& rollout)
    {
        Verification wanted;
        wanted.tcp = {{.port = 1, .send = "x", .expect = "echo x"}};
        GuestVerifier verifier(wanted, {});
        Applier applier({.hosts = reachable,
                         .recorder = notebook,
                         .clock = clock,
                         .log = log,
                         .progress = progress,
                         .cancel = cancel,
                         .paused = paused},
                        rollout,
                        verifier);
        clock.advance(std::chrono::seconds(1));
        return applier.apply(plan);
    }

    ApplyResult roll_out(const Release& release)
    {
        const auto planned = plan(release);
        const auto result = apply(planned, release.rollout);
        if (result.ok) {
            notebook.record(applied_event(planned, release, clock.now()));
        }
        return result;
    }
};

Release impatient(Release release)
{
    release.rollout.check_timeout = std::chrono::seconds(0);
    return release;
}

} // namespace

TEST_CASE("applying again what is in force makes no call that changes anything")
{
    Bench bench;
    const auto release = impatient(release_with("v1", 4));
    REQUIRE(bench.roll_out(release).ok);
    CHECK(bench.host.observe().vms.size() == 4);
    bench.host.calls.clear();
    const auto events = bench.notebook.events.size();
    const auto plan = bench.plan(release);
    CHECK_FALSE(plan.changes());
    CHECK(bench.apply(plan, release.rollout).ok);
    CHECK(bench.host.calls.empty());
    CHECK(bench.notebook.events.size() == events);
}

TEST_CASE("a rollout that is killed at any step is completed by the next one")
{
    // Moments: before each call that changes the host, and before each commit to the ledger. First
    // how many an upgrade has; then one run for each of them to die at.
    const auto old_release = impatient(release_with("v1", 3));
    const auto new_release = impatient(release_with("v2", 2)); // two re-imaged, one retired
    constexpr std::size_t never = 1000000;
    const auto upgrade = [&](Bench& bench, std::size_t die_at) {
        std::size_t moments = 0;
        const auto moment = [&] {
            if (moments++ >= die_at) { // dead stays dead
                throw Error(ErrorCode::interrupted, "killed");
            }
        };
        bench.host.before = [&](const std::string&) { moment(); };
        bench.notebook.before = moment;
        (void)support::error_of([&] { (void)bench.roll_out(new_release); });
        bench.host.before = nullptr;
        bench.notebook.before = nullptr;
        return moments;
    };
    std::size_t moments = 0;
    {
        Bench bench;
        REQUIRE(bench.roll_out(old_release).ok);
        moments = upgrade(bench, never);
    }
    REQUIRE(moments > 40);
    for (std::size_t die_at = 0; die_at < moments; ++die_at) {
        INFO(die_at);
        Bench bench;
        REQUIRE(bench.roll_out(old_release).ok);
        REQUIRE(upgrade(bench, die_at) > die_at);
        REQUIRE(bench.roll_out(new_release).ok);
        const auto host = bench.host.observe();
        REQUIRE(host.vms.size() == 2);
        for (const auto& vm : host.vms) {
            CHECK(vm.state == "running");
            CHECK(vm.image == digest_named("v2"));
        }
        CHECK(bench.host.disks().size() == 2);
        CHECK(bench.notebook.live().size() == 2);
        CHECK_FALSE(bench.plan(new_release).changes());
    }
}

TEST_CASE("a bad canary stops the rollout before the others are touched")
{
    Bench bench;
    REQUIRE(bench.roll_out(impatient(release_with("v1", 3))).ok);
    bench.host.calls.clear();
    bench.host.bad_images = {digest_named("v2")};
    const auto result = bench.roll_out(impatient(release_with("v2", 3)));
    CHECK_FALSE(result.ok);
    REQUIRE(result.vms.size() == 1);
    CHECK(result.vms[0].name == "web-1");
    CHECK(result.vms[0].error.find("tcp 1") != std::string::npos);
    CHECK(std::ranges::none_of(bench.host.calls, [](const std::string& call) {
        return call.find("web-2") != std::string::npos || call.find("web-3") != std::string::npos;
    }));
    SECTION("and what was in force is brought back on the overlay that it had")
    {
        const auto applied = applied_releases(bench.notebook.events);
        REQUIRE(applied.size() == 1);
        Release back;
        back.name = "web";
        const auto plan = make_plan_to(back, applied[0].specs, bench.world());
        CHECK(summary(plan) == "web-1 reimage, web-2 keep, web-3 keep");
        CHECK(bench.apply(plan, impatient(back).rollout).ok);
        for (const auto& vm : bench.host.observe().vms) {
            CHECK(vm.image == digest_named("v1"));
        }
        CHECK(bench.host.disks().size() == 3);
    }
}

TEST_CASE("one VM that fails does not hide the others of its wave")
{
    Bench bench;
    auto release = impatient(release_with("v1", 3));
    release.rollout.canary = 3;
    bench.host.before = [](const std::string& call) {
        if (call == "define web-2") {
            throw Error(ErrorCode::remote, "no");
        }
    };
    const auto result = bench.roll_out(release);
    CHECK_FALSE(result.ok);
    REQUIRE(result.vms.size() == 3);
    CHECK(result.vms[0].ok);
    CHECK_FALSE(result.vms[1].ok);
    CHECK(result.vms[2].ok);
}

TEST_CASE("no VM is started on a base whose content is wrong")
{
    Bench bench;
    bench.host.corrupt_images = {digest_named("v1")};
    CHECK_FALSE(bench.roll_out(impatient(release_with("v1", 2))).ok);
    CHECK(std::ranges::none_of(bench.host.calls, [](const std::string& call) {
        return call.starts_with("start") || call.starts_with("define");
    }));
}

TEST_CASE("a VM that was killed is started and proven again")
{
    Bench bench;
    const auto release = impatient(release_with("v1", 2));
    REQUIRE(bench.roll_out(release).ok);
    bench.host.kill(vm_uuid("web", "web-2"));
    bench.host.calls.clear();
    CHECK(bench.roll_out(release).ok);
    CHECK(bench.host.calls == std::vector<std::string>{"image web-2", "start web-2"});
    CHECK_FALSE(bench.plan(release).changes());
}

TEST_CASE("every step is recorded before and after, with its run")
{
    Bench bench;
    REQUIRE(bench.roll_out(impatient(release_with("v1", 1))).ok);
    std::vector<std::string> said;
    std::set<std::string> runs;
    for (const auto& event : bench.notebook.events) {
        if (event.kind == "release.step") {
            said.push_back(string_member(event.body, "step") + " " +
                           string_member(event.body, "phase"));
            runs.insert(string_member(event.body, "run"));
        } else {
            said.push_back(event.kind);
        }
    }
    CHECK(said == std::vector<std::string>{"image begin",
                                           "image done",
                                           "disks begin",
                                           "disks done",
                                           "define begin",
                                           "define done",
                                           "start begin",
                                           "start done",
                                           "vm.deployed",
                                           "vm.state",
                                           "verify begin",
                                           "vm.verified",
                                           "verify done",
                                           "release.applied"});
    CHECK(runs.size() == 1);
}

TEST_CASE("a user's ^C ends the run between two steps")
{
    Bench bench;
    bench.host.before = [&](const std::string& call) {
        if (call == "define web-1") {
            bench.cancel.request();
        }
    };
    const auto error =
        support::error_of([&] { (void)bench.roll_out(impatient(release_with("v1", 2))); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::interrupted);
    CHECK(bench.host.calls.back() == "define web-1");
}

TEST_CASE("never more than max_unavailable of those that were good are down, also on the way back")
{
    Bench bench;
    REQUIRE(bench.roll_out(impatient(release_with("v1", 6))).ok);
    auto upgrade = impatient(release_with("v2", 6));
    upgrade.rollout.canary = 2;
    upgrade.rollout.max_unavailable = 2;
    // Up: runs, and its last word is that it was proven. Counted before every call to the host.
    std::size_t fewest = 6;
    bench.host.before = [&](const std::string& call) {
        const auto proven = verified_specs(bench.notebook.events);
        std::size_t up = 0;
        for (const auto& vm : bench.host.observe().vms) {
            up += vm.state == "running" && proven.contains(vm.uuid) ? 1U : 0U;
        }
        fewest = std::min(fewest, up);
        if (call == "define web-5") {
            throw Error(ErrorCode::remote, "no");
        }
    };
    CHECK_FALSE(bench.roll_out(upgrade).ok);
    CHECK(fewest == 4);
    bench.host.before = nullptr;
    const auto applied = applied_releases(bench.notebook.events);
    Release back;
    back.name = "web";
    back.rollout = upgrade.rollout;
    back.rollout.canary = 0;
    const auto plan = make_plan_to(back, applied.at(0).specs, bench.world());
    fewest = 6;
    bench.host.before = [&](const std::string&) {
        const auto proven = verified_specs(bench.notebook.events);
        std::size_t up = 0;
        for (const auto& vm : bench.host.observe().vms) {
            up += vm.state == "running" && proven.contains(vm.uuid) ? 1U : 0U;
        }
        fewest = std::min(fewest, up);
    };
    CHECK(bench.apply(plan, back.rollout).ok);
    CHECK(fewest == 4);
    for (const auto& vm : bench.host.observe().vms) {
        CHECK(vm.image == digest_named("v1"));
    }
}

TEST_CASE("a VM of a host that cannot be reached is condemned, and the others go on")
{
    Bench bench;
    REQUIRE(bench.roll_out(impatient(release_with("v1", 2))).ok);
    auto world = bench.world();
    world.hosts[0].reachable = false;
    world.hosts[0].vms.clear();
    world.hosts[0].disks.clear();
    Release gone;
    gone.name = "web";
    const auto plan = make_plan_to(gone, {}, world);
    bench.reachable.clear();
    const auto result = bench.apply(plan, gone.rollout);
    CHECK(result.ok);
    CHECK(result.condemned.size() == 2);
    for (const auto& [uuid, vm] : bench.notebook.live()) {
        CHECK(vm.state == condemned_state);
    }
    // The host is back: the next run takes them away.
    bench.reachable = {{"local", &bench.host}};
    CHECK(bench.apply(make_plan_to(gone, {}, bench.world()), gone.rollout).ok);
    CHECK(bench.notebook.live().empty());
    CHECK(bench.host.observe().vms.empty());
    CHECK(bench.host.disks().empty());
}

TEST_CASE("a paused rollout waits between two groups, and is told so once")
{
    Bench bench;
    auto release = impatient(release_with("v1", 3));
    int asked = 0;
    std::vector<std::size_t> seen;
    bench.paused = [&] {
        seen.push_back(bench.host.observe().vms.size());
        return ++asked == 2; // once, after the canary
    };
    CHECK(bench.roll_out(release).ok);
    CHECK(seen == std::vector<std::size_t>{0, 1, 1});
}
