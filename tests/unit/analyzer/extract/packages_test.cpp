#include "stemma/analyzer/extract.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"

#include <catch2/catch.hpp>

#include <map>

#include "tree_maker.hpp"

using namespace stemma;
using namespace stemma::analyzer;

TEST_CASE("the packages of this machine are those that dpkg-query prints")
{
    if (!find_program("dpkg-query") || !std::filesystem::exists("/var/lib/dpkg/status")) {
        WARN("[stemma-skip] no dpkg here");
        return;
    }
    const auto printed =
        run_checked({.argv = {"dpkg-query",
                              "-W",
                              "-f",
                              "${Package} ${Architecture} ${Version} ${db:Status-Status}\n"}});
    std::map<std::string, std::string> expected; // "name arch" → version
    std::map<std::string, int> architectures;
    for (const auto line : split_lines(printed.out)) {
        const auto words = split_words(line);
        if (words.size() == 4 && words[3] != "not-installed") {
            expected[fmt::format("{} {}", words[0], words[1])] = words[2];
            ++architectures[std::string(words[0])];
        }
    }
    const auto root = volume::open_folder("/");
    const auto set = support::features_of(
        *root, parse_definition("version: 1\nname: p\npackages: [dpkg]\n", "p"));
    std::size_t versions = 0;
    for (const auto& feature : set.features) {
        versions += feature.attribute == "version" ? 1U : 0U;
    }
    CHECK(versions == expected.size());
    for (const auto& [key, version] : expected) {
        const auto words = split_words(key);
        std::string identity(words[0]);
        if (architectures[identity] > 1) {
            identity += ":" + std::string(words[1]);
        }
        CAPTURE(identity);
        CHECK(set.value_of("package", identity, "version") == version);
    }
}

TEST_CASE("apk's packages and those of images without a package manager are read")
{
    support::TreeMaker apk;
    apk.file("lib/apk/db/installed",
             "C:Q1\nP:musl\nV:1.2.4-r2\nA:x86_64\no:musl\n\n"
             "P:ssl_client\nV:1.36\nA:x86_64\no:busybox\n");
    const auto definition =
        parse_definition("version: 1\nname: p\npackages: [dpkg, apk, rpm]\n", "p");
    auto set = support::features_of(*apk.as_folder(), definition);
    CHECK(set.value_of("package", "musl", "version") == "1.2.4-r2");
    CHECK(set.value_of("package", "ssl_client", "source") == "busybox");
    CHECK(set.find("package", "musl", "version")->type == "apk");

    support::TreeMaker distroless;
    distroless.file("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12\n")
        .file("var/lib/dpkg/status.d/base.md5sums", "0  x\n");
    set = support::features_of(*distroless.as_folder(), definition);
    CHECK(set.value_of("package", "base-files", "version") == "12");

    support::TreeMaker rpm;
    rpm.file("var/lib/rpm/rpmdb.sqlite", "SQLite format 3");
    set = support::features_of(*rpm.as_folder(), definition);
    CHECK(support::report_of(set, "packages").status == Status::partial);
}
