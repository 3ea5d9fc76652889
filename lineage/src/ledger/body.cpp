#include "body.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/zstd/zstd.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "../store/ids.hpp"
#include "../store/varint.hpp"
#include "packed_json.hpp"

namespace stemma::lineage {

using sqlite::Blob;

namespace {

constexpr std::int64_t as_it_is = 0;
constexpr std::int64_t compressed = 1;
constexpr std::int64_t packed = 3;
constexpr std::int64_t packed_and_compressed = 4;
constexpr std::int64_t difference = 5;

/// Smaller bodies do not shrink: as JSON, and packed.
constexpr std::size_t worth_compressing = 2048;
constexpr std::size_t packed_worth_compressing = 512;
constexpr std::uint64_t largest_body = 4ULL << 30U;
/// Both a keyframe and what is told against it: they lie in memory together.
constexpr std::size_t largest_compared = std::size_t{48} << 20U;
/// A body whose difference is more than a third of its keyframe is the next keyframe.
constexpr std::size_t worth_comparing = 3;

constexpr const char* way_out = "`stemma ledger verify` names what is damaged; put the last "
                                "`stemma ledger backup` in its place";

class StoredWords final : public Words {
public:
    explicit StoredWords(sqlite::Database& db) : db_(db) {}

    std::uint64_t number_of(std::string_view word) override
    {
        auto& found = db_.cached("SELECT id FROM word WHERE text = ?");
        found.bind(Blob{word});
        if (found.step()) {
            const auto id = found.integer(0);
            found.reset();
            return static_cast<std::uint64_t>(id);
        }
        db_.cached("INSERT INTO word(text) VALUES (?)").bind(Blob{word}).run();
        return static_cast<std::uint64_t>(db_.last_insert_id());
    }

    std::string word_of(std::uint64_t number) override
    {
        auto& found = db_.cached("SELECT text FROM word WHERE id = ?");
        found.bind(number);
        if (!found.step()) {
            throw Error(
                ErrorCode::corrupt, fmt::format("word {} of the ledger is gone", number), way_out);
        }
        auto text = found.text(0);
        found.reset();
        used.insert(number);
        return text;
    }

    std::set<std::uint64_t> used; ///< numbers that word_of() was asked for

private:
    sqlite::Database& db_;
};

/// Which facts are about the same thing, so that one is likely to be nearly another.
Digest topic_of(const model::Event& event)
{
    Sha256 topic;
    topic.update(event.kind);
    const auto manifest = event.body.find("manifest");
    if (manifest != event.body.end() && manifest->contains("build")) {
        return topic.update(canonical_json(manifest->at("build").value("repo", Json())))
            .update(canonical_json(manifest->at("build").value("name", Json())))
            .finish();
    }
    return topic.update(event.origin).finish();
}

struct Keyframe {
    std::uint64_t seq = 0;
    std::size_t stored = 0; ///< bytes
    std::string bytes;      ///< packed
};

std::string unpacked(std::string_view frame, const std::string& name)
{
    return doing([&] { return zstd::decompress(frame, largest_body); }, "unpacking {}", name);
}

/// nullopt: the event is no keyframe
std::optional<Keyframe> keyframe_at(sqlite::Database& db, std::uint64_t seq)
{
    auto& row = db.cached("SELECT body FROM event WHERE seq = ? AND encoding = ?");
    row.bind(seq, packed_and_compressed);
    if (!row.step()) {
        return std::nullopt;
    }
    const auto frame = row.text(0);
    row.reset();
    return Keyframe{seq, frame.size(), unpacked(frame, fmt::format("keyframe {}", seq))};
}

std::optional<Keyframe> keyframe_of(sqlite::Database& db, const Digest& topic)
{
    auto& row = db.cached("SELECT seq FROM keyframe WHERE topic = ?");
    row.bind(Blob{bytes_of(topic)});
    const auto seq = row.step() ? std::optional(row.integer(0)) : std::nullopt;
    row.reset();
    return seq ? keyframe_at(db, static_cast<std::uint64_t>(*seq)) : std::nullopt;
}

void set_keyframe(sqlite::Database& db, const Digest& topic, std::uint64_t seq)
{
    db.cached("INSERT INTO keyframe(topic, seq) VALUES (?1, ?2) ON CONFLICT(topic) DO UPDATE SET "
              "seq = ?2")
        .bind(Blob{bytes_of(topic)}, seq)
        .run();
}

/// nullopt: too large, or it would save too little
std::optional<StoredBody> difference_from(const Keyframe& keyframe, std::string_view bytes)
{
    if (keyframe.bytes.size() + bytes.size() > largest_compared) {
        return std::nullopt;
    }
    StoredBody body{difference, {}};
    put(body.bytes, keyframe.seq);
    body.bytes += zstd::compress_against(bytes, keyframe.bytes);
    if (body.bytes.size() > keyframe.stored / worth_comparing) {
        return std::nullopt;
    }
    return body;
}

/// Against the topic's keyframe, else as the next one.
StoredBody compress_packed(sqlite::Database& db, const Placed& placed, std::string_view bytes)
{
    const auto topic = topic_of(placed.event);
    if (const auto keyframe = keyframe_of(db, topic)) {
        if (auto body = difference_from(*keyframe, bytes)) {
            return *std::move(body);
        }
    }
    set_keyframe(db, topic, placed.seq);
    return {packed_and_compressed, zstd::compress(bytes)};
}

Wording wording_of(std::string_view kind, std::size_t size)
{
    if (kind.starts_with("image.")) {
        return Wording::all; // images name the same packages again and again
    }
    return size < worth_compressing ? Wording::members : Wording::keys;
}

struct Difference {
    std::uint64_t keyframe = 0;
    std::string_view frame;
};

Difference difference_in(std::string_view bytes, std::string_view name)
{
    NumberReader reader(bytes, name);
    Difference found;
    found.keyframe = reader.number();
    found.frame = reader.rest();
    return found;
}

std::string
packed_of_difference(Store::Impl& store, std::string_view bytes, const std::string& name)
{
    const auto [seq, frame] = difference_in(bytes, name);
    const auto keyframe = keyframe_at(store.db, seq);
    if (!keyframe) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{} is told as the difference from event {}, which is gone or "
                                "is none that others are compared with",
                                name,
                                seq),
                    way_out);
    }
    return doing(
        [&, frame = frame] {
            return zstd::decompress_against(frame, keyframe->bytes, largest_body);
        },
        "unpacking {}, the difference from event {}",
        name,
        seq);
}

std::string packed_bytes(Store::Impl& store, const StoredBody& body, const std::string& name)
{
    switch (body.encoding) {
    case packed:
        return body.bytes;
    case packed_and_compressed:
        return unpacked(body.bytes, name);
    case difference:
        return packed_of_difference(store, body.bytes, name);
    default:
        throw Error(ErrorCode::unsupported, name + " is encoded by a newer stemma");
    }
}

Json unpack_with(Store::Impl& store, const StoredBody& body, const std::string& name, Words& words)
{
    if (body.encoding == as_it_is) {
        return parse_json(body.bytes, name);
    }
    if (body.encoding == compressed) {
        return parse_json(unpacked(body.bytes, name), name);
    }
    if (body.encoding == pruned_encoding) {
        return Json{{"pruned", true}};
    }
    return unpack_json(packed_bytes(store, body, name), name, words);
}

} // namespace

StoredBody pack_body(Store::Impl& store, const Placed& placed, std::string canonical)
{
    StoredWords words(store.db);
    const auto wording = wording_of(placed.event.kind, canonical.size());
    const auto bytes = pack_json(placed.event.body, wording, words);
    if (!bytes) {
        return canonical.size() < worth_compressing
                   ? StoredBody{as_it_is, std::move(canonical)}
                   : StoredBody{compressed, zstd::compress(canonical)};
    }
    return bytes->size() < packed_worth_compressing ? StoredBody{packed, *bytes}
                                                    : compress_packed(store.db, placed, *bytes);
}

Json unpack_body(Store::Impl& store, const StoredBody& body, const std::string& name)
{
    try {
        StoredWords words(store.db);
        return unpack_with(store, body, name, words);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt || !error.hint().empty()) {
            throw;
        }
        throw Error(
            ErrorCode::corrupt, fmt::format("{} is damaged: {}", name, error.one_line()), way_out);
    }
}

namespace {

/// The facts that stay and are told against these, with the position of their keyframe.
std::vector<std::pair<std::uint64_t, std::uint64_t>>
resting_on(sqlite::Database& db, std::span<const std::uint64_t> going)
{
    std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
    const auto goes = [&](std::uint64_t seq) {
        return std::binary_search(going.begin(), going.end(), seq);
    };
    auto rows = db.prepare("SELECT seq, body FROM event WHERE encoding = ? ORDER BY seq");
    rows.bind(difference);
    while (rows.step()) {
        const auto seq = static_cast<std::uint64_t>(rows.integer(0));
        const auto keyframe =
            difference_in(rows.view(1), fmt::format("the body of event {}", seq)).keyframe;
        if (goes(keyframe) && !goes(seq)) {
            found.emplace_back(keyframe, seq);
        }
    }
    return found;
}

StoredBody stored_body(sqlite::Database& db, std::uint64_t seq)
{
    auto& row = db.cached("SELECT encoding, body FROM event WHERE seq = ?");
    row.bind(seq);
    StoredBody body;
    if (row.step()) {
        body = {row.integer(0), row.text(1)};
    }
    row.reset();
    return body;
}

void set_body(sqlite::Database& db, std::uint64_t seq, const StoredBody& body)
{
    db.cached("UPDATE event SET encoding = ?2, body = ?3 WHERE seq = ?1")
        .bind(seq, body.encoding, Blob{body.bytes})
        .run();
}

} // namespace

void replace_keyframes(Store::Impl& store, std::span<const std::uint64_t> going)
{
    auto resting = resting_on(store.db, going);
    std::sort(resting.begin(), resting.end());
    std::uint64_t before = 0;
    std::optional<Keyframe> heir; // the first of those that rested on one keyframe
    for (const auto& [keyframe, seq] : resting) {
        const auto name = fmt::format("event {}", seq);
        const auto bytes = packed_of_difference(store, stored_body(store.db, seq).bytes, name);
        auto body = heir && keyframe == before ? difference_from(*heir, bytes) : std::nullopt;
        if (!body) {
            body = StoredBody{packed_and_compressed, zstd::compress(bytes)};
            heir = Keyframe{seq, body->bytes.size(), bytes};
            store.db.cached("UPDATE keyframe SET seq = ?2 WHERE seq = ?1")
                .bind(keyframe, seq)
                .run();
        }
        set_body(store.db, seq, *body);
        before = keyframe;
    }
    for (const auto seq : going) {
        store.db.cached("DELETE FROM keyframe WHERE seq = ?").bind(seq).run();
    }
}

void pack_old_bodies(Store::Impl& store)
{
    std::vector<std::uint64_t> seqs;
    auto rows = store.db.prepare("SELECT seq FROM event WHERE encoding IN (?, ?) ORDER BY seq");
    rows.bind(as_it_is, compressed);
    while (rows.step()) {
        seqs.push_back(static_cast<std::uint64_t>(rows.integer(0)));
    }
    for (const auto seq : seqs) {
        const auto event = store.event_at(seq);
        auto canonical = canonical_json(event.body);
        set_body(store.db, seq, pack_body(store, {seq, 0, event}, std::move(canonical)));
    }
}

void forget_words(Store::Impl& store)
{
    StoredWords words(store.db);
    auto rows = store.db.prepare("SELECT seq, encoding, body FROM event WHERE encoding >= ?");
    rows.bind(packed);
    while (rows.step()) {
        const auto name = fmt::format("event {}", rows.integer(0));
        unpack_with(store, {rows.integer(1), rows.text(2)}, name, words);
    }
    std::vector<std::int64_t> unused;
    auto all = store.db.prepare("SELECT id FROM word ORDER BY id");
    while (all.step()) {
        if (!words.used.contains(static_cast<std::uint64_t>(all.integer(0)))) {
            unused.push_back(all.integer(0));
        }
    }
    for (const auto id : unused) {
        store.db.cached("DELETE FROM word WHERE id = ?").bind(id).run();
    }
}

} // namespace stemma::lineage
