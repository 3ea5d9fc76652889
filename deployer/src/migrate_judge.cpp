// Who runs a VM after a migration that may have failed anywhere. Pure.

#include "stemma/deployer/migrate.hpp"
#include "stemma/virt/connection.hpp"

namespace stemma::deployer {

namespace {

using Place = Whereabouts::Place;

enum class Half {
    silent, ///< its host does not answer
    none,   ///< its host has nothing, or something that lies still
    runs,
    waits,  ///< paused in the middle of a migration
    paused, ///< by somebody, for another reason
};

Half half_of(const MigrationSide& side)
{
    if (!side.reachable) {
        return Half::silent;
    }
    if (!side.vm || side.vm->state == "stopped" || side.vm->state == "crashed") {
        return Half::none;
    }
    if (side.vm->state == "paused") {
        return side.vm->reason == virt::migrating_reason ? Half::waits : Half::paused;
    }
    return Half::runs;
}

Whereabouts at(Place place, std::string why)
{
    return {.place = place, .why = std::move(why)};
}

Whereabouts with_running_target(Half source, const MigrationSide& from)
{
    if (source == Half::runs || source == Half::paused) {
        return at(Place::both, "it runs on both hosts");
    }
    auto where = at(Place::target, "it runs on the target");
    where.drop_source = from.reachable && from.vm.has_value();
    return where;
}

Whereabouts with_waiting_target(Half source, bool job)
{
    if (job) {
        return at(Place::under_way, "its memory is on the way");
    }
    switch (source) {
    case Half::silent:
        return at(Place::unknown, "the target waits for memory, and the source does not answer");
    case Half::none:
        return at(Place::under_way, "the source let it go, and the target has not begun yet");
    default:
        break;
    }
    auto where = at(Place::source, "nobody moves it any more; the target never ran it");
    where.drop_target = true;
    where.resume_source = source == Half::waits;
    return where;
}

Whereabouts with_silent_target(Half source, bool job)
{
    switch (source) {
    case Half::runs:
    case Half::paused:
        return job ? at(Place::under_way, "its memory is on the way")
                   : at(Place::source, "it runs on the source");
    default:
        return at(Place::unknown, "the target may run it, and does not answer");
    }
}

Whereabouts with_no_target(Half source, bool job)
{
    switch (source) {
    case Half::silent:
        return at(Place::unknown, "the source may run it, and does not answer");
    case Half::waits: {
        if (job) {
            return at(Place::under_way, "its memory is on the way");
        }
        auto where = at(Place::source, "it was stopped for a switch that did not happen");
        where.resume_source = true;
        return where;
    }
    case Half::none:
        return at(Place::source, "it does not run");
    default:
        return job ? at(Place::under_way, "its memory is on the way")
                   : at(Place::source, "it runs on the source");
    }
}

} // namespace

std::string_view to_string(Place place) noexcept
{
    switch (place) {
    case Place::source:
        return "source";
    case Place::target:
        return "target";
    case Place::under_way:
        return "under way";
    case Place::both:
        return "both";
    case Place::unknown:
        break;
    }
    return "unknown";
}

Whereabouts judge(const MigrationSide& source, const MigrationSide& target)
{
    const auto from = half_of(source);
    switch (half_of(target)) {
    case Half::runs:
    case Half::paused:
        return with_running_target(from, source);
    case Half::waits:
        return with_waiting_target(from, source.job);
    case Half::silent:
        return with_silent_target(from, source.job);
    case Half::none:
        break;
    }
    return with_no_target(from, source.job);
}

} // namespace stemma::deployer
