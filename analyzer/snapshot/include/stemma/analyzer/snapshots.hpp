#pragma once

#include "stemma/analyzer/feature.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// What is kept of snapshots beside the ledger, one folder per snapshot:
///
///     <folder>/<id>/features.json.zst   canonical_json(to_json(FeatureSet)), one Zstandard frame
///     <folder>/<id>/disk.qcow2          the system disk, where it was asked for
///     <folder>/<id>/memory.elf          the memory, an ELF core, sparse, where it was asked for
///     <folder>/.new-<vm>/               being made; the VM's next snapshot removes it
///
/// A folder appears under its id whole or not at all. What a snapshot is, says its event; a folder
/// without an event is debris, an event without a folder was pruned.
class SnapshotFolder {
public:
    static constexpr const char* disk_file = "disk.qcow2";
    static constexpr const char* memory_file = "memory.elf";

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
    /// The kept disk's file; nullopt when none was kept.
    [[nodiscard]] std::optional<std::filesystem::path> disk(const std::string& id) const;
    [[nodiscard]] std::optional<std::filesystem::path> memory(const std::string& id) const;
    /// On this disk; holes do not count.
    [[nodiscard]] std::uint64_t bytes(const std::string& id) const;
    /// Ids that have a folder here, sorted.
    [[nodiscard]] std::vector<std::string> ids() const;
    void remove(const std::string& id) const;

private:
    [[nodiscard]] std::filesystem::path folder_of(const std::string& id) const;
    std::filesystem::path folder_;
};

} // namespace stemma::analyzer
