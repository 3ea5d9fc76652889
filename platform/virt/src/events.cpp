#include "stemma/virt/events.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <array>

namespace stemma::virt {

namespace {

/// What a callback needs; owned by libvirt until it calls forget_target().
struct Target {
    std::string source;
    std::shared_ptr<EventQueue> queue;
};

void forget_target(void* data)
{
    delete static_cast<Target*>(data); // NOLINT(cppcoreguidelines-owning-memory): libvirt owned it
}

std::string_view start_reason(int detail) noexcept
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_STARTED_MIGRATED:
        return "migrated";
    case VIR_DOMAIN_EVENT_STARTED_RESTORED:
        return "restored";
    case VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT:
        return reverted_reason;
    default:
        return "booted";
    }
}

std::string_view resume_reason(int detail) noexcept
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_RESUMED_MIGRATED:
        return "migrated";
    case VIR_DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT:
        return reverted_reason;
    default:
        return resumed_reason;
    }
}

std::string_view suspend_reason(int detail) noexcept
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_SUSPENDED_IOERROR:
        return "a disk failed, or its host's file system is full";
    case VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG:
        return "watchdog";
    case VIR_DOMAIN_EVENT_SUSPENDED_FROM_SNAPSHOT:
        return reverted_reason;
    default:
        return "paused";
    }
}

std::string_view stop_reason(int detail) noexcept
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
        return "destroyed";
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
        return "panicked";
    case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
        return migrated_away_reason;
    case VIR_DOMAIN_EVENT_STOPPED_SAVED:
        return "saved";
    case VIR_DOMAIN_EVENT_STOPPED_FAILED:
        return "hypervisor died";
    case VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT:
        return reverted_reason;
    default:
        return "powered off";
    }
}

/// nullopt for events that are no change of state (defined, undefined, being shut down), or that
/// belong to a migration under way.
std::optional<DomainStatus> status_after(int event, int detail)
{
    switch (event) {
    case VIR_DOMAIN_EVENT_STARTED:
        return DomainStatus{DomainState::running, std::string(start_reason(detail))};
    case VIR_DOMAIN_EVENT_RESUMED:
        return DomainStatus{DomainState::running, std::string(resume_reason(detail))};
    case VIR_DOMAIN_EVENT_SUSPENDED:
        if (detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED) {
            return std::nullopt;
        }
        return DomainStatus{DomainState::paused, std::string(suspend_reason(detail))};
    case VIR_DOMAIN_EVENT_STOPPED:
        return DomainStatus{DomainState::stopped, std::string(stop_reason(detail))};
    case VIR_DOMAIN_EVENT_CRASHED:
        return DomainStatus{DomainState::crashed, "panicked"};
    default:
        return std::nullopt;
    }
}

void tell(void* data,
          HostEvent::What what,
          virDomainPtr domain,
          std::optional<DomainStatus> status = std::nullopt) noexcept
{
    try {
        const auto* target = static_cast<const Target*>(data);
        HostEvent event{
            .what = what, .source = target->source, .uuid = {}, .status = std::move(status)};
        std::array<char, VIR_UUID_STRING_BUFLEN> uuid{};
        if (domain != nullptr && virDomainGetUUIDString(domain, uuid.data()) == 0) {
            event.uuid = uuid.data();
        }
        target->queue->push(std::move(event));
    } catch (...) {
        return; // out of memory: the timer's reconciliation sees it
    }
}

int on_lifecycle(
    virConnectPtr /*connection*/, virDomainPtr domain, int event, int detail, void* data) noexcept
{
    tell(data, HostEvent::What::changed, domain, status_after(event, detail));
    return 0;
}

void on_reboot(virConnectPtr /*connection*/, virDomainPtr domain, void* data)
{
    tell(data, HostEvent::What::rebooted, domain);
}

void on_close(virConnectPtr /*connection*/, int /*reason*/, void* data)
{
    tell(data, HostEvent::What::lost, nullptr);
}

} // namespace

void EventQueue::push(HostEvent event)
{
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    arrived_.notify_one();
}

std::optional<HostEvent> EventQueue::pop(std::chrono::milliseconds patience)
{
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, patience, [&] { return !events_.empty(); })) {
        return std::nullopt;
    }
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
}

Subscription::Subscription(const Connection& connection,
                           std::string source,
                           std::shared_ptr<EventQueue> queue)
    : connection_(connection.shared())
{
    const auto target = [&] {
        return new Target{.source = source, .queue = queue}; // NOLINT: given to libvirt
    };
    auto* raw = connection_.get();
    // A driver in this process has no link that could close.
    if (virConnectRegisterCloseCallback(raw, on_close, target(), forget_target) < 0 &&
        virGetLastErrorCode() != VIR_ERR_NO_SUPPORT) {
        throw last_error("watch the connection to " + safe_uri(connection.uri()));
    }
    lifecycle_ = virConnectDomainEventRegisterAny(raw,
                                                  nullptr,
                                                  VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                  VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle),
                                                  target(),
                                                  forget_target);
    if (lifecycle_ < 0) {
        throw last_error("follow the events of " + safe_uri(connection.uri()));
    }
    // Not every driver has it; then a reboot goes unseen.
    reboot_ = virConnectDomainEventRegisterAny(raw,
                                               nullptr,
                                               VIR_DOMAIN_EVENT_ID_REBOOT,
                                               VIR_DOMAIN_EVENT_CALLBACK(on_reboot),
                                               target(),
                                               forget_target);
}

Subscription::~Subscription()
{
    auto* raw = connection_.get();
    virConnectUnregisterCloseCallback(raw, on_close);
    for (const int id : {lifecycle_, reboot_}) {
        if (id >= 0) {
            virConnectDomainEventDeregisterAny(raw, id);
        }
    }
}

} // namespace stemma::virt
