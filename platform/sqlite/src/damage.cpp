// Which pages of a file do not have their checksum.

#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/sqlite/database.hpp"

#include <sqlite3.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <thread>

#include "checked_pages.hpp"
#include "log_format.hpp"

namespace stemma::sqlite {

namespace {

sqlite3_file* file_of(sqlite3* database)
{
    sqlite3_file* file = nullptr;
    sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    return file != nullptr && file->pMethods != nullptr ? file : nullptr;
}

enum class Look { whole, unchecked, damaged };

/// Looks at one page as it lies in the file. A page that is all zero was never written.
Look look_at(sqlite3_file* file, std::vector<unsigned char>& page, std::uint64_t number)
{
    // Another process may be writing this very page: what is damaged stays so.
    constexpr int tries = 5;
    constexpr auto pause = std::chrono::milliseconds(20);
    const auto offset =
        static_cast<sqlite3_int64>(number - 1) * static_cast<sqlite3_int64>(page.size());
    for (int i = 0; i < tries; ++i) {
        if (i > 0) {
            std::this_thread::sleep_for(pause);
        }
        const int code = read_as_it_lies(file, page.data(), static_cast<int>(page.size()), offset);
        const bool empty =
            std::all_of(page.begin(), page.end(), [](unsigned char byte) { return byte == 0; });
        if (code == SQLITE_OK && (empty || has_its_checksum(page))) {
            return Look::whole;
        }
        if (code == SQLITE_OK && has_no_checksum(page)) {
            return Look::unchecked;
        }
    }
    return Look::damaged;
}

/// Pages of which the write-ahead log has a committed version. When the power went while the log
/// was being copied, such a page may be torn in the file, and nobody reads it there.
std::set<std::uint64_t> pages_in_log(const std::string& log, std::size_t page_size)
{
    std::set<std::uint64_t> committed;
    std::set<std::uint64_t> pending;
    if (::access(log.c_str(), R_OK) != 0) {
        return committed;
    }
    const Fd fd = open_file(log, O_RDONLY);
    std::array<unsigned char, log_header_size> header{};
    std::array<unsigned char, frame_header_size> frame{};
    const auto read = [&](auto& into, std::size_t at) {
        return ::pread(fd.get(), into.data(), into.size(), static_cast<off_t>(at)) ==
               static_cast<ssize_t>(into.size());
    };
    if (!read(header, 0)) {
        return committed;
    }
    for (auto at = log_header_size; read(frame, at); at += frame_header_size + page_size) {
        if (!std::equal(frame.begin() + frame_salts_at,
                        frame.begin() + frame_salts_at + log_salts_size,
                        header.begin() + log_salts_at)) {
            break; // of an earlier use of the log
        }
        pending.insert(big_endian(frame.data()));
        if (big_endian(frame.data() + 4) != 0) { // the last of a transaction
            committed.merge(pending);
            pending.clear();
        }
    }
    return committed;
}

} // namespace

namespace {

constexpr std::size_t version_at = 60;
constexpr std::size_t application_at = 68;

/// A file as it lies there, without its log. Through SQLite: closing a descriptor of our own would
/// drop its locks on the same file.
class FileAsItIs {
public:
    explicit FileAsItIs(const std::string& path)
    {
        sqlite3* opened = nullptr;
        const int code = sqlite3_open_v2(
            path.c_str(), &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, checked_pages_vfs());
        database_.reset(opened);
        file_ = code == SQLITE_OK ? file_of(opened) : nullptr;
    }
    /// The first bytes, whether their checksum holds or not; empty: the file is not that long.
    [[nodiscard]] std::vector<unsigned char> begin(std::size_t size) const
    {
        std::vector<unsigned char> bytes(size);
        const int code = file_ == nullptr
                             ? SQLITE_CANTOPEN
                             : read_as_it_lies(file_, bytes.data(), static_cast<int>(size), 0);
        return code == SQLITE_OK ? bytes : std::vector<unsigned char>();
    }

private:
    std::unique_ptr<sqlite3, decltype(&sqlite3_close_v2)> database_{nullptr, &sqlite3_close_v2};
    sqlite3_file* file_ = nullptr;
};

} // namespace

std::optional<Label> label_of(const std::string& path)
{
    constexpr std::string_view magic("SQLite format 3\0", 16);
    const auto header = FileAsItIs(path).begin(header_size);
    if (header.empty() || !std::equal(magic.begin(), magic.end(), header.begin())) {
        return std::nullopt;
    }
    const auto number = [&](std::size_t at) {
        return static_cast<std::int32_t>(big_endian(header.data() + at));
    };
    return Label{number(application_at), number(version_at)};
}

bool label_was_of_version(const std::string& path, std::int32_t version)
{
    constexpr std::size_t page_size_at = 16;
    constexpr std::size_t largest_page = 65536;
    const FileAsItIs file(path);
    const auto header = file.begin(header_size);
    if (header.empty() || header[reserved_at] != checksum_size) {
        return false;
    }
    const std::size_t said = static_cast<std::size_t>(header[page_size_at]) << 8U |
                             static_cast<std::size_t>(header[page_size_at + 1]);
    auto page = file.begin(said == 1 ? largest_page : said);
    if (page.size() < header_size) {
        return false;
    }
    for (std::size_t i = 0; i < sizeof(version); ++i) {
        page[version_at + i] =
            static_cast<unsigned char>(static_cast<std::uint32_t>(version) >> (24U - 8U * i));
    }
    return has_its_checksum(page);
}

bool Database::has_page_checksums()
{
    std::array<unsigned char, header_size> header{};
    auto* const file = file_of(handle_.get());
    return file != nullptr &&
           file->pMethods->xRead(file, header.data(), static_cast<int>(header_size), 0) ==
               SQLITE_OK &&
           header[reserved_at] == checksum_size;
}

PageReport Database::look_at_pages()
{
    constexpr std::size_t most = 100;
    PageReport report;
    if (!has_page_checksums()) {
        return report;
    }
    auto* const file = file_of(handle_.get());
    std::vector<unsigned char> page(static_cast<std::size_t>(integer("PRAGMA page_size")));
    sqlite3_int64 size = 0;
    file->pMethods->xFileSize(file, &size);
    const auto pages = static_cast<std::uint64_t>(size) / page.size();
    const auto logged = pages_in_log(path_ + "-wal", page.size());
    for (std::uint64_t number = 1; number <= pages && report.damaged.size() < most; ++number) {
        if (logged.contains(number)) {
            continue;
        }
        const auto look = look_at(file, page, number);
        report.unchecked += look == Look::unchecked ? 1U : 0U;
        if (look == Look::damaged) {
            report.damaged.push_back(number);
        }
    }
    return report;
}

std::vector<std::uint64_t> Database::damaged_pages()
{
    return look_at_pages().damaged;
}

} // namespace stemma::sqlite
