#include "members.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace stemma::hooks {

namespace {

/// How much a step shows of itself as the maker of a member.
DraftStep copy_by(const DraftStep& step)
{
    DraftStep copy;
    copy.kind = model::StepKind::copy;
    copy.role = Role::copier;
    copy.tool = step.tool;
    copy.argv = step.argv;
    copy.cwd = step.cwd;
    copy.target = step.target;
    copy.target_type = step.target_type;
    copy.started = step.started;
    copy.ended = step.ended;
    copy.copies_member = true;
    return copy;
}

class Members {
public:
    Members(std::vector<DraftStep>& steps, Recorded& recorded) : steps_(steps), recorded_(recorded)
    {
        for (SeenIndex i = 0; i < recorded.files.size(); ++i) {
            const auto& file = recorded.files[i];
            if (file.content && file.content->ids.size != 0) {
                by_content_[file.content->ids.sha256].push_back(i);
            }
        }
        for (std::size_t i = 0; i < steps.size(); ++i) {
            for (const auto output : steps[i].outputs) {
                makers_[output] = i; // the newest wins: steps are in time order
            }
        }
    }

    void settle()
    {
        const auto count = steps_.size();
        // Archives first: what a link takes of a changed one is then known to come from before.
        for (std::size_t i = 0; i < count; ++i) {
            settle_change(i);
        }
        for (std::size_t i = 0; i < count; ++i) {
            settle_link(i);
        }
        std::stable_sort(copies_.begin(), copies_.end(), by_end);
        std::vector<DraftStep> all;
        all.reserve(steps_.size() + copies_.size());
        std::merge(std::make_move_iterator(copies_.begin()),
                   std::make_move_iterator(copies_.end()),
                   std::make_move_iterator(steps_.begin()),
                   std::make_move_iterator(steps_.end()),
                   std::back_inserter(all),
                   by_end);
        steps_ = std::move(all);
    }

private:
    static bool by_end(const DraftStep& a, const DraftStep& b) { return a.ended < b.ended; }

    [[nodiscard]] const std::vector<ArchiveMember>& members_of(SeenIndex archive) const
    {
        static const std::vector<ArchiveMember> none;
        const auto& content = recorded_.files[archive].content;
        return content ? content->members : none;
    }

    /// "ar r libx.a b.o" reads libx.a as it was: of it the new one has what came from no object.
    void settle_change(std::size_t number)
    {
        auto& step = steps_[number];
        if (step.role != Role::archiver || step.outputs.size() != 1) {
            return;
        }
        std::map<Digest, std::pair<SeenIndex, std::uint32_t>> before;
        std::vector<SeenIndex> archives;
        std::map<Digest, bool> objects;
        for (const auto input : step.inputs) {
            const auto& members = members_of(input);
            for (std::uint32_t i = 0; i < members.size(); ++i) {
                before.try_emplace(members[i].sha256, input, i);
            }
            if (!members.empty()) {
                archives.push_back(input);
            } else if (recorded_.files[input].content) {
                objects[recorded_.files[input].content->ids.sha256] = true;
            }
        }
        std::vector<std::pair<SeenIndex, std::uint32_t>> kept;
        for (const auto& member : members_of(*step.outputs.begin())) {
            const auto from = before.find(member.sha256);
            if (objects.count(member.sha256) != 0) {
                continue;
            }
            if (from == before.end()) {
                return; // it was made into something else on the way: all of it counts
            }
            kept.push_back(from->second);
        }
        if (members_of(*step.outputs.begin()).empty() || archives.empty()) {
            return;
        }
        for (const auto archive : archives) {
            step.inputs.erase(archive);
        }
        for (const auto& [archive, member] : kept) {
            steps_[number].inputs.insert(node(archive, member, number));
        }
    }

    void settle_link(std::size_t number)
    {
        for (const auto& [archive, taken] : std::exchange(steps_[number].extractions, {})) {
            auto& step = steps_[number];
            const auto& members = members_of(archive);
            const bool known =
                taken.thin || taken.members.empty() || taken.members.back() < members.size();
            if (!taken.doubt.empty() || !known) {
                step.unsettled[archive] =
                    known ? taken.doubt : std::string("the record of its members is damaged");
                continue;
            }
            if (!taken.thin && taken.members.size() == members.size()) {
                continue;
            }
            step.inputs.erase(archive);
            for (const auto member : taken.members) {
                if (!taken.thin) { // else the link read the file itself
                    steps_[number].inputs.insert(node(archive, member, number));
                }
            }
        }
    }

    /// The file that a member is; made at first sight.
    /// reader  the step that takes it
    SeenIndex node(SeenIndex archive, std::uint32_t number, std::size_t reader)
    {
        const auto member = members_of(archive)[number]; // a copy: files grow below
        const auto path = recorded_.files[archive].path + "(" + member.name + ")";
        const auto [known, fresh] = nodes_.try_emplace(
            {path, member.sha256}, static_cast<SeenIndex>(recorded_.files.size()));
        if (!fresh) {
            return known->second;
        }
        SeenFile file;
        file.path = path;
        std::memcpy(&file.stamp, member.sha256.bytes.data(), sizeof file.stamp);
        file.size = member.size;
        file.content.emplace();
        file.content->ids.sha256 = member.sha256;
        file.content->ids.size = member.size;
        file.content->kind = 'o';
        recorded_.files.push_back(std::move(file));
        auto copy = copy_by(steps_[maker_of(archive).value_or(reader)]);
        copy.inputs.insert(object_of(archive, member));
        copy.outputs.insert(known->second);
        copies_.push_back(std::move(copy));
        return known->second;
    }

    /// The step that made an archive, or one of its content: ranlib may write it again as it was.
    [[nodiscard]] std::optional<std::size_t> maker_of(SeenIndex archive) const
    {
        const auto& content = recorded_.files[archive].content;
        const auto same = content ? by_content_.find(content->ids.sha256) : by_content_.end();
        std::optional<std::size_t> newest;
        if (const auto found = makers_.find(archive); found != makers_.end()) {
            newest = found->second;
        } else if (same != by_content_.end()) {
            for (const auto file : same->second) {
                const auto maker = makers_.find(file);
                newest = maker == makers_.end() ? newest
                                                : std::max(newest, std::optional(maker->second));
            }
        }
        return newest;
    }

    /// The file that was archived as this member, the archive itself when none is known.
    [[nodiscard]] SeenIndex object_of(SeenIndex archive, const ArchiveMember& member) const
    {
        const auto found = by_content_.find(member.sha256);
        if (found == by_content_.end()) {
            return archive;
        }
        const auto maker = maker_of(archive);
        const auto rank = [&](SeenIndex file) {
            const bool archived = maker && steps_[*maker].inputs.count(file) != 0;
            const bool same_name = last_name(recorded_.files[file].path) == member.name;
            return (archived ? 2 : 0) + (same_name ? 1 : 0);
        };
        return *std::max_element(found->second.begin(),
                                 found->second.end(),
                                 [&](SeenIndex a, SeenIndex b) { return rank(a) < rank(b); });
    }

    std::vector<DraftStep>& steps_;
    Recorded& recorded_;
    std::unordered_map<Digest, std::vector<SeenIndex>> by_content_;
    std::unordered_map<SeenIndex, std::size_t> makers_;
    std::map<std::pair<std::string, Digest>, SeenIndex> nodes_;
    std::vector<DraftStep> copies_;
};

} // namespace

void settle_members(std::vector<DraftStep>& steps, Recorded& recorded)
{
    Members(steps, recorded).settle();
}

} // namespace stemma::hooks
