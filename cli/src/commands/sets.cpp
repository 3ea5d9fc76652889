#include "stemma/core/error.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "question.hpp"

namespace stemma::cli {

using lineage::Kind;
using lineage::Nodes;

namespace {

/// Everything that things are made of; of VMs also where they run.
Nodes makeup(Question& question, const Nodes& of)
{
    Nodes all;
    Nodes vms;
    for (const auto node : of) {
        if (node.kind == Kind::vm) {
            vms.insert(node);
        } else { // one of them may be in another one
            all.merge(question.query().upstream({node}, question.kinds()));
        }
    }
    all.merge(question.query().upstream(vms, question.kinds()));
    all.merge(question.query().downstream(vms, question.kinds()));
    return all;
}

} // namespace

int run_common(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, ~std::size_t{0}, "SEL…");
    Question question(context, args);
    auto& query = question.query();
    const auto shared = query.common(question.select(words), question.kinds());
    return question.answer_by_kind("stemma.common/1", query.items(question.filtered(shared)));
}

namespace {

std::string text_or_empty(const Json& item, const char* key)
{
    const auto found = item.find(key);
    return found == item.end() || found->is_null() ? std::string() : text_of(*found, key);
}

/// What stays the same when a thing changes: its place in whatever holds it.
using Place = std::tuple<std::string, std::string, std::string>;

Place place_of(const Json& item)
{
    const auto type = item["type"].get<std::string>();
    if (type == "source" || type == "artifact") {
        return {type, text_or_empty(item, "repo"), text_or_empty(item, "path")};
    }
    return {type, text_or_empty(item, "arch"), text_or_empty(item, "name")};
}

std::string value_of(const Json& item)
{
    const auto type = item["type"].get<std::string>();
    if (type == "package") {
        const auto sha256 = text_or_empty(item, "sha256");
        return text_or_empty(item, "version") +
               (sha256.empty() ? "" : " sha256:" + sha256.substr(0, 12));
    }
    for (const auto* key : {"sha256", "digest", "uuid", "name"}) {
        if (auto value = text_or_empty(item, key); !value.empty()) {
            return value;
        }
    }
    return {};
}

struct Sides {
    std::set<std::string> a;
    std::set<std::string> b;
};

Json values(const std::set<std::string>& side)
{
    if (side.empty()) {
        return nullptr;
    }
    std::string text;
    for (const auto& value : side) {
        text += text.empty() ? value : ", " + value;
    }
    return text;
}

void shorten_digest(Json& value)
{
    if (value.is_string() && Digest::from_hex(value.get<std::string>())) {
        value = value.get<std::string>().substr(0, 12);
    }
}

const std::vector<Column> diff_columns = {
    {.title = "TYPE", .member = "type"},
    {.title = "NAME", .member = "name"},
    {.title = "A", .member = "a", .style = Column::Style::plain},
    {.title = "B", .member = "b", .style = Column::Style::plain},
    {.title = "REPO", .member = "repo"}};

} // namespace

int run_diff(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "A B");
    Question question(context, args);
    auto& query = question.query();
    std::map<Place, Sides> places;
    for (std::size_t i = 0; i < 2; ++i) {
        const auto all = makeup(question, question.select(std::span(&words[i], 1)));
        for (const auto& item : query.items(question.filtered(all))) {
            auto& sides = places[place_of(item)];
            (i == 0 ? sides.a : sides.b).insert(value_of(item));
        }
    }
    Json items = Json::array();
    for (const auto& [place, sides] : places) {
        if (sides.a == sides.b) {
            continue;
        }
        const auto& [type, scope, name] = place;
        const bool in_repo = type == "source" || type == "artifact";
        items.push_back({{"type", type},
                         {"name", json_text(name)},
                         {"repo", in_repo && !scope.empty() ? json_text(scope) : Json()},
                         {"a", values(sides.a)},
                         {"b", values(sides.b)}});
    }
    const bool differ = !items.empty();
    if (context.format == Format::table) { // 64 digits on either side push the rest off the screen
        for (auto& item : items) {
            for (const char* side : {"a", "b"}) {
                shorten_digest(item[side]);
            }
        }
    }
    const int status = question.answer("stemma.diff/1", std::move(items), diff_columns);
    return status == 0 && differ ? 3 : status;
}

} // namespace stemma::cli
