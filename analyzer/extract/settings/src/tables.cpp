#include "stemma/core/text.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "dialect.hpp"
#include "lines.hpp"

/// Grammars with one record per line: tables with named columns, and lines with a shape of their
/// own (hosts, exports, PAM, cron, sudoers, APT sources, Postfix's master.cf).
namespace stemma::analyzer::settings {

namespace {

std::vector<std::string_view>
cells_of(std::string_view line, std::string_view separator, std::size_t columns)
{
    if (!separator.empty()) {
        return split(line, separator[0]);
    }
    auto words = split_words(line);
    if (words.size() > columns && columns > 0) { // the last column takes what is left
        const auto begin = static_cast<std::size_t>(words[columns - 1].data() - line.data());
        words.resize(columns);
        words[columns - 1] = trim(line.substr(begin));
    }
    return words;
}

/// "name*" marks the identity, "name+" a list of words, "name-" a column that is left out.
struct Column {
    std::string_view name;
    char mark = 0;
};

std::vector<Column> columns_of(std::string_view columns)
{
    std::vector<Column> all;
    for (std::string_view name : split_words(columns)) {
        Column column{name};
        if (name.ends_with('*') || name.ends_with('+') || name.ends_with('-')) {
            column = {name.substr(0, name.size() - 1), name.back()};
        }
        all.push_back(column);
    }
    return all;
}

} // namespace

void read_table(std::string_view text, const Dialect& dialect, Sink& sink)
{
    const auto columns = columns_of(dialect.columns);
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        const auto cells = cells_of(line, dialect.separator, columns.size());
        std::string identity;
        for (std::size_t i = 0; i < columns.size() && i < cells.size(); ++i) {
            if (columns[i].mark == '*') {
                identity += (identity.empty() ? "" : " ") + std::string(trim(cells[i]));
            }
        }
        if (identity.empty() || cells.size() < 2) {
            sink.error(line, number);
            return;
        }
        sink.open("", identity);
        for (std::size_t i = 0; i < columns.size() && i < cells.size(); ++i) {
            if (columns[i].mark == '+') {
                sink.put_as(Shape::commas, columns[i].name, cells[i], number);
            } else if (columns[i].mark == 0) {
                sink.put_as(Shape::single, columns[i].name, cells[i], number);
            }
        }
        sink.close();
    });
}

void read_hosts(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        const auto words = split_words(line);
        if (words.size() < 2) {
            sink.error(line, number);
            return;
        }
        const bool six = words[0].find(':') != std::string_view::npos;
        for (std::size_t i = 1; i < words.size(); ++i) {
            sink.reopen("", words[i]);
            sink.put_as(Shape::plain, six ? "address6" : "address", words[0], number);
            sink.close();
        }
    });
}

void read_exports(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        const auto words = split_words(line);
        if (words.size() < 2) {
            sink.error(line, number);
            return;
        }
        sink.reopen("", words[0]);
        for (std::size_t i = 1; i < words.size(); ++i) {
            const auto paren = words[i].find('(');
            const std::string_view client = words[i].substr(0, paren);
            sink.reopen("", client.empty() ? "*" : client);
            const std::string_view options =
                paren == std::string_view::npos ? "" : words[i].substr(paren + 1);
            sink.put_as(Shape::commas,
                        "options",
                        options.ends_with(')') ? options.substr(0, options.size() - 1) : options,
                        number);
            sink.close();
        }
        sink.close();
    });
}

void read_pam(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        if (line.starts_with("@include")) {
            sink.element("@include", line.substr(8), number);
            return;
        }
        const auto words = split_words(line);
        // type  control | [value=action …]  module  arguments…
        std::size_t module = 2;
        if (words.size() > 2 && words[1].starts_with('[')) {
            while (module < words.size() && !words[module - 1].ends_with(']')) {
                ++module;
            }
        }
        if (words.size() <= module) {
            sink.error(line, number);
            return;
        }
        const std::string_view type = words[0].starts_with('-') ? words[0].substr(1) : words[0];
        const auto begin = static_cast<std::size_t>(words[1].data() - line.data());
        const auto end = static_cast<std::size_t>(words[module].data() - line.data());
        sink.open(type, words[module]);
        sink.put_as(Shape::single, "control", line.substr(begin, end - begin), number);
        if (words.size() > module + 1) {
            const auto rest = static_cast<std::size_t>(words[module + 1].data() - line.data());
            sink.put_as(Shape::single, "arguments", line.substr(rest), number);
        }
        sink.close();
    });
}

void read_cron(std::string_view text, const Dialect& dialect, Sink& sink)
{
    const bool has_user = dialect.headers == "user";
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        const auto words = split_words(line);
        const auto sign = line.find('=');
        if (sign != std::string_view::npos &&
            words[0].data() + words[0].size() > line.data() + sign) {
            sink.put_as(Shape::single, line.substr(0, sign), line.substr(sign + 1), number);
            return;
        }
        const std::size_t times = line.front() == '@' ? 1 : 5;
        const std::size_t command = times + (has_user ? 1 : 0);
        if (words.size() <= command) {
            sink.error(line, number);
            return;
        }
        const auto at = [&](std::size_t i) {
            return static_cast<std::size_t>(words[i].data() - line.data());
        };
        const std::string_view what = line.substr(at(command));
        sink.open("job", words[command].substr(0, 96));
        sink.put_as(Shape::single, "schedule", line.substr(0, at(times)), number);
        if (has_user) {
            sink.put_as(Shape::single, "user", words[times], number);
        }
        sink.put_as(Shape::single, "command", what, number);
        sink.close();
    });
}

void read_sudoers(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        const auto words = split_words(line);
        if (words[0].starts_with("Defaults")) {
            const std::string_view rest = trim(line.substr(words[0].size()));
            const auto sign = rest.find('=');
            if (sign == std::string_view::npos) {
                sink.element(words[0], rest, number);
            } else {
                const std::string_view name = trim(rest.substr(0, sign));
                sink.put_as(Shape::plain,
                            std::string(words[0]) + "/" + std::string(name),
                            rest.substr(sign + 1),
                            number);
            }
            return;
        }
        if (words[0].starts_with("@include") || words[0].starts_with("#include")) {
            sink.element(words[0], trim(line.substr(words[0].size())), number);
            return;
        }
        const auto sign = line.find('=');
        if (sign == std::string_view::npos || words.size() < 2) {
            sink.error(line, number);
            return;
        }
        if (words[0].ends_with("_Alias")) {
            sink.put_as(Shape::commas,
                        std::string(words[0]) + "[" + std::string(words[1]) + "]",
                        line.substr(sign + 1),
                        number);
            return;
        }
        // who host = (as) TAGS: commands
        sink.put_as(Shape::plain,
                    "rule[" + std::string(words[0]) + "]",
                    trim(line.substr(words[0].size())),
                    number);
    });
}

void read_apt_sources(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        auto words = split_words(line);
        std::size_t at = 1;
        std::string options;
        const bool has_options = words.size() > 1 && words[1].starts_with('[');
        for (bool inside = has_options; inside && at < words.size(); ++at) {
            options.append(words[at]).append(" ");
            inside = !words[at].ends_with(']');
        }
        if ((words[0] != "deb" && words[0] != "deb-src") || words.size() < at + 2) {
            sink.error(line, number);
            return;
        }
        std::string entry;
        for (std::size_t i = at; i < words.size(); ++i) {
            entry += (entry.empty() ? "" : " ") + std::string(words[i]);
        }
        sink.element(words[0], options + entry, number);
    });
}

void read_deb822(std::string_view text, const Dialect& dialect, Sink& sink)
{
    std::size_t number = 0;
    std::size_t stanza = 1;
    bool empty = true;
    std::string name;
    for (const std::string_view raw : split_lines(text)) {
        ++number;
        if (trim(raw).empty()) {
            stanza += empty ? 0 : 1;
            empty = true;
            continue;
        }
        if (dialect.comment.find(raw.front()) != std::string_view::npos) {
            continue;
        }
        const auto colon = raw.find(':');
        if (raw.front() != ' ' && raw.front() != '\t') {
            if (colon == std::string_view::npos || colon == 0) {
                sink.error(raw, number);
                continue;
            }
            name = std::string(raw.substr(0, colon));
        }
        empty = false;
        sink.reopen("stanza", std::to_string(stanza));
        const bool continued = raw.front() == ' ' || raw.front() == '\t';
        sink.put_as(Shape::words, name, continued ? raw : raw.substr(colon + 1), number);
        sink.close();
    }
}

void read_master(std::string_view text, const Dialect& dialect, Sink& sink)
{
    std::string joined;
    std::size_t first = 0;
    std::size_t number = 0;
    const auto flush = [&] {
        const auto words = split_words(joined);
        if (words.size() >= 8) {
            const auto begin = static_cast<std::size_t>(words[7].data() - joined.data());
            sink.reopen(words[0], words[1]);
            const std::string_view names[] = {"private", "unpriv", "chroot", "wakeup", "maxproc"};
            for (std::size_t i = 0; i < 5; ++i) {
                sink.put_as(Shape::single, names[i], words[i + 2], first);
            }
            sink.put_as(Shape::single, "command", joined.substr(begin), first);
            sink.close();
        } else if (!words.empty()) {
            sink.error(joined, first);
        }
        joined.clear();
    };
    for (const std::string_view raw : split_lines(text)) {
        ++number;
        if (strip_comment(raw, dialect).empty()) {
            continue;
        }
        if (raw.front() != ' ' && raw.front() != '\t') {
            flush();
            first = number;
        }
        if (joined.size() < max_setting_value) {
            joined.append(raw).push_back(' ');
        }
    }
    flush();
}

void read_options(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        const std::string_view name = line.substr(0, line.find_first_of(" \t="));
        std::string_view value = trim(line.substr(name.size()));
        if (value.starts_with('=')) {
            value = trim(value.substr(1));
        }
        sink.put(name, value.empty() ? "on" : value, number);
    });
}

void read_lines(std::string_view text, const Dialect& dialect, Sink& sink)
{
    for_logical_content(text, dialect, [&](std::string_view line, std::size_t number) {
        sink.element("", line, number);
    });
}

} // namespace stemma::analyzer::settings
