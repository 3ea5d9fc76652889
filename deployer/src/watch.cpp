#include "stemma/deployer/watch.hpp"

#include "stemma/deployer/libvirt_hypervisor.hpp"

#include <algorithm>
#include <thread>

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// How long a burst of events of one change lasts.
constexpr auto settle_time = 200ms;
/// How often ^C is looked at.
constexpr auto round_time = 500ms;

} // namespace

/// One host: connected, or waiting for its next attempt.
struct Watcher::Watched {
    HostEntry entry;
    std::unique_ptr<Hypervisor> hypervisor{};
    std::unique_ptr<virt::Subscription> subscription{};
    std::string said{}; ///< the last host.state that was recorded
};

Watcher::Watcher(std::vector<HostEntry> hosts, Surroundings surroundings)
    : surroundings_(std::move(surroundings)), queue_(std::make_shared<virt::EventQueue>())
{
    for (auto& entry : hosts) {
        hosts_.push_back(std::make_unique<Watched>(Watched{.entry = std::move(entry)}));
    }
}

Watcher::~Watcher() = default;

void Watcher::record(const std::vector<model::EventDraft>& drafts)
{
    if (drafts.empty()) {
        return;
    }
    (void)surroundings_.recorder.record(drafts);
    for (const auto& draft : drafts) {
        surroundings_.log.info("{} on {}: {} ({})",
                               draft.body.value("name", std::string()),
                               draft.body.value("host", std::string()),
                               draft.body.value("state", std::string()),
                               draft.body.value("reason", std::string()));
    }
}

void Watcher::record_host(const Watched& watched, std::string_view state, const std::string& reason)
{
    (void)surroundings_.recorder.record(
        {.at = surroundings_.clock.now(),
         .kind = "host.state",
         .body = {{"name", watched.entry.name}, {"state", state}, {"reason", reason}}});
    surroundings_.log.info("host {}: {} ({})", watched.entry.name, state, reason);
}

void Watcher::connect(Watched& watched)
{
    auto connection = open_connection(watched.entry);
    // First the events, then the list: what happens in between is seen twice and not missed.
    watched.subscription =
        std::make_unique<virt::Subscription>(connection, watched.entry.name, queue_);
    watched.hypervisor =
        hypervisor_over(std::move(connection), watched.entry, surroundings_.cancel);
}

void Watcher::lose(Watched& watched, const std::string& why)
{
    watched.subscription.reset();
    watched.hypervisor.reset();
    ObservedHost gone;
    gone.name = watched.entry.name;
    gone.error = why;
    record(reconcile(gone, surroundings_.recorded(), surroundings_.clock.now()));
    if (watched.said != "down") {
        watched.said = "down";
        record_host(watched, "down", why);
    }
}

void Watcher::look(Watched& watched)
{
    try {
        if (!watched.hypervisor) {
            connect(watched);
        }
        const auto host = watched.hypervisor->observe();
        if (watched.said != "up") {
            watched.said = "up";
            record_host(watched, "up", "answers");
        }
        record(reconcile(host, surroundings_.recorded(), surroundings_.clock.now()));
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        lose(watched, error.one_line());
    }
}

void Watcher::record_reboot(const Watched& watched, const std::string& uuid)
{
    const auto recorded = surroundings_.recorded();
    if (const auto vm = recorded.find(uuid); vm != recorded.end()) {
        record({{.at = surroundings_.clock.now(),
                 .kind = "vm.state",
                 .body = {{"uuid", uuid},
                          {"name", vm->second.name},
                          {"host", watched.entry.name},
                          {"state", "running"},
                          {"reason", "rebooted by its guest"}}}});
    }
}

void Watcher::look_once()
{
    for (auto& watched : hosts_) {
        surroundings_.cancel.check();
        look(*watched);
    }
}

void Watcher::run(std::chrono::seconds interval)
{
    look_once();
    auto next = steady_clock::now() + interval;
    std::map<std::string, steady_clock::time_point>
        rebooted; // one reboot is told two or three times
    while (true) {
        surroundings_.cancel.check();
        if (steady_clock::now() >= next) {
            look_once();
            next = steady_clock::now() + interval;
        }
        const auto event = queue_->pop(round_time);
        if (!event) {
            continue;
        }
        const auto found = std::ranges::find_if(
            hosts_, [&](const auto& host) { return host->entry.name == event->source; });
        if (found == hosts_.end() || !(*found)->hypervisor) {
            continue; // the last words of a connection that is gone
        }
        switch (event->what) {
        case virt::HostEvent::What::lost:
            lose(**found, "the connection was lost");
            break;
        case virt::HostEvent::What::rebooted:
            if (steady_clock::now() - rebooted[event->uuid] > 5s) {
                rebooted[event->uuid] = steady_clock::now();
                record_reboot(**found, event->uuid);
            }
            break;
        case virt::HostEvent::What::changed:
            std::this_thread::sleep_for(settle_time);
            look(**found);
            break;
        }
    }
}

} // namespace stemma::deployer
