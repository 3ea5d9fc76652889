#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

struct pg_conn;
struct pg_result;

/// PostgreSQL, owned and typed: connections, parameters, rows, bulk copies. What the server refuses
/// becomes an Error at the call; a server that is silent for too long counts as gone.
namespace stemma::postgres {

/// Bytes, as opposed to text.
struct Bytes {
    std::string_view bytes;
};
/// A parameter: bigint, bytea, or a text whose type the server takes from the statement.
using Value = std::variant<std::int64_t, Bytes, std::string_view>;

/// The rows of an answer, or one of them. Nothing of it is trusted: a column of another size than
/// its type has is `corrupt`.
class Rows {
public:
    [[nodiscard]] int size() const noexcept;
    [[nodiscard]] bool is_null(int row, int column) const noexcept;
    /// A smallint, integer or bigint.
    [[nodiscard]] std::int64_t integer(int row, int column) const;
    /// Bytes of a bytea or a text, borrowed from these rows.
    [[nodiscard]] std::string_view view(int row, int column) const noexcept;
    [[nodiscard]] std::string text(int row, int column) const
    {
        return std::string(view(row, column));
    }

private:
    friend class Connection;
    struct Clearer {
        void operator()(pg_result* result) const noexcept;
    };
    explicit Rows(pg_result* result) : result_(result) {}
    std::unique_ptr<pg_result, Clearer> result_;
};

/// Rows for COPY … FROM STDIN (FORMAT binary), collected in memory.
/// source  PostgreSQL's manual, COPY, "Binary Format"
class CopyData {
public:
    explicit CopyData(std::int16_t columns);
    /// Starts the next row; as many values follow as there are columns.
    void begin_row();
    void put(std::int64_t bigint);
    void put_small(std::int16_t smallint);
    void put(Bytes bytea);
    /// Ends the data.
    [[nodiscard]] const std::string& finish();

private:
    std::string data_;
    std::int16_t columns_;
};

/// One connection, one thread. libpq's environment, password file, service file and TLS options
/// count as in every program that uses it. Passwords are in no message. A connection that is lost
/// throws `remote`; a statement that the server refuses `io`, or `conflict` when it waited too long
/// for a lock.
class Connection {
public:
    /// url       "postgresql://…"
    /// patience  a server that says nothing for this long while it is asked is given up
    /// throws    usage: libpq cannot read the address; remote: the server cannot be reached, or
    ///           lets nobody in. Waits as long as connect_timeout says, five seconds by default.
    Connection(const std::string& url, std::chrono::milliseconds patience);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Runs statements that are separated by semicolons; no parameters, no rows.
    void execute(const std::string& sql);
    /// Runs one statement.
    Rows query(const std::string& sql, std::span<const Value> values = {});
    /// The same, row by row, so that memory follows the largest row. An exception of `each` ends
    /// the connection.
    void each_row(const std::string& sql,
                  std::span<const Value> values,
                  const std::function<void(const Rows&)>& each);
    /// sql  COPY … FROM STDIN (FORMAT binary)
    void copy(const std::string& sql, CopyData& data);

    /// What became of a COMMIT.
    enum class Ending {
        committed,
        unsure, ///< the server went away before it answered
    };
    /// throws  io: the server refused, and nothing was kept
    Ending commit();
    /// Ends a transaction without keeping it; what fails is ignored.
    void roll_back() noexcept;

    /// True when the connection is of no more use.
    [[nodiscard]] bool is_lost() const noexcept { return handle_ == nullptr; }
    /// SQLSTATE of the last refusal, like "40001"; empty when there was none.
    [[nodiscard]] const std::string& last_state() const noexcept { return state_; }
    /// Host, port and database, like "db.example:5432/lineage".
    [[nodiscard]] const std::string& place() const noexcept { return place_; }

private:
    struct Closer {
        void operator()(pg_conn* connection) const noexcept;
    };
    void send(const std::string& sql, std::span<const Value> values);
    void flush();
    void wait(bool to_write);
    pg_result* next_result();
    void check(const pg_result* result);
    void drain();
    void close() noexcept;
    [[noreturn]] void lose(std::string_view why);
    std::unique_ptr<pg_conn, Closer> handle_;
    std::chrono::milliseconds patience_;
    std::string place_;
    std::string state_;
};

} // namespace stemma::postgres
