#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <set>

#include "compare_set.hpp"
#include "snapshot.hpp"

namespace stemma::cli {

namespace {

using lineage::SnapshotInfo;
using lineage::VmInfo;

/// The oldest image that one descends from, as far as the store knows.
std::string first_ancestor(lineage::Store& store, std::string image)
{
    for (int depth = 0; depth < 64; ++depth) {
        const auto info = store.find_image(image);
        if (!info || !info->parent) {
            break;
        }
        image = *info->parent;
    }
    return image;
}

std::vector<std::string> words_of_set(const std::string& text)
{
    std::vector<std::string> words;
    std::string word;
    for (const char byte : text + "+") {
        if (byte == '+' || byte == ',' || byte == ' ') {
            if (!word.empty()) {
                words.push_back(word);
            }
            word.clear();
        } else {
            word.push_back(byte);
        }
    }
    return words;
}

/// Names of the packages that are installed.
std::set<std::string> packages_of(const analyzer::FeatureSet& features)
{
    std::set<std::string> names;
    for (const auto& feature : features.features) {
        if (feature.kind == "package") {
            names.insert(feature.identity);
        }
    }
    return names;
}

/// Share of the packages of both that they have in common.
double likeness(const std::set<std::string>& one, const std::set<std::string>& other)
{
    const auto common = static_cast<double>(
        std::ranges::count_if(one, [&](const std::string& name) { return other.contains(name); }));
    const double all = static_cast<double>(one.size() + other.size()) - common;
    return all > 0 ? common / all : 0;
}

/// Same release, else same image lineage, else all: the first of these that has anybody.
/// `related` is false in the last case.
std::vector<VmInfo>
usual_peers(lineage::Store& store, const VmInfo& target, std::string& are, bool& related)
{
    related = true;
    const auto all = store.vms();
    const auto others = [&](const auto& belongs) {
        std::vector<VmInfo> some;
        for (const VmInfo& vm : all) {
            if (vm.uuid != target.uuid && belongs(vm)) {
                some.push_back(vm);
            }
        }
        return some;
    };
    if (!target.release.empty()) {
        are = "VMs of release " + target.release;
        auto some = others([&](const VmInfo& vm) { return vm.release == target.release; });
        if (!some.empty()) {
            return some;
        }
    }
    if (!target.image.empty()) {
        const std::string root = first_ancestor(store, target.image);
        are = "VMs of the same image lineage";
        auto some =
            others([&](const VmInfo& vm) { return first_ancestor(store, vm.image) == root; });
        if (!some.empty()) {
            return some;
        }
    }
    are = "all other VMs";
    related = false;
    return others([](const VmInfo&) { return true; });
}

/// Peers in the pool, each with how like the target's its packages are.
using Likenesses = std::vector<std::pair<analyzer::VmIndex, double>>;

/// A peer that is read and counted; `use` gets its index and features.
template <typename Use>
void add_snapshot(const analyzer::SnapshotFolder& folder,
                  const std::string& name,
                  const std::string& id,
                  ComparedSet& set,
                  const Use& use)
{
    try {
        const auto features = folder.features(id);
        use(set.pool->add(set.pool->read(name, features)), features);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        set.gaps.push_back({name, error.one_line()});
    }
}

void add_snapshot(const analyzer::SnapshotFolder& folder,
                  const std::string& name,
                  const std::string& id,
                  ComparedSet& set)
{
    add_snapshot(folder, name, id, set, [](analyzer::VmIndex, const analyzer::FeatureSet&) {});
}

/// Of VMs that nothing else unites those with the same packages stay, where there are enough.
void keep_alike(const Likenesses& peers, ComparedSet& set)
{
    constexpr double alike = 0.9;
    constexpr std::ptrdiff_t enough = 3;
    const auto is_alike = [](const auto& peer) { return peer.second >= alike; };
    if (std::ranges::count_if(peers, is_alike) < enough) {
        return;
    }
    for (const auto& peer : peers) {
        if (!is_alike(peer)) {
            set.pool->remove(peer.first);
        }
    }
    set.peers_are = "VMs with the same packages";
}

void add_peers(Context& context,
               const Args& args,
               const SnapshotInfo& target,
               const std::set<std::string>& packages,
               ComparedSet& set)
{
    lineage::Store& store = context.store();
    std::vector<VmInfo> peers;
    bool related = true;
    if (const auto words = args.value("peers")) {
        peers = vms_named(context, words_of_set(*words));
        set.peers_are = *words;
    } else {
        VmInfo self;
        if (const auto known = store.find_vm(target.vm)) {
            self = *known;
        }
        self.uuid = target.vm;
        self.image = self.image.empty() ? target.image : self.image;
        peers = usual_peers(store, self, set.peers_are, related);
    }
    const auto leave_out = args.values("exclude");
    const auto folder = snapshot_folder(context);
    Likenesses likenesses;
    Activity activity(context.progress(), "reading snapshots", peers.size(), "snapshots");
    for (const VmInfo& vm : peers) {
        context.cancel().check();
        activity.advance();
        const bool excluded =
            std::find(leave_out.begin(), leave_out.end(), vm.name) != leave_out.end();
        if (vm.uuid == target.vm || excluded) {
            continue;
        }
        const auto snapshots = store.snapshots(vm.uuid);
        if (snapshots.empty()) {
            set.gaps.push_back(
                {vm.name,
                 "it has no snapshot; take one: stemma snapshot take vm:" + shell_quote(vm.name)});
            continue;
        }
        add_snapshot(folder,
                     vm.name,
                     snapshots.back().id,
                     set,
                     [&](analyzer::VmIndex index, const analyzer::FeatureSet& features) {
                         if (!related) {
                             likenesses.emplace_back(index,
                                                     likeness(packages, packages_of(features)));
                         }
                     });
    }
    keep_alike(likenesses, set);
}

/// The VM's own past instead of peers.
void add_past(Context& context, const Args& args, const SnapshotInfo& target, ComparedSet& set)
{
    const auto folder = snapshot_folder(context);
    if (const auto word = args.value("baseline")) {
        const SnapshotInfo past = snapshot_named(context, *word);
        set.peers_are = fmt::format("its snapshot {} of {}", past.id, format_time(past.taken));
        add_snapshot(folder, past.vm_name, past.id, set);
        return;
    }
    const Time until = parse_time_or_age(*args.value("since"), context.clock().now());
    const SnapshotInfo* past = nullptr;
    const auto snapshots = context.store().snapshots(target.vm);
    for (const SnapshotInfo& snapshot : snapshots) {
        if (snapshot.taken <= until && snapshot.id != target.id) {
            past = &snapshot;
        }
    }
    if (past == nullptr) {
        throw Error(
            ErrorCode::not_found,
            fmt::format("{} has no snapshot from before {}", target.vm_name, format_time(until)),
            "list what there is: stemma snapshot list vm:" + target.vm_name);
    }
    set.peers_are = fmt::format("its snapshot {} of {}", past->id, format_time(past->taken));
    add_snapshot(folder, past->vm_name, past->id, set);
}

} // namespace

void compare_vms(Context& context, const Args& args, ComparedSet& set)
{
    const auto& words = args.expect_words(1, 1, "TARGET, a VM or a snapshot");
    const SnapshotInfo target = snapshot_named(context, words[0]);
    set.target_name = target.vm_name;
    set.target_vm = target.vm;
    set.target_snapshot = target.id;
    const auto features = snapshot_folder(context).features(target.id);
    set.target = set.pool->read(target.vm_name, features, true);
    if (args.has("baseline") || args.has("since")) {
        add_past(context, args, target, set);
    } else {
        add_peers(context, args, target, packages_of(features), set);
    }
}

namespace {

void add_newest_snapshots(Context& context, const Args& args, Fleet& fleet)
{
    if (args.words().empty()) {
        throw Error(ErrorCode::usage,
                    "no VM is named",
                    "name VMs (vm:NAME, release:NAME, …), or file trees with --trees FOLDER");
    }
    const auto folder = snapshot_folder(context);
    const auto vms = vms_named(context, args.words());
    Activity activity(context.progress(), "reading snapshots", vms.size(), "snapshots");
    for (const VmInfo& vm : vms) {
        context.cancel().check();
        activity.advance();
        const auto snapshots = context.store().snapshots(vm.uuid);
        if (snapshots.empty()) {
            fleet.gaps.push_back({vm.name, "it has no snapshot"});
            continue;
        }
        try {
            fleet.pool->add(fleet.pool->read(vm.name, folder.features(snapshots.back().id)));
            fleet.snapshots[vm.name] = snapshots.back().id;
        } catch (const Error& error) {
            fleet.gaps.push_back({vm.name, error.one_line()});
        }
    }
}

} // namespace

Fleet read_fleet(Context& context, const Args& args)
{
    Fleet fleet;
    if (const auto folder = args.value("trees")) {
        args.expect_words(0, 0, "no VM beside --trees");
        if (!std::filesystem::is_directory(*folder)) {
            throw Error(ErrorCode::not_found, fmt::format("not a folder: {}", *folder));
        }
        add_trees(context, args, {*folder, {}, {}}, *fleet.pool, fleet.gaps);
    } else {
        add_newest_snapshots(context, args, fleet);
    }
    if (fleet.pool->live() == 0) {
        throw Error(ErrorCode::not_found,
                    "none of these VMs could be read",
                    "take snapshots of them: stemma snapshot take VM…");
    }
    return fleet;
}

} // namespace stemma::cli
