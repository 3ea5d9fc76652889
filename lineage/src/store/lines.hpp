#pragma once

#include "stemma/model/manifest.hpp"
#include "stemma/sqlite/database.hpp"

#include <cstdint>
#include <optional>
#include <string>

#include "build_graph.hpp"

/// Builds of one project and branch, one after the other as they became known: a *line*. Each is
/// nearly the one before it, so that a line costs what changes. Nothing of what is answered depends
/// on the order.
///
/// `build.line`, `build.place`  the line, and 1, 2, 3 … in it
/// `build.graph`                steps; where `build.base` names a build of the line, as the
///                              difference from that one's, which is whole
/// `build_file`                 a version of a file is in the builds `first` to `last` of a line
///                              (NULL: to the newest), as this file and in this role. The view
///                              `file_use` has a row for each build instead.
namespace stemma::lineage {

struct LinePlace {
    std::int64_t line = 0;
    std::int64_t place = 1;
    std::optional<std::int64_t> before; ///< row of the build there
    std::optional<std::int64_t> base;   ///< row of the build that one's steps are told against
};

/// Where the next build of a project and branch goes.
LinePlace next_in_line(sqlite::Database& db, std::int64_t repo, const model::Build& build);

struct StoredSteps {
    std::optional<std::int64_t> base;
    std::string blob;
};
StoredSteps pack_steps(sqlite::Database& db, const LinePlace& where, const BuildGraph& graph);

/// Sets the steps of a build's graph whose files are there.
/// throws  corrupt
void read_steps(sqlite::Database& db, std::int64_t build, BuildGraph& graph);

/// Notes which files the build at this place of a line knows.
void insert_build_files(sqlite::Database& db,
                        const LinePlace& where,
                        const BuildGraph::Files& files);

} // namespace stemma::lineage
