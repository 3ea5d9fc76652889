#include "stemma/core/error.hpp"
#include "stemma/deployer/plan.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <map>

#include "worlds.hpp"

using namespace stemma;
using namespace stemma::deployer;

namespace {

/// The VM as it stands after `release` was applied to it.
ObservedVm deployed(const Release& release, const std::string& name, const std::string& host)
{
    const auto plan =
        make_plan(release, images_named({release.vms[0].image}), world_with({host_named(host)}));
    for (const auto& vm : plan.vms) {
        if (vm.spec.name == name) {
            return {.uuid = vm.spec.uuid,
                    .name = name,
                    .state = "running",
                    .reason = "booted",
                    .release = release.name,
                    .image = vm.spec.image.digest,
                    .spec = spec_digest(vm.spec),
                    .disks = {}};
        }
    }
    throw Error(ErrorCode::usage, "no such VM");
}

/// Proven and recorded.
void know(World& world, const ObservedVm& vm, const std::string& host)
{
    world.verified[vm.uuid] =
        proof_of(vm.spec, sha256(canonical_json(to_json(Verification{}))).hex());
    world.recorded[vm.uuid] = {.name = vm.name,
                               .host = host,
                               .image = vm.image,
                               .release = vm.release,
                               .state = "running"};
}

} // namespace

TEST_CASE("on an empty host everything is created, the canary first")
{
    auto release = release_with("v1", 5);
    release.rollout.canary = 1;
    release.rollout.batch = 2;
    const auto plan = make_plan(release, images_named({"v1"}), world_with({host_named("local")}));
    CHECK(summary(plan) == "web-1 create, web-2 create, web-3 create, web-4 create, web-5 create");
    std::vector<std::size_t> waves;
    for (const auto& vm : plan.vms) {
        waves.push_back(vm.wave);
    }
    CHECK(waves == std::vector<std::size_t>{0, 1, 1, 2, 2});
    CHECK(plan.waves == 3);
    CHECK(plan.changes());
}

TEST_CASE("the same arguments give the same plan, to the byte")
{
    const auto make = [] {
        return to_json(make_plan(release_with("v1", 3),
                                 images_named({"v1"}),
                                 world_with({host_named("a"), host_named("b")})))
            .dump();
    };
    CHECK(make() == make());
}

TEST_CASE("each difference between wanted and seen has its action")
{
    const auto release = release_with("v1", 1);
    const auto good = deployed(release, "web-1", "local");
    struct Case {
        const char* what;
        std::function<void(ObservedVm&, World&)> change;
        Action action;
    };
    const std::vector<Case> cases = {
        {"as wanted", [](ObservedVm&, World&) {}, Action::keep},
        {"not proven", [](ObservedVm&, World& world) { world.verified.clear(); }, Action::verify},
        {"proven for another spec",
         [](ObservedVm& vm, World& world) { world.verified[vm.uuid] = "x"; },
         Action::verify},
        {"proven by other checks",
         [](ObservedVm& vm, World& world) { world.verified[vm.uuid] = proof_of(vm.spec, "x"); },
         Action::verify},
        {"not recorded", [](ObservedVm&, World& world) { world.recorded.clear(); }, Action::verify},
        {"recorded as stopped",
         [](ObservedVm& vm, World& world) { world.recorded[vm.uuid].state = "stopped"; },
         Action::verify},
        {"stopped", [](ObservedVm& vm, World&) { vm.state = "stopped"; }, Action::start},
        {"paused", [](ObservedVm& vm, World&) { vm.state = "paused"; }, Action::start},
        {"crashed", [](ObservedVm& vm, World&) { vm.state = "crashed"; }, Action::start},
        {"another image",
         [](ObservedVm& vm, World&) { vm.image = digest_named("v0"); },
         Action::reimage},
        {"another definition", [](ObservedVm& vm, World&) { vm.spec = "x"; }, Action::redefine},
        {"a stranger of that name",
         [](ObservedVm& vm, World&) {
             vm.uuid = "11111111-2222-3333-4444-555555555555";
             vm.release.clear();
         },
         Action::blocked},
    };
    for (const auto& one : cases) {
        INFO(one.what);
        auto vm = good;
        auto host = host_named("local");
        auto world = world_with({});
        know(world, good, "local");
        one.change(vm, world);
        host.vms = {vm};
        world.hosts = {host};
        const auto plan = make_plan(release, images_named({"v1"}), world);
        CHECK(to_string(plan.vms.at(0).action) == to_string(one.action));
        CHECK(plan.changes() == (one.action != Action::keep));
    }
}

TEST_CASE("a VM of the release that is not wanted any more is retired with its disks")
{
    const auto two = release_with("v1", 2);
    auto host = host_named("local");
    auto world = world_with({});
    for (const auto* name : {"web-1", "web-2"}) {
        const auto vm = deployed(two, name, "local");
        know(world, vm, "local");
        host.vms.push_back(vm);
        host.disks.push_back(
            {.vm = name,
             .path = std::string("/d/") + name + "/system-" + vm.image.substr(0, 16) + ".qcow2"});
    }
    host.disks.push_back({.vm = "web-2", .path = "/d/web-2/data-x.qcow2", .data = true});
    world.hosts = {host};
    const auto plan = make_plan(release_with("v1", 1), images_named({"v1"}), world);
    REQUIRE(summary(plan) == "web-1 keep, web-2 retire");
    CHECK(plan.vms[0].leftovers.empty());
    CHECK(plan.vms[1].leftovers.size() == 2);
}

TEST_CASE("an interrupted retirement is finished although the domain is gone")
{
    const auto two = release_with("v1", 2);
    auto world = world_with({host_named("local")});
    know(world, deployed(two, "web-2", "local"), "local");
    world.hosts[0].disks = {{.vm = "web-2", .path = "/d/web-2/data-x.qcow2", .data = true}};
    const auto plan = make_plan(release_with("v1", 1), images_named({"v1"}), world);
    REQUIRE(summary(plan) == "web-1 create, web-2 retire");
    CHECK(plan.vms[1].leftovers == std::vector<std::string>{"/d/web-2/data-x.qcow2"});
}

TEST_CASE("VMs of other releases and their disks are nobody's business")
{
    auto host = host_named("local");
    ObservedVm other = deployed(release_with("v1", 1), "web-1", "local");
    other.uuid = "11111111-2222-3333-4444-555555555555";
    other.name = "db-1";
    other.release = "db";
    host.vms = {other};
    host.disks = {{.vm = "db-1", .path = "/d/db-1/system-0000000000000000.qcow2"}};
    const auto plan = make_plan(release_with("v1", 1), images_named({"v1"}), world_with({host}));
    CHECK(summary(plan) == "web-1 create");
    CHECK(plan.vms[0].leftovers.empty());
}

TEST_CASE("the overlay of an earlier image is left over, a data disk never")
{
    const auto release = release_with("v1", 1);
    const auto vm = deployed(release, "web-1", "local");
    auto host = host_named("local");
    host.vms = {vm};
    host.disks = {{.vm = "web-1", .path = "/d/web-1/data-x.qcow2", .data = true},
                  {.vm = "web-1", .path = "/d/web-1/system-0000000000000000.qcow2"},
                  {.vm = "web-1", .path = "/d/web-1/system-" + vm.image.substr(0, 16) + ".qcow2"}};
    auto world = world_with({host});
    know(world, vm, "local");
    const auto plan = make_plan(release, images_named({"v1"}), world);
    CHECK(plan.vms[0].action == Action::keep);
    CHECK(plan.vms[0].leftovers ==
          std::vector<std::string>{"/d/web-1/system-0000000000000000.qcow2"});
    CHECK(plan.changes());
}

TEST_CASE("new VMs are spread over the hosts with their labels; known ones stay where they are")
{
    auto release = release_with("v1", 4);
    for (auto& vm : release.vms) {
        vm.labels = {{"zone", "a"}};
    }
    auto world = world_with({host_named("a1"), host_named("a2"), host_named("b1")});
    world.host_labels["a1"] = {{"zone", "a"}};
    world.host_labels["a2"] = {{"zone", "a"}, {"more", "x"}};
    world.host_labels["b1"] = {{"zone", "b"}};
    world.hosts[1].vms = {deployed(release_with("v1", 4), "web-1", "a2")};
    std::map<std::string, int> count;
    const auto plan = make_plan(release, images_named({"v1"}), world);
    for (const auto& vm : plan.vms) {
        ++count[vm.spec.host];
        if (vm.spec.name == "web-1") {
            CHECK(vm.spec.host == "a2");
        }
    }
    CHECK(count == std::map<std::string, int>{{"a1", 2}, {"a2", 2}});
}

TEST_CASE("nothing is planned onto a host that cannot be reached")
{
    auto world = world_with({host_named("local")});
    world.hosts[0].reachable = false;
    world.hosts[0].error = "no answer";
    auto release = release_with("v1", 1);
    release.vms[0].host = "local";
    auto plan = make_plan(release, images_named({"v1"}), world);
    CHECK(plan.is_blocked());
    CHECK(plan.vms[0].reason.find("no answer") != std::string::npos);
    release.vms[0].host = "lokal";
    CHECK(make_plan(release, images_named({"v1"}), world).is_blocked());
    release.vms[0].host.clear();
    CHECK(make_plan(release, images_named({"v1"}), world).is_blocked());
}

TEST_CASE("a VM that two hosts define is touched by nobody")
{
    const auto release = release_with("v1", 1);
    const auto vm = deployed(release, "web-1", "a");
    auto world = world_with({host_named("a"), host_named("b")});
    world.hosts[0].vms = {vm};
    world.hosts[1].vms = {vm};
    CHECK(make_plan(release, images_named({"v1"}), world).is_blocked());
}

TEST_CASE("a plan survives its own JSON, and a damaged one is refused")
{
    auto release = release_with("v1", 2);
    const auto retired = deployed(release_with("v1", 3), "web-3", "local");
    auto host = host_named("local");
    host.vms = {retired};
    const auto plan = make_plan(release, images_named({"v1"}), world_with({host}));
    const auto json = to_json(plan);
    CHECK(to_json(plan_from_json(json)) == json);
    for (const auto& [key, value] : json.items()) {
        auto damaged = json;
        damaged.erase(key);
        INFO(key);
        CHECK(support::error_of([&] { (void)plan_from_json(damaged); }));
    }
}

TEST_CASE("whatever moves in the world moves its digest")
{
    const auto release = release_with("v1", 1);
    const auto vm = deployed(release, "web-1", "local");
    auto host = host_named("local");
    host.vms = {vm};
    auto world = world_with({host});
    const auto digest = [&] {
        return make_plan(release, images_named({"v1"}), world).world_digest;
    };
    const auto before = digest();
    CHECK(digest() == before);
    world.hosts[0].vms[0].state = "stopped";
    const auto stopped = digest();
    CHECK(stopped != before);
    world.hosts[0].disks = {{.vm = "x", .path = "/x"}};
    CHECK(digest() != stopped);
}

TEST_CASE("a thousand VMs on fifty hosts are planned")
{
    std::vector<ObservedHost> hosts;
    for (int i = 0; i < 50; ++i) {
        hosts.push_back(host_named("h" + std::to_string(100 + i)));
    }
    const auto plan =
        make_plan(release_with("v1", 1000), images_named({"v1"}), world_with(std::move(hosts)));
    std::map<std::string, int> count;
    for (const auto& vm : plan.vms) {
        ++count[vm.spec.host];
    }
    CHECK(count.size() == 50);
    for (const auto& [host, vms] : count) {
        CHECK(vms == 20);
    }
}
