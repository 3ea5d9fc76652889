#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

struct sqlite3_file;

/// Checksums of pages: what a disk or memory changed behind our back is refused when it is read.
///
/// A database that is made through this VFS reserves the last eight bytes of every page, and holds
/// there a checksum of the rest: two sums of 32 bits each, little endian, as SQLite's own extension
/// cksumvfs has them, so that its tools can check our files. Databases without those bytes are read
/// and written as they are. Pages in the write-ahead log have SQLite's own checksums.
///
/// cost    about a microsecond per page of 4 KiB; mapped pages are looked at once per connection
/// source  https://www.sqlite.org/cksumvfs.html
namespace stemma::sqlite {

inline constexpr int checksum_size = 8;
/// The file begins with so many bytes; the one at reserved_at says how many bytes at the end of
/// each page SQLite leaves alone.
inline constexpr std::size_t header_size = 100;
inline constexpr std::size_t reserved_at = 20;

/// Name of the VFS, which stands before whatever is the default when a file is opened; registered
/// at the first call.
const char* checked_pages_vfs();

/// The checksum of a page without its last eight bytes. `page` is a multiple of eight bytes.
std::uint64_t page_checksum(std::span<const unsigned char> page) noexcept;
/// True when its last eight bytes are that checksum.
bool has_its_checksum(std::span<const unsigned char> page) noexcept;
/// True when its last eight bytes are what pages have in the log: another program copied it from
/// there into the file. It is read, and has a checksum again when it is written next.
bool has_no_checksum(std::span<const unsigned char> page) noexcept;

/// Reads a file of this VFS without looking at pages. Returns SQLite's code.
int read_as_it_lies(sqlite3_file* file, void* into, int amount, std::int64_t offset);

} // namespace stemma::sqlite
