#include "stemma/cli/render.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

namespace stemma::cli {

namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

const Json* find_member(const Json& item, std::string_view path)
{
    const Json* value = &item;
    for (const auto part : split(path, '.')) {
        if (!value->is_object()) {
            return nullptr;
        }
        const auto found = value->find(part);
        if (found == value->end()) {
            return nullptr;
        }
        value = &*found;
    }
    return value;
}

/// The raw text of a value: what CSV holds.
std::string raw_text(const Json* value)
{
    if (value == nullptr || value->is_null()) {
        return {};
    }
    if (value->is_string()) {
        return value->get<std::string>();
    }
    if (value->is_object() && value->size() == 1 && value->contains("b64")) {
        return text_of(*value, "b64");
    }
    if (value->is_array()) {
        std::string text;
        for (const auto& element : *value) {
            text += text.empty() ? "" : " ";
            text += raw_text(&element);
        }
        return text;
    }
    return value->dump();
}

std::string table_cell(const Json& item, const Column& column)
{
    const auto* value = find_member(item, column.member);
    if (value == nullptr || value->is_null()) {
        return "-";
    }
    if (value->is_boolean()) {
        return value->get<bool>() ? "yes" : "no";
    }
    if (column.style == Column::Style::size && value->is_number_unsigned()) {
        return human_size(value->get<std::uint64_t>());
    }
    auto text = printable(raw_text(value));
    if (column.style == Column::Style::digest && text.size() > 12) {
        text.resize(12);
    }
    if (column.style == Column::Style::time && text.size() > 19) {
        text.resize(19); // whole seconds, UTC
        text += 'Z';
    }
    return text.empty() ? "-" : text;
}

std::string_view colour_of_word(std::string_view word)
{
    static const std::vector<std::string_view> good = {
        "running", "up", "ok", "yes", "clean", "done"};
    static const std::vector<std::string_view> bad = {
        "crashed", "failed", "down", "of interest", "error", "violated"};
    static const std::vector<std::string_view> middling = {
        "stopped", "paused", "unknown", "dirty", "untracked", "unexplained", "outdated"};
    const auto is_in = [&](const std::vector<std::string_view>& words) {
        return std::find(words.begin(), words.end(), word) != words.end();
    };
    if (is_in(good)) {
        return "\x1b[32m";
    }
    if (is_in(bad)) {
        return "\x1b[31m";
    }
    if (is_in(middling)) {
        return "\x1b[33m";
    }
    return {};
}

/// Cuts UTF-8 text to at most `width` columns, with "…" where something is missing.
std::string fitted(const std::string& text, std::size_t width)
{
    if (display_width(text) <= width) {
        return text;
    }
    std::string cut;
    std::size_t used = 0;
    for (std::size_t i = 0; i < text.size();) {
        std::size_t length = 1;
        while (i + length < text.size() &&
               (static_cast<unsigned char>(text[i + length]) & 0xC0U) == 0x80) {
            ++length;
        }
        const auto columns = display_width(std::string_view(text).substr(i, length));
        if (used + columns + 1 > width) {
            break;
        }
        cut += text.substr(i, length);
        used += columns;
        i += length;
    }
    return cut + "…";
}

/// Narrows the widest columns until the table fits.
void fit_widths(std::vector<std::size_t>& widths, std::size_t width)
{
    constexpr std::size_t narrowest = 8;
    const auto total = [&] {
        std::size_t sum = 0;
        for (const auto column : widths) {
            sum += column + 2;
        }
        return sum == 0 ? 0 : sum - 2;
    };
    while (total() > width) {
        auto widest = std::max_element(widths.begin(), widths.end());
        if (*widest <= narrowest) {
            return;
        }
        --*widest;
    }
}

using Cells = std::vector<std::string>;

/// Longer cells stand out of their column where nothing is cut: one long value would else push what
/// follows it off every other line.
constexpr std::size_t most_padding = 120;

std::vector<std::size_t>
natural_widths(const std::vector<Cells>& lines, std::size_t columns, std::size_t most)
{
    std::vector<std::size_t> widths(columns, 0);
    for (const auto& line : lines) {
        for (std::size_t i = 0; i < columns; ++i) {
            widths[i] = std::max(widths[i], std::min(most, display_width(line[i])));
        }
    }
    return widths;
}

enum class Paint { none, head, words };

std::string painted(const std::string& cell, Paint paint)
{
    const auto code = paint == Paint::none   ? std::string_view{}
                      : paint == Paint::head ? std::string_view("\x1b[1m")
                                             : colour_of_word(cell);
    return code.empty() ? cell : fmt::format("{}{}\x1b[0m", code, cell);
}

std::string table_line(const Cells& line,
                       const std::vector<Column>& columns,
                       const std::vector<std::size_t>& widths,
                       bool cut,
                       Paint paint)
{
    std::string text;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const auto cell = cut ? fitted(line[i], widths[i]) : line[i];
        const std::string padding(widths[i] - std::min(widths[i], display_width(cell)), ' ');
        const bool last = i + 1 == columns.size();
        if (columns[i].align == Column::Align::right) {
            text += padding + painted(cell, paint);
        } else {
            text += painted(cell, paint) + (last ? std::string{} : padding);
        }
        text += last ? "\n" : "  ";
    }
    return text;
}

std::string csv_field(const std::string& text)
{
    if (text.find_first_of(",\"\r\n") == std::string::npos) {
        return text;
    }
    std::string quoted = "\"";
    for (const char letter : text) {
        quoted += letter;
        if (letter == '"') {
            quoted += '"';
        }
    }
    return quoted + "\"";
}

std::size_t terminal_width()
{
    struct winsize size {};
    if (::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
        size.ws_col > 0) {
        return size.ws_col;
    }
    return unlimited;
}

/// Those of the answer, and what the store itself may miss.
std::vector<lineage::Gap> all_gaps(const Context& context, const Answer& answer)
{
    auto gaps = answer.gaps;
    auto gap = answer.gaps_are_all ? std::nullopt : context.store_gap();
    const auto is_said = [&](const lineage::Gap& other) { return other.what == gap->what; };
    if (gap && std::none_of(gaps.begin(), gaps.end(), is_said)) {
        gaps.push_back(*std::move(gap));
    }
    return gaps;
}

Json whole(const Answer& answer, const std::vector<lineage::Gap>& gaps)
{
    Json json = answer.extra;
    json["schema"] = answer.schema;
    json["as_of"] = answer.as_of ? Json(format_time(*answer.as_of)) : Json(nullptr);
    json["seq"] = answer.seq ? Json(*answer.seq) : Json(nullptr);
    json["complete"] = gaps.empty();
    json["gaps"] = Json::array();
    for (const auto& gap : gaps) {
        json["gaps"].push_back({{"what", json_text(gap.what)}, {"reason", json_text(gap.reason)}});
    }
    json["items"] = answer.items;
    return json;
}

std::string csv(const Answer& answer, const std::vector<Column>& columns)
{
    std::string text;
    for (const auto& column : columns) {
        text += text.empty() ? "" : ",";
        text += csv_field(std::string(column.member));
    }
    text += "\r\n";
    for (const auto& item : answer.items) {
        bool first = true;
        for (const auto& column : columns) {
            text += first ? "" : ",";
            text += csv_field(raw_text(find_member(item, column.member)));
            first = false;
        }
        text += "\r\n";
    }
    return text;
}

} // namespace

std::string counted(std::size_t number, std::string_view noun)
{
    return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

std::string
format_table(const Json& items, const std::vector<Column>& columns, bool colour, std::size_t width)
{
    std::vector<Cells> lines(1);
    for (const auto& column : columns) {
        lines[0].emplace_back(column.title);
    }
    for (const auto& item : items) {
        auto& line = lines.emplace_back();
        for (const auto& column : columns) {
            line.push_back(table_cell(item, column));
        }
    }
    const bool cut = width != unlimited;
    auto widths = natural_widths(lines, columns.size(), cut ? unlimited : most_padding);
    fit_widths(widths, width);
    std::string text;
    bool head = true;
    for (const auto& line : lines) {
        text += table_line(line,
                           columns,
                           widths,
                           cut,
                           !colour ? Paint::none
                           : head  ? Paint::head
                                   : Paint::words);
        head = false;
    }
    return text;
}

int show(Context& context, const Answer& answer, const std::vector<Column>& columns)
{
    const auto gaps = all_gaps(context, answer);
    switch (context.format) {
    case Format::json:
        context.out(whole(answer, gaps).dump(2, ' ', false, Json::error_handler_t::strict) + "\n");
        break;
    case Format::ndjson:
        for (const auto& item : answer.items) {
            context.out(canonical_json(item) + "\n");
        }
        break;
    case Format::csv:
        context.out(csv(answer, columns));
        break;
    case Format::dot:
        throw Error(ErrorCode::usage,
                    "this answer is not a graph: no dot for it",
                    "`stemma why A B --all --format dot` draws one");
    case Format::table:
        if (!answer.items.empty()) {
            context.out(format_table(answer.items, columns, context.colour, terminal_width()));
        } else if (!context.quiet) {
            context.log().info("nothing found");
        }
        break;
    }
    for (const auto& gap : gaps) {
        context.log().warning("incomplete: {}: {}", printable(gap.what), printable(gap.reason));
    }
    return gaps.empty() ? 0 : 4;
}

} // namespace stemma::cli
