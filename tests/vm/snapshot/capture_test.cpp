#include "stemma/analyzer/file_volume.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/virt/overlay.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <signal.h>

#include <filesystem>
#include <thread>

#include "tiny_vm.hpp"

using namespace stemma;
using namespace stemma::tiny;

namespace {

Digest digest_of(volume::Volume& disk)
{
    Sha256 hash;
    volume::read_through(
        disk, 0, disk.size(), [&](std::span<const std::byte> piece) { hash.update(piece); });
    return hash.finish();
}

} // namespace

TEST_CASE("a snapshot of a running VM holds what the guest had written a moment before")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    Shop shop;
    const auto before = shop.take();
    bench.in_guest("echo PermitRootLogin yes > /etc/careless.conf");
    const auto after = shop.take(before.id);

    CHECK(before.features.find("file", "/etc/careless.conf", "sha256") == nullptr);
    CHECK(after.features.value_of("file", "/etc/careless.conf", "sha256") ==
          sha256("PermitRootLogin yes\n").hex());
    const auto told = bench.in_guest("sha256sum /usr/sbin/stemma-guest");
    CHECK(after.features.value_of("file", "/usr/sbin/stemma-guest", "sha256") ==
          told.substr(0, 64));
    CHECK(after.features.value_of("vm", "", "memory_mib") == "96");
    CHECK(after.body.at("disk").at("method") == "backup");
    CHECK(after.body.at("flushed") == true);
    CHECK(shop.snapshots.features(after.id).features == after.features.features);
    REQUIRE(shop.notebook.events.size() == 2);
    CHECK(shop.notebook.events[1].body.at("parent") == before.id);
    CHECK(bench.domain().status().state == virt::DomainState::running);
    CHECK(bench.debris().empty());
}

TEST_CASE("a point's bytes stand still while the guest writes, and two points exclude each other")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    bench.in_guest("(while true; do dd if=/dev/zero of=/data/x bs=64k count=16; date > /data/now; "
                   "sync; done) >/dev/null 2>&1 & echo $! > /tmp/writer");
    Shop shop;
    const analyzer::DiskPoint::Options options{
        .clock = shop.clock, .cancel = shop.cancel, .log = shop.log, .work_folder = bench.work()};
    Digest first;
    {
        const analyzer::DiskPoint point(
            bench.connection(), bench.domain(), bench.description(), options);
        first = digest_of(*point.open());
        std::this_thread::sleep_for(2s);
        CHECK(digest_of(*point.open()) == first);
        const auto second = support::error_of([&] {
            const analyzer::DiskPoint other(
                bench.connection(), bench.domain(), bench.description(), options);
        });
        REQUIRE(second);
        CHECK(second->code() == ErrorCode::conflict);
    }
    CHECK(bench.debris().empty());
    const analyzer::DiskPoint later(
        bench.connection(), bench.domain(), bench.description(), options);
    CHECK(digest_of(*later.open()) != first); // it did write meanwhile
    bench.in_guest("kill $(cat /tmp/writer)");
}

TEST_CASE("a capture that is killed leaves the VM running, and the next one leaves nothing of it",
          "[killed]")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    TemporaryFolder project("vm-kill");
    const auto store = (project.path() / "lineage.db").string();
    std::vector<std::string> take = {
        STEMMA_PROGRAM, "--store", store, "snapshot", "take", "--uri", bench.uri(), "tiny"};
    const std::string method = GENERATE("backup", "external");
    take.insert(take.end(), {"--method", method});
    for (const auto delay : {20ms, 60ms, 100ms, 150ms, 250ms, 400ms, 700ms}) {
        const Fd nowhere = open_file("/dev/null", O_RDWR);
        Child child(take, {nowhere.get(), nowhere.get(), nowhere.get()});
        std::this_thread::sleep_for(delay);
        child.kill(SIGKILL);
        (void)child.wait();
        CHECK(bench.domain().status().state == virt::DomainState::running);
    }
    run_checked({.argv = take});
    CHECK(bench.debris().empty());
    CHECK_FALSE(fs::exists("/run/stemma/" + bench.domain().uuid()));
    for (const auto& entry : fs::directory_iterator(project.path() / "snapshots")) {
        CHECK_FALSE(entry.path().filename().string().starts_with("."));
    }
    CHECK(bench.in_guest("echo alive") == "alive\n");
}

TEST_CASE("a kept disk is the point, and other tools find it sound")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    bench.in_guest("echo kept > /etc/kept; sync");
    Shop shop;
    const auto taken = shop.take(std::nullopt, true);
    const auto raw = (shop.folder.path() / "kept.raw").string();
    const auto disk =
        shop.snapshots.open(taken.id, analyzer::SnapshotFolder::Part::disk, shop.cancel);
    REQUIRE(disk);
    {
        analyzer::FileVolume file(raw, disk->size());
        analyzer::copy_content(*disk, file, shop.cancel);
    }
    // debugfs does not replay the journal: e2fsck does, and then it reads what the guest wrote.
    const auto check = run({.argv = {"e2fsck", "-fy", raw}});
    CHECK(check.exit.code <= 1);
    CHECK(run_checked({.argv = {"debugfs", "-R", "cat /etc/kept", raw}}).out == "kept\n");
}

TEST_CASE("an overlay serves where a backup is refused, and is merged back")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    bench.in_guest("echo overlaid > /etc/overlaid");
    Shop shop;
    const auto disk = bench.description().disks.front().source;
    const auto taken = shop.take(std::nullopt, false, analyzer::PointMethod::external);
    CHECK(taken.body.at("disk").at("method") == "external");
    CHECK(taken.features.value_of("file", "/etc/overlaid", "sha256") == sha256("overlaid\n").hex());
    CHECK(bench.description().disks.front().source == disk);
    CHECK(bench.debris().empty());
    bench.in_guest("echo later > /etc/overlaid; sync");
    CHECK(shop.take(taken.id).features.value_of("file", "/etc/overlaid", "sha256") ==
          sha256("later\n").hex());
}

TEST_CASE("overlays that killed snapshots left upon each other are all merged back")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    const auto domain = bench.domain();
    const auto disk = bench.description().disks.front().source;
    const auto stem = bench.folder() / (".stemma-point-" + domain.uuid());
    virt::put_overlay(domain, "vda", {}, stem.string() + ".qcow2");
    bench.in_guest("echo first > /etc/stacked; sync");
    virt::put_overlay(domain, "vda", {}, stem.string() + "-0123456789ab.qcow2");
    bench.in_guest("echo second > /etc/stacked; sync");
    CHECK(virt::files_of_disk(domain.xml(), "vda").size() == 4); // with the base of them all

    Shop shop;
    const auto taken = shop.take(std::nullopt, false, analyzer::PointMethod::external);
    CHECK(taken.features.value_of("file", "/etc/stacked", "sha256") == sha256("second\n").hex());
    CHECK(bench.description().disks.front().source == disk);
    CHECK(virt::files_of_disk(domain.xml(), "vda").size() == 2);
    CHECK(bench.debris().empty());
}

TEST_CASE("disk and memory of one moment are kept, and the guest runs on")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    Shop shop;
    analyzer::Taker taker({shop.clock, shop.cancel, shop.log, shop.progress, shop.notebook},
                          shop.snapshots,
                          analyzer::default_definition());
    const auto error = support::error_of([&] {
        const auto taken = taker.take({bench.domain().uuid(), "tiny", "here", "", std::nullopt},
                                      bench.uri(),
                                      {.work_folder = bench.work(), .memory = true});
        const auto memory =
            shop.snapshots.open(taken.id, analyzer::SnapshotFolder::Part::memory, shop.cancel);
        REQUIRE(memory);
        const auto core = shop.folder.path() / "memory.elf";
        analyzer::FileVolume file(core, memory->size());
        analyzer::copy_content(*memory, file, shop.cancel);
        CHECK(taken.body.at("memory_size").at("bytes") == 96U << 20U);
        CHECK(taken.body.at("disk").at("pause_ms") > 0.0);
        const auto told = run_checked({.argv = {"readelf", "-lnW", core.string()}}).out;
        CHECK_THAT(told, Catch::Matchers::Contains("VMCOREINFO"));
        CHECK(read_file(core).find("Linux version 6.") != std::string::npos);
    });
    if (error && error->message().find("background snapshot") != std::string::npos) {
        WARN("[stemma-skip] QEMU may not use userfaultfd here");
    } else {
        CHECK_FALSE(error.has_value());
    }
    CHECK(bench.domain().status().state == virt::DomainState::running);
    CHECK(bench.in_guest("echo alive") == "alive\n");
    CHECK(bench.debris().empty());
}

TEST_CASE("a VM that stops under a capture costs the capture alone")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    Shop shop;
    {
        const analyzer::DiskPoint point(bench.connection(),
                                        bench.domain(),
                                        bench.description(),
                                        {.clock = shop.clock,
                                         .cancel = shop.cancel,
                                         .log = shop.log,
                                         .work_folder = bench.work()});
        const auto disk = point.open();
        bench.domain().destroy();
        const auto error = support::error_of([&] { (void)digest_of(*disk); });
        REQUIRE(error);
    }
    CHECK(bench.debris().empty());

    const auto stopped = shop.take();
    CHECK(stopped.body.at("disk").at("method") == "stopped");
    CHECK(stopped.body.at("state") == "stopped");
    CHECK(stopped.features.value_of("system", "os", "id") == "tiny");
    bench.start();
    CHECK(shop.take(stopped.id).body.at("disk").at("method") == "backup");
}
