#pragma once

#include "stemma/core/clock.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "names.hpp"
#include "table.hpp"

/// The entries of folders. Private to this library.
namespace stemma::fat {

constexpr std::uint64_t entry_size = 32;
/// Where in an entry the units of a long name lie.
constexpr std::array<std::size_t, 13> long_places = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
constexpr std::uint8_t attribute_read_only = 0x01;
constexpr std::uint8_t attribute_folder = 0x10;

struct Entry {
    std::string name;
    ShortName short_name{};
    std::uint64_t place = 0;   ///< of the short entry on the volume, bytes
    std::uint32_t index = 0;   ///< of the first of its entries in the folder
    std::uint32_t entries = 1; ///< how many it takes: long ones, then the short one
    std::uint8_t attributes = 0;
    std::uint32_t cluster = 0; ///< 0: an empty file
    std::uint32_t size = 0;    ///< 0 for a folder
    Time modified{};
    [[nodiscard]] bool is_folder() const noexcept { return (attributes & attribute_folder) != 0; }
};

/// The runs of bytes that hold a folder; `cluster` 0 means the root.
std::vector<Run> folder_runs(Table& table, std::uint32_t cluster);

/// Reads a folder without "." and "..", labels and what is deleted. A long name whose parts do not
/// belong together is given up for the short one.
/// throws  corrupt
std::vector<Entry> read_folder(Table& table, std::uint32_t cluster);

/// One short entry, by its place on the volume.
Entry read_entry(volume::Volume& volume, std::uint64_t place);

/// Place of the n-th entry of a folder on the volume; nullopt behind its end.
std::optional<std::uint64_t> place_of_entry(const std::vector<Run>& runs, std::uint64_t index);

} // namespace stemma::fat
