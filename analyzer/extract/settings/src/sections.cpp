#include "stemma/core/text.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "dialect.hpp"
#include "lines.hpp"

/// Grammars in which a line opens a section: Apache's tags, HAProxy's headers, ifupdown's stanzas.
namespace stemma::analyzer::settings {

namespace {

/// What stands behind the first word of a line.
std::string_view after(std::string_view word, std::string_view line)
{
    return trim(line.substr(word.size()));
}

std::string_view value_or_on(std::string_view value)
{
    return value.empty() ? "on" : value;
}

/// Apache's nested tags, by name; what is left open is an error, and closed with what is around it.
class Tags {
public:
    explicit Tags(Sink& sink) : sink_(sink) {}

    void open(std::string_view line, std::size_t number)
    {
        const bool whole = line.ends_with('>');
        const std::string_view inner = trim(line.substr(1, whole ? line.size() - 2 : line.size()));
        const std::string name = to_lower(inner.substr(0, inner.find_first_of(" \t")));
        if (name.empty() || !whole) {
            sink_.error(line, number);
        }
        if (name == "virtualhost") { // cannot lie in anything but conditions
            while (!names_.empty() && !names_.back().starts_with("if")) {
                drop_open(number);
            }
        }
        sink_.open(name, tidy_value(inner.substr(name.size())), number);
        names_.push_back(name);
    }

    void close(std::string_view line, std::size_t number)
    {
        const std::string name = to_lower(trim(line.substr(2, line.find('>') - 2)));
        if (std::find(names_.begin(), names_.end(), name) == names_.end()) {
            sink_.error(line, number);
            return;
        }
        while (names_.back() != name) {
            drop_open(number);
        }
        sink_.close();
        names_.pop_back();
    }

    void end(std::size_t number)
    {
        while (!names_.empty()) {
            drop_open(number);
        }
    }

private:
    void drop_open(std::size_t number)
    {
        sink_.error("<" + names_.back() + "> is not closed", number);
        sink_.close();
        names_.pop_back();
    }

    Sink& sink_;
    std::vector<std::string> names_;
};

} // namespace

void read_apache(std::string_view text, const Dialect& dialect, Sink& sink)
{
    Tags tags(sink);
    std::size_t last = 0;
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        last = number;
        if (line.starts_with("</")) {
            tags.close(line, number);
        } else if (line.front() == '<') {
            tags.open(line, number);
        } else {
            const std::string_view name = line.substr(0, line.find_first_of(" \t"));
            sink.put(name, value_or_on(after(name, line)), number);
        }
    });
    tags.end(last);
}

void read_haproxy(std::string_view text, const Dialect& dialect, Sink& sink)
{
    const auto headers = split_words(dialect.headers);
    for_content(text, dialect, [&](std::string_view line, std::size_t number) {
        const auto words = split_words(line);
        if (std::find(headers.begin(), headers.end(), words[0]) != headers.end()) {
            sink.close_all();
            sink.reopen(words[0], after(words[0], line), number);
            return;
        }
        // "timeout server 50s", "server web1 10.0.0.1:80 check": two words name it.
        const Shape shape = dialect.shape_of(words[0]);
        if (words.size() > 2 && shape == Shape::first) {
            const auto begin = static_cast<std::size_t>(words[2].data() - line.data());
            std::string name(words[0]);
            name.append(" ").append(words[1]);
            sink.put_as(Shape::plain, name, line.substr(begin), number);
        } else {
            sink.put_as(shape == Shape::many ? Shape::many : Shape::plain,
                        words[0],
                        value_or_on(after(words[0], line)),
                        number);
        }
    });
}

void read_interfaces(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        const auto words = split_words(line);
        const std::string_view rest = after(words[0], line);
        if (words[0] == "iface" && words.size() >= 2) {
            sink.close_all();
            std::string identity(words[1]);
            if (words.size() > 2) {
                identity.append(" ").append(words[2]);
            }
            sink.reopen("iface", identity);
            if (words.size() > 3) {
                sink.put("method", words[3], number);
            }
        } else if (words[0] == "auto" || words[0].starts_with("allow-")) {
            sink.close_all();
            sink.put_as(Shape::words, words[0], rest, number);
        } else if (words[0].starts_with("source") || words[0] == "mapping") {
            sink.close_all();
            sink.put_as(Shape::many, words[0], rest, number);
        } else if (words.size() >= 2) {
            sink.put(words[0], rest, number);
        } else {
            sink.error(line, number);
        }
    });
}

} // namespace stemma::analyzer::settings
