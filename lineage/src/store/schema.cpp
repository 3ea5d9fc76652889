#include "schema.hpp"

#include "stemma/core/error.hpp"

#include <array>

namespace stemma::lineage {

namespace {

/// The ledger: the only tables that cannot be made again. Times are microseconds since 1970.
///
/// event.body     the body, as `encoding` says (see ../ledger/body.hpp)
/// event.hash     RFC 6962 leaf: sha256(0x00 || canonical event)
/// commits.root   RFC 6962 root over the leaves of [first, last]
/// commits.chain  sha256(0x02 || chain before || no || first || last || recorded || root)
constexpr const char* ledger_tables = R"sql(
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE origin(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE event(
    seq INTEGER PRIMARY KEY,
    origin INTEGER NOT NULL REFERENCES origin(id),
    oseq INTEGER NOT NULL CHECK (oseq > 0),
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    encoding INTEGER NOT NULL,
    body BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    UNIQUE(origin, oseq)) STRICT;
CREATE TABLE commits(
    no INTEGER PRIMARY KEY,
    first INTEGER NOT NULL UNIQUE,
    last INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    chain BLOB NOT NULL CHECK (length(chain) = 32)) STRICT;
)sql";

/// word      texts and keys that bodies name by number (see ../ledger/packed_json.hpp)
/// keyframe  which event new ones of a topic are compared with; a hint, and no part of the ledger
constexpr const char* word_tables = R"sql(
CREATE TABLE word(
    id INTEGER PRIMARY KEY,
    text BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE keyframe(
    topic BLOB PRIMARY KEY,
    seq INTEGER NOT NULL) WITHOUT ROWID, STRICT;
)sql";

constexpr std::array append_only = {"meta", "origin", "event", "commits"};

/// Tables without rowid begin with their key, in its order: the integrity_check of SQLite 3.40
/// reads others wrongly.
///
/// Everything below is derived from the ledger and can be dropped and made again.
///
/// A `version` is an element with one content; `first` is when the first build that knew it ended.
/// `content.uses` says how a content was met (see crossings.hpp). `build.graph` and
/// `build_reach.files` hold a build's steps and files (see build_graph.hpp), `build_reach.reach`
/// what leaves it and comes in (see reach.hpp); `build_file` (see lines.hpp), `output` and `inlet`
/// are their inverse. `image_package` is what was installed into (op 1) or removed from (op 0) an
/// image when it was made of its `parent`. `image_listing` is what its package database says, as a
/// difference from the one of `base`, so that the fleet's usual image, one package newer than its
/// parent, costs a row or two. `vm.last_*` is the fact that was applied last, so that one that
/// comes after it is applied without the others. `vm_span` is the history of a VM without gaps or
/// overlaps: [since, until) on one host with one image in one state; `until` of the present is
/// `forever`.
constexpr const char* derived_schema = R"sql(
CREATE TABLE origin_state(origin INTEGER PRIMARY KEY, events INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
CREATE TABLE repo(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE element(
    id INTEGER PRIMARY KEY,
    repo INTEGER NOT NULL,
    path TEXT NOT NULL,
    UNIQUE(path, repo)) STRICT;
CREATE INDEX element_by_repo ON element(repo);
CREATE TABLE content(
    id INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    size INTEGER,
    uses INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE version(
    id INTEGER PRIMARY KEY,
    element INTEGER NOT NULL,
    content INTEGER NOT NULL,
    blob TEXT,
    index_blob TEXT,
    package TEXT,
    first INTEGER,
    UNIQUE(element, content)) STRICT;
CREATE INDEX version_by_content ON version(content);
CREATE INDEX version_by_blob ON version(blob) WHERE blob IS NOT NULL;
CREATE TABLE build(
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    repo INTEGER NOT NULL,
    revision TEXT,
    branch TEXT,
    dirty INTEGER NOT NULL,
    holes INTEGER NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    machine TEXT NOT NULL,
    toolchain TEXT NOT NULL,
    line INTEGER NOT NULL,
    place INTEGER NOT NULL,
    base INTEGER,
    graph BLOB NOT NULL) STRICT;
CREATE INDEX build_by_revision ON build(revision);
CREATE INDEX build_by_repo ON build(repo, name, branch, place);
CREATE UNIQUE INDEX build_by_line ON build(line, place);
CREATE TABLE build_reach(
    build INTEGER PRIMARY KEY,
    reach BLOB NOT NULL,
    files BLOB NOT NULL) STRICT;
CREATE TABLE build_file(
    version INTEGER NOT NULL,
    line INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER,
    file INTEGER NOT NULL,
    role INTEGER NOT NULL,
    PRIMARY KEY(version, line, first)) WITHOUT ROWID, STRICT;
-- Not for the right side of a LEFT JOIN: SQLite would make all of its rows.
CREATE VIEW file_use AS
    SELECT f.version, b.id AS build, f.file, f.role
    FROM build_file f JOIN build b
    ON b.line = f.line AND b.place BETWEEN f.first AND ifnull(f.last, 9223372036854775807);
CREATE TABLE output(
    content INTEGER NOT NULL,
    build INTEGER NOT NULL,
    file INTEGER NOT NULL,
    PRIMARY KEY(content, build, file)) WITHOUT ROWID, STRICT;
CREATE TABLE inlet(
    content INTEGER NOT NULL,
    build INTEGER NOT NULL,
    file INTEGER NOT NULL,
    PRIMARY KEY(content, build, file)) WITHOUT ROWID, STRICT;
CREATE TABLE artifact(
    build INTEGER NOT NULL,
    file INTEGER NOT NULL,
    content INTEGER NOT NULL,
    name INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    build_id TEXT,
    PRIMARY KEY(build, file)) WITHOUT ROWID, STRICT;
CREATE INDEX artifact_by_content ON artifact(content);
CREATE INDEX artifact_by_name ON artifact(name);
CREATE INDEX artifact_by_build_id ON artifact(build_id) WHERE build_id IS NOT NULL;
CREATE TABLE package(
    id INTEGER PRIMARY KEY,
    sha256 BLOB UNIQUE,
    purl TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    arch TEXT NOT NULL,
    known INTEGER NOT NULL) STRICT;
CREATE INDEX package_by_name ON package(name, version, arch);
CREATE UNIQUE INDEX package_by_listing ON package(name, version, arch) WHERE sha256 IS NULL;
CREATE TABLE packed(
    seq INTEGER PRIMARY KEY,
    package INTEGER NOT NULL,
    at INTEGER NOT NULL,
    run TEXT,
    file TEXT NOT NULL) STRICT;
CREATE INDEX packed_by_package ON packed(package);
CREATE INDEX packed_by_run ON packed(run);
CREATE TABLE payload(
    package INTEGER NOT NULL,
    path TEXT NOT NULL,
    seq INTEGER NOT NULL,
    content INTEGER,
    origin INTEGER,
    link TEXT NOT NULL,
    basis TEXT NOT NULL,
    PRIMARY KEY(package, path, seq)) WITHOUT ROWID, STRICT;
CREATE INDEX payload_by_content ON payload(content);
CREATE INDEX payload_by_origin ON payload(origin) WHERE origin IS NOT NULL;
CREATE TABLE image(
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    parent INTEGER,
    base INTEGER,
    listed INTEGER NOT NULL DEFAULT 0,
    seq INTEGER,
    at INTEGER,
    place TEXT) STRICT;
CREATE INDEX image_by_parent ON image(parent) WHERE parent IS NOT NULL;
CREATE INDEX image_by_base ON image(base) WHERE base IS NOT NULL;
CREATE TABLE image_name(
    seq INTEGER PRIMARY KEY,
    image INTEGER NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    place TEXT NOT NULL,
    retired INTEGER NOT NULL) STRICT;
CREATE INDEX image_name_by_name ON image_name(name);
CREATE INDEX image_name_by_image ON image_name(image);
CREATE TABLE image_package(
    package INTEGER NOT NULL,
    image INTEGER NOT NULL,
    op INTEGER NOT NULL,
    PRIMARY KEY(package, image)) WITHOUT ROWID, STRICT;
CREATE INDEX image_package_by_image ON image_package(image, package, op);
CREATE TABLE image_listing(
    package INTEGER NOT NULL,
    image INTEGER NOT NULL,
    op INTEGER NOT NULL,
    PRIMARY KEY(package, image)) WITHOUT ROWID, STRICT;
CREATE INDEX image_listing_by_image ON image_listing(image, package, op);
CREATE TABLE image_file(
    image INTEGER NOT NULL,
    path TEXT NOT NULL,
    content INTEGER,
    kind TEXT NOT NULL,
    op INTEGER NOT NULL,
    PRIMARY KEY(image, path)) WITHOUT ROWID, STRICT;
CREATE INDEX image_file_by_content ON image_file(content);
CREATE TABLE host(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE host_event(
    seq INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL) STRICT;
CREATE INDEX host_event_by_host ON host_event(host);
CREATE TABLE vm(
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    last_at INTEGER,
    last_origin INTEGER,
    last_oseq INTEGER) STRICT;
CREATE INDEX vm_by_name ON vm(name);
CREATE TABLE vm_event(
    vm INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY(vm, seq)) WITHOUT ROWID, STRICT;
CREATE TABLE vm_span(
    vm INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    host INTEGER NOT NULL,
    image INTEGER NOT NULL,
    state TEXT NOT NULL,
    release TEXT NOT NULL,
    seq INTEGER NOT NULL,
    placed INTEGER NOT NULL,
    PRIMARY KEY(vm, since)) WITHOUT ROWID, STRICT;
CREATE INDEX vm_span_by_host ON vm_span(host, until, image);
CREATE INDEX vm_span_by_image ON vm_span(image, until, host);
CREATE INDEX vm_span_of_now ON vm_span(image, host) WHERE until = 9223372036854775807;
CREATE INDEX vm_span_by_release ON vm_span(release) WHERE release <> '';
CREATE TABLE vm_conflict(vm INTEGER NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY(vm, seq)) WITHOUT ROWID, STRICT;
CREATE TABLE snapshot(id TEXT PRIMARY KEY, vm INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX snapshot_by_vm ON snapshot(vm, at);
CREATE TABLE release_event(seq INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE INDEX release_event_by_name ON release_event(name);
CREATE TABLE channel(seq INTEGER PRIMARY KEY, channel TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    version TEXT, digest BLOB, at INTEGER NOT NULL, place TEXT NOT NULL) STRICT;
CREATE INDEX channel_by_name ON channel(kind, name);
)sql";

constexpr std::array derived_names = {
    "origin_state",  "repo",        "name",       "element",       "content",    "version",
    "build",         "build_reach", "build_file", "output",        "inlet",      "artifact",
    "package",       "packed",      "payload",    "image",         "image_name", "image_package",
    "image_listing", "image_file",  "host",       "host_event",    "vm",         "vm_event",
    "vm_span",       "vm_conflict", "snapshot",   "release_event", "channel"};

void refuse(sqlite::Database& database, std::string_view verb, std::string_view table)
{
    database.execute(
        fmt::format("CREATE TRIGGER {0}_refuses_{1} BEFORE {1} ON {0} BEGIN "
                    "SELECT RAISE(ABORT, 'the ledger is append-only: {1} of {0} refused'); END",
                    table,
                    verb));
}

void make_ledger(sqlite::Database& database)
{
    database.execute(ledger_tables);
    for (const auto* table : append_only) {
        refuse(database, "UPDATE", table);
        refuse(database, "DELETE", table);
    }
    make_words(database);
}

Error newer(const std::string& path, std::int64_t version)
{
    return {ErrorCode::unsupported,
            fmt::format("{} was written by a newer stemma (store version {}; this one knows {})",
                        path,
                        version,
                        schema_version),
            "upgrade stemma, or name another store with --store"};
}

} // namespace

void refuse_newer(const std::string& path)
{
    const auto label = sqlite::label_of(path);
    if (!label || label->application != application_id || label->version <= schema_version) {
        return;
    }
    for (int version = 0; version <= schema_version; ++version) {
        if (sqlite::label_was_of_version(path, version)) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{} is damaged: the bytes of its version say {}, and were {}",
                                    path,
                                    label->version,
                                    version),
                        "put the last `stemma ledger backup` in its place");
        }
    }
    throw newer(path, label->version);
}

int check_version(sqlite::Database& database)
{
    const auto version = database.integer("PRAGMA user_version");
    const auto application = database.integer("PRAGMA application_id");
    const bool empty = database.integer("SELECT count(*) FROM sqlite_schema") == 0;
    if (empty && version == 0) {
        return 0;
    }
    if (application != application_id) {
        throw Error(
            ErrorCode::corrupt,
            fmt::format("{} is a database of another program, not a Stemma store", database.path()),
            "name another file with --store");
    }
    if (version > schema_version) {
        throw newer(database.path(), version);
    }
    return static_cast<int>(version);
}

void make_schema(sqlite::Database& database)
{
    make_ledger(database);
    database.execute(derived_schema);
    database.execute(fmt::format("PRAGMA application_id = {}", application_id));
    if (database.has_page_checksums()) {
        database.prepare("INSERT INTO meta(key, value) VALUES (?, 'on')")
            .bind(page_checksums_key)
            .run();
    }
}

void set_pruning(sqlite::Database& database, bool allowed)
{
    if (allowed) {
        database.execute("DROP TRIGGER event_refuses_UPDATE; DROP TRIGGER word_refuses_DELETE");
    } else {
        refuse(database, "UPDATE", "event");
        refuse(database, "DELETE", "word");
    }
}

void make_words(sqlite::Database& database)
{
    database.execute(word_tables);
    refuse(database, "UPDATE", "word");
    refuse(database, "DELETE", "word");
}

std::span<const char* const> derived_tables()
{
    return derived_names;
}

void reset_derived(sqlite::Database& database)
{
    database.execute("DROP VIEW IF EXISTS file_use");
    for (const auto* table : derived_names) {
        database.execute(fmt::format("DROP TABLE IF EXISTS {}", table));
    }
    database.execute(derived_schema);
}

} // namespace stemma::lineage
