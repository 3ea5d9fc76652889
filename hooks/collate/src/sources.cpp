#include "sources.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/hooks/session.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

namespace stemma::hooks {

namespace {

std::string folder_of(const std::string& path)
{
    const auto slash = path.rfind('/');
    return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

bool is_below(const std::string& path, const std::string& root)
{
    return root == "/" || (path.size() > root.size() && path.compare(0, root.size(), root) == 0 &&
                           path[root.size()] == '/');
}

/// Tools that a version manager keeps in a repository of its own (pyenv, nvm, asdf, Homebrew):
/// programs are found there by PATH.
bool is_searched_for_programs(const std::string& root)
{
    const char* path = std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe): nobody writes it
    const auto folders = split(path == nullptr ? "" : path, ':');
    return std::ranges::any_of(folders, [&](std::string_view folder) {
        return folder == root || is_below(std::string(folder), root);
    });
}

std::string last_part(const std::string& path)
{
    return path.substr(path.rfind('/') + 1);
}

} // namespace

Sources::Sources(const std::string& folder) : root_(folder.empty() ? "/" : folder)
{
    own_ = repository_of(root_ + "/.");
    if (own_ != nullptr) {
        root_ = own_->root;
    }
}

const Sources::Known* Sources::repository_of(const std::string& path)
{
    const auto folder = folder_of(path);
    const auto [found, fresh] = by_folder_.try_emplace(folder, nullptr);
    if (!fresh) {
        return found->second;
    }
    struct stat info {};
    if (::stat(folder.c_str(), &info) != 0) {
        // The folder is gone (a temporary one): the nearest that is there decides.
        const auto* above = folder == "/" ? nullptr : repository_of(folder);
        return by_folder_[folder] = above;
    }
    try {
        auto repository = git::Repository::find(folder);
        if (!repository) {
            return nullptr;
        }
        auto& known = by_root_[repository->root()];
        if (!known) {
            known = std::make_unique<Known>();
            known->root = repository->root();
            known->name = repository->name();
            known->has_tools = is_searched_for_programs(known->root);
            known->repository = std::move(repository);
        }
        return by_folder_[folder] = known.get();
    } catch (const Error& error) {
        problems_.push_back(error.one_line());
        return nullptr;
    }
}

void Sources::choose_root(const std::vector<std::string>& paths, bool widen)
{
    std::map<const Known*, std::size_t> votes;
    for (const auto& path : paths) {
        if (const auto* known = repository_of(path)) {
            ++votes[known];
        }
    }
    const auto best =
        std::max_element(votes.begin(), votes.end(), [](const auto& a, const auto& b) {
            return a.second < b.second || (a.second == b.second && a.first->root > b.first->root);
        });
    if (best != votes.end() && own_ == nullptr) {
        own_ = best->first;
        root_ = own_->root;
        return;
    }
    if (own_ != nullptr || paths.empty() || !widen) {
        return;
    }
    // No git: the folder that holds them all, if it is not the whole machine.
    std::string common = folder_of(paths.front());
    for (const auto& path : paths) {
        while (common != "/" && !is_below(path, common)) {
            common = folder_of(common);
        }
    }
    if (std::count(common.begin(), common.end(), '/') > 1 && is_below(root_ + "/.", common)) {
        root_ = common;
    }
}

std::string Sources::shorten(const std::string& path) const
{
    if (path == root_) {
        return ".";
    }
    return is_below(path, root_) && root_ != "/" ? path.substr(root_.size() + 1) : path;
}

model::File Sources::in_repository(const Known& known, const SeenFile& seen, bool written) const
{
    model::File file;
    file.path = seen.path.substr(known.root.size() + 1);
    file.repo = known.name;
    if (seen.content) {
        file.blob =
            seen.content->ids.blob.empty() ? std::nullopt : std::optional(seen.content->ids.blob);
    }
    const auto& repository = *known.repository;
    const auto committed = repository.head_blob(file.path);
    if (committed && file.blob != committed) {
        // Line-end and ident filters make the stored blob another one than the raw bytes.
        struct stat info {};
        const bool same = ::stat(seen.path.c_str(), &info) == 0 && stamp_of(info) == seen.stamp;
        const auto filtered = same ? repository.filtered_blob(file.path) : std::nullopt;
        if (filtered && filtered != file.blob) {
            file.index_blob = filtered;
        }
    }
    const bool is_clean = committed && (file.blob == committed || file.index_blob == committed);
    if (is_clean) {
        file.state = model::FileState::clean;
    } else if (written) {
        file.state = model::FileState::generated;
    } else if (committed || repository.is_tracked(file.path)) {
        file.state = model::FileState::dirty;
    } else {
        file.state = model::FileState::untracked;
    }
    return file;
}

model::File Sources::describe(const SeenFile& seen, bool written)
{
    model::File file;
    const auto* known = is_system_path(seen.path) && !written ? nullptr : repository_of(seen.path);
    if (known != nullptr && is_below(seen.path, known->root)) {
        file = in_repository(*known, seen, written);
    }
    // An installed tool that is not the build's own; a script that is tracked beside it is a
    // source.
    const bool is_tool = known != nullptr && known != own_ && known->has_tools && !written &&
                         file.state == model::FileState::untracked;
    if (file.path.empty() || is_tool) {
        file = {};
        file.path = seen.path;
        file.state = written ? model::FileState::generated : model::FileState::system;
        if (own_ == nullptr && root_ != "/" && is_below(seen.path, root_)) {
            file.path = shorten(seen.path);
            file.repo = last_part(root_);
            file.state = written ? model::FileState::generated : model::FileState::untracked;
            if (seen.content && !seen.content->ids.blob.empty()) {
                file.blob = seen.content->ids.blob;
            }
        }
    }
    file.size = seen.size;
    if (seen.content) {
        file.sha256 = seen.content->ids.sha256;
        file.size = seen.content->ids.size;
    }
    return file;
}

std::string Sources::name() const
{
    return own_ == nullptr ? last_part(root_) : own_->name;
}

model::Build Sources::build() const
{
    model::Build build;
    build.repo = name();
    if (own_ == nullptr) {
        return build;
    }
    build.commit = own_->repository->head();
    build.branch = own_->repository->branch();
    build.dirty = own_->repository->dirty();
    return build;
}

} // namespace stemma::hooks
