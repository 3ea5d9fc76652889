#include "stemma/sqlite/database.hpp"

#include "stemma/core/error.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <utility>

#include "checked_pages.hpp"
#include "log_format.hpp"

namespace stemma::sqlite {

namespace {

/// The library's code and text, asked once, right after the call that failed.
Error error_of(sqlite3* database, int code, std::string_view path)
{
    const std::string text = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
    const auto name = [&](std::string_view what) { return fmt::format("{}: {}", path, what); };
    if (code == SQLITE_IOERR_DATA) {
        return {ErrorCode::corrupt,
                name("a page does not have its checksum: the disk, or something else than stemma, "
                     "changed it"),
                "`stemma ledger verify` tells what is damaged"};
    }
    // The log's index in shared memory is a file as well, which is made when none is there.
    switch (code == SQLITE_IOERR_SHMSIZE ? SQLITE_FULL : code & 0xff) {
    case SQLITE_FULL:
        return {ErrorCode::io,
                name("no space left on the disk; nothing of this was kept"),
                "free some space and run the same command again"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return {ErrorCode::conflict,
                name("another process has kept the store locked for too long"),
                fmt::format("`fuser {}` shows which", path)};
    case SQLITE_INTERRUPT:
        return {ErrorCode::conflict,
                name("this took so long that the store could not wait: its log grows as long as "
                     "somebody reads the past"),
                "ask for less at a time, or ask a copy: `stemma ledger backup FILE`"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return {ErrorCode::corrupt, name(text), "`stemma ledger verify` tells what is damaged"};
    case SQLITE_CANTOPEN:
        return {ErrorCode::io, name("cannot be opened")};
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return {ErrorCode::io, name("cannot be written: " + text)};
    case SQLITE_CONSTRAINT:
        return {ErrorCode::conflict, name(text)};
    default:
        return {ErrorCode::io, name(text)};
    }
}

} // namespace

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const noexcept
{
    sqlite3_finalize(statement);
}

void Statement::check(int code) const
{
    if (code != SQLITE_OK) {
        auto* database = sqlite3_db_handle(statement_.get());
        const char* path = sqlite3_db_filename(database, "main");
        throw error_of(database, code, path != nullptr && *path != '\0' ? path : "database");
    }
}

void Statement::bind_at(int parameter, std::nullptr_t)
{
    check(sqlite3_bind_null(statement_.get(), parameter));
}

void Statement::bind_at(int parameter, std::int64_t value)
{
    check(sqlite3_bind_int64(statement_.get(), parameter, value));
}

void Statement::bind_at(int parameter, std::string_view text)
{
    check(sqlite3_bind_text64(
        statement_.get(),
        parameter,
        text.empty() ? "" : text.data(),
        text.size(),
        SQLITE_TRANSIENT, // NOLINT(cppcoreguidelines-pro-type-cstyle-cast): SQLite's own macro
        SQLITE_UTF8));
}

void Statement::bind_at(int parameter, Blob blob)
{
    check(sqlite3_bind_blob64(
        statement_.get(),
        parameter,
        blob.bytes.empty() ? "" : blob.bytes.data(),
        blob.bytes.size(),
        SQLITE_TRANSIENT)); // NOLINT(cppcoreguidelines-pro-type-cstyle-cast): SQLite's own macro
}

bool Statement::step()
{
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) {
        return true;
    }
    if (code == SQLITE_DONE) {
        return false;
    }
    auto* database = sqlite3_db_handle(statement_.get());
    const char* path = sqlite3_db_filename(database, "main");
    const auto error =
        error_of(database, code, path != nullptr && *path != '\0' ? path : "database");
    reset();
    throw Error(error);
}

void Statement::run()
{
    while (step()) {
    }
    reset();
}

void Statement::reset() noexcept
{
    sqlite3_reset(statement_.get());
}

bool Statement::is_null(int column) const noexcept
{
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const noexcept
{
    return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::view(int column) const noexcept
{
    const void* bytes = sqlite3_column_blob(statement_.get(), column);
    const auto size = sqlite3_column_bytes(statement_.get(), column);
    return bytes == nullptr
               ? std::string_view()
               : std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

std::optional<std::string> Statement::optional_text(int column) const
{
    return is_null(column) ? std::nullopt : std::optional(text(column));
}

std::optional<std::int64_t> Statement::optional_integer(int column) const
{
    return is_null(column) ? std::nullopt : std::optional(integer(column));
}

void Database::Closer::operator()(sqlite3* database) const noexcept
{
    sqlite3_close_v2(database);
}

Database::Database(const std::string& path, const Options& options)
    : path_(path),
      patience_(options.patience),
      longest_log_(options.longest_log),
      longest_reading_(options.longest_reading),
      next_shortening_(options.longest_log)
{
    if (!options.create && path != ":memory:" && !std::filesystem::exists(path)) {
        throw Error(ErrorCode::not_found, fmt::format("there is no {}", path));
    }
    const int access = options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    const int flags = access | (options.create ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX |
                      SQLITE_OPEN_EXRESCODE;
    sqlite3* opened = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(),
                        &opened,
                        flags,
                        options.vfs.empty() ? checked_pages_vfs() : options.vfs.c_str());
    handle_.reset(opened);
    if (code != SQLITE_OK) {
        throw error_of(opened, code, path);
    }
    configure(options);
}

Database::Database(Image image) : path_(std::move(image.name)), image_(std::move(image.bytes))
{
    apply_log(image_, image.log);
    constexpr std::size_t write_version_at = 18;
    if (image_.size() < header_size) {
        throw Error(ErrorCode::corrupt, fmt::format("{}: too short for a database", path_));
    }
    // There is no log in memory: 1 says that it needs none.
    image_[write_version_at] = image_[write_version_at + 1] = 1;
    sqlite3* opened = nullptr;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int code = sqlite3_open_v2(":memory:", &opened, flags, nullptr);
    handle_.reset(opened);
    if (code != SQLITE_OK) {
        throw error_of(opened, code, path_);
    }
    const auto size = static_cast<sqlite3_int64>(image_.size());
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): SQLite's bytes are unsigned
    auto* const bytes = reinterpret_cast<unsigned char*>(image_.data());
    const int taken =
        sqlite3_deserialize(handle_.get(), "main", bytes, size, size, SQLITE_DESERIALIZE_READONLY);
    if (taken != SQLITE_OK) {
        throw error_of(handle_.get(), taken, path_);
    }
    sqlite3_db_config(handle_.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    execute("PRAGMA trusted_schema = OFF;"
            "PRAGMA cell_size_check = ON;"
            "PRAGMA temp_store = MEMORY;"
            "PRAGMA mmap_size = 0");
}

Database::~Database() = default;

void Database::configure(const Options& options)
{
    sqlite3_busy_handler(handle_.get(), &Database::on_busy, this);
    sqlite3_wal_hook(handle_.get(), &Database::on_log, this);
    if (options.vfs.empty() && !options.read_only) {
        int bytes = checksum_size; // taken when the file is made, or made anew
        sqlite3_file_control(handle_.get(), "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
    }
    if (options.alone) {
        execute("PRAGMA locking_mode = EXCLUSIVE");
    }
    execute(fmt::format("PRAGMA cache_size = -{}", options.cache_kib));
    execute("PRAGMA synchronous = FULL;"
            "PRAGMA recursive_triggers = ON;"
            "PRAGMA foreign_keys = ON;"
            "PRAGMA secure_delete = OFF;"
            "PRAGMA trusted_schema = OFF;"
            "PRAGMA temp_store = MEMORY;"
            "PRAGMA mmap_size = 1073741824");
    execute(fmt::format("PRAGMA journal_size_limit = {}", options.longest_log));
}

void Database::use_wal()
{
    execute("PRAGMA journal_mode = WAL");
}

int Database::on_busy(void* self, int tries) noexcept
{
    using std::chrono::milliseconds;
    const auto& database = *static_cast<const Database*>(self);
    // 1, 2, 4 … 32 ms, then 32 ms each: the sum is what has been waited so far.
    const auto waited = milliseconds(tries < 5 ? (1LL << tries) - 1 : 31 + (tries - 5LL) * 32);
    if (waited >= database.patience_) {
        return 0;
    }
    std::this_thread::sleep_for(milliseconds(1LL << std::min(tries, 5)));
    return 1;
}

namespace {

/// Frames of the log after which what it holds is written into the database, as SQLite does.
constexpr int usual_checkpoint = 1000;

} // namespace

int Database::on_log(void* self, sqlite3* database, const char* name, int pages) noexcept
{
    auto& known = *static_cast<Database*>(self);
    sqlite3_file* file = nullptr;
    sqlite3_int64 size = 0;
    sqlite3_file_control(database, name, SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (file != nullptr && file->pMethods != nullptr) {
        file->pMethods->xFileSize(file, &size);
    }
    known.log_bytes_ = static_cast<std::uint64_t>(size);
    if (pages >= usual_checkpoint) {
        sqlite3_wal_checkpoint_v2(database, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    }
    return SQLITE_OK;
}

/// Readers that come and go without a pause keep the log from starting anew by itself; they wait a
/// moment then. One that stays is waited for in vain, so it is tried again only at twice the
/// length.
void Database::shorten_log()
{
    if (log_bytes_ <= next_shortening_) {
        return;
    }
    const auto patience = std::exchange(patience_, std::chrono::seconds(1));
    const int code = sqlite3_wal_checkpoint_v2(
        handle_.get(), "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    patience_ = patience;
    next_shortening_ = code == SQLITE_OK ? longest_log_ : 2 * log_bytes_;
}

std::uint64_t Database::log_size() const noexcept
{
    std::error_code none;
    const auto size = std::filesystem::file_size(path_ + "-wal", none);
    return none ? 0 : size;
}

bool Database::read_too_long() const noexcept
{
    return std::chrono::steady_clock::now() - reading_since_ > longest_reading_ &&
           log_size() > 4 * longest_log_;
}

int Database::on_progress(void* self) noexcept
{
    return static_cast<const Database*>(self)->read_too_long() ? 1 : 0;
}

void Database::watch_reading(bool reading)
{
    constexpr int instructions = 1'000'000; // some milliseconds
    reading_since_ = std::chrono::steady_clock::now();
    sqlite3_progress_handler(
        handle_.get(), instructions, reading ? &Database::on_progress : nullptr, this);
}

/// A cached statement that an exception left on a row would keep the connection in the past, where
/// nothing can be written any more.
void Database::reset_cached() noexcept
{
    for (auto& [sql, kept] : cache_) {
        kept.reset();
    }
}

void Database::begin(const char* statement)
{
    constexpr auto pause = std::chrono::milliseconds(10);
    const auto start = std::chrono::steady_clock::now();
    for (;;) {
        const int code = sqlite3_exec(handle_.get(), statement, nullptr, nullptr, nullptr);
        if (code == SQLITE_OK) {
            return;
        }
        // The log changed under a reader many times in a row: a matter of luck, not of locks.
        const bool unlucky = code == SQLITE_PROTOCOL;
        if (!unlucky || std::chrono::steady_clock::now() - start > patience_) {
            throw error_of(handle_.get(), code, path_);
        }
        std::this_thread::sleep_for(pause);
    }
}

void Database::execute(const std::string& sql)
{
    const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
        throw error_of(handle_.get(), code, path_);
    }
}

Statement Database::prepare(std::string_view sql)
{
    sqlite3_stmt* prepared = nullptr;
    const int code = sqlite3_prepare_v2(
        handle_.get(), sql.data(), static_cast<int>(sql.size()), &prepared, nullptr);
    if (code != SQLITE_OK) {
        throw error_of(handle_.get(), code, path_);
    }
    return Statement(prepared);
}

Statement& Database::cached(std::string_view sql)
{
    auto found = cache_.find(std::string(sql));
    if (found == cache_.end()) {
        found = cache_.emplace(std::string(sql), prepare(sql)).first;
    }
    found->second.reset();
    return found->second;
}

std::int64_t Database::integer(std::string_view sql)
{
    auto statement = prepare(sql);
    return statement.step() ? statement.integer(0) : 0;
}

std::int64_t Database::last_insert_id() const noexcept
{
    return sqlite3_last_insert_rowid(handle_.get());
}

std::int64_t Database::changes() const noexcept
{
    return sqlite3_changes64(handle_.get());
}

bool Database::in_transaction() const noexcept
{
    return sqlite3_get_autocommit(handle_.get()) == 0;
}

void Database::backup_to(const std::string& path)
{
    if (std::filesystem::exists(path)) {
        throw Error(ErrorCode::conflict, fmt::format("{} exists already", path));
    }
    reset_cached(); // a statement that still stands on a row would hold it up
    auto statement = prepare("VACUUM INTO ?");
    statement.bind(path).run();
}

void Database::compact()
{
    cache_.clear();
    execute("VACUUM");
    execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

std::vector<std::string> Database::integrity_findings()
{
    std::vector<std::string> findings;
    auto statement = prepare("PRAGMA integrity_check(100)");
    while (statement.step()) {
        if (statement.view(0) != "ok") {
            findings.push_back(statement.text(0));
        }
    }
    return findings;
}

Transaction::Transaction(Database& database, Kind kind) : database_(database), kind_(kind)
{
    if (kind == Kind::immediate) {
        database_.reset_cached();
    }
    database_.begin(kind == Kind::immediate ? "BEGIN IMMEDIATE" : "BEGIN");
    if (kind == Kind::read) {
        database_.watch_reading(true);
    }
}

Transaction::~Transaction()
{
    if (kind_ == Kind::read) {
        database_.watch_reading(false);
    }
    if (open_) {
        try {
            database_.execute("ROLLBACK");
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): SQLite rolled back by itself, as
                                 // on a full disk
        }
    }
}

void Transaction::commit()
{
    database_.execute("COMMIT");
    open_ = false;
    database_.shorten_log();
}

Savepoint::Savepoint(Database& database) : database_(database)
{
    database_.execute("SAVEPOINT part");
}

Savepoint::~Savepoint()
{
    if (open_) {
        database_.reset_cached();
        try {
            database_.execute("ROLLBACK TO part; RELEASE part");
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): the whole transaction is gone
        }
    }
}

void Savepoint::keep()
{
    database_.execute("RELEASE part");
    open_ = false;
}

} // namespace stemma::sqlite
