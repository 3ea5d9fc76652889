#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/json.hpp"
#include "stemma/model/event.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Other tools' documents as events:
///
/// - in-toto Statement v1 or v0.1 with SLSA provenance v1 or v0.2, alone, in a DSSE envelope, in a
///   Sigstore bundle, or several of them, one a line: build.recorded, one step from the
///   dependencies to the subjects with the hole "declared, not observed"; package.packed per
///   subject that is one
/// - such a statement about an SPDX or CycloneDX document: as the document, and its subjects
/// - SPDX 2.2, 2.3 JSON: package.packed per package with a SHA-256, with the files that it contains
/// - CycloneDX 1.2 to 1.6 JSON: package.packed per component with a SHA-256, with the files in it
///
/// Of a package file that a scanner was given, both kinds of SBOM give the package with its digest,
/// and the purl of what the scanner found in it.
///
/// What a document claims is no more trusted for being imported: signatures are not checked here
/// (`stemma verify-attestation` does), and imported builds are never complete.
namespace stemma::exporting {

struct Imported {
    std::string format; ///< "slsa", "spdx", "cyclonedx"
    std::vector<model::EventDraft> drafts;
    std::vector<std::string> notes; ///< what could not be taken over, for the log
};

/// at  when the facts hold where the document does not say
/// throws  corrupt: members of other types than the format's
Imported import_statement(const Json& statement, Time at);
Imported import_spdx(const Json& document, Time at);
Imported import_cyclonedx(const Json& bom, Time at);

/// What kind of document this is, by its own words; nullopt: none of these.
std::optional<std::string> importable_format(const Json& json);

/// A whole file of any of these formats. nullopt: it is of none of them.
/// throws  corrupt: it is one of them, and damaged
std::optional<Imported> import_document(std::string_view text, std::string_view name, Time at);

/// The drafts as events of an origin that is named after `text`: bringing in the same document
/// again says nothing new.
std::vector<model::Event> as_events(const Imported& imported, std::string_view text);

} // namespace stemma::exporting
