#include "stemma/core/error.hpp"

#include "question.hpp"

namespace stemma::cli {

namespace {

using Style = Column::Style;

const std::vector<Column> event_columns = {
    {.title = "AT", .member = "at", .style = Style::time},
    {.title = "KIND", .member = "kind"},
    {.title = "SUBJECT", .member = "subject"},
    {.title = "DETAIL", .member = "detail"},
    {.title = "SEQ", .member = "seq", .align = Column::Align::right}};

const std::vector<Column> outdated_columns = {{.title = "TYPE", .member = "type"},
                                              {.title = "NAME", .member = "name"},
                                              {.title = "HOST", .member = "host"},
                                              {.title = "PACKAGE", .member = "package"},
                                              {.title = "HAS", .member = "version"},
                                              {.title = "HEAD", .member = "head"},
                                              {.title = "CHANNEL", .member = "channel"}};

} // namespace

int run_log(Context& context, const Args& args)
{
    Question question(context, args);
    auto& query = question.query();
    const auto seqs =
        args.words().empty() ? query.history() : query.history(question.select(args.words()));
    Json items = Json::array();
    for (const auto seq : seqs) {
        auto item = query.event_item(seq);
        if (question.in_period(parse_time(item["at"].get<std::string>()))) {
            items.push_back(std::move(item));
        }
    }
    return question.answer("stemma.log/1", std::move(items), event_columns);
}

int run_outdated(Context& context, const Args& args)
{
    const auto& words = args.expect_words(0, 1, "[PACKAGE]");
    Question question(context, args);
    auto& query = question.query();
    Json items = Json::array();
    const auto channel = args.value("channel").value_or("");
    // A line that nobody set a head for is no channel, and can be asked for all the same.
    const bool line = channel.starts_with("branch ") || channel == "newest of the name";
    for (const auto& found :
         query.outdated(words.empty() ? std::string() : words[0], line ? std::string() : channel)) {
        if (!question.wants(found.node.kind) || (line && channel != found.channel)) {
            continue;
        }
        auto item = query.item(found.node);
        item["package"] = found.package;
        item["version"] = found.version;
        item["head"] = found.head;
        item["channel"] = found.channel;
        items.push_back(std::move(item));
    }
    return question.answer("stemma.outdated/1", std::move(items), outdated_columns);
}

} // namespace stemma::cli
