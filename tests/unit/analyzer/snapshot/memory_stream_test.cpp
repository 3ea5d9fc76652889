#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "elf_core.hpp"
#include "memory_stream.hpp"

using namespace stemma;
using namespace stemma::analyzer;

namespace {

std::string number(std::uint64_t value, int size)
{
    std::string bytes;
    for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) {
        bytes += static_cast<char>(value >> static_cast<unsigned>(shift));
    }
    return bytes;
}

std::string named(const std::string& name)
{
    return number(name.size(), 1) + name;
}

std::string footer()
{
    return "\x7e" + number(3, 4);
}

/// What QEMU 7.2 sends of a machine with 16 KiB of RAM and a ROM of 4 KiB.
std::string small_stream()
{
    const std::string machine = "pc-i440fx-7.2";
    std::string stream = "QEVM" + number(3, 4) + "\x07" + number(machine.size(), 4) + machine;
    stream += "\x01" + number(3, 4) + named("ram") + number(0, 4) + number(4, 4);
    stream += number(0x5000 | 4, 8) + named("pc.ram") + number(0x4000, 8);
    stream += named("pc.rom") + number(0x1000, 8) + number(16, 8) + footer();
    stream += "\x02" + number(3, 4) + number(0x0000 | 8, 8) + named("pc.ram") +
              std::string(4096, 'a') + number(0x1000 | 2 | 32, 8) + std::string(1, '\0') +
              number(16, 8) + footer();
    stream += "\x02" + number(3, 4) + number(0x2000 | 2, 8) + named("pc.ram") + "\x7f" +
              number(0x0000 | 8, 8) + named("pc.rom") + std::string(4096, 'r') +
              number(0x3000 | 8, 8) + named("pc.ram") + "OSRELEASE=6.1\nSYMBOL(x)=1\n" +
              std::string(4096 - 26, '\0') + number(16, 8) + footer();
    return stream + "\x04" + "devices";
}

class Collector final : public MemorySink {
public:
    void blocks(const std::vector<MemoryBlock>& blocks) override { count = blocks.size(); }
    void page(std::size_t block, std::uint64_t offset, std::string_view content) override
    {
        pages[{block, offset}] = content;
    }
    std::size_t count = 0;
    std::map<std::pair<std::size_t, std::uint64_t>, std::string> pages;
};

/// Gives the text in small pieces, as a socket may.
ByteSource source_of(std::string text)
{
    return [text = std::move(text), at = std::size_t{0}](char* into, std::size_t size) mutable {
        const auto piece = std::min({size, text.size() - at, std::size_t{777}});
        std::copy_n(text.data() + at, piece, into);
        at += piece;
        return piece;
    };
}

} // namespace

TEST_CASE("the pages of a memory stream come out where they lay")
{
    Collector sink;
    CHECK(read_memory_stream(source_of(small_stream()), sink) == "pc-i440fx-7.2");
    CHECK(sink.count == 2);
    REQUIRE(sink.pages.size() == 5);
    CHECK(sink.pages.at({0, 0}) == std::string(4096, 'a'));
    CHECK(sink.pages.at({0, 0x1000}).empty());
    CHECK(sink.pages.at({0, 0x2000}) == std::string(4096, '\x7f'));
    CHECK(sink.pages.at({1, 0}) == std::string(4096, 'r'));
}

TEST_CASE("a memory stream that is torn anywhere is refused")
{
    const auto whole = small_stream();
    const auto end = whole.find("devices") - 1;
    for (std::size_t size = 0; size < end; ++size) {
        Collector sink;
        const auto error =
            support::error_of([&] { read_memory_stream(source_of(whole.substr(0, size)), sink); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::corrupt);
    }
}

TEST_CASE("a memory stream with any byte changed is refused or read within its bounds")
{
    const auto whole = small_stream();
    for (std::size_t at = 0; at < whole.size(); ++at) {
        auto changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ 0xa5);
        Collector sink;
        support::error_of([&] { read_memory_stream(source_of(changed), sink); });
        for (const auto& [place, content] : sink.pages) {
            CHECK(place.first < 2);
            CHECK((content.empty() || content.size() == 4096));
        }
    }
}

TEST_CASE("the ELF core is what readelf expects, with the kernel's VMCOREINFO")
{
    if (!find_program("readelf")) {
        WARN("[stemma-skip] readelf is not installed");
        return;
    }
    const TemporaryFolder folder("core-test");
    const auto file = folder.path() / "memory.elf";
    {
        ElfCore core(file, "pc-i440fx-7.2");
        read_memory_stream(source_of(small_stream()), core);
        core.finish();
        CHECK(core.memory() == 0x4000);
        CHECK(core.pages() == 3);
    }
    const auto told = run_checked({.argv = {"readelf", "-hlnW", file.string()}}).out;
    CHECK_THAT(told, Catch::Matchers::Contains("CORE (Core file)"));
    CHECK_THAT(told, Catch::Matchers::Contains("VMCOREINFO"));
    const auto bytes = read_file(file);
    REQUIRE(bytes.size() == 16384 + 0x4000);
    CHECK(bytes.substr(16384, 4096) == std::string(4096, 'a'));
    CHECK(bytes.substr(16384 + 0x1000, 4096) == std::string(4096, '\0'));
}

TEST_CASE("a memory with missing pages is no core, and an unknown layout is refused")
{
    const TemporaryFolder folder("core-test");
    ElfCore torn(folder.path() / "a", "pc");
    torn.blocks({{"pc.ram", 0x4000}});
    torn.page(0, 0, std::string(4096, 'x'));
    CHECK(support::error_of([&] { torn.finish(); })->code() == ErrorCode::corrupt);
    ElfCore other(folder.path() / "b", "virt-7.2");
    CHECK(support::error_of([&] {
              other.blocks({{"mach-virt.ram", 0x4000}});
          })->code() == ErrorCode::unsupported);
    CHECK(low_memory("pc-i440fx-7.2", 4ULL << 30U) == 3ULL << 30U);
    CHECK(low_memory("pc-q35-7.2", 4ULL << 30U) == 2ULL << 30U);
    CHECK(low_memory("pc-q35-7.2", 1ULL << 30U) == 1ULL << 30U);
}
