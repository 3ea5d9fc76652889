#include "varint.hpp"

#include "stemma/core/error.hpp"

namespace stemma::lineage {

void put_ascending(std::string& out, const std::vector<std::uint32_t>& numbers)
{
    put(out, numbers.size());
    std::uint32_t before = 0;
    for (const auto number : numbers) {
        put(out, number - before);
        before = number;
    }
}

std::vector<std::uint32_t> NumberReader::ascending(std::size_t bound)
{
    std::vector<std::uint32_t> numbers(count());
    std::uint64_t before = 0;
    for (auto& value : numbers) {
        before += number();
        if (before >= bound) {
            refuse();
        }
        value = static_cast<std::uint32_t>(before);
    }
    return numbers;
}

void NumberReader::refuse() const
{
    throw Error(ErrorCode::corrupt, fmt::format("{} is damaged or cut short", name_));
}

} // namespace stemma::lineage
