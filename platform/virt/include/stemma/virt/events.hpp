#pragma once

#include "stemma/virt/connection.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace stemma::virt {

/// Something happened to a domain, or to the connection itself. A hint and no truth: events of one
/// moment may come twice or be lost with a connection, so whoever gets one looks again.
struct HostEvent {
    enum class What {
        changed,  ///< started, stopped, defined, undefined, …
        rebooted, ///< the guest restarted itself; its state did not change
        lost,     ///< the connection died; nothing more will come
    };
    What what = What::changed;
    std::string source; ///< the subscription's name
    std::string uuid;   ///< empty for lost
    /// For `changed`: the state that the domain went into, and why: more than a later look can tell
    /// (a panic and a killed hypervisor look alike afterwards). nullopt: look.
    std::optional<DomainStatus> status = std::nullopt;
};

/// Where events of many connections arrive. Safe for several threads.
class EventQueue {
public:
    void push(HostEvent event);
    /// nullopt when nothing comes in time.
    std::optional<HostEvent> pop(std::chrono::milliseconds patience);

private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<HostEvent> events_;
};

/// Receives a connection's events until it goes. Register first and list afterwards: libvirt
/// replays nothing.
class Subscription {
public:
    Subscription(const Connection& connection,
                 std::string source,
                 std::shared_ptr<EventQueue> queue);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

private:
    std::shared_ptr<_virConnect> connection_;
    int lifecycle_ = -1;
    int reboot_ = -1;
};

} // namespace stemma::virt
