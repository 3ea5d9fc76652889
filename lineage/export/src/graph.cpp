#include "graph.hpp"

#include "stemma/model/members.hpp"

#include <algorithm>

namespace stemma::exporting {

Graph::Graph(const model::Manifest& manifest)
    : manifest_(manifest), makers_(manifest.files.size()), read_(manifest.files.size(), false)
{
    for (StepIndex step = 0; step < manifest.steps.size(); ++step) {
        if (manifest.steps[step].exit != 0) {
            continue;
        }
        for (const auto file : manifest.steps[step].outputs) {
            makers_[file].push_back(step);
        }
        for (const auto file : manifest.steps[step].inputs) {
            read_[file] = true;
        }
    }
    for (const auto archive : model::archives_taken_from(manifest)) {
        read_[archive] = true;
    }
    for (const auto& artifact : manifest.artifacts) {
        if (artifact.step) {
            makers_[artifact.file] = {*artifact.step};
        }
    }
}

Closure Graph::closure(std::span<const model::FileIndex> roots) const
{
    std::vector<bool> seen(manifest_.files.size(), false);
    std::vector<bool> seen_steps(manifest_.steps.size(), false);
    std::vector<bool> seen_tools(manifest_.files.size(), false);
    std::vector<model::FileIndex> pending;
    const auto visit = [&](model::FileIndex file) {
        if (!seen[file]) {
            seen[file] = true;
            pending.push_back(file);
        }
    };
    Closure closure;
    std::for_each(roots.begin(), roots.end(), visit);
    while (!pending.empty()) {
        const auto file = pending.back();
        pending.pop_back();
        (makers_[file].empty() ? closure.leaves : closure.made).push_back(file);
        for (const auto index : makers_[file]) {
            if (seen_steps[index]) {
                continue;
            }
            seen_steps[index] = true;
            closure.steps.push_back(index);
            const auto& step = manifest_.steps[index];
            std::for_each(step.inputs.begin(), step.inputs.end(), visit);
            if (step.tool && !makers_[*step.tool].empty()) {
                visit(*step.tool); // a generator that this build made itself
            } else if (step.tool && !seen_tools[*step.tool]) {
                seen_tools[*step.tool] = true;
                closure.tools.push_back(*step.tool);
            }
        }
    }
    std::sort(closure.leaves.begin(), closure.leaves.end());
    std::sort(closure.made.begin(), closure.made.end());
    std::sort(closure.tools.begin(), closure.tools.end());
    std::sort(closure.steps.begin(), closure.steps.end());
    return closure;
}

} // namespace stemma::exporting
