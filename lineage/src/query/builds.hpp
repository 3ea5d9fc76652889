#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../store/build_graph.hpp"
#include "../store/impl.hpp"
#include "../store/reach.hpp"

namespace stemma::lineage {

/// What is known of a build without looking into it.
struct BuildRow {
    std::int64_t id = 0;
    std::uint64_t seq = 0;
    std::string run;
    std::string name;
    std::int64_t repo = 0;
    std::optional<std::string> revision;
    std::optional<std::string> branch;
    std::int64_t dirty = 0;
    std::int64_t holes = 0;
    std::int64_t started = 0;
    std::int64_t finished = 0;
};

/// One build, unpacked, with the ways from a file to the steps that read and that made it.
struct Build : BuildRow {
    BuildGraph graph;

    using Steps = std::pair<const std::uint32_t*, const std::uint32_t*>;
    /// Steps that read the file, as an input or as their tool.
    [[nodiscard]] Steps users(model::FileIndex file) const
    {
        return range(user_starts_, users_, file);
    }
    [[nodiscard]] Steps makers(model::FileIndex file) const
    {
        return range(maker_starts_, makers_, file);
    }
    [[nodiscard]] bool made_here(model::FileIndex file) const
    {
        return graph.files.roles[file].made();
    }
    /// Inverts the steps; after `graph` is set.
    void index();

private:
    static Steps range(const std::vector<std::uint32_t>& starts,
                       const std::vector<std::uint32_t>& steps,
                       model::FileIndex file)
    {
        return {steps.data() + starts[file], steps.data() + starts[file + 1]};
    }
    std::vector<std::uint32_t> user_starts_;
    std::vector<std::uint32_t> users_;
    std::vector<std::uint32_t> maker_starts_;
    std::vector<std::uint32_t> makers_;
};

/// Builds as they are needed; keeps what is known of each, and those used last.
class Builds {
public:
    Builds(Store::Impl& store, std::uint64_t known_at) : store_(store), known_at_(known_at) {}
    /// nullptr: not within this view. Good as long as this object.
    const BuildRow* row(std::int64_t id);
    /// nullptr: not within this view. Shared, because the cache may drop it.
    std::shared_ptr<const Build> get(std::int64_t id);
    /// The files of a build, and what leaves it and comes in: small parts of its cost. Kept.
    std::shared_ptr<const BuildGraph::Files> files(std::int64_t id);
    std::shared_ptr<const Reach> reach(std::int64_t id);
    /// The row of a run id; nullopt: no such build was recorded.
    std::optional<std::int64_t> of_run(std::string_view run);

private:
    static constexpr std::size_t kept = 64;
    Store::Impl& store_;
    std::uint64_t known_at_;
    std::unordered_map<std::int64_t, std::optional<BuildRow>> rows_;
    std::unordered_map<std::int64_t, std::shared_ptr<const BuildGraph::Files>> files_;
    std::unordered_map<std::int64_t, std::shared_ptr<const Reach>> reaches_;
    std::unordered_map<std::string, std::optional<std::int64_t>> runs_;
    std::list<std::pair<std::int64_t, std::shared_ptr<const Build>>> recent_;
    std::unordered_map<std::int64_t, decltype(recent_)::iterator> found_;
};

} // namespace stemma::lineage
