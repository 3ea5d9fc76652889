#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "build_graph.hpp"

namespace stemma::lineage {

/// Which files of a build go into what leaves it, and what comes into it from other builds. With
/// this, questions go from build to build without looking at the steps in between.
///
/// An *outlet* is an output whose content is met elsewhere: packed, put into an image, or read by
/// another build. An *inlet* is a file that this build read and another one made. Files that go
/// into the same outlets share a class, so that a file costs a number here and not a bit for each
/// outlet.
///
/// The blob is a zstd frame around numbers in LEB128: layout 1; number of outlets, then per outlet
/// the difference of its file to the one before and the zigzag difference of its row in `content`;
/// the inlets likewise; number of classes, then per class its outlets (number, ascending
/// differences); number of files, then the class of each.
struct Reach {
    struct Crossing {
        model::FileIndex file = 0;
        std::int64_t content = 0;
        auto
        operator<=>(const Crossing&) const = default; // NOLINT(modernize-use-nullptr): its own 0
    };
    std::vector<Crossing> outlets; ///< ascending
    std::vector<Crossing> inlets;  ///< ascending
    /// Per class, positions in `outlets`, ascending. Class 0 has none.
    std::vector<std::vector<std::uint32_t>> classes;
    std::vector<std::uint32_t> class_of; ///< per file; empty where there are no outlets

    /// Positions of the outlets that `file` goes into; an outlet goes into itself.
    [[nodiscard]] std::span<const std::uint32_t> outlets_of(model::FileIndex file) const;
    /// Position of the outlet that `file` is.
    [[nodiscard]] std::optional<std::uint32_t> outlet_at(model::FileIndex file) const;
    [[nodiscard]] bool is_inlet(model::FileIndex file) const;
    /// Per class, whether its files go into one of these outlets.
    [[nodiscard]] std::vector<bool> classes_into(std::span<const std::uint32_t> positions) const;
};

/// Reads a graph backwards. The graph must outlive it.
class Ancestry {
public:
    explicit Ancestry(const BuildGraph& graph);
    /// Per file, whether it goes into `file`; `file` itself does.
    [[nodiscard]] std::vector<bool> of(model::FileIndex file) const;

private:
    const BuildGraph& graph_;
    std::vector<std::vector<std::uint32_t>> makers_; ///< per file, its steps
};

/// cost  one walk upwards per outlet
Reach make_reach(const BuildGraph& graph,
                 std::vector<Reach::Crossing> outlets,
                 std::vector<Reach::Crossing> inlets);

std::string encode(const Reach& reach);
/// throws  corrupt
Reach decode_reach(std::string_view blob);

} // namespace stemma::lineage
