#include "stemma/core/error.hpp"
#include "stemma/guestfs/guestfs.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/volumes.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "library.hpp"

#if __has_include(<guestfs.h>)
#include <guestfs.h>
#define STEMMA_HAS_GUESTFS_H 1
#endif

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

bool is_installed()
{
    if (guestfs::find_installation().version.empty()) {
        std::cout << "[stemma-skip] libguestfs0 is not installed\n";
        return false;
    }
    return true;
}

/// A hypervisor that never answers, and notes its process.
struct Hanging {
    TemporaryFolder folder{"hanging"};
    std::filesystem::path noted = folder.path() / "pid";

    Hanging()
    {
        const auto script = folder.path() / "qemu";
        write_file(script, "#!/bin/sh\necho $$ >" + noted.string() + "\nexec sleep 600\n", 0755);
        // An appliance of nobody's: none is made before the hypervisor is asked what it can.
        for (const char* name : {"kernel", "initrd", "root", "README.fixed"}) {
            write_file(folder.path() / name, "");
        }
        ::setenv("LIBGUESTFS_HV", script.c_str(), 1); // NOLINT(concurrency-mt-unsafe): one thread
        ::setenv("LIBGUESTFS_PATH", folder.path().c_str(), 1); // NOLINT(concurrency-mt-unsafe)
    }
    ~Hanging()
    {
        ::unsetenv("LIBGUESTFS_HV");   // NOLINT(concurrency-mt-unsafe): one thread
        ::unsetenv("LIBGUESTFS_PATH"); // NOLINT(concurrency-mt-unsafe): one thread
    }
    Hanging(const Hanging&) = delete;
    Hanging& operator=(const Hanging&) = delete;

    /// True when the noted process ends within a while. It is nobody's child that could be waited
    /// for, and stays a corpse where nothing reaps orphans.
    [[nodiscard]] bool is_gone() const
    {
        const auto pid = trim_end(read_file(noted));
        for (int i = 0; i < 100; ++i) {
            const auto state = "/proc/" + pid + "/stat";
            if (!std::filesystem::exists(state) ||
                read_file(state).find(") Z ") != std::string::npos) {
                return true;
            }
            ::usleep(100'000);
        }
        return false;
    }

private:
    static std::string trim_end(std::string text)
    {
        while (!text.empty() && text.back() == '\n') {
            text.pop_back();
        }
        return text;
    }
};

std::unique_ptr<volume::Volume> some_disk()
{
    return std::make_unique<volume::MemoryVolume>(support::pattern(1 << 20), "some.raw");
}

} // namespace

#ifdef STEMMA_HAS_GUESTFS_H
TEST_CASE("our declarations of libguestfs' structures are the header's")
{
    STATIC_REQUIRE(sizeof(guestfs::GuestfsStat) == sizeof(struct guestfs_statns));
    STATIC_REQUIRE(offsetof(guestfs::GuestfsStat, size) ==
                   offsetof(struct guestfs_statns, st_size));
    STATIC_REQUIRE(offsetof(guestfs::GuestfsStat, mtime_nsec) ==
                   offsetof(struct guestfs_statns, st_mtime_nsec));
    STATIC_REQUIRE(sizeof(guestfs::GuestfsXattr) == sizeof(struct guestfs_xattr));
    STATIC_REQUIRE(offsetof(guestfs::GuestfsXattr, value) ==
                   offsetof(struct guestfs_xattr, attrval));
    STATIC_REQUIRE(sizeof(guestfs::GuestfsDirent) == sizeof(struct guestfs_dirent));
    STATIC_REQUIRE(offsetof(guestfs::GuestfsDirent, name) == offsetof(struct guestfs_dirent, name));
    STATIC_REQUIRE(sizeof(guestfs::GuestfsVersion) == sizeof(struct guestfs_version));
    STATIC_REQUIRE(sizeof(guestfs::GuestfsStatList) == sizeof(struct guestfs_statns_list));
    STATIC_REQUIRE(offsetof(guestfs::GuestfsDrive, format) ==
                   offsetof(struct guestfs_add_drive_opts_argv, format));
    STATIC_REQUIRE(offsetof(guestfs::GuestfsDrive, server) ==
                   offsetof(struct guestfs_add_drive_opts_argv, server));
    STATIC_REQUIRE(GUESTFS_ADD_DRIVE_OPTS_SERVER_BITMASK == 1U << 6U);
    STATIC_REQUIRE(GUESTFS_ADD_DRIVE_OPTS_PROTOCOL_BITMASK == 1U << 5U);
}
#endif

TEST_CASE("what libguestfs lacks is said with the command that mends it")
{
    const auto found = guestfs::find_installation();
    CHECK(found.missing.empty() == found.remedy.empty());
    if (found.version.empty()) {
        CHECK(found.remedy.find("libguestfs0") != std::string::npos);
        const auto error = support::error_of([] { guestfs::open_tree(some_disk(), {}, {}); });
        REQUIRE(error.has_value());
        CHECK(error->code() == ErrorCode::unsupported);
        CHECK(error->hint().find("libguestfs0") != std::string::npos);
    }
}

TEST_CASE("a VM that hangs is killed, with all that was started, and the error says so")
{
    if (!is_installed()) {
        return;
    }
    const Hanging hanging;
    const auto error = support::error_of([] {
        guestfs::open_tree(
            some_disk(), {{.name = "all", .pieces = {}}}, {.patience = std::chrono::seconds(4)});
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::remote);
    CHECK(error->message().find("some.raw") != std::string::npos);
    CHECK(hanging.is_gone());
}

TEST_CASE("asked to stop, nothing goes on")
{
    if (!is_installed()) {
        return;
    }
    const Hanging hanging;
    Cancel cancel;
    const auto error = support::error_of([&] {
        guestfs::open_tree(
            some_disk(),
            {{.name = "all", .pieces = {}}},
            {.explain = [&](const std::string&) { cancel.request(); }, .cancel = &cancel});
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::interrupted);
}

TEST_CASE("a hypervisor that does not start is an error")
{
    if (!is_installed()) {
        return;
    }
    const Hanging hanging;
    write_file(hanging.folder.path() / "qemu", "#!/bin/sh\necho no luck today >&2\nexit 1\n", 0755);
    const auto error = support::error_of(
        [] { guestfs::open_tree(some_disk(), {{.name = "all", .pieces = {}}}, {}); });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::remote);
    CHECK(error->message().find("does not start") != std::string::npos);
    CHECK(error->hint().find("libguestfs-test-tool") != std::string::npos);
}
