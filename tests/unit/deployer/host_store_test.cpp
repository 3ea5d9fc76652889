#include "stemma/core/digest.hpp"
#include "stemma/core/file.hpp"
#include "stemma/deployer/host_store.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>

#include <filesystem>

using namespace stemma;
using namespace stemma::deployer;
using support::error_of;

namespace fs = std::filesystem;

namespace {

/// A host folder, an image file of a few bytes, and a digester that counts.
struct Shelf {
    TemporaryFolder folder{"shelf"};
    int hashed = 0;
    FolderStore store{folder.path() / "host", [this](const fs::path& path, const std::string&) {
                          ++hashed;
                          return sha256_file(path).hex();
                      }};
    VmSpec spec;

    Shelf()
    {
        const auto file = folder.path() / "image.raw";
        write_file(file, std::string(4096, 'x'));
        spec.uuid = vm_uuid("web", "web-1");
        spec.name = "web-1";
        spec.release = "web";
        spec.image = {.name = "i",
                      .digest = sha256_file(file).hex(),
                      .path = file.string(),
                      .format = "raw",
                      .size = 4096};
    }
};

} // namespace

TEST_CASE("an image is brought once, and hashed again only when its file changed")
{
    Shelf shelf;
    shelf.store.provide_image(shelf.spec.image);
    CHECK(shelf.hashed == 1);
    shelf.store.provide_image(shelf.spec.image);
    CHECK(shelf.hashed == 1);
    const auto base = shelf.folder.path() / "host" / "images" / (shelf.spec.image.digest + ".raw");
    fs::last_write_time(base, fs::last_write_time(base) + std::chrono::seconds(5));
    shelf.store.provide_image(shelf.spec.image);
    CHECK(shelf.hashed == 2);
}

TEST_CASE("writing to the original does not change the base")
{
    Shelf shelf;
    shelf.store.provide_image(shelf.spec.image);
    {
        const auto fd = open_file(shelf.spec.image.path, O_WRONLY);
        write_all(fd.get(), "yyyy", "original");
    }
    const auto base = shelf.folder.path() / "host" / "images" / (shelf.spec.image.digest + ".raw");
    CHECK(sha256_file(base).hex() == shelf.spec.image.digest);
}

TEST_CASE("a base with other content than its name says is refused, also when it was right before")
{
    Shelf shelf;
    shelf.store.provide_image(shelf.spec.image);
    const auto base = shelf.folder.path() / "host" / "images" / (shelf.spec.image.digest + ".raw");
    write_file(base, std::string(4096, 'z')); // same size
    const auto error = error_of([&] { shelf.store.provide_image(shelf.spec.image); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::corrupt);
}

TEST_CASE("an image whose file is gone is provided from the host's own store, else named")
{
    Shelf shelf;
    shelf.store.provide_image(shelf.spec.image);
    fs::remove(shelf.spec.image.path);
    CHECK(shelf.store.has_image(shelf.spec.image));
    CHECK_FALSE(error_of([&] { shelf.store.provide_image(shelf.spec.image); }));
    fs::remove_all(shelf.folder.path() / "host" / "images");
    CHECK_FALSE(shelf.store.has_image(shelf.spec.image));
    const auto error = error_of([&] { shelf.store.provide_image(shelf.spec.image); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::not_found);
}

TEST_CASE("disks are made once, and listed under their VM")
{
    Shelf shelf;
    shelf.spec.data_disks = {{.name = "orders", .size_mib = 3}};
    shelf.store.provide_image(shelf.spec.image);
    shelf.store.make_disks(shelf.spec);
    const auto paths = shelf.store.paths_of(shelf.spec);
    const auto written = fs::last_write_time(paths.data_disks.at(0));
    shelf.store.make_disks(shelf.spec);
    CHECK(fs::last_write_time(paths.data_disks.at(0)) == written);
    const auto disks = shelf.store.disks();
    REQUIRE(disks.size() == 2);
    CHECK(disks[0].path == paths.data_disks[0]);
    CHECK(disks[0].data);
    CHECK(disks[1].path == paths.system_disk);
    CHECK(disks[1].vm == "web-1");
}

TEST_CASE("what an interrupted creation left is listed as something to remove")
{
    Shelf shelf;
    const auto vm = shelf.folder.path() / "host" / "vms" / "web-1";
    fs::create_directories(vm);
    write_file(vm / "system-0123.qcow2.part", "half");
    write_file(vm / "data-x.qcow2.part", "half");
    for (const auto& disk : shelf.store.disks()) {
        CHECK_FALSE(disk.data);
    }
    CHECK(shelf.store.disks().size() == 2);
}

TEST_CASE("only files below the VMs' folder are ever removed")
{
    Shelf shelf;
    for (const auto& path : {shelf.folder.path() / "image.raw",
                             shelf.folder.path() / "host" / "vms" / ".." / ".." / "image.raw",
                             fs::path("/etc/hostname"),
                             fs::path("relative")}) {
        INFO(path);
        CHECK(error_of([&] { shelf.store.remove_disk(path); }));
    }
    CHECK(fs::exists(shelf.folder.path() / "image.raw"));
    CHECK_FALSE(error_of(
        [&] { shelf.store.remove_disk(shelf.folder.path() / "host" / "vms" / "a" / "gone"); }));
}

TEST_CASE("boot files are kept by content, and a changed one is refused")
{
    Shelf shelf;
    const auto kernel = shelf.folder.path() / "kernel";
    write_file(kernel, "kernel");
    const auto digest = sha256("kernel").hex();
    shelf.store.provide_boot_file(kernel.string(), digest, 0644);
    CHECK(read_file(shelf.folder.path() / "host" / "boot" / digest) == "kernel");
    const auto error = error_of(
        [&] { shelf.store.provide_boot_file(kernel.string(), sha256("else").hex(), 0644); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::conflict);
}

TEST_CASE("a folder too long for sockets is refused with the way out")
{
    const auto error = error_of([] { FolderStore("/" + std::string(90, 'a'), {}); });
    REQUIRE(error);
    CHECK(error->hint().find("--folder") != std::string::npos);
}
