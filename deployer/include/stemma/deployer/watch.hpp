#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/deployer/fleet.hpp"
#include "stemma/deployer/plan.hpp"
#include "stemma/lineage/store.hpp"
#include "stemma/virt/events.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace stemma::deployer {

using RecordedVms = std::map<std::string, World::Recorded>; ///< by uuid

/// What the lineage should be told after a look at all hosts. Pure.
///
/// - `vm.state` for each VM whose state is another than the lineage has; those on a host that
/// cannot
///   be reached become unknown, whatever they were;
/// - `vm.migrated` for a VM that runs on another host while its own, which answers, does not run
/// it.
///
/// Condemned VMs are left out: they stay so until they are gone.
std::vector<model::EventDraft>
reconcile(const std::vector<ObservedHost>& hosts, const RecordedVms& recorded, Time now);

/// What the lineage should be told of one event: nothing when it has it already, or when the VM is
/// none of ours. Pure.
std::vector<model::EventDraft>
facts_of(const virt::HostEvent& event, const RecordedVms& recorded, Time now);

/// One way in which a host differs from what was applied.
struct Drift {
    std::string host;
    std::string vm;
    /// missing, stopped, foreign, renamed, elsewhere, image, base, definition, edited, memory,
    /// vcpus, disks, snapshot
    std::string kind;
    std::string expected;
    std::string actual;
};
/// Differences between hosts and specs that were applied, by host and VM. Pure. VMs without our
/// mark are foreign and reported only where `with_foreign`; those that the lineage has anyway
/// (`adopted`, by uuid) are not.
std::vector<Drift> find_drift(const std::vector<ObservedHost>& hosts,
                              const std::vector<VmSpec>& applied,
                              bool with_foreign,
                              const std::set<std::string>& adopted = {});

/// Follows hosts: registers, lists, records; then events as hints, and everything again on a timer.
class Watcher {
public:
    /// Everything is borrowed.
    struct Surroundings {
        lineage::Recorder& recorder;
        std::function<RecordedVms()> recorded; ///< what the lineage has now
        const Clock& clock;
        Log& log;
        const Cancel& cancel;
        /// Called after each look at all hosts, in order of name; may be null.
        std::function<void(const std::vector<ObservedHost>&)> looked = nullptr;
    };
    Watcher(std::vector<HostEntry> hosts, Surroundings surroundings);
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    /// Until the user asks to stop (throws interrupted).
    void run(std::chrono::seconds interval);
    /// One look at every host.
    void look_once();

private:
    struct Watched;
    using Deadline = std::chrono::steady_clock::time_point;
    bool connect(Watched& watched, Deadline deadline);
    void begin(Watched& watched, Deadline deadline);
    ObservedHost end(Watched& watched, Deadline begun);
    ObservedHost lose(Watched& watched, const std::string& why);
    std::vector<ObservedHost> ask_all(Deadline deadline);
    void look_at_all(Deadline deadline);
    bool take_pending();
    void finish_condemned(Watched& watched, const ObservedHost& host);
    void take(const virt::HostEvent& event);
    void take_reboot(const virt::HostEvent& event);
    void record(const std::vector<model::EventDraft>& drafts);
    void record_host(const Watched& watched, std::string_view state, const std::string& reason);

    Surroundings surroundings_;
    std::shared_ptr<virt::EventQueue> queue_;
    std::vector<std::unique_ptr<Watched>> hosts_;
    std::chrono::steady_clock::time_point due_{}; ///< the next look at all
    std::map<std::string, std::chrono::steady_clock::time_point> rebooted_;
};

} // namespace stemma::deployer
