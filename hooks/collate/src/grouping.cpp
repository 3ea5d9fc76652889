#include "grouping.hpp"

#include <algorithm>
#include <numeric>

namespace stemma::hooks {

namespace {

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

std::uint64_t pipe_in(const ProcessRecord& record)
{
    return record.images.empty() ? 0 : record.images.back().pipe_in;
}
std::uint64_t pipe_out(const ProcessRecord& record)
{
    return record.images.empty() ? 0 : record.images.back().pipe_out;
}

/// Members of one pipeline run at the same time; inode numbers of pipes come again later.
bool overlap(const ProcessRecord& a, const ProcessRecord& b)
{
    return a.started < b.ended && b.started < a.ended;
}

} // namespace

bool runs_script(const Image& image)
{
    return image.argv.size() > 1 && !image.argv[1].starts_with('-');
}

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

Grouping::Groups::Groups(std::size_t size) : parent_(size)
{
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
}

std::size_t Grouping::Groups::find(std::size_t index)
{
    while (parent_[index] != index) {
        parent_[index] = parent_[parent_[index]];
        index = parent_[index];
    }
    return index;
}

Grouping::Grouping(const Recorded& recorded)
    : recorded_(recorded), groups_(recorded.processes.size())
{
    for (std::size_t i = 0; i < recorded.processes.size(); ++i) {
        const auto& process = recorded.processes[i];
        roles_.push_back(role_of_process(recorded, process.record));
        by_serial_[{process.writer, process.record.serial}] = i;
    }
    splits_.resize(roles_.size(), false);
    find_schedulers();
}

void Grouping::join_all()
{
    join_pipes();
    for (std::size_t i = 0; i < recorded_.processes.size(); ++i) {
        join_with_parent(i);
        join_with_writer_above(i);
    }
}

const Tag* Grouping::tag_of(std::size_t index)
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

/// A program of any name that runs two tools or more schedules a build: what it reads and
/// writes itself is book-keeping. A custom command's script is one step with all that it runs.
void Grouping::find_schedulers()
{
    std::unordered_map<std::size_t, int> tools;
    for (std::size_t i = 0; i < roles_.size(); ++i) {
        if (roles_[i] != Role::compiler && roles_[i] != Role::linker &&
            roles_[i] != Role::archiver) {
            continue;
        }
        auto above = parent(i);
        for (int depth = 0; above && roles_[*above] == Role::shell && depth < 64; ++depth) {
            const auto* image = main_image(recorded_.processes[*above].record);
            if (image != nullptr && runs_script(*image) && ++tools[*above] == 2) {
                splits_[*above] = true;
            }
            above = parent(*above);
        }
        if (above && roles_[*above] == Role::other && tag_of(*above) == nullptr &&
            ++tools[*above] == 2) {
            roles_[*above] = Role::scheduler;
            splits_[*above] = true;
        }
    }
}

std::optional<std::size_t> Grouping::parent(std::size_t index) const
{
    const auto& process = recorded_.processes[index];
    const auto found = by_serial_.find({process.writer, process.record.parent_serial});
    return found == by_serial_.end() || process.record.parent_serial == 0
               ? std::nullopt
               : std::optional(found->second);
}

/// A writer may have ended before the shell started the reader beside it: the shell itself held
/// the pipe meanwhile. That is the next reader of the pipe with the same parent, unless another
/// writer came between them: then the pipe is another one under the same number.
std::optional<std::size_t>
Grouping::next_sibling(std::size_t writer, const ByPipe& readers, const ByPipe& writers) const
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

bool Grouping::join_with_readers(std::size_t index, const ByPipe& readers)
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

void Grouping::join_pipes()
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

void Grouping::join_with_parent(std::size_t index)
{
    const auto& record = recorded_.processes[index].record;
    const auto above = parent(index);
    if (!above || record.tag) {
        return;
    }
    const bool never_became_a_program = main_image(record) == nullptr;
    const bool of_custom_command = !swallows_children(roles_[index]) &&
                                   roles_[index] != Role::scheduler &&
                                   roles_[*above] != Role::scheduler && tag_of(*above) != nullptr;
    if (never_became_a_program || of_custom_command) {
        groups_.join(index, *above);
    }
}

/// "{ a; b; } > file": the shell opened what its children write.
void Grouping::join_with_writer_above(std::size_t index)
{
    for (const auto& access : recorded_.processes[index].record.accesses) {
        if ((access.bits & access_write) == 0) {
            continue;
        }
        const auto& path = recorded_.files[access.id].path;
        auto above = parent(index);
        for (int depth = 0; above && depth < 64; ++depth, above = parent(*above)) {
            if (roles_[*above] == Role::scheduler || splits_[*above]) {
                break;
            }
            if (writes(*above, path)) {
                groups_.join(index, *above);
                break;
            }
        }
    }
}

bool Grouping::writes(std::size_t index, const std::string& path) const
{
    const auto& accesses = recorded_.processes[index].record.accesses;
    return std::any_of(accesses.begin(), accesses.end(), [&](const Access& access) {
        return (access.bits & access_write) != 0 && recorded_.files[access.id].path == path;
    });
}

} // namespace stemma::hooks
