#include "stemma/virt/connection.hpp"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace stemma::virt {

namespace {

std::string take(char* owned)
{
    std::string text(owned);
    std::free(owned); // NOLINT(cppcoreguidelines-no-malloc): libvirt's allocation
    return text;
}

std::string_view running_reason(int reason) noexcept
{
    switch (reason) {
    case VIR_DOMAIN_RUNNING_BOOTED:
        return "booted";
    case VIR_DOMAIN_RUNNING_MIGRATED:
        return "migrated";
    case VIR_DOMAIN_RUNNING_RESTORED:
        return "restored";
    case VIR_DOMAIN_RUNNING_FROM_SNAPSHOT:
        return reverted_reason;
    case VIR_DOMAIN_RUNNING_UNPAUSED:
        return "resumed";
    default:
        return "running";
    }
}

std::string_view stopped_reason(int reason) noexcept
{
    switch (reason) {
    case VIR_DOMAIN_SHUTOFF_SHUTDOWN:
        return "powered off";
    case VIR_DOMAIN_SHUTOFF_DESTROYED:
        return "destroyed";
    case VIR_DOMAIN_SHUTOFF_CRASHED: // of both; only the event at the time told which
        return "panicked, or its hypervisor was killed";
    case VIR_DOMAIN_SHUTOFF_MIGRATED:
        return migrated_away_reason;
    case VIR_DOMAIN_SHUTOFF_SAVED:
        return "saved";
    case VIR_DOMAIN_SHUTOFF_FAILED:
        return "hypervisor died";
    case VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT:
        return reverted_reason;
    default:
        return "never started since the host came up";
    }
}

std::string_view paused_reason(int reason) noexcept
{
    switch (reason) {
    case VIR_DOMAIN_PAUSED_MIGRATION:
        return migrating_reason;
    case VIR_DOMAIN_PAUSED_IOERROR:
        return "disk error (is the host's disk full?)";
    case VIR_DOMAIN_PAUSED_SAVE:
        return "being saved";
    case VIR_DOMAIN_PAUSED_DUMP:
        return "being dumped";
    case VIR_DOMAIN_PAUSED_SNAPSHOT:
        return "snapshot under way";
    case VIR_DOMAIN_PAUSED_CRASHED:
        return "panicked";
    case VIR_DOMAIN_PAUSED_STARTING_UP:
        return starting_reason;
    case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
        return "migration failed half-way";
    default:
        return "paused";
    }
}

DomainStatus status_of(int state, int reason)
{
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN: // being shut down: still running
        return {DomainState::running, std::string(running_reason(reason))};
    case VIR_DOMAIN_PMSUSPENDED:
        return {DomainState::paused, "suspended by the guest"};
    case VIR_DOMAIN_PAUSED:
        return {DomainState::paused, std::string(paused_reason(reason))};
    case VIR_DOMAIN_SHUTOFF:
        return {DomainState::stopped, std::string(stopped_reason(reason))};
    case VIR_DOMAIN_CRASHED:
        return {DomainState::crashed, "panicked"};
    default:
        return {DomainState::unknown, "unknown"};
    }
}

} // namespace

std::string_view to_string(DomainState state) noexcept
{
    switch (state) {
    case DomainState::running:
        return "running";
    case DomainState::paused:
        return "paused";
    case DomainState::stopped:
        return "stopped";
    case DomainState::crashed:
        return "crashed";
    case DomainState::unknown:
        break;
    }
    return "unknown";
}

Domain::Domain(std::shared_ptr<_virConnect> connection, _virDomain* owned)
    : connection_(std::move(connection)),
      handle_(owned, [](virDomainPtr domain) { virDomainFree(domain); }),
      name_(virDomainGetName(owned))
{
}

std::string Domain::uuid() const
{
    std::array<char, VIR_UUID_STRING_BUFLEN> text{};
    if (virDomainGetUUIDString(raw(), text.data()) != 0) {
        throw last_error("learn a domain's UUID");
    }
    return text.data();
}

std::string Domain::host_uri() const
{
    char* text = virConnectGetURI(connection_.get());
    if (text == nullptr) {
        throw last_error("learn over which connection " + name() + " was found");
    }
    return take(text);
}

DomainStatus Domain::status() const
{
    int state = 0;
    int reason = 0;
    if (virDomainGetState(raw(), &state, &reason, 0) != 0) {
        throw last_error("learn the state of " + name());
    }
    return status_of(state, reason);
}

bool Domain::active() const
{
    return virDomainIsActive(raw()) == 1;
}

std::string Domain::xml(Which which) const
{
    char* text = virDomainGetXMLDesc(
        raw(), which == Which::next_start ? unsigned{VIR_DOMAIN_XML_INACTIVE} : 0U);
    if (text == nullptr) {
        throw last_error("read the XML of " + name());
    }
    return take(text);
}

void Domain::start() const
{
    if (virDomainCreate(raw()) != 0) {
        throw last_error("start " + name());
    }
}

void Domain::ask_to_stop() const
{
    if (virDomainShutdown(raw()) != 0 && virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID) {
        throw last_error("shut down " + name());
    }
}

void Domain::destroy() const
{
    if (virDomainDestroy(raw()) != 0 && virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID) {
        throw last_error("stop " + name());
    }
}

void Domain::undefine() const
{
    const unsigned all = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                         VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
    if (virDomainUndefineFlags(raw(), all) == 0) {
        return;
    }
    // Drivers without NVRAM or checkpoints (the test driver) refuse flags that they do not know.
    const int code = virGetLastErrorCode();
    if ((code == VIR_ERR_INVALID_ARG || code == VIR_ERR_ARGUMENT_UNSUPPORTED ||
         code == VIR_ERR_NO_SUPPORT) &&
        virDomainUndefineFlags(raw(),
                               VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
                                   VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA) == 0) {
        return;
    }
    throw last_error("undefine " + name());
}

void Domain::suspend() const
{
    if (virDomainSuspend(raw()) != 0) {
        throw last_error("pause " + name());
    }
}

void Domain::resume() const
{
    if (virDomainResume(raw()) != 0) {
        throw last_error("resume " + name());
    }
}

void Domain::set_metadata(const std::string& element, const char* prefix, const char* space) const
{
    if (virDomainSetMetadata(raw(),
                             VIR_DOMAIN_METADATA_ELEMENT,
                             element.c_str(),
                             prefix,
                             space,
                             VIR_DOMAIN_AFFECT_CONFIG) != 0) {
        throw last_error("mark " + name());
    }
}

std::vector<std::string> Domain::snapshots() const
{
    virDomainSnapshotPtr* list = nullptr;
    const int count = virDomainListAllSnapshots(raw(), &list, 0);
    if (count < 0) {
        if (virGetLastErrorCode() == VIR_ERR_NO_SUPPORT) {
            return {};
        }
        throw last_error("list the snapshots of " + name());
    }
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) {
        names.emplace_back(virDomainSnapshotGetName(list[i]));
        virDomainSnapshotFree(list[i]);
    }
    std::free(list); // NOLINT(cppcoreguidelines-no-malloc): libvirt's allocation
    std::sort(names.begin(), names.end());
    return names;
}

void Domain::begin_backup(const std::string& backup_xml,
                          const std::string& checkpoint_xml,
                          bool reuse_files) const
{
    unsigned flags = 0;
    if (reuse_files) {
        flags |= VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL;
    }
    if (virDomainBackupBegin(raw(),
                             backup_xml.c_str(),
                             checkpoint_xml.empty() ? nullptr : checkpoint_xml.c_str(),
                             flags) != 0) {
        throw last_error("begin a backup of " + name());
    }
}

std::optional<std::string> Domain::backup_xml() const
{
    char* text = virDomainBackupGetXMLDesc(raw(), 0);
    if (text == nullptr) {
        if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN_BACKUP) {
            return std::nullopt;
        }
        throw last_error("look at the backup of " + name());
    }
    return take(text);
}

void Domain::abort_job() const
{
    if (virDomainAbortJob(raw()) != 0 && virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID) {
        throw last_error("end the job of " + name());
    }
}

std::string Domain::agent_command(const std::string& json, std::chrono::seconds patience) const
{
    char* answer =
        virDomainQemuAgentCommand(raw(), json.c_str(), static_cast<int>(patience.count()), 0);
    if (answer == nullptr) {
        const int code = virGetLastErrorCode();
        const auto error = last_error("ask the guest agent of " + name());
        const bool absent = code == VIR_ERR_AGENT_UNRESPONSIVE ||
                            code == VIR_ERR_ARGUMENT_UNSUPPORTED ||
                            code == VIR_ERR_OPERATION_UNSUPPORTED;
        throw absent ? Error(ErrorCode::not_found, error.message()) : error;
    }
    return take(answer);
}

std::string Domain::monitor_command(const std::string& json) const
{
    char* answer = nullptr;
    if (virDomainQemuMonitorCommand(raw(), json.c_str(), &answer, 0) != 0) {
        throw last_error("ask the monitor of " + name());
    }
    return take(answer);
}

} // namespace stemma::virt
