#pragma once

#include "stemma/git/repository.hpp"
#include "stemma/model/manifest.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "recorded.hpp"

namespace stemma::hooks {

/// Where files stand in version control. Repositories are opened once and kept.
class Sources {
public:
    /// folder  the build's; its repository is the build's own, else `folder` itself is the root
    explicit Sources(const std::string& folder);

    /// Where the build's folder is in no repository: that of most of these files becomes the
    /// build's own. Without any git, `widen` lets the root be the folder that holds them all.
    void choose_root(const std::vector<std::string>& paths, bool widen);

    /// Fills path, repo, state and blobs. `written`: a step of this build made the file.
    model::File describe(const SeenFile& seen, bool written);

    /// The build's own: name, commit, branch, dirty paths.
    model::Build build() const;
    /// The repository's name, else the root folder's.
    [[nodiscard]] std::string name() const;
    [[nodiscard]] const std::string& root() const noexcept { return root_; }
    [[nodiscard]] const std::vector<std::string>& problems() const noexcept { return problems_; }

    /// Relative to the root where inside it.
    [[nodiscard]] std::string shorten(const std::string& path) const;

private:
    struct Known {
        std::string root;
        std::string name;
        std::optional<git::Repository> repository;
        bool has_tools = false; ///< PATH leads into it
    };
    const Known* repository_of(const std::string& path);
    model::File in_repository(const Known& known, const SeenFile& seen, bool written) const;

    std::string root_;
    const Known* own_ = nullptr;
    std::map<std::string, const Known*> by_folder_;
    std::map<std::string, std::unique_ptr<Known>> by_root_;
    std::vector<std::string> problems_;
};

} // namespace stemma::hooks
