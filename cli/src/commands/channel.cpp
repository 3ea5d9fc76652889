#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include "question.hpp"

namespace stemma::cli {

namespace {

using Style = Column::Style;

const std::vector<Column> head_columns = {
    {.title = "CHANNEL", .member = "channel"},
    {.title = "KIND", .member = "kind"},
    {.title = "NAME", .member = "name"},
    {.title = "VERSION", .member = "version"},
    {.title = "DIGEST", .member = "digest", .style = Style::digest},
    {.title = "SINCE", .member = "since", .style = Style::time}};

Json item_of(const lineage::ChannelHead& head)
{
    return {{"channel", head.channel},
            {"kind", head.kind},
            {"name", json_text(head.name)},
            {"version", head.version.empty() ? Json() : Json(json_text(head.version))},
            {"digest", head.digest ? Json(to_hex(*head.digest)) : Json()},
            {"since", format_time(head.at)}};
}

/// What channel.set says of the one thing that was selected. Packages of one version for several
/// architectures are one head, which has no digest then.
Json head_of(const Json& items, const std::string& channel)
{
    Json head;
    for (const auto& item : items) {
        const auto type = text_of(item.at("type"), "type");
        if (type != "package" && type != "image") {
            throw Error(ErrorCode::usage,
                        fmt::format("a channel has no head of kind {}", type),
                        "name a package (package:NAME=VERSION) or an image (image:NAME)");
        }
        const bool package = type == "package";
        Json found = {{"channel", channel},
                      {"kind", type},
                      {"name", item.at("name")},
                      {"version", package ? item.at("version") : Json()},
                      {"digest", item.value(package ? "sha256" : "digest", Json())}};
        if (head.is_null()) {
            head = std::move(found);
            continue;
        }
        if (!package || head["name"] != found["name"] || head["version"] != found["version"]) {
            throw Error(ErrorCode::usage,
                        fmt::format("{} things are selected, and a head is one", items.size()),
                        "for instance package:NAME=VERSION");
        }
        head["digest"] = nullptr;
    }
    if (head.is_null()) {
        throw Error(ErrorCode::not_found, "nothing is selected");
    }
    return head;
}

} // namespace

int run_channel_set(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "CHANNEL SEL");
    Json head;
    {
        Question question(context, args);
        auto& query = question.query();
        head = head_of(query.items(question.select(std::span(&words[1], 1))), words[0]);
        for (const auto& known : query.channel_heads()) {
            auto item = item_of(known);
            item.erase("since");
            if (item == head) {
                context.log().info("{} is at {} already", printable(words[0]), printable(words[1]));
                return 0;
            }
        }
    }
    auto& store = context.store(lineage::Store::Mode::write);
    store.record({.at = context.clock().now(), .kind = "channel.set", .body = head});
    context.log().info("channel {}: {} {} is the head{}",
                       printable(words[0]),
                       text_of(head["kind"], "kind"),
                       printable(text_of(head["name"], "name")),
                       head["version"].is_null()
                           ? ""
                           : ", version " + printable(text_of(head["version"], "version")));
    return 0;
}

int run_channel_list(Context& context, const Args& args)
{
    const auto& words = args.expect_words(0, 1, "[CHANNEL]");
    Question question(context, args);
    Json items = Json::array();
    for (const auto& head : question.query().channel_heads()) {
        if (words.empty() || glob_match(words[0], head.channel)) {
            items.push_back(item_of(head));
        }
    }
    return question.answer("stemma.channels/1", std::move(items), head_columns);
}

} // namespace stemma::cli
