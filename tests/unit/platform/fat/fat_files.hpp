#pragma once

#include "stemma/support/volumes.hpp"

/// Small FAT images made by dosfstools.
namespace stemma::support {

struct FatSize {
    std::string bits;
    std::uint64_t bytes;
};

inline std::vector<FatSize> fat_sizes()
{
    return {{"12", 1440 << 10}, {"16", 16 << 20}, {"32", 40 << 20}};
}

inline std::filesystem::path make_fat(const std::filesystem::path& folder, const FatSize& size)
{
    const auto path = folder / ("fat" + size.bits + ".img");
    make_empty(path, size.bytes);
    tool_checked({"mkfs.fat", "-F", size.bits, "-s", "1", path.string()});
    return path;
}

} // namespace stemma::support
