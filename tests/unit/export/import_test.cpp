#include "stemma/export/cyclonedx.hpp"
#include "stemma/export/dsse.hpp"
#include "stemma/export/import.hpp"
#include "stemma/export/spdx.hpp"
#include "stemma/export/statement.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <random>

#include "sample.hpp"

using namespace stemma;
using namespace stemma::exporting;
using stemma::support::error_of;

namespace {

const Tool tool = {"stemma", "0"};
const Time at = parse_time("2026-05-06T07:08:09Z");

std::string a_digest(char digit)
{
    return std::string(64, digit);
}

/// As a GitHub workflow signs them.
Json foreign_statement()
{
    return {{"_type", "https://in-toto.io/Statement/v1"},
            {"subject",
             Json::array({{{"name", "tool_2.1_arm64.deb"}, {"digest", {{"sha256", a_digest('a')}}}},
                          {{"name", "tool"}, {"digest", {{"sha256", a_digest('b')}}}}})},
            {"predicateType", "https://slsa.dev/provenance/v1"},
            {"predicate",
             {{"buildDefinition",
               {{"buildType", "https://actions.github.io/buildtypes/workflow/v1"},
                {"externalParameters", {{"workflow", {{"ref", "refs/heads/main"}}}}},
                {"resolvedDependencies",
                 Json::array({{{"uri", "git+https://github.com/o/tool@refs/heads/main"},
                               {"digest", {{"gitCommit", std::string(40, 'c')}}}},
                              {{"uri", "https://example.org/x.tar.gz"},
                               {"digest", {{"sha256", a_digest('d')}}}}})}}},
              {"runDetails",
               {{"builder", {{"id", "https://github.com/actions/runner"}}},
                {"metadata", {{"finishedOn", "2026-02-03T04:05:06Z"}}}}}}}};
}

std::string spdx_text()
{
    return R"({"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"n","dataLicense":"CC0-1.0",
"documentNamespace":"https://x","creationInfo":{"created":"2026-02-03T04:05:06Z","creators":["Tool: t"]},
"packages":[{"SPDXID":"SPDXRef-a","name":"zlib","versionInfo":"1.3","downloadLocation":"NONE",
"checksums":[{"algorithm":"SHA256","checksumValue":")" +
           a_digest('1') + R"("}],"externalRefs":[{"referenceCategory":"PACKAGE-MANAGER",
"referenceType":"purl","referenceLocator":"pkg:deb/debian/zlib1g@1.3?arch=amd64"}]},
{"SPDXID":"SPDXRef-b","name":"nosum","downloadLocation":"NONE"}],
"files":[{"SPDXID":"SPDXRef-f","fileName":"./lib/libz.so","checksums":[
{"algorithm":"SHA1","checksumValue":"0000000000000000000000000000000000000000"},
{"algorithm":"SHA256","checksumValue":")" +
           a_digest('2') + R"("}]}],
"relationships":[{"spdxElementId":"SPDXRef-a","relationshipType":"CONTAINS","relatedSpdxElement":"SPDXRef-f"}]})";
}

std::string cyclonedx_text()
{
    return R"({"bomFormat":"CycloneDX","specVersion":"1.4","metadata":{"timestamp":"2026-02-03T04:05:06Z",
"component":{"type":"application","name":"app_1.0_amd64.deb","hashes":[{"alg":"SHA-256","content":")" +
           a_digest('3') +
           R"("}],"components":[{"type":"file","name":"/usr/bin/app","hashes":[{"alg":"SHA-256","content":")" +
           a_digest('4') + R"("}]}]}},
"components":[{"type":"library","name":"z","version":"1","purl":"pkg:npm/z@1","hashes":[
{"alg":"SHA-512","content":"00"},{"alg":"SHA-256","content":")" +
           a_digest('5') + R"("}]},{"type":"library","name":"nohash"}]})";
}

} // namespace

TEST_CASE("a foreign attestation becomes a declared build and its package")
{
    const auto imported = import_statement(foreign_statement(), at);
    REQUIRE(imported.drafts.size() == 2);
    CHECK(imported.drafts[0].kind == "build.recorded");
    CHECK(format_time(imported.drafts[0].at) == "2026-02-03T04:05:06.000000Z");
    const auto manifest = model::manifest_from_json(imported.drafts[0].body["manifest"]);
    CHECK(manifest.build.repo == "https://github.com/o/tool");
    CHECK(manifest.build.commit == std::string(40, 'c'));
    CHECK(manifest.build.name == "tool");
    CHECK_FALSE(manifest.complete());
    CHECK(manifest.artifacts.size() == 2);
    REQUIRE(manifest.steps.size() == 1);
    CHECK(manifest.steps[0].inputs.size() == 1);
    CHECK(manifest.steps[0].outputs.size() == 2);
    CHECK(imported.drafts[1].kind == "package.packed");
    const auto& package = imported.drafts[1].body;
    CHECK(package["name"] == "tool");
    CHECK(package["version"] == "2.1");
    CHECK(package["arch"] == "arm64");
    CHECK(package["sha256"] == a_digest('a'));
    CHECK(package["build"] == manifest.run.id);
}

TEST_CASE("SLSA 0.2 is read too")
{
    Json old = {
        {"_type", "https://in-toto.io/Statement/v0.1"},
        {"subject", Json::array({{{"name", "a.tar.gz"}, {"digest", {{"sha256", a_digest('e')}}}}})},
        {"predicateType", "https://slsa.dev/provenance/v0.2"},
        {"predicate",
         {{"builder", {{"id", "https://b"}}},
          {"buildType", "https://t"},
          {"materials",
           Json::array({{{"uri", "git+https://h/r@refs/tags/v1"},
                         {"digest", {{"sha1", std::string(40, 'f')}}}}})}}}};
    const auto imported = import_statement(old, at);
    REQUIRE(imported.drafts.size() == 2);
    CHECK(imported.drafts[0].at == at);
    const auto manifest = model::manifest_from_json(imported.drafts[0].body["manifest"]);
    CHECK(manifest.build.repo == "https://h/r");
    CHECK(manifest.build.commit == std::string(40, 'f'));
}

TEST_CASE("our own statement comes back with its sources")
{
    const auto manifest = sample::build();
    const auto statement = slsa_statement(manifest, deliverables(manifest).at(0), tool);
    const auto imported = import_statement(statement, at);
    REQUIRE(imported.drafts.size() == 1);
    const auto back = model::manifest_from_json(imported.drafts[0].body["manifest"]);
    CHECK(back.build.name == "shop");
    CHECK(back.build.repo == sample::repo);
    CHECK(back.run.finished == manifest.run.finished);
    std::size_t found = 0;
    for (const auto& file : back.files) {
        for (const auto& original : manifest.files) {
            found += file.sha256 == original.sha256 && file.repo == original.repo &&
                             file.package == original.package && file.state == original.state
                         ? 1U
                         : 0U;
        }
    }
    CHECK(found == back.files.size());
}

TEST_CASE("packages of an SPDX document, with the files that they contain")
{
    const auto imported = import_document(spdx_text(), "x.spdx.json", at);
    REQUIRE(imported);
    REQUIRE(imported->drafts.size() == 1);
    CHECK(imported->notes.size() == 1);
    const auto& body = imported->drafts[0].body;
    CHECK(body["purl"] == "pkg:deb/debian/zlib1g@1.3?arch=amd64");
    CHECK(body["arch"] == "amd64");
    REQUIRE(body["payload"].size() == 1);
    CHECK(body["payload"][0]["path"] == "lib/libz.so");
    CHECK(body["payload"][0]["sha256"] == a_digest('2'));
    CHECK(body["payload"][0]["link"] == "unexplained");
}

TEST_CASE("components of a CycloneDX document, with the files nested in them")
{
    const auto imported = import_document(cyclonedx_text(), "x.cdx.json", at);
    REQUIRE(imported);
    REQUIRE(imported->drafts.size() == 2);
    CHECK(imported->notes.size() == 1);
    CHECK(imported->drafts[0].body["name"] == "app");
    CHECK(imported->drafts[0].body["payload"].size() == 1);
    CHECK(imported->drafts[1].body["purl"] == "pkg:npm/z@1");
}

TEST_CASE("what we export as SBOM can be imported: the package with its payload")
{
    const auto manifest = sample::build();
    const auto package = package_deliverable(manifest, sample::package());
    for (const auto& document : {spdx_document(manifest, std::span(&package, 1), {}, tool),
                                 cyclonedx_bom(manifest, std::span(&package, 1), {}, tool)}) {
        const auto imported = import_document(document.dump(), "x", at);
        REQUIRE(imported);
        REQUIRE(imported->drafts.size() == 1);
        CHECK(imported->drafts[0].body["sha256"] == sha256("deb").hex());
        CHECK(imported->drafts[0].body["payload"].size() == 3);
        CHECK(imported->drafts[0].body["version"] == "1.0");
    }
}

TEST_CASE("an envelope and a bundle of them are opened")
{
    const auto key = sodium::SecretKey::generate();
    const auto line =
        canonical_json(to_json(sign_envelope(canonical_json(foreign_statement()), key)));
    CHECK(import_document(line, "one", at)->drafts.size() == 2);
    CHECK(import_document(line + "\n" + line + "\n", "bundle", at)->drafts.size() == 4);
}

TEST_CASE("other JSON is left to others")
{
    CHECK_FALSE(import_document("{}", "x", at));
    CHECK_FALSE(import_document(R"({"schema":"stemma.manifest/1"})", "x", at));
    CHECK_FALSE(import_document("{\"a\":1}\n{\"b\":2}\n", "x", at));
    CHECK_FALSE(import_document("[1]", "x", at));
}

TEST_CASE("the same document is the same events, another one another origin")
{
    const auto text = spdx_text();
    const auto once = as_events(*import_document(text, "a", at), text);
    const auto again = as_events(*import_document(text, "b", at + std::chrono::hours(1)), text);
    REQUIRE(once.size() == 1);
    CHECK(once == again); // the document has its own time
    CHECK(once[0].oseq == 1);
    const auto other = as_events(*import_document(text + "\n", "a", at), text + "\n");
    CHECK(other[0].origin != once[0].origin);
}

TEST_CASE("a document cut at any byte is refused")
{
    const auto key = sodium::SecretKey::generate();
    const auto envelope =
        canonical_json(to_json(sign_envelope(canonical_json(foreign_statement()), key)));
    for (const auto& text : {spdx_text(), cyclonedx_text(), envelope}) {
        for (std::size_t cut = 0; cut < text.size(); ++cut) {
            std::optional<Imported> imported;
            const auto error =
                error_of([&] { imported = import_document(text.substr(0, cut), "x", at); });
            INFO(cut);
            REQUIRE((error || !imported));
        }
    }
}

TEST_CASE("mutated documents are imported as valid events or refused with an Error")
{
    const std::vector<std::string> texts = {
        spdx_text(), cyclonedx_text(), canonical_json(foreign_statement())};
    std::mt19937 random(5);
    for (int round = 0; round < 10000; ++round) {
        auto text = texts[random() % texts.size()];
        for (unsigned change = random() % 4 + 1; change > 0; --change) {
            const auto place = random() % text.size();
            switch (random() % 3) {
            case 0:
                text[place] = static_cast<char>(random());
                break;
            case 1:
                text.erase(place, random() % 20);
                break;
            default:
                text.insert(place, text.substr(random() % text.size(), random() % 30));
            }
        }
        error_of([&] { // an exception of another type fails the test
            const auto imported = import_document(text, "x", at);
            for (const auto& event :
                 imported ? as_events(*imported, text) : std::vector<model::Event>()) {
                if (event.kind == "build.recorded") {
                    model::manifest_from_json(event.body["manifest"]);
                } else {
                    REQUIRE(Digest::from_hex(string_member(event.body, "sha256")));
                }
                canonical_json(event.body);
            }
        });
    }
}

TEST_CASE("members of other types anywhere are refused, not believed")
{
    const std::vector<Json> documents = {
        parse_json(spdx_text(), "x"), parse_json(cyclonedx_text(), "x"), foreign_statement()};
    const std::vector<Json> strange = {nullptr,
                                       7,
                                       -1,
                                       true,
                                       "x",
                                       Json::array(),
                                       Json::object(),
                                       Json::array({nullptr}),
                                       Json::array({Json::array()})};
    for (const auto& document : documents) {
        const auto flat = document.flatten();
        for (const auto& [pointer, value] : flat.items()) {
            for (auto parent = Json::json_pointer(pointer); !parent.empty(); parent.pop_back()) {
                for (const auto& bad : strange) {
                    auto changed = document;
                    changed[parent] = bad;
                    error_of([&] { import_document(changed.dump(), "x", at); });
                }
            }
        }
    }
    SUCCEED("no crash, and no exception but Error");
}
