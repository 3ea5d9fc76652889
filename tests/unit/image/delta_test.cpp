#include "stemma/image/delta.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <random>

#include "image_world.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

std::string noise(std::size_t size, std::uint32_t seed)
{
    std::mt19937 random(seed);
    std::string text(size, '\0');
    for (char& c : text) {
        c = static_cast<char>(random());
    }
    return text;
}

struct Disks {
    TemporaryFolder folder{"delta-test"};
    Cancel cancel;

    image::Selected file(const std::string& name, const std::string& content)
    {
        write_file(folder.path() / name, content);
        return select(name);
    }
    image::Selected select(const std::string& name)
    {
        return image::select(nullptr, (folder.path() / name).string(), std::nullopt, {});
    }
    fs::path delta = folder.path() / "d.delta";
    fs::path out = folder.path() / "out.qcow2";

    image::DeltaInfo make(const std::string& before, const std::string& after)
    {
        return image::make_delta(file("a.raw", before), file("b.raw", after), delta, cancel);
    }
    /// The bytes of the disk that the delta makes of a.raw.
    std::string applied()
    {
        image::apply_delta(select("a.raw"), delta, out, cancel);
        run_checked({.argv = {"qemu-img",
                              "convert",
                              "-O",
                              "raw",
                              out.string(),
                              (folder.path() / "out.raw").string()}});
        return read_file(folder.path() / "out.raw");
    }
    std::string refusal()
    {
        const auto error =
            support::error_of([&] { image::apply_delta(select("a.raw"), delta, out, cancel); });
        CHECK_FALSE(fs::exists(out));
        return error && error->code() == ErrorCode::corrupt ? error->message() : "";
    }
};

/// A delta file with a right digest, whatever it holds.
std::string sealed(const std::string& body)
{
    const auto digest = sha256(body);
    return body + std::string(digest.bytes.begin(), digest.bytes.end());
}

std::string little(std::uint64_t value, std::size_t bytes)
{
    std::string text;
    for (std::size_t i = 0; i < bytes; ++i) {
        text += static_cast<char>((value >> (8 * i)) & 0xFFU);
    }
    return text;
}

} // namespace

TEST_CASE("a delta turns any disk into any other, whatever their sizes")
{
    const std::string base = noise(300'032, 1);
    std::string patched = base;
    patched.replace(5000, 3, "xyz");
    patched.replace(100'000, 50'000, std::string(50'000, '\0'));
    for (const std::string& after : {base,
                                     patched,
                                     patched + noise(100'352, 2),
                                     patched.substr(0, 200'192),
                                     std::string(300'032, '\0'),
                                     std::string(2'097'664, '\0'),
                                     noise(4'000'256, 3)}) {
        Disks disks;
        const auto info = disks.make(base, after);
        CHECK(info.from == sha256(base));
        CHECK(info.to == sha256(after));
        CHECK(disks.applied() == after);
    }
}

TEST_CASE("a delta is about as large as what changed, and a small change in a block is smaller")
{
    Disks disks;
    const std::string base = noise(8 << 20, 1);
    std::string after = base;
    after.replace(1 << 20, 2 << 20, noise(2 << 20, 2));
    const auto info = disks.make(base, after);
    CHECK(info.changed_bytes == 2 << 20);
    CHECK(info.file_bytes < (2 << 20) + (2 << 20) / 20);
    std::string numbers = base;
    for (std::size_t at = 0; at < numbers.size(); at += 1 << 16) {
        numbers[at] = static_cast<char>(numbers[at] + 1);
    }
    const auto small = disks.make(base, numbers);
    CHECK(small.changed_bytes == 128 * 4096);
    CHECK(small.file_bytes < small.changed_bytes / 20);
}

TEST_CASE("holes cost a delta nothing, wherever they begin and end")
{
    Disks disks;
    constexpr std::size_t size = std::size_t{40} << 20U;
    const auto sparse = [&](const std::string& name, std::initializer_list<std::size_t> places) {
        std::ofstream(disks.folder.path() / name).close();
        fs::resize_file(disks.folder.path() / name, size);
        std::fstream file(disks.folder.path() / name);
        for (const std::size_t place : places) {
            file.seekp(static_cast<std::streamoff>(place));
            file << noise(5000, static_cast<std::uint32_t>(place));
        }
    };
    sparse("a.raw", {0, (3 << 20) - 100, 20 << 20});
    sparse("b.raw", {0, 7 << 20, (20 << 20) + 4096, size - 5000});
    const auto info =
        image::make_delta(disks.select("a.raw"), disks.select("b.raw"), disks.delta, disks.cancel);
    const auto after = read_file(disks.folder.path() / "b.raw");
    CHECK(info.from == sha256(read_file(disks.folder.path() / "a.raw")));
    CHECK(info.to == sha256(after));
    CHECK(info.changed_bytes < 64 << 10);
    CHECK(disks.applied() == after);
}

TEST_CASE("a delta does not care about containers")
{
    Disks disks;
    const std::string base = noise(1 << 20, 1);
    const std::string after = noise(2 << 20, 2);
    disks.file("a.raw", base);
    disks.file("b.raw", after);
    support::convert(disks.folder.path() / "a.raw", disks.folder.path() / "a.vmdk", "vmdk");
    support::convert(disks.folder.path() / "b.raw", disks.folder.path() / "b.vdi", "vdi");
    const auto info =
        image::make_delta(disks.select("a.vmdk"), disks.select("b.vdi"), disks.delta, disks.cancel);
    CHECK(info.to == sha256(after));
    CHECK(disks.applied() == after);
}

TEST_CASE("a delta that is cut off or has one wrong byte is refused")
{
    Disks disks;
    disks.make(noise(40'960, 1), noise(40'960, 2));
    const auto whole = read_file(disks.delta);
    for (std::size_t length = 0; length < whole.size(); length += 1 + length / 7) {
        write_file(disks.delta, whole.substr(0, length));
        CHECK(disks.refusal().find("not a sound delta") != std::string::npos);
    }
    for (std::size_t at = 0; at < whole.size(); at += 1 + whole.size() / 50) {
        auto bent = whole;
        bent[at] = static_cast<char>(bent[at] ^ 0x10);
        write_file(disks.delta, bent);
        const auto error = support::error_of([&] { image::inspect_delta(disks.delta); });
        REQUIRE(error.has_value());
        CHECK((error->code() == ErrorCode::corrupt || error->code() == ErrorCode::unsupported));
    }
    write_file(disks.delta, whole);
    CHECK(disks.applied() == noise(40'960, 2));
}

TEST_CASE("a delta is refused on another disk than its own")
{
    Disks disks;
    auto after = noise(40'960, 1);
    after[9000] = 'x';
    disks.make(noise(40'960, 1), after);
    disks.file("a.raw", noise(40'960, 9));
    CHECK_FALSE(disks.refusal().empty());
    disks.file("a.raw", noise(81'920, 1));
    CHECK(disks.refusal().find("what the delta promises") != std::string::npos);
}

TEST_CASE("a hostile delta with a sound digest is refused")
{
    Disks disks;
    disks.file("a.raw", noise(40'960, 1));
    const std::string digests(64, 'd');
    const auto head = "STEMMADL" + little(1, 4) + little(4096, 4) + little(40'960, 8) +
                      little(40'960, 8) + digests;
    const auto foot = little(0, 4) + little(0, 8);
    const auto zero_run = [](std::uint64_t block, std::uint64_t count) {
        return little(1, 4) + little(0, 4) + little(block, 8) + little(count, 4) + little(1, 4);
    };
    const auto refused = [&](const std::string& chunks) {
        write_file(disks.delta, sealed(head + chunks + foot));
        return disks.refusal();
    };
    CHECK(refused(zero_run(10, 1)).find("beyond the disk") != std::string::npos);
    CHECK(refused(zero_run(9, 2)).find("beyond the disk") != std::string::npos);
    CHECK(refused(zero_run(UINT64_MAX, 1)).find("beyond the disk") != std::string::npos);
    CHECK(refused(zero_run(5, 1) + zero_run(5, 1)).find("out of order") != std::string::npos);
    CHECK(refused(zero_run(5, 0)).find("out of order") != std::string::npos);
    CHECK(refused(little(UINT32_MAX, 4) + little(1, 4)).find("larger than any") !=
          std::string::npos);
    CHECK(refused(little(1, 4) + little(UINT32_MAX, 4)).find("larger than any") !=
          std::string::npos);
    CHECK(refused(little(7, 4) + little(0, 4)).find("cut off") != std::string::npos);
    // One block whose frame is no frame at all.
    const auto bad_frame =
        little(1, 4) + little(4, 4) + little(2, 8) + little(1, 4) + little(0, 4) + "bomb";
    CHECK_FALSE(refused(bad_frame).empty());
    // All is in order, but for what comes out.
    CHECK(refused(zero_run(1, 1)).find("what the delta promises") != std::string::npos);
}
