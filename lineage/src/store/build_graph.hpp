#pragma once

#include "stemma/model/manifest.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::lineage {

/// What a file is to its build: its state, and whether a step of the build made it.
class FileRole {
public:
    FileRole() = default;
    explicit FileRole(std::uint8_t bits) : bits_(bits) {}
    explicit FileRole(model::FileState state) : bits_(static_cast<std::uint8_t>(state)) {}

    [[nodiscard]] std::uint8_t bits() const noexcept { return bits_; }
    [[nodiscard]] model::FileState state() const noexcept
    {
        return static_cast<model::FileState>(bits_ & state_bits);
    }
    /// A step of the build has it as its output.
    [[nodiscard]] bool made() const noexcept { return (bits_ & made_bit) != 0; }
    /// A step that generates sources made it.
    [[nodiscard]] bool generated() const noexcept { return (bits_ & generated_bit) != 0; }
    /// Read, not made and not under version control: another build may have made it.
    [[nodiscard]] bool loose() const noexcept
    {
        return !made() && state() != model::FileState::clean && state() != model::FileState::dirty;
    }
    void make(bool by_generator)
    {
        bits_ = static_cast<std::uint8_t>(bits_ | made_bit | (by_generator ? generated_bit : 0U));
    }

private:
    static constexpr std::uint8_t state_bits = 7;
    static constexpr std::uint8_t made_bit = 8;
    static constexpr std::uint8_t generated_bit = 16;
    std::uint8_t bits_ = 0;
};

/// A build's files and steps as the store keeps them, in two blobs, each a zstd frame (neighbouring
/// steps read nearly the same files) around numbers in LEB128; that of the steps may be the
/// difference from another build's.
///
/// files  layout 2; number of files; per file the zigzag difference of its `version` row to the
///        one before; then per file the bits of its role
/// graph  layout 2; number of steps; per step kind, exit (zigzag), tool + 1 (0: unknown), number
///        and ascending differences of inputs, the same for outputs
///
/// A torn blob fails its frame's checksum and is refused.
struct BuildGraph {
    struct Edge {
        model::StepKind kind = model::StepKind::other;
        int exit = 0;
        std::optional<model::FileIndex> tool;
        std::vector<model::FileIndex> inputs;
        std::vector<model::FileIndex> outputs;
    };
    /// The files alone: enough for everything that does not look into a build. Rows of table
    /// version fit 32 bits: the store refuses more.
    struct Files {
        std::vector<std::uint32_t> versions;
        std::vector<FileRole> roles;
        [[nodiscard]] std::size_t size() const noexcept { return versions.size(); }
    };
    Files files;
    std::vector<Edge> steps;

    /// Says of each file whether a step made it; once files and steps are there.
    void mark_made();
};

std::string encode_files(const BuildGraph::Files& files);
/// base  as unpack_steps() gave it: the steps are told as the difference from it
std::string encode_steps(const BuildGraph& graph, std::string_view base = {});
/// throws  corrupt
BuildGraph::Files decode_files(std::string_view blob);
/// What the frame is around.
/// throws  corrupt
std::string unpack_steps(std::string_view blob, std::string_view base = {});
/// Sets the steps of a graph whose files are there; `base` as when they were encoded.
/// throws  corrupt
void decode_steps(std::string_view blob, BuildGraph& graph, std::string_view base = {});

} // namespace stemma::lineage
