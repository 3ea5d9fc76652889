#include "placements.hpp"

#include <algorithm>

#include "../store/ids.hpp"

namespace stemma::lineage {

namespace {

constexpr const char* columns =
    "SELECT vm, host, image, state, release, since, until, placed FROM vm_span WHERE ";
/// ?1 is the moment; of the present only `forever` is asked for, which the indexes answer.
constexpr const char* at_moment = "since <= ?1 AND until > ?1";

std::optional<std::int64_t> find_id(sqlite::Database& db, std::string_view sql, const auto& key)
{
    auto& row = db.cached(sql);
    row.bind(key);
    std::optional<std::int64_t> id;
    if (row.step()) {
        id = row.integer(0);
    }
    row.reset();
    return id;
}

} // namespace

Placements::Placements(Store::Impl& store, const View& view) : store_(store), view_(view) {}

std::vector<Placement> Placements::rows(sqlite::Statement& statement)
{
    std::vector<Placement> found;
    while (statement.step()) {
        found.push_back({statement.integer(0),
                         statement.integer(1),
                         statement.integer(2),
                         statement.text(3),
                         statement.text(4),
                         statement.integer(5),
                         statement.integer(6),
                         static_cast<std::uint64_t>(statement.integer(7))});
    }
    statement.reset();
    return found;
}

namespace {

std::string select_where(const View& view, std::string_view condition)
{
    return fmt::format("{}{} AND {}", columns, condition, view.as_of ? at_moment : "until = ?1");
}

std::int64_t moment(const View& view)
{
    return view.as_of ? to_integer(*view.as_of) : forever;
}

} // namespace

std::vector<Placement> Placements::with_image(std::int64_t image)
{
    if (view_.known_at) {
        return past_where([](const Placement& p, std::int64_t id) { return p.image == id; }, image);
    }
    return rows(store_.db.cached(select_where(view_, "image = ?2")).bind(moment(view_), image));
}

void Placements::visit_images(const std::set<std::int64_t>& images,
                              const std::function<void(std::int64_t, std::int64_t)>& visit)
{
    constexpr std::size_t many = 1000;
    if (view_.known_at) {
        for (const auto& placement : past()) {
            if (images.count(placement.image) != 0) {
                visit(placement.vm, placement.host);
            }
        }
        return;
    }
    const auto when = moment(view_);
    // The present is told by its number, which an index of it alone answers.
    const std::string condition =
        view_.as_of ? at_moment : fmt::format("until = {} AND ?1 > 0", forever);
    if (images.size() > many) {
        auto& all = store_.db.cached("SELECT vm, host, image FROM vm_span WHERE " + condition);
        all.bind(when);
        while (all.step()) {
            if (images.count(all.integer(2)) != 0) {
                visit(all.integer(0), all.integer(1));
            }
        }
        all.reset();
        return;
    }
    auto& rows = store_.db.cached("SELECT vm, host FROM vm_span WHERE image = ?2 AND " + condition);
    for (const auto image : images) {
        rows.bind(when, image);
        while (rows.step()) {
            visit(rows.integer(0), rows.integer(1));
        }
        rows.reset();
    }
}

std::vector<Placement> Placements::on_host(std::int64_t host)
{
    if (view_.known_at) {
        return past_where([](const Placement& p, std::int64_t id) { return p.host == id; }, host);
    }
    return rows(store_.db.cached(select_where(view_, "host = ?2")).bind(moment(view_), host));
}

std::optional<Placement> Placements::of(std::int64_t vm)
{
    auto found =
        view_.known_at
            ? past_where([](const Placement& p, std::int64_t id) { return p.vm == id; }, vm)
            : rows(store_.db.cached(select_where(view_, "vm = ?2")).bind(moment(view_), vm));
    return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::vector<Placement> Placements::of_release(const std::string& release)
{
    std::vector<Placement> found;
    for (auto& placement : all()) {
        if (placement.release == release) {
            found.push_back(std::move(placement));
        }
    }
    return found;
}

std::vector<Placement> Placements::all()
{
    if (view_.known_at) {
        return past();
    }
    return rows(store_.db.cached(select_where(view_, "TRUE")).bind(moment(view_)));
}

std::vector<Placement> Placements::past_where(bool (*keep)(const Placement&, std::int64_t),
                                              std::int64_t value)
{
    std::vector<Placement> found;
    for (const auto& placement : past()) {
        if (keep(placement, value)) {
            found.push_back(placement);
        }
    }
    return found;
}

namespace {

std::map<std::int64_t, std::vector<VmFact>> facts_until(sqlite::Database& db,
                                                        std::uint64_t position)
{
    std::map<std::int64_t, std::vector<VmFact>> facts;
    auto& rows = db.cached("SELECT vm, seq, event.at, origin.name, event.oseq FROM vm_event JOIN "
                           "event USING (seq) JOIN origin ON origin.id = event.origin WHERE seq <= "
                           "?");
    rows.bind(position);
    while (rows.step()) {
        facts[rows.integer(0)].push_back({static_cast<std::uint64_t>(rows.integer(1)),
                                          rows.integer(2),
                                          rows.text(3),
                                          static_cast<std::uint64_t>(rows.integer(4))});
    }
    rows.reset();
    return facts;
}

Placement placement_of(sqlite::Database& db, std::int64_t vm, const VmSpan& span)
{
    Placement placement;
    placement.vm = vm;
    placement.host = find_id(db, "SELECT id FROM host WHERE name = ?", span.host).value_or(0);
    if (span.image) {
        placement.image = find_id(db,
                                  "SELECT id FROM image WHERE digest = ?",
                                  sqlite::Blob{bytes_of(*span.image)})
                              .value_or(0);
    }
    placement.state = span.state;
    placement.release = span.release;
    placement.since = span.since;
    placement.until = span.until;
    placement.placed = span.placed;
    return placement;
}

} // namespace

const std::vector<Placement>& Placements::past()
{
    if (past_) {
        return *past_;
    }
    past_.emplace();
    const auto at = moment(view_);
    for (auto& [vm, facts] : facts_until(store_.db, *view_.known_at)) {
        order(facts);
        VmHistory history;
        for (const auto& fact : facts) {
            history.apply(store_.event_at(fact.seq), fact.seq, fact.at);
        }
        for (const auto& span : history.spans()) {
            const bool holds =
                at == forever ? span.until == forever : span.since <= at && span.until > at;
            if (holds) {
                past_->push_back(placement_of(store_.db, vm, span));
            }
        }
    }
    return *past_;
}

} // namespace stemma::lineage
