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

void tell(void* data, HostEvent::What what, virDomainPtr domain) noexcept
{
    try {
        const auto* target = static_cast<const Target*>(data);
        HostEvent event{.what = what, .source = target->source, .uuid = {}};
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
    virConnectPtr /*connection*/, virDomainPtr domain, int /*event*/, int /*detail*/, void* data)
{
    tell(data, HostEvent::What::changed, domain);
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
