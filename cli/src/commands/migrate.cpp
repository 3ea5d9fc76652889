// vm migrate, host drain and host gc: what moves VMs between hosts, and what is left behind.

#include "migrate.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/deployer/migrate.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "deploy_support.hpp"

namespace stemma::cli {

namespace {

using namespace std::chrono_literals;
using deployer::Fleet;
using deployer::MigrationResult;
using deployer::Migrator;
using Place = deployer::Whereabouts::Place;

const std::vector<Column> columns = {{.title = "VM", .member = "vm"},
                                     {.title = "FROM", .member = "from"},
                                     {.title = "TO", .member = "to"},
                                     {.title = "IS ON", .member = "place"},
                                     {.title = "ERROR", .member = "error"}};

Migrator migrator_of(Context& context)
{
    return Migrator({.recorder = context.store(lineage::Store::Mode::write),
                     .clock = context.clock(),
                     .log = context.log(),
                     .cancel = context.cancel()});
}

lineage::VmInfo live_vm(Context& context, const std::string& word)
{
    const auto name = word.starts_with("vm:") ? word.substr(3) : word;
    const auto info = context.store().find_vm(name);
    if (!info || info->state == "retired") {
        std::vector<std::string> names;
        for (const auto& vm : context.store().vms()) {
            names.push_back(vm.name);
        }
        const auto near = nearest(name, names);
        throw Error(ErrorCode::not_found,
                    "no VM " + name + " is known",
                    near ? "did you mean " + *near + "?" : "`stemma vm list` shows them");
    }
    return *info;
}

/// What the VM was made from, as the release that made it says, on the host that has it now.
deployer::VmSpec spec_of(Context& context, const lineage::VmInfo& vm)
{
    const auto applied = deployer::applied_releases(context.store().release_events(vm.release));
    for (auto release = applied.rbegin(); release != applied.rend(); ++release) {
        for (auto spec : release->specs) {
            if (spec.uuid == vm.uuid && spec.image.digest == vm.image) {
                spec.host = vm.host;
                return spec;
            }
        }
    }
    throw Error(ErrorCode::unsupported,
                "VM " + vm.name + " was not made by a release that was applied to its end",
                vm.release.empty() ? "only VMs of releases are migrated"
                                   : "`stemma release apply` its release first");
}

Json item_of(const deployer::VmSpec& spec,
             const std::string& from,
             const std::string& to,
             const MigrationResult& result)
{
    std::string place(to_string(result.where.place));
    if (result.where.place == Place::source) {
        place = from;
    } else if (result.where.place == Place::target) {
        place = to;
    }
    return {{"vm", spec.name},
            {"uuid", spec.uuid},
            {"from", from},
            {"to", to},
            {"moved", result.moved},
            {"place", place},
            {"error", result.error.empty() ? Json(nullptr) : Json(result.error)}};
}

/// What became of a migration that an earlier run began and did not see the end of.
std::optional<MigrationResult> settle_earlier(Context& context,
                                              const Fleet& fleet,
                                              const deployer::VmSpec& spec,
                                              Migrator::Options options)
{
    const auto begun =
        Migrator::unfinished(context.store().release_events(spec.release), spec.uuid);
    if (!begun) {
        return std::nullopt;
    }
    context.log().info(
        "{}: an earlier migration from {} to {} was begun; looking what became of it",
        spec.name,
        begun->from,
        begun->to);
    return migrator_of(context).settle(
        spec, {begun->from, fleet.find(begun->from)}, {begun->to, fleet.find(begun->to)}, options);
}

/// One VM from where it is to another host; what went wrong is in the answer.
Json move_one(Context& context,
              const Fleet& fleet,
              const std::string& name,
              const std::string& to,
              Migrator::Options options)
{
    auto vm = live_vm(context, name);
    const auto lock = lock_release(context, vm.release);
    auto spec = spec_of(context, vm);
    if (const auto earlier = settle_earlier(context, fleet, spec, options)) {
        vm = live_vm(context, name);
        spec.host = vm.host;
        if (vm.host == to || earlier->where.place == Place::unknown ||
            earlier->where.place == Place::both) {
            return item_of(spec, vm.host, to, *earlier);
        }
    }
    if (vm.host == to) {
        throw Error(ErrorCode::usage, vm.name + " is on host " + to + " already");
    }
    auto* const source = fleet.find(vm.host);
    auto* const target = fleet.find(to);
    for (const auto& [host, found] : {std::pair(vm.host, source), std::pair(to, target)}) {
        if (found == nullptr) {
            throw Error(ErrorCode::remote,
                        "host " + host + " cannot be reached",
                        "nothing was done; `stemma host show " + host + "` says why");
        }
    }
    return item_of(
        spec, vm.host, to, migrator_of(context).migrate(spec, *source, *target, options));
}

int exit_of(const Json& items)
{
    int status = 0;
    for (const auto& item : items) {
        const bool known = item["place"] != "unknown" && item["place"] != "both";
        status = !known ? 4 : status == 0 && !item["moved"].get<bool>() ? 1 : status;
    }
    return status;
}

int show_moves(Context& context, Json items)
{
    Answer answer{
        .schema = "stemma.migrate/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    for (const auto& item : items) {
        if (item["place"] == "unknown") {
            answer.gaps.push_back({.what = "VM " + item["vm"].get<std::string>(),
                                   .reason = "a host that may run it does not answer"});
        }
    }
    const int status = exit_of(items);
    answer.items = std::move(items);
    (void)show(context, answer, columns);
    return status;
}

int run_migrate(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "VM HOST");
    const auto vm = live_vm(context, words[0]);
    const Migrator::Options options{
        .peer_to_peer = args.has("peer-to-peer"),
        .patience = std::chrono::seconds(args.number("timeout", 1, 86400).value_or(600))};
    std::vector<deployer::HostEntry> hosts{find_host_entry(context, words[1])};
    if (vm.host != words[1]) {
        hosts.push_back(find_host_entry(context, vm.host));
    }
    const auto begun = Migrator::unfinished(context.store().release_events(vm.release), vm.uuid);
    for (const auto& entry : host_entries(context)) {
        const bool there =
            std::ranges::find(hosts, entry.name, &deployer::HostEntry::name) != hosts.end();
        if (begun && !there && (entry.name == begun->from || entry.name == begun->to)) {
            hosts.push_back(entry);
        }
    }
    const Fleet fleet(hosts, connect_patience, context.cancel());
    return show_moves(context, Json::array({move_one(context, fleet, vm.name, words[1], options)}));
}

/// Where VMs of a host that is emptied go: reachable, not emptied itself, guests of the same kind;
/// then most labels in common, then fewest VMs, then by name.
class Refuges {
public:
    Refuges(Context& context, const Fleet& fleet, const deployer::HostEntry& from)
        : hosts_(host_entries(context))
    {
        std::erase_if(hosts_, [&](const auto& host) {
            return host.name == from.name || host.drained || fleet.find(host.name) == nullptr ||
                   host.accel != from.accel;
        });
        for (const auto& host : hosts_) {
            common_[host.name] = std::ranges::count_if(from.labels, [&](const auto& label) {
                const auto found = host.labels.find(label.first);
                return found != host.labels.end() && found->second == label.second;
            });
        }
        for (const auto& vm : context.store().vms()) {
            ++load_[vm.host];
        }
    }

    /// throws  not_found: there is none
    std::string next()
    {
        const auto best = std::ranges::min_element(hosts_, {}, [&](const auto& host) {
            return std::tuple(-common_.at(host.name), load_[host.name], host.name);
        });
        if (best == hosts_.end()) {
            throw Error(ErrorCode::not_found,
                        "no other host can take its VMs",
                        "`stemma host list` shows them; `stemma host add` makes one known");
        }
        ++load_[best->name];
        return best->name;
    }

private:
    std::vector<deployer::HostEntry> hosts_;
    std::map<std::string, std::ptrdiff_t> common_;
    std::map<std::string, std::size_t> load_;
};

void mark_drained(Context& context, deployer::HostEntry entry, bool drained)
{
    const auto info = context.store().find_host(entry.name);
    entry.drained = drained;
    record(context,
           "host.added",
           {{"name", entry.name},
            {"uuid", info->uuid},
            {"uri", entry.uri},
            {"labels", deployer::labels_of(entry)}});
}

int run_drain(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "HOST");
    const auto entry = find_host_entry(context, words[0]);
    if (args.has("undo")) {
        mark_drained(context, entry, false);
        return 0;
    }
    const Fleet fleet(host_entries(context), connect_patience, context.cancel());
    mark_drained(context, entry, true);
    Refuges refuges(context, fleet, entry);
    Json items = Json::array();
    for (const auto& vm : context.store().vms()) {
        if (vm.host != entry.name || vm.state == "stopped") {
            continue; // what lies still does not mind
        }
        std::string to;
        try {
            to = args.value_or("to", "").empty() ? refuges.next() : args.value_or("to", "");
            items.push_back(move_one(context, fleet, vm.name, to, {}));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            items.push_back({{"vm", vm.name},
                             {"uuid", vm.uuid},
                             {"from", entry.name},
                             {"to", to.empty() ? Json(nullptr) : Json(to)},
                             {"moved", false},
                             {"place", entry.name},
                             {"error", error.one_line()}});
        }
    }
    return show_moves(context, std::move(items));
}

/// Images of VMs that may run on a host that does not answer: their overlays cannot be seen.
std::set<std::string> images_out_of_sight(Context& context, const Fleet& fleet)
{
    std::set<std::string> digests;
    for (const auto& vm : context.store().vms()) {
        if (fleet.find(vm.host) == nullptr) {
            digests.insert(vm.image);
        }
    }
    return digests;
}

/// Images that something on this host, or a VM that the lineage has there, still needs.
Json collect_host(Context& context,
                  deployer::Hypervisor& host,
                  std::set<std::string> keep,
                  bool dry_run)
{
    for (const auto& vm : context.store().vms()) {
        if (vm.host == host.host()) {
            keep.insert(vm.image);
        }
    }
    Json items = Json::array();
    for (const auto& base : host.bases()) {
        const bool used = !base.used_by.empty() || keep.contains(base.digest);
        if (!used && !dry_run) {
            host.remove_base(base.digest);
        }
        const auto info = context.store().find_image(base.digest);
        items.push_back({{"host", host.host()},
                         {"digest", base.digest},
                         {"name", info ? Json(info->name) : Json(nullptr)},
                         {"bytes", base.bytes},
                         {"used_by", base.used_by},
                         {"state",
                          used      ? "in use"
                          : dry_run ? "would go"
                                    : "removed"}});
    }
    return items;
}

int run_gc(Context& context, const Args& args)
{
    const auto& words = args.expect_words(0, 10000, "[HOST…]");
    for (const auto& word : words) {
        (void)find_host_entry(context, word);
    }
    const Fleet fleet(host_entries(context), connect_patience, context.cancel());
    const auto out_of_sight = images_out_of_sight(context, fleet);
    Answer answer{
        .schema = "stemma.host.gc/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    answer.items = Json::array();
    for (const auto& entry : host_entries(context)) {
        if (!words.empty() && std::ranges::find(words, entry.name) == words.end()) {
            continue;
        }
        auto* const host = fleet.find(entry.name);
        if (host == nullptr) {
            answer.gaps.push_back(
                {.what = "host " + entry.name, .reason = "cannot be reached: left as it is"});
            continue;
        }
        for (auto& item : collect_host(context, *host, out_of_sight, args.has("dry-run"))) {
            answer.items.push_back(std::move(item));
        }
    }
    answer.extra["dry_run"] = args.has("dry-run");
    return show(context,
                answer,
                {{.title = "HOST", .member = "host"},
                 {.title = "IMAGE", .member = "name"},
                 {.title = "DIGEST", .member = "digest", .style = Column::Style::digest},
                 {.title = "SIZE",
                  .member = "bytes",
                  .align = Column::Align::right,
                  .style = Column::Style::size},
                 {.title = "STATE", .member = "state"}});
}

} // namespace

Command migrate_command()
{
    return {
        .name = "vm migrate",
        .summary = "move a running VM to another host",
        .synopsis = "VM HOST [--peer-to-peer] [--timeout SECONDS]",
        .description =
            "Live: the guest goes on. The image's digest is proven on HOST first; then empty "
            "overlays are made there and memory and disks move, unless both hosts see the same "
            "files. Whatever happens on the way, both hosts are looked at afterwards: exactly one "
            "runs the VM, the half that never ran is removed, and the lineage is told where it "
            "is.\n\nA migration that an earlier run began is followed to its end first.",
        .options = {{.name = "peer-to-peer",
                     .value = "",
                     .help = "the two daemons go on when this program dies; the source's must "
                             "reach the target's URI"},
                    {.name = "timeout",
                     .value = "SECONDS",
                     .help = "how long one that is under way is followed (600)"}},
        .examples = {{"stemma vm migrate shop-2 rack2", "Off to another rack."}},
        .exits = "1 it stayed where it was; 4 nobody knows where it is until a host answers",
        .run = run_migrate};
}

std::vector<Command> moving_host_commands()
{
    return {
        {.name = "host drain",
         .summary = "empty a host for maintenance",
         .synopsis = "HOST [--to HOST] [--undo]",
         .description =
             "Places nothing new on HOST and migrates its running VMs to other hosts: those whose "
             "guests run on the same kind of processor, most labels in common first, then the "
             "emptiest. VMs that do not run stay. --undo makes it usual again; nothing moves "
             "back.",
         .options = {{.name = "to", .value = "HOST", .help = "all of them there"},
                     {.name = "undo", .value = "", .help = "maintenance is over"}},
         .examples = {{"stemma host drain rack1", "Before its disks are changed."}},
         .exits = "1 a VM stayed; 4 nobody knows where one is until a host answers",
         .run = run_drain},
        {.name = "host gc",
         .summary = "remove base images that no VM of a host uses",
         .synopsis = "[HOST…] [--dry-run]",
         .description =
             "On each host that answers (all, or those named): base images on which no overlay "
             "lies, that no VM there was deployed from, and that no VM on a host that does not "
             "answer was deployed from. They are brought again when they are needed.",
         .options = {{.name = "dry-run", .value = "", .help = "only show what would go"}},
         .examples = {{"stemma host gc --dry-run", "How much is there?"}},
         .exits = "4 a host cannot be reached",
         .run = run_gc},
    };
}

} // namespace stemma::cli
