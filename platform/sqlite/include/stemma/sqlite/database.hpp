#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

/// SQLite, owned and typed: connections, statements, transactions. Codes become Errors at the call:
/// a full disk is `io`, a damaged file `corrupt`, a lock that is held too long `conflict`.
namespace stemma::sqlite {

/// What a look at every page of a file found.
struct PageReport {
    std::vector<std::uint64_t> damaged; ///< at most a hundred
    /// Pages that another program copied from the log into the file, where they have no checksum
    /// yet. They are read as they are, and have one when they are written next; compact() writes
    /// all.
    std::uint64_t unchecked = 0;
};

/// Bytes, as opposed to text.
struct Blob {
    std::string_view bytes;
};

/// A prepared statement. Columns count from 0, parameters from 1. Belongs to its connection, which
/// must outlive it.
class Statement {
public:
    Statement() = default;

    /// Binds all parameters from the first on and starts over; texts and blobs are copied.
    template <typename... Values>
    Statement& bind(const Values&... values)
    {
        reset();
        int at = 0;
        (bind_at(++at, values), ...);
        return *this;
    }

    void bind_at(int parameter, std::nullptr_t);
    void bind_at(int parameter, std::int64_t value);
    void bind_at(int parameter, std::string_view text);
    void bind_at(int parameter, Blob blob);
    template <std::integral Integer>
    void bind_at(int parameter, Integer value)
    {
        bind_at(parameter, static_cast<std::int64_t>(value));
    }
    void bind_at(int parameter, const std::string& text)
    {
        bind_at(parameter, std::string_view(text));
    }
    void bind_at(int parameter, const char* text) { bind_at(parameter, std::string_view(text)); }
    template <typename Value>
    void bind_at(int parameter, const std::optional<Value>& value)
    {
        if (value) {
            bind_at(parameter, *value);
        } else {
            bind_at(parameter, nullptr);
        }
    }

    /// True while there is a row. Texts and blobs of a row are good until the next call.
    bool step();
    /// Steps to the end; for statements without a result.
    void run();
    void reset() noexcept;

    [[nodiscard]] bool is_null(int column) const noexcept;
    [[nodiscard]] std::int64_t integer(int column) const noexcept;
    /// Bytes of a text or a blob, borrowed until the next step.
    [[nodiscard]] std::string_view view(int column) const noexcept;
    [[nodiscard]] std::string text(int column) const { return std::string(view(column)); }
    [[nodiscard]] std::optional<std::string> optional_text(int column) const;
    [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;

private:
    friend class Database;
    struct Finalizer {
        void operator()(sqlite3_stmt* statement) const noexcept;
    };
    explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
    void check(int code) const;
    std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

struct Options {
    bool create = false; ///< makes the file when it is missing
    bool read_only = false;
    /// Keeps all others out as long as it is open, and so needs no shared memory, which takes a
    /// little room on the disk.
    bool alone = false;
    /// Empty: the system's, with checksums of pages (see below).
    std::string vfs;
    /// Memory for pages, in KiB. Debian's default of 2 MiB makes every large answer read twice.
    int cache_kib = 64 * 1024;
    /// How long to wait for another writer before `conflict`.
    std::chrono::milliseconds patience{std::chrono::minutes(10)};
    /// The write-ahead log is brought back to its beginning when it is longer than this, in bytes.
    std::uint64_t longest_log = std::uint64_t{64} << 20U;
    /// A reading transaction that is older than this, while the log is four times too long, fails
    /// with `conflict`: the log cannot be brought back as long as somebody reads the past.
    std::chrono::milliseconds longest_reading{std::chrono::minutes(5)};
};

/// What the header of a database's file says of its content.
struct Label {
    std::int32_t application = 0; ///< PRAGMA application_id
    std::int32_t version = 0;     ///< PRAGMA user_version
};
/// Reads the header as it lies in the file, without its checksum and without the log: a later
/// version may have others. Takes no lock, and drops none that this process holds.
/// returns  nullopt: there is no such file, or it is no database
std::optional<Label> label_of(const std::string& path);
/// True when the first page would have its checksum if its version were this one: nothing but the
/// bytes of the version was changed, and no program did that.
bool label_was_of_version(const std::string& path, std::int32_t version);

/// A database that somebody else wrote, in memory: the bytes of its file and of its write-ahead
/// log.
struct Image {
    std::string name;  ///< what messages call it
    std::string bytes; ///< of the file
    std::string log{}; ///< of the file beside it that ends with "-wal"; empty: none
};

/// One connection, one thread. synchronous=FULL: what a transaction committed survives power
/// loss. recursive_triggers is on, so that INSERT OR REPLACE fires the triggers that refuse it.
///
/// Every page of a database that was made here ends with a checksum of its content; a page that
/// does not have it is refused (`corrupt`) wherever it is read.
class Database {
public:
    /// throws  not_found: no such file and not `create`; corrupt: not a database; io
    explicit Database(const std::string& path, const Options& options = {});
    /// Reads an image, with what its log says was committed; opens no file, and writes nothing.
    /// Nothing of it is trusted: damage and traps show as `corrupt` where they are met.
    /// throws  corrupt: not a database
    explicit Database(Image image);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    Database(Database&&) = delete;
    Database& operator=(Database&&) = delete;

    /// Readers and one writer at a time, side by side; kept in the file. Not done by the
    /// constructor, so that another program's database stays as it is.
    void use_wal();

    /// Runs statements that are separated by semicolons; no parameters.
    void execute(const std::string& sql);
    [[nodiscard]] Statement prepare(std::string_view sql);
    /// The statement of this text, prepared once and kept; reset at each call. Not for recursion:
    /// two users of one text at a time would share it.
    Statement& cached(std::string_view sql);

    /// The single integer of a query without parameters.
    [[nodiscard]] std::int64_t integer(std::string_view sql);
    [[nodiscard]] std::int64_t last_insert_id() const noexcept;
    [[nodiscard]] std::int64_t changes() const noexcept;
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] bool in_transaction() const noexcept;
    /// False for a file of before there were checksums of pages, until compact().
    [[nodiscard]] bool has_page_checksums();
    /// Bytes of the write-ahead log's file; 0 when there is none.
    [[nodiscard]] std::uint64_t log_size() const noexcept;

    /// Copies the database, online, into a new file; readers and writers go on.
    /// throws  conflict: it exists; io
    void backup_to(const std::string& path);
    /// Writes the whole file again without its free pages, and with checksums of pages. Needs as
    /// much free space as the file has; others wait meanwhile.
    void compact();
    /// Numbers of the pages of the file, used or free, that do not have their checksum, at most a
    /// hundred; empty for a file without checksums. Others may write meanwhile.
    std::vector<std::uint64_t> damaged_pages();
    /// The same, and how many have none to be looked at.
    PageReport look_at_pages();
    /// Every finding of PRAGMA integrity_check but "ok".
    std::vector<std::string> integrity_findings();

private:
    friend class Savepoint;
    friend class Transaction;
    struct Closer {
        void operator()(sqlite3* database) const noexcept;
    };
    void configure(const Options& options);
    void begin(const char* statement);
    void reset_cached() noexcept;
    void shorten_log();
    void watch_reading(bool reading);
    [[nodiscard]] bool read_too_long() const noexcept;
    std::string path_;
    std::string image_; ///< of a database in memory
    std::chrono::milliseconds patience_{};
    std::uint64_t longest_log_ = 0;
    std::chrono::milliseconds longest_reading_{};
    std::uint64_t log_bytes_ = 0;       ///< after the last commit here
    std::uint64_t next_shortening_ = 0; ///< length at which the log is brought back next
    std::chrono::steady_clock::time_point reading_since_{};
    std::unique_ptr<sqlite3, Closer> handle_;
    std::unordered_map<std::string, Statement> cache_;
    static int on_busy(void* self, int tries) noexcept;
    static int on_log(void* self, sqlite3* database, const char* name, int pages) noexcept;
    static int on_progress(void* self) noexcept;
};

/// BEGIN … COMMIT; rolls back unless commit() was called. `immediate` takes the write lock at once,
/// waiting for it; a transaction that begins by reading and writes later could fail at any write.
class Transaction {
public:
    enum class Kind { read, immediate };
    explicit Transaction(Database& database, Kind kind = Kind::immediate);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

private:
    Database& database_;
    Kind kind_;
    bool open_ = true;
};

/// A part of a transaction that can be taken back alone; taken back unless keep() was called.
class Savepoint {
public:
    explicit Savepoint(Database& database);
    ~Savepoint();
    Savepoint(const Savepoint&) = delete;
    Savepoint& operator=(const Savepoint&) = delete;
    void keep();

private:
    Database& database_;
    bool open_ = true;
};

} // namespace stemma::sqlite
