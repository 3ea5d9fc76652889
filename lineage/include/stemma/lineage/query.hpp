#pragma once

#include "stemma/lineage/selector.hpp"
#include "stemma/lineage/store.hpp"

#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

/// Questions to the lineage: what comes from this, what is in this, and by which evidence.
namespace stemma::lineage {

/// What an answer may be made of, in the order in which one comes from the other.
enum class Kind { source, artifact, package, image, vm, host };
/// "source", "artifact", …
std::string_view to_string(Kind kind) noexcept;
/// Singular or plural: "source", "sources", "vms", …
std::optional<Kind> kind_from(std::string_view word) noexcept;

/// A thing of the lineage, by its row: one content of one file, one output of one build, one
/// package, image, VM or host. Good for the store that it came from only.
struct Node {
    Kind kind = Kind::source;
    std::int64_t id = 0;
    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 sees a 0 in what the default writes
    auto operator<=>(const Node&) const = default; // NOLINT(modernize-use-nullptr): its own 0
};
using Nodes = std::set<Node>;

/// Which facts count, and at which moment of the world.
struct View {
    std::optional<Time> as_of;             ///< valid time; nullopt: now
    std::optional<std::uint64_t> known_at; ///< ledger position; nullopt: all that is known
};

/// One thing that leads to another, and who says so.
struct Link {
    Node from;              ///< upstream end
    Node to;                ///< downstream end
    std::string relation;   ///< compile, link, archive, generate, packed, installed, derived,
                            ///< deployed, runs on …
    std::uint64_t seq = 0;  ///< the event that says it
    std::int64_t build = 0; ///< row of the build: of the step, or of what was packed; 0: none
    std::int32_t step = -1; ///< index within that build's manifest
    bool inferred = false;  ///< found by comparing, not told
    std::string basis;      ///< what an inferred link rests on
};

/// A newer version exists for something that is still in use.
struct Outdated {
    Node node; ///< image or VM
    std::string package;
    std::string version;
    std::string head;    ///< version, or digest of an image
    std::string channel; ///< its name; "branch NAME" or "newest of the name" where none was set
};

/// What the newest channel.set of a channel says about one name.
struct ChannelHead {
    std::string channel;
    std::string kind; ///< package or image
    std::string name;
    std::string version;               ///< empty: not said
    std::optional<std::string> digest; ///< 32 bytes
    Time at{};
};

/// Asks one store in one view. Sees the store as it is at its first question, and holds what it
/// read, so one object should serve one question. The store must outlive it, and nothing can be
/// recorded through the same Store object meanwhile.
class Query {
public:
    Query(Store& store, View view);
    ~Query();
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;

    /// throws  usage: an unknown kind of selector (with the nearest), sets of different kinds;
    ///         not_found: a selector that names one thing, and nothing has that name
    Nodes select(const Selection& selection);

    /// Everything that comes from `from`, without `from` itself.
    /// wanted  only these kinds; empty: all
    /// cost    follows the builds on the way, their packages, images and VMs; when artifacts are
    ///         wanted, or an earlier position of the ledger counts, every step of those builds
    Nodes downstream(const Nodes& from, const std::set<Kind>& wanted = {});
    /// Everything that is in `of`, without `of` itself.
    /// cost  as above, and artifacts cost no more than the rest
    Nodes upstream(const Nodes& of, const std::set<Kind>& wanted = {});
    /// The same, and the generated files that steps read as if they were sources, as such.
    Nodes makings(const Nodes& of, const std::set<Kind>& wanted = {});
    /// What each of `of` is made of; for VMs also the host, if they are all on one.
    /// cost  that of upstream() for each image that VMs among them run, and for each other node
    Nodes common(const Nodes& of, const std::set<Kind>& wanted = {});

    /// The shortest chain from one of `from` down to one of `to`; empty when there is none.
    std::vector<Link> chain(const Nodes& from, const Nodes& to);
    /// Every link on any way from `from` down to `to`, sorted.
    std::vector<Link> links(const Nodes& from, const Nodes& to);

    /// The members that DESIGN promises for this kind, and "type".
    Json item(Node node);
    /// Items of nodes, sorted and without repetition: one artifact that two builds made is one.
    Json items(const Nodes& nodes);
    /// A link as JSON: from, to, relation, event {origin oseq seq at kind}, step, inferred, basis.
    Json link_item(const Link& link);
    /// When the thing first came to be known of in the world; nullopt when no fact says.
    std::optional<Time> first_seen(Node node);

    /// VMs and images that hold something older than the head of its channel. See docs/lineage.md.
    /// package  a name or pattern of packages and images; empty: all
    /// channel  only what this channel says; empty: what is the head of any is not out of date
    std::vector<Outdated> outdated(std::string_view package, std::string_view channel = {});
    /// By channel, kind and name.
    std::vector<ChannelHead> channel_heads();

    /// Ledger positions of the events that concern any of `nodes`, by valid time.
    std::vector<std::uint64_t> history(const Nodes& nodes);
    /// All events of a view, by valid time.
    std::vector<std::uint64_t> history();
    /// One event for people and programs: at, seq, origin, oseq, kind, subject, detail, body.
    Json event_item(std::uint64_t seq);
    /// The same event whole, as it was recorded.
    model::Event event(std::uint64_t seq);

    /// What this question's answers cannot know, as far as was met.
    std::vector<Gap> gaps();
    /// Builds of uncommitted changes that were met: {build, repo, rev, dirty}.
    Json dirty_builds();

    struct Impl;

private:
    std::unique_ptr<Impl> impl_;
};

} // namespace stemma::lineage
