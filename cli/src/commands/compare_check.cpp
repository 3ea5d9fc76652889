#include "compare_check.hpp"

#include "stemma/analyzer/peers.hpp"
#include "stemma/analyzer/take.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "deploy_support.hpp"
#include "snapshot.hpp"

namespace stemma::cli {

namespace {

constexpr std::size_t most_named = 3;

analyzer::Taken take_snapshot(Context& context, const deployer::VmSpec& vm)
{
    auto& store = context.store(lineage::Store::Mode::write);
    analyzer::Taker taker(
        {context.clock(), context.cancel(), context.log(), context.progress(), store},
        snapshot_folder(context),
        definition_of(Args()));
    analyzer::TakeOptions options;
    options.work_folder = capture_folder();
    const auto host = find_host_entry(context, vm.host);
    options.allow = {context.state_folder / "images", host.folder};
    analyzer::Subject subject{vm.uuid, vm.name, vm.host, vm.image.digest, std::nullopt};
    const auto before = store.snapshots(vm.uuid);
    if (!before.empty()) {
        subject.parent = before.back().id;
    }
    return taker.take(subject, host.uri, options);
}

/// The newest snapshots of the others that run the same image.
void add_peers(Context& context, const deployer::VmSpec& vm, analyzer::Pool& pool)
{
    auto& store = context.store();
    const auto folder = snapshot_folder(context);
    for (const auto& peer : store.vms()) {
        if (peer.uuid == vm.uuid || peer.release != vm.release || peer.image != vm.image.digest) {
            continue;
        }
        const auto snapshots = store.snapshots(peer.uuid);
        if (!snapshots.empty() && snapshots.back().image == vm.image.digest) {
            pool.add(pool.read(peer.name, folder.features(snapshots.back().id)));
        }
    }
}

bool is_ignored(const std::string& name, const std::vector<std::string>& patterns)
{
    return std::ranges::any_of(
        patterns, [&](const std::string& pattern) { return glob_match(pattern, name); });
}

} // namespace

PeerVerifier::PeerVerifier(Context& context,
                           deployer::Verifier& checks,
                           deployer::CompareCheck wanted)
    : context_(context), checks_(checks), wanted_(std::move(wanted))
{
}

deployer::CheckResult PeerVerifier::compare(const deployer::VmSpec& vm)
{
    deployer::CheckResult result{
        .name = "compare",
        .ok = false,
        .expected = fmt::format("at most {} settings stand apart", wanted_.allowed),
        .actual = {}};
    const auto taken = take_snapshot(context_, vm);
    analyzer::Pool pool;
    add_peers(context_, vm, pool);
    if (pool.live() == 0) {
        result.ok = true;
        result.actual = "it is the first: no peers yet";
        return result;
    }
    const auto target = pool.read(vm.name, taken.features, true);
    const auto ranking = analyzer::PeerModel(pool).rank(target, {});
    std::vector<std::string> apart;
    for (const auto& finding : ranking.findings) {
        const auto name = finding.file + ":" + finding.setting;
        if (finding.category == analyzer::Category::of_interest &&
            !is_ignored(name, wanted_.ignore)) {
            apart.push_back(name);
        }
    }
    result.ok = apart.size() <= wanted_.allowed;
    result.actual = fmt::format("{} of {} peers' settings", apart.size(), ranking.peers);
    for (std::size_t i = 0; i < std::min(apart.size(), most_named); ++i) {
        result.actual += (i == 0 ? ": " : ", ") + printable(apart[i]);
    }
    return result;
}

std::vector<deployer::CheckResult> PeerVerifier::verify(const deployer::VmSpec& vm,
                                                        deployer::GuestPort& guest)
{
    auto results = checks_.verify(vm, guest);
    if (std::ranges::all_of(results, &deployer::CheckResult::ok)) {
        try {
            results.push_back(compare(vm));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            results.push_back({.name = "compare",
                               .ok = false,
                               .expected = "a comparison with its peers",
                               .actual = error.one_line()});
        }
    }
    return results;
}

} // namespace stemma::cli
