#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "question.hpp"

namespace stemma::cli {

namespace {

const std::vector<std::string>& selectors_of(const Args& args)
{
    return args.expect_words(1, ~std::size_t{0}, "SEL…");
}

} // namespace

int run_where(Context& context, const Args& args)
{
    const auto& words = selectors_of(args);
    Question question(context, args);
    const auto found = question.query().downstream(question.select(words), question.kinds());
    return question.answer_by_kind("stemma.where/1",
                                   question.query().items(question.filtered(found)));
}

int run_what(Context& context, const Args& args)
{
    const auto& words = selectors_of(args);
    Question question(context, args);
    const auto found = question.query().makings(question.select(words), question.kinds());
    return question.answer_by_kind("stemma.what/1",
                                   question.query().items(question.filtered(found)));
}

namespace {

std::string describe(const Json& item)
{
    const auto type = item["type"].get<std::string>();
    const auto text = [&](const char* key) {
        return item.contains(key) && !item[key].is_null() ? text_of(item[key], key) : std::string();
    };
    const auto shortened = [&](const char* key) { return text(key).substr(0, 12); };
    std::string line = fmt::format("{} {}", type, printable(name_of_item(item)));
    if (type == "source") {
        line += text("rev").empty() ? "" : fmt::format(" @{}", shortened("rev"));
        line += fmt::format("  [{}] sha256 {}", text("state"), shortened("sha256"));
    } else if (type == "artifact") {
        line += fmt::format("  [{}] sha256 {}", text("kind"), shortened("sha256"));
    } else if (type == "package") {
        line += text("sha256").empty() ? "" : fmt::format("  sha256 {}", shortened("sha256"));
    } else if (type == "image") {
        line += fmt::format("  digest {}", shortened("digest"));
    } else if (type == "vm") {
        line += fmt::format("  [{}] {}", text("state"), text("uuid"));
    }
    return line;
}

/// Who said it: the first part of a UUID, other names whole.
std::string short_origin(const std::string& origin)
{
    constexpr std::size_t uuid_length = 36;
    constexpr std::size_t first_part = 8;
    return origin.size() == uuid_length && origin[first_part] == '-' ? origin.substr(0, first_part)
                                                                     : origin;
}

std::string narrate(const Json& links)
{
    std::string text = describe(links[0]["from"]) + "\n";
    for (const auto& link : links) {
        std::string by = link["relation"].get<std::string>();
        if (!link["event"].is_null()) {
            const auto& event = link["event"];
            by += fmt::format(", event {} ({}, {}, by {})",
                              event["seq"].get<std::uint64_t>(),
                              event["kind"].get<std::string>(),
                              event["at"].get<std::string>(),
                              short_origin(event["origin"].get<std::string>()));
        }
        if (!link["step"].is_null() && link["step"]["target"].is_string() &&
            !link["step"]["target"].get_ref<const std::string&>().empty()) {
            by += ", target " + link["step"]["target"].get<std::string>();
        }
        if (link["inferred"].get<bool>()) {
            by += ", inferred from " + text_of(link["basis"], "basis");
        }
        text += fmt::format("  │ {}\n{}\n", printable(by), describe(link["to"]));
    }
    return text;
}

std::string dot_quoted(const std::string& text)
{
    std::string quoted = "\"";
    for (const char letter : printable(text)) {
        if (letter == '"' || letter == '\\') {
            quoted += '\\';
        }
        quoted += letter;
    }
    return quoted + "\"";
}

std::string dot_id(const Json& item)
{
    const auto text = [&](const char* key) {
        return item.contains(key) && item[key].is_string() ? item[key].get<std::string>()
                                                           : std::string();
    };
    return dot_quoted(fmt::format("{}:{}:{}{}{}:{}",
                                  text("type"),
                                  text("repo"),
                                  name_of_item(item),
                                  text("sha256"),
                                  text("digest"),
                                  text("build")));
}

/// Relation, event, time, origin and what it rests on, each on a line of its own.
std::string dot_label(const Json& link)
{
    auto label = printable(link["relation"].get<std::string>());
    if (!link["event"].is_null()) {
        const auto& event = link["event"];
        label += fmt::format("\nevent {} by {}\n{}",
                             event["seq"].get<std::uint64_t>(),
                             printable(short_origin(event["origin"].get<std::string>())),
                             event["at"].get<std::string>());
    }
    if (link["inferred"].get<bool>()) {
        label += "\ninferred from " + printable(text_of(link["basis"], "basis"));
    }
    std::string quoted;
    for (const auto line : split_lines(label)) {
        const auto part = dot_quoted(std::string(line));
        quoted += (quoted.empty() ? "" : "\\n") + part.substr(1, part.size() - 2);
    }
    return '"' + quoted + '"';
}

std::string dot_of(const Json& links)
{
    std::string text = "digraph lineage {\n  rankdir=LR;\n  node [shape=box];\n";
    std::set<std::string> nodes;
    for (const auto& link : links) {
        for (const auto* end : {"from", "to"}) {
            const auto& item = link[end];
            const auto id = dot_id(item);
            if (nodes.insert(id).second) {
                text += fmt::format("  {} [label={}];\n", id, dot_quoted(describe(item)));
            }
        }
        text += fmt::format("  {} -> {} [label={}{}];\n",
                            dot_id(link["from"]),
                            dot_id(link["to"]),
                            dot_label(link),
                            link["inferred"].get<bool>() ? ", style=dashed" : "");
    }
    return text + "}\n";
}

const std::vector<Column> link_columns = {
    {.title = "FROM", .member = "from.type"},
    {.title = "PATH", .member = "from.path"},
    {.title = "NAME", .member = "from.name"},
    {.title = "RELATION", .member = "relation"},
    {.title = "TO", .member = "to.type"},
    {.title = "NAME", .member = "to.name"},
    {.title = "EVENT", .member = "event.seq", .align = Column::Align::right},
    {.title = "AT", .member = "event.at", .style = Column::Style::time},
    {.title = "INFERRED FROM", .member = "basis"}};

} // namespace

int run_why(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "A B");
    Question question(context, args);
    auto& query = question.query();
    auto from = question.select(std::span(&words[0], 1));
    auto to = question.select(std::span(&words[1], 1));
    const bool all = args.has("all");
    const auto ask = [&] { return all ? query.links(from, to) : query.chain(from, to); };
    auto links = ask();
    if (links.empty()) {
        std::swap(from, to); // asked from the far end
        links = ask();
    }
    Json items = Json::array();
    for (const auto& link : links) {
        items.push_back(query.link_item(link));
    }
    if (context.format == Format::dot) {
        context.out(dot_of(items));
        return query.gaps().empty() ? 0 : 4;
    }
    if (context.format == Format::table && !all && !items.empty() && !args.has("count")) {
        context.out(narrate(items));
        return question.report();
    }
    if (items.empty()) {
        context.log().info("nothing that is recorded leads from {} to {}", words[0], words[1]);
    }
    return question.answer("stemma.why/1", std::move(items), link_columns);
}

} // namespace stemma::cli
