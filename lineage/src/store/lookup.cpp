#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "ids.hpp"

namespace stemma::lineage {

using sqlite::Blob;

namespace {

constexpr std::size_t shortest_prefix = 8;

std::string hex_of(std::string_view bytes)
{
    return to_hex(bytes);
}

Json member_or(const Json& body, std::string_view key, const Json& fallback)
{
    const auto found = body.find(key);
    return found == body.end() || found->is_null() ? fallback : *found;
}

ImageInfo image_of(const model::Event& event, std::uint64_t seq)
{
    const auto& body = event.body;
    ImageInfo image;
    image.name = optional_string_member(body, "name").value_or("");
    image.digest = digest_member(body, "digest").hex();
    image.parent = optional_string_member(body, "parent");
    image.path = optional_string_member(body, "path").value_or("");
    image.format = optional_string_member(body, "format").value_or("");
    const auto size = body.find("size");
    image.size = size != body.end() && size->is_number_unsigned() ? size->get<std::uint64_t>() : 0;
    image.os = optional_string_member(body, "os").value_or("");
    image.installed = member_or(body, "installed", Json::array());
    image.packages = member_or(body, "packages", Json::array());
    image.created = event.at;
    image.seq = seq;
    return image;
}

/// When this name of this digest was retired, after it was created.
std::optional<Time> retirement(sqlite::Database& db, std::int64_t image, const ImageInfo& info)
{
    auto& row = db.cached("SELECT min(at) FROM image_name WHERE image = ?1 AND retired = 1 AND "
                          "at >= ?2 AND (name = ?3 OR name = '')");
    row.bind(image, to_integer(info.created), info.name);
    std::optional<Time> at;
    if (row.step() && !row.is_null(0)) {
        at = to_time(row.integer(0));
    }
    row.reset();
    return at;
}

ImageInfo image_at(Store::Impl& store, std::int64_t image, std::uint64_t seq)
{
    auto info = image_of(store.event_at(seq), seq);
    info.retired = retirement(store.db, image, info);
    return info;
}

using ImageRow = std::pair<std::int64_t, std::uint64_t>; // image, seq of the event that names it

std::vector<ImageRow> image_rows(sqlite::Statement& rows)
{
    std::vector<ImageRow> found;
    while (rows.step()) {
        found.emplace_back(rows.integer(0), static_cast<std::uint64_t>(rows.integer(1)));
    }
    rows.reset();
    return found;
}

std::vector<ImageRow> images_by_digest(sqlite::Database& db, std::string_view prefix)
{
    std::string low = to_lower(prefix);
    if (low.starts_with("sha256:")) {
        low.erase(0, 7);
    }
    const bool hexadecimal =
        std::all_of(low.begin(), low.end(), [](char digit) { return hex_value(digit) >= 0; });
    if (low.size() < shortest_prefix || low.size() > 64 || !hexadecimal) {
        return {};
    }
    const auto from = from_hex(low + std::string(64 - low.size(), '0')).value_or("");
    const auto to = from_hex(low + std::string(64 - low.size(), 'f')).value_or("");
    auto& rows = db.cached("SELECT image.id, max(image_name.seq) FROM image JOIN image_name ON "
                           "image_name.image = image.id AND image_name.retired = 0 "
                           "WHERE digest BETWEEN ? AND ? GROUP BY image.id LIMIT 2");
    rows.bind(Blob{from}, Blob{to});
    return image_rows(rows);
}

} // namespace

std::optional<ImageInfo> Store::find_image(std::string_view name_or_digest)
{
    auto& named =
        impl_->db.cached("SELECT image, seq FROM image_name WHERE name = ? AND retired = 0 "
                         "ORDER BY at DESC, place DESC LIMIT 1");
    named.bind(name_or_digest);
    auto found = image_rows(named);
    if (found.empty()) {
        found = images_by_digest(impl_->db, name_or_digest);
    }
    if (found.empty()) {
        return std::nullopt;
    }
    if (found.size() > 1) {
        throw Error(ErrorCode::conflict,
                    fmt::format("several images begin with {}", name_or_digest),
                    "give more digits of the digest");
    }
    return image_at(*impl_, found[0].first, found[0].second);
}

std::vector<ImageInfo> Store::images(bool with_retired)
{
    auto& rows = impl_->db.cached("SELECT image, seq FROM image_name WHERE retired = 0 "
                                  "ORDER BY at, place");
    std::vector<ImageInfo> images;
    for (const auto& [image, seq] : image_rows(rows)) {
        auto info = image_at(*impl_, image, seq);
        if (with_retired || !info.retired) {
            images.push_back(std::move(info));
        }
    }
    return images;
}

namespace {

/// Applies one host event to what is known of the host.
void apply(HostInfo& host, const model::Event& event)
{
    const auto& body = event.body;
    if (event.kind == "host.added") {
        host.uuid = optional_string_member(body, "uuid").value_or("");
        host.uri = optional_string_member(body, "uri").value_or("");
        host.labels = member_or(body, "labels", Json::object());
        host.removed.reset();
    } else if (event.kind == "host.state") {
        host.state = optional_string_member(body, "state").value_or("unknown");
    } else if (event.kind == "host.removed") {
        host.removed = event.at;
    }
}

} // namespace

HostInfo host_at(Store::Impl& store, std::int64_t id, std::string name, const HostView& view)
{
    HostInfo host;
    host.name = std::move(name);
    host.state = "unknown";
    std::vector<std::uint64_t> seqs;
    auto& rows =
        store.db.cached("SELECT seq FROM host_event WHERE host = ? AND seq <= ? AND at <= ?");
    rows.bind(id, view.known_at, view.at);
    while (rows.step()) {
        seqs.push_back(static_cast<std::uint64_t>(rows.integer(0)));
    }
    rows.reset();
    std::vector<model::Event> events;
    events.reserve(seqs.size());
    for (const auto seq : seqs) {
        events.push_back(store.event_at(seq));
    }
    std::sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
        return std::tie(a.at, a.origin, a.oseq) < std::tie(b.at, b.origin, b.oseq);
    });
    for (const auto& event : events) {
        apply(host, event);
    }
    return host;
}

std::optional<HostInfo> Store::find_host(std::string_view name)
{
    auto& row = impl_->db.cached("SELECT id, name FROM host WHERE name = ?");
    row.bind(name);
    if (!row.step()) {
        return std::nullopt;
    }
    const auto id = row.integer(0);
    row.reset();
    auto host = host_at(*impl_, id, std::string(name));
    return host.removed ? std::nullopt : std::optional(std::move(host));
}

std::vector<HostInfo> Store::hosts(bool with_removed)
{
    std::vector<std::pair<std::int64_t, std::string>> rows;
    auto& statement = impl_->db.cached("SELECT id, name FROM host ORDER BY name");
    while (statement.step()) {
        rows.emplace_back(statement.integer(0), statement.text(1));
    }
    std::vector<HostInfo> hosts;
    for (auto& [id, name] : rows) {
        auto host = host_at(*impl_, id, std::move(name));
        if (with_removed || !host.removed) {
            hosts.push_back(std::move(host));
        }
    }
    return hosts;
}

namespace {

constexpr std::string_view vm_query =
    "SELECT vm.uuid, vm.name, ifnull(host.name, ''), image.digest, s.release, s.state, s.since, "
    "s.until FROM vm JOIN vm_span s ON s.vm = vm.id AND s.since = "
    "(SELECT max(since) FROM vm_span WHERE vm = vm.id) "
    "LEFT JOIN host ON host.id = s.host LEFT JOIN image ON image.id = s.image ";

VmInfo vm_of_row(const sqlite::Statement& row)
{
    VmInfo vm;
    vm.uuid = row.text(0);
    vm.name = row.text(1);
    vm.host = row.text(2);
    vm.image = hex_of(row.view(3));
    vm.release = row.text(4);
    vm.state = row.text(5);
    vm.since = to_time(row.integer(6));
    if (row.integer(7) != forever) {
        vm.state = "retired";
        vm.since = to_time(row.integer(7));
    }
    return vm;
}

} // namespace

std::optional<VmInfo> Store::find_vm(std::string_view uuid_or_name)
{
    auto& rows = impl_->db.cached(std::string(vm_query) +
                                  "WHERE vm.uuid = ?1 OR vm.name = ?1 ORDER BY s.until, s.since");
    rows.bind(uuid_or_name);
    std::vector<VmInfo> found;
    while (rows.step()) {
        found.push_back(vm_of_row(rows));
    }
    rows.reset();
    const auto live = std::count_if(
        found.begin(), found.end(), [](const VmInfo& vm) { return vm.state != "retired"; });
    if (live > 1) {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} live VMs have the name {}", live, uuid_or_name),
                    "use the UUID; `stemma vm list` shows them");
    }
    return found.empty() ? std::nullopt : std::optional(found.back());
}

std::vector<VmInfo> Store::vms(bool with_retired)
{
    auto& rows = impl_->db.cached(std::string(vm_query) + "ORDER BY vm.name, vm.uuid");
    std::vector<VmInfo> found;
    while (rows.step()) {
        auto vm = vm_of_row(rows);
        if (with_retired || vm.state != "retired") {
            found.push_back(std::move(vm));
        }
    }
    return found;
}

namespace {

SnapshotInfo snapshot_of(const model::Event& event)
{
    const auto& body = event.body;
    SnapshotInfo snapshot;
    snapshot.id = string_member(body, "id");
    snapshot.vm = string_member(body, "uuid");
    snapshot.vm_name = optional_string_member(body, "name").value_or("");
    snapshot.image = optional_string_member(body, "image").value_or("");
    snapshot.host = optional_string_member(body, "host").value_or("");
    snapshot.parent = optional_string_member(body, "parent");
    snapshot.body = body;
    snapshot.taken = event.at;
    return snapshot;
}

std::vector<SnapshotInfo> snapshots_at(Store::Impl& store, sqlite::Statement& rows)
{
    std::vector<std::uint64_t> seqs;
    while (rows.step()) {
        seqs.push_back(static_cast<std::uint64_t>(rows.integer(0)));
    }
    rows.reset();
    std::vector<SnapshotInfo> snapshots;
    snapshots.reserve(seqs.size());
    for (const auto seq : seqs) {
        snapshots.push_back(snapshot_of(store.event_at(seq)));
    }
    return snapshots;
}

} // namespace

std::vector<SnapshotInfo> Store::snapshots(std::string_view vm)
{
    auto& rows = impl_->db.cached("SELECT s.seq FROM snapshot s JOIN vm ON vm.id = s.vm WHERE "
                                  "?1 = '' OR vm.uuid = ?1 ORDER BY s.at, s.id");
    rows.bind(vm);
    return snapshots_at(*impl_, rows);
}

std::optional<SnapshotInfo> Store::find_snapshot(std::string_view id)
{
    auto& rows = impl_->db.cached("SELECT seq FROM snapshot WHERE id = ?1 OR (length(?1) >= 8 AND "
                                  "substr(id, 1, length(?1)) = ?1) LIMIT 2");
    rows.bind(id);
    auto found = snapshots_at(*impl_, rows);
    if (found.size() > 1) {
        throw Error(ErrorCode::conflict,
                    fmt::format("several snapshots begin with {}", id),
                    "give more of the id");
    }
    return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::vector<model::Event> Store::release_events(std::string_view release)
{
    auto statement = impl_->db.prepare(
        fmt::format("SELECT {} FROM release_event JOIN event ON event.seq = release_event.seq JOIN "
                    "origin ON origin.id = event.origin WHERE release_event.name = ? "
                    "ORDER BY event.at, event.seq",
                    event_columns));
    statement.bind(release);
    std::vector<model::Event> events;
    while (statement.step()) {
        events.push_back(event_of_row(*impl_, statement));
    }
    return events;
}

bool Store::has_build(std::string_view run)
{
    auto& row = impl_->db.cached("SELECT 1 FROM build WHERE run = ?");
    row.bind(run);
    const bool known = row.step();
    row.reset();
    return known;
}

namespace {

void add_known(sqlite::Statement& rows, std::vector<Store::KnownContent>& known)
{
    while (rows.step()) {
        known.push_back({hex_of(rows.view(0)),
                         rows.text(1),
                         rows.text(2),
                         rows.text(3),
                         rows.text(4),
                         rows.optional_text(5)});
    }
    rows.reset();
}

} // namespace

std::vector<Store::KnownContent> Store::known_content(std::span<const std::string> sha256s)
{
    std::vector<KnownContent> known;
    auto& built = impl_->db.cached(
        "SELECT c.sha256, CASE WHEN o.build IS NULL THEN 'source' ELSE 'artifact' END, "
        "element.path, repo.name, build.run, a.build_id FROM content c "
        "JOIN version v ON v.content = c.id JOIN element ON element.id = v.element "
        "JOIN repo ON repo.id = element.repo JOIN file_use f ON f.version = v.id "
        "JOIN build ON build.id = f.build "
        "LEFT JOIN output o ON o.content = c.id AND o.build = f.build AND o.file = f.file "
        "LEFT JOIN artifact a ON a.build = f.build AND a.file = f.file "
        "WHERE c.sha256 = ? ORDER BY build.finished, build.run, repo.name, element.path");
    auto& packed = impl_->db.cached(
        "SELECT c.sha256, 'payload', p.path, '', ifnull(k.run, ''), NULL FROM content c "
        "JOIN payload p ON p.content = c.id JOIN packed k ON k.seq = p.seq "
        "WHERE c.sha256 = ? ORDER BY p.seq, p.path");
    for (const auto& text : sha256s) {
        const auto digest = Digest::from_hex(text);
        if (!digest) {
            continue;
        }
        built.bind(Blob{bytes_of(*digest)});
        add_known(built, known);
        packed.bind(Blob{bytes_of(*digest)});
        add_known(packed, known);
    }
    return known;
}

std::vector<Store::KnownContent> Store::known_build_id(std::string_view build_id)
{
    std::vector<KnownContent> known;
    auto& rows = impl_->db.cached(
        "SELECT c.sha256, 'artifact', name.text, repo.name, build.run, a.build_id FROM artifact a "
        "JOIN content c ON c.id = a.content JOIN name ON name.id = a.name "
        "JOIN build ON build.id = a.build JOIN repo ON repo.id = build.repo "
        "WHERE a.build_id = ? ORDER BY build.finished, build.run, name.text");
    rows.bind(build_id);
    add_known(rows, known);
    return known;
}

} // namespace stemma::lineage
