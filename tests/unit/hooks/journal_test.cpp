#include "stemma/core/file.hpp"
#include "stemma/hooks/journal.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <thread>

using namespace stemma;
using namespace stemma::hooks;

namespace {

class Collector final : public JournalVisitor {
public:
    void session(std::uint64_t, SessionRecord record) override
    {
        sessions.push_back(std::move(record));
    }
    void version(std::uint64_t, Version version) override
    {
        versions.push_back(std::move(version));
    }
    void content(std::uint64_t, const Content& content) override { contents.push_back(content); }
    void process(std::uint64_t, ProcessRecord record) override
    {
        processes.push_back(std::move(record));
    }
    void hole(std::uint64_t, const HoleRecord& record) override { holes.push_back(record); }
    void end(std::uint64_t, const EndRecord& record) override { ends.push_back(record); }

    std::vector<SessionRecord> sessions;
    std::vector<Version> versions;
    std::vector<Content> contents;
    std::vector<ProcessRecord> processes;
    std::vector<HoleRecord> holes;
    std::vector<EndRecord> ends;
};

ProcessRecord make_process(std::int64_t pid)
{
    ProcessRecord record;
    record.pid = pid;
    record.serial = 4;
    record.exit = -1;
    record.tag = Tag{"shopd", "EXECUTABLE", "CXX", "a.o", "compile"};
    record.images.push_back(
        {VersionId{1}, {"cc", "-c", std::string("\0\n", 2)}, "/src", 7, 8, true});
    record.accesses = {{0, access_read}, {1, access_exec | access_read}};
    record.extractions = {{1, false, {0, 7, 300}, ""}, {0, true, {}, "why"}};
    return record;
}

void write_sample(const std::string& path, int processes)
{
    JournalWriter writer(path);
    SessionRecord session;
    session.id = "id";
    session.argv = {"make", "-j8"};
    writer.add(session);
    writer.add(Version{0, "/usr/include/stdio.h", 0xfedcba9876543210U, 12});
    writer.add(Version{1, "/usr/include/stdlib.h", 2, 13});
    Content content;
    content.id = 1;
    content.ids = {sha256("x"), git_blob_id("x"), 1};
    content.kind = 'o';
    content.build_id = "abcd";
    content.members = {{"a.o", 3, sha256("abc")}, {"b.o", 0, sha256("")}};
    writer.add(content);
    for (int i = 0; i < processes; ++i) {
        writer.add(make_process(i));
    }
    writer.add(HoleRecord{-1, "prog", "why"});
    writer.add(EndRecord{3, 9, 77, 0});
}

} // namespace

TEST_CASE("what is written to a journal is read from it")
{
    const TemporaryFolder folder("journal");
    const auto path = (folder.path() / "j").string();
    write_sample(path, 1);
    Collector seen;
    const auto loss = read_journal(read_file(path), seen);
    CHECK(loss.bytes == 0);
    CHECK(loss.records == 0);
    REQUIRE(seen.versions.size() == 2);
    CHECK(seen.versions[0] == Version{0, "/usr/include/stdio.h", 0xfedcba9876543210U, 12});
    CHECK(seen.versions[1].path == "/usr/include/stdlib.h");
    REQUIRE(seen.processes.size() == 1);
    CHECK(seen.processes[0].exit == -1);
    CHECK(seen.processes[0].tag->target == "shopd");
    CHECK(seen.processes[0].images[0].argv[2] == std::string("\0\n", 2));
    CHECK(seen.processes[0].images[0].program == VersionId{1});
    CHECK(seen.processes[0].accesses.size() == 2);
    REQUIRE(seen.processes[0].extractions.size() == 2);
    CHECK(seen.processes[0].extractions[0].members == std::vector<std::uint32_t>{0, 7, 300});
    CHECK(seen.processes[0].extractions[1].thin);
    CHECK(seen.processes[0].extractions[1].doubt == "why");
    CHECK(seen.contents.at(0).ids.sha256 == sha256("x"));
    REQUIRE(seen.contents.at(0).members.size() == 2);
    CHECK(seen.contents.at(0).members[0] == ArchiveMember{"a.o", 3, sha256("abc")});
    CHECK(seen.holes.at(0).reason == "why");
    CHECK(seen.ends.at(0).signal == 9);
}

TEST_CASE("a journal cut at any byte gives the records before the cut and counts the rest")
{
    const TemporaryFolder folder("journal");
    const auto path = (folder.path() / "j").string();
    write_sample(path, 5);
    const auto text = read_file(path);
    std::size_t before = 0;
    for (std::size_t size = 0; size <= text.size(); ++size) {
        Collector seen;
        const auto loss = read_journal(std::string_view(text).substr(0, size), seen);
        CHECK(seen.processes.size() >= before); // an earlier record is never lost
        before = seen.processes.size();
        CHECK(loss.bytes <= size);
        CHECK(loss.records == 0);
    }
    CHECK(before == 5);
}

TEST_CASE("a flipped byte costs the record that it hits and no other")
{
    const TemporaryFolder folder("journal");
    const auto path = (folder.path() / "j").string();
    write_sample(path, 20);
    const auto text = read_file(path);
    for (std::size_t at = 0; at < text.size(); at += 7) {
        auto damaged = text;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
        Collector seen;
        const auto loss = read_journal(damaged, seen);
        CHECK(seen.processes.size() >= 19);
        CHECK(loss.bytes > 0);
    }
}

TEST_CASE("mutated journals are read without harm")
{
    const TemporaryFolder folder("journal");
    const auto path = (folder.path() / "j").string();
    write_sample(path, 3);
    const auto text = read_file(path);
    std::mt19937 random(5); // NOLINT(cert-msc51-cpp): the same mutations in every run
    for (int round = 0; round < 10'000; ++round) {
        auto mutated = text;
        for (int i = 0; i < 3; ++i) {
            mutated[random() % mutated.size()] = static_cast<char>(random());
        }
        Collector seen;
        read_journal(mutated, seen);
        CHECK(seen.processes.size() <= 3);
    }
}

TEST_CASE("many writers of one journal tear no record")
{
    const TemporaryFolder folder("journal");
    const auto path = (folder.path() / "j").string();
    constexpr int threads = 16;
    constexpr int each = 200;
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t) {
        running.emplace_back([&] {
            for (int i = 0; i < each; ++i) {
                JournalWriter writer(path);
                writer.add(make_process(i));
            }
        });
    }
    for (auto& thread : running) {
        thread.join();
    }
    Collector seen;
    const auto loss = read_journal(read_file(path), seen);
    CHECK(loss.bytes == 0);
    CHECK(seen.processes.size() == threads * each);
}

TEST_CASE("a journal on a full disk fails quietly")
{
    JournalWriter writer("/dev/full");
    writer.add(make_process(1));
    writer.flush();
    CHECK(writer.failed());
    JournalWriter nowhere("/no/such/folder/j");
    nowhere.add(make_process(1));
    nowhere.flush();
    CHECK(nowhere.failed());
}
