#include "stemma/core/text.hpp"

#include <map>

#include "sink.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t most_accounts = 100'000;

/// Calls `use` for each line with its number and its fields; comments and empty lines are no lines.
template <typename Use>
void each_record(const std::string& text, Use&& use)
{
    std::uint32_t number = 0;
    for (const auto line : split_lines(text)) {
        ++number;
        if (number > most_accounts) {
            return;
        }
        if (!line.empty() && line.front() != '#') {
            use(number, line, split(line, ':'));
        }
    }
}

void add_damage(const Adder& add, std::string_view text)
{
    // Told by its text: the line's number would make two equal mistakes two findings.
    add.damage(text.substr(0, 200), text);
}

/// What a shadow field says of a login, never the hash itself.
std::string_view password_state(std::string_view field)
{
    if (field.empty()) {
        return "empty";
    }
    if (field == "*" || field == "!" || field == "!!" || field == "!*") {
        return "none";
    }
    return field.front() == '!' ? "locked" : "set";
}

void read_passwd(Source& source, Sink& sink)
{
    const auto text = source.text("/etc/passwd", sink);
    if (!text) {
        sink.unsupported("there is no /etc/passwd");
        return;
    }
    Adder add{sink, "user", "/etc/passwd"};
    each_record(*text, [&](std::uint32_t line, std::string_view whole, const auto& fields) {
        add.line = line;
        const auto id = fields.size() == 7 ? parse_unsigned(fields[2]) : std::nullopt;
        if (!id || fields[0].empty()) {
            add_damage(add, whole);
            return;
        }
        const auto group = parse_unsigned(fields[3]);
        add(fields[0], "uid", fields[2], ValueType::number);
        add(fields[0],
            "group",
            group ? source.accounts.group(static_cast<std::uint32_t>(*group))
                  : std::string(fields[3]));
        add(fields[0], "name", fields[4]);
        add(fields[0], "home", fields[5], ValueType::path);
        add(fields[0], "shell", fields[6], ValueType::path);
        if (fields[1] != "x") {
            add(fields[0], "password", password_state(fields[1]));
        }
    });
}

void read_shadow(Source& source, Sink& sink)
{
    const auto text = source.text("/etc/shadow", sink);
    if (!text) {
        return;
    }
    Adder add{sink, "user", "/etc/shadow"};
    constexpr std::size_t expires = 7;
    each_record(*text, [&](std::uint32_t line, std::string_view /*whole*/, const auto& fields) {
        add.line = line;
        if (fields.size() < 2 || fields[0].empty()) {
            add_damage(add, "a line of /etc/shadow that is no account");
            return;
        }
        add(fields[0], "password", password_state(fields[1]));
        const std::pair<std::size_t, std::string_view> ages[] = {
            {3, "password_min_days"}, {4, "password_max_days"}, {expires, "expires_day"}};
        for (const auto& [index, attribute] : ages) {
            if (fields.size() > index && !fields[index].empty()) {
                add(fields[0], attribute, fields[index], ValueType::number);
            }
        }
    });
}

void read_group(Source& source, Sink& sink)
{
    const auto text = source.text("/etc/group", sink);
    if (!text) {
        sink.unsupported("there is no /etc/group");
        return;
    }
    Adder add{sink, "group", "/etc/group"};
    each_record(*text, [&](std::uint32_t line, std::string_view whole, const auto& fields) {
        add.line = line;
        if (fields.size() != 4 || fields[0].empty() || !parse_unsigned(fields[2])) {
            add_damage(add, whole);
            return;
        }
        add(fields[0], "gid", fields[2], ValueType::number);
        for (const auto member : split(fields[3], ',')) {
            if (!trim(member).empty()) {
                add.element(fields[0], "members", trim(member));
            }
        }
    });
}

std::map<std::uint32_t, std::string> names_of(Source& source, const std::string& path, Sink& sink)
{
    std::map<std::uint32_t, std::string> names;
    const auto text = source.text(path, sink);
    if (text) {
        each_record(*text, [&](std::uint32_t, std::string_view, const auto& fields) {
            const auto id = fields.size() > 2 ? parse_unsigned(fields[2]) : std::nullopt;
            if (id && *id <= 0xffffffffULL) {
                names.emplace(static_cast<std::uint32_t>(*id), fields[0]);
            }
        });
    }
    return names;
}

} // namespace

void extract_accounts(Source& source, Sink& users, Sink& groups)
{
    source.accounts.users = names_of(source, "/etc/passwd", users);
    source.accounts.groups = names_of(source, "/etc/group", groups);
    if (source.definition.wants("users")) {
        read_passwd(source, users);
        read_shadow(source, users);
    }
    if (source.definition.wants("groups")) {
        read_group(source, groups);
    }
}

} // namespace stemma::analyzer
