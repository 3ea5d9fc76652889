#include "stemma/deployer/watch.hpp"

#include "stemma/deployer/background.hpp"
#include "stemma/deployer/decommission.hpp"

#include <algorithm>
#include <optional>
#include <thread>

#include "looks.hpp"
#include "patient_hypervisor.hpp"

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// How long a burst of events of one change lasts.
constexpr auto settle_time = 200ms;
/// How often ^C is looked at.
constexpr auto round_time = 200ms;
/// A look that is due waits no longer than this for events that come without end.
constexpr auto longest_burst = 5s;
/// How often a look is repeated because something happened meanwhile.
constexpr int most_looks = 3;
/// One reboot is told two or three times.
constexpr auto reboot_echo = 5s;
/// How long the first look waits for connections.
constexpr auto first_patience = 10s;

/// A connection that is followed.
struct Followed {
    std::shared_ptr<virt::Subscription> subscription;
    std::shared_ptr<Hypervisor> hypervisor;
};
using Opening = Background<Followed>;

std::unique_ptr<Opening> open_in_background(const HostEntry& entry,
                                            const std::shared_ptr<virt::EventQueue>& queue,
                                            const Cancel& cancel)
{
    return std::make_unique<Opening>([entry, queue, &cancel] { // it outlives every thread
        auto connection = open_connection(entry);
        // First the events, then the list: what happens in between is seen twice and not missed.
        auto subscription = std::make_shared<virt::Subscription>(connection, entry.name, queue);
        return Followed{
            .subscription = std::move(subscription),
            .hypervisor = with_deadlines(
                hypervisor_over(std::move(connection), entry, cancel), entry.deadline, &cancel)};
    });
}

/// Both say good-bye to their host, which may hang: nobody waits for that.
void leave_behind(std::shared_ptr<virt::Subscription> subscription,
                  std::shared_ptr<Hypervisor> hypervisor)
{
    if (!subscription && !hypervisor) {
        return;
    }
    const Background<bool> leaving(
        [subscription = std::move(subscription), hypervisor = std::move(hypervisor)]() mutable {
            subscription.reset();
            hypervisor.reset();
            return true;
        });
}

} // namespace

/// One host: connected, or waiting for its next attempt.
struct Watcher::Watched {
    HostEntry entry;
    std::unique_ptr<Opening> opening{};
    std::shared_ptr<Hypervisor> hypervisor{};
    std::shared_ptr<virt::Subscription> subscription{};
    std::optional<Background<ObservedHost>> looking{};
    std::string failure{}; ///< why it could not be asked this time
    std::string said{};    ///< the last host.state that was recorded
};

Watcher::Watcher(std::vector<HostEntry> hosts, Surroundings surroundings)
    : surroundings_(std::move(surroundings)), queue_(std::make_shared<virt::EventQueue>())
{
    for (auto& entry : hosts) {
        hosts_.push_back(std::make_unique<Watched>(Watched{.entry = std::move(entry)}));
    }
    std::ranges::sort(hosts_, {}, [](const auto& host) { return host->entry.name; });
}

Watcher::~Watcher() = default;

void Watcher::record(const std::vector<model::EventDraft>& drafts)
{
    if (drafts.empty()) {
        return;
    }
    (void)surroundings_.recorder.record(drafts);
    for (const auto& draft : drafts) {
        const auto& body = draft.body;
        const auto name = body.value("name", std::string());
        if (draft.kind == "vm.migrated") {
            surroundings_.log.info("{}: migrated from {} to {}",
                                   name,
                                   body.value("from", std::string()),
                                   body.value("to", std::string()));
        } else {
            surroundings_.log.info("{} on {}: {} ({})",
                                   name,
                                   body.value("host", std::string()),
                                   body.value("state", std::string()),
                                   body.value("reason", std::string()));
        }
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

/// Takes over a connection that is there by then; one that is not delays nobody.
/// returns  false: it is still being opened
/// throws   remote
bool Watcher::connect(Watched& watched, Deadline deadline)
{
    if (!watched.opening) {
        watched.opening = open_in_background(watched.entry, queue_, surroundings_.cancel);
    }
    auto opened = watched.opening->wait_until(deadline, &surroundings_.cancel);
    if (!opened) {
        return false;
    }
    watched.opening.reset();
    watched.subscription = std::move(opened->subscription);
    watched.hypervisor = std::move(opened->hypervisor);
    return true;
}

ObservedHost Watcher::lose(Watched& watched, const std::string& why)
{
    leave_behind(std::exchange(watched.subscription, nullptr),
                 std::exchange(watched.hypervisor, nullptr));
    ObservedHost gone;
    gone.name = watched.entry.name;
    gone.error = why;
    if (watched.said != "down") {
        watched.said = "down";
        record_host(watched, "down", why);
    }
    return gone;
}

/// Begins a look at a host that is connected by then, and waits for none.
void Watcher::begin(Watched& watched, Deadline deadline)
{
    watched.looking.reset();
    watched.failure.clear();
    try {
        if (!watched.hypervisor && !connect(watched, deadline)) {
            watched.failure = "no answer yet";
            return;
        }
        watched.looking = begin_look(watched.hypervisor);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        watched.opening.reset(); // what failed is tried again
        watched.failure = error.one_line();
    }
}

ObservedHost Watcher::end(Watched& watched, Deadline begun)
{
    if (!watched.looking) {
        return lose(watched, watched.failure);
    }
    // It ends by its own deadline; a little more lets it say so itself.
    auto host =
        seen_until(*watched.looking, begun + watched.entry.deadline + 1s, surroundings_.cancel);
    watched.looking.reset();
    if (!host.reachable) {
        return lose(watched, host.error);
    }
    if (watched.said != "up") {
        watched.said = "up";
        record_host(watched, "up", "answers");
    }
    finish_condemned(watched, host);
    return host;
}

/// Removes VMs that were given up while their host could not be reached.
void Watcher::finish_condemned(Watched& watched, const ObservedHost& host)
{
    for (const auto& [uuid, vm] : surroundings_.recorded()) {
        if (vm.state != condemned_state || vm.host != host.name) {
            continue;
        }
        try {
            (void)decommission(*watched.hypervisor, uuid, vm.name, 20s);
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            surroundings_.log.warning(
                "{} on {} could not be removed: {}", vm.name, host.name, error.one_line());
            continue;
        }
        (void)surroundings_.recorder.record(
            {.at = surroundings_.clock.now(),
             .kind = "vm.retired",
             .body = {{"uuid", uuid},
                      {"name", vm.name},
                      {"reason", "its host is back; it was condemned before"}}});
        surroundings_.log.info("{} on {}: removed, as was decided before", vm.name, host.name);
    }
}

std::vector<ObservedHost> Watcher::ask_all(Deadline deadline)
{
    // All are asked before any is waited for.
    for (auto& watched : hosts_) {
        begin(*watched, deadline);
    }
    const auto begun = steady_clock::now();
    std::vector<ObservedHost> seen;
    for (auto& watched : hosts_) {
        surroundings_.cancel.check();
        seen.push_back(end(*watched, begun));
    }
    return seen;
}

/// Takes the events that come for a moment; false: there are none.
bool Watcher::take_pending()
{
    bool any = false;
    const auto until = steady_clock::now() + longest_burst;
    while (steady_clock::now() < until) {
        const auto event = queue_->pop(settle_time);
        if (!event) {
            break;
        }
        take(*event);
        any = true;
    }
    return any;
}

void Watcher::look_at_all(Deadline deadline)
{
    auto seen = ask_all(deadline);
    auto facts = reconcile(seen, surroundings_.recorded(), surroundings_.clock.now());
    // What is new may be so new that its event, which knows the reason, is still on its way; and
    // what an event told is newer than what was seen before it.
    for (int again = 0; again < most_looks && !facts.empty() && take_pending(); ++again) {
        seen = ask_all(steady_clock::now());
        facts = reconcile(seen, surroundings_.recorded(), surroundings_.clock.now());
    }
    record(facts);
    if (surroundings_.looked) {
        surroundings_.looked(seen);
    }
}

void Watcher::look_once()
{
    for (auto& watched : hosts_) {
        watched->opening = open_in_background(watched->entry, queue_, surroundings_.cancel);
    }
    look_at_all(steady_clock::now() + first_patience);
}

void Watcher::take_reboot(const virt::HostEvent& event)
{
    const auto now = steady_clock::now();
    const auto last = rebooted_.find(event.uuid);
    if (last != rebooted_.end() && now - last->second < reboot_echo) {
        return;
    }
    rebooted_[event.uuid] = now;
    const auto recorded = surroundings_.recorded();
    if (const auto vm = recorded.find(event.uuid); vm != recorded.end()) {
        record({{.at = surroundings_.clock.now(),
                 .kind = "vm.state",
                 .body = {{"uuid", event.uuid},
                          {"name", vm->second.name},
                          {"host", event.source},
                          {"state", "running"},
                          {"reason", "rebooted by its guest"}}}});
    }
}

void Watcher::take(const virt::HostEvent& event)
{
    const auto found = std::ranges::find_if(
        hosts_, [&](const auto& host) { return host->entry.name == event.source; });
    if (found == hosts_.end() || !(*found)->hypervisor) {
        return; // the last words of a connection that is gone
    }
    switch (event.what) {
    case virt::HostEvent::What::lost:
        (void)lose(**found, "the connection was lost");
        due_ = steady_clock::now();
        break;
    case virt::HostEvent::What::rebooted:
        take_reboot(event);
        break;
    case virt::HostEvent::What::changed:
        if (event.status) {
            record(facts_of(event, surroundings_.recorded(), surroundings_.clock.now()));
        } else {
            due_ = std::min(due_, steady_clock::now() + settle_time);
        }
        break;
    }
}

void Watcher::run(std::chrono::seconds interval)
{
    look_once();
    due_ = steady_clock::now() + interval;
    while (true) {
        surroundings_.cancel.check();
        const auto event = queue_->pop(round_time);
        if (event) {
            take(*event);
        }
        // Events first: they tell more than a look does.
        const auto late = steady_clock::now() - due_;
        if (late >= longest_burst || (late >= 0s && !event)) {
            look_at_all(steady_clock::now());
            due_ = steady_clock::now() + interval;
        }
    }
}

} // namespace stemma::deployer
