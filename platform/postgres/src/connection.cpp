#include "stemma/postgres/connection.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/postgres/address.hpp"

#include <poll.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include <libpq-fe.h>

namespace stemma::postgres {

namespace {

// Types of parameters, by PostgreSQL's pg_type.dat.
constexpr Oid type_bigint = 20;
constexpr Oid type_bytea = 17;
constexpr Oid type_by_statement = 0;
constexpr int binary = 1;

constexpr int byte_bits = 8;

/// As the network has it: highest byte first.
void append_number(std::string& bytes, std::uint64_t number, int size)
{
    for (int at = size - 1; at >= 0; --at) {
        bytes += static_cast<char>((number >> static_cast<unsigned>(at * byte_bits)) & 0xFFU);
    }
}

std::int64_t number_in(std::string_view bytes)
{
    // The sign of the first byte is the sign of all.
    std::uint64_t number = !bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0x80U) != 0
                               ? ~std::uint64_t{0}
                               : 0;
    for (const char byte : bytes) {
        number = number << static_cast<unsigned>(byte_bits) | static_cast<unsigned char>(byte);
    }
    return static_cast<std::int64_t>(number);
}

/// What libpq says, on one line that a terminal can show.
std::string words_of(const char* message)
{
    const std::string_view text = message == nullptr ? "" : message;
    std::string words;
    for (const auto line : split_lines(text)) {
        words += (words.empty() ? "" : " ") + std::string(trim(line));
    }
    return printable(words);
}

struct Parameters {
    explicit Parameters(std::span<const Value> values)
    {
        numbers.reserve(values.size()); // what `texts` points at must stay where it is
        for (const auto& value : values) {
            std::visit([this](const auto& given) { add(given); }, value);
        }
    }
    void add(std::int64_t number)
    {
        numbers.emplace_back();
        append_number(numbers.back(), static_cast<std::uint64_t>(number), sizeof number);
        put(numbers.back(), type_bigint, binary);
    }
    void add(Bytes given) { put(given.bytes, type_bytea, binary); }
    void add(std::string_view text)
    {
        numbers.emplace_back(text); // ended by a zero, as libpq wants it
        put(numbers.back(), type_by_statement, 0);
    }
    void put(std::string_view bytes, Oid type, int format)
    {
        texts.push_back(bytes.data() == nullptr ? "" : bytes.data());
        lengths.push_back(static_cast<int>(bytes.size()));
        types.push_back(type);
        formats.push_back(format);
    }
    std::vector<std::string> numbers;
    std::vector<const char*> texts;
    std::vector<int> lengths;
    std::vector<Oid> types;
    std::vector<int> formats;
};

/// The server ends the connection after saying this: it stops, or was bidden to end it.
bool ends_connection(std::string_view state)
{
    return state.starts_with("57P") || state.starts_with("08") || state == "25P03";
}

/// Of a statement that was refused by a server that is there.
ErrorCode code_of(std::string_view state)
{
    constexpr std::string_view lock_not_available = "55P03";
    return state == lock_not_available ? ErrorCode::conflict : ErrorCode::io;
}

/// What somebody can do about a refusal.
std::string way_out(std::string_view state)
{
    if (state == "25006") {
        return "this server only follows another one: name the first, or several hosts and "
               "target_session_attrs=read-write";
    }
    if (state == "42501") {
        return "the database's owner grants what is missing; docs/lineage.md names what a role "
               "needs";
    }
    return state == "53100" ? "free some space on the server" : std::string();
}

} // namespace

void Rows::Clearer::operator()(pg_result* result) const noexcept
{
    ::PQclear(result);
}

int Rows::size() const noexcept
{
    return ::PQntuples(result_.get());
}

bool Rows::is_null(int row, int column) const noexcept
{
    return ::PQgetisnull(result_.get(), row, column) != 0;
}

std::string_view Rows::view(int row, int column) const noexcept
{
    const char* bytes = ::PQgetvalue(result_.get(), row, column);
    const int size = ::PQgetlength(result_.get(), row, column);
    return bytes == nullptr || size < 0 ? std::string_view()
                                        : std::string_view(bytes, static_cast<std::size_t>(size));
}

std::int64_t Rows::integer(int row, int column) const
{
    const auto bytes = view(row, column);
    if (bytes.size() != sizeof(std::int64_t) && bytes.size() != sizeof(std::int32_t) &&
        bytes.size() != sizeof(std::int16_t)) {
        throw Error(ErrorCode::corrupt, "the server answered with something that is no number");
    }
    return number_in(bytes);
}

CopyData::CopyData(std::int16_t columns) : columns_(columns)
{
    constexpr std::string_view signature("PGCOPY\n\377\r\n\0", 11);
    data_ = signature;
    append_number(data_, 0, 4); // flags
    append_number(data_, 0, 4); // no extension
}

void CopyData::begin_row()
{
    append_number(data_, static_cast<std::uint64_t>(columns_), 2);
}

void CopyData::put(std::int64_t bigint)
{
    append_number(data_, sizeof bigint, 4);
    append_number(data_, static_cast<std::uint64_t>(bigint), sizeof bigint);
}

void CopyData::put_small(std::int16_t smallint)
{
    append_number(data_, sizeof smallint, 4);
    append_number(data_, static_cast<std::uint64_t>(smallint), sizeof smallint);
}

void CopyData::put(Bytes bytea)
{
    append_number(data_, bytea.bytes.size(), 4);
    data_ += bytea.bytes;
}

const std::string& CopyData::finish()
{
    append_number(data_, 0xFFFFU, 2);
    return data_;
}

void Connection::Closer::operator()(pg_conn* connection) const noexcept
{
    ::PQfinish(connection);
}

Connection::Connection(const std::string& url, std::chrono::milliseconds patience)
    : patience_(patience)
{
    (void)target(url); // refused with words that hold no password
    // What comes later counts more: the address may name its own timeout, and nothing names
    // another encoding.
    const bool own_timeout = std::getenv("PGCONNECT_TIMEOUT") != nullptr; // NOLINT(*-mt-unsafe)
    const std::array<const char*, 5> keys = {"fallback_application_name",
                                             own_timeout ? "fallback_application_name"
                                                         : "connect_timeout",
                                             "dbname",
                                             "client_encoding",
                                             nullptr};
    const std::array<const char*, 5> values = {
        "stemma", own_timeout ? "stemma" : "5", url.c_str(), "UTF8", nullptr};
    handle_.reset(::PQconnectdbParams(keys.data(), values.data(), 1));
    if (!handle_) {
        throw Error(ErrorCode::io, "out of memory");
    }
    const auto part = [&](const char* text) { return std::string(text == nullptr ? "" : text); };
    place_ = printable(fmt::format("{}:{}/{}",
                                   part(::PQhost(handle_.get())),
                                   part(::PQport(handle_.get())),
                                   part(::PQdb(handle_.get()))));
    if (::PQstatus(handle_.get()) != CONNECTION_OK || ::PQsetnonblocking(handle_.get(), 1) != 0) {
        throw Error(ErrorCode::remote, words_of(::PQerrorMessage(handle_.get())));
    }
    ::PQsetNoticeProcessor(
        handle_.get(), [](void* /*self*/, const char* /*message*/) {}, nullptr);
}

Connection::~Connection() = default;

void Connection::close() noexcept
{
    handle_.reset();
}

void Connection::lose(std::string_view why)
{
    const auto text = fmt::format("{}: {}", place_, why);
    close();
    throw Error(ErrorCode::remote, text);
}

void Connection::wait(bool to_write)
{
    if (is_lost()) {
        throw Error(ErrorCode::remote, fmt::format("{}: the connection is closed", place_));
    }
    pollfd ready{::PQsocket(handle_.get()), POLLIN, 0};
    if (to_write) {
        ready.events = POLLIN | POLLOUT;
    }
    const int count = ::poll(&ready, 1, static_cast<int>(patience_.count()));
    if (count == 0) {
        lose(fmt::format("the server said nothing for {} seconds",
                         std::chrono::duration_cast<std::chrono::seconds>(patience_).count()));
    }
    if (count < 0 && errno != EINTR) {
        lose("the connection cannot be waited for");
    }
    if (count > 0 && (ready.revents & ~POLLOUT) != 0 && ::PQconsumeInput(handle_.get()) == 0) {
        lose(words_of(::PQerrorMessage(handle_.get())));
    }
}

void Connection::flush()
{
    for (;;) {
        const int left = ::PQflush(handle_.get());
        if (left == 0) {
            return;
        }
        if (left < 0) {
            lose(words_of(::PQerrorMessage(handle_.get())));
        }
        wait(true);
    }
}

void Connection::send(const std::string& sql, std::span<const Value> values)
{
    if (is_lost()) {
        throw Error(ErrorCode::remote, fmt::format("{}: the connection is closed", place_));
    }
    state_.clear();
    const Parameters given(values);
    if (::PQsendQueryParams(handle_.get(),
                            sql.c_str(),
                            static_cast<int>(values.size()),
                            given.types.data(),
                            given.texts.data(),
                            given.lengths.data(),
                            given.formats.data(),
                            binary) == 0) {
        lose(words_of(::PQerrorMessage(handle_.get())));
    }
    flush();
}

pg_result* Connection::next_result()
{
    while (::PQisBusy(handle_.get()) != 0) {
        wait(false);
    }
    return ::PQgetResult(handle_.get());
}

void Connection::check(const pg_result* result)
{
    switch (::PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_COPY_IN:
        return;
    default:
        break;
    }
    const char* state = ::PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const auto words = words_of(::PQresultErrorMessage(result));
    state_ = state == nullptr ? "" : state;
    if (::PQstatus(handle_.get()) != CONNECTION_OK || ends_connection(state_)) {
        lose(words);
    }
    drain();
    throw Error(code_of(state_), fmt::format("{}: {}", place_, words), way_out(state_));
}

/// Reads what is left of an answer that nobody wants.
void Connection::drain()
{
    while (!is_lost()) {
        const Rows rest(next_result());
        if (!rest.result_) {
            return;
        }
        if (::PQresultStatus(rest.result_.get()) == PGRES_COPY_IN) {
            close();
        }
    }
}

void Connection::execute(const std::string& sql)
{
    if (is_lost()) {
        throw Error(ErrorCode::remote, fmt::format("{}: the connection is closed", place_));
    }
    state_.clear();
    if (::PQsendQuery(handle_.get(), sql.c_str()) == 0) {
        lose(words_of(::PQerrorMessage(handle_.get())));
    }
    flush();
    for (;;) {
        const Rows result(next_result());
        if (!result.result_) {
            return;
        }
        check(result.result_.get());
    }
}

Rows Connection::query(const std::string& sql, std::span<const Value> values)
{
    send(sql, values);
    Rows rows(next_result());
    check(rows.result_.get());
    drain();
    return rows;
}

void Connection::each_row(const std::string& sql,
                          std::span<const Value> values,
                          const std::function<void(const Rows&)>& each)
{
    send(sql, values);
    ::PQsetSingleRowMode(handle_.get());
    for (;;) {
        const Rows rows(next_result());
        if (!rows.result_) {
            return;
        }
        check(rows.result_.get());
        if (rows.size() == 0) {
            continue;
        }
        try {
            each(rows);
        } catch (...) {
            close(); // the rest of the rows would be in the way of every other statement
            throw;
        }
    }
}

void Connection::copy(const std::string& sql, CopyData& data)
{
    state_.clear();
    if (is_lost() || ::PQsendQuery(handle_.get(), sql.c_str()) == 0) {
        lose("the connection is closed");
    }
    flush();
    {
        const Rows begun(next_result());
        check(begun.result_.get());
    }
    constexpr std::size_t piece = std::size_t{1} << 20U;
    const auto& bytes = data.finish();
    for (std::size_t at = 0; at < bytes.size();) {
        const auto size = std::min(piece, bytes.size() - at);
        const int sent = ::PQputCopyData(handle_.get(), &bytes[at], static_cast<int>(size));
        if (sent < 0) {
            lose(words_of(::PQerrorMessage(handle_.get())));
        }
        at += sent > 0 ? size : 0;
        flush();
    }
    while (::PQputCopyEnd(handle_.get(), nullptr) == 0) {
        flush();
    }
    flush();
    const Rows ended(next_result());
    check(ended.result_.get());
    drain();
}

Connection::Ending Connection::commit()
{
    bool kept = false;
    try {
        send("COMMIT", {});
        const Rows result(next_result());
        check(result.result_.get());
        // A transaction that failed before answers a COMMIT with ROLLBACK.
        kept = std::string_view(::PQcmdStatus(result.result_.get())) == "COMMIT";
        drain();
    } catch (const Error&) {
        if (!is_lost()) {
            throw;
        }
        return Ending::unsure;
    }
    if (!kept) {
        throw Error(ErrorCode::io, fmt::format("{}: the transaction had failed before", place_));
    }
    return Ending::committed;
}

void Connection::roll_back() noexcept
{
    try {
        if (!is_lost()) {
            execute("ROLLBACK");
        }
    } catch (...) {
        close();
    }
}

} // namespace stemma::postgres
