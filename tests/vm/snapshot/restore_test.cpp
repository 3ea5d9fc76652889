#include "stemma/analyzer/file_volume.hpp"
#include "stemma/analyzer/restore.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/process.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <signal.h>

#include <filesystem>
#include <thread>

#include "tiny_vm.hpp"

using namespace stemma;
using namespace stemma::tiny;

namespace {

/// `stemma` with a store of its own and the test's libvirt as host "here".
class Program {
public:
    Program()
    {
        auto& bench = Bench::get();
        const SystemClock clock;
        NullLog log;
        (void)lineage::Store::open(store(), lineage::Store::Mode::write, clock, log);
        checked({"host", "add", "here", bench.uri()});
        (void)go({"vm", "adopt", "here", "tiny"}); // 4: the lineage does not know its image
    }

    [[nodiscard]] std::vector<std::string> line(const std::vector<std::string>& words) const
    {
        std::vector<std::string> argv = {STEMMA_PROGRAM, "--store", store()};
        argv.insert(argv.end(), words.begin(), words.end());
        return argv;
    }
    [[nodiscard]] CommandResult go(const std::vector<std::string>& words) const
    {
        return run({.argv = line(words)});
    }
    std::string checked(const std::vector<std::string>& words) const
    {
        return run_checked({.argv = line(words)}).out;
    }
    [[nodiscard]] Json item(std::vector<std::string> words) const
    {
        words.insert(words.begin(), "--json");
        return parse_json(checked(words), words[1]).at("items").at(0);
    }
    [[nodiscard]] fs::path folder() const { return folder_.path(); }

private:
    [[nodiscard]] std::string store() const { return (folder_.path() / "lineage.db").string(); }
    TemporaryFolder folder_{"vm-restore"};
};

std::string content_of(const fs::path& disk, const fs::path& scratch)
{
    run_checked(
        {.argv = {"qemu-img", "convert", "-U", "-O", "raw", disk.string(), scratch.string()}});
    return sha256_file(scratch.string()).hex();
}

fs::path disk_of_tiny()
{
    return virt::describe_domain(Bench::get().domain().xml(virt::Domain::Which::next_start))
        .disks.front()
        .source;
}

} // namespace

TEST_CASE("a VM gets its disk of a snapshot again, bit for bit, on the same image", "[restore]")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    const Program stemma;
    bench.in_guest("echo before > /etc/restored; sync");
    const auto id =
        stemma.item({"snapshot", "take", "tiny", "--keep-disk"}).at("id").get<std::string>();
    const auto raw = stemma.folder() / "kept.raw";
    stemma.checked({"snapshot", "export", id, "--disk", raw.string()});
    bench.in_guest("echo after > /etc/restored; sync");
    const auto disk = disk_of_tiny();
    const auto scratch = stemma.folder() / "scratch.raw";

    // It runs: refused by name, and a plan changes nothing.
    const auto refused = stemma.go({"snapshot", "restore", id});
    CHECK(refused.exit.code == 1);
    CHECK(refused.err.find("--yes") != std::string::npos);
    const auto planned = stemma.item({"snapshot", "restore", id, "--dry-run"});
    CHECK(planned.at("stops") == true);
    CHECK(planned.at("disk") == disk.string());
    CHECK(bench.in_guest("cat /etc/restored") == "after\n");

    const auto done = stemma.item({"snapshot", "restore", id, "--yes"});
    CHECK(done.at("done") == true);
    CHECK_FALSE(bench.domain().active());
    CHECK(content_of(disk, scratch) == sha256_file(raw.string()).hex());
    CHECK(done.at("backing") == (bench.folder() / "tiny.qcow2").string());
    CHECK(fs::file_size(disk) < fs::file_size(bench.folder() / "tiny.qcow2"));
    run_checked({.argv = {"qemu-img", "check", disk.string()}});
    CHECK(stemma.checked({"log", "vm:tiny"}).find(id) != std::string::npos);
    bench.start();
    CHECK(bench.in_guest("cat /etc/restored") == "before\n");
    CHECK(bench.debris().empty());
}

TEST_CASE("a restore that is killed anywhere leaves the one disk or the other, and is run again",
          "[restore]")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    const Program stemma;
    const auto id =
        stemma.item({"snapshot", "take", "tiny", "--keep-disk"}).at("id").get<std::string>();
    const auto raw = stemma.folder() / "kept.raw";
    stemma.checked({"snapshot", "export", id, "--disk", raw.string()});
    const auto kept = sha256_file(raw.string()).hex();
    bench.in_guest("echo changed > /etc/killed; sync");
    bench.domain().destroy();
    const auto disk = disk_of_tiny();
    const auto scratch = stemma.folder() / "scratch.raw";
    const auto before = content_of(disk, scratch);
    CHECK(before != kept);
    for (const auto delay : {20ms, 60ms, 120ms, 200ms, 350ms}) {
        const Fd nowhere = open_file("/dev/null", O_RDWR);
        Child child(stemma.line({"snapshot", "restore", id}),
                    {nowhere.get(), nowhere.get(), nowhere.get()});
        std::this_thread::sleep_for(delay);
        child.kill(SIGKILL);
        (void)child.wait();
        const auto now = content_of(disk, scratch);
        CHECK((now == before || now == kept));
    }
    stemma.checked({"snapshot", "restore", id});
    CHECK(content_of(disk, scratch) == kept);
    CHECK(bench.debris().empty());
    bench.start();
}

TEST_CASE("a second VM is made of a snapshot and runs beside the first", "[restore]")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    const Program stemma;
    bench.in_guest("echo twin > /etc/twin; sync");
    const auto id =
        stemma.item({"snapshot", "take", "tiny", "--keep-disk"}).at("id").get<std::string>();
    CHECK(stemma.go({"snapshot", "restore", id, "--as", "tiny"}).err.find("already") !=
          std::string::npos);
    CHECK(stemma.go({"snapshot", "restore", id, "--as", "../evil"}).exit.code == 2);

    const auto made = stemma.item({"snapshot", "restore", id, "--as", "twin"});
    CHECK(made.at("uuid") != bench.domain().uuid());
    CHECK(stemma.item({"snapshot", "restore", id, "--as", "twin"}) == made); // again: nothing more
    const auto twin = *bench.connection().find_by_name("twin");
    twin.start();
    CHECK(twin.status().state == virt::DomainState::running);
    CHECK(bench.domain().status().state == virt::DomainState::running);
    CHECK(bench.in_guest("cat /etc/twin") == "twin\n");
    CHECK(stemma.checked({"log", "vm:twin"}).find(id) != std::string::npos);
    const auto again = stemma.item({"snapshot", "take", "twin"});
    CHECK(again.at("complete") == true);
    twin.destroy();
    twin.undefine();
    fs::remove(made.at("disk").get<std::string>());
}

TEST_CASE("a scheduled snapshot is taken once in its turn, and wrong schedules are refused",
          "[schedule]")
{
    if (!can_run_vms()) {
        return;
    }
    auto& bench = Bench::get();
    bench.start();
    const Program stemma;
    const auto made = stemma.item({"snapshot", "schedule", "tiny", "--every", "1h", "--keep", "1"});
    const auto first = stemma.item({"snapshot", "schedule", "run"});
    CHECK(first.at("error").is_null());
    CHECK(parse_json(stemma.checked({"--json", "snapshot", "schedule", "run"}), "run")
              .at("items")
              .empty()); // not its turn
    CHECK(stemma.item({"snapshot", "schedule", "list"}).at("runs").size() == 1);
    CHECK(stemma.item({"snapshot", "schedule", "remove", made.at("id").get<std::string>()})
              .at("id") == made.at("id"));
    CHECK(stemma.go({"snapshot", "schedule", "remove", "x"}).exit.code == 1);
    CHECK(stemma.go({"snapshot", "schedule", "nobody", "--every", "1h"}).exit.code == 1);
    CHECK(stemma.go({"snapshot", "schedule", "tiny", "--every", "5s"}).exit.code == 2);
}
