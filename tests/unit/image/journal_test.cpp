#include "stemma/core/digest.hpp"
#include "stemma/core/text.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/ext/editor.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "image_files.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

constexpr std::size_t block_size = 4096;

/// An image whose /data file can be overwritten through the journal, by debugfs.
struct Journal {
    TemporaryFolder folder{"journal-test"};
    fs::path raw = folder.path() / "disk.raw";
    std::vector<std::string> blocks;

    explicit Journal(const std::vector<std::string>& options = {})
    {
        const auto tree = folder.path() / "tree";
        support::make_tree(tree);
        write_file(tree / "data", std::string(3 * block_size, 'o'));
        auto all = options;
        all.insert(all.end(), {"-b", "4096"});
        support::make_ext(raw, tree, "48M", all);
        const auto words = support::debugfs(raw, "blocks /data");
        for (const auto word : split_words(trim(words))) {
            blocks.emplace_back(word);
        }
        REQUIRE(blocks.size() == 3);
    }

    fs::path content(const std::string& name, const std::string& text) const
    {
        const auto path = folder.path() / name;
        write_file(path, text);
        return path;
    }

    void script(const std::string& requests) const
    {
        const auto path = content("script", requests);
        Command command{.argv = {"debugfs", "-w", "-f", path.string(), raw.string()}};
        command.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
        run(command);
    }

    /// What e2fsck makes of a copy.
    std::string replayed_by_e2fsck() const
    {
        const auto copy = folder.path() / "copy.raw";
        fs::copy_file(raw, copy, fs::copy_options::overwrite_existing);
        Command command{.argv = {"e2fsck", "-fy", copy.string()}};
        command.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
        run(command);
        return support::debugfs(copy, "cat /data");
    }

    /// What we read, with the image's bytes unchanged.
    std::string read_by_us() const
    {
        const auto before = sha256_file(raw);
        const auto text = disk::open_image_filesystem(raw.string())->read_all("/data", 1 << 20);
        CHECK(sha256_file(raw) == before);
        return text;
    }
};

std::string full(char c)
{
    return std::string(block_size, c);
}

} // namespace

TEST_CASE("a dirty journal reads as e2fsck would replay it, and the image is not written")
{
    for (const std::string open : {"jo", "jo -c", "jo -c -v 2", "jo -c -v 3"}) {
        for (const std::string layout : {"64bit", "^64bit"}) {
            INFO(open << " " << layout);
            const Journal journal({"-O", layout});
            const auto n = journal.content("n", full('n'));
            // A block that starts with the journal's own magic number is logged in disguise.
            const auto magic =
                journal.content("magic", "\xc0\x3b\x39\x98" + std::string(block_size - 4, 'm'));
            journal.script(fmt::format("{}\njw -b {} {}\njw -b {} {}\njc\n",
                                       open,
                                       journal.blocks[0],
                                       n.string(),
                                       journal.blocks[2],
                                       magic.string()));
            const auto expected = journal.replayed_by_e2fsck();
            REQUIRE(expected.substr(0, block_size) == full('n'));
            CHECK(journal.read_by_us() == expected);
        }
    }
}

TEST_CASE("a transaction without its end is not replayed, and a revoked block stays")
{
    const Journal journal;
    const auto a = journal.content("a", full('a'));
    const auto b = journal.content("b", full('b'));
    journal.script(
        fmt::format("jo -c\njw -b {0} {2}\njw -r {0}\njw -b {1} {2}\njw -c -b {1} {3}\njc\n",
                    journal.blocks[0],
                    journal.blocks[1],
                    a.string(),
                    b.string()));
    const auto expected = journal.replayed_by_e2fsck();
    CHECK(expected.substr(0, block_size) == full('o'));
    CHECK(journal.read_by_us() == expected);
}

TEST_CASE("a change to an image with a dirty journal replays it first")
{
    const Journal journal;
    const auto n = journal.content("n", full('n'));
    journal.script(fmt::format("jo -c\njw -b {} {}\njc\n", journal.blocks[1], n.string()));
    const auto expected = journal.replayed_by_e2fsck();
    {
        const auto disk = disk::open_disk(journal.raw, {.writable = true});
        ext::Editor editor(*disk, parse_time("2026-01-01T00:00:00Z"));
        editor.put_file("/new", {}, "new");
        editor.finish();
        ext::check(*disk, journal.folder.path().string());
    }
    CHECK(support::is_clean(journal.raw));
    CHECK(support::debugfs(journal.raw, "cat /data") == expected);
    CHECK(support::debugfs(journal.raw, "cat /new") == "new");
    CHECK(support::debugfs(journal.raw, "show_super_stats -h").find("needs_recovery") ==
          std::string::npos);
}

TEST_CASE("a journal damaged at any byte gives an answer or an error, never a crash")
{
    const Journal journal;
    const auto n = journal.content("n", full('n'));
    journal.script(fmt::format("jo -c\njw -b {} {}\njc\n", journal.blocks[0], n.string()));
    const auto words = support::debugfs(journal.raw, "blocks <8>");
    const auto first = parse_unsigned(split_words(words).front());
    REQUIRE(first.has_value());
    const auto original = read_file(journal.raw);
    for (std::size_t i = 0; i < 60; ++i) {
        auto damaged = original;
        const std::size_t at = *first * block_size + (i * 397) % (4 * block_size);
        damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
        write_file(journal.raw, damaged);
        (void)support::error_of([&] {
            (void)disk::open_image_filesystem(journal.raw.string())->read_all("/data", 1 << 20);
        });
    }
    SUCCEED();
}

TEST_CASE("an unclean file system with fast commits is refused for what it is")
{
    const Journal journal({"-O", "fast_commit"});
    const auto n = journal.content("n", full('n'));
    journal.script(fmt::format("jo\njw -b {} {}\njc\n", journal.blocks[0], n.string()));
    const auto error =
        support::error_of([&] { disk::open_image_filesystem(journal.raw.string()); });
    REQUIRE(error.has_value());
    CHECK(error->message().find("fast commits") != std::string::npos);
}
