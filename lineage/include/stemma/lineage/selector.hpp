#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What a question is about, as it is typed: `kind:value`, sets of them, files of them. Pure: no
/// store.
namespace stemma::lineage {

/// One `kind:value`. `kind` is one of selector_kinds().
struct Selector {
    std::string kind;
    std::string value;
    bool operator==(const Selector&) const = default;
};

/// A set expression: a leaf, or two sides.
struct Selection {
    enum class Operation {
        leaf,
        unite,     ///< A + B, and A B
        intersect, ///< A & B; binds tighter than + and -
        subtract,  ///< A - B
    };
    Operation operation = Operation::leaf;
    Selector leaf;
    std::vector<Selection>
        sides; ///< two for the other operations; an empty union for an empty file
};

/// file blob commit repo build artifact package image release vm host snapshot event
std::span<const std::string> selector_kinds();

/// Reads the text of `@FILE` (its name) or `-` ("-").
using SelectorFile = std::function<std::string(const std::string& name)>;

/// Reads the words of a command line. A word that begins with `kind:` and holds no operator
/// between blanks is one selector, whatever bytes it has; "file:'a b' + host:x" in one word is an
/// expression. Files hold one selector a line (or between NULs), or items of `--format ndjson`.
///
/// throws  usage: empty, an unknown kind (with the nearest one), unbalanced parentheses, more than
///         100,000 selectors or 100 levels
Selection parse_selection(std::span<const std::string> words, const SelectorFile& read);

} // namespace stemma::lineage
