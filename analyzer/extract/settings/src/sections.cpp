#include "stemma/core/text.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "dialect.hpp"

/// Grammars in which a line opens a section: Apache's tags, HAProxy's headers, ifupdown's stanzas.
namespace stemma::analyzer::settings {

namespace {

struct OpenTag {
    std::string name;
};

void close_tag(std::string_view line, std::size_t number, std::vector<OpenTag>& open, Sink& sink)
{
    const std::string name = to_lower(trim(line.substr(2, line.find('>') - 2)));
    const auto found = std::find_if(
        open.rbegin(), open.rend(), [&](const OpenTag& tag) { return tag.name == name; });
    if (found == open.rend()) {
        sink.error(line, number);
        return;
    }
    // Tags that were left open inside are closed with it.
    while (open.back().name != name) {
        sink.error("<" + open.back().name + "> is not closed", number);
        sink.close();
        open.pop_back();
    }
    sink.close();
    open.pop_back();
}

} // namespace

void read_apache(std::string_view text, const Dialect& dialect, Sink& sink)
{
    std::vector<OpenTag> open;
    std::size_t number = 0;
    for (const std::string_view raw : split_lines(text)) {
        ++number;
        const std::string_view line = strip_comment(raw, dialect);
        if (line.empty()) {
            continue;
        }
        if (line.starts_with("</")) {
            close_tag(line, number, open, sink);
            continue;
        }
        if (line.front() == '<') {
            const std::string_view inner =
                trim(line.substr(1, line.ends_with('>') ? line.size() - 2 : line.size()));
            const std::string name = to_lower(inner.substr(0, inner.find_first_of(" \t")));
            if (name.empty() || !line.ends_with('>')) {
                sink.error(line, number);
            }
            if (name == "virtualhost") { // cannot lie in anything but conditions
                while (!open.empty() && !open.back().name.starts_with("if")) {
                    sink.error("<" + open.back().name + "> is not closed", number);
                    sink.close();
                    open.pop_back();
                }
            }
            sink.open(name, tidy_value(inner.substr(name.size())));
            open.push_back({name});
            continue;
        }
        const std::string_view name = line.substr(0, line.find_first_of(" \t"));
        const std::string_view value = trim(line.substr(name.size()));
        sink.put(name, value.empty() ? "on" : value, number);
    }
    for (; !open.empty(); open.pop_back()) {
        sink.error("<" + open.back().name + "> is not closed", number);
    }
}

void read_haproxy(std::string_view text, const Dialect& dialect, Sink& sink)
{
    const auto headers = split_words(dialect.headers);
    std::size_t number = 0;
    for (const std::string_view raw : split_lines(text)) {
        ++number;
        const std::string_view line = strip_comment(raw, dialect);
        if (line.empty()) {
            continue;
        }
        const auto words = split_words(line);
        if (std::find(headers.begin(), headers.end(), words[0]) != headers.end()) {
            sink.close_all();
            sink.reopen(words[0], trim(line.substr(words[0].size())));
            continue;
        }
        // "timeout server 50s", "server web1 10.0.0.1:80 check", "option httplog": two words name
        // it.
        const bool two = words.size() > 2 && dialect.shape_of(words[0]) == Shape::first;
        if (two) {
            const auto begin = static_cast<std::size_t>(words[2].data() - line.data());
            sink.put_as(Shape::plain,
                        std::string(words[0]) + " " + std::string(words[1]),
                        line.substr(begin),
                        number);
        } else {
            const std::string_view value = trim(line.substr(words[0].size()));
            sink.put_as(dialect.shape_of(words[0]) == Shape::many ? Shape::many : Shape::plain,
                        words[0],
                        value.empty() ? "on" : value,
                        number);
        }
    }
}

void read_interfaces(std::string_view text, const Dialect& dialect, Sink& sink)
{
    std::size_t number = 0;
    for (const std::string_view raw : split_lines(text)) {
        ++number;
        const std::string_view line = strip_comment(raw, dialect);
        if (line.empty()) {
            continue;
        }
        const auto words = split_words(line);
        if (words[0] == "iface" && words.size() >= 2) {
            sink.close_all();
            sink.reopen("iface",
                        std::string(words[1]) + (words.size() > 2 ? " " : "") +
                            (words.size() > 2 ? std::string(words[2]) : std::string()));
            if (words.size() > 3) {
                sink.put("method", words[3], number);
            }
        } else if (words[0] == "auto" || words[0].starts_with("allow-")) {
            sink.close_all();
            sink.put_as(Shape::words, words[0], trim(line.substr(words[0].size())), number);
        } else if (words[0].starts_with("source") || words[0] == "mapping") {
            sink.close_all();
            sink.put_as(Shape::many, words[0], trim(line.substr(words[0].size())), number);
        } else if (words.size() >= 2) {
            sink.put(words[0], trim(line.substr(words[0].size())), number);
        } else {
            sink.error(line, number);
        }
    }
}

} // namespace stemma::analyzer::settings
