#include "stemma/git/repository.hpp"

#include "stemma/core/error.hpp"

#include <git2.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace stemma::git {

namespace {

template <auto release>
struct Releaser {
    template <typename T>
    void operator()(T* pointer) const noexcept
    {
        release(pointer);
    }
};

template <typename T, auto release>
using Handle = std::unique_ptr<T, Releaser<release>>;

using RepositoryHandle = Handle<git_repository, git_repository_free>;
using ReferenceHandle = Handle<git_reference, git_reference_free>;
using RemoteHandle = Handle<git_remote, git_remote_free>;
using CommitHandle = Handle<git_commit, git_commit_free>;
using TreeHandle = Handle<git_tree, git_tree_free>;
using EntryHandle = Handle<git_tree_entry, git_tree_entry_free>;
using IndexHandle = Handle<git_index, git_index_free>;
using StatusHandle = Handle<git_status_list, git_status_list_free>;

/// A home that another user's build inherited and may not look into holds no settings for it;
/// libgit2 would refuse every repository.
void leave_out_unreadable_settings()
{
    // NOLINTBEGIN(concurrency-mt-unsafe): nobody writes the environment
    const char* home = std::getenv("HOME");
    const bool has_own_place = std::getenv("XDG_CONFIG_HOME") != nullptr;
    // NOLINTEND(concurrency-mt-unsafe)
    if (home == nullptr || ::access(home, X_OK) == 0 || errno != EACCES) {
        return;
    }
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_GLOBAL, "");
    if (!has_own_place) {
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_XDG, "");
    }
}

/// Looked for before libgit2 starts: that alone reads all the certificates of the machine (9 ms).
bool lies_in_working_tree(const std::string& path)
{
    std::error_code ignored;
    for (auto folder = std::filesystem::path(path);; folder = folder.parent_path()) {
        if (std::filesystem::exists(std::filesystem::symlink_status(folder / ".git", ignored))) {
            return true;
        }
        if (folder == folder.parent_path()) {
            return false;
        }
    }
}

/// libgit2 counts its users: one per process is enough.
void start_library()
{
    static const bool started = [] {
        git_libgit2_init();
        leave_out_unreadable_settings();
        // Only reading, and none of a repository's programs: who owns it does not matter.
        git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
        return true;
    }();
    static_cast<void>(started);
}

Error library_error(std::string_view what)
{
    const git_error* last = git_error_last();
    return {ErrorCode::corrupt,
            fmt::format("{}: {}", what, last == nullptr ? "unknown reason" : last->message)};
}

std::string hex_of(const git_oid& id)
{
    std::string text(GIT_OID_HEXSZ, '0');
    git_oid_fmt(text.data(), &id);
    return text;
}

std::string without_slash(std::string path)
{
    while (path.size() > 1 && path.back() == '/') {
        path.pop_back();
    }
    return path;
}

} // namespace

std::string without_credentials(std::string_view url)
{
    const auto scheme = url.find("://");
    if (scheme == std::string_view::npos) {
        return std::string(url);
    }
    const auto host = scheme + 3;
    const auto slash = std::min(url.find('/', host), url.size());
    const auto at = url.substr(0, slash).rfind('@');
    if (at == std::string_view::npos || at < host) {
        return std::string(url);
    }
    return std::string(url.substr(0, host)).append(url.substr(at + 1));
}

struct Repository::Impl {
    RepositoryHandle repository;
    std::string root;
    TreeHandle head_tree;
    IndexHandle index;
    std::optional<std::string> head;
};

Repository::Repository(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Repository::~Repository() = default;
Repository::Repository(Repository&& other) noexcept = default;
Repository& Repository::operator=(Repository&& other) noexcept = default;

std::optional<Repository> Repository::find(const std::string& path)
{
    if (!lies_in_working_tree(path)) {
        return std::nullopt;
    }
    start_library();
    git_repository* raw = nullptr;
    const int code =
        git_repository_open_ext(&raw, path.c_str(), GIT_REPOSITORY_OPEN_CROSS_FS, nullptr);
    RepositoryHandle repository(raw);
    if (code == GIT_ENOTFOUND) {
        return std::nullopt;
    }
    if (code != 0) {
        throw library_error(fmt::format("cannot open the git repository of {}", path));
    }
    const char* root = git_repository_workdir(repository.get());
    if (root == nullptr) {
        return std::nullopt;
    }
    auto impl = std::make_unique<Impl>();
    impl->root = without_slash(root);
    git_oid head{};
    if (git_reference_name_to_id(&head, repository.get(), "HEAD") == 0) {
        impl->head = hex_of(head);
        git_commit* commit_raw = nullptr;
        const int looked = git_commit_lookup(&commit_raw, repository.get(), &head);
        const CommitHandle commit(commit_raw);
        git_tree* tree = nullptr;
        if (looked != 0 || git_commit_tree(&tree, commit.get()) != 0) {
            throw library_error(fmt::format("cannot read the head of {}", root));
        }
        impl->head_tree.reset(tree);
    }
    git_index* index = nullptr;
    if (git_repository_index(&index, repository.get()) != 0) {
        throw library_error(fmt::format("cannot read the index of {}", root));
    }
    impl->index.reset(index);
    impl->repository = std::move(repository);
    return Repository(std::move(impl));
}

const std::string& Repository::root() const noexcept
{
    return impl_->root;
}

std::string Repository::name() const
{
    git_remote* raw = nullptr;
    if (git_remote_lookup(&raw, impl_->repository.get(), "origin") == 0) {
        const RemoteHandle remote(raw);
        if (const char* url = git_remote_url(remote.get()); url != nullptr && *url != '\0') {
            return without_credentials(url);
        }
    }
    return impl_->root.substr(impl_->root.rfind('/') + 1);
}

std::optional<std::string> Repository::head() const
{
    return impl_->head;
}

std::optional<std::string> Repository::branch() const
{
    git_reference* raw = nullptr;
    if (git_reference_lookup(&raw, impl_->repository.get(), "HEAD") != 0) {
        return std::nullopt;
    }
    const ReferenceHandle head(raw);
    const char* target = git_reference_symbolic_target(head.get());
    constexpr std::string_view heads = "refs/heads/";
    const std::string_view name = target == nullptr ? "" : target;
    if (name.substr(0, heads.size()) != heads) {
        return std::nullopt;
    }
    return std::string(name.substr(heads.size()));
}

std::optional<std::string> Repository::head_blob(const std::string& path) const
{
    git_tree_entry* raw = nullptr;
    if (!impl_->head_tree ||
        git_tree_entry_bypath(&raw, impl_->head_tree.get(), path.c_str()) != 0) {
        return std::nullopt;
    }
    const EntryHandle entry(raw);
    if (git_tree_entry_type(entry.get()) != GIT_OBJECT_BLOB) {
        return std::nullopt;
    }
    return hex_of(*git_tree_entry_id(entry.get()));
}

bool Repository::is_tracked(const std::string& path) const
{
    return git_index_get_bypath(impl_->index.get(), path.c_str(), 0) != nullptr;
}

std::optional<std::string> Repository::filtered_blob(const std::string& path) const
{
    git_oid id{};
    if (git_repository_hashfile(&id,
                                impl_->repository.get(),
                                (impl_->root + "/" + path).c_str(),
                                GIT_OBJECT_BLOB,
                                path.c_str()) != 0) {
        return std::nullopt;
    }
    return hex_of(id);
}

std::vector<std::string> Repository::dirty() const
{
    git_status_options options{};
    git_status_options_init(&options, GIT_STATUS_OPTIONS_VERSION);
    options.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
    options.flags = 0; // neither untracked nor ignored ones
    git_status_list* raw = nullptr;
    if (git_status_list_new(&raw, impl_->repository.get(), &options) != 0) {
        throw library_error(fmt::format("cannot compare {} with its commit", impl_->root));
    }
    const StatusHandle list(raw);
    std::vector<std::string> paths;
    const std::size_t count = git_status_list_entrycount(list.get());
    for (std::size_t i = 0; i < count; ++i) {
        const git_status_entry* entry = git_status_byindex(list.get(), i);
        const git_diff_delta* delta =
            entry->index_to_workdir != nullptr ? entry->index_to_workdir : entry->head_to_index;
        if (entry->status != GIT_STATUS_CURRENT && delta != nullptr) {
            paths.emplace_back(delta->old_file.path);
        }
    }
    std::sort(paths.begin(), paths.end());
    paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
    return paths;
}

} // namespace stemma::git
