#include "stemma/collate/collate.hpp"

#include "stemma/collate/distribution.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/hooks/content.hpp"
#include "stemma/hooks/session.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "members.hpp"
#include "recorded.hpp"
#include "sources.hpp"
#include "steps.hpp"
#include "system_cache.hpp"

namespace stemma::hooks {

namespace {

using model::ArtifactKind;
using model::FileState;
using model::Manifest;
using model::StepKind;

constexpr std::uint64_t most_journal_bytes = std::uint64_t{4} << 30U;

ArtifactKind artifact_kind(const SeenFile& file)
{
    switch (file.content ? file.content->kind : 'd') {
    case 'o':
        return ArtifactKind::object;
    case 'x':
        return ArtifactKind::executable;
    case 's':
        return ArtifactKind::shared_library;
    case 'a':
        return file.path.ends_with(".deb") ? ArtifactKind::package : ArtifactKind::archive;
    default:
        break;
    }
    for (const auto* end : {".deb",
                            ".rpm",
                            ".tar",
                            ".tar.gz",
                            ".tgz",
                            ".tar.xz",
                            ".tar.zst",
                            ".tar.bz2",
                            ".zip",
                            ".whl",
                            ".apk"}) {
        if (file.path.ends_with(end)) {
            return ArtifactKind::package;
        }
    }
    return ArtifactKind::generated;
}

/// Everything from a journal to a manifest, step by step.
class Collation {
public:
    Collation(const std::string& text, const CollateOptions& options)
        : options_(options),
          recorded_(gather(text)),
          sources_(build_folder()),
          numbers_(recorded_.files.size()),
          cache_(options.cache)
    {
        if (recorded_.sessions.empty() && recorded_.processes.empty()) {
            throw Error(ErrorCode::corrupt, "no record of a build in it");
        }
        manifest_.run.id = run_id(text);
    }

    Manifest make()
    {
        look_again();
        auto steps = make_steps(recorded_);
        settle_members(steps, recorded_);
        is_current_.resize(recorded_.files.size(), false);
        numbers_.resize(recorded_.files.size());
        drafts_ = keep_what_matters(std::move(steps), recorded_, is_current_);
        find_written();
        choose_root();
        add_steps();
        add_history();
        add_packages();
        add_artifacts();
        add_build();
        add_holes();
        normalise(manifest_);
        return std::move(manifest_);
    }

private:
    std::string build_folder() const
    {
        // A launcher's folder is wherever its step ran: no better than none.
        const auto found = std::find_if(recorded_.sessions.begin(),
                                        recorded_.sessions.end(),
                                        [](const SessionRecord& s) { return !s.launcher; });
        if (found != recorded_.sessions.end()) {
            return found->folder;
        }
        return recorded_.sessions.empty() ? std::string() : recorded_.sessions.front().folder;
    }

    std::string run_id(const std::string& text) const
    {
        for (const auto& session : recorded_.sessions) {
            if (is_uuid(session.id)) {
                return session.id;
            }
        }
        // A journal of launchers: the same journal is the same build.
        return make_uuid5(stemma_uuid_space, sha256(text).hex());
    }

    /// Which files are still there as they were; and the content of those that nobody hashed.
    void look_again()
    {
        is_current_.resize(recorded_.files.size(), false);
        for (std::size_t i = 0; i < recorded_.files.size(); ++i) {
            auto& file = recorded_.files[i];
            struct stat info {};
            if (::stat(file.path.c_str(), &info) != 0) {
                continue;
            }
            is_current_[i] = stamp_of(info) == file.stamp;
            if (!is_current_[i] && file.content && S_ISREG(info.st_mode) &&
                static_cast<std::uint64_t>(info.st_size) == file.content->ids.size) {
                const auto now = read_content(file.path, false);
                is_current_[i] = now && now->ids.sha256 == file.content->ids.sha256;
            }
        }
    }

    void find_written()
    {
        for (const auto& step : drafts_) {
            for (const auto output : step.outputs) {
                written_paths_[recorded_.files[output].path] = true;
                if (recorded_.files[output].content) {
                    written_contents_[recorded_.files[output].content->ids.sha256] = true;
                }
            }
        }
    }

    /// Which repository is built: that of what was compiled; a script's own modules (a Python from
    /// a checkout) say nothing about it.
    void choose_root()
    {
        std::set<SeenIndex> read;
        for (const auto& step : drafts_) {
            if (swallows_children(step.role)) {
                read.insert(step.inputs.begin(), step.inputs.end());
            }
        }
        std::vector<std::string> paths;
        for (const auto input : read) {
            const auto& path = recorded_.files[input].path;
            if (!is_system_path(path) && written_paths_.count(path) == 0) {
                paths.push_back(path);
            }
        }
        std::sort(paths.begin(), paths.end());
        paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
        const bool by_launchers = std::all_of(recorded_.sessions.begin(),
                                              recorded_.sessions.end(),
                                              [](const SessionRecord& s) { return s.launcher; });
        sources_.choose_root(paths, by_launchers);
    }

    /// The manifest's number of a file; nullopt when its content is not known.
    std::optional<model::FileIndex> file_of(SeenIndex seen)
    {
        if (const auto& known = numbers_[seen]; known) {
            return *known;
        }
        auto& file = recorded_.files[seen];
        if (!file.content && !file.raced && is_current_[seen]) {
            read_late(file);
        }
        if (!file.content) {
            manifest_.holes.push_back({0,
                                       file.path,
                                       file.raced
                                           ? "raced: it changed before its content was read"
                                           : "it changed or went before its content was read"});
            numbers_[seen].emplace(std::nullopt);
            return std::nullopt;
        }
        // Touched, renamed and rewritten files have several stamps and one content.
        const auto [same, fresh] =
            by_content_.try_emplace({file.path, file.content->ids.sha256},
                                    static_cast<model::FileIndex>(manifest_.files.size()));
        if (fresh) {
            const bool written = written_paths_.count(file.path) != 0;
            manifest_.files.push_back(sources_.describe(file, written));
            seen_of_.push_back(seen);
        }
        numbers_[seen].emplace(same->second);
        return same->second;
    }

    /// System files: nobody hashed them while the build ran.
    void read_late(SeenFile& file)
    {
        if (const auto* known = cache_.find(file.path, file.stamp)) {
            file.content = known->content;
            return;
        }
        file.content = read_content(file.path, !is_system_path(file.path));
        if (file.content && is_system_path(file.path)) {
            cache_.put(file.path, file.stamp, *file.content);
        }
    }

    std::vector<model::FileIndex> files_of(const std::set<SeenIndex>& seen)
    {
        std::vector<model::FileIndex> files;
        for (const auto index : seen) {
            if (const auto file = file_of(index)) {
                files.push_back(*file);
            }
        }
        return files;
    }

    void add_steps()
    {
        for (auto& draft : drafts_) {
            model::Step step;
            step.kind = draft.kind;
            step.tool = draft.tool ? file_of(*draft.tool) : std::nullopt;
            step.argv = std::move(draft.argv);
            step.cwd = sources_.shorten(draft.cwd);
            step.exit = draft.exit;
            step.target = std::move(draft.target);
            step.inputs = files_of(draft.inputs);
            step.outputs = files_of(draft.outputs);
            for (auto& [archive, reason] : draft.unsettled) {
                if (const auto file = file_of(archive)) {
                    step.unsettled.push_back({*file, std::move(reason)});
                }
            }
            if (draft.copies_member) {
                member_steps_.push_back(static_cast<std::uint32_t>(manifest_.steps.size()));
            }
            std::set<model::FileIndex> current;
            for (const auto output : draft.outputs) {
                const auto file = file_of(output);
                if (file && draft.role != Role::scheduler && is_current_[output]) {
                    current.insert(*file);
                }
            }
            const bool made_something = !step.outputs.empty();
            split_copies(step, current);
            if (!made_something || !step.outputs.empty()) {
                add_step(std::move(step), current);
            }
        }
    }

    void add_step(model::Step step, const std::set<model::FileIndex>& current)
    {
        for (const auto output : step.outputs) {
            if (current.count(output) != 0) {
                made_[output] = static_cast<std::uint32_t>(manifest_.steps.size());
            }
        }
        manifest_.steps.push_back(std::move(step));
    }

    /// A packer reads much and writes much. What it wrote that has the bytes of a file it read is a
    /// copy of that one, and does not come from the others.
    void split_copies(model::Step& step, const std::set<model::FileIndex>& current)
    {
        if (step.kind != StepKind::pack && step.kind != StepKind::install) {
            return;
        }
        std::map<Digest, model::FileIndex> read;
        for (const auto input : step.inputs) {
            if (manifest_.files[input].size > 0) {
                read.emplace(manifest_.files[input].sha256, input);
            }
        }
        const auto outputs = std::exchange(step.outputs, {});
        for (const auto output : outputs) {
            const auto from = read.find(manifest_.files[output].sha256);
            if (from == read.end()) {
                step.outputs.push_back(output);
                continue;
            }
            auto copy = step;
            copy.kind = StepKind::copy;
            copy.inputs = {from->second};
            copy.outputs = {output};
            add_step(std::move(copy), current);
        }
    }

    void add_packages()
    {
        std::vector<std::string> unknown;
        std::vector<model::FileIndex> asked;
        for (model::FileIndex i = 0; i < manifest_.files.size(); ++i) {
            auto& file = manifest_.files[i];
            if (file.state != FileState::system || file.package) {
                continue;
            }
            const auto* known = i < seen_of_.size()
                                    ? cache_.find(file.path, recorded_.files[seen_of_[i]].stamp)
                                    : nullptr;
            if (known != nullptr && known->package) {
                file.package = known->package->empty() ? std::nullopt : known->package;
            } else {
                unknown.push_back(file.path);
                asked.push_back(i);
            }
        }
        const auto owners = doing([&] { return Distribution().owners(unknown); },
                                  "looking up distribution packages");
        for (const auto index : asked) {
            auto& file = manifest_.files[index];
            const auto owner = owners.find(file.path);
            if (owner != owners.end()) {
                file.package = owner->second;
            }
            cache_.put_package(file.path, file.package.value_or(""));
        }
        cache_.save();
    }

    /// Objects and libraries that were not rebuilt: the steps of the builds that made them.
    void add_history()
    {
        if (!options_.history) {
            return;
        }
        const auto count = static_cast<model::FileIndex>(manifest_.files.size());
        find_objects_of_members();
        for (model::FileIndex i = 0; i < count; ++i) {
            if (manifest_.files[i].state != FileState::untracked || made_.count(i) != 0 ||
                written_contents_.count(manifest_.files[i].sha256) != 0) {
                continue;
            }
            if (const auto earlier = options_.history(manifest_.files[i].sha256)) {
                if (const auto step = import_maker(*earlier, manifest_.files[i].sha256)) {
                    made_[i] = *step;
                    manifest_.files[i].state = FileState::generated;
                }
            }
        }
    }

    /// Members that were copied out of an archive of an earlier build: they come from the object
    /// that it archived, and not from all that is in the archive.
    void find_objects_of_members()
    {
        std::set<model::FileIndex> made_here;
        for (const auto& step : manifest_.steps) {
            made_here.insert(step.outputs.begin(), step.outputs.end());
        }
        for (const auto number : member_steps_) {
            const auto& step = manifest_.steps[number];
            if (step.inputs.empty() || step.outputs.empty()) {
                continue; // the archive's content is not known: that is a hole already
            }
            const auto archive = manifest_.steps[number].inputs.front();
            const auto state = manifest_.files[archive].state;
            if (made_here.count(archive) != 0 || state == FileState::clean ||
                state == FileState::dirty) {
                continue;
            }
            const auto content = manifest_.files[manifest_.steps[number].outputs.front()].sha256;
            const auto earlier = options_.history(content);
            const auto maker = earlier ? import_maker(*earlier, content) : std::nullopt;
            const auto made =
                maker ? manifest_.steps[*maker].outputs : std::vector<model::FileIndex>();
            const auto object = std::find_if(made.begin(), made.end(), [&](auto output) {
                return manifest_.files[output].sha256 == content;
            });
            if (object != made.end() && *object != manifest_.steps[number].outputs.front()) {
                manifest_.steps[number].inputs = {*object};
            }
        }
    }

    /// Takes over the step that made a content, and the steps behind it.
    std::optional<std::uint32_t> import_maker(const Manifest& earlier, const Digest& content)
    {
        for (const auto& old : earlier.steps) {
            for (const auto output : old.outputs) {
                if (earlier.files[output].sha256 == content) {
                    return import_step(earlier, old);
                }
            }
        }
        return std::nullopt;
    }

    std::uint32_t import_step(const Manifest& earlier, const model::Step& old)
    {
        const auto key = sha256(canonical_json({earlier.run.id, &old - earlier.steps.data()}));
        const auto [known, fresh] =
            imported_.try_emplace(key, static_cast<std::uint32_t>(manifest_.steps.size()));
        if (!fresh) {
            return known->second;
        }
        const auto number = known->second;
        manifest_.steps.push_back(old);
        const auto translate = [&](model::FileIndex index) {
            return import_file(earlier.files[index]);
        };
        model::Step step = old;
        if (step.tool) {
            step.tool = translate(*step.tool);
        }
        std::vector<Digest> behind;
        for (auto& input : step.inputs) {
            if (earlier.files[input].state == FileState::generated) {
                behind.push_back(earlier.files[input].sha256);
            }
            input = translate(input);
        }
        for (auto& output : step.outputs) {
            output = translate(output);
        }
        manifest_.steps[number] = std::move(step);
        for (const auto& digest : behind) {
            import_maker(earlier, digest);
        }
        return number;
    }

    model::FileIndex import_file(const model::File& file)
    {
        for (const auto& base : {std::string(), sources_.root() + "/"}) {
            const auto found = by_content_.find({base + file.path, file.sha256});
            if (found != by_content_.end()) {
                return found->second;
            }
        }
        const auto [found, fresh] =
            by_content_.try_emplace({sources_.root() + "/" + file.path, file.sha256},
                                    static_cast<model::FileIndex>(manifest_.files.size()));
        if (fresh) {
            manifest_.files.push_back(file);
        }
        return found->second;
    }

    void add_artifact(model::FileIndex file, std::optional<std::uint32_t> step)
    {
        const auto& seen = recorded_.files[seen_of_[file]];
        if (is_probe(seen.path)) {
            return;
        }
        model::Artifact artifact;
        artifact.file = file;
        artifact.name = last_name(seen.path);
        artifact.kind = artifact_kind(seen);
        if (seen.content && !seen.content->build_id.empty()) {
            artifact.build_id = seen.content->build_id;
        }
        artifact.step = step;
        if (step) {
            artifact.target = manifest_.steps[*step].target;
        }
        manifest_.artifacts.push_back(std::move(artifact));
    }

    void add_artifacts()
    {
        for (const auto& [file, step] : made_) {
            add_artifact(file, step);
        }
        // Objects and libraries of the build's own that no step of the journal made.
        const auto repo = sources_.name();
        for (model::FileIndex i = 0; i < seen_of_.size(); ++i) {
            const auto& file = manifest_.files[i];
            const auto& seen = recorded_.files[seen_of_[i]];
            const bool binary = seen.content && seen.content->kind != 'd';
            if (binary && file.state == FileState::untracked && file.repo == repo &&
                made_.count(i) == 0 && written_contents_.count(file.sha256) == 0) {
                add_artifact(i, std::nullopt);
            }
        }
    }

    void add_build()
    {
        manifest_.build = sources_.build();
        manifest_.build.name = options_.name.empty() ? last_name(sources_.root()) : options_.name;
        manifest_.build.toolchain = toolchain();
        auto& run = manifest_.run;
        run.root = sources_.root();
        std::uint64_t started = 0;
        for (const auto& session : recorded_.sessions) {
            started = started == 0 ? session.started : std::min(started, session.started);
            run.machine = session.machine;
            run.user = session.user;
        }
        run.started = Time(std::chrono::microseconds(started));
        run.finished = Time(std::chrono::microseconds(std::max(started, recorded_.finished)));
    }

    /// The package of the compiler that most steps used, e.g. "g++-12 12.2.0-14".
    std::string toolchain() const
    {
        std::map<std::string, std::size_t> used;
        for (const auto& step : manifest_.steps) {
            const bool compiles =
                step.kind == model::StepKind::compile || step.kind == model::StepKind::link;
            if (compiles && step.tool && manifest_.files[*step.tool].package) {
                ++used[*manifest_.files[*step.tool].package];
            }
        }
        const auto best =
            std::max_element(used.begin(), used.end(), [](const auto& a, const auto& b) {
                return a.second < b.second;
            });
        if (best == used.end()) {
            return {};
        }
        auto name = best->first.substr(0, best->first.find('?'));
        name = name.substr(name.rfind('/') + 1);
        std::replace(name.begin(), name.end(), '@', ' ');
        return percent_decoded(name);
    }

    void add_holes()
    {
        for (const auto& hole : recorded_.holes) {
            manifest_.holes.push_back({hole.pid, hole.program, hole.reason});
        }
        for (const auto& problem : sources_.problems()) {
            manifest_.holes.push_back({0, "git", problem});
        }
    }

    const CollateOptions& options_;
    Recorded recorded_;
    Sources sources_;
    Manifest manifest_;
    std::vector<DraftStep> drafts_;
    std::vector<bool> is_current_;
    std::map<std::string, bool> written_paths_;
    std::map<Digest, bool> written_contents_;
    /// Manifest's numbers by seen file; outer: asked already, inner: its content is known.
    std::vector<std::optional<std::optional<model::FileIndex>>> numbers_;
    std::map<std::pair<std::string, Digest>, model::FileIndex> by_content_;
    std::vector<SeenIndex> seen_of_; ///< manifest's number → seen file
    std::map<model::FileIndex, std::uint32_t> made_;
    std::map<Digest, std::uint32_t> imported_; ///< steps of earlier builds
    std::vector<std::uint32_t> member_steps_;  ///< steps that copy a member of an archive
    SystemCache cache_;
};

} // namespace

Manifest collate_journal(const std::string& path, const CollateOptions& options)
{
    const auto text = read_file(path, most_journal_bytes);
    return doing([&] { return Collation(text, options).make(); }, "collating the journal {}", path);
}

std::vector<const model::Artifact*> unrecorded(const Manifest& manifest)
{
    std::vector<const model::Artifact*> list;
    for (const auto& artifact : manifest.artifacts) {
        if (!artifact.step) {
            list.push_back(&artifact);
        }
    }
    return list;
}

} // namespace stemma::hooks
