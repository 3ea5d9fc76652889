#include "stemma/collate/collate.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/hooks/journal.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <random>

using namespace stemma;
using namespace stemma::hooks;

namespace {

Content content_of_text(VersionId id, std::string_view text)
{
    Content content;
    content.id = id;
    content.ids = {sha256(text), git_blob_id(text), text.size()};
    return content;
}

/// A build of one step: cc reads a.c and writes a.o.
std::string make_journal(const std::filesystem::path& folder)
{
    const auto path = (folder / "journal").string();
    JournalWriter writer(path);
    SessionRecord session;
    session.id = "019a2b3c-4d5e-7f60-8123-456789abcdef";
    session.folder = folder.string();
    session.argv = {"make"};
    writer.add(session);
    writer.add(Version{0, (folder / "cc").string(), 1, 2});
    writer.add(content_of_text(0, "cc"));
    writer.add(Version{1, (folder / "a.c").string(), 2, 6});
    writer.add(content_of_text(1, "int a;"));
    writer.add(Version{2, (folder / "a.o").string(), 3, 1});
    writer.add(content_of_text(2, "o"));
    ProcessRecord compiler;
    compiler.pid = 7;
    compiler.serial = 1;
    compiler.started = 1;
    compiler.ended = 2;
    compiler.images.push_back({VersionId{0}, {"cc", "-c", "a.c"}, folder.string(), 0, 0, false});
    compiler.accesses = {{0, access_exec}, {1, access_read}, {2, access_write}};
    writer.add(compiler);
    writer.add(EndRecord{0, 0, 77, 0});
    writer.flush();
    return read_file(path);
}

/// What becomes of a journal with this text: a manifest, or the refusal that it is corrupt.
std::optional<model::Manifest> collated(const std::filesystem::path& folder, std::string_view text)
{
    const auto path = (folder / "damaged").string();
    std::ofstream(path, std::ios::binary) << text; // no fsync, thousands of times
    try {
        return collate_journal(path);
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::corrupt);
        return std::nullopt;
    }
}

Json without_run(const model::Manifest& manifest)
{
    auto json = model::to_json(manifest);
    json.erase("run");
    return json;
}

} // namespace

TEST_CASE("a journal cut at any byte is refused, or its manifest says that it is incomplete")
{
    const TemporaryFolder folder("collate");
    const auto text = make_journal(folder.path());
    REQUIRE(collated(folder.path(), text).value().complete());
    for (std::size_t size = 0; size < text.size(); ++size) {
        const auto manifest = collated(folder.path(), std::string_view(text).substr(0, size));
        CHECK((!manifest || !manifest->complete()));
    }
}

TEST_CASE("no mutation of a journal makes a complete manifest that says something else")
{
    const TemporaryFolder folder("collate");
    const auto text = make_journal(folder.path());
    const auto whole = without_run(collated(folder.path(), text).value());
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same mutations in every run
    for (int round = 0; round < 2'000; ++round) {
        auto mutated = text;
        mutated[random() % mutated.size()] = static_cast<char>(random());
        const auto manifest = collated(folder.path(), mutated);
        const bool is_told = !manifest || !manifest->complete();
        CHECK((is_told || without_run(*manifest) == whole));
    }
}
