#pragma once

#include "stemma/core/activity.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/log.hpp"
#include "stemma/deployer/hypervisor.hpp"
#include "stemma/deployer/plan.hpp"
#include "stemma/deployer/verify.hpp"
#include "stemma/lineage/store.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stemma::deployer {

/// What became of one VM.
struct VmResult {
    std::string name;
    std::string host;
    Action action = Action::keep;
    bool ok = true;
    std::string error{}; ///< when it is not
    std::vector<CheckResult> checks{};
};

struct ApplyResult {
    std::vector<VmResult> vms;
    bool ok = true;
    /// VMs whose host cannot be reached: they are gone for the release, and go for good when it is
    /// back.
    std::vector<std::string> condemned{};
};

/// Carries out plans: wave by wave, every step idempotent and recorded before and after, so that a
/// run that was killed anywhere is continued by planning and applying again.
///
/// Within a wave never more than `max_unavailable` VMs that were good are down at once. Stops after
/// the first group of VMs with a bad one, and when the rollout's deadline is over. Retires, and
/// removes what is left over, only after all waves were good: until then the way back is there.
class Applier {
public:
    /// Everything is borrowed.
    struct World {
        std::map<std::string, Hypervisor*> hosts;
        lineage::Recorder& recorder;
        const Clock& clock;
        Log& log;
        Progress& progress;
        const Cancel& cancel;
        /// Asked before each group of VMs: a rollout that is paused waits. May be null.
        std::function<bool()> paused = nullptr;
    };
    Applier(World world, Rollout rollout, Verifier& verifier);

    /// throws  interrupted; io: events cannot be recorded. What goes wrong with a VM is in the
    ///         result.
    ApplyResult apply(const Plan& plan);

private:
    struct Step;
    void prepare(const PlannedVm& vm);
    void prove(const PlannedVm& vm, VmResult& result);
    std::unique_ptr<GuestPort> wait_for_guest(Hypervisor& host, const VmSpec& spec) const;
    std::vector<CheckResult> check_until_good(const PlannedVm& vm);
    void retire(const PlannedVm& vm);
    void remove_leftovers(const PlannedVm& vm);
    void condemn(const PlannedVm& vm, const std::string& why);
    bool apply_wave(const Plan& plan, std::size_t wave, ApplyResult& result);
    bool apply_group(const std::vector<const PlannedVm*>& group,
                     Activity& activity,
                     ApplyResult& result);
    void wait_while_paused();
    [[nodiscard]] bool is_too_late() const;
    void finish(const Plan& plan, ApplyResult& result);
    void wait(std::chrono::milliseconds time) const;
    template <typename Work>
    void step(const PlannedVm& vm, std::string_view word, Work&& work);
    void record(const std::string& kind, Json body);
    void record_state(const PlannedVm& vm, std::string_view state, std::string_view reason);
    Hypervisor& host_of(const PlannedVm& vm);

    World world_;
    Rollout rollout_;
    Verifier& verifier_;
    std::string run_;
    std::string release_;
    std::string version_;
    std::string checks_;
    std::chrono::steady_clock::time_point started_{};
};

/// The event that says that a release is in force: what `release rollback` and the next apply
/// start from.
model::EventDraft applied_event(const Plan& plan, const Release& release, Time at);

/// A release as it was applied before.
struct AppliedRelease {
    std::string version;
    std::string file_digest;
    Time at{};
    std::vector<VmSpec> specs;
    Verification verify;
};
/// Newest last. Events of an unknown form are left out. Specs name the host where their VM is now:
/// what a release was is not where it was.
std::vector<AppliedRelease> applied_releases(const std::vector<model::Event>& events);

/// By VM uuid: proof_of() what was verified after the VM's last change.
std::map<std::string, std::string> verified_specs(const std::vector<model::Event>& events);

} // namespace stemma::deployer
