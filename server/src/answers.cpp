#include "answers.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/query.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace stemma::server {

namespace {

using lineage::Nodes;
using lineage::Query;

constexpr std::size_t longest_query = std::size_t{64} << 10U;
constexpr std::uint64_t usual_limit = 1000;
constexpr std::uint64_t highest_limit = 100'000;

constexpr std::array filters = {std::string_view("q"),
                                std::string_view("to"),
                                std::string_view("as_of"),
                                std::string_view("known_at"),
                                std::string_view("since"),
                                std::string_view("until"),
                                std::string_view("state"),
                                std::string_view("limit")};

std::string refuse_files(const std::string& /*name*/)
{
    throw Error(ErrorCode::usage,
                "selectors in files belong to whoever runs the command, not to a request",
                "give the selectors as parameters: q=…&q=…");
}

std::set<std::string> words_of(const std::optional<std::string>& list)
{
    std::set<std::string> words;
    for (const auto word : list ? split(*list, ',') : std::vector<std::string_view>()) {
        words.emplace(word);
    }
    return words;
}

/// One question: its view, its filters, and the form of its answer.
class Asked {
public:
    Asked(lineage::Store& store, const Parameters& parameters, Time now)
        : parameters_(parameters),
          states_(words_of(parameters.value("state"))),
          limit_(parameters.number("limit", highest_limit).value_or(usual_limit)),
          seq_(store.last_seq())
    {
        const auto time = [&](std::string_view name) -> std::optional<Time> {
            const auto text = parameters.value(name);
            return text ? std::optional(parse_time_or_age(*text, now)) : std::nullopt;
        };
        view_.as_of = time("as_of");
        since_ = time("since");
        until_ = time("until");
        for (const auto& word : words_of(parameters.value("to"))) {
            const auto kind = lineage::kind_from(word);
            if (!kind) {
                throw Error(ErrorCode::usage,
                            fmt::format("to: no kind '{}'", printable(word)),
                            "sources, artifacts, packages, images, vms or hosts");
            }
            kinds_.insert(*kind);
        }
        if (const auto known_at = parameters.number("known_at", seq_)) {
            view_.known_at = known_at;
            seq_ = *known_at;
        }
        query_ = std::make_unique<Query>(store, view_);
    }

    Query& query() noexcept { return *query_; }

    Nodes select(const std::vector<std::string>& words)
    {
        if (words.empty()) {
            throw Error(ErrorCode::usage, "q is missing", "q=file:src/price.cpp");
        }
        return query_->select(lineage::parse_selection(words, refuse_files));
    }

    [[nodiscard]] bool wants(lineage::Kind kind) const
    {
        return kinds_.empty() || kinds_.contains(kind);
    }

    /// Kinds that were asked for; empty: all.
    [[nodiscard]] const std::set<lineage::Kind>& kinds() const noexcept { return kinds_; }

    [[nodiscard]] bool in_period(Time at) const
    {
        return (!since_ || at >= *since_) && (!until_ || at < *until_);
    }

    /// In the period, and before the moment, that were asked for.
    bool was_there(lineage::Node node)
    {
        if (!since_ && !until_ && !view_.as_of) {
            return true;
        }
        const auto at = query_->first_seen(node);
        if (!at) {
            return !since_ && !until_;
        }
        return in_period(*at) && (!view_.as_of || *at <= *view_.as_of);
    }

    Nodes filtered(const Nodes& nodes)
    {
        Nodes kept;
        for (const auto node : nodes) {
            if (wants(node.kind) && was_there(node)) {
                kept.insert(node);
            }
        }
        return kept;
    }

    /// The members of every answer, as `--json` has them.
    Json answer(std::string_view schema, Json items)
    {
        Json kept = Json::array();
        std::uint64_t total = 0;
        for (auto& item : items) {
            const auto state = item.find("state");
            const bool stays = states_.empty() || (state != item.end() && state->is_string() &&
                                                   states_.contains(state->get<std::string>()));
            total += stays ? 1U : 0U;
            if (stays && kept.size() < limit_) {
                kept.push_back(std::move(item));
            }
        }
        Json gaps = Json::array();
        for (const auto& gap : query_->gaps()) {
            gaps.push_back({{"reason", json_text(gap.reason)}, {"what", json_text(gap.what)}});
        }
        return {{"as_of", view_.as_of ? Json(format_time(*view_.as_of)) : Json(nullptr)},
                {"complete", gaps.empty()},
                {"dirty_builds", query_->dirty_builds()},
                {"gaps", gaps},
                {"items", std::move(kept)},
                {"schema", schema},
                {"seq", seq_},
                {"total", total}};
    }

    Json answer(std::string_view schema, const Nodes& nodes)
    {
        return answer(schema, query_->items(filtered(nodes)));
    }

private:
    const Parameters& parameters_;
    std::set<std::string> states_;
    std::uint64_t limit_;
    std::uint64_t seq_;
    lineage::View view_;
    std::optional<Time> since_;
    std::optional<Time> until_;
    std::set<lineage::Kind> kinds_;
    std::unique_ptr<Query> query_;
};

Json answer_where(lineage::Store& store, const http::Request& request, Time now)
{
    const Parameters parameters(request, filters);
    Asked asked(store, parameters, now);
    const auto found =
        asked.query().downstream(asked.select(parameters.values("q")), asked.kinds());
    return asked.answer("stemma.where/1", found);
}

Json answer_what(lineage::Store& store, const http::Request& request, Time now)
{
    const Parameters parameters(request, filters);
    Asked asked(store, parameters, now);
    const auto found = asked.query().makings(asked.select(parameters.values("q")), asked.kinds());
    return asked.answer("stemma.what/1", found);
}

Json answer_select(lineage::Store& store, const http::Request& request, Time now)
{
    const Parameters parameters(request, filters);
    Asked asked(store, parameters, now);
    return asked.answer("stemma.select/1", asked.select(parameters.values("q")));
}

Json answer_why(lineage::Store& store, const http::Request& request, Time now)
{
    constexpr std::array allowed = {std::string_view("from"),
                                    std::string_view("to"),
                                    std::string_view("all"),
                                    std::string_view("as_of"),
                                    std::string_view("known_at"),
                                    std::string_view("limit")};
    http::Request plain = request;
    plain.query.erase("to"); // here a selector, elsewhere a list of kinds
    const Parameters parameters(request, allowed);
    const Parameters view(plain, allowed);
    Asked asked(store, view, now);
    auto& query = asked.query();
    auto from = asked.select({parameters.needed("from")});
    auto to = asked.select({parameters.needed("to")});
    const bool all = parameters.value("all").value_or("") == "1";
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
    return asked.answer("stemma.why/1", std::move(items));
}

Json answer_log(lineage::Store& store, const http::Request& request, Time now)
{
    const Parameters parameters(request, filters);
    Asked asked(store, parameters, now);
    const auto words = parameters.values("q");
    const auto seqs =
        words.empty() ? asked.query().history() : asked.query().history(asked.select(words));
    Json items = Json::array();
    for (const auto seq : seqs) {
        auto item = asked.query().event_item(seq);
        if (asked.in_period(parse_time(item["at"].get<std::string>()))) {
            items.push_back(std::move(item));
        }
    }
    return asked.answer("stemma.log/1", std::move(items));
}

Json answer_outdated(lineage::Store& store, const http::Request& request, Time now)
{
    constexpr std::array allowed = {std::string_view("package"),
                                    std::string_view("channel"),
                                    std::string_view("to"),
                                    std::string_view("as_of"),
                                    std::string_view("known_at"),
                                    std::string_view("limit")};
    const Parameters parameters(request, allowed);
    Asked asked(store, parameters, now);
    Json items = Json::array();
    for (const auto& found : asked.query().outdated(parameters.value("package").value_or(""),
                                                    parameters.value("channel").value_or(""))) {
        if (asked.wants(found.node.kind)) {
            auto item = asked.query().item(found.node);
            item["package"] = found.package;
            item["version"] = found.version;
            item["head"] = found.head;
            item["channel"] = found.channel;
            items.push_back(std::move(item));
        }
    }
    return asked.answer("stemma.outdated/1", std::move(items));
}

Json answer_releases(lineage::Store& store, const http::Request& request, Time now)
{
    const Parameters parameters(request, {});
    Asked asked(store, parameters, now);
    struct Release {
        std::uint64_t running = 0;
        std::set<std::string> hosts;
        std::set<std::string> images;
        Json vms = Json::array();
    };
    std::map<std::string, Release> releases;
    for (const auto& vm : store.vms()) {
        auto& release = releases[vm.release];
        release.running += vm.state == "running" ? 1U : 0U;
        release.hosts.insert(vm.host);
        release.images.insert(vm.image);
        release.vms.push_back(vm.name);
    }
    Json items = Json::array();
    for (const auto& [name, release] : releases) {
        items.push_back({{"hosts", release.hosts},
                         {"images", release.images},
                         {"name", name.empty() ? Json(nullptr) : Json(name)},
                         {"running", release.running},
                         {"type", "release"},
                         {"vms", release.vms}});
    }
    return asked.answer("stemma.releases/1", std::move(items));
}

Json answer_status(lineage::Store& store, const http::Request& request, Time now)
{
    const Parameters parameters(request, {});
    return {{"hosts", store.hosts().size()},
            {"images", store.images().size()},
            {"now", format_time(now)},
            {"origin", store.origin()},
            {"schema", "stemma.status/1"},
            {"seq", store.last_seq()},
            {"vms", store.vms().size()}};
}

} // namespace

Parameters::Parameters(const http::Request& request, std::span<const std::string_view> allowed)
    : query_(request.query)
{
    std::size_t size = 0;
    for (const auto& [name, value] : query_) {
        size += name.size() + value.size();
        if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
            throw Error(ErrorCode::usage, fmt::format("no parameter '{}' here", printable(name)));
        }
        if (name != "q" && query_.count(name) > 1) {
            throw Error(ErrorCode::usage, fmt::format("parameter '{}' twice", printable(name)));
        }
    }
    if (size > longest_query) {
        throw Error(ErrorCode::usage,
                    fmt::format("a question of {} bytes is over {}", size, longest_query));
    }
}

std::optional<std::string> Parameters::value(std::string_view name) const
{
    const auto found = query_.find(std::string(name));
    return found == query_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> Parameters::values(std::string_view name) const
{
    std::vector<std::string> values;
    const auto [begin, end] = query_.equal_range(std::string(name));
    for (auto at = begin; at != end; ++at) {
        values.push_back(at->second);
    }
    return values;
}

std::string Parameters::needed(std::string_view name) const
{
    const auto found = value(name);
    if (!found || found->empty()) {
        throw Error(ErrorCode::usage, fmt::format("parameter '{}' is missing", name));
    }
    return *found;
}

std::optional<std::uint64_t> Parameters::number(std::string_view name, std::uint64_t high) const
{
    const auto text = value(name);
    if (!text) {
        return std::nullopt;
    }
    const auto number = parse_unsigned(*text);
    if (!number || *number > high) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} takes 0 to {}, not '{}'", name, high, printable(*text)));
    }
    return number;
}

Answerer answerer_of(std::string_view name)
{
    constexpr std::array<std::pair<std::string_view, Answerer>, 8> all = {
        {{"where", answer_where},
         {"what", answer_what},
         {"select", answer_select},
         {"why", answer_why},
         {"log", answer_log},
         {"outdated", answer_outdated},
         {"releases", answer_releases},
         {"status", answer_status}}};
    for (const auto& [known, answerer] : all) {
        if (known == name) {
            return answerer;
        }
    }
    return nullptr;
}

} // namespace stemma::server
