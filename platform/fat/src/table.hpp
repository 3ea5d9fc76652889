#pragma once

#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <optional>
#include <vector>

/// The layout of a FAT file system and its allocation table. Private to this library.
namespace stemma::fat {

/// A run of clusters that follow each other on the volume.
struct Run {
    std::uint64_t offset = 0; ///< bytes
    std::uint64_t length = 0; ///< bytes
};

class Table {
public:
    /// throws  corrupt: no FAT file system, or larger than its volume
    explicit Table(volume::Volume& volume);

    [[nodiscard]] volume::Volume& volume() const noexcept { return volume_; }
    [[nodiscard]] int bits() const noexcept { return bits_; } ///< 12, 16 or 32
    [[nodiscard]] std::uint32_t cluster_size() const noexcept { return cluster_size_; }
    [[nodiscard]] std::uint32_t cluster_count() const noexcept { return cluster_count_; }
    /// First cluster of the root folder; 0 where it has a place of its own (FAT12 and FAT16).
    [[nodiscard]] std::uint32_t root_cluster() const noexcept { return root_cluster_; }
    [[nodiscard]] Run fixed_root() const noexcept { return fixed_root_; }
    [[nodiscard]] std::uint64_t place_of(std::uint32_t cluster) const noexcept;
    [[nodiscard]] bool is_cluster(std::uint32_t number) const noexcept;

    /// What follows a cluster in its chain; nullopt at the end.
    /// throws  corrupt: the entry names no cluster
    [[nodiscard]] std::optional<std::uint32_t> next(std::uint32_t cluster);
    /// The clusters of a chain in order, at most `most`.
    /// throws  corrupt: it runs in a circle
    [[nodiscard]] std::vector<std::uint32_t> chain(std::uint32_t first, std::uint64_t most);
    /// The same as bytes on the volume.
    [[nodiscard]] std::vector<Run> runs(std::uint32_t first, std::uint64_t most);

    // For the writer.

    [[nodiscard]] std::uint32_t entry(std::uint32_t cluster, unsigned copy = 0);
    void set_entry(std::uint32_t cluster, std::uint32_t value); ///< in all copies
    [[nodiscard]] std::uint32_t end_mark() const noexcept;
    [[nodiscard]] std::uint64_t table_offset(unsigned copy) const noexcept;
    [[nodiscard]] std::uint64_t table_size() const noexcept { return table_size_; }
    [[nodiscard]] unsigned copies() const noexcept { return copies_; }
    /// Where FAT32 keeps the number of free clusters; 0 when nowhere.
    [[nodiscard]] std::uint64_t info_offset() const noexcept { return info_offset_; }

private:
    [[noreturn]] void refuse(const std::string& why) const;
    void read_layout(std::span<const std::byte> boot);

    volume::Volume& volume_;
    int bits_ = 0;
    unsigned copies_ = 0;
    std::uint32_t cluster_size_ = 0;
    std::uint32_t cluster_count_ = 0;
    std::uint32_t root_cluster_ = 0;
    Run fixed_root_{};
    std::uint64_t table_at_ = 0;
    std::uint64_t table_size_ = 0; ///< bytes of one copy
    std::uint64_t data_at_ = 0;
    std::uint64_t info_offset_ = 0;
};

} // namespace stemma::fat
