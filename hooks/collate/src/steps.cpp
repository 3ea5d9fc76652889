#include "steps.hpp"

#include "stemma/hooks/session.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <unordered_map>

namespace stemma::hooks {

namespace {

using model::StepKind;

/// Who belongs together: disjoint sets over the processes.
class Groups {
public:
    explicit Groups(std::size_t size) : parent_(size)
    {
        std::iota(parent_.begin(), parent_.end(), std::size_t{0});
    }
    std::size_t find(std::size_t index)
    {
        while (parent_[index] != index) {
            parent_[index] = parent_[parent_[index]];
            index = parent_[index];
        }
        return index;
    }
    /// The group of `into` keeps its name.
    void join(std::size_t index, std::size_t into) { parent_[find(index)] = find(into); }

private:
    std::vector<std::size_t> parent_;
};

/// The program that a process is known by: the last that is no shell, else the last.
const Image* main_image(const ProcessRecord& record)
{
    const Image* best = nullptr;
    Role best_role = Role::shell;
    for (const auto& image : record.images) {
        if (image.of_child) {
            continue;
        }
        const auto role =
            image.argv.empty() ? Role::other : role_of(image.argv.front(), image.argv);
        if (best == nullptr || (role != Role::shell && !swallows_children(best_role))) {
            best = &image;
            best_role = role;
        }
    }
    return best;
}

Role role_of_process(const Recorded& recorded, const ProcessRecord& record)
{
    const auto* image = main_image(record);
    if (image == nullptr) {
        return Role::shell;
    }
    const std::string program =
        image->program ? recorded.files[*image->program].path : std::string();
    return role_of(program, image->argv);
}

class Grouping {
public:
    explicit Grouping(const Recorded& recorded)
        : recorded_(recorded), groups_(recorded.processes.size())
    {
        for (std::size_t i = 0; i < recorded.processes.size(); ++i) {
            const auto& process = recorded.processes[i];
            roles_.push_back(role_of_process(recorded, process.record));
            by_serial_[{process.writer, process.record.serial}] = i;
        }
        find_schedulers();
    }

    std::size_t group_of(std::size_t index) { return groups_.find(index); }
    [[nodiscard]] Role role(std::size_t index) const { return roles_[index]; }

    void join_all()
    {
        join_pipes();
        for (std::size_t i = 0; i < recorded_.processes.size(); ++i) {
            join_with_parent(i);
            join_with_writer_above(i);
        }
    }

    /// The launcher's words for a process: its own, or those of the nearest process above.
    const Tag* tag_of(std::size_t index)
    {
        for (int depth = 0; depth < 64; ++depth) {
            const auto& record = recorded_.processes[index].record;
            if (record.tag) {
                return &*record.tag;
            }
            const auto above = parent(index);
            if (!above) {
                return nullptr;
            }
            index = *above;
        }
        return nullptr;
    }

private:
    /// A program of any name that runs two tools or more schedules a build: what it reads and
    /// writes itself is book-keeping. A custom command's script is one step with all that it runs.
    void find_schedulers()
    {
        std::unordered_map<std::size_t, int> tools;
        for (std::size_t i = 0; i < roles_.size(); ++i) {
            if (roles_[i] != Role::compiler && roles_[i] != Role::linker &&
                roles_[i] != Role::archiver) {
                continue;
            }
            auto above = parent(i);
            for (int depth = 0; above && roles_[*above] == Role::shell && depth < 64; ++depth) {
                above = parent(*above);
            }
            if (above && roles_[*above] == Role::other && tag_of(*above) == nullptr &&
                ++tools[*above] == 2) {
                roles_[*above] = Role::scheduler;
            }
        }
    }

    std::optional<std::size_t> parent(std::size_t index) const
    {
        const auto& process = recorded_.processes[index];
        const auto found = by_serial_.find({process.writer, process.record.parent_serial});
        return found == by_serial_.end() || process.record.parent_serial == 0
                   ? std::nullopt
                   : std::optional(found->second);
    }

    static std::uint64_t pipe_in(const ProcessRecord& record)
    {
        return record.images.empty() ? 0 : record.images.back().pipe_in;
    }
    static std::uint64_t pipe_out(const ProcessRecord& record)
    {
        return record.images.empty() ? 0 : record.images.back().pipe_out;
    }

    /// Members of one pipeline run at the same time; inode numbers of pipes come again later.
    static bool overlap(const ProcessRecord& a, const ProcessRecord& b)
    {
        return a.started < b.ended && b.started < a.ended;
    }

    using ByPipe = std::unordered_multimap<std::uint64_t, std::size_t>;

    /// A writer may have ended before the shell started the reader beside it: the shell itself held
    /// the pipe meanwhile. That is the next reader of the pipe with the same parent, unless another
    /// writer came between them: then the pipe is another one under the same number.
    std::optional<std::size_t>
    next_sibling(std::size_t writer, const ByPipe& readers, const ByPipe& writers) const
    {
        const auto& from = recorded_.processes[writer];
        const auto is_sibling = [&](std::size_t index) {
            const auto& other = recorded_.processes[index];
            return index != writer && other.writer == from.writer &&
                   other.record.parent_serial == from.record.parent_serial &&
                   other.record.started >= from.record.started;
        };
        const auto started = [&](std::size_t index) {
            return recorded_.processes[index].record.started;
        };
        const auto pipe = pipe_out(from.record);
        std::optional<std::size_t> next;
        const auto [first, last] = readers.equal_range(pipe);
        for (auto reader = first; reader != last; ++reader) {
            if (is_sibling(reader->second) && roles_[reader->second] != Role::scheduler &&
                (!next || started(reader->second) < started(*next))) {
                next = reader->second;
            }
        }
        const auto [begin, end] = writers.equal_range(pipe);
        const bool another = next && std::any_of(begin, end, [&](const auto& entry) {
                                 return entry.second != *next && is_sibling(entry.second) &&
                                        started(entry.second) < started(*next);
                             });
        return another ? std::nullopt : next;
    }

    bool join_with_readers(std::size_t index, const ByPipe& readers)
    {
        const auto& writer = recorded_.processes[index];
        const auto [first, last] = readers.equal_range(pipe_out(writer.record));
        bool taken = false;
        for (auto reader = first; reader != last; ++reader) {
            const auto& other = recorded_.processes[reader->second];
            if (reader->second != index && other.writer == writer.writer &&
                roles_[reader->second] != Role::scheduler && overlap(other.record, writer.record)) {
                groups_.join(index, reader->second);
                taken = true;
            }
        }
        return taken;
    }

    void join_pipes()
    {
        ByPipe readers;
        ByPipe writers;
        for (std::size_t i = 0; i < recorded_.processes.size(); ++i) {
            const auto& record = recorded_.processes[i].record;
            if (const auto pipe = pipe_in(record); pipe != 0) {
                readers.emplace(pipe, i);
            }
            if (const auto pipe = pipe_out(record); pipe != 0) {
                writers.emplace(pipe, i);
            }
        }
        for (std::size_t i = 0; i < recorded_.processes.size(); ++i) {
            if (pipe_out(recorded_.processes[i].record) == 0 || roles_[i] == Role::scheduler) {
                continue;
            }
            bool taken = join_with_readers(i, readers);
            if (const auto sibling = next_sibling(i, readers, writers)) {
                groups_.join(i, *sibling);
                taken = true;
            }
            if (taken) {
                continue;
            }
            // Nobody else reads it: the shell or script above does, as with $(…).
            const auto above = parent(i);
            if (above && roles_[*above] != Role::scheduler && !swallows_children(roles_[i])) {
                groups_.join(i, *above);
            }
        }
    }

    void join_with_parent(std::size_t index)
    {
        const auto& record = recorded_.processes[index].record;
        const auto above = parent(index);
        if (!above || record.tag) {
            return;
        }
        const bool never_became_a_program = main_image(record) == nullptr;
        const bool of_custom_command =
            !swallows_children(roles_[index]) && roles_[index] != Role::scheduler &&
            roles_[*above] != Role::scheduler && tag_of(*above) != nullptr;
        if (never_became_a_program || of_custom_command) {
            groups_.join(index, *above);
        }
    }

    /// "{ a; b; } > file": the shell opened what its children write.
    void join_with_writer_above(std::size_t index)
    {
        for (const auto& access : recorded_.processes[index].record.accesses) {
            if ((access.bits & access_write) == 0) {
                continue;
            }
            const auto& path = recorded_.files[access.id].path;
            auto above = parent(index);
            for (int depth = 0; above && depth < 64; ++depth, above = parent(*above)) {
                if (roles_[*above] == Role::scheduler) {
                    break;
                }
                if (writes(*above, path)) {
                    groups_.join(index, *above);
                    break;
                }
            }
        }
    }

    [[nodiscard]] bool writes(std::size_t index, const std::string& path) const
    {
        const auto& accesses = recorded_.processes[index].record.accesses;
        return std::any_of(accesses.begin(), accesses.end(), [&](const Access& access) {
            return (access.bits & access_write) != 0 && recorded_.files[access.id].path == path;
        });
    }

    struct SerialHash {
        std::size_t operator()(const std::pair<std::uint64_t, std::uint64_t>& key) const noexcept
        {
            return std::hash<std::uint64_t>()(key.first * 0x9e3779b97f4a7c15U + key.second);
        }
    };

    const Recorded& recorded_;
    Groups groups_;
    std::vector<Role> roles_;
    std::unordered_map<std::pair<std::uint64_t, std::uint64_t>, std::size_t, SerialHash> by_serial_;
};

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

/// How well a role names the step that its group is.
int weight(Role role)
{
    if (swallows_children(role)) {
        return 3;
    }
    return role == Role::other ? 2 : role == Role::shell ? 1 : 0;
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
        const bool first = step.argv.empty();
        const bool names_better =
            weight(role) > weight(step.role) ||
            (weight(role) == weight(step.role) && record.started < step.started);
        if (image != nullptr && (first || record.tag || names_better)) {
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
        std::for_each(step.outputs.begin(), step.outputs.end(), note);
        for (const auto output : std::set<SeenIndex>(step.outputs)) {
            const auto from = origin_of(step, output, by_content, by_path);
            if (!from) {
                continue;
            }
            DraftStep copy = step;
            copy.kind = StepKind::copy;
            copy.role = Role::copier;
            copy.inputs = {*from};
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
