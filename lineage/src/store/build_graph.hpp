#pragma once

#include "stemma/model/manifest.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::lineage {

/// A build's files and steps as the store keeps them.
///
/// The blob is a zstd frame (neighbouring steps read nearly the same files) around this layout, all
/// numbers LEB128: 1 (the layout's version); number of files, then per file
/// the zigzag difference of its `version` row to the one before, and its state; number of steps,
/// then per step kind, exit (zigzag), tool + 1 (0: unknown), number and ascending differences of
/// inputs, the same for outputs. A torn blob fails its frame's checksum and is refused.
struct BuildGraph {
    struct Node {
        std::int64_t version = 0; ///< row of table version
        model::FileState state = model::FileState::system;
    };
    struct Edge {
        model::StepKind kind = model::StepKind::other;
        int exit = 0;
        std::optional<model::FileIndex> tool;
        std::vector<model::FileIndex> inputs;
        std::vector<model::FileIndex> outputs;
    };
    std::vector<Node> files;
    std::vector<Edge> steps;
};

std::string encode(const BuildGraph& graph);
/// throws  corrupt
BuildGraph decode_graph(std::string_view blob);

} // namespace stemma::lineage
