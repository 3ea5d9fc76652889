#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <sstream>

#include "archive_file.hpp"
#include "elf_symbols.hpp"
#include "link_line.hpp"

using namespace stemma;
using namespace stemma::hooks;

namespace {

/// A file in memory.
class Bytes {
public:
    explicit Bytes(std::string_view text)
        : fd_(::memfd_create("bytes", MFD_CLOEXEC)), size_(text.size())
    {
        REQUIRE(::write(fd_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    [[nodiscard]] FilePart part() const { return {fd_.get(), 0, size_}; }

private:
    Fd fd_;
    std::size_t size_;
};

std::string shell(const std::string& folder, const std::string& command)
{
    return run_checked({.argv = {"/bin/sh", "-c", command}, .folder = folder}).out;
}

/// An archive of three objects, one with a long name.
std::string make_archive(const std::string& folder, const std::string& flags)
{
    return shell(
        folder,
        "echo 'int a(void); int b(void){return a();}' > b.c; echo 'int a(void){return 1;} int t;' "
        "> a.c;"
        "echo 'int c __attribute__((weak)); extern int w __attribute__((weak)); int *p = &w;' > "
        "c.c;"
        "gcc -fcommon -c a.c b.c && gcc -c c.c -o with-a-name-of-more-than-fifteen.o && ar " +
            flags + " lib.a a.o b.o with-a-name-of-more-than-fifteen.o");
}

std::vector<std::string> names_of(const ArchiveFile& archive)
{
    std::vector<std::string> names;
    for (const auto& member : archive.members) {
        names.push_back(member.name);
    }
    return names;
}

} // namespace

TEST_CASE("members and index of an archive are those that ar and nm name")
{
    const TemporaryFolder temporary("archive");
    const auto folder = temporary.path().string();
    for (const std::string flags : {"rcs", "rcsT"}) {
        make_archive(folder, flags);
        const auto text = read_file(folder + "/lib.a", 1U << 20U);
        const Bytes file(text);
        const auto archive = read_archive_index(file.part());
        REQUIRE(archive);
        CHECK(archive->thin == (flags == "rcsT"));
        std::string listed;
        for (const auto& name : names_of(*archive)) {
            listed += name + "\n";
        }
        CHECK(listed == shell(folder, "ar t lib.a"));
        REQUIRE(archive->symbols);
        std::string index;
        for (const auto& [name, member] : *archive->symbols) {
            index += name + " in " + archive->members[member].name + "\n";
        }
        CHECK(index == shell(folder, "nm -s lib.a 2>/dev/null | sed -n '2,/^$/p' | grep ' in '"));
        shell(folder, "rm lib.a");
    }
}

TEST_CASE("members are hashed as ar extracts them")
{
    const TemporaryFolder temporary("archive");
    const auto folder = temporary.path().string();
    make_archive(folder, "rcs");
    const Bytes file(read_file(folder + "/lib.a", 1U << 20U));
    const auto members = hash_members(file.part());
    REQUIRE(members.size() == 3);
    for (const auto& member : members) {
        const auto bytes = shell(folder, "ar p lib.a " + member.name);
        CHECK(member.sha256 == sha256(bytes));
        CHECK(member.size == bytes.size());
    }
}

TEST_CASE("the symbols of an object are those that nm shows")
{
    const TemporaryFolder temporary("archive");
    const auto folder = temporary.path().string();
    make_archive(folder, "rcs");
    const Bytes a(read_file(folder + "/a.o", 1U << 20U));
    const Bytes b(read_file(folder + "/b.o", 1U << 20U));
    const Bytes c(read_file(folder + "/with-a-name-of-more-than-fifteen.o", 1U << 20U));
    const auto first = read_elf_symbols(a.part());
    const auto second = read_elf_symbols(b.part());
    const auto third = read_elf_symbols(c.part());
    REQUIRE((first && second && third));
    CHECK(first->defined == std::vector<std::string>{"a"});
    CHECK(first->common == std::vector<std::string>{"t"});
    CHECK(second->wanted == std::vector<std::string>{"a"});
    CHECK(third->wanted.empty());
    CHECK(third->defined == std::vector<std::string>{"c", "p"});
}

TEST_CASE("archives and objects that are cut anywhere, or damaged, are answered")
{
    const TemporaryFolder temporary("archive");
    const auto folder = temporary.path().string();
    make_archive(folder, "rcs");
    std::mt19937 random(7); // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
    for (const auto* name : {"/lib.a", "/a.o"}) {
        const auto text = read_file(folder + name, 1U << 20U);
        const auto look = [](std::string_view bytes) {
            const Bytes file(bytes);
            const auto archive = read_archive_index(file.part());
            if (archive) {
                for (const auto& member : archive->members) {
                    read_elf_symbols(file.part().part(member.start, member.size));
                }
                CHECK(archive->members.size() <= bytes.size() / 60);
            }
            read_elf_symbols(file.part());
            return archive;
        };
        for (std::size_t size = 0; size < text.size(); ++size) {
            look(std::string_view(text).substr(0, size));
        }
        for (int i = 0; i < 3000; ++i) {
            auto damaged = text;
            for (unsigned change = 0; change < 1 + random() % 4; ++change) {
                damaged[random() % damaged.size()] = static_cast<char>(random());
            }
            look(damaged);
        }
    }
}

TEST_CASE("a linker's command line is read as the linker does")
{
    const auto line = read_link_line({"/usr/bin/ld",
                                      "-plugin",
                                      "lto.so",
                                      "-o",
                                      "out",
                                      "-L/one",
                                      "-L",
                                      "two",
                                      "main.o",
                                      "-u",
                                      "wanted",
                                      "--as-needed",
                                      "-lm",
                                      "--no-as-needed",
                                      "-(",
                                      "x.a",
                                      "y.a",
                                      "-)",
                                      "-z",
                                      "now",
                                      "--push-state",
                                      "-Bstatic",
                                      "--whole-archive",
                                      "-l",
                                      "z",
                                      "--pop-state",
                                      "-lc",
                                      "--wrap=malloc",
                                      "--defsym",
                                      "size=4"});
    CHECK(line.doubt.empty());
    CHECK(line.output == "out");
    CHECK(line.folders == std::vector<std::string>{"/one", "two"});
    CHECK(line.wanted == std::vector<std::string>{"wanted"});
    CHECK(line.wrapped == std::vector<std::string>{"malloc"});
    CHECK(line.defined == std::vector<std::string>{"size"});
    std::ostringstream shown;
    for (const auto& input : line.inputs) {
        shown << (input.library ? "-l" : "") << input.name << (input.whole ? " whole" : "")
              << (input.as_needed ? " as-needed" : "") << (input.archives_only ? " static" : "")
              << (input.group != 0 ? " group" : "") << ";";
    }
    CHECK(shown.str() == "main.o;-lm as-needed;x.a group;y.a group;-lz whole static;-lc;");
}

TEST_CASE("a linker script gives its inputs in order")
{
    std::vector<std::string> wanted;
    int group = 5;
    const auto inputs =
        read_link_script("/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\n"
                         "GROUP ( /lib/libc.so.6 /usr/lib/libc_nonshared.a  "
                         "AS_NEEDED ( /lib64/ld.so ) )\nEXTERN(e f) INPUT(-lm, \"a b.o\")",
                         wanted,
                         group);
    REQUIRE(inputs);
    REQUIRE(inputs->size() == 5);
    CHECK((*inputs)[0].group == 6);
    CHECK(!(*inputs)[1].as_needed);
    CHECK((*inputs)[2].as_needed);
    CHECK((*inputs)[3].library);
    CHECK((*inputs)[4].name == "a b.o");
    CHECK(wanted == std::vector<std::string>{"e", "f"});
    CHECK(!read_link_script(std::string_view("a\0b", 3), wanted, group));
}
