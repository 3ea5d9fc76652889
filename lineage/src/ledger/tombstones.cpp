#include "tombstones.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include "../store/schema.hpp"
#include "body.hpp"

namespace stemma::lineage {

Json ranges_of(const std::vector<std::uint64_t>& seqs)
{
    Json ranges = Json::array();
    std::uint64_t last = 0;
    for (const auto seq : seqs) {
        if (!ranges.empty() && seq == last + 1) {
            ranges.back()[1] = seq;
        } else {
            ranges.push_back({seq, seq});
        }
        last = seq;
    }
    return ranges;
}

namespace {

struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
};

/// throws  corrupt
Range range_from(const Json& json)
{
    if (!json.is_array() || json.size() != 2 || !json[0].is_number_unsigned() ||
        !json[1].is_number_unsigned()) {
        throw Error(ErrorCode::corrupt, "a range of pruned events is not two numbers");
    }
    return {json[0].get<std::uint64_t>(), json[1].get<std::uint64_t>()};
}

} // namespace

std::vector<std::uint64_t> living_in(sqlite::Database& db, const Json& ranges)
{
    std::vector<std::uint64_t> seqs;
    auto rows = db.prepare(
        "SELECT seq FROM event WHERE seq BETWEEN ? AND ? AND encoding <> ? ORDER BY seq");
    for (const auto& json : ranges) {
        const auto range = range_from(json);
        rows.bind(range.first, range.last, pruned_encoding);
        while (rows.step()) {
            seqs.push_back(static_cast<std::uint64_t>(rows.integer(0)));
        }
    }
    return seqs;
}

void bury(Store::Impl& store, const std::vector<std::uint64_t>& seqs)
{
    set_pruning(store.db, true);
    replace_keyframes(store, seqs);
    for (const auto seq : seqs) {
        store.db.cached("UPDATE event SET encoding = ?2, body = x'' WHERE seq = ?1")
            .bind(seq, pruned_encoding)
            .run();
    }
    forget_words(store);
    set_pruning(store.db, false);
}

void note_pruning(sqlite::Database& db, std::uint64_t seq, std::string_view before)
{
    db.prepare("INSERT INTO meta(key, value) VALUES (?, ?)")
        .bind(fmt::format("{}{:020}", pruned_key, seq), before)
        .run();
}

Digest tombstone_digest(sqlite::Database& db, const Json& ranges)
{
    Sha256 digest;
    auto rows = db.prepare("SELECT event.seq, event.at, event.kind, origin.name, event.oseq, "
                           "event.hash FROM event JOIN origin ON origin.id = event.origin WHERE "
                           "event.seq BETWEEN ? AND ? ORDER BY event.seq");
    for (const auto& json : ranges) {
        const auto range = range_from(json);
        rows.bind(range.first, range.last);
        while (rows.step()) {
            digest.update(fmt::format("{} {} {} {} {} {}\n",
                                      rows.integer(0),
                                      rows.integer(1),
                                      rows.view(2),
                                      rows.view(3),
                                      rows.integer(4),
                                      to_hex(rows.view(5))));
        }
    }
    return digest.finish();
}

std::vector<std::string> tombstone_findings(Store::Impl& store)
{
    std::vector<std::string> findings;
    std::set<std::uint64_t> silent; // tombstones that nothing speaks of
    auto rows = store.db.prepare("SELECT seq FROM event WHERE encoding = ?");
    rows.bind(pruned_encoding);
    while (rows.step()) {
        silent.insert(static_cast<std::uint64_t>(rows.integer(0)));
    }
    auto said = store.db.prepare("SELECT seq FROM event WHERE kind = ? AND origin = (SELECT id "
                                 "FROM origin WHERE name = ?)");
    said.bind(pruned_kind, store.origin);
    while (said.step()) {
        const auto seq = static_cast<std::uint64_t>(said.integer(0));
        const auto event = store.event_at(seq);
        const auto& ranges = array_member(event.body, "events");
        if (tombstone_digest(store.db, ranges).hex() != string_member(event.body, "tombstones")) {
            findings.push_back(
                fmt::format("event {}: the tombstones of what it pruned were changed", seq));
        }
        for (const auto& json : ranges) {
            const auto range = range_from(json);
            silent.erase(silent.lower_bound(range.first), silent.upper_bound(range.last));
        }
    }
    for (const auto seq : silent) {
        findings.push_back(
            fmt::format("event {}: its content is gone, and nothing says that it was pruned", seq));
    }
    return findings;
}

} // namespace stemma::lineage
