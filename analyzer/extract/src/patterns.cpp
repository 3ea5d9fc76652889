#include "patterns.hpp"

#include "stemma/core/text.hpp"

#include <algorithm>

namespace stemma::analyzer {

namespace {

bool has_wildcard(std::string_view text)
{
    return text.find_first_of("*?[\\") != std::string_view::npos;
}

std::vector<std::string> components_of(std::string_view path)
{
    std::vector<std::string> result;
    for (const auto part : split(path, '/')) {
        if (!part.empty()) {
            result.emplace_back(part);
        }
    }
    return result;
}

/// The longest leading folder of a pattern that holds no wildcard.
std::string root_of(const std::vector<std::string>& components)
{
    std::string root;
    for (std::size_t i = 0; i + 1 < components.size() && !has_wildcard(components[i]); ++i) {
        root += "/" + components[i];
    }
    // A pattern without any wildcard is its own root.
    if (std::none_of(components.begin(), components.end(), has_wildcard)) {
        root += components.empty() ? "" : "/" + components.back();
    }
    return root.empty() ? "/" : root;
}

bool reaches_below(const std::vector<std::string>& pattern, const std::vector<std::string>& folder)
{
    for (std::size_t i = 0; i < folder.size(); ++i) {
        if (i >= pattern.size()) {
            return false;
        }
        if (pattern[i].find("**") != std::string::npos) {
            return true;
        }
        if (!glob_match(pattern[i], folder[i], true)) {
            return false;
        }
    }
    return pattern.size() > folder.size();
}

} // namespace

Patterns::Patterns(const std::vector<std::string>& paths, std::vector<std::string> exclude)
    : paths_(paths), exclude_(std::move(exclude))
{
    for (const auto& path : paths_) {
        components_.push_back(components_of(path));
        roots_.push_back(root_of(components_.back()));
    }
}

bool Patterns::matches(std::string_view path) const noexcept
{
    const auto matched = [&](const std::string& pattern) {
        return glob_match(pattern, path, true);
    };
    return std::any_of(paths_.begin(), paths_.end(), matched) &&
           std::none_of(exclude_.begin(), exclude_.end(), matched);
}

bool Patterns::may_match_below(std::string_view folder) const
{
    const auto parts = components_of(folder);
    return std::any_of(components_.begin(), components_.end(), [&](const auto& pattern) {
        return reaches_below(pattern, parts);
    });
}

} // namespace stemma::analyzer
