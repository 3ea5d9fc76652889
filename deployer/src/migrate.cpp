#include "stemma/deployer/migrate.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <thread>

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;
using Place = Whereabouts::Place;

constexpr auto look_pause = 500ms;
/// Daemons that lost each other need this long to notice and to take back what they began.
constexpr auto settle_time = 20s;
constexpr std::string_view step_word = "migrate";

MigrationSide side_of(Hypervisor* host, const std::string& uuid)
{
    MigrationSide side;
    if (host == nullptr) {
        return side;
    }
    try {
        side.vm = host->look(uuid);
        side.job = side.vm && side.vm->state != "stopped" && host->is_migrating(uuid);
        side.reachable = true;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
    }
    return side;
}

std::string text_of_member(const Json& body, const char* key)
{
    const auto found = body.find(key);
    return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Files of one VM on a host.
void remove_files(Hypervisor& host, const std::string& vm)
{
    for (const auto& disk : host.observe().disks) {
        if (disk.vm == vm) {
            host.remove_disk(disk.path);
        }
    }
    host.forget(vm);
}

} // namespace

/// One VM's way from a host to another; either may not answer.
struct Migrator::Way {
    const VmSpec& spec;
    Hypervisor* from;
    Hypervisor* to;
    std::string from_name;
    std::string to_name;
    bool shared = false; ///< both see the same files
};

void Migrator::record_step(const Way& way, std::string_view phase, const std::string& detail)
{
    (void)world_.recorder.record({.at = world_.clock.now(),
                                  .kind = "release.step",
                                  .body = {{"release", way.spec.release},
                                           {"version", ""},
                                           {"step", step_word},
                                           {"subject", way.spec.name},
                                           {"uuid", way.spec.uuid},
                                           {"spec", spec_digest(way.spec)},
                                           {"checks", ""},
                                           {"phase", phase},
                                           {"detail", json_text(detail)},
                                           {"from", way.from_name},
                                           {"to", way.to_name},
                                           {"run", ""}}});
}

std::optional<Migrator::Begun> Migrator::unfinished(const std::vector<model::Event>& events,
                                                    const std::string& uuid)
{
    std::optional<Begun> begun;
    for (const auto& event : events) {
        if (event.kind != "release.step" || text_of_member(event.body, "uuid") != uuid ||
            text_of_member(event.body, "step") != step_word) {
            continue;
        }
        begun.reset();
        if (text_of_member(event.body, "phase") == "begin") {
            begun = Begun{.from = text_of_member(event.body, "from"),
                          .to = text_of_member(event.body, "to")};
        }
    }
    return begun;
}

Whereabouts Migrator::look_until_settled(const Way& way, Options options) const
{
    const auto begin = std::chrono::steady_clock::now();
    for (;;) {
        auto where = judge(side_of(way.from, way.spec.uuid), side_of(way.to, way.spec.uuid));
        const auto waited = std::chrono::steady_clock::now() - begin;
        // Half a migration that is being taken back looks like one that nobody moves any more.
        const bool may_change = where.drop_target || where.resume_source;
        const bool settled =
            where.place != Place::under_way && (!may_change || waited > settle_time);
        if (settled || waited > options.patience) {
            return where;
        }
        world_.cancel.check();
        std::this_thread::sleep_for(look_pause);
    }
}

void Migrator::mend(const Way& way, const Whereabouts& where) const
{
    if (where.drop_target) {
        world_.log.warning(
            "{}: removing the half on {} that never ran", way.spec.name, way.to_name);
        way.to->stop(way.spec.uuid, 0s);
        way.to->undefine(way.spec.uuid);
    }
    if (where.drop_source) {
        world_.log.warning(
            "{}: removing the half on {} whose other half runs", way.spec.name, way.from_name);
        way.from->stop(way.spec.uuid, 0s);
        way.from->undefine(way.spec.uuid);
    }
    if (where.resume_source) {
        way.from->resume(way.spec.uuid);
    }
}

/// Files where the VM is not any more. What cannot be removed now, since its host is away, goes
/// with the next migration to it.
void Migrator::clean(const Way& way, const Whereabouts& where) const
{
    auto* const side = where.place == Place::target ? way.from : way.to;
    const bool placed = where.place == Place::target || where.place == Place::source;
    if (way.shared || !placed || side == nullptr) {
        return;
    }
    try {
        if (!side->look(way.spec.uuid)) {
            remove_files(*side, way.spec.name);
        }
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        world_.log.warning("{}: its files on {} are still there: {}",
                           way.spec.name,
                           side->host(),
                           error.one_line());
    }
}

void Migrator::record_outcome(const Way& way, const MigrationResult& result)
{
    const auto say = [&](const char* kind, Json body) {
        body["uuid"] = way.spec.uuid;
        body["name"] = way.spec.name;
        (void)world_.recorder.record(
            {.at = world_.clock.now(), .kind = kind, .body = std::move(body)});
    };
    const auto state = [&](const std::string& host, std::string_view word, const std::string& why) {
        say("vm.state", {{"host", host}, {"state", word}, {"reason", why}});
    };
    switch (result.where.place) {
    case Place::target:
        say("vm.migrated", {{"from", way.from_name}, {"to", way.to_name}});
        state(way.to_name, "running", "migrated from " + way.from_name);
        record_step(way, "done", "");
        break;
    case Place::source: {
        const auto seen = side_of(way.from, way.spec.uuid).vm;
        state(way.from_name, seen ? seen->state : "unknown", "stayed: " + result.error);
        record_step(way, "failed", result.error);
        break;
    }
    default:
        state(way.from_name, "unknown", "migration to " + way.to_name + ": " + result.where.why);
        break; // not finished: it is settled when the hosts answer
    }
}

MigrationResult Migrator::conclude(const Way& way, Options options, std::string error)
{
    MigrationResult result{.where = look_until_settled(way, options)};
    result.moved = result.where.place == Place::target;
    result.error = result.moved ? "" : error.empty() ? result.where.why : std::move(error);
    mend(way, result.where);
    record_outcome(way, result);
    clean(way, result.where);
    return result;
}

MigrationResult
Migrator::settle(const VmSpec& spec, const End& from, const End& to, Options options)
{
    Way way{
        .spec = spec, .from = from.host, .to = to.host, .from_name = from.name, .to_name = to.name};
    if (from.host != nullptr && to.host != nullptr) {
        way.shared = from.host->storage_id() == to.host->storage_id();
    }
    return conclude(way, options, "");
}

MigrationResult
Migrator::migrate(const VmSpec& spec, Hypervisor& from, Hypervisor& to, Options options)
{
    Way way{.spec = spec, .from = &from, .to = &to, .from_name = from.host(), .to_name = to.host()};
    way.shared = from.storage_id() == to.storage_id();
    const auto before = judge(side_of(&from, spec.uuid), side_of(&to, spec.uuid));
    if (before.place == Place::under_way) {
        world_.log.info("{}: is on its way to {} already; following it", spec.name, to.host());
        return conclude(way, options, "");
    }
    const auto seen = from.look(spec.uuid);
    if (!seen || seen->state != "running") {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} does not run on {}: only running VMs are migrated",
                                spec.name,
                                from.host()),
                    "`stemma vm start " + spec.name + "` first");
    }
    record_step(way, "begin", "from " + from.host() + " to " + to.host());
    std::string error;
    bool asked = false; // from then on only a look tells where it is
    try {
        const auto incoming = to.prepare_incoming(spec, way.shared);
        asked = true;
        from.migrate(spec, incoming, options.peer_to_peer);
    } catch (const Error& failure) {
        error = failure.one_line();
        const bool refused = failure.code() == ErrorCode::corrupt ||
                             failure.code() == ErrorCode::conflict ||
                             failure.code() == ErrorCode::interrupted;
        if (refused && !asked) {
            record_step(way, "failed", error);
            throw;
        }
    }
    return conclude(way, options, std::move(error));
}

} // namespace stemma::deployer
