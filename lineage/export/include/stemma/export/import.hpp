#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/json.hpp"
#include "stemma/model/event.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Other tools' documents as events.
///
/// | document                                  | events |
/// |-------------------------------------------|----------------------------------------------------|
/// | in-toto Statement v1 or v0.1 with SLSA    | build.recorded: one step from the dependencies to
/// | | provenance v1 or v0.2; in a DSSE envelope | the subjects, with the hole "declared, not | |
/// or not; a bundle of them, one per line    | observed"; package.packed per subject that is one  |
/// | SPDX 2.2, 2.3 JSON                        | package.packed per package with a SHA-256, with |
/// |                                           | the files that it contains | | CycloneDX 1.2
/// to 1.6 JSON                 | package.packed per component with a SHA-256, with  | | | the files
/// nested in it                             |
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
