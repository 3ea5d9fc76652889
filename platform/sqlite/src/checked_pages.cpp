#include "checked_pages.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace stemma::sqlite {

namespace {

constexpr std::size_t page_size_at = 16;

/// In place of a checksum while SQLite has the page, and in the log.
constexpr std::array<unsigned char, checksum_size> no_checksum = {
    's', 't', 'e', 'm', 'm', 'a', 0xFF, 0x01};

std::uint32_t little_endian(const unsigned char* at) noexcept
{
    return static_cast<std::uint32_t>(at[0]) | static_cast<std::uint32_t>(at[1]) << 8U |
           static_cast<std::uint32_t>(at[2]) << 16U | static_cast<std::uint32_t>(at[3]) << 24U;
}

/// What is known of one database file.
struct Pages {
    int size = 0;               ///< bytes of a page; 0: it has no checksums
    std::vector<bool> mapped{}; ///< pages that were looked at where they are mapped
    std::vector<unsigned char> copy{};

    /// Reads what the first page says of all.
    void learn(const unsigned char* header)
    {
        constexpr std::string_view magic("SQLite format 3\0", 16);
        if (std::memcmp(header, magic.data(), magic.size()) != 0) {
            return;
        }
        const int said = header[page_size_at] << 8 | header[page_size_at + 1];
        size = header[reserved_at] != checksum_size ? 0 : said == 1 ? 65536 : said;
    }

    [[nodiscard]] bool is_page(int amount, sqlite3_int64 offset) const noexcept
    {
        return size != 0 && amount == size && offset % size == 0;
    }

    [[nodiscard]] bool holds(const unsigned char* page) const noexcept
    {
        const std::span whole(page, static_cast<std::size_t>(size));
        return has_its_checksum(whole) || has_no_checksum(whole);
    }
};

/// SQLite's way to inherit: its own part comes first.
struct File {
    sqlite3_file base;
    Pages* pages; ///< owned; null for logs, journals and temporary files
    sqlite3_file* real;
};

File& self(sqlite3_file* file) noexcept
{
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): SQLite's inheritance
    return *reinterpret_cast<File*>(file);
}

sqlite3_file* real(sqlite3_file* file) noexcept
{
    return self(file).real;
}

const sqlite3_io_methods& methods(sqlite3_file* file) noexcept
{
    return *real(file)->pMethods;
}

int on_close(sqlite3_file* file)
{
    const std::unique_ptr<Pages> pages(self(file).pages);
    const int code = real(file)->pMethods != nullptr ? methods(file).xClose(real(file)) : SQLITE_OK;
    sqlite3_free(real(file));
    return code;
}

int on_read(sqlite3_file* file, void* into, int amount, sqlite3_int64 offset)
{
    const int code = methods(file).xRead(real(file), into, amount, offset);
    auto* const pages = self(file).pages;
    if (code != SQLITE_OK || pages == nullptr) {
        return code;
    }
    auto* const bytes = static_cast<unsigned char*>(into);
    if (offset == 0 && amount >= static_cast<int>(header_size)) {
        pages->learn(bytes);
    }
    if (!pages->is_page(amount, offset)) {
        return SQLITE_OK;
    }
    if (!pages->holds(bytes)) {
        return SQLITE_IOERR_DATA;
    }
    // From here the page may go into the log as it is, and another program may copy it from there
    // into the file: it must not have the checksum of what it was.
    std::copy(no_checksum.begin(), no_checksum.end(), bytes + amount - checksum_size);
    return SQLITE_OK;
}

/// The page with its checksum, in memory of its own: the caller's is not ours to write.
const void* with_checksum(Pages& pages, const unsigned char* page)
{
    const auto length = static_cast<std::size_t>(pages.size);
    pages.copy.assign(page, page + length);
    const auto sum = page_checksum({page, length});
    for (std::size_t i = 0; i < checksum_size; ++i) {
        pages.copy[length - checksum_size + i] = static_cast<unsigned char>(sum >> (8U * i));
    }
    return pages.copy.data();
}

int on_write(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset)
{
    auto* const pages = self(file).pages;
    if (pages != nullptr) {
        try {
            const auto* const bytes = static_cast<const unsigned char*>(from);
            if (offset == 0 && amount >= static_cast<int>(header_size)) {
                pages->learn(bytes);
            }
            if (pages->is_page(amount, offset)) {
                from = with_checksum(*pages, bytes);
            }
        } catch (const std::bad_alloc&) {
            return SQLITE_IOERR_NOMEM;
        }
    }
    return methods(file).xWrite(real(file), from, amount, offset);
}

int on_truncate(sqlite3_file* file, sqlite3_int64 size)
{
    return methods(file).xTruncate(real(file), size);
}
int on_sync(sqlite3_file* file, int flags)
{
    return methods(file).xSync(real(file), flags);
}
int on_size(sqlite3_file* file, sqlite3_int64* size)
{
    return methods(file).xFileSize(real(file), size);
}
int on_lock(sqlite3_file* file, int level)
{
    return methods(file).xLock(real(file), level);
}
int on_unlock(sqlite3_file* file, int level)
{
    return methods(file).xUnlock(real(file), level);
}
int on_check_lock(sqlite3_file* file, int* held)
{
    return methods(file).xCheckReservedLock(real(file), held);
}
int on_control(sqlite3_file* file, int operation, void* argument)
{
    return methods(file).xFileControl(real(file), operation, argument);
}
int on_sector(sqlite3_file* file)
{
    return methods(file).xSectorSize(real(file));
}
int on_characteristics(sqlite3_file* file)
{
    return methods(file).xDeviceCharacteristics(real(file));
}
int on_shm_map(sqlite3_file* file, int page, int size, int extend, volatile void** out)
{
    return methods(file).xShmMap(real(file), page, size, extend, out);
}
int on_shm_lock(sqlite3_file* file, int offset, int count, int flags)
{
    return methods(file).xShmLock(real(file), offset, count, flags);
}
void on_shm_barrier(sqlite3_file* file)
{
    methods(file).xShmBarrier(real(file));
}
int on_shm_unmap(sqlite3_file* file, int remove)
{
    return methods(file).xShmUnmap(real(file), remove);
}

/// True when the mapped page holds, or was looked at before.
bool mapped_page_holds(Pages& pages, const unsigned char* page, sqlite3_int64 offset)
{
    const auto number = static_cast<std::size_t>(offset / pages.size);
    if (number >= pages.mapped.size()) {
        pages.mapped.resize(std::max(number + 1, pages.mapped.size() * 2));
    }
    if (!pages.mapped[number]) {
        pages.mapped[number] = pages.holds(page);
    }
    return pages.mapped[number];
}

int on_fetch(sqlite3_file* file, sqlite3_int64 offset, int amount, void** out)
{
    *out = nullptr;
    if (methods(file).iVersion < 3) {
        return SQLITE_OK; // not mapped: SQLite reads it
    }
    const int code = methods(file).xFetch(real(file), offset, amount, out);
    auto* const pages = self(file).pages;
    if (code != SQLITE_OK || *out == nullptr || pages == nullptr ||
        !pages->is_page(amount, offset)) {
        return code;
    }
    try {
        if (mapped_page_holds(*pages, static_cast<const unsigned char*>(*out), offset)) {
            return SQLITE_OK;
        }
    } catch (const std::bad_alloc&) {
        return SQLITE_OK; // it is not looked at again only to save time
    }
    methods(file).xUnfetch(real(file), offset, *out);
    *out = nullptr;
    return SQLITE_IOERR_DATA;
}

int on_unfetch(sqlite3_file* file, sqlite3_int64 offset, void* page)
{
    return methods(file).iVersion < 3 ? SQLITE_OK
                                      : methods(file).xUnfetch(real(file), offset, page);
}

const sqlite3_io_methods checked_methods = {3,
                                            on_close,
                                            on_read,
                                            on_write,
                                            on_truncate,
                                            on_sync,
                                            on_size,
                                            on_lock,
                                            on_unlock,
                                            on_check_lock,
                                            on_control,
                                            on_sector,
                                            on_characteristics,
                                            on_shm_map,
                                            on_shm_lock,
                                            on_shm_barrier,
                                            on_shm_unmap,
                                            on_fetch,
                                            on_unfetch};

/// Whatever is the default now: tests put disks of their own there.
sqlite3_vfs* below()
{
    return sqlite3_vfs_find(nullptr);
}

int on_open(sqlite3_vfs* /*vfs*/, const char* name, sqlite3_file* file, int flags, int* out)
{
    auto& opened = self(file);
    opened = {};
    auto* const system = below();
    void* memory = sqlite3_malloc(system->szOsFile);
    std::unique_ptr<Pages> pages;
    if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
        pages.reset(new (std::nothrow) Pages);
    }
    if (memory == nullptr || ((flags & SQLITE_OPEN_MAIN_DB) != 0 && !pages)) {
        sqlite3_free(memory);
        return SQLITE_NOMEM;
    }
    std::memset(memory, 0, static_cast<std::size_t>(system->szOsFile));
    opened.real = static_cast<sqlite3_file*>(memory);
    const int code = system->xOpen(system, name, opened.real, flags, out);
    if (code != SQLITE_OK) {
        if (opened.real->pMethods != nullptr) {
            opened.real->pMethods->xClose(opened.real);
        }
        sqlite3_free(memory);
        opened.real = nullptr;
        return code;
    }
    opened.pages = pages.release();
    opened.base.pMethods = &checked_methods;
    return SQLITE_OK;
}

int on_delete(sqlite3_vfs* /*vfs*/, const char* name, int sync)
{
    return below()->xDelete(below(), name, sync);
}
int on_access(sqlite3_vfs* /*vfs*/, const char* name, int flags, int* out)
{
    return below()->xAccess(below(), name, flags, out);
}
int on_full_name(sqlite3_vfs* /*vfs*/, const char* name, int size, char* out)
{
    return below()->xFullPathname(below(), name, size, out);
}

} // namespace

std::uint64_t page_checksum(std::span<const unsigned char> page) noexcept
{
    std::uint32_t first = 0;
    std::uint32_t second = 0;
    for (std::size_t at = 0; at + checksum_size < page.size(); at += 8) {
        first += little_endian(page.data() + at) + second;
        second += little_endian(page.data() + at + 4) + first;
    }
    return static_cast<std::uint64_t>(first) | static_cast<std::uint64_t>(second) << 32U;
}

bool has_its_checksum(std::span<const unsigned char> page) noexcept
{
    const auto* const end = page.data() + page.size() - checksum_size;
    const auto said = static_cast<std::uint64_t>(little_endian(end)) |
                      static_cast<std::uint64_t>(little_endian(end + 4)) << 32U;
    return page_checksum(page) == said;
}

bool has_no_checksum(std::span<const unsigned char> page) noexcept
{
    const auto end = page.last(checksum_size);
    const auto is_zero = [](unsigned char byte) { return byte == 0; };
    // A page that SQLite began anew has zeros there.
    return std::equal(end.begin(), end.end(), no_checksum.begin()) ||
           (std::all_of(end.begin(), end.end(), is_zero) &&
            !std::all_of(page.begin(), page.end(), is_zero));
}

int read_as_it_lies(sqlite3_file* file, void* into, int amount, std::int64_t offset)
{
    return file->pMethods == &checked_methods
               ? methods(file).xRead(real(file), into, amount, offset)
               : file->pMethods->xRead(file, into, amount, offset);
}

const char* checked_pages_vfs()
{
    static sqlite3_vfs vfs;
    static std::once_flag once;
    std::call_once(once, [] {
        vfs = *below(); // clock, randomness and libraries are the system's
        vfs.zName = "stemma-checked";
        vfs.szOsFile = sizeof(File);
        vfs.pNext = nullptr;
        vfs.xOpen = on_open;
        vfs.xDelete = on_delete;
        vfs.xAccess = on_access;
        vfs.xFullPathname = on_full_name;
        sqlite3_vfs_register(&vfs, 0);
    });
    return vfs.zName;
}

} // namespace stemma::sqlite
