#include "stemma/image/debian.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <compare>

namespace stemma::image {

namespace {

constexpr std::array<std::string_view, 32> field_order = {"Package",
                                                          "Essential",
                                                          "Protected",
                                                          "Status",
                                                          "Priority",
                                                          "Section",
                                                          "Installed-Size",
                                                          "Origin",
                                                          "Maintainer",
                                                          "Bugs",
                                                          "Architecture",
                                                          "Multi-Arch",
                                                          "Source",
                                                          "Version",
                                                          "Config-Version",
                                                          "Replaces",
                                                          "Provides",
                                                          "Depends",
                                                          "Pre-Depends",
                                                          "Recommends",
                                                          "Suggests",
                                                          "Breaks",
                                                          "Conflicts",
                                                          "Enhances",
                                                          "Conffiles",
                                                          "Filename",
                                                          "Size",
                                                          "MD5sum",
                                                          "SHA256",
                                                          "Description",
                                                          "Triggers-Pending",
                                                          "Triggers-Awaited"};

std::size_t place_of_field(const std::string& name)
{
    const auto lower = to_lower(name);
    for (std::size_t i = 0; i < field_order.size(); ++i) {
        if (to_lower(field_order[i]) == lower) {
            return i;
        }
    }
    return field_order.size();
}

/// The weight of a character in dpkg's order: "~" before the end, letters before the rest.
int weight(char c)
{
    if (c == '~') {
        return -1;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        return c;
    }
    return c == '\0' || (c >= '0' && c <= '9') ? 0 : static_cast<unsigned char>(c) + 256;
}

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text)
{
    std::size_t count = 0;
    while (count < text.size() && is_digit(text[count])) {
        ++count;
    }
    std::string_view digits = text.substr(0, count);
    text.remove_prefix(count);
    while (digits.size() > 1 && digits.front() == '0') {
        digits.remove_prefix(1);
    }
    return digits == "0" ? std::string_view() : digits;
}

bool begins_with_word(std::string_view text)
{
    return !text.empty() && !is_digit(text.front());
}

/// Compares what stands before the next digits, and takes it away while it is equal.
std::strong_ordering take_words(std::string_view& a, std::string_view& b)
{
    while (begins_with_word(a) || begins_with_word(b)) {
        const int left = weight(a.empty() ? '\0' : a.front());
        const int right = weight(b.empty() ? '\0' : b.front());
        if (left != right) {
            return left <=> right;
        }
        a.remove_prefix(a.empty() ? 0 : 1);
        b.remove_prefix(b.empty() ? 0 : 1);
    }
    return std::strong_ordering::equal;
}

std::strong_ordering compare_parts(std::string_view a, std::string_view b)
{
    while (!a.empty() || !b.empty()) {
        if (const auto order = take_words(a, b); std::is_neq(order)) {
            return order;
        }
        const auto left = take_digits(a);
        const auto right = take_digits(b);
        if (left.size() != right.size()) {
            return left.size() <=> right.size();
        }
        if (left != right) {
            return left < right ? std::strong_ordering::less : std::strong_ordering::greater;
        }
    }
    return std::strong_ordering::equal;
}

struct VersionParts {
    std::string_view epoch = "0";
    std::string_view upstream;
    std::string_view revision;
};

VersionParts parts_of(std::string_view version)
{
    VersionParts parts;
    if (const auto colon = version.find(':'); colon != std::string_view::npos) {
        parts.epoch = version.substr(0, colon);
        version.remove_prefix(colon + 1);
    }
    const auto dash = version.rfind('-');
    parts.upstream = version.substr(0, dash);
    parts.revision = dash == std::string_view::npos ? std::string_view() : version.substr(dash + 1);
    return parts;
}

Relation parse_relation(std::string_view text, std::string_view where)
{
    Relation relation;
    const auto refuse = [&] {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: \"{}\" is not a dependency", where, printable(text)));
    };
    std::string_view rest = trim(text);
    const auto name_end = rest.find_first_of(" (:[<");
    relation.name = std::string(rest.substr(0, name_end));
    rest = name_end == std::string_view::npos ? std::string_view() : rest.substr(name_end);
    if (relation.name.empty()) {
        refuse();
    }
    if (rest.starts_with(':')) {
        const auto end = rest.find_first_of(" ([");
        relation.arch_qualifier =
            std::string(rest.substr(1, end == std::string_view::npos ? end : end - 1));
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
    }
    rest = trim(rest);
    if (rest.empty()) {
        return relation;
    }
    const auto close = rest.find(')');
    if (rest.front() != '(' || close == std::string_view::npos) {
        refuse();
    }
    std::string_view inside = trim(rest.substr(1, close - 1));
    const auto op_end = inside.find_first_not_of("<>=");
    std::string op(inside.substr(0, op_end));
    relation.version =
        op_end == std::string_view::npos ? "" : std::string(trim(inside.substr(op_end)));
    if (op == "<" || op == ">") { // dpkg reads these as "or equal", with a warning
        op += "=";
    }
    constexpr std::array<std::string_view, 5> known = {"<<", "<=", "=", ">=", ">>"};
    if (relation.version.empty() || std::find(known.begin(), known.end(), op) == known.end()) {
        refuse();
    }
    relation.op = op;
    return relation;
}

} // namespace

Stanza Stanza::parse(std::string_view text, std::string_view name)
{
    Stanza stanza;
    stanza.raw_ = text;
    for (const std::string_view line : split_lines(text)) {
        if (line.empty()) {
            continue;
        }
        if (line.front() == ' ' || line.front() == '\t') {
            if (stanza.fields_.empty()) {
                throw Error(ErrorCode::corrupt,
                            fmt::format("{}: a continuation without a field", name));
            }
            stanza.fields_.back().second += "\n" + std::string(line);
            continue;
        }
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || colon == 0) {
            throw Error(
                ErrorCode::corrupt,
                fmt::format("{}: not a field: \"{}\"", name, printable(line.substr(0, 80))));
        }
        const std::string_view field = line.substr(0, colon);
        if (stanza.find(field)) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: the field {} is there twice", name, printable(field)));
        }
        stanza.fields_.emplace_back(std::string(field), std::string(trim(line.substr(colon + 1))));
    }
    return stanza;
}

std::optional<std::string> Stanza::find(std::string_view field) const
{
    const auto wanted = to_lower(field);
    for (const auto& [name, value] : fields_) {
        if (name.size() == wanted.size() && to_lower(name) == wanted) {
            return value;
        }
    }
    return std::nullopt;
}

std::string Stanza::get(std::string_view field) const
{
    return find(field).value_or("");
}

void Stanza::set(std::string_view field, std::string value)
{
    raw_.clear();
    const auto wanted = to_lower(field);
    for (auto& [name, old] : fields_) {
        if (to_lower(name) == wanted) {
            old = std::move(value);
            return;
        }
    }
    fields_.emplace_back(std::string(field), std::move(value));
}

void Stanza::erase(std::string_view field)
{
    raw_.clear();
    const auto wanted = to_lower(field);
    std::erase_if(fields_, [&](const auto& each) { return to_lower(each.first) == wanted; });
}

std::string Stanza::text() const
{
    if (!raw_.empty()) {
        return raw_.ends_with('\n') ? raw_ : raw_ + "\n";
    }
    auto sorted = fields_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return place_of_field(a.first) < place_of_field(b.first);
    });
    std::string text;
    for (const auto& [name, value] : sorted) {
        text += name + ":";
        text += value.empty() || value.front() == '\n' ? value : " " + value;
        text += "\n";
    }
    return text;
}

std::vector<Stanza> parse_stanzas(std::string_view text, std::string_view name)
{
    std::vector<Stanza> all;
    while (!text.empty()) {
        while (text.starts_with('\n')) {
            text.remove_prefix(1);
        }
        const auto end = text.find("\n\n");
        const std::string_view part = text.substr(0, end);
        if (!trim(part).empty()) {
            all.push_back(Stanza::parse(part, name));
        }
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
    }
    return all;
}

std::strong_ordering compare_versions(std::string_view a, std::string_view b)
{
    const VersionParts left = parts_of(a);
    const VersionParts right = parts_of(b);
    if (const auto order = compare_parts(left.epoch, right.epoch); std::is_neq(order)) {
        return order;
    }
    if (const auto order = compare_parts(left.upstream, right.upstream); std::is_neq(order)) {
        return order;
    }
    return compare_parts(left.revision, right.revision);
}

bool Relation::allows(std::string_view version_there) const
{
    if (op.empty()) {
        return true;
    }
    const auto order = compare_versions(version_there, version);
    if (op == "<<") {
        return std::is_lt(order);
    }
    if (op == "<=") {
        return std::is_lteq(order);
    }
    if (op == ">=") {
        return std::is_gteq(order);
    }
    return op == ">>" ? std::is_gt(order) : std::is_eq(order);
}

std::string Relation::text() const
{
    const std::string qualified = arch_qualifier.empty() ? name : name + ":" + arch_qualifier;
    return op.empty() ? qualified : fmt::format("{} ({} {})", qualified, op, version);
}

std::string to_text(const std::vector<Relation>& alternatives)
{
    std::string text;
    for (const Relation& each : alternatives) {
        text += (text.empty() ? "" : " | ") + each.text();
    }
    return text;
}

Relations parse_relations(std::string_view text, std::string_view where)
{
    Relations all;
    for (const std::string_view group : split(text, ',')) {
        if (trim(group).empty()) {
            continue;
        }
        std::vector<Relation> alternatives;
        for (const std::string_view each : split(group, '|')) {
            alternatives.push_back(parse_relation(each, where));
        }
        all.push_back(std::move(alternatives));
    }
    return all;
}

} // namespace stemma::image
