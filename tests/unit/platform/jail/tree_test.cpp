#include "stemma/core/file.hpp"
#include "stemma/jail/tree.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

/// A tree that is made up: /file with `size` bytes, /folder with n entries, /link, and traps.
class Made final : public volume::Filesystem {
public:
    [[nodiscard]] std::string driver() const override { return "made"; }
    [[nodiscard]] std::optional<volume::NodeInfo> look(const std::string& path) override
    {
        if (path == "/crash") {
            std::raise(SIGSEGV);
        }
        if (path == "/bad") {
            throw Error(ErrorCode::corrupt, "its inode is damaged");
        }
        if (path == "/absent") {
            return std::nullopt;
        }
        volume::NodeInfo info;
        info.kind = path == "/" || path == "/folder" ? volume::NodeKind::directory
                    : path == "/link"                ? volume::NodeKind::symlink
                                                     : volume::NodeKind::file;
        info.mode = 04755;
        info.uid = 70000;
        info.gid = 0xFFFFFFFE;
        info.size = std::uint64_t{1} << 40U;
        info.inode = 42;
        info.links = 3;
        info.modified = Time(std::chrono::microseconds(-5));
        return info;
    }
    [[nodiscard]] std::optional<volume::NodeInfo> look_through(const std::string& path) override
    {
        return look(path == "/link" ? "/file" : path);
    }
    [[nodiscard]] std::vector<volume::FolderEntry> list(const std::string& path) override
    {
        std::vector<volume::FolderEntry> all;
        if (path == "/") {
            all = {{"bad", volume::NodeKind::file},
                   {"file", volume::NodeKind::file},
                   {"folder", volume::NodeKind::directory},
                   {"..", volume::NodeKind::directory},
                   {"a/b", volume::NodeKind::file},
                   {"link", volume::NodeKind::symlink}};
        } else {
            for (int i = 0; i < 50'000; ++i) {
                all.push_back({fmt::format("entry-{:05}", i), volume::NodeKind::file});
            }
        }
        return all;
    }
    void read(const std::string& path, const std::function<bool(std::string_view)>& sink) override
    {
        for (int i = 0; i < 64; ++i) {
            if (path == "/torn" && i == 3) {
                throw Error(ErrorCode::corrupt, "its fourth piece is damaged");
            }
            if (!sink(std::string(1 << 20, static_cast<char>('a' + i % 26)))) {
                return;
            }
        }
    }
    [[nodiscard]] std::string read_link(const std::string&) override { return "file\xff"; }
    [[nodiscard]] std::map<std::string, std::string>
    extended_attributes(const std::string&) override
    {
        return {{"security.capability", std::string("\0\1", 2)}, {"user.x", ""}};
    }
};

std::unique_ptr<volume::Filesystem> open_made()
{
    return jail::open_tree(
        std::make_unique<volume::MemoryVolume>(std::vector<std::byte>(512), "made.img"),
        [](std::unique_ptr<volume::Volume>, const jail::Explain&) {
            return std::make_unique<Made>();
        });
}

} // namespace

TEST_CASE("a tree in a jail answers as it would outside")
{
    const auto tree = open_made();
    CHECK(tree->driver() == "made");
    const auto info = tree->look("/file");
    REQUIRE(info.has_value());
    CHECK(info->kind == volume::NodeKind::file);
    CHECK(info->mode == 04755);
    CHECK(info->uid == 70000);
    CHECK(info->gid == 0xFFFFFFFE);
    CHECK(info->size == std::uint64_t{1} << 40U);
    CHECK(info->inode == 42);
    CHECK(info->links == 3);
    CHECK(info->modified == Time(std::chrono::microseconds(-5)));
    CHECK_FALSE(tree->look("/absent").has_value());
    CHECK(tree->look("/link")->kind == volume::NodeKind::symlink);
    CHECK(tree->look_through("/link")->kind == volume::NodeKind::file);
    CHECK(tree->read_link("/link") == "file\xff");
    CHECK(tree->extended_attributes("/file") == Made().extended_attributes("/file"));
    CHECK(tree->list("/folder").size() == 50'000);
    CHECK(tree->list("/folder")[4711].name == "entry-04711");
}

TEST_CASE("names that lead a path astray do not leave the jail")
{
    const auto tree = open_made();
    for (const auto& entry : tree->list("/")) {
        CHECK(entry.name != "..");
        CHECK(entry.name != "a/b");
    }
}

TEST_CASE("content comes whole, in part, and with what broke it; the next question is answered")
{
    const auto tree = open_made();
    std::string all;
    tree->read("/file", [&](std::string_view part) {
        all += part;
        return true;
    });
    CHECK(all.size() == std::size_t{64} << 20U);
    CHECK(all.substr(25 << 20U, 2) == "zz");
    int pieces = 0;
    tree->read("/file", [&](std::string_view) { return ++pieces < 2; });
    CHECK(pieces == 2);
    CHECK(tree->read_link("/link") == "file\xff");
    CHECK(support::error_of([&] { (void)tree->read_all("/file", 1000); })->code() ==
          ErrorCode::unsupported);
    CHECK(tree->read_link("/link") == "file\xff");
    std::size_t before = 0;
    const auto torn = support::error_of([&] {
        tree->read("/torn", [&](std::string_view part) {
            before += part.size();
            return true;
        });
    });
    REQUIRE(torn.has_value());
    CHECK(torn->message() == "its fourth piece is damaged");
    CHECK(before == std::size_t{3} << 20U);
    CHECK(tree->look("/file").has_value());
}

TEST_CASE("one damaged node costs a walk that node")
{
    const auto tree = open_made();
    std::vector<std::string> damaged;
    std::size_t seen = 0;
    volume::walk(
        *tree,
        "/",
        [&](const std::string& path, const volume::NodeInfo&) {
            ++seen;
            return path == "/";
        },
        [&](const std::string& path, const std::string& why) {
            damaged.push_back(path + ": " + why);
        });
    CHECK(seen == 4);
    REQUIRE(damaged.size() == 1);
    CHECK(damaged[0].find("/bad: its inode is damaged") == 0);
}

TEST_CASE("after a crash everything fails with the same reason, and a walk ends")
{
    const auto tree = open_made();
    const auto first = support::error_of([&] { (void)tree->look("/crash"); });
    REQUIRE(first.has_value());
    CHECK(first->code() == ErrorCode::corrupt);
    CHECK(first->message().find("made.img") == 0);
    CHECK(tree->gone());
    const auto second = support::error_of([&] { (void)tree->list("/"); });
    REQUIRE(second.has_value());
    CHECK(second->message() == first->message());
    CHECK(support::error_of([&] {
              volume::walk(
                  *tree,
                  "/",
                  [](const auto&, const auto&) { return true; },
                  [](const auto&, const auto&) {});
          }).has_value());
}

TEST_CASE("a tree that cannot be opened says why, and what was tried on the way")
{
    std::vector<std::string> sentences;
    const auto error = support::error_of([&] {
        jail::open_tree(
            std::make_unique<volume::MemoryVolume>(std::vector<std::byte>(512), "made.img"),
            [](std::unique_ptr<volume::Volume> volume,
               const jail::Explain& explain) -> std::unique_ptr<volume::Filesystem> {
                explain("looking at " + volume->name());
                throw Error(ErrorCode::not_found, "nothing is there");
            },
            [&](const std::string& sentence) { sentences.push_back(sentence); });
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::not_found);
    CHECK(sentences == std::vector<std::string>{"looking at made.img"});
}
