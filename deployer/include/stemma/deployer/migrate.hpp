#pragma once

#include "stemma/core/activity.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/deployer/hypervisor.hpp"
#include "stemma/lineage/store.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace stemma::deployer {

/// One VM as one of the two hosts of a migration shows it.
struct MigrationSide {
    bool reachable = false;
    std::optional<ObservedVm> vm; ///< nullopt: the host does not know it
    bool job = false;             ///< memory moves at this moment
};

/// What two looks say of a VM that was on its way between two hosts.
struct Whereabouts {
    enum class Place {
        source,    ///< runs (or lies) on the source; the target has nothing that matters
        target,    ///< runs on the target
        under_way, ///< the two daemons are at it: look again
        both,      ///< runs twice: nothing is mended without a person
        unknown,   ///< a host that may run it does not answer: nothing may be started elsewhere
    };
    Place place = Place::unknown;
    std::string why;
    // What has to be done so that exactly one runs, in this order.
    bool drop_target = false;   ///< a half that never ran
    bool drop_source = false;   ///< a half whose other half runs
    bool resume_source = false; ///< was stopped for a switch that did not happen
};
std::string_view to_string(Whereabouts::Place place) noexcept;

/// Pure. The rules: a target's processors run only after the source's stopped for good, so a
/// running target is the VM; a half that waits for memory never ran; where a silent host may run
/// it, nobody knows.
Whereabouts judge(const MigrationSide& source, const MigrationSide& target);

struct MigrationResult {
    Whereabouts where;
    bool moved = false;
    std::string error{}; ///< why it did not move
};

/// Moves running VMs between hosts. Whatever happens on the way, the result is looked up on both
/// hosts, mended where that is safe, and recorded.
class Migrator {
public:
    /// Everything is borrowed.
    struct World {
        lineage::Recorder& recorder;
        const Clock& clock;
        Log& log;
        const Cancel& cancel;
    };
    explicit Migrator(World world) : world_(world) {}

    struct Options {
        bool peer_to_peer = false; ///< the two daemons go on when this process dies
        /// How long a migration that is under way already is followed.
        std::chrono::seconds patience{600};
    };
    /// Proves the base on the target, makes empty disks there, moves the VM, and removes its files
    /// from the source unless both share them. One that is under way already is followed.
    /// spec    its host is the source
    /// throws  conflict: it does not run, or the target has a copy; corrupt: the target's base;
    ///         interrupted
    MigrationResult migrate(const VmSpec& spec, Hypervisor& from, Hypervisor& to, Options options);

    /// Finds out what became of a migration that nobody watched, mends and records it.
    struct End {
        std::string name;
        Hypervisor* host = nullptr; ///< null: cannot be reached
    };
    MigrationResult settle(const VmSpec& spec, const End& from, const End& to, Options options);

    /// A migration that was begun and of which no end was recorded; nullopt when there is none.
    struct Begun {
        std::string from;
        std::string to;
    };
    static std::optional<Begun> unfinished(const std::vector<model::Event>& events,
                                           const std::string& uuid);

private:
    struct Way;
    [[nodiscard]] MigrationResult conclude(const Way& way, Options options, std::string error);
    Whereabouts look_until_settled(const Way& way, Options options) const;
    void mend(const Way& way, const Whereabouts& where) const;
    void clean(const Way& way, const Whereabouts& where) const;
    void record_step(const Way& way, std::string_view phase, const std::string& detail);
    void record_outcome(const Way& way, const MigrationResult& result);

    World world_;
};

} // namespace stemma::deployer
