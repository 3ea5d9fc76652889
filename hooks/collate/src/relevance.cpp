#include <algorithm>
#include <array>
#include <deque>
#include <string_view>
#include <unordered_map>

#include "steps.hpp"

namespace stemma::hooks {

namespace {

/// Who made what, for the walk backwards.
class Makers {
public:
    Makers(const std::vector<DraftStep>& steps, const Recorded& recorded) : recorded_(recorded)
    {
        for (std::size_t i = 0; i < steps.size(); ++i) {
            for (const auto output : steps[i].outputs) {
                by_file_[output] = i; // the newest wins: steps are in time order
                const auto& file = recorded.files[output];
                by_path_[file.path] = i;
                if (file.content) {
                    by_content_[file.content->ids.sha256] = i;
                }
            }
        }
    }

    /// The step that made the file that somebody read; by identity, else by equal content.
    std::optional<std::size_t> maker_of(SeenIndex index) const
    {
        if (const auto found = by_file_.find(index); found != by_file_.end()) {
            return found->second;
        }
        const auto& file = recorded_.files[index];
        if (file.content && file.content->ids.size != 0) {
            if (const auto found = by_content_.find(file.content->ids.sha256);
                found != by_content_.end()) {
                return found->second;
            }
        }
        return std::nullopt;
    }

    bool is_newest(std::size_t step, SeenIndex output) const
    {
        const auto found = by_path_.find(recorded_.files[output].path);
        return found != by_path_.end() && found->second == step;
    }

private:
    const Recorded& recorded_;
    std::unordered_map<SeenIndex, std::size_t> by_file_;
    std::unordered_map<std::string, std::size_t> by_path_;
    std::unordered_map<Digest, std::size_t> by_content_;
};

/// Which steps the artifacts that are there now depend on.
class Relevance {
public:
    Relevance(const std::vector<DraftStep>& steps, const Recorded& recorded)
        : steps_(steps), recorded_(recorded), makers_(steps, recorded), kept_(steps.size(), false)
    {
    }

    void keep_makers_of_artifacts(const std::vector<bool>& is_current)
    {
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            const auto is_artifact = [&](SeenIndex output) {
                return is_current[output] && makers_.is_newest(i, output) &&
                       !is_probe(recorded_.files[output].path);
            };
            if (steps_[i].role != Role::scheduler && !steps_[i].copies_own &&
                std::ranges::any_of(steps_[i].outputs, is_artifact)) {
                keep(i);
            }
        }
    }

    /// Keeps what made the inputs of kept steps, and so on.
    void follow_inputs()
    {
        std::vector<bool> followed(recorded_.files.size(), false);
        while (!open_.empty()) {
            const auto index = open_.front();
            open_.pop_front();
            if (steps_[index].role == Role::scheduler) {
                continue; // it reads the whole tree: that is not what the one file is made of
            }
            for (const auto input : steps_[index].inputs) {
                if (followed[input]) {
                    continue; // a header is read by every step
                }
                read_.insert(recorded_.files[input].path);
                const auto maker = makers_.maker_of(input);
                followed[input] = maker != index;
                if (maker && *maker != index) {
                    keep(*maker);
                }
            }
        }
    }

    bool is_kept(std::size_t step) const { return kept_[step]; }

    /// Leaves a build tool with the outputs that somebody read, and without what it tried out: that
    /// has another name each time, and is gone.
    void trim_scheduler(DraftStep& step) const
    {
        std::erase_if(step.outputs, [&](SeenIndex output) {
            return read_.count(recorded_.files[output].path) == 0;
        });
        std::erase_if(step.inputs,
                      [&](SeenIndex input) { return is_probe(recorded_.files[input].path); });
    }

private:
    void keep(std::size_t step)
    {
        if (!kept_[step]) {
            kept_[step] = true;
            open_.push_back(step);
        }
    }

    const std::vector<DraftStep>& steps_;
    const Recorded& recorded_;
    const Makers makers_;
    std::vector<bool> kept_;
    std::set<std::string_view> read_; ///< paths
    std::deque<std::size_t> open_;
};

} // namespace

bool is_probe(std::string_view path)
{
    static constexpr std::array<std::string_view, 4> parts = {
        "/CompilerId", "/CMakeScratch/", "/CMakeTmp/", "/meson-private/"};
    const auto has = [path](std::string_view part) {
        return path.find(part) != std::string_view::npos;
    };
    return std::any_of(parts.begin(), parts.end(), has) &&
           (has("/CMakeFiles/") || has("/meson-private/"));
}

std::vector<DraftStep> keep_what_matters(std::vector<DraftStep> steps,
                                         const Recorded& recorded,
                                         const std::vector<bool>& is_current)
{
    Relevance relevance(steps, recorded);
    relevance.keep_makers_of_artifacts(is_current);
    relevance.follow_inputs();
    std::vector<DraftStep> result;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (!relevance.is_kept(i)) {
            continue;
        }
        if (steps[i].role == Role::scheduler) {
            relevance.trim_scheduler(steps[i]);
        }
        if (!steps[i].outputs.empty()) {
            result.push_back(std::move(steps[i]));
        }
    }
    return result;
}

} // namespace stemma::hooks
