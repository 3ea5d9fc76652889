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
#include <string>
#include <vector>

namespace stemma::deployer {

using RecordedVms = std::map<std::string, World::Recorded>; ///< by uuid

/// What the lineage should be told after a look at one host: `vm.state` for each VM of ours whose
/// state is another than the lineage has. Pure.
///
/// host  unreachable: its VMs become unknown, whatever they were
std::vector<model::EventDraft>
reconcile(const ObservedHost& host, const RecordedVms& recorded, Time now);

/// One way in which a host differs from what was applied.
struct Drift {
    std::string host;
    std::string vm;
    std::string kind; ///< missing, stopped, foreign, renamed, image, definition, disks, elsewhere
    std::string expected;
    std::string actual;
};
/// Differences between hosts and specs that were applied, by host and VM. Pure. VMs without our
/// mark are foreign and reported only where `with_foreign`.
std::vector<Drift> find_drift(const std::vector<ObservedHost>& hosts,
                              const std::vector<VmSpec>& applied,
                              bool with_foreign);

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
    void connect(Watched& watched);
    void look(Watched& watched);
    void lose(Watched& watched, const std::string& why);
    void record_reboot(const Watched& watched, const std::string& uuid);
    void record(const std::vector<model::EventDraft>& drafts);
    void record_host(const Watched& watched, std::string_view state, const std::string& reason);

    Surroundings surroundings_;
    std::shared_ptr<virt::EventQueue> queue_;
    std::vector<std::unique_ptr<Watched>> hosts_;
};

} // namespace stemma::deployer
