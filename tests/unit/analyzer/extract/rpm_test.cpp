#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/sqlite/database.hpp"

#include <catch2/catch.hpp>

#include <random>

#include "rpm.hpp"
#include "tree_maker.hpp"

using namespace stemma;
using namespace stemma::analyzer;

namespace {

std::string word(std::uint32_t value)
{
    std::string bytes;
    for (const unsigned shift : {24U, 16U, 8U, 0U}) {
        bytes.push_back(static_cast<char>((value >> shift) & 0xFFU));
    }
    return bytes;
}

/// A header as rpm writes it, of string tags.
std::string header(const std::vector<std::pair<std::uint32_t, std::string>>& tags)
{
    std::string index;
    std::string store;
    for (const auto& [tag, text] : tags) {
        index += word(tag) + word(6) + word(static_cast<std::uint32_t>(store.size())) + word(1);
        store += text + '\0';
    }
    return word(static_cast<std::uint32_t>(tags.size())) +
           word(static_cast<std::uint32_t>(store.size())) + index + store;
}

sqlite::Options creating()
{
    sqlite::Options options;
    options.create = true;
    return options;
}

std::string bash_header()
{
    return header({{1000, "bash"},
                   {1001, "5.1.8"},
                   {1002, "9.el9"},
                   {1022, "x86_64"},
                   {1044, "bash-5.1.8-9.el9.src.rpm"}});
}

void make_database(const std::filesystem::path& file, const std::vector<std::string>& blobs)
{
    std::filesystem::create_directories(file.parent_path());
    sqlite::Database database(file.string(), creating());
    database.execute(
        "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)");
    for (const auto& blob : blobs) {
        database.prepare("INSERT INTO Packages (blob) VALUES (?)").bind(sqlite::Blob{blob}).run();
    }
}

FeatureSet packages_of(const support::TreeMaker& tree)
{
    return support::features_of(*tree.as_folder(),
                                parse_definition("version: 1\nname: p\npackages: [rpm]\n", "p"));
}

} // namespace

TEST_CASE("packages of rpm's database are read, whatever else is in it")
{
    support::TreeMaker tree;
    make_database(
        tree.root() / "var/lib/rpm/rpmdb.sqlite",
        {bash_header(),
         header({{1000, "gpg-pubkey"}, {1001, "1"}, {1002, "1"}}),
         "torn",
         header({{1000, "ssl-libs"}, {1001, "3"}, {1002, "1"}, {1044, "openssl-3-1.src.rpm"}})});
    const auto set = packages_of(tree);
    CHECK(set.value_of("package", "bash", "version") == "5.1.8-9.el9");
    CHECK(set.value_of("package", "bash", "architecture") == "x86_64");
    CHECK(set.find("package", "bash", "source") == nullptr);
    CHECK(set.value_of("package", "ssl-libs", "source") == "openssl");
    CHECK(set.find("package", "gpg-pubkey", "version") == nullptr);
    CHECK_THAT(support::report_of(set, "packages").reason,
               Catch::Contains("1 damaged headers in rpm's database"));
}

TEST_CASE("a database that only pretends to be rpm's is refused, and said to be")
{
    support::TreeMaker tree;
    const auto file = tree.root() / "var/lib/rpm/rpmdb.sqlite";
    std::filesystem::create_directories(file.parent_path());
    {
        sqlite::Database database(file.string(), creating());
        database.execute("CREATE VIEW Packages AS WITH RECURSIVE n(hnum, blob) AS (SELECT 1, '' "
                         "UNION ALL SELECT hnum + 1, '' FROM n) SELECT hnum, blob FROM n");
    }
    CHECK(support::report_of(packages_of(tree), "packages").status == Status::partial);
    support::TreeMaker damaged;
    damaged.file("var/lib/rpm/rpmdb.sqlite", "SQLite format 3, or so it says");
    CHECK(support::report_of(packages_of(damaged), "packages").status == Status::partial);
    support::TreeMaker old;
    old.file("var/lib/rpm/Packages", "Berkeley DB");
    CHECK_THAT(support::report_of(packages_of(old), "packages").reason,
               Catch::Contains("older than SQLite"));
}

TEST_CASE("no header makes the reader fall, however it was changed")
{
    std::mt19937 random(9);
    const std::string good = bash_header();
    REQUIRE(read_rpm_header(good)->version == "5.1.8-9.el9");
    for (int round = 0; round < 20'000; ++round) {
        std::string bad = good;
        for (int change = 0; change < 3; ++change) {
            bad[random() % bad.size()] = static_cast<char>(random());
        }
        bad.resize(random() % (bad.size() + 1));
        CHECK_NOTHROW(read_rpm_header(bad));
    }
}

TEST_CASE("rpm itself prints the same packages")
{
    if (!find_program("rpm") || !find_program("rpmbuild")) {
        WARN("[stemma-skip] no rpm here");
        return;
    }
    const TemporaryFolder folder("rpm-oracle");
    const auto at = [&](const std::string& name) { return (folder.path() / name).string(); };
    write_file(at("a.spec"),
               "Name: probe\nEpoch: 2\nVersion: 1.4\nRelease: 7\nSummary: x\nLicense: x\n"
               "BuildArch: noarch\n%description\nx\n%files\n");
    run_checked({.argv = {"rpmbuild", "-bb", "--define", "_topdir " + at("top"), at("a.spec")}});
    support::TreeMaker tree;
    std::filesystem::create_directories(tree.root() / "var/lib/rpm");
    const std::string database = (tree.root() / "var/lib/rpm").string();
    run_checked({.argv = {"rpm",
                          "--define",
                          "_db_backend sqlite",
                          "--dbpath",
                          database,
                          "--nodeps",
                          "--justdb",
                          "-i",
                          at("top/RPMS/noarch/probe-1.4-7.noarch.rpm")}});
    const auto printed = run_checked({.argv = {"rpm",
                                               "--define",
                                               "_db_backend sqlite",
                                               "--dbpath",
                                               database,
                                               "-qa",
                                               "--qf",
                                               "%{EPOCH}:%{VERSION}-%{RELEASE} %{ARCH}"}});
    const auto set = packages_of(tree);
    CHECK(printed.out == set.value_of("package", "probe", "version") + " " +
                             set.value_of("package", "probe", "architecture"));
}
