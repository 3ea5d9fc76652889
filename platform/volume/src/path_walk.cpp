#include "stemma/volume/path_walk.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <deque>

namespace stemma::volume {

namespace {

constexpr int most_links = 40;
constexpr std::size_t most_components = 4096;

class PathWalk {
public:
    PathWalk(WalkedTree& tree, std::vector<std::uint64_t> folders) : tree_(tree)
    {
        end_.folders = std::move(folders);
    }

    std::optional<WalkEnd> along(std::string_view path, bool through)
    {
        push(path);
        while (!rest_.empty()) {
            const std::string name = std::move(rest_.front());
            rest_.pop_front();
            if (end_.no_folder || !go(name, through)) {
                return std::nullopt;
            }
        }
        return std::move(end_);
    }

private:
    void push(std::string_view path)
    {
        std::vector<std::string> parts;
        for (const std::string_view part : split(path, '/')) {
            if (!part.empty() && part != ".") {
                parts.emplace_back(part);
            }
        }
        if (parts.size() + rest_.size() > most_components) {
            throw Error(ErrorCode::usage, "a path of more than 4096 parts");
        }
        rest_.insert(rest_.begin(), parts.begin(), parts.end());
    }

    /// False when that name leads nowhere.
    bool go(const std::string& name, bool through)
    {
        if (name == "..") {
            if (end_.folders.size() > 1) {
                end_.folders.pop_back();
            }
            return true;
        }
        const auto next = tree_.step(end_.folders.back(), name, shown_);
        if (!next) {
            return false;
        }
        shown_ += "/" + name;
        if (next->kind == NodeKind::directory) {
            end_.folders.push_back(next->node);
        } else if (next->kind == NodeKind::symlink && (through || !rest_.empty())) {
            return follow(next->node);
        } else {
            end_.no_folder = next->node;
        }
        return true;
    }

    bool follow(std::uint64_t node)
    {
        if (++links_ > most_links) {
            return false; // links that go round lead nowhere
        }
        const std::string target = tree_.link(node, shown_);
        if (target.starts_with('/')) {
            end_.folders.resize(1);
            shown_.clear();
        }
        push(target);
        return true;
    }

    WalkedTree& tree_;
    WalkEnd end_;
    std::deque<std::string> rest_; ///< components still to go
    std::string shown_;
    int links_ = 0;
};

} // namespace

std::optional<WalkEnd>
walk_path(WalkedTree& tree, std::vector<std::uint64_t> folders, std::string_view path, bool through)
{
    return PathWalk(tree, std::move(folders)).along(path, through);
}

bool is_plain_name(std::string_view name) noexcept
{
    return !name.empty() && name != "." && name != ".." &&
           name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

} // namespace stemma::volume
