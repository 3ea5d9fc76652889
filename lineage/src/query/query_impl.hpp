#pragma once

#include "stemma/lineage/query.hpp"

#include <unordered_map>

#include "graph.hpp"

namespace stemma::lineage {

struct Query::Impl {
    Impl(Store::Impl& the_store, View the_view)
        : store(the_store),
          frozen(the_store.db, sqlite::Transaction::Kind::read),
          view(the_view),
          graph(the_store, the_view)
    {
    }

    Store::Impl& store;
    sqlite::Transaction frozen; ///< every part of an answer sees the same store
    View view;
    Graph graph;
    /// Builds through which a source was met; the newest one says its revision and state.
    std::unordered_map<std::int64_t, std::int64_t> seen_in;
    /// Releases that were selected by name: their own events belong to their VMs' history.
    std::set<std::string> releases;

    /// Upstream by every link, artifacts and all.
    Nodes near_upstream(const Nodes& of);
    /// Of `nodes`, the generated files that steps read as if they were sources, as such.
    Nodes generated_sources(const Nodes& nodes);
    Nodes leaf(const Selector& selector);
    Nodes evaluate(const Selection& selection);
    void see(const Link& link);
    /// The newest of two builds, by the end of their run.
    std::int64_t newer(std::int64_t a, std::int64_t b);
    /// Some build in this view has the version.
    bool is_known(std::int64_t version);
    /// The build that speaks for a version; 0: none in this view.
    std::int64_t build_of_version(std::int64_t version);

    /// The image was retired after it was last made or named.
    bool is_retired(std::int64_t image);

    Json source_item(std::int64_t version);
    Json artifact_item(Node node);
    Json package_item(std::int64_t id);
    Json image_item(std::int64_t id);
    Json vm_item(std::int64_t id);
    Json host_item(std::int64_t id);
};

std::optional<std::int64_t> one_integer(sqlite::Statement& statement);
std::vector<std::int64_t> integers(sqlite::Statement& statement);

} // namespace stemma::lineage
