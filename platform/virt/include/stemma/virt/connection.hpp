#pragma once

#include "stemma/core/error.hpp"
#include "stemma/virt/uri.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// NOLINTBEGIN(bugprone-reserved-identifier): the C library's own names
struct _virConnect;
struct _virDomain;
// NOLINTEND(bugprone-reserved-identifier)

/// libvirt with owners: every handle is released where it was received, every failure is an Error
/// made from libvirt's code (never from its text) at the call.
///
///     not_found    no such domain, volume, network …
///     conflict     it exists already, or is in the wrong state for this
///     unsupported  this driver or hypervisor cannot do it
///     config       libvirt refuses the XML
///     remote       everything else: no daemon, a lost connection, authentication, QEMU failed
namespace stemma::virt {

enum class DomainState { running, paused, stopped, crashed, unknown };
/// "running", …: the words of vm.state events.
std::string_view to_string(DomainState state) noexcept;

/// Reason of a paused domain that waits for its other half: memory is coming in or going out.
inline constexpr std::string_view migrating_reason = "migration under way";

struct DomainStatus {
    DomainState state = DomainState::unknown;
    std::string reason; ///< libvirt's, in its words: "booted", "destroyed", "crashed", …
};
/// Reasons that decide something.
inline constexpr std::string_view reverted_reason = "reverted to a snapshot";
inline constexpr std::string_view migrated_away_reason = "migrated away";
/// Of a paused domain whose processors did not run yet, for a moment.
inline constexpr std::string_view starting_reason = "starting";
/// Of an event: every start resumes first, and is told afterwards.
inline constexpr std::string_view resumed_reason = "resumed";

/// One domain of a connection. Owns its handle; keeps the connection alive.
class Domain {
public:
    Domain(std::shared_ptr<_virConnect> connection, _virDomain* owned);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::string uuid() const;
    /// URI of the connection that it was found over.
    [[nodiscard]] std::string host_uri() const;
    [[nodiscard]] DomainStatus status() const;
    [[nodiscard]] bool active() const;

    enum class Which { now, next_start };
    /// XML of the running domain, or of what the next start will use.
    [[nodiscard]] std::string xml(Which which = Which::now) const;

    void start() const;
    /// Asks the guest to power off (ACPI); returns at once.
    void ask_to_stop() const;
    /// Pulls the plug; a domain that is not running is left alone.
    void destroy() const;
    /// Stops being known: with managed saves, snapshots' and checkpoints' metadata, and NVRAM.
    void undefine() const;
    void suspend() const;
    void resume() const;
    /// Replaces the element of namespace `space` in the metadata of what the next start will use.
    /// The element has no prefix of its own; it gets `prefix`.
    void set_metadata(const std::string& element, const char* prefix, const char* space) const;
    /// Names of the snapshots that libvirt keeps, in order.
    [[nodiscard]] std::vector<std::string> snapshots() const;

    /// Pull or push backup (virDomainBackupBegin); checkpoint_xml may be empty.
    /// reuse_files  the scratch or target files are there already, with format and size
    void begin_backup(const std::string& backup_xml,
                      const std::string& checkpoint_xml,
                      bool reuse_files = false) const;
    /// XML of the running backup; nullopt when there is none.
    [[nodiscard]] std::optional<std::string> backup_xml() const;
    /// Ends a running backup or other job; no job is no error.
    void abort_job() const;

    /// A command for the QEMU guest agent, as JSON; returns its JSON answer.
    /// throws  not_found: this domain has no agent channel, or nothing answers there
    [[nodiscard]] std::string agent_command(const std::string& json,
                                            std::chrono::seconds patience) const;
    /// A command for QEMU's own monitor (QMP), as JSON.
    [[nodiscard]] std::string monitor_command(const std::string& json) const;

    [[nodiscard]] _virDomain* raw() const noexcept { return handle_.get(); }

private:
    std::shared_ptr<_virConnect> connection_;
    std::shared_ptr<_virDomain> handle_;
    std::string name_; // kept: asking libvirt for it would reset the error that a message is about
};

struct HostFacts {
    std::string host_name;
    std::string uuid;   ///< libvirt's host UUID; may be empty (test driver)
    std::string driver; ///< "QEMU", "Test", …
    std::string libvirt_version;
    std::uint64_t memory_mib = 0;
    unsigned cpus = 0;
};

/// A connection to one libvirt daemon (or to the driver in this process, "test:///default").
/// Copies share it. Used from one thread at a time.
class Connection {
public:
    struct Options {
        bool read_only = false;
        /// A dead link is noticed after about `keepalive_s * keepalive_count` seconds.
        int keepalive_s = 2;
        unsigned keepalive_count = 3;
    };
    /// Starts this process's event loop thread on first use: keepalive needs it before the
    /// connection exists.
    /// throws  remote: with a hint for the usual causes
    static Connection open(const std::string& uri, const Options& options);
    static Connection open(const std::string& uri) { return open(uri, Options{}); }

    /// As it was given.
    [[nodiscard]] const std::string& uri() const noexcept { return uri_; }
    [[nodiscard]] bool alive() const;
    [[nodiscard]] HostFacts facts() const;

    /// All domains, running or not, in order of name.
    [[nodiscard]] std::vector<Domain> domains() const;
    /// nullopt also for a text that is no UUID.
    [[nodiscard]] std::optional<Domain> find_by_uuid(const std::string& uuid) const;
    [[nodiscard]] std::optional<Domain> find_by_name(const std::string& name) const;
    /// Makes or replaces a persistent domain; checks the XML against libvirt's schema.
    [[nodiscard]] Domain define(const std::string& xml) const;
    /// Runs a domain that is forgotten when it stops.
    [[nodiscard]] Domain create_transient(const std::string& xml) const;
    /// XML of what a guest type can have; throws unsupported when it cannot run at all.
    [[nodiscard]] std::string domain_capabilities(const std::string& type) const;

    [[nodiscard]] _virConnect* raw() const noexcept { return handle_.get(); }
    [[nodiscard]] const std::shared_ptr<_virConnect>& shared() const noexcept { return handle_; }

private:
    Connection(std::shared_ptr<_virConnect> handle, std::string uri);
    std::shared_ptr<_virConnect> handle_;
    std::string uri_;
};

/// The Error for libvirt's last failure in this thread: "cannot <what>: <libvirt's text>".
Error last_error(std::string_view what);

} // namespace stemma::virt
