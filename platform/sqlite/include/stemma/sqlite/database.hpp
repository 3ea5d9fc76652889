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
    std::string vfs; ///< empty: the system's
    /// Memory for pages, in KiB. Debian's default of 2 MiB makes every large answer read twice.
    int cache_kib = 64 * 1024;
    /// How long to wait for another writer before `conflict`.
    std::chrono::milliseconds patience{std::chrono::minutes(10)};
};

/// One connection, one thread. synchronous=FULL: what a transaction committed survives power
/// loss. recursive_triggers is on, so that INSERT OR REPLACE fires the triggers that refuse it.
class Database {
public:
    /// throws  not_found: no such file and not `create`; corrupt: not a database; io
    explicit Database(const std::string& path, const Options& options = {});
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

    /// Copies the database, online, into a new file; readers and writers go on.
    /// throws  conflict: it exists; io
    void backup_to(const std::string& path);
    /// Every finding of PRAGMA integrity_check but "ok".
    std::vector<std::string> integrity_findings();

private:
    struct Closer {
        void operator()(sqlite3* database) const noexcept;
    };
    void configure(const Options& options);
    std::string path_;
    std::chrono::milliseconds patience_{};
    std::unique_ptr<sqlite3, Closer> handle_;
    std::unordered_map<std::string, Statement> cache_;
    static int on_busy(void* self, int tries) noexcept;
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
    bool open_ = true;
};

} // namespace stemma::sqlite
