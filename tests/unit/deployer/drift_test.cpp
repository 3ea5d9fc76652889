#include "stemma/deployer/watch.hpp"

#include <catch2/catch.hpp>

#include "worlds.hpp"

using namespace stemma;
using namespace stemma::deployer;

namespace {

const Time now = parse_time("2026-01-02T03:04:05Z");

VmSpec spec_named(const std::string& name)
{
    VmSpec spec;
    spec.uuid = vm_uuid("web", name);
    spec.name = name;
    spec.release = "web";
    spec.host = "local";
    spec.image.digest = digest_named("v1");
    spec.memory_mib = 96;
    spec.vcpus = 1;
    return spec;
}

ObservedVm as_applied(const VmSpec& spec)
{
    ObservedVm vm;
    vm.uuid = spec.uuid;
    vm.name = spec.name;
    vm.state = "running";
    vm.reason = "booted";
    vm.release = spec.release;
    vm.image = spec.image.digest;
    vm.spec = spec_digest(spec);
    vm.disks = {"/system"};
    vm.memory_mib = spec.memory_mib;
    vm.vcpus = spec.vcpus;
    return vm;
}

RecordedVms recorded_as(const VmSpec& spec, const std::string& state)
{
    return {{spec.uuid,
             {.name = spec.name,
              .host = spec.host,
              .image = spec.image.digest,
              .release = spec.release,
              .state = state}}};
}

std::string kinds(const std::vector<Drift>& drift)
{
    std::string text;
    for (const auto& one : drift) {
        text += (text.empty() ? "" : " ") + one.kind;
    }
    return text;
}

} // namespace

TEST_CASE("each kind of drift is named")
{
    const auto spec = spec_named("web-1");
    struct Case {
        const char* kind;
        std::function<void(ObservedVm&)> change;
    };
    for (const auto& one : std::vector<Case>{
             {"", [](ObservedVm&) {}},
             {"renamed", [](ObservedVm& vm) { vm.name = "mine"; }},
             {"stopped", [](ObservedVm& vm) { vm.state = "stopped"; }},
             {"image", [](ObservedVm& vm) { vm.image = digest_named("v0"); }},
             {"image", [](ObservedVm& vm) { vm.image.clear(); }},
             {"definition", [](ObservedVm& vm) { vm.spec = "x"; }},
             {"memory", [](ObservedVm& vm) { vm.memory_mib = 512; }},
             {"vcpus", [](ObservedVm& vm) { vm.vcpus = 2; }},
             {"disks", [](ObservedVm& vm) { vm.disks.emplace_back("/more"); }},
             {"disks", [](ObservedVm& vm) { vm.live_disks = {"/system.snapshot"}; }},
             {"edited", [](ObservedVm& vm) { vm.edited = true; }},
             {"snapshot", [](ObservedVm& vm) { vm.snapshots = {"before-lunch"}; }},
         }) {
        auto host = host_named("local");
        auto vm = as_applied(spec);
        one.change(vm);
        host.vms = {vm};
        INFO(one.kind);
        CHECK(kinds(find_drift({host}, {spec}, true)) == one.kind);
    }
}

TEST_CASE("a VM that is gone, moved or doubled is drift; one on a lost host is not known to be")
{
    const auto spec = spec_named("web-1");
    auto home = host_named("local");
    auto other = host_named("other");
    CHECK(kinds(find_drift({home, other}, {spec}, false)) == "missing");
    other.vms = {as_applied(spec)};
    CHECK(kinds(find_drift({home, other}, {spec}, false)) == "missing elsewhere");
    home.vms = {as_applied(spec)};
    CHECK(kinds(find_drift({home, other}, {spec}, false)) == "elsewhere");
    home = host_named("local");
    home.reachable = false;
    CHECK(find_drift({home}, {spec}, false).empty());
}

TEST_CASE("VMs without our mark are reported only when asked for, marked ones always")
{
    auto host = host_named("local");
    ObservedVm stranger;
    stranger.uuid = "11111111-2222-3333-4444-555555555555";
    stranger.name = "stranger";
    stranger.state = "running";
    host.vms = {stranger};
    CHECK(find_drift({host}, {}, false).empty());
    CHECK(kinds(find_drift({host}, {}, true)) == "foreign");
    host.vms[0].release = "web";
    CHECK(kinds(find_drift({host}, {}, false)) == "foreign");
}

TEST_CASE("only a state that the lineage does not have yet is recorded, with its reason")
{
    const auto spec = spec_named("web-1");
    auto host = host_named("local");
    host.vms = {as_applied(spec)};
    CHECK(reconcile({host}, recorded_as(spec, "running"), now).empty());
    host.vms[0].state = "stopped";
    host.vms[0].reason = "hypervisor died";
    const auto drafts = reconcile({host}, recorded_as(spec, "running"), now);
    REQUIRE(drafts.size() == 1);
    CHECK(drafts[0].kind == "vm.state");
    CHECK(drafts[0].body.at("state") == "stopped");
    CHECK(drafts[0].body.at("reason") == "hypervisor died");
    CHECK(drafts[0].at == now);
    CHECK(reconcile({host}, recorded_as(spec, "stopped"), now).empty());
    CHECK(reconcile({host}, {}, now).empty());
}

TEST_CASE("a VM that is being started is neither paused nor drift")
{
    const auto spec = spec_named("web-1");
    auto host = host_named("local");
    host.vms = {as_applied(spec)};
    host.vms[0].state = "paused";
    host.vms[0].reason = virt::starting_reason;
    CHECK(reconcile({host}, recorded_as(spec, "stopped"), now).empty());
    CHECK(kinds(find_drift({host}, {spec}, false)).find("stopped") == std::string::npos);
    host.vms[0].reason = "paused";
    CHECK(reconcile({host}, recorded_as(spec, "stopped"), now).size() == 1);
    CHECK(kinds(find_drift({host}, {spec}, false)).find("stopped") != std::string::npos);
}

TEST_CASE("the VMs of a host that is lost become unknown, others' do not")
{
    const auto spec = spec_named("web-1");
    auto host = host_named("local");
    host.reachable = false;
    host.error = "no answer";
    const auto drafts = reconcile({host}, recorded_as(spec, "running"), now);
    REQUIRE(drafts.size() == 1);
    CHECK(drafts[0].body.at("state") == "unknown");
    CHECK(drafts[0].body.at("reason").get<std::string>().find("no answer") != std::string::npos);
    host.name = "other";
    CHECK(reconcile({host}, recorded_as(spec, "running"), now).empty());
}

TEST_CASE("a base that somebody wrote to is drift of every VM that stands on it")
{
    const auto one = spec_named("web-1");
    const auto two = spec_named("web-2");
    auto host = host_named("local");
    host.vms = {as_applied(one), as_applied(two)};
    host.changed_bases = {digest_named("v0")};
    CHECK(find_drift({host}, {one, two}, false).empty());
    host.changed_bases = {digest_named("v1")};
    CHECK(kinds(find_drift({host}, {one, two}, false)) == "base base");
}

TEST_CASE("a VM that was adopted is no stranger")
{
    auto host = host_named("local");
    ObservedVm stranger;
    stranger.uuid = "11111111-2222-3333-4444-555555555555";
    stranger.name = "old";
    host.vms = {stranger};
    CHECK(kinds(find_drift({host}, {}, true)) == "foreign");
    CHECK(find_drift({host}, {}, true, {stranger.uuid}).empty());
}

TEST_CASE("a VM that left a host that answers has migrated; one of a lost host is only seen there")
{
    const auto spec = spec_named("web-1");
    auto home = host_named("local");
    auto other = host_named("other");
    other.vms = {as_applied(spec)};
    const auto moved = reconcile({home, other}, recorded_as(spec, "running"), now);
    REQUIRE(moved.size() == 1);
    CHECK(moved[0].kind == "vm.migrated");
    CHECK(moved[0].body.at("from") == "local");
    CHECK(moved[0].body.at("to") == "other");
    home.reachable = false;
    const auto seen = reconcile({home, other}, recorded_as(spec, "unknown"), now);
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].kind == "vm.state");
    CHECK(seen[0].body.at("host") == "other");
    home.reachable = true;
    home.vms = {as_applied(spec)};
    CHECK(reconcile({home, other}, recorded_as(spec, "running"), now).empty());
}

TEST_CASE("a condemned VM stays condemned, whatever its host says")
{
    const auto spec = spec_named("web-1");
    auto host = host_named("local");
    host.vms = {as_applied(spec)};
    CHECK(reconcile({host}, recorded_as(spec, "condemned"), now).empty());
    host.reachable = false;
    CHECK(reconcile({host}, recorded_as(spec, "condemned"), now).empty());
}

namespace {

virt::HostEvent event_of(const VmSpec& spec, virt::DomainState state, std::string_view reason)
{
    return {.what = virt::HostEvent::What::changed,
            .source = "local",
            .uuid = spec.uuid,
            .status = virt::DomainStatus{.state = state, .reason = std::string(reason)}};
}

} // namespace

TEST_CASE("an event is a fact when it says something new, with the reason that only it knows")
{
    const auto spec = spec_named("web-1");
    using virt::DomainState;
    for (const auto* reason : {"powered off", "destroyed", "panicked", "hypervisor died"}) {
        const auto facts = facts_of(
            event_of(spec, DomainState::stopped, reason), recorded_as(spec, "running"), now);
        REQUIRE(facts.size() == 1);
        CHECK(facts[0].body.at("state") == "stopped");
        CHECK(facts[0].body.at("reason") == reason);
    }
    CHECK(facts_of(
              event_of(spec, DomainState::stopped, "destroyed"), recorded_as(spec, "stopped"), now)
              .empty());
    CHECK(facts_of(event_of(spec, DomainState::running, "booted"), {}, now).empty());
    CHECK(facts_of(event_of(spec, DomainState::stopped, virt::migrated_away_reason),
                   recorded_as(spec, "running"),
                   now)
              .empty());
    const auto reverted = facts_of(event_of(spec, DomainState::running, virt::reverted_reason),
                                   recorded_as(spec, "running"),
                                   now);
    CHECK(reverted.size() == 1);
    // libvirt tells of every start: resumed, then booted.
    const auto resumed = event_of(spec, DomainState::running, virt::resumed_reason);
    CHECK(facts_of(resumed, recorded_as(spec, "stopped"), now).empty());
    CHECK(facts_of(resumed, recorded_as(spec, "paused"), now).size() == 1);
}

TEST_CASE("a VM that starts on another host has migrated; one that stops there is an old copy")
{
    auto spec = spec_named("web-1");
    auto event = event_of(spec, virt::DomainState::running, "migrated");
    event.source = "other";
    const auto facts = facts_of(event, recorded_as(spec, "running"), now);
    REQUIRE(facts.size() == 1);
    CHECK(facts[0].kind == "vm.migrated");
    CHECK(facts[0].body.at("to") == "other");
    event.status = virt::DomainStatus{.state = virt::DomainState::stopped, .reason = "destroyed"};
    CHECK(facts_of(event, recorded_as(spec, "running"), now).empty());
}

TEST_CASE("data disks are known in a folder of their own and in a pool")
{
    auto spec = spec_named("web-1");
    spec.data_disks = {{.name = "kept", .size_mib = 8}};
    auto host = host_named("local");
    for (const auto* disk : {"/vms/web-1/data-kept.qcow2", "/pool/vm~web-1~data-kept.qcow2"}) {
        host.vms = {as_applied(spec)};
        host.vms[0].disks = {"/system", disk};
        CHECK(kinds(find_drift({host}, {spec}, false)).empty());
    }
    host.vms[0].disks = {"/system", "/pool/vm~web-1~data-other.qcow2"};
    CHECK(kinds(find_drift({host}, {spec}, false)) == "disks");
}
