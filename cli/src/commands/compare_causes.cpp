#include "compare_causes.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/query.hpp"

#include <algorithm>

#include "snapshot.hpp"

namespace stemma::cli {

namespace {

using analyzer::Code;
using analyzer::Finding;
using analyzer::NodeId;
using lineage::SnapshotInfo;

constexpr std::size_t most_findings = 50;
constexpr std::size_t most_snapshots = 24;

/// An event that happened to the VM, or that made its image.
struct Fact {
    Json item; ///< as Query::event_item()
    Time at{};
};

bool changes_a_vm(const std::string& kind)
{
    return kind == "vm.changed" || kind == "vm.deployed" || kind == "action.run" ||
           kind == "vm.migrated" || kind == "release.applied";
}

Code code_at(const analyzer::Sample& sample, NodeId node)
{
    const auto at = std::lower_bound(sample.seen.begin(),
                                     sample.seen.end(),
                                     node,
                                     [](const auto& seen, NodeId id) { return seen.node < id; });
    return at != sample.seen.end() && at->node == node ? at->code : analyzer::code_absent;
}

/// The name of the package that a finding of kind "package" is about: "[openssl]/version" or
/// "openssl/version".
std::string package_of(const Finding& finding)
{
    if (finding.file != "package:") {
        return {};
    }
    std::string name = finding.setting.substr(0, finding.setting.find('/'));
    if (name.starts_with('[') && name.ends_with(']')) {
        name = name.substr(1, name.size() - 2);
    }
    return name;
}

std::vector<std::uint64_t> events_of_vm(lineage::Query& query, const std::string& uuid)
{
    const std::vector<std::string> words = {"vm:" + uuid};
    try {
        return query.history(query.select(lineage::parse_selection(words, [](const std::string&) {
            return std::string(); // no @FILE is among the words
        })));
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) {
            throw;
        }
        return {}; // snapshots alone know of it
    }
}

class Tracer {
public:
    Tracer(Context& context, ComparedSet& set) : context_(context), set_(set)
    {
        const auto snapshots = context.store().snapshots(*set.target_vm);
        for (const SnapshotInfo& snapshot : snapshots) {
            past_.push_back(snapshot);
            if (snapshot.id == set.target_snapshot) {
                break;
            }
        }
        std::reverse(past_.begin(), past_.end()); // newest first, the target's own in front
        if (past_.size() > most_snapshots) {
            past_.resize(most_snapshots);
            cut_ = true;
        }
        read_images();
        read_facts();
    }

    Json trace(Finding& finding)
    {
        if (past_.empty()) {
            return nullptr;
        }
        if (const Json* told = told_by_image(finding)) {
            finding.since = fmt::format("came with {} (event {})",
                                        text_of((*told)["detail"], "an event"),
                                        (*told)["seq"].dump());
            return event_of(*told, "told", nullptr, nullptr);
        }
        std::size_t oldest = 0;
        while (oldest + 1 < past_.size() && is_alike(oldest + 1, finding.node)) {
            ++oldest;
        }
        return oldest + 1 < past_.size() ? came_between(finding, past_[oldest + 1], past_[oldest])
                                         : always_so(finding, past_[oldest]);
    }

private:
    void read_images()
    {
        auto image = context_.store().find_image(past_.empty() ? "" : past_.front().image);
        for (int depth = 0; image && depth < 64; ++depth) {
            images_.push_back(*image);
            image = image->parent ? context_.store().find_image(*image->parent) : std::nullopt;
        }
    }

    void read_facts()
    {
        lineage::Query query(context_.store(), {});
        for (const auto seq : events_of_vm(query, *set_.target_vm)) {
            Json item = query.event_item(seq);
            if (changes_a_vm(string_member(item, "kind"))) {
                const Time at = parse_time(string_member(item, "at"));
                facts_.push_back({std::move(item), at});
            }
        }
        for (const auto& image : images_) {
            image_events_.push_back(query.event_item(image.seq));
        }
    }

    /// The newest image of the line that says it installed this file or package.
    const Json* told_by_image(const Finding& finding) const
    {
        const std::string package = package_of(finding);
        for (std::size_t i = 0; i < images_.size(); ++i) {
            for (const Json& entry : images_[i].installed) {
                const bool is_file = optional_string_member(entry, "path") == finding.file;
                const bool is_package =
                    !package.empty() && optional_string_member(entry, "name") == package;
                if (is_file || is_package) {
                    return &image_events_[i];
                }
            }
        }
        return nullptr;
    }

    /// Was it in that snapshot as it is now? Unreadable ones are passed over.
    bool is_alike(std::size_t index, NodeId node)
    {
        while (samples_.size() <= index) {
            samples_.push_back(read_sample(past_[samples_.size()]));
        }
        return !samples_[index] || code_at(*samples_[index], node) == code_at(set_.target, node);
    }

    std::optional<analyzer::Sample> read_sample(const SnapshotInfo& snapshot)
    {
        context_.cancel().check();
        try {
            return set_.pool->read(snapshot.vm_name,
                                   snapshot_folder(context_).features(snapshot.id));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            context_.log().debug("snapshot {}: {}", snapshot.id, error.one_line());
            return std::nullopt;
        }
    }

    /// The last fact after `from` and not after `to`; one that names the finding's file comes
    /// before those that do not, which count only when `any`.
    const Fact* fact_between(const Finding& finding, Time from, Time to, bool any) const
    {
        const Fact* last = nullptr;
        const Fact* naming = nullptr;
        for (const Fact& fact : facts_) {
            if (fact.at <= from || fact.at > to) {
                continue;
            }
            last = &fact;
            const bool names =
                !finding.file.empty() &&
                text_of(fact.item["detail"], "").find(finding.file) != std::string::npos;
            naming = names ? &fact : naming;
        }
        return naming != nullptr ? naming : any ? last : nullptr;
    }

    static std::string told(const Fact& fact)
    {
        return fmt::format("{} {} (event {})",
                           string_member(fact.item, "kind"),
                           text_of(fact.item["detail"], "an event"),
                           fact.item["seq"].dump());
    }

    Json came_between(Finding& finding, const SnapshotInfo& before, const SnapshotInfo& seen) const
    {
        const Fact* last = fact_between(finding, before.taken, seen.taken, true);
        finding.since = fmt::format(
            "came between {} and {}", format_time(before.taken), format_time(seen.taken));
        if (last == nullptr) {
            finding.since += "; no event of the VM is known from that time";
            return {{"seq", nullptr},
                    {"kind", "snapshot.taken"},
                    {"at", format_time(seen.taken)},
                    {"detail", "first seen in this snapshot"},
                    {"basis", "between"},
                    {"seen", seen.id},
                    {"before", before.id}};
        }
        finding.since += ", when: " + told(*last);
        return event_of(last->item, "between", &seen, &before);
    }

    Json always_so(Finding& finding, const SnapshotInfo& first) const
    {
        const Fact* deployed = nullptr;
        for (const Fact& fact : facts_) {
            if (fact.at <= first.taken && string_member(fact.item, "kind") == "vm.deployed") {
                deployed = &fact;
            }
        }
        finding.since = fmt::format(
            "so since {}{}", cut_ ? "before " : "its first snapshot of ", format_time(first.taken));
        if (deployed == nullptr) {
            return nullptr;
        }
        finding.since += fmt::format(
            "; deployed {} (event {})", format_time(deployed->at), deployed->item["seq"].dump());
        if (const Fact* change = fact_between(finding, deployed->at, first.taken, false)) {
            finding.since = told(*change) + ", after its deployment";
            return event_of(change->item, "between", &first, nullptr);
        }
        return event_of(deployed->item, "always", &first, nullptr);
    }

    static Json event_of(const Json& item,
                         std::string_view basis,
                         const SnapshotInfo* seen,
                         const SnapshotInfo* before)
    {
        return {{"seq", item["seq"]},
                {"kind", item["kind"]},
                {"at", item["at"]},
                {"detail", item["detail"]},
                {"basis", basis},
                {"seen", seen == nullptr ? Json(nullptr) : Json(seen->id)},
                {"before", before == nullptr ? Json(nullptr) : Json(before->id)}};
    }

    Context& context_;
    ComparedSet& set_;
    std::vector<SnapshotInfo> past_;
    bool cut_ = false; ///< there are older snapshots than those
    std::vector<std::optional<analyzer::Sample>> samples_;
    std::vector<lineage::ImageInfo> images_;
    std::vector<Json> image_events_; ///< beside `images_`
    std::vector<Fact> facts_;        ///< by time
};

} // namespace

std::vector<Json>
trace_findings(Context& context, ComparedSet& set, std::vector<analyzer::Finding>& findings)
{
    std::vector<Json> events(findings.size());
    if (!set.target_vm || !set.target_snapshot) {
        return events;
    }
    Tracer tracer(context, set);
    for (std::size_t i = 0; i < findings.size() && i < most_findings; ++i) {
        if (findings[i].category == analyzer::Category::of_interest) {
            events[i] = tracer.trace(findings[i]);
        }
    }
    return events;
}

std::vector<analyzer::Mark> past_of(Context& context, const ComparedSet& set)
{
    std::vector<analyzer::Mark> past;
    if (!set.target_vm) {
        return past;
    }
    for (const SnapshotInfo& snapshot : context.store().snapshots(*set.target_vm)) {
        past.push_back({analyzer::Mark::Kind::snapshot,
                        snapshot.taken,
                        fmt::format("snapshot {}", snapshot.id.substr(0, 8))});
    }
    lineage::Query query(context.store(), {});
    for (const auto seq : events_of_vm(query, *set.target_vm)) {
        const Json item = query.event_item(seq);
        const std::string kind = string_member(item, "kind");
        if (kind != "snapshot.taken") {
            past.push_back({analyzer::Mark::Kind::event,
                            parse_time(string_member(item, "at")),
                            fmt::format("{} {}", kind, text_of(item["detail"], "an event"))});
        }
    }
    return past;
}

} // namespace stemma::cli
