#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/json.hpp"
#include "stemma/image/library.hpp"
#include "stemma/lineage/store.hpp"
#include "stemma/volume/filesystem.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The lineage of an image that nobody recorded, as far as its content tells it.
namespace stemma::image {

/// A file of the image that the lineage knows.
struct KnownFile {
    std::string path;
    std::string sha256;
    std::string basis;    ///< "content": the very bytes; "build-id": the same link, other bytes
    std::string kind;     ///< of what is known: source, artifact, payload
    std::string name;     ///< repository path, artifact's name, or path in the package
    std::string repo;     ///< may be empty
    std::string build;    ///< run id; may be empty
    std::string build_id; ///< of the file here; may be empty
};

/// A note of a program that is neither its build-id nor its ABI: what a builder wrote into it.
struct ProgramNote {
    std::string path;
    std::string owner; ///< "FDO", "stemma", "Go", …
    std::uint32_t type = 0;
    std::string value; ///< bytes
};

/// The recorded image whose package database is most alike.
struct Likely {
    std::string name;
    std::string digest;
    double share = 0; ///< of all packages of either that both have in the same version, 0..1
};

struct Inspection {
    std::string os;                  ///< PRETTY_NAME, or Windows' name and build; may be empty
    Json packages = Json::array();   ///< [{name version arch purl}]
    std::uint64_t files = 0;         ///< regular files that were read
    std::uint64_t programs = 0;      ///< ELF files with a build-id
    std::vector<KnownFile> known;    ///< by path
    std::vector<ProgramNote> notes;  ///< by path
    std::optional<Likely> parent;    ///< nullopt: none shares at least half
    std::vector<std::string> damage; ///< what could not be read
};

/// Reads every file once, and asks the store for its content and its build-id.
/// store   nullptr: nothing is known
/// digest  the image's own, when it is recorded: it is not like itself
Inspection inspect(lineage::Store* store,
                   volume::Filesystem& tree,
                   const std::string& digest,
                   const Cancel& cancel);

/// Imports an image file and records what inspect() found as links that are inferred.
/// throws  conflict: this content is recorded already, and what is told is not overruled
Change import_inspected(World& world,
                        const std::string& name,
                        const Selected& source,
                        const Inspection& inspection);

} // namespace stemma::image
