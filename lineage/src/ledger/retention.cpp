#include "stemma/core/error.hpp"
#include "stemma/lineage/ledger.hpp"
#include "stemma/lineage/query.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <vector>

#include "../shared/store.hpp"
#include "../store/impl.hpp"
#include "../store/migrate.hpp"
#include "tombstones.hpp"

namespace stemma::lineage {

namespace {

/// What may go when nothing needs it. Everything else stays: what the ledger says of itself, heads
/// of channels, releases, and kinds that this program does not know.
constexpr std::array prunable = {std::string_view("build.recorded"),
                                 std::string_view("package.packed"),
                                 std::string_view("image."),
                                 std::string_view("vm."),
                                 std::string_view("host."),
                                 std::string_view("snapshot.taken"),
                                 std::string_view("action.run")};

bool may_go(std::string_view kind)
{
    return std::any_of(prunable.begin(), prunable.end(), [&](std::string_view start) {
        return kind.starts_with(start);
    });
}

Nodes rows(sqlite::Database& db, Kind kind, std::string_view sql)
{
    Nodes nodes;
    auto statement = db.prepare(sql);
    while (statement.step()) {
        nodes.insert({kind, statement.integer(0)});
    }
    return nodes;
}

/// Finds the positions of the facts that something living rests on.
class Keeper {
public:
    explicit Keeper(Store& store) : store_(store), query_(store, {}) {}

    std::set<std::uint64_t> needed()
    {
        auto& db = store_.impl().db;
        Nodes live = living(Kind::vm);
        live.merge(living(Kind::image));
        // The package packed last under each name, and the ones that channels name.
        live.merge(
            rows(db,
                 Kind::package,
                 "SELECT package.id, max(packed.at) FROM packed JOIN package ON package.id = "
                 "packed.package GROUP BY package.name, package.arch"));
        live.merge(
            rows(db,
                 Kind::package,
                 "SELECT package.id FROM channel JOIN package ON channel.name = package.name "
                 "AND channel.version = package.version WHERE channel.kind = 'package'"));
        auto all = query_.upstream(live);
        all.merge(live);
        keep(all);
        keep_newest_builds(db);
        keep_of(living(Kind::host), "host.");
        return std::move(seqs_);
    }

private:
    /// Everything of a kind that has not ended.
    Nodes living(Kind kind)
    {
        Nodes nodes;
        const auto table = std::string(to_string(kind));
        for (const auto node :
             rows(store_.impl().db, kind, fmt::format("SELECT id FROM {}", table))) {
            const auto item = query_.item(node);
            const auto state = optional_string_member(item, "state").value_or("");
            if (state != "retired" && state != "removed") {
                nodes.insert(node);
            }
        }
        return nodes;
    }

    void keep(const Nodes& all)
    {
        std::map<Kind, Nodes> by_kind;
        for (const auto node : all) {
            by_kind[node.kind].insert(node);
        }
        keep_of(by_kind[Kind::artifact], "build.");
        keep_of(by_kind[Kind::package], "package.");
        keep_images(by_kind[Kind::image]);
        keep_of(by_kind[Kind::vm], "");
        for (const auto node : by_kind[Kind::source]) {
            keep_build_of(query_.item(node));
        }
    }

    /// An image has what its ancestors put there, also when they are retired; and only the packing
    /// of a package tells which other one it replaced, and which files went with it.
    void keep_images(const Nodes& images)
    {
        auto& db = store_.impl().db;
        auto parents = db.prepare("SELECT parent FROM image WHERE id = ? AND parent IS NOT NULL");
        auto changes = db.prepare("SELECT package FROM image_package WHERE image = ?");
        Nodes family = images;
        Nodes packages;
        std::vector<Node> open(images.begin(), images.end());
        while (!open.empty()) {
            const auto image = open.back();
            open.pop_back();
            parents.bind(image.id);
            if (parents.step()) {
                const Node parent{Kind::image, parents.integer(0)};
                if (family.insert(parent).second) {
                    open.push_back(parent);
                }
            }
            parents.reset();
            changes.bind(image.id);
            while (changes.step()) {
                packages.insert({Kind::package, changes.integer(0)});
            }
            changes.reset();
        }
        keep_of(family, "image.");
        keep_of(packages, "package.");
    }

    /// Facts about these nodes whose kind begins with `start`.
    void keep_of(const Nodes& nodes, std::string_view start)
    {
        for (const auto seq : query_.history(nodes)) {
            if (kind_of(seq).starts_with(start)) {
                seqs_.insert(seq);
            }
        }
    }

    std::string kind_of(std::uint64_t seq)
    {
        auto& row = store_.impl().db.cached("SELECT kind FROM event WHERE seq = ?");
        row.bind(seq);
        auto kind = row.step() ? row.text(0) : std::string();
        row.reset();
        return kind;
    }

    /// The build that tells a source's revision and state.
    void keep_build_of(const Json& source)
    {
        const auto run = optional_string_member(source, "build");
        if (!run) {
            return;
        }
        auto& row = store_.impl().db.cached("SELECT seq FROM build WHERE run = ?");
        row.bind(*run);
        if (row.step()) {
            seqs_.insert(static_cast<std::uint64_t>(row.integer(0)));
        }
        row.reset();
    }

    void keep_newest_builds(sqlite::Database& db)
    {
        auto newest =
            db.prepare("SELECT seq, max(finished) FROM build GROUP BY repo, name, branch");
        while (newest.step()) {
            seqs_.insert(static_cast<std::uint64_t>(newest.integer(0)));
        }
    }

    Store& store_;
    Query query_;
    std::set<std::uint64_t> seqs_;
};

/// What goes: old, of a kind that may, and not needed.
std::vector<std::uint64_t>
dispensable(sqlite::Database& db, const std::set<std::uint64_t>& needed, const Retention& retention)
{
    std::vector<std::uint64_t> seqs;
    auto old =
        db.prepare("SELECT seq, kind FROM event WHERE at < ? AND encoding <> ? ORDER BY seq");
    old.bind(to_integer(retention.before), pruned_encoding);
    while (old.step()) {
        if (retention.cancel != nullptr) {
            retention.cancel->check();
        }
        const auto seq = static_cast<std::uint64_t>(old.integer(0));
        if (may_go(old.view(1)) && !needed.contains(seq)) {
            seqs.push_back(seq);
        }
    }
    return seqs;
}

Pruned count(sqlite::Database& db, const std::vector<std::uint64_t>& seqs)
{
    Pruned pruned;
    for (const auto seq : seqs) {
        auto& row = db.cached("SELECT kind, length(body) FROM event WHERE seq = ?");
        row.bind(seq);
        if (row.step()) {
            ++pruned.events[row.text(0)];
            pruned.bytes += static_cast<std::uint64_t>(row.integer(1));
        }
        row.reset();
    }
    return pruned;
}

/// The fact that says what was taken.
model::EventDraft report(Store::Impl& impl,
                         const Retention& retention,
                         const std::vector<std::uint64_t>& seqs,
                         const Pruned& pruned)
{
    const auto ranges = ranges_of(seqs);
    return {impl.clock.now(),
            std::string(pruned_kind),
            Json{{"before", format_time(retention.before)},
                 {"events", ranges},
                 {"kinds", pruned.events},
                 {"bytes", pruned.bytes},
                 {"tombstones", tombstone_digest(impl.db, ranges).hex()}}};
}

/// Within a transaction of the ledger.
void take_away(Store::Impl& impl,
               const Retention& retention,
               const std::vector<std::uint64_t>& seqs,
               const Pruned& pruned)
{
    bury(impl, seqs);
    if (impl.shared) {
        impl.shared->bury(seqs);
    }
    derive_all(impl, retention.progress, retention.cancel);
    const auto said = report(impl, retention, seqs, pruned);
    const auto seq = impl.record(std::span(&said, 1)).last_seq;
    note_pruning(impl.db, seq, format_time(retention.before));
}

} // namespace

Pruned prune(Store& store, const Retention& retention)
{
    constexpr int tries = 5;
    auto& impl = store.impl();
    for (int i = 0; i < tries; ++i) {
        const auto position = impl.last_seq();
        const auto needed = Keeper(store).needed();
        const auto seqs = dispensable(impl.db, needed, retention);
        auto pruned = count(impl.db, seqs);
        if (seqs.empty() || !retention.really) {
            return pruned;
        }
        bool done = false;
        in_transaction(impl, [&] {
            // Somebody may have recorded meanwhile what needs some of it.
            done = impl.last_seq() == position;
            if (done) {
                take_away(impl, retention, seqs, pruned);
            }
        });
        if (done) {
            return pruned;
        }
    }
    throw Error(ErrorCode::conflict,
                "others record all the time, so that what is needed changes while it is reckoned",
                "prune when less is recorded");
}

} // namespace stemma::lineage
