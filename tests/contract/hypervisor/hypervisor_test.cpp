// What every deployer::Hypervisor keeps: the same cases on the fake of the unit tests and on
// libvirt (its test driver, which needs no daemon).

#include "stemma/core/digest.hpp"
#include "stemma/core/file.hpp"
#include "stemma/deployer/libvirt_hypervisor.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/fake_hypervisor.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>

using namespace stemma;
using namespace stemma::deployer;
using support::error_of;

namespace {

/// One implementation with a spec whose image it can provide.
struct Subject {
    TemporaryFolder folder{"contract"};
    std::unique_ptr<Hypervisor> hypervisor;
    VmSpec spec;

    explicit Subject(const std::string& kind)
    {
        spec = make_spec("1");
        if (kind == "fake") {
            hypervisor = std::make_unique<support::FakeHypervisor>("h");
            return;
        }
        auto store = std::make_unique<FolderStore>(
            folder.path() / "h", [](const std::filesystem::path& path, const std::string&) {
                return sha256_file(path).hex();
            });
        hypervisor = std::make_unique<LibvirtHypervisor>(
            virt::Connection::open("test:///default"),
            std::move(store),
            LibvirtHypervisor::Settings{.name = "h", .accel = "test", .cancel = nullptr});
    }

    VmSpec make_spec(const std::string& content) const
    {
        const auto file = folder.path() / (content + ".raw");
        write_file(file, std::string(1U << 20U, content.front()));
        VmSpec made;
        made.uuid = vm_uuid("web", "web-1");
        made.name = "web-1";
        made.release = "web";
        made.host = "h";
        made.image = {.name = content,
                      .digest = sha256_file(file).hex(),
                      .path = file.string(),
                      .format = "raw",
                      .size = 1U << 20U};
        made.memory_mib = 64;
        made.vcpus = 1;
        made.network = "none";
        made.data_disks = {{.name = "d", .size_mib = 1}};
        return made;
    }

    void make(const VmSpec& wanted) const
    {
        hypervisor->provide_image(wanted);
        hypervisor->make_disks(wanted);
        hypervisor->define(wanted);
    }
};

} // namespace

TEST_CASE("a VM that was made is observed as what it was made from", "[hypervisor]")
{
    const Subject subject(GENERATE("fake", "libvirt"));
    CHECK_FALSE(subject.hypervisor->look(subject.spec.uuid));
    subject.make(subject.spec);
    const auto vm = subject.hypervisor->look(subject.spec.uuid);
    REQUIRE(vm);
    CHECK(vm->name == "web-1");
    CHECK(vm->state == "stopped");
    CHECK(vm->release == "web");
    CHECK(vm->image == subject.spec.image.digest);
    CHECK(vm->spec == spec_digest(subject.spec));
    CHECK(std::ranges::find(vm->disks, subject.hypervisor->system_disk(subject.spec)) !=
          vm->disks.end());
    const auto host = subject.hypervisor->observe();
    CHECK(host.name == "h");
    CHECK(host.reachable);
    REQUIRE(host.disks.size() == 2);
    CHECK(std::ranges::count_if(host.disks, [](const auto& disk) { return disk.data; }) == 1);
}

TEST_CASE("every call may be made again", "[hypervisor]")
{
    const Subject subject(GENERATE("fake", "libvirt"));
    auto& host = *subject.hypervisor;
    const auto& uuid = subject.spec.uuid;
    for (int round = 0; round < 2; ++round) {
        host.provide_image(subject.spec);
        host.make_disks(subject.spec);
    }
    host.define(subject.spec);
    host.define(subject.spec);
    host.start(uuid);
    host.start(uuid);
    CHECK(host.look(uuid)->state == "running");
    host.stop(uuid, std::chrono::seconds(0));
    host.stop(uuid, std::chrono::seconds(0));
    CHECK(host.look(uuid)->state == "stopped");
    host.undefine(uuid);
    host.undefine(uuid);
    CHECK_FALSE(host.look(uuid));
    for (const auto& disk : host.observe().disks) {
        host.remove_disk(disk.path);
        host.remove_disk(disk.path);
    }
    CHECK(host.observe().disks.empty());
    host.forget("web-1");
    host.forget("web-1");
}

TEST_CASE("another image is another system disk beside the old one; data disks stay",
          "[hypervisor]")
{
    const Subject subject(GENERATE("fake", "libvirt"));
    auto& host = *subject.hypervisor;
    subject.make(subject.spec);
    const auto second = subject.make_spec("2");
    subject.make(second);
    CHECK(host.look(second.uuid)->image == second.image.digest);
    CHECK(host.observe().disks.size() == 3);
    CHECK(host.system_disk(second) != host.system_disk(subject.spec));
}

TEST_CASE("a base goes only when no overlay lies on it", "[hypervisor]")
{
    const Subject subject(GENERATE("fake", "libvirt"));
    auto& host = *subject.hypervisor;
    const auto& digest = subject.spec.image.digest;
    subject.make(subject.spec);
    REQUIRE(host.bases().size() == 1);
    CHECK(host.bases()[0].digest == digest);
    CHECK(host.bases()[0].used_by.size() == 1);
    const auto error = error_of([&] { host.remove_base(digest); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::conflict);
    CHECK(host.bases().size() == 1);
    host.undefine(subject.spec.uuid);
    for (const auto& disk : host.observe().disks) {
        host.remove_disk(disk.path);
    }
    CHECK(host.bases()[0].used_by.empty());
    host.remove_base(digest);
    CHECK(host.bases().empty());
}

TEST_CASE("hosts know their storage by one name", "[hypervisor]")
{
    const Subject subject(GENERATE("fake", "libvirt"));
    const auto id = subject.hypervisor->storage_id();
    CHECK_FALSE(id.empty());
    CHECK(subject.hypervisor->storage_id() == id);
    CHECK(Subject("libvirt").hypervisor->storage_id() != id);
}

TEST_CASE("a VM cannot arrive where one of its uuid is", "[hypervisor]")
{
    const Subject subject(GENERATE("fake", "libvirt"));
    subject.make(subject.spec);
    const auto error =
        error_of([&] { (void)subject.hypervisor->prepare_incoming(subject.spec, false); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::conflict);
}

TEST_CASE("an image that is nowhere is known beforehand and named when asked for", "[hypervisor]")
{
    const auto* kind = GENERATE("fake", "libvirt");
    const Subject subject(kind);
    auto missing = subject.make_spec("3");
    std::filesystem::remove(missing.image.path);
    if (auto* fake = dynamic_cast<support::FakeHypervisor*>(subject.hypervisor.get())) {
        fake->missing_images = {missing.image.digest};
        fake->corrupt_images = {missing.image.digest};
    }
    CHECK(subject.hypervisor->can_provide(subject.spec));
    CHECK_FALSE(subject.hypervisor->can_provide(missing));
    CHECK(error_of([&] { subject.hypervisor->provide_image(missing); }));
}

TEST_CASE("a VM that the host does not know cannot be started, and stopping it is fine",
          "[hypervisor]")
{
    const Subject subject(GENERATE("fake", "libvirt"));
    const auto error = error_of([&] { subject.hypervisor->start(subject.spec.uuid); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::not_found);
    subject.hypervisor->stop(subject.spec.uuid, std::chrono::seconds(0));
    ObservedVm vm;
    vm.uuid = subject.spec.uuid;
    vm.name = "web-1";
    CHECK(error_of([&] { (void)subject.hypervisor->guest(vm, std::chrono::milliseconds(1)); }));
}

TEST_CASE("strangers on a host are observed without a release", "[hypervisor]")
{
    const Subject subject("libvirt"); // the test driver has a domain "test" of its own
    const auto vms = subject.hypervisor->observe().vms;
    REQUIRE(vms.size() == 1);
    CHECK(vms[0].name == "test");
    CHECK(vms[0].release.empty());
    CHECK(vms[0].state == "running");
}
