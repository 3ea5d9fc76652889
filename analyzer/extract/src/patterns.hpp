#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// Path patterns of one rule, able to say early where nothing below a folder can match.
class Patterns {
public:
    Patterns(const std::vector<std::string>& paths, std::vector<std::string> exclude);

    [[nodiscard]] bool matches(std::string_view path) const noexcept;
    /// False when no path below this folder can match.
    [[nodiscard]] bool may_match_below(std::string_view folder) const;
    /// Folders without wildcards from which a walk sees everything that can match.
    [[nodiscard]] const std::vector<std::string>& roots() const noexcept { return roots_; }

private:
    std::vector<std::string> paths_;
    std::vector<std::string> exclude_;
    std::vector<std::vector<std::string>> components_; ///< of each path pattern
    std::vector<std::string> roots_;
};

} // namespace stemma::analyzer
