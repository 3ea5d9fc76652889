#include "stemma/core/error.hpp"
#include "stemma/deployer/plan.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <set>

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

TEST_CASE("what was on a host that does not answer is made elsewhere on a person's word alone")
{
    auto release = release_with("v1", 2);
    const auto first = deployed(release, "web-1", "a");
    auto world = world_with({host_named("a"), host_named("b")});
    know(world, first, "a");
    world.hosts[0].reachable = false;
    world.hosts[0].error = "no route";
    auto plan = make_plan(release, images_named({"v1"}), world);
    REQUIRE(plan.is_blocked());
    CHECK(plan.vms[0].reason.find("cannot be reached: no route") != std::string::npos);
    const auto before = plan.world_digest;

    CHECK(support::error_of([&] { fence(world, {"c"}); })->code() == ErrorCode::not_found);
    CHECK(support::error_of([&] { fence(world, {"b"}); })->code() == ErrorCode::conflict);
    fence(world, {"a"});
    plan = make_plan(release, images_named({"v1"}), world);
    CHECK(summary(plan) == "web-1 create, web-2 create");
    CHECK(plan.vms[0].spec.host == "b");
    CHECK(plan.vms[0].reason.find("host a is fenced") != std::string::npos);
    CHECK(plan.vms[1].reason == "not there");
    CHECK(plan.world_digest != before);

    release.vms[0].host = "a";
    CHECK(make_plan(release, images_named({"v1"}), world).vms[0].reason.find("names another") !=
          std::string::npos);
}

TEST_CASE("of two copies the one that the lineage does not know is said to be the old one")
{
    const auto release = release_with("v1", 1);
    const auto vm = deployed(release, "web-1", "b");
    auto world = world_with({host_named("a"), host_named("b")});
    world.hosts[0].vms = {vm};
    world.hosts[0].vms[0].state = "stopped";
    world.hosts[1].vms = {vm};
    know(world, vm, "b");
    const auto plan = make_plan(release, images_named({"v1"}), world);
    REQUIRE(plan.is_blocked());
    CHECK(plan.vms[0].reason.find("a (stopped) and b (running)") != std::string::npos);
    CHECK(plan.vms[0].reason.find("vm retire web-1 --old-copy-on a") != std::string::npos);
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

TEST_CASE("a group is spread over a label's values, and never doubled where that is forbidden")
{
    auto world =
        world_with({host_named("a1"), host_named("a2"), host_named("a3"), host_named("b1")});
    for (const auto* host : {"a1", "a2", "a3"}) {
        world.host_labels[host] = {{"rack", "a"}};
    }
    world.host_labels["b1"] = {{"rack", "b"}};
    auto release = release_with("v1", 4);
    for (auto& vm : release.vms) {
        vm.group = "web";
        vm.spread = "rack";
    }
    std::map<std::string, int> racks;
    for (const auto& vm : make_plan(release, images_named({"v1"}), world).vms) {
        ++racks[world.host_labels[vm.spec.host]["rack"]];
    }
    CHECK(racks == std::map<std::string, int>{{"a", 2}, {"b", 2}});
    for (auto& vm : release.vms) {
        vm.anti_affinity = "host";
    }
    std::set<std::string> hosts;
    for (const auto& vm : make_plan(release, images_named({"v1"}), world).vms) {
        CHECK(hosts.insert(vm.spec.host).second);
    }
    for (auto& vm : release.vms) {
        vm.anti_affinity = "rack";
    }
    release.rollout.canary = 4; // in the file's order
    const auto plan = make_plan(release, images_named({"v1"}), world);
    CHECK(summary(plan) == "web-1 create, web-2 create, web-3 blocked, web-4 blocked");
    CHECK(plan.vms[2].reason.find("anti_affinity: rack") != std::string::npos);
}

TEST_CASE("a host without room is taken last")
{
    auto world = world_with({host_named("a"), host_named("b")});
    world.hosts[0].memory_mib = 1000;
    world.hosts[1].memory_mib = 4000;
    const auto plan = make_plan(release_with("v1", 4), images_named({"v1"}), world); // 512 each
    std::map<std::string, int> count;
    for (const auto& vm : plan.vms) {
        ++count[vm.spec.host];
    }
    CHECK(count == std::map<std::string, int>{{"a", 1}, {"b", 3}});
}

TEST_CASE("a VM that may still run on a lost host is made nowhere else")
{
    const auto release = release_with("v1", 1);
    auto world = world_with({host_named("a"), host_named("b")});
    know(world, deployed(release, "web-1", "a"), "a");
    CHECK(summary(make_plan(release, images_named({"v1"}), world)) == "web-1 create");
    world.hosts[0].reachable = false;
    CHECK(summary(make_plan(release, images_named({"v1"}), world)) == "web-1 blocked");
    auto moved = release;
    moved.vms[0].host = "b";
    CHECK(summary(make_plan(moved, images_named({"v1"}), world)) == "web-1 blocked");
}

TEST_CASE("a VM that goes from a lost host is condemned once, and blocks nothing")
{
    auto world = world_with({host_named("a"), host_named("b")});
    world.hosts[1].reachable = false;
    know(world, deployed(release_with("v1", 2), "web-2", "b"), "b");
    CHECK(summary(make_plan(release_with("v1", 1), images_named({"v1"}), world)) ==
          "web-1 create, web-2 retire");
    world.recorded.begin()->second.state = condemned_state;
    CHECK(summary(make_plan(release_with("v1", 1), images_named({"v1"}), world)) == "web-1 create");
}

TEST_CASE("those that are down are mended first, and never more than allowed go down with them")
{
    const auto old_release = release_with("v1", 5);
    auto host = host_named("local");
    auto world = world_with({});
    for (const auto* name : {"web-1", "web-2", "web-3", "web-4", "web-5"}) {
        auto vm = deployed(old_release, name, "local");
        know(world, vm, "local");
        if (vm.name == "web-4") {
            vm.state = "stopped";
        }
        host.vms.push_back(vm);
    }
    world.hosts = {host};
    auto release = release_with("v2", 5);
    release.rollout.canary = 0;
    const auto plan = make_plan(release, images_named({"v2"}), world);
    const auto names = [&](unsigned most) {
        std::string text;
        for (const auto& group : groups_of_wave(plan, 0, most)) {
            for (const auto* vm : group) {
                text += vm->spec.name.substr(4);
            }
            text += "|";
        }
        return text;
    };
    CHECK(names(2) == "4|12|35|");
    CHECK(names(0) == "41235|");
    CHECK(names(9) == "4|1235|");
}

TEST_CASE("blue and green stand beside each other until the new ones are proven")
{
    auto release = release_with("v1", 2);
    release.rollout.strategy = Rollout::Strategy::blue_green;
    auto host = host_named("local");
    auto world = world_with({host});
    const auto make = [&](const std::string& image) {
        release.vms[0].image = release.vms[1].image = image;
        return make_plan(release, images_named({"v1", "v2", "v3"}), world);
    };
    const auto stand = [&](const Plan& plan, bool proven) {
        for (const auto& vm : plan.vms) {
            if (vm.action != Action::create) {
                continue;
            }
            ObservedVm seen;
            seen.uuid = vm.spec.uuid;
            seen.name = vm.spec.name;
            seen.state = "running";
            seen.release = "web";
            seen.image = vm.spec.image.digest;
            seen.spec = spec_digest(vm.spec);
            if (proven) {
                know(world, seen, "local");
            }
            world.hosts[0].vms.push_back(seen);
        }
    };
    const auto first = make("v1");
    CHECK(summary(first) == "web-1-blue create, web-2-blue create");
    stand(first, true);
    CHECK(summary(make("v1")) == "web-1-blue keep, web-2-blue keep");
    const auto second = make("v2");
    CHECK(summary(second) == "web-1-green create, web-2-green create, web-1-blue retire, "
                             "web-2-blue retire");
    CHECK(second.vms[2].replaced);
    stand(second, true);
    // Killed before the old ones were retired: the same again, and then only they go.
    CHECK(summary(make("v2")) ==
          "web-1-green keep, web-2-green keep, web-1-blue retire, web-2-blue retire");
    std::erase_if(world.hosts[0].vms,
                  [](const ObservedVm& vm) { return vm.name.ends_with("-blue"); });
    world.recorded.clear();
    for (const auto& vm : world.hosts[0].vms) {
        know(world, vm, "local");
    }
    CHECK(summary(make("v3")) == "web-1-blue create, web-2-blue create, web-1-green retire, "
                                 "web-2-green retire");
    for (auto& vm : world.hosts[0].vms) {
        vm.state = "stopped"; // the host was rebooted
    }
    CHECK(summary(make("v2")) == "web-1-green start, web-2-green start");
}

TEST_CASE("a snapshot of somebody else's: the file in use stays, and its data are not defined away")
{
    const auto release = release_with("v1", 1);
    auto vm = deployed(release, "web-1", "local");
    auto world = world_with({host_named("local")});
    know(world, vm, "local");
    vm.disks = {"/d/web-1/system-" + vm.image.substr(0, 16) + ".snap", "/d/web-1/data-x.qcow2"};
    world.hosts[0].vms = {vm};
    world.hosts[0].disks = {{.vm = "web-1", .path = vm.disks[0]}};
    CHECK(make_plan(release, images_named({"v1"}), world).vms[0].leftovers.empty());
    CHECK(summary(make_plan(release_with("v2", 1), images_named({"v2"}), world)) ==
          "web-1 reimage");
    world.hosts[0].vms[0].disks[1] = "/d/web-1/data-x.snap";
    CHECK(summary(make_plan(release, images_named({"v1"}), world)) == "web-1 keep");
    const auto blocked = make_plan(release_with("v2", 1), images_named({"v2"}), world);
    CHECK(summary(blocked) == "web-1 blocked");
    CHECK(blocked.vms[0].reason.find("data-x.snap") != std::string::npos);
}

TEST_CASE("a system disk that is smaller than its image is refused")
{
    auto release = release_with("v1", 1);
    auto images = images_named({"v1"});
    images.images["v1"].size = 3U << 20U;
    release.vms[0].system_disk_mib = 3;
    CHECK(summary(make_plan(release, images, world_with({host_named("a")}))) == "web-1 create");
    release.vms[0].system_disk_mib = 2;
    CHECK(summary(make_plan(release, images, world_with({host_named("a")}))) == "web-1 blocked");
}
