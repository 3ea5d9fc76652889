#include "steps.hpp"

#include "stemma/hooks/session.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>

#include "grouping.hpp"

namespace stemma::hooks {

namespace {

using model::StepKind;

bool ran_linker(const ProcessRecord& record)
{
    return std::any_of(record.images.begin(), record.images.end(), [](const Image& image) {
        return !image.argv.empty() && role_of(image.argv.front(), image.argv) == Role::linker;
    });
}

StepKind kind_of(Role role, bool linked)
{
    switch (role) {
    case Role::compiler:
        return linked ? StepKind::link : StepKind::compile;
    case Role::archiver:
        return StepKind::archive;
    case Role::linker:
        return StepKind::link;
    case Role::copier:
        return StepKind::copy;
    case Role::packer:
        return StepKind::pack;
    case Role::installer:
        return StepKind::install;
    case Role::shell:
    case Role::other:
    case Role::scheduler:
        return StepKind::generate;
    }
    return StepKind::other;
}

/// How well a program names the step that its group is.
int weight(Role role, const Image* image)
{
    if (swallows_children(role)) {
        return 3;
    }
    const bool script = role == Role::shell && image != nullptr && runs_script(*image);
    return role == Role::other || script ? 2 : role == Role::shell ? 1 : 0;
}

class StepMaker {
public:
    StepMaker(const Recorded& recorded, Grouping& grouping)
        : recorded_(recorded), grouping_(grouping)
    {
    }

    std::vector<DraftStep> make()
    {
        for (std::size_t i = 0; i < recorded_.processes.size(); ++i) {
            const auto group = grouping_.group_of(i);
            add(i, steps_[group]);
            add_extractions(i, group);
        }
        leave_to_children();
        std::vector<DraftStep> made;
        for (auto& [group, step] : steps_) {
            for (const auto output : step.outputs) {
                step.inputs.erase(output);
            }
            drop_untouched(step);
            for (const auto archive : read_whole_[group]) {
                if (const auto taken = step.extractions.find(archive);
                    taken != step.extractions.end() && taken->second.doubt.empty()) {
                    taken->second.doubt = "not the linker alone read it";
                }
            }
            if (step.tool) {
                step.inputs.erase(*step.tool);
            }
            if (step.role == Role::scheduler) {
                split_passed_on(step, made);
            }
            if (!step.outputs.empty()) {
                made.push_back(std::move(step));
            }
        }
        std::sort(made.begin(), made.end(), [](const DraftStep& a, const DraftStep& b) {
            return a.ended < b.ended;
        });
        return made;
    }

private:
    void add(std::size_t index, DraftStep& step)
    {
        const auto& record = recorded_.processes[index].record;
        const auto role = grouping_.role(index);
        const auto* image = main_image(record);
        const auto head = grouping_.group_of(index);
        const bool scheduled = grouping_.role(head) == Role::scheduler;
        const bool first = step.argv.empty() && !scheduled;
        const bool names_better =
            scheduled ? index == head
                      : weight(role, image) > step.weight ||
                            (weight(role, image) == step.weight && record.started < step.started);
        if (image != nullptr && (first || record.tag || names_better)) {
            step.weight = weight(role, image);
            step.started = record.started;
            step.role = role;
            step.kind = kind_of(role, ran_linker(record));
            step.tool = image->program;
            step.argv = image->argv;
            step.cwd = image->cwd;
            step.exit = record.exit;
        }
        if (const auto* tag = grouping_.tag_of(index); tag != nullptr) {
            step.target = tag->target;
            step.target_type = tag->type;
        }
        step.ended = std::max(step.ended, record.ended);
        for (const auto& access : record.accesses) {
            if ((access.bits & access_write) != 0) {
                step.outputs.insert(access.id);
            }
            if ((access.bits & ~unsigned{access_write}) != 0) {
                step.inputs.insert(access.id);
            }
        }
    }

    /// "sed … > Makefile" in a script that runs tools: the shell opened what sed wrote. That is
    /// sed's, and comes from the script too, which says what sed is to do.
    void leave_to_children()
    {
        std::multimap<SeenIndex, DraftStep*> writers;
        for (auto& [group, step] : steps_) {
            for (const auto output : step.outputs) {
                if (!grouping_.splits(group)) {
                    writers.emplace(output, &step);
                }
            }
        }
        for (auto& [group, step] : steps_) {
            if (!grouping_.splits(group)) {
                continue;
            }
            const auto script = script_of(step);
            std::erase_if(step.outputs, [&](SeenIndex output) {
                const auto [first, last] = writers.equal_range(output);
                for (auto writer = first; writer != last; ++writer) {
                    if (script) {
                        writer->second->inputs.insert(*script);
                    }
                }
                return first != last;
            });
        }
    }

    /// The file that a shell was told to run, as itself ("./configure") or as its argument.
    [[nodiscard]] std::optional<SeenIndex> script_of(const DraftStep& step) const
    {
        if (step.tool && !is_system_path(recorded_.files[*step.tool].path)) {
            return step.tool;
        }
        if (step.role != Role::shell || step.argv.size() < 2) {
            return std::nullopt;
        }
        const auto path = (std::filesystem::path(step.cwd) / step.argv[1]).lexically_normal();
        const auto found =
            std::find_if(step.inputs.begin(), step.inputs.end(), [&](SeenIndex input) {
                return recorded_.files[input].path == path;
            });
        return found == step.inputs.end() ? std::nullopt : std::optional(*found);
    }

    /// What a scheduler copies, renames or signs comes from that one file, and not from all that it
    /// reads: "cargo build" links the program to its place, "go build" writes a build id into it.
    void split_passed_on(DraftStep& step, std::vector<DraftStep>& made) const
    {
        std::multimap<Digest, SeenIndex> by_content;
        std::multimap<std::string_view, SeenIndex> by_path;
        const auto note = [&](SeenIndex index) {
            const auto& file = recorded_.files[index];
            if (file.content && file.content->ids.size != 0) {
                by_content.emplace(file.content->ids.sha256, index);
                by_path.emplace(file.path, index);
            }
        };
        std::for_each(step.inputs.begin(), step.inputs.end(), note);
        const std::set<SeenIndex> outputs(step.outputs);
        std::for_each(outputs.begin(), outputs.end(), note);
        std::map<SeenIndex, SeenIndex> origins;
        for (const auto output : outputs) {
            if (const auto from = origin_of(step, output, by_content, by_path)) {
                origins.emplace(output, *from);
            }
        }
        for (const auto& [output, from] : origins) {
            DraftStep copy = step;
            copy.kind = StepKind::copy;
            copy.role = Role::copier;
            auto first = from; // earlier each time, so this ends
            for (auto at = origins.find(first); at != origins.end(); at = origins.find(first)) {
                first = at->second;
            }
            copy.copies_own = outputs.count(first) != 0;
            copy.inputs = {from};
            copy.outputs = {output};
            made.push_back(std::move(copy));
            step.outputs.erase(output);
        }
    }

    /// The same bytes at another place, else a binary as it was before at the same place.
    std::optional<SeenIndex>
    origin_of(const DraftStep& step,
              SeenIndex output,
              const std::multimap<Digest, SeenIndex>& by_content,
              const std::multimap<std::string_view, SeenIndex>& by_path) const
    {
        const auto& file = recorded_.files[output];
        if (!file.content || file.content->ids.size == 0) {
            return std::nullopt;
        }
        std::optional<SeenIndex> found;
        const auto [first, last] = by_content.equal_range(file.content->ids.sha256);
        for (auto at = first; at != last; ++at) {
            // Of several copies the one that it found there, and not one that it made as well.
            const bool better =
                !found || (step.inputs.count(*found) == 0 && step.inputs.count(at->second) != 0);
            const bool earlier = step.inputs.count(at->second) != 0 || at->second < output;
            if (recorded_.files[at->second].path != file.path && earlier && better) {
                found = at->second;
            }
        }
        if (found && step.inputs.count(*found) != 0) {
            return found;
        }
        const auto [begin, end] = by_path.equal_range(file.path);
        for (auto at = begin; at != end && file.content->kind != 'd'; ++at) {
            const bool before = step.inputs.count(at->second) != 0;
            if (before && recorded_.files[at->second].content->kind == file.content->kind) {
                return at->second;
            }
        }
        return found;
    }

    /// Two links of one step may take different members; what is no link may use any of them.
    void add_extractions(std::size_t index, std::size_t group)
    {
        const auto& record = recorded_.processes[index].record;
        std::set<SeenIndex> known;
        for (const auto& taken : record.extractions) {
            known.insert(taken.archive);
            auto& all = steps_[group].extractions.try_emplace(taken.archive).first->second;
            std::vector<std::uint32_t> members;
            std::set_union(all.members.begin(),
                           all.members.end(),
                           taken.members.begin(),
                           taken.members.end(),
                           std::back_inserter(members));
            all = {taken.archive,
                   taken.thin,
                   std::move(members),
                   all.doubt.empty() ? taken.doubt : all.doubt};
        }
        for (const auto& access : record.accesses) {
            const auto& file = recorded_.files[access.id];
            const bool archive = file.content && file.content->kind == 'a';
            if (archive && (access.bits & ~unsigned{access_write}) != 0 &&
                known.count(access.id) == 0) {
                read_whole_[group].insert(access.id);
            }
        }
    }

    /// ranlib on an archive that has an index writes the same bytes again: that made nothing.
    void drop_untouched(DraftStep& step) const
    {
        std::vector<SeenIndex> own;
        for (const auto input : step.inputs) {
            if (!is_system_path(recorded_.files[input].path)) {
                own.push_back(input);
            }
        }
        if (own.size() != 1 || step.outputs.size() != 1) {
            return;
        }
        const auto& before = recorded_.files[own.front()];
        const auto& after = recorded_.files[*step.outputs.begin()];
        const bool same = before.content && after.content && before.path == after.path &&
                          before.content->ids.sha256 == after.content->ids.sha256;
        if (same) {
            step.outputs.clear();
        }
    }

    const Recorded& recorded_;
    Grouping& grouping_;
    std::map<std::size_t, DraftStep> steps_;
    std::map<std::size_t, std::set<SeenIndex>> read_whole_; ///< archives, by group
};

} // namespace

std::vector<DraftStep> make_steps(const Recorded& recorded)
{
    Grouping grouping(recorded);
    grouping.join_all();
    return StepMaker(recorded, grouping).make();
}

} // namespace stemma::hooks
