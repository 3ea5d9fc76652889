#include "stemma/core/file.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <algorithm>

using namespace stemma;
using stemma::support::error_of;
namespace fs = std::filesystem;

namespace {

std::size_t entries(const fs::path& folder)
{
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

} // namespace

TEST_CASE("a new file without commit leaves nothing, and the old one as it was")
{
    const TemporaryFolder folder("file");
    const auto path = folder.path() / "a";
    write_file(path, "old");
    {
        NewFile file(path);
        file.write("half");
    }
    CHECK(read_file(path) == "old");
    CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a new file takes no place of a pipe or device")
{
    const TemporaryFolder folder("file");
    const auto path = folder.path() / "pipe";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    fs::create_symlink("pipe", folder.path() / "link");
    for (const auto* name : {"pipe", "link"}) {
        const auto error = error_of([&] { NewFile file(folder.path() / name); });
        REQUIRE(error.has_value());
        CHECK(error->code() == ErrorCode::usage);
    }
    CHECK(fs::is_fifo(path));
    CHECK(entries(folder.path()) == 2);
}

TEST_CASE("a committed file has its content and its mode")
{
    const TemporaryFolder folder("file");
    const auto path = folder.path() / "a";
    write_file(path, "new", 0600);
    CHECK(read_file(path) == "new");
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 07777U) == 0600);
    CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a full disk is named, and leaves nothing")
{
    const auto error = error_of([] {
        const Fd full = open_file("/dev/full", 01);
        write_all(full.get(), "x", "/dev/full");
    });
    REQUIRE(error);
    CHECK(error->message().find("/dev/full: No space left on device") != std::string::npos);
    CHECK_FALSE(error->hint().empty());
}

TEST_CASE("reading is bounded and knows folders from files")
{
    const TemporaryFolder folder("file");
    write_file(folder.path() / "ten", "0123456789");
    CHECK(read_file(folder.path() / "ten", 10) == "0123456789");
    CHECK(error_of([&] { read_file(folder.path() / "ten", 9); })->code() == ErrorCode::unsupported);
    CHECK(error_of([&] { read_file(folder.path() / "none"); })->code() == ErrorCode::not_found);
    CHECK(error_of([&] { read_file(folder.path()); }));
    CHECK_FALSE(read_file("/proc/self/status").empty());
}

TEST_CASE("a lock is held by one at a time")
{
    const TemporaryFolder folder("lock");
    const auto path = folder.path() / "lock";
    {
        const FileLock first(path, FileLock::Wait::no);
        const auto error = error_of([&] { const FileLock second(path, FileLock::Wait::no); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::conflict);
    }
    CHECK_FALSE(error_of([&] { const FileLock third(path, FileLock::Wait::no); }));
}

TEST_CASE("paths are made normal without looking at the disk")
{
    CHECK(normal_path("a/../b/./c/", "/base") == "/base/b/c");
    CHECK(normal_path("/x//y", "/base") == "/x/y");
    CHECK(normal_path(".", "/base") == "/base");
    CHECK(normal_path("..", "/") == "/");
}
