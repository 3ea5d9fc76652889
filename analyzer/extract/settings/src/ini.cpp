#include "stemma/core/text.hpp"

#include <algorithm>

#include "dialect.hpp"
#include "lines.hpp"

namespace stemma::analyzer::settings {

namespace {

/// "name = value", "name: value" or, for dialects without a sign, "name value".
struct Pair {
    std::string_view name;
    std::string_view value;
    bool sign = false;
};

Pair split_at_sign(std::string_view line, std::string_view signs)
{
    const auto at = line.find_first_of(signs);
    if (at == std::string_view::npos) {
        return {trim(line), {}, false};
    }
    std::string_view name = trim(line.substr(0, at));
    std::string_view value = line.substr(at + 1);
    if (!name.empty() && (name.back() == '+' || name.back() == '?')) {
        name.remove_suffix(1); // shell's and make's "+=": the name is what counts
    }
    return {trim(name), trim(value), true};
}

} // namespace

void read_ini(std::string_view text, const Dialect& dialect, Sink& sink)
{
    // Python's configparser: an indented line goes on with the value above it.
    const bool continues = dialect.headers == "indented";
    std::string last;
    for_logical_lines(text, [&](std::string_view raw, std::size_t number) {
        const std::string_view line = strip_comment(raw, dialect);
        if (line.empty()) {
            return;
        }
        if (line.front() == '[') {
            const auto end = line.rfind(']');
            sink.close_all();
            if (end == std::string_view::npos) {
                sink.error(line, number);
                sink.reopen(trim(line.substr(1)), {}, number);
            } else {
                sink.reopen(trim(line.substr(1, end - 1)), {}, number);
            }
            return;
        }
        if (line.front() == '!') { // MySQL's !includedir
            sink.put_as(Shape::many, "!include", line.substr(1), number);
            return;
        }
        if (continues && (raw.front() == ' ' || raw.front() == '\t') && !last.empty()) {
            sink.element(last, line, number);
            return;
        }
        const Pair pair = split_at_sign(line, "=");
        if (pair.sign) {
            if (pair.name.empty()) {
                sink.error(line, number);
            } else {
                last = pair.name;
                sink.put(pair.name, pair.value, number);
            }
            return;
        }
        // A name alone is a switch ("skip-networking"); several words are a slip.
        if (pair.name.find_first_of(" \t") == std::string_view::npos) {
            sink.put(pair.name, "on", number);
        } else {
            sink.error(line, number);
        }
    });
}

void read_equals(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_lines(text, [&](std::string_view raw, std::size_t number) {
        std::string_view line = strip_comment(raw, dialect);
        if (line.empty()) {
            return;
        }
        for (const std::string_view prefix : {"export ", "set ", "setenv "}) {
            if (line.starts_with(prefix)) {
                line = trim(line.substr(prefix.size()));
            }
        }
        const Pair pair = split_at_sign(line, "=");
        const bool is_name = !pair.name.empty() &&
                             pair.name.find_first_of(" \t(){};|&<>$`") == std::string_view::npos;
        if (pair.sign && is_name) {
            sink.put(pair.name, pair.value, number);
            return;
        }
        // Programs that read "name value" beside "name = value" (PostgreSQL) show it by the table.
        const auto words = split_words(line);
        if (dialect.headers == "words" && words.size() >= 2 && !pair.sign) {
            sink.put(words[0], trim(line.substr(words[0].size())), number);
        } else if (dialect.headers == "code") {
            sink.element("code", line, number);
        } else {
            sink.error(line, number);
        }
    });
}

void read_words(std::string_view text, const Dialect& dialect, Sink& sink)
{
    const auto headers = split_words(dialect.headers);
    for_logical_lines(text, [&](std::string_view raw, std::size_t number) {
        const std::string_view line = strip_comment(raw, dialect);
        if (line.empty()) {
            return;
        }
        std::string_view name = line.substr(0, line.find_first_of(" \t="));
        std::string_view value = trim(line.substr(name.size()));
        if (value.starts_with('=')) {
            value = trim(value.substr(1));
        }
        const bool opens = std::ranges::find(headers, to_lower(name)) != headers.end();
        if (opens) {
            sink.close_all();
        }
        if (name.empty() || (opens && value.empty())) {
            sink.error(line, number);
        } else if (opens) {
            sink.reopen(name, value, number);
        } else {
            sink.put(name, value.empty() ? "on" : value, number);
        }
    });
}

void read_colon(std::string_view text, const Dialect& dialect, Sink& sink)
{
    const bool clauses = dialect.headers == "sections";
    for_logical_lines(text, [&](std::string_view raw, std::size_t number) {
        const std::string_view line = strip_comment(raw, dialect);
        if (line.empty()) {
            return;
        }
        const Pair pair = split_at_sign(line, ":");
        if (clauses && pair.sign && pair.value.empty()) { // unbound, nsd: "server:"
            sink.close_all();
            sink.open(pair.name, {}, number);
        } else if (pair.sign && !pair.name.empty()) {
            sink.put(pair.name, pair.value, number);
        } else {
            sink.error(line, number);
        }
    });
}

} // namespace stemma::analyzer::settings
