#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "model.hpp"

namespace stemma::analyzer {

namespace {

bool is_named(std::string_view wanted, const std::string& file, const std::string& key)
{
    if (key.empty()) {
        return wanted == file;
    }
    const auto tail = key.rfind('/');
    return wanted == key || wanted == file + ":" + key || wanted == file + " " + key ||
           (tail != std::string::npos && wanted == std::string_view(key).substr(tail + 1));
}

Distribution distribution_of(const Judge& judge, const Canonical& canonical, NodeId id)
{
    const Pool& pool = judge.model().pool;
    Distribution result;
    const Place place = place_of(judge, canonical, id);
    result.file = place.file;
    result.setting = place.setting;
    result.peers = judge.peers();
    const Code own = judge.target_code(id);
    const bool has_values = !pool.node(id).values.empty();
    const Evidence evidence =
        judge.judge(id, has_values && own != code_absent ? Question::value : Question::absence);
    result.comparable = evidence.n;
    for (const Context* context : evidence.contexts) {
        const auto& support = context->supports.front();
        const auto [file, key] = pool.describe(support.node);
        result.contexts.push_back(fmt::format(
            "{}{}{} = {}",
            file,
            key.empty() ? "" : " ",
            key,
            canonical.expand(pool.value_text(support.node, judge.target_code(support.node)))));
    }
    std::map<Code, Distribution::Row> rows;
    for (const VmIndex vm : judge.model().live) {
        if (!judge.is_peer(vm)) {
            continue;
        }
        const Code code = pool.code_of(id, vm);
        Distribution::Row& row = rows[code];
        row.absent = code == code_absent;
        row.value = pool.value_text(id, code);
        row.target = code == own;
        ++row.count;
        if (row.vms.size() < 5) {
            row.vms.push_back(pool.name_of(vm));
        }
    }
    if (!rows.contains(own)) {
        Distribution::Row& row = rows[own];
        row.absent = own == code_absent;
        row.value = pool.value_text(id, own);
        row.target = true;
    }
    for (auto& [code, row] : rows) {
        result.rows.push_back(std::move(row));
    }
    std::stable_sort(result.rows.begin(), result.rows.end(), [](const auto& a, const auto& b) {
        return a.count > b.count;
    });
    return result;
}

} // namespace

std::vector<Distribution>
PeerModel::explain(const Sample& target, std::string_view setting, const RankOptions& options) const
{
    const Judge judge(*impl_, target, options);
    const Pool& pool = impl_->pool;
    const Canonical canonical(target.names, pool.rules());
    std::vector<Distribution> found;
    // Nodes that the pool learned later are in no VM that is compared.
    const auto known = static_cast<NodeId>(impl_->file_of.size());
    for (NodeId id = 1; id < known && found.size() < 20; ++id) {
        const Pool::Node& node = pool.node(id);
        if (node.role == NodeRole::kind || pool.node(node.parent).parent == impl_->types ||
            node.parent == impl_->types) {
            continue;
        }
        auto [file, key] = pool.describe(id);
        if (is_named(setting, canonical.expand(file), canonical.expand(key))) {
            found.push_back(distribution_of(judge, canonical, id));
        }
    }
    return found;
}

} // namespace stemma::analyzer
