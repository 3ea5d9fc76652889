#include "log_format.hpp"

#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace stemma::sqlite {

namespace {

constexpr std::size_t log_page_size_at = 8; // of the header
constexpr std::size_t header_sum_at = 24;   // of what is in front of it
constexpr std::size_t frame_sum_at = 16;
constexpr std::uint32_t magic = 0x377f0682; // the lowest bit: sums take words in big-endian order
constexpr std::size_t smallest_page = 512;
constexpr std::size_t largest_page = 65536;

const unsigned char* unsigned_bytes(std::string_view text)
{
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are unsigned here
    return reinterpret_cast<const unsigned char*>(text.data());
}

/// The running sum over a log: each frame's goes on from the one before.
struct Sum {
    bool big = false;
    std::array<std::uint32_t, 2> value{};

    /// text  a multiple of eight bytes
    void add(std::string_view text)
    {
        const auto* const bytes = unsigned_bytes(text);
        for (std::size_t at = 0; at + 8 <= text.size(); at += 8) {
            value[0] += word(bytes + at) + value[1];
            value[1] += word(bytes + at + 4) + value[0];
        }
    }

    [[nodiscard]] bool is(std::string_view said) const
    {
        const auto* const bytes = unsigned_bytes(said);
        return big_endian(bytes) == value[0] && big_endian(bytes + 4) == value[1];
    }

private:
    [[nodiscard]] std::uint32_t word(const unsigned char* at) const
    {
        const std::uint32_t read = big_endian(at);
        return big ? read : __builtin_bswap32(read);
    }
};

using LogPages = std::vector<std::pair<std::size_t, std::string_view>>; // offset, bytes

void write_pages(std::string& database, const LogPages& pages, std::size_t size)
{
    database.resize(size);
    for (const auto& [offset, page] : pages) {
        if (offset + page.size() <= size) {
            std::memcpy(database.data() + offset, page.data(), page.size());
        }
    }
}

} // namespace

void apply_log(std::string& database, std::string_view log)
{
    if (log.size() < log_header_size) {
        return;
    }
    const auto* const header = unsigned_bytes(log);
    const std::size_t page_size = big_endian(header + log_page_size_at);
    Sum sum{.big = (big_endian(header) & 1U) != 0};
    sum.add(log.substr(0, header_sum_at));
    const bool whole = (big_endian(header) & ~1U) == magic && page_size >= smallest_page &&
                       page_size <= largest_page && (page_size & (page_size - 1)) == 0 &&
                       sum.is(log.substr(header_sum_at, 8));
    if (!whole) {
        return;
    }
    const std::string_view salts = log.substr(log_salts_at, log_salts_size);
    const std::size_t most = database.size() + log.size(); // pages come from one or the other
    const std::size_t step = frame_header_size + page_size;
    LogPages pages;
    for (auto at = log_header_size; at + step <= log.size(); at += step) {
        const std::string_view frame = log.substr(at, frame_header_size);
        const std::string_view page = log.substr(at + frame_header_size, page_size);
        sum.add(frame.substr(0, frame_salts_at));
        sum.add(page);
        const std::size_t number = big_endian(unsigned_bytes(frame));
        if (frame.substr(frame_salts_at, log_salts_size) != salts ||
            !sum.is(frame.substr(frame_sum_at, 8)) || number == 0) {
            return; // of an earlier use of the log, or never written to its end
        }
        pages.emplace_back((number - 1) * page_size, page);
        const std::size_t commit =
            big_endian(unsigned_bytes(frame) + 4); // pages after it; 0: goes on
        if (commit != 0) {
            if (commit * page_size > most) {
                return;
            }
            write_pages(database, pages, commit * page_size);
            pages.clear();
        }
    }
}

} // namespace stemma::sqlite
