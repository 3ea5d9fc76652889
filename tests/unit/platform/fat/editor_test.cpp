#include "stemma/fat/editor.hpp"
#include "stemma/fat/fat.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "fat_files.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

const Time moment = parse_time("2026-03-04T05:06:08Z");

/// True when fsck.fat finds nothing to say.
bool is_clean(const fs::path& image)
{
    const auto result = support::tool({"fsck.fat", "-n", image.string()});
    INFO(result.out);
    CHECK(result.exit.success());
    return result.exit.success();
}

std::string cat(const fs::path& image, const std::string& path)
{
    return support::tool({"mtype", "-i", image.string(), "::" + path}).out;
}

} // namespace

TEST_CASE("what is written to a FAT file system, mtools reads and fsck.fat accepts")
{
    for (const auto& size : support::fat_sizes()) {
        INFO("FAT" << size.bits);
        const TemporaryFolder folder("fat-edit");
        const auto image = support::make_fat(folder.path(), size);
        const auto volume = support::load(image);
        const auto large = support::pattern(100'000);
        {
            fat::Editor editor(*volume, moment);
            CHECK(editor.put_folder("/EFI"));
            CHECK_FALSE(editor.put_folder("/efi"));
            CHECK(editor.put_folder("/EFI/boot loader"));
            editor.put_file("/EFI/BOOTX64.EFI", large);
            editor.put_file("/EFI/boot loader/a name of more than thirteen.cfg", "first");
            editor.put_file("/EFI/boot loader/a name of more than twenty letters.cfg", "second");
            editor.put_file("/EFI/boot loader/grün-😀", "unicode");
            editor.put_file("/empty", "");
            for (int i = 0; i < 60; ++i) {
                editor.put_file(fmt::format("/EFI/boot loader/entry {:02}.conf", i), "x");
            }
            editor.finish();
        }
        support::save(*volume, image);
        CHECK(is_clean(image));
        CHECK(cat(image, "EFI/BOOTX64.EFI") == large);
        CHECK(cat(image, "EFI/boot loader/a name of more than thirteen.cfg") == "first");
        CHECK(cat(image, "EFI/boot loader/entry 59.conf") == "x");
        const auto tree = fat::open_reader(support::load(image));
        CHECK(tree->list("/EFI/boot loader").size() == 63);
        CHECK(tree->read_all("/EFI/boot loader/grün-😀", 100) == "unicode");
        CHECK(tree->look("/EFI/BOOTX64.EFI")->modified == moment);
    }
}

TEST_CASE("replacing and removing gives the room back")
{
    const TemporaryFolder folder("fat-edit");
    const auto image = support::make_fat(folder.path(), {"32", 40 << 20});
    const auto volume = support::load(image);
    fat::Editor editor(*volume, moment);
    const auto before = editor.free_bytes();
    editor.put_file("/some file with a long name", support::pattern(50'000));
    editor.put_file("/Some File With A Long Name", "short");
    CHECK(editor.free_bytes() == before - 512);
    editor.put_folder("/folder");
    editor.put_file("/folder/x", "x");
    const auto full = support::error_of([&] { editor.remove("/folder"); });
    REQUIRE(full.has_value());
    CHECK(full->code() == ErrorCode::usage);
    editor.remove("/folder/x");
    editor.remove("/folder");
    editor.remove("/some file with a long name");
    CHECK(editor.free_bytes() == before);
    editor.finish();
    support::save(*volume, image);
    CHECK(is_clean(image));
    CHECK(fat::open_reader(support::load(image))->list("/").empty());
}

TEST_CASE("the same changes give the same bytes")
{
    const TemporaryFolder folder("fat-edit");
    const auto image = support::make_fat(folder.path(), {"16", 16 << 20});
    std::vector<std::string> results;
    for (int i = 0; i < 2; ++i) {
        const auto volume = support::load(image);
        fat::Editor editor(*volume, moment);
        editor.put_folder("/a folder");
        editor.put_file("/a folder/file", support::pattern(3000));
        editor.finish();
        const auto path = folder.path() / "result";
        support::save(*volume, path);
        results.push_back(read_file(path));
    }
    CHECK(results[0] == results[1]);
}

TEST_CASE("a full FAT file system, names it cannot hold and folders in the way are refused")
{
    const TemporaryFolder folder("fat-edit");
    const auto image = support::make_fat(folder.path(), {"12", 1440 << 10});
    const auto volume = support::load(image);
    fat::Editor editor(*volume, moment);
    const auto code_of = [&](const std::string& path, const std::string& content) {
        const auto error = support::error_of([&] { editor.put_file(path, content); });
        return error ? std::optional(error->code()) : std::nullopt;
    };
    CHECK(code_of("/large", std::string(2 << 20, 'x')) == ErrorCode::io);
    CHECK(code_of("/what?", "x") == ErrorCode::usage);
    CHECK(code_of("/dot.", "x") == ErrorCode::usage);
    CHECK(code_of("/\xff", "x") == ErrorCode::usage);
    CHECK(code_of("/" + std::string(256, 'x'), "x") == ErrorCode::usage);
    CHECK(code_of("/missing/x", "x") == ErrorCode::usage);
    editor.put_folder("/folder");
    CHECK(code_of("/FOLDER", "x") == ErrorCode::usage);
    CHECK_FALSE(code_of("/" + std::string(255, 'x'), "x").has_value());
    editor.finish();
    support::save(*volume, image);
    CHECK(is_clean(image));
}

TEST_CASE("a FAT file system that was not closed, or whose tables differ, is not written")
{
    const TemporaryFolder folder("fat-edit");
    const auto image = support::make_fat(folder.path(), {"32", 40 << 20});
    const auto content = read_file(image);
    const std::size_t table = static_cast<unsigned char>(content[14]) * 512U;
    auto dirty = content;
    dirty[table + 7] = static_cast<char>(dirty[table + 7] & ~0x08);
    auto differing = content;
    differing[table + 400] = 'x';
    for (const auto& [damaged, word] :
         {std::pair{dirty, "not closed cleanly"}, {differing, "differ"}}) {
        write_file(image, damaged);
        const auto volume = support::load(image);
        const auto error = support::error_of([&] { const fat::Editor editor(*volume, moment); });
        REQUIRE(error.has_value());
        CHECK(error->message().find(word) != std::string::npos);
    }
}
