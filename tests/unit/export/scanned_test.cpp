// Documents as widespread tools write them about a .deb that was built elsewhere.

#include "stemma/export/dsse.hpp"
#include "stemma/export/import.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::exporting;
using stemma::support::error_of;

namespace {

const Time at = parse_time("2026-05-06T07:08:09Z");
const std::string deb_digest(64, 'a');
const std::string file_digest(64, 'b');

/// As Syft 1.x writes SPDX 2.3 of `syft scan file:shop_1.0_amd64.deb -o spdx-json`.
std::string syft_spdx()
{
    return R"({"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT",
"name":"shop_1.0_amd64.deb","documentNamespace":"https://anchore.com/syft/file/shop_1.0_amd64.deb-0b1e",
"creationInfo":{"licenseListVersion":"3.25","creators":["Organization: Anchore, Inc","Tool: syft-1.18.1"],
"created":"2026-02-03T04:05:06Z"},
"packages":[
{"name":"shop","SPDXID":"SPDXRef-Package-deb-shop-5a5a","versionInfo":"1.0","supplier":"Person: A <a@b>",
"downloadLocation":"NOASSERTION","filesAnalyzed":true,"packageVerificationCode":{"packageVerificationCodeValue":"da39a3ee5e6b4b0d3255bfef95601890afd80709"},
"sourceInfo":"acquired package info from DPKG DB","licenseConcluded":"NOASSERTION","copyrightText":"NOASSERTION",
"externalRefs":[{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a:shop:shop:1.0:*:*:*:*:*:*:*"},
{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/shop@1.0?arch=amd64"}]},
{"name":"libother","SPDXID":"SPDXRef-Package-deb-other","versionInfo":"2","downloadLocation":"NOASSERTION"},
{"name":"./out/shop_1.0_amd64.deb","SPDXID":"SPDXRef-DocumentRoot-File-shop","versionInfo":"sha256:)" +
           deb_digest +
           R"(","supplier":"NOASSERTION","downloadLocation":"NOASSERTION","filesAnalyzed":false,
"checksums":[{"algorithm":"SHA256","checksumValue":")" +
           deb_digest + R"("}],"primaryPackagePurpose":"FILE"}],
"files":[{"fileName":"usr/bin/shopd","SPDXID":"SPDXRef-File-shopd","checksums":[{"algorithm":"SHA1","checksumValue":"0000000000000000000000000000000000000000"},
{"algorithm":"SHA256","checksumValue":")" +
           file_digest +
           R"("}],"licenseConcluded":"NOASSERTION","licenseInfoInFiles":["NOASSERTION"],"copyrightText":""}],
"relationships":[{"spdxElementId":"SPDXRef-DocumentRoot-File-shop","relatedSpdxElement":"SPDXRef-File-shopd","relationshipType":"CONTAINS"},
{"spdxElementId":"SPDXRef-DocumentRoot-File-shop","relatedSpdxElement":"SPDXRef-Package-deb-shop-5a5a","relationshipType":"CONTAINS"},
{"spdxElementId":"SPDXRef-DOCUMENT","relatedSpdxElement":"SPDXRef-DocumentRoot-File-shop","relationshipType":"DESCRIBES"}]})";
}

/// As the same tool writes CycloneDX 1.6 of it.
std::string syft_cyclonedx()
{
    return R"({"$schema":"http://cyclonedx.org/schema/bom-1.6.schema.json","bomFormat":"CycloneDX","specVersion":"1.6",
"serialNumber":"urn:uuid:6c1b9c5e-0000-4000-8000-000000000000","version":1,
"metadata":{"timestamp":"2026-02-03T04:05:06+01:00","tools":{"components":[{"type":"application","author":"anchore","name":"syft","version":"1.18.1"}]},
"component":{"bom-ref":"7d9e","type":"file","name":"shop_1.0_amd64.deb","version":"sha256:)" +
           deb_digest + R"("}},
"components":[{"bom-ref":"pkg:deb/debian/shop@1.0?arch=amd64","type":"library","publisher":"A <a@b>","name":"shop","version":"1.0",
"licenses":[{"license":{"id":"MIT"}}],"cpe":"cpe:2.3:a:shop:shop:1.0:*:*:*:*:*:*:*","purl":"pkg:deb/debian/shop@1.0?arch=amd64",
"properties":[{"name":"syft:package:foundBy","value":"deb-archive-cataloger"},{"name":"syft:package:type","value":"deb"}]},
{"bom-ref":"f","type":"file","name":"usr/bin/shopd","hashes":[{"alg":"SHA-256","content":")" +
           file_digest + R"("}]}]})";
}

void check_is_the_deb(const Imported& imported)
{
    REQUIRE(imported.drafts.size() == 1);
    const auto& draft = imported.drafts.front();
    CHECK(draft.kind == "package.packed");
    CHECK(draft.body["name"] == "shop");
    CHECK(draft.body["version"] == "1.0");
    CHECK(draft.body["arch"] == "amd64");
    CHECK(draft.body["sha256"] == deb_digest);
    CHECK(draft.body["file"] == "shop_1.0_amd64.deb");
    CHECK(draft.body["purl"] == "pkg:deb/debian/shop@1.0?arch=amd64");
}

Json statement_about(const std::string& predicate_type, const std::string& document)
{
    return {{"_type", "https://in-toto.io/Statement/v0.1"},
            {"predicateType", predicate_type},
            {"subject",
             Json::array(
                 {{{"name", "shop_1.0_amd64.deb"}, {"digest", {{"sha256", deb_digest}}}},
                  {{"name", "more_3_all.deb"}, {"digest", {{"sha256", std::string(64, 'c')}}}}})},
            {"predicate", parse_json(document, "document")}};
}

/// As Sigstore's clients keep an attestation: the envelope beside what proves it.
Json sigstore_bundle(const Json& statement)
{
    return {{"mediaType", "application/vnd.dev.sigstore.bundle.v0.3+json"},
            {"verificationMaterial",
             {{"certificate", {{"rawBytes", "AAAA"}}},
              {"tlogEntries", Json::array({{{"logIndex", "1"}}})}}},
            {"dsseEnvelope",
             {{"payload",
               [&] {
                   const auto envelope =
                       sign_envelope(canonical_json(statement), sodium::SecretKey::generate());
                   return to_json(envelope)["payload"].get<std::string>();
               }()},
              {"payloadType", intoto_payload_type},
              {"signatures", Json::array({{{"sig", "AAAA"}}})}}}};
}

} // namespace

TEST_CASE("a scanner's SPDX of a .deb gives the package with its digest and what is in it")
{
    const auto imported = import_document(syft_spdx(), "sbom.json", at);
    REQUIRE(imported);
    check_is_the_deb(*imported);
    const auto& payload = imported->drafts.front().body["payload"];
    REQUIRE(payload.size() == 1);
    CHECK(payload[0]["path"] == "usr/bin/shopd");
    CHECK(payload[0]["sha256"] == file_digest);
    CHECK(imported->drafts.front().at == parse_time("2026-02-03T04:05:06Z"));
    REQUIRE(imported->notes.size() == 1); // libother, which nothing tells apart
    CHECK(imported->notes[0].find("1 packages") != std::string::npos);
}

TEST_CASE("a scanner's CycloneDX of a .deb gives the package with its digest")
{
    const auto imported = import_document(syft_cyclonedx(), "bom.json", at);
    REQUIRE(imported);
    check_is_the_deb(*imported);
    CHECK(imported->notes.empty());
    REQUIRE(imported->drafts.front().body["payload"].size() == 1);
    CHECK(imported->drafts.front().body["payload"][0]["path"] == "usr/bin/shopd");
    CHECK(imported->drafts.front().at == parse_time("2026-02-03T03:05:06Z"));
}

TEST_CASE("an attested SBOM in a bundle of Sigstore gives what it says and its subjects")
{
    for (const auto& [type, document] :
         {std::pair(std::string("https://spdx.dev/Document"), syft_spdx()),
          std::pair(std::string("https://cyclonedx.org/bom"), syft_cyclonedx())}) {
        INFO(type);
        const auto text = canonical_json(sigstore_bundle(statement_about(type, document)));
        const auto imported = import_document(text, "bundle.json", at);
        REQUIRE(imported);
        REQUIRE(imported->drafts.size() == 2);
        CHECK(imported->drafts[0].body["name"] == "shop");
        CHECK(imported->drafts[1].body["name"] == "more");
        CHECK(imported->drafts[1].body["sha256"] == std::string(64, 'c'));
    }
}

TEST_CASE("a bundle of Sigstore cut at any byte, or with a broken payload, is refused")
{
    const auto whole = sigstore_bundle(statement_about("https://spdx.dev/Document", syft_spdx()));
    const auto text = canonical_json(whole);
    for (std::size_t length = 1; length < text.size(); length += 97) {
        const auto error = error_of([&] { import_document(text.substr(0, length), "b", at); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::corrupt);
    }
    auto broken = whole;
    broken["dsseEnvelope"]["payload"] = "not base64!";
    CHECK(error_of([&] { import_document(canonical_json(broken), "b", at); }));
}
