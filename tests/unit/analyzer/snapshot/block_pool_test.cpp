#include "stemma/analyzer/block_pool.hpp"
#include "stemma/analyzer/file_volume.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

using namespace stemma;
using namespace stemma::analyzer;

namespace fs = std::filesystem;

namespace {

constexpr std::size_t block = 4096;

/// Bytes that do not compress.
std::string noise(std::size_t size, unsigned seed)
{
    std::mt19937 random(seed);
    std::string text(size, '\0');
    for (auto& byte : text) {
        byte = static_cast<char>(random() & 0xffU);
    }
    return text;
}

struct Pool {
    TemporaryFolder folder{"pool"};
    Cancel cancel;
    BlockPool pool{folder.path() / "pool"};

    BlockPool::Put put(const std::string& bytes) const
    {
        volume::MemoryVolume from(bytes);
        return pool.put(pool.hold(cancel), from, cancel);
    }
    [[nodiscard]] std::string get(const BlockMap& map) const
    {
        const auto kept = pool.open(pool.hold(cancel), map, "kept");
        std::string bytes(kept->size(), 'x');
        kept->read(0, std::as_writable_bytes(std::span(bytes)));
        return bytes;
    }
    [[nodiscard]] std::vector<fs::path> files() const
    {
        std::vector<fs::path> result;
        for (const auto& entry : fs::directory_iterator(folder.path() / "pool")) {
            if (entry.path().filename() != "lock") {
                result.push_back(entry.path());
            }
        }
        return result;
    }
};

/// Data, zeros, the same data, one block alone, and an end that is no whole block.
std::string disk()
{
    const auto data = noise(100 * block, 1);
    return data + std::string(300 * block, '\0') + data + noise(block, 2) +
           std::string(5 * block, '\0') + "the end";
}

} // namespace

TEST_CASE("what is put into a pool comes back byte for byte, and zeros take nothing")
{
    const Pool pool;
    const auto put = pool.put(disk());
    CHECK(put.blocks == 202);
    CHECK(put.fresh == 102); // the data is there twice
    CHECK(put.stored < 104 * block + 102 * 64 + 1024);
    CHECK(pool.get(put.map) == disk());
    const auto empty = pool.put(std::string(1U << 20U, '\0'));
    CHECK(empty.blocks == 0);
    CHECK(empty.stored == 0);
    CHECK(pool.get(empty.map) == std::string(1U << 20U, '\0'));
    CHECK(pool.get(pool.put("").map).empty());
    CHECK(pool.files().size() == 1);
}

TEST_CASE("reads of any place and length of what is pooled give the same bytes")
{
    const Pool pool;
    const auto bytes = disk();
    const auto kept = pool.pool.open(pool.pool.hold(pool.cancel), pool.put(bytes).map, "kept");
    std::mt19937 random(7);
    for (int i = 0; i < 300; ++i) {
        const auto at = random() % bytes.size();
        const auto length = std::min<std::size_t>(random() % 20000, bytes.size() - at);
        std::string got(length, 'x');
        kept->read(at, std::as_writable_bytes(std::span(got)));
        REQUIRE(got == bytes.substr(at, length));
        std::uint64_t next = at;
        for (const auto& extent : kept->extents(at, length)) {
            REQUIRE(extent.offset == next);
            next += extent.length;
            const auto part = bytes.substr(extent.offset, extent.length);
            REQUIRE((!extent.zero || part.find_first_not_of('\0') == std::string::npos));
        }
        REQUIRE(next == at + length);
    }
}

TEST_CASE("a second disk adds what differs alone, and equal content has an equal digest")
{
    const Pool pool;
    const auto first = pool.put(disk());
    const auto same = pool.put(disk());
    CHECK(same.fresh == 0);
    CHECK(same.map == first.map);
    auto changed = disk();
    changed[7 * block + 5] ^= 1;
    const auto second = pool.put(changed);
    CHECK(second.fresh == 1);
    CHECK(second.stored < 2 * block);
    CHECK(second.map.content != first.map.content);
    CHECK(pool.get(second.map) == changed);
    CHECK(pool.get(first.map) == disk());
    CHECK(block_map_from(to_bytes(second.map), "map") == second.map);
}

TEST_CASE("what no map names is freed, and what one names stays readable")
{
    const Pool pool;
    const auto shared = noise(200 * block, 3);
    const auto first = pool.put(shared + noise(150 * block, 4));
    const auto second = pool.put(shared + noise(10 * block, 5));
    const auto before = pool.pool.total();
    CHECK(before.blocks == 360);

    const auto planned = pool.pool.collect({second.map}, true, pool.cancel);
    CHECK(planned.blocks == 150);
    CHECK(pool.pool.total().bytes == before.bytes);
    const auto freed = pool.pool.collect({second.map}, false, pool.cancel);
    CHECK(freed.blocks == 150);
    const auto after = pool.pool.total();
    CHECK(after.blocks == 210);
    CHECK(after.bytes == before.bytes - freed.bytes);
    CHECK(freed.bytes > 149 * block);
    CHECK(pool.get(second.map) == shared + noise(10 * block, 5));
    CHECK(support::error_of([&] { (void)pool.get(first.map); })->code() == ErrorCode::corrupt);

    // What was freed can be put again, what is left need not.
    const auto again = pool.put(shared + noise(150 * block, 4));
    CHECK(again.fresh == 150);
    CHECK(pool.get(again.map) == shared + noise(150 * block, 4));
    (void)pool.pool.collect({}, false, pool.cancel);
    CHECK(pool.files().empty());
}

TEST_CASE("every flipped byte of a pack is found, and named where a block is hit")
{
    const Pool pool;
    const auto bytes = noise(70 * block, 6);
    const auto map = pool.put(bytes).map;
    const auto file = pool.files().at(0);
    const auto whole = read_file(file);
    std::mt19937 random(8);
    for (int i = 0; i < 60; ++i) {
        auto damaged = whole;
        damaged[random() % damaged.size()] ^= 0x10;
        write_file(file, damaged);
        const auto error = support::error_of([&] { (void)pool.get(map); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::corrupt);
        CHECK(error->one_line().find(file.filename().string()) != std::string::npos);
    }
    for (const std::size_t cut :
         {std::size_t{0}, std::size_t{40}, whole.size() / 2, whole.size() - 1}) {
        write_file(file, whole.substr(0, cut));
        CHECK(support::error_of([&] { (void)pool.get(map); })->code() == ErrorCode::corrupt);
    }
    auto damaged = whole;
    damaged[whole.find(bytes.substr(3 * block, 64))] ^= 1; // noise is stored as it is
    write_file(file, damaged);
    auto kept = pool.pool.open(pool.pool.hold(pool.cancel), map, "kept");
    const auto found = damage_of(*kept, 1000, pool.cancel);
    REQUIRE(found.size() == 1);
    CHECK(found[0].find("bytes 0 to 262143: block 0 of the pool's ") == 0); // its frame
    CHECK(damage_of(*kept, 0, pool.cancel).empty());
    kept.reset();
    // Pruning does not make it worse.
    CHECK(pool.pool.collect({map}, false, pool.cancel).kept.empty());
    write_file(file, whole);
    CHECK(pool.get(map) == bytes);
}

TEST_CASE("a map that was changed is refused")
{
    const Pool pool;
    const auto map = pool.put(disk()).map;
    auto swapped = map;
    std::swap(swapped.runs.at(0).block, swapped.runs.at(1).block);
    auto shorter = map;
    shorter.runs.pop_back();
    auto beyond = map;
    beyond.runs.back().first += 1000;
    for (const auto& wrong : {swapped, shorter, beyond}) {
        CHECK(support::error_of([&] { (void)pool.get(wrong); })->code() == ErrorCode::corrupt);
    }
    const auto bytes = to_bytes(map);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        CHECK(support::error_of([&] {
                  (void)block_map_from(bytes.substr(0, length), "map");
              })->code() == ErrorCode::corrupt);
    }
}

TEST_CASE("a full disk is named, and nothing half-written stays")
{
    const Pool pool;
    const auto first = pool.put(disk());
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // A file may not grow beyond this: as a disk that is full in the middle of a pack.
        (void)::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{1U << 20U, 1U << 20U};
        (void)::setrlimit(RLIMIT_FSIZE, &limit);
        const auto error = support::error_of([&] { (void)pool.put(noise(1000 * block, 9)); });
        ::_exit(error && error->code() == ErrorCode::io ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(ExitStatus::from_wait(status).success());
    CHECK(pool.files().size() == 1);
    CHECK(pool.get(first.map) == disk());
}

TEST_CASE("a put that is killed anywhere leaves the pool right, and no debris after the next prune")
{
    const Pool pool;
    const auto first = pool.put(disk());
    for (int delay = 0; delay < 12; ++delay) {
        const auto child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            for (unsigned seed = 100;; ++seed) {
                (void)pool.put(noise(400 * block, seed));
            }
        }
        ::usleep(static_cast<useconds_t>(3000 * delay));
        ::kill(child, SIGKILL);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(pool.get(first.map) == disk());
        const auto next = pool.put(disk() + noise(block, 77));
        CHECK(pool.get(next.map) == disk() + noise(block, 77));
    }
    (void)pool.pool.collect({first.map}, false, pool.cancel);
    CHECK(pool.files().size() == 1);
    CHECK(pool.get(first.map) == disk());
}

TEST_CASE("who reads keeps the pool from being pruned, and pruning waits no longer than it is let")
{
    const Pool pool;
    const auto map = pool.put(disk()).map;
    const auto kept = pool.pool.open(pool.pool.hold(pool.cancel), map, "kept");
    Cancel impatient;
    impatient.request();
    CHECK(support::error_of([&] { (void)pool.pool.collect({}, false, impatient); })->code() ==
          ErrorCode::interrupted);
    CHECK(damage_of(*kept, 9, pool.cancel).empty());
}

TEST_CASE("a sparse file goes through a pool into another one unchanged, and stays sparse")
{
    const Pool pool;
    const auto from = pool.folder.path() / "from";
    const auto to = pool.folder.path() / "to";
    {
        FileVolume file(from, (64U << 20U) + 100);
        file.write(5000, std::as_bytes(std::span(std::string_view("in the middle"))));
        file.write(64U << 20U, std::as_bytes(std::span(std::string_view("at the end"))));
    }
    FileVolume file(from);
    const auto put = pool.pool.put(pool.pool.hold(pool.cancel), file, pool.cancel);
    CHECK(put.blocks == 2);
    const auto kept = pool.pool.open(pool.pool.hold(pool.cancel), put.map, "kept");
    FileVolume copy(to, kept->size());
    copy_content(*kept, copy, pool.cancel);
    CHECK(sha256_file(to) == sha256_file(from));
}
