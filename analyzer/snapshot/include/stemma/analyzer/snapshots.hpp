#pragma once

#include "stemma/analyzer/block_pool.hpp"
#include "stemma/analyzer/feature.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// What is kept of snapshots beside the ledger, one folder per snapshot:
///
///     <folder>/<id>/features.json.zst   canonical_json(to_json(FeatureSet)), one Zstandard frame
///     <folder>/<id>/domain.xml          the hypervisor's definition of the VM
///     <folder>/<id>/disk.map            the system disk, where it was asked for: a BlockMap
///     <folder>/<id>/memory.map          the memory, an ELF core, where it was asked for: a
///     BlockMap <folder>/pool/                    what the maps consist of: a BlockPool
///     <folder>/.new-<vm>/               being made; the VM's next snapshot removes it
///
/// Release 0.1 wrote disk.qcow2 and memory.elf instead of the maps; they are read too. A
/// folder appears under its id whole or not at all. What a snapshot is, says its event; a folder
/// without an event is debris, an event without a folder was pruned.
class SnapshotFolder {
public:
    enum class Part { disk, memory };

    explicit SnapshotFolder(std::filesystem::path folder);

    /// A folder being filled; removed with all in it unless commit() was called.
    class Draft {
    public:
        ~Draft();
        Draft(Draft&& other) noexcept;
        Draft& operator=(Draft&& other) = delete;
        Draft(const Draft&) = delete;
        Draft& operator=(const Draft&) = delete;

        [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
        /// returns  the digest of the uncompressed JSON, hexadecimal
        std::string put_features(const FeatureSet& set) const;
        void put_domain(const std::string& xml) const;
        /// The pool's hold must live until commit().
        void put_map(Part part, const BlockMap& map) const;
        /// Where a memory is written to before it goes into the pool; not part of what is kept.
        [[nodiscard]] std::filesystem::path memory_file() const;
        void commit();

    private:
        friend class SnapshotFolder;
        Draft(std::filesystem::path path, std::filesystem::path final_path);
        std::filesystem::path path_;
        std::filesystem::path final_path_;
    };
    /// vm  its uuid; the caller sees to it that there is one draft at a time of each
    [[nodiscard]] Draft begin(const std::string& id, const std::string& vm) const;

    /// throws  not_found: pruned, or never here; corrupt
    [[nodiscard]] FeatureSet features(const std::string& id) const;
    [[nodiscard]] bool has(const std::string& id) const;
    [[nodiscard]] bool has(const std::string& id, Part part) const;
    /// A kept disk, or a memory's ELF core; nullptr when none was kept. Nothing is removed from the
    /// pool while it is open.
    /// throws  corrupt: with what is damaged; later, reading it does
    [[nodiscard]] std::unique_ptr<volume::Volume>
    open(const std::string& id, Part part, const Cancel& cancel) const;
    /// The VM's definition at that time; nullopt in snapshots of earlier releases.
    [[nodiscard]] std::optional<std::string> domain(const std::string& id) const;
    [[nodiscard]] const BlockPool& pool() const noexcept { return pool_; }
    /// Of all that is kept.
    /// throws  corrupt: one cannot be read
    [[nodiscard]] std::vector<BlockMap> maps() const;
    /// On this disk, without its share of the pool; holes do not count.
    [[nodiscard]] std::uint64_t bytes(const std::string& id) const;
    /// Ids that have a folder here, sorted.
    [[nodiscard]] std::vector<std::string> ids() const;
    void remove(const std::string& id) const;

private:
    [[nodiscard]] std::filesystem::path folder_of(const std::string& id) const;
    std::filesystem::path folder_;
    BlockPool pool_;
};
std::string_view to_string(SnapshotFolder::Part part) noexcept;

} // namespace stemma::analyzer
