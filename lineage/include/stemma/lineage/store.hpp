#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/model/event.hpp"
#include "stemma/model/manifest.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::lineage {

/// What became of one event that was handed to the store.
enum class Accepted {
    fresh,     ///< new, and durable now
    duplicate, ///< the same bytes were there already
};

struct AppendResult {
    std::uint64_t fresh = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t last_seq = 0; ///< the ledger's position after this
};

/// Says facts. What the deployer and the analyzer see of the store when they write.
class Recorder {
public:
    virtual ~Recorder() = default;
    Recorder() = default;
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    /// Durable when it returns (survives power loss). Several drafts are one commit: all or none.
    /// throws  io: nothing was recorded (full disk, …)
    virtual AppendResult record(std::span<const model::EventDraft> drafts) = 0;
    AppendResult record(const model::EventDraft& draft) { return record(std::span(&draft, 1)); }
};

struct ImageInfo {
    std::string name;
    std::string digest;                ///< hexadecimal sha256 of the virtual disk
    std::optional<std::string> parent; ///< digest
    std::string path;                  ///< where the file is; may be gone
    std::string format;                ///< "qcow2", "raw"
    std::uint64_t size = 0;            ///< virtual bytes
    std::string os;                    ///< PRETTY_NAME of os-release; may be empty
    Json installed = Json::array();
    Json packages = Json::array();
    Time created{};
    std::optional<Time> retired;
    std::uint64_t seq = 0; ///< ledger position of the event that says so
};

struct HostInfo {
    std::string name;
    std::string uuid;
    std::string uri;
    std::string state; ///< up, down, unknown
    Json labels = Json::object();
    std::optional<Time> removed;
};

struct VmInfo {
    std::string uuid;
    std::string name;
    std::string host;
    std::string image;   ///< digest
    std::string release; ///< may be empty
    std::string state;   ///< running, stopped, paused, crashed, unknown, retired
    Time since{};
};

struct SnapshotInfo {
    std::string id;
    std::string vm; ///< uuid
    std::string vm_name;
    std::string image;
    std::string host;
    std::optional<std::string> parent;
    Json body = Json::object(); ///< the whole snapshot.taken body
    Time taken{};
};

/// One thing that an answer cannot know: an origin whose events have a hole, a manifest with holes.
struct Gap {
    std::string what;
    std::string reason;
};

/// A store's name as it may be shown and kept: without the password that an address may hold.
std::string shown_store(const std::string& url);

/// The lineage store: the append-only ledger and everything derived from it, in one SQLite file; or
/// the ledger in a PostgreSQL database that many machines share, and the rest in a file of this
/// machine that follows it. Several processes may have it open; every write is one transaction, and
/// waits for others instead of failing. An object belongs to one thread.
class Store final : public Recorder {
public:
    enum class Mode {
        read,  ///< never creates or migrates; throws not_found when there is none
        write, ///< creates and migrates
    };

    /// url  a path, "sqlite:PATH", or "postgresql://USER@HOST:PORT/DATABASE?…" as libpq reads it
    /// throws  unsupported: the store is of a newer version; corrupt; io; remote: the server of a
    ///         shared ledger cannot be reached. Only read, it is answered from the copy that this
    ///         machine has, if any: see out_of_reach().
    static std::unique_ptr<Store>
    open(const std::string& url, Mode mode, const Clock& clock, Log& log);
    ~Store() override;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    AppendResult record(std::span<const model::EventDraft> drafts) override;
    using Recorder::record;

    /// Takes events that others made. Same (origin, oseq) and bytes: a duplicate. Same identity
    /// with other bytes: refused, reported in the ledger, and nothing of this call is kept. throws
    /// conflict: equivocation; io
    AppendResult append(std::span<const model::Event> events);

    /// Learns what others recorded in a ledger on a server since it was opened, or asked this last.
    /// Nothing to do for a file, which shows what is there at each question.
    void refresh();
    /// Why answers may miss what a ledger on a server knows; nullopt when it was reached, and for a
    /// file.
    std::optional<Gap> out_of_reach();

    /// Identity of this store as an origin; a UUID.
    [[nodiscard]] const std::string& origin() const;
    /// Position of the last event.
    [[nodiscard]] std::uint64_t last_seq();

    /// By name, full digest or unique digest prefix of at least 8 digits. The newest of a name.
    std::optional<ImageInfo> find_image(std::string_view name_or_digest);
    std::vector<ImageInfo> images(bool with_retired = false);
    /// sha256 of the file that an image should have at `path`: what a package or a single file that
    /// was installed into it, or into one of its ancestors, put there. nullopt when nothing that
    /// the lineage knows did.
    std::optional<std::string> image_content(std::string_view image_digest, std::string_view path);
    std::optional<HostInfo> find_host(std::string_view name);
    std::vector<HostInfo> hosts(bool with_removed = false);
    /// By uuid or name; a name that two live VMs have throws conflict.
    std::optional<VmInfo> find_vm(std::string_view uuid_or_name);
    std::vector<VmInfo> vms(bool with_retired = false);
    /// Newest last; all VMs when `vm` (a uuid) is empty.
    std::vector<SnapshotInfo> snapshots(std::string_view vm = {});
    std::optional<SnapshotInfo> find_snapshot(std::string_view id);
    /// The last release.* events of a release, oldest first.
    std::vector<model::Event> release_events(std::string_view release);

    /// Artifacts and sources by content: the sha256s of `candidates` that some build or package
    /// recorded; what `pack` and `verify` look up.
    struct KnownContent {
        std::string sha256;
        std::string kind; ///< source, artifact, payload
        std::string path; ///< repository path, artifact name or payload path
        std::string repo;
        std::string build; ///< run id; may be empty
        std::optional<std::string> build_id;
    };
    std::vector<KnownContent> known_content(std::span<const std::string> sha256s);
    std::vector<KnownContent> known_build_id(std::string_view build_id);

    /// The newest build with this run id (or its beginning, of at least 8 characters), else with
    /// this project name.
    std::optional<model::Manifest> find_manifest(std::string_view build);
    /// The newest build of which a step wrote exactly this content.
    std::optional<model::Manifest> manifest_that_made(const Digest& content);
    /// True when the run (its id in the manifest) was recorded.
    bool has_build(std::string_view run);

    struct Impl;
    [[nodiscard]] Impl& impl() noexcept { return *impl_; }

private:
    explicit Store(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace stemma::lineage
