#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// The write-ahead log as it lies in its file: a header, then frames of one page each.
///
/// source  https://www.sqlite.org/fileformat2.html#the_write_ahead_log
namespace stemma::sqlite {

inline constexpr std::size_t log_header_size = 32;
inline constexpr std::size_t log_salts_at = 16; ///< of the header
inline constexpr std::size_t frame_header_size = 24;
inline constexpr std::size_t frame_salts_at = 8; ///< of a frame's header
inline constexpr std::size_t log_salts_size = 8;

/// `at` points to four bytes.
inline std::uint32_t big_endian(const unsigned char* at) noexcept
{
    return static_cast<std::uint32_t>(at[0]) << 24U | static_cast<std::uint32_t>(at[1]) << 16U |
           static_cast<std::uint32_t>(at[2]) << 8U | static_cast<std::uint32_t>(at[3]);
}

/// Writes the pages of all transactions that the log holds whole into the database's bytes. A log
/// of something else, or a torn end, changes nothing.
void apply_log(std::string& database, std::string_view log);

} // namespace stemma::sqlite
