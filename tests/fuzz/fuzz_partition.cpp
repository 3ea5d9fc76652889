#include "stemma/core/error.hpp"
#include "stemma/volume/partition.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace stemma;
    try {
        const auto* bytes = reinterpret_cast<const std::byte*>(data);
        volume::MemoryVolume disk(std::vector<std::byte>(bytes, bytes + size));
        const auto table = volume::read_partitions(disk);
        for (const auto& partition : table.partitions) {
            if (partition.offset > size || partition.length > size - partition.offset) {
                std::abort(); // a partition beyond the end would be read as something else
            }
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}
