#pragma once

#include "stemma/analyzer/settings.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stemma::analyzer::settings {

/// What a second occurrence of a directive in the same record means, and what its value is.
enum class Shape {
    single, ///< the last one counts
    first,  ///< the first one counts (sshd)
    many,   ///< each occurrence is an element of a set
    words,  ///< the value is an order-free list of words; occurrences add to it
    commas, ///< the same, separated by commas (blanks around them, or blanks alone, count too)
    plain,  ///< nothing is known: one occurrence is a value, several are a set
};

struct Dialect;

/// Receives what a grammar finds and keeps keys unique, short and in their records.
class Sink {
public:
    Sink(const Dialect& dialect, SettingsFile& out) : dialect_(dialect), out_(out) {}

    /// Enters a record or section; `identity` may be empty. A second one with the same name and
    /// identity gets a number: "location[/][2]". With the line of its header, a record that stays
    /// empty is said to be there: "location[/]/(empty)".
    void open(std::string_view name, std::string_view identity = {}, std::size_t line = 0);
    /// Enters a section that, met again, is the same one (an ini section).
    void reopen(std::string_view name, std::string_view identity = {}, std::size_t line = 0);
    void close();
    void close_all();
    /// After the last line: closes what is open, and says which records stayed empty.
    void finish();
    [[nodiscard]] std::size_t depth() const noexcept { return records_.size(); }

    /// A directive with a value, shaped by the dialect's table.
    void put(std::string_view name, std::string_view value, std::size_t line);
    /// The same with the shape given.
    void put_as(Shape shape, std::string_view name, std::string_view value, std::size_t line);
    void element(std::string_view list, std::string_view text, std::size_t line);
    void error(std::string_view text, std::size_t line);

    [[nodiscard]] bool full() const noexcept { return out_.cut; }

private:
    struct Seen {
        std::size_t index;
        bool is_set;
    };
    struct Record {
        std::size_t outer;  ///< length of the prefix around it
        std::size_t line;   ///< of its header; 0: not known
        std::size_t before; ///< settings when it was entered
    };
    void enter(std::string segment, std::size_t line);
    void add(std::string key, std::string_view value, std::size_t line);
    void add_plain(std::string key, std::string_view value, std::size_t line);
    void add_words(const std::string& list, std::string_view value, bool commas, std::size_t line);
    void add_element(std::string_view list_key, std::string_view text, std::size_t line);
    [[nodiscard]] std::string key_of(std::string_view name) const;

    const Dialect& dialect_;
    SettingsFile& out_;
    std::string prefix_;
    std::vector<Record> records_;
    std::unordered_map<std::string, std::uint32_t> opened_;
    std::map<std::string, std::size_t> empty_; ///< prefixes of records, with the line of the header
    std::set<std::string> filled_;             ///< the same, of those with something in them
    std::unordered_map<std::string, Seen> seen_;
};

/// Without blanks at the ends, without one pair of quotes around the whole, blanks folded to one.
std::string tidy_value(std::string_view text);

} // namespace stemma::analyzer::settings
