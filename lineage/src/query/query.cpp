#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>

#include "../shared/store.hpp"
#include "../store/schema.hpp"
#include "far_walk.hpp"
#include "query_impl.hpp"

namespace stemma::lineage {

namespace {

constexpr std::array<std::string_view, 6> kind_words = {
    "source", "artifact", "package", "image", "vm", "host"};

} // namespace

std::string_view to_string(Kind kind) noexcept
{
    return kind_words[static_cast<std::size_t>(kind)];
}

std::optional<Kind> kind_from(std::string_view word) noexcept
{
    if (!word.empty() && word.back() == 's') {
        word.remove_suffix(1);
    }
    const auto* const found = std::find(kind_words.begin(), kind_words.end(), word);
    if (found == kind_words.end()) {
        return std::nullopt;
    }
    return static_cast<Kind>(found - kind_words.begin());
}

std::optional<std::int64_t> one_integer(sqlite::Statement& statement)
{
    std::optional<std::int64_t> value;
    if (statement.step()) {
        value = statement.optional_integer(0);
    }
    statement.reset();
    return value;
}

std::vector<std::int64_t> integers(sqlite::Statement& statement)
{
    std::vector<std::int64_t> values;
    while (statement.step()) {
        values.push_back(statement.integer(0));
    }
    statement.reset();
    return values;
}

Query::Query(Store& store, View view) : impl_(std::make_unique<Impl>(store.impl(), view)) {}

Query::~Query() = default;

Nodes Query::select(const Selection& selection)
{
    return impl_->evaluate(selection);
}

std::int64_t Query::Impl::newer(std::int64_t a, std::int64_t b)
{
    const auto* left = graph.builds().row(a);
    const auto* right = graph.builds().row(b);
    if (left == nullptr || right == nullptr) {
        return left != nullptr ? a : b;
    }
    return std::tie(left->finished, left->run) < std::tie(right->finished, right->run) ? b : a;
}

void Query::Impl::see(const Link& link)
{
    if (link.from.kind == Kind::source && link.build != 0) {
        auto& known = seen_in[link.from.id];
        known = known == 0 || known == link.build ? link.build : newer(known, link.build);
    }
}

namespace {

/// Links that leave a node in the direction of the walk; the images that were asked for lead to
/// their descendants as well, those that were reached by what is in them do not.
void expand_down(Graph& graph, Node node, bool start, const Graph::Visit& visit)
{
    graph.downstream(node, visit);
    if (start && node.kind == Kind::image) {
        graph.derived(node, visit);
    }
}

} // namespace

namespace {

void keep(Nodes& nodes, const std::set<Kind>& wanted)
{
    if (!wanted.empty()) {
        std::erase_if(nodes, [&](Node node) { return wanted.count(node.kind) == 0; });
    }
}

} // namespace

Nodes Query::downstream(const Nodes& from, const std::set<Kind>& wanted)
{
    const bool shows_artifacts = wanted.empty() || wanted.count(Kind::artifact) != 0;
    if (!impl_->view.known_at && !shows_artifacts) {
        return far_downstream(*impl_, from, wanted);
    }
    Nodes seen = from;
    std::deque<Node> open(from.begin(), from.end());
    while (!open.empty()) {
        const Node node = open.front();
        open.pop_front();
        expand_down(impl_->graph, node, from.count(node) != 0, [&](const Link& link) {
            if (seen.insert(link.to).second) {
                open.push_back(link.to);
            }
        });
    }
    for (const auto node : from) {
        seen.erase(node);
    }
    keep(seen, wanted);
    return seen;
}

Nodes Query::Impl::near_upstream(const Nodes& of)
{
    Nodes seen = of;
    std::deque<Node> open(of.begin(), of.end());
    while (!open.empty()) {
        const Node node = open.front();
        open.pop_front();
        graph.upstream(node, [&](const Link& link) {
            see(link);
            if (seen.insert(link.from).second) {
                open.push_back(link.from);
            }
        });
    }
    for (const auto node : of) {
        seen.erase(node);
    }
    return seen;
}

Nodes Query::Impl::generated_sources(const Nodes& nodes)
{
    Nodes found;
    for (const auto node : nodes) {
        if (node.kind != Kind::artifact) {
            continue;
        }
        const auto output = Output::of(node);
        const auto files = graph.builds().files(output.build);
        if (files && files->roles[output.file].generated()) {
            const auto version = files->versions[output.file];
            auto& seen = seen_in[version];
            seen = seen == 0 ? output.build : newer(seen, output.build);
            found.insert({Kind::source, version});
        }
    }
    return found;
}

Nodes Query::upstream(const Nodes& of, const std::set<Kind>& wanted)
{
    if (!impl_->view.known_at) {
        return far_upstream(*impl_, of, wanted, false);
    }
    auto found = impl_->near_upstream(of);
    keep(found, wanted);
    return found;
}

Nodes Query::makings(const Nodes& of, const std::set<Kind>& wanted)
{
    if (!impl_->view.known_at) {
        return far_upstream(*impl_, of, wanted, true);
    }
    auto found = impl_->near_upstream(of);
    if (wanted.empty() || wanted.count(Kind::source) != 0) {
        found.merge(impl_->generated_sources(found));
    }
    keep(found, wanted);
    return found;
}

namespace {

/// Keeps what is in both.
void intersect(std::optional<Nodes>& shared, Nodes nodes)
{
    if (shared) {
        std::erase_if(*shared, [&](Node node) { return nodes.count(node) == 0; });
    } else {
        shared = std::move(nodes);
    }
}

} // namespace

Nodes Query::common(const Nodes& of, const std::set<Kind>& wanted)
{
    std::optional<Nodes> shared;
    std::map<std::int64_t, std::vector<Placement>>
        by_image; // VMs of one image are made of the same
    for (const auto node : of) {
        if (node.kind != Kind::vm) {
            intersect(shared, upstream({node}, wanted));
        } else if (const auto placement = impl_->graph.placements().of(node.id)) {
            by_image[placement->image].push_back(*placement);
        } else {
            intersect(shared, {});
        }
    }
    for (const auto& [image, placements] : by_image) {
        const Node first{Kind::vm, placements.front().vm};
        auto nodes = upstream({first}, wanted);
        const auto host = placements.front().host;
        const bool one_host = std::all_of(placements.begin(),
                                          placements.end(),
                                          [&](const Placement& one) { return one.host == host; });
        if (one_host) {
            nodes.merge(downstream({first}, wanted));
        }
        intersect(shared, std::move(nodes));
    }
    return shared.value_or(Nodes());
}

namespace {

/// How a node was reached: the links from the node `from` to it. More than one for images, which
/// must be shown to have the thing from an image that still had it.
struct Way {
    Node from;
    std::vector<Link> links;
};

std::vector<Link> unwind(const std::map<Node, Way>& ways, const Nodes& starts, Node node)
{
    std::vector<Link> chain;
    while (starts.count(node) == 0) {
        const auto& way = ways.at(node);
        chain.insert(chain.begin(), way.links.begin(), way.links.end());
        node = way.from;
    }
    return chain;
}

} // namespace

std::vector<Link> Query::chain(const Nodes& from, const Nodes& to)
{
    std::map<Node, Way> ways;
    std::deque<Node> open(from.begin(), from.end());
    while (!open.empty()) {
        const Node node = open.front();
        open.pop_front();
        if (to.count(node) != 0 && from.count(node) == 0) {
            auto links = unwind(ways, from, node);
            std::for_each(links.begin(), links.end(), [&](const Link& link) { impl_->see(link); });
            return links;
        }
        std::map<Node, std::vector<Link>> local;
        expand_down(impl_->graph, node, from.count(node) != 0, [&](const Link& link) {
            if (local.count(link.to) != 0) {
                return;
            }
            auto links = link.from == node ? std::vector<Link>() : local[link.from];
            links.push_back(link);
            local[link.to] = links;
            if (from.count(link.to) == 0 && ways.emplace(link.to, Way{node, links}).second) {
                open.push_back(link.to);
            }
        });
    }
    return {};
}

std::vector<Link> Query::links(const Nodes& from, const Nodes& to)
{
    std::map<Node, std::vector<Link>> into;
    Nodes seen = from;
    std::deque<Node> open(from.begin(), from.end());
    while (!open.empty()) {
        const Node node = open.front();
        open.pop_front();
        expand_down(impl_->graph, node, from.count(node) != 0, [&](const Link& link) {
            auto& known = into[link.to];
            const bool repeated = std::any_of(known.begin(), known.end(), [&](const Link& other) {
                return std::tie(other.from, other.relation, other.seq, other.step) ==
                       std::tie(link.from, link.relation, link.seq, link.step);
            });
            if (!repeated) {
                known.push_back(link);
            }
            if (seen.insert(link.to).second) {
                open.push_back(link.to);
            }
        });
    }
    std::vector<Link> found;
    Nodes back = to;
    open.assign(to.begin(), to.end());
    while (!open.empty()) {
        const Node node = open.front();
        open.pop_front();
        for (const auto& link : into[node]) {
            impl_->see(link);
            found.push_back(link);
            if (back.insert(link.from).second) {
                open.push_back(link.from);
            }
        }
    }
    std::sort(found.begin(), found.end(), [](const Link& a, const Link& b) {
        return std::tie(a.from, a.to, a.seq, a.step) < std::tie(b.from, b.to, b.seq, b.step);
    });
    return found;
}

namespace {

/// Answers about a time of which facts were pruned, or with what was known before, know less.
std::optional<Gap> pruned_gap(Store::Impl& store, const View& view)
{
    std::optional<Gap> gap;
    auto rows = store.db.prepare("SELECT key, value FROM meta WHERE key GLOB ? ORDER BY key");
    rows.bind(std::string(pruned_key) + "*");
    while (rows.step()) {
        const auto seq = parse_unsigned(rows.view(0).substr(pruned_key.size())).value_or(0);
        const auto before = parse_time(rows.view(1));
        if ((view.as_of && *view.as_of < before) || (view.known_at && *view.known_at < seq)) {
            gap = Gap{"history",
                      fmt::format("facts from before {} were pruned", format_time(before))};
        }
    }
    return gap;
}

} // namespace

std::vector<Gap> Query::gaps()
{
    std::vector<Gap> gaps;
    auto& rows = impl_->store.db.cached("SELECT origin.name, events, last FROM origin_state JOIN "
                                        "origin ON origin.id = origin_state.origin "
                                        "WHERE events < last ORDER BY origin.name");
    while (rows.step()) {
        gaps.push_back({fmt::format("origin {}", rows.view(0)),
                        fmt::format("{} of its {} events have not arrived",
                                    rows.integer(2) - rows.integer(1),
                                    rows.integer(2))});
    }
    rows.reset();
    for (const auto& [key, gap] : impl_->graph.gaps()) {
        gaps.push_back(gap);
    }
    // An answer about what was known at a position that is here lacks nothing.
    auto& store = impl_->store;
    if (store.shared && !(impl_->view.known_at && *impl_->view.known_at <= store.last_seq())) {
        if (auto gap = store.shared->gap(store)) {
            gaps.push_back(*std::move(gap));
        }
    }
    if (impl_->view.as_of || impl_->view.known_at) {
        if (auto gap = pruned_gap(impl_->store, impl_->view)) {
            gaps.push_back(*std::move(gap));
        }
    }
    return gaps;
}

Json Query::dirty_builds()
{
    Json builds = Json::array();
    for (const auto id : impl_->graph.dirty_builds()) {
        const auto* build = impl_->graph.builds().row(id);
        auto& row = impl_->store.db.cached("SELECT name FROM repo WHERE id = ?");
        row.bind(build->repo);
        const std::string repo = row.step() ? row.text(0) : "";
        row.reset();
        builds.push_back({{"build", build->run},
                          {"repo", json_text(repo)},
                          {"rev", json_or_null(build->revision)},
                          {"dirty", build->dirty}});
    }
    return builds;
}

} // namespace stemma::lineage
