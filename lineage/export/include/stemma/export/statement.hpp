#pragma once

#include "stemma/export/deliverable.hpp"

#include <span>
#include <string>

/// in-toto Statement v1 with the predicate SLSA provenance v1, one per deliverable:
///
/// | member                             | what we put there                                       |
/// |------------------------------------|---------------------------------------------------------|
/// | subject                            | the deliverable: name, sha256                           |
/// | buildDefinition.buildType          | slsa_build_type                                         |
/// | …externalParameters                | project, repository, commit, branch, target             |
/// | …internalParameters                | toolchain and the steps that led here: argv, cwd, tool  |
/// | …resolvedDependencies              | the checkout (gitCommit), then every file that was read |
/// |                                    | and not made: uri, name, sha256, gitBlob, and as        |
/// |                                    | annotations state, role (input, tool) and repository    |
/// | runDetails.builder                 | urn:stemma:machine:NAME, stemma's version               |
/// | runDetails.metadata                | run id, start, end; stemma_complete, stemma_holes       |
///
/// Intermediate files are no byproducts: they appear as the outputs of steps alone.
namespace stemma::exporting {

inline constexpr std::string_view statement_type = "https://in-toto.io/Statement/v1";
inline constexpr std::string_view slsa_predicate_type = "https://slsa.dev/provenance/v1";
inline constexpr std::string_view slsa_build_type = "urn:stemma:build-type:observed:1";

/// Same arguments, same value: the times in it are the run's.
Json slsa_statement(const model::Manifest& manifest,
                    const Deliverable& deliverable,
                    const Tool& tool);

} // namespace stemma::exporting
