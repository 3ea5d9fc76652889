#include "vm_history.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "ids.hpp"

namespace stemma::lineage {

VmHistory::VmHistory(std::optional<VmSpan> last)
{
    if (last) {
        spans_.push_back(*std::move(last));
    }
}

bool VmHistory::alive() const noexcept
{
    return !spans_.empty() && spans_.back().until == forever;
}

VmSpan VmHistory::present() const
{
    if (alive()) {
        return spans_.back();
    }
    VmSpan unknown;
    unknown.state = "unknown";
    return unknown;
}

void VmHistory::turn(VmSpan wanted, std::uint64_t seq, std::int64_t at)
{
    if (alive()) {
        auto& now = spans_.back();
        const bool same_place = now.host == wanted.host && now.image == wanted.image;
        if (same_place) {
            wanted.placed = now.placed;
        }
        if (same_place && now.state == wanted.state && now.release == wanted.release) {
            return;
        }
        if (now.since >= at) { // no span without length
            at = now.since;
            spans_.pop_back();
        } else {
            now.until = at;
        }
    } else if (!spans_.empty()) {
        at = std::max(at, spans_.back().until);
    }
    wanted.since = at;
    wanted.until = forever;
    wanted.seq = seq;
    spans_.push_back(std::move(wanted));
}

void VmHistory::deploy(const Json& body, std::uint64_t seq, std::int64_t at)
{
    VmSpan wanted = present();
    wanted.host = optional_string_member(body, "host").value_or(wanted.host);
    if (const auto image = optional_string_member(body, "image")) {
        wanted.image = digest_from(*image, "image");
    }
    wanted.release = optional_string_member(body, "release").value_or(wanted.release);
    wanted.state = optional_string_member(body, "state").value_or(wanted.state);
    wanted.placed = seq;
    turn(std::move(wanted), seq, at);
}

void VmHistory::see(const Json& body, std::uint64_t seq, std::int64_t at)
{
    VmSpan wanted = present();
    const auto state = optional_string_member(body, "state").value_or("unknown");
    const auto host = optional_string_member(body, "host").value_or(wanted.host);
    const bool elsewhere = alive() && host != wanted.host && !wanted.host.empty();
    if (state != "running" && (elsewhere || (!alive() && !spans_.empty()))) {
        return; // the host that it left, or an end that was told before
    }
    if (elsewhere && wanted.state == "running") {
        conflicts_.push_back(
            {seq, fmt::format("seen running on {} while it runs on {}", host, wanted.host)});
    }
    if (!alive() && !spans_.empty()) {
        conflicts_.push_back({seq, fmt::format("seen running on {} after it was retired", host)});
        wanted.image = spans_.back().image;
    }
    wanted.host = host;
    wanted.state = state;
    wanted.placed = seq;
    turn(std::move(wanted), seq, at);
}

void VmHistory::migrate(const Json& body, std::uint64_t seq, std::int64_t at)
{
    VmSpan wanted = present();
    const auto from = optional_string_member(body, "from").value_or("");
    const auto to = string_member(body, "to");
    if (alive() && !from.empty() && wanted.host != from && wanted.host != to) {
        conflicts_.push_back(
            {seq, fmt::format("migrated from {} while it runs on {}", from, wanted.host)});
    }
    wanted.host = to;
    wanted.placed = seq;
    turn(std::move(wanted), seq, at);
}

void VmHistory::retire(std::int64_t at)
{
    if (!alive()) {
        return;
    }
    auto& now = spans_.back();
    if (now.since >= at) {
        spans_.pop_back(); // it ended as it began; what was before it stays closed
        return;
    }
    now.until = at;
}

void VmHistory::apply(const model::Event& event, std::uint64_t seq, std::int64_t at)
{
    const auto name = optional_string_member(event.body, "name").value_or("");
    if (!name.empty()) {
        name_ = name;
    }
    if (event.kind == "vm.deployed") {
        deploy(event.body, seq, at);
    } else if (event.kind == "vm.state") {
        see(event.body, seq, at);
    } else if (event.kind == "vm.migrated") {
        migrate(event.body, seq, at);
    } else if (event.kind == "vm.retired") {
        retire(at);
    }
}

void order(std::vector<VmFact>& facts)
{
    const auto by_origin = [](const VmFact& a, const VmFact& b) {
        return std::tie(a.origin, a.oseq) < std::tie(b.origin, b.oseq);
    };
    std::sort(facts.begin(), facts.end(), by_origin);
    for (std::size_t i = 1; i < facts.size(); ++i) {
        if (facts[i].origin == facts[i - 1].origin) {
            facts[i].at = std::max(facts[i].at, facts[i - 1].at);
        }
    }
    std::stable_sort(facts.begin(), facts.end(), [](const VmFact& a, const VmFact& b) {
        return a.at < b.at; // equal times stay in the order of (origin, oseq)
    });
}

} // namespace stemma::lineage
