#pragma once

#include "stemma/model/manifest.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace stemma::exporting {

using StepIndex = std::uint32_t;

/// Everything that went into some files of a build. All sorted.
struct Closure {
    std::vector<model::FileIndex>
        leaves; ///< read by a step, made by none: sources, headers, libraries
    std::vector<model::FileIndex> made;  ///< made by a step, the roots among them
    std::vector<model::FileIndex> tools; ///< programs that were run and not made here
    std::vector<StepIndex> steps;
};

/// The steps of a manifest as a graph from files to what made them. Borrows the manifest.
class Graph {
public:
    explicit Graph(const model::Manifest& manifest);

    /// The steps that made a file: the recorded one where an artifact says which, else every
    /// successful step that wrote it.
    [[nodiscard]] const std::vector<StepIndex>& makers(model::FileIndex file) const
    {
        return makers_[file];
    }
    /// True when a successful step read the file.
    [[nodiscard]] bool is_read(model::FileIndex file) const { return read_[file]; }
    /// One pass; a cycle (a file that was changed in place) ends where it was seen before.
    [[nodiscard]] Closure closure(std::span<const model::FileIndex> roots) const;

private:
    const model::Manifest& manifest_;
    std::vector<std::vector<StepIndex>> makers_;
    std::vector<bool> read_;
};

} // namespace stemma::exporting
