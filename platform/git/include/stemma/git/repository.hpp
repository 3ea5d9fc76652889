#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Reads git repositories through libgit2. Nothing here writes, and no program of a repository's
/// configuration (hooks, filter drivers) is run.
namespace stemma::git {

/// "https://user:secret@host/x.git" without "user:secret@"; scp-like addresses keep their user
/// name, which is no secret there.
std::string without_credentials(std::string_view url);

class Repository {
public:
    /// The repository whose working tree holds `path` (a file or folder, absolute); submodules and
    /// linked worktrees are repositories of their own. nullopt when there is none, or only a bare
    /// one. throws  corrupt: there is one, and it cannot be read
    static std::optional<Repository> find(const std::string& path);

    ~Repository();
    Repository(Repository&& other) noexcept;
    Repository& operator=(Repository&& other) noexcept;
    Repository(const Repository&) = delete;
    Repository& operator=(const Repository&) = delete;

    /// Working folder without a slash at its end, links resolved.
    [[nodiscard]] const std::string& root() const noexcept;
    /// URL of "origin" without credentials, else the name of the working folder.
    [[nodiscard]] std::string name() const;
    /// Commit of HEAD in hexadecimal; nullopt before the first commit.
    [[nodiscard]] std::optional<std::string> head() const;
    /// Short name of the branch; nullopt when HEAD is detached.
    [[nodiscard]] std::optional<std::string> branch() const;

    /// Blob of a path in HEAD's tree; nullopt when it is not there or no file.
    [[nodiscard]] std::optional<std::string> head_blob(const std::string& path) const;
    /// True when the index knows the path.
    [[nodiscard]] bool is_tracked(const std::string& path) const;
    /// What `git add` would store for the file as it is now: after line-end and ident filters.
    /// nullopt when it cannot be read.
    [[nodiscard]] std::optional<std::string> filtered_blob(const std::string& path) const;
    /// Tracked paths that differ from HEAD, sorted; a submodule at another commit is one of them.
    [[nodiscard]] std::vector<std::string> dirty() const;

private:
    struct Impl;
    explicit Repository(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace stemma::git
