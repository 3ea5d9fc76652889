#include "stemma/analyzer/take.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/guest_client.hpp"
#include "stemma/virt/xml.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

using namespace stemma;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

/// Events in memory.
class Notebook final : public lineage::Recorder {
public:
    lineage::AppendResult record(std::span<const model::EventDraft> drafts) override
    {
        events.insert(events.end(), drafts.begin(), drafts.end());
        return {drafts.size(), 0, events.size()};
    }
    using Recorder::record;
    std::vector<model::EventDraft> events;
};

/// A libvirt daemon of its own with one tiny guest, made once for all cases.
class Bench {
public:
    static Bench& get()
    {
        static Bench bench;
        return bench;
    }

    [[nodiscard]] const std::string& uri() const { return uri_; }
    [[nodiscard]] virt::Domain domain() const { return *connection_->find_by_name("tiny"); }
    [[nodiscard]] virt::DomainDescription description() const
    {
        return virt::describe_domain(domain().xml());
    }
    [[nodiscard]] const virt::Connection& connection() const { return *connection_; }
    [[nodiscard]] fs::path folder() const { return folder_.path(); }
    [[nodiscard]] fs::path work() const { return folder_.path() / "work"; }

    void start()
    {
        if (!domain().active()) {
            domain().start();
        }
        in_guest("true");
    }

    /// Runs a shell line in the guest, once its helper answers; its output.
    std::string in_guest(const std::string& line)
    {
        const auto deadline = std::chrono::steady_clock::now() + 120s;
        for (;;) {
            try {
                virt::GuestClient client(
                    virt::connect_unix((folder_.path() / "tiny.sock").string()), ++epoch_, nullptr);
                (void)client.hello(2s);
                std::string out;
                (void)client.request({.body = {{"op", "exec"},
                                               {"argv", Json::array({"sh", "-c", line})},
                                               {"timeout_ms", 20000}},
                                      .patience = 30s,
                                      .sink = [&](char, std::string_view bytes) { out += bytes; }});
                return out;
            } catch (const Error&) {
                if (std::chrono::steady_clock::now() > deadline) {
                    throw;
                }
                std::this_thread::sleep_for(200ms);
            }
        }
    }

    /// What a capture leaves where it should leave nothing.
    [[nodiscard]] std::vector<std::string> debris() const
    {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator(folder_.path())) {
            if (entry.path().filename().string().starts_with(".stemma")) {
                found.push_back(entry.path().string());
            }
        }
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(work(), none)) {
            if (entry.path().extension() != ".lock") {
                found.push_back(entry.path().string());
            }
        }
        if (domain().backup_xml()) {
            found.emplace_back("a backup job");
        }
        return found;
    }

private:
    Bench()
    {
        const std::string support = STEMMA_VM_SUPPORT;
        run_checked(
            {.argv = {support + "/tiny-image", folder_.path().string(), STEMMA_GUEST_PROGRAM}});
        const auto up = run_checked(
            {.argv = {support + "/libvirt-host", "up", host_folder(), "snapshot-test"}});
        uri_ = up.out.substr(0, up.out.find('\n'));
        connection_.emplace(virt::Connection::open(uri_));
        const auto disk = folder_.path() / "disk.qcow2";
        run_checked({.argv = {"qemu-img",
                              "create",
                              "-q",
                              "-f",
                              "qcow2",
                              "-b",
                              (folder_.path() / "tiny.qcow2").string(),
                              "-F",
                              "qcow2",
                              disk.string()}});
        (void)connection_->define(domain_xml(disk));
    }

    ~Bench()
    {
        connection_.reset();
        try {
            run({.argv = {
                     std::string(STEMMA_VM_SUPPORT) + "/libvirt-host", "down", host_folder()}});
        } catch (const Error&) {
            // the folder goes anyway
        }
    }

    [[nodiscard]] std::string host_folder() const { return (folder_.path() / "host").string(); }

    [[nodiscard]] std::string domain_xml(const fs::path& disk) const
    {
        virt::XmlWriter xml;
        xml.open("domain", {{"type", "qemu"}}).element("name", "tiny");
        xml.element("memory", "96", {{"unit", "MiB"}}).element("vcpu", "1");
        xml.open("os").element("type", "hvm", {{"arch", "x86_64"}, {"machine", "pc"}});
        xml.element("kernel", (folder_.path() / "kernel").string());
        xml.element("initrd", (folder_.path() / "initrd").string());
        xml.element(
            "cmdline",
            "console=ttyS0 quiet mitigations=off no_timer_check cryptomgr.notests panic=-1");
        xml.close().open("devices").open("disk", {{"type", "file"}, {"device", "disk"}});
        xml.empty("driver", {{"name", "qemu"}, {"type", "qcow2"}});
        xml.empty("source", {{"file", disk.string()}});
        xml.empty("target", {{"dev", "vda"}, {"bus", "virtio"}}).close();
        xml.empty("controller", {{"type", "usb"}, {"model", "none"}});
        xml.empty("memballoon", {{"model", "none"}}).open("channel", {{"type", "unix"}});
        xml.empty("source", {{"mode", "bind"}, {"path", (folder_.path() / "tiny.sock").string()}});
        xml.empty("target", {{"type", "virtio"}, {"name", "org.stemma.guest.0"}}).close();
        return xml.close().close().finish();
    }

    TemporaryFolder folder_{"vm-snapshot"};
    std::string uri_;
    std::optional<virt::Connection> connection_;
    std::uint64_t epoch_ = 1;
};

bool can_run_vms()
{
    for (const auto* program : {"libvirtd", "qemu-system-x86_64", "qemu-img", "mke2fs", "cpio"}) {
        if (!find_program(program)) {
            WARN("[stemma-skip] " << program << " is not installed");
            return false;
        }
    }
    if (::geteuid() != 0) {
        WARN("[stemma-skip] a libvirt daemon of its own needs root");
        return false;
    }
    return true;
}

struct Shop {
    SystemClock clock;
    Cancel cancel;
    NullLog log;
    Progress progress{ProgressMode::none};
    Notebook notebook;
    TemporaryFolder folder{"vm-snapshots"};
    analyzer::SnapshotFolder snapshots{folder.path()};

    analyzer::Taken take(const std::optional<std::string>& parent = std::nullopt,
                         bool keep_disk = false,
                         std::optional<analyzer::PointMethod> method = std::nullopt)
    {
        auto& bench = Bench::get();
        analyzer::Taker taker(
            {clock, cancel, log, progress, notebook}, snapshots, analyzer::default_definition());
        return taker.take({bench.domain().uuid(), "tiny", "here", "", parent},
                          bench.uri(),
                          {.work_folder = bench.work(), .keep_disk = keep_disk, .method = method});
    }
};

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
          "[.][killed]")
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
    const auto disk = shop.snapshots.disk(taken.id);
    REQUIRE(disk);
    run_checked({.argv = {"qemu-img", "check", disk->string()}});
    const auto raw = (shop.folder.path() / "kept.raw").string();
    run_checked({.argv = {"qemu-img", "convert", "-O", "raw", disk->string(), raw}});
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
        const auto core = shop.snapshots.memory(taken.id);
        REQUIRE(core);
        CHECK(taken.body.at("memory_size").at("bytes") == 96U << 20U);
        CHECK(taken.body.at("disk").at("pause_ms") > 0.0);
        const auto told = run_checked({.argv = {"readelf", "-lnW", core->string()}}).out;
        CHECK_THAT(told, Catch::Matchers::Contains("VMCOREINFO"));
        CHECK(read_file(*core).find("Linux version 6.") != std::string::npos);
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
