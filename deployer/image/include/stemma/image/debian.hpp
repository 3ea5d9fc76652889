#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Debian's package language, as deb-control(5), deb-version(5) and dpkg(1) define it: values and
/// parsers, no input or output.
namespace stemma::image {

/// One paragraph of a control file: fields in their order, names as they were written.
class Stanza {
public:
    /// throws  corrupt: a line that is neither a field nor a continuation, or a field twice
    static Stanza parse(std::string_view text, std::string_view name);

    /// Field names are compared without case.
    [[nodiscard]] std::optional<std::string> find(std::string_view field) const;
    [[nodiscard]] std::string get(std::string_view field) const; ///< empty when missing
    void set(std::string_view field, std::string value);
    void erase(std::string_view field);
    /// The paragraph, ending in one newline: as it was read when nothing was set since, else with
    /// dpkg's order of fields.
    [[nodiscard]] std::string text() const;

private:
    std::string raw_; ///< empty once something was set
    std::vector<std::pair<std::string, std::string>> fields_;
};

/// Paragraphs of a whole file, separated by empty lines.
std::vector<Stanza> parse_stanzas(std::string_view text, std::string_view name);

/// Order of two versions by dpkg's rules ([epoch:]upstream[-revision], "~" sorts before the end).
std::strong_ordering compare_versions(std::string_view a, std::string_view b);

/// One alternative of a dependency: "libc6:any (>= 2.34)".
struct Relation {
    std::string name;
    std::string arch_qualifier; ///< "any", "native", an architecture, or empty
    std::string op;             ///< "<<", "<=", "=", ">=", ">>", or empty
    std::string version;

    [[nodiscard]] bool allows(std::string_view version_there) const;
    [[nodiscard]] std::string text() const;
};

/// "a | b, c": all of the outer, one of each inner.
using Relations = std::vector<std::vector<Relation>>;

/// throws  corrupt: not a list of relations
Relations parse_relations(std::string_view text, std::string_view where);
std::string to_text(const std::vector<Relation>& alternatives);

/// Lower-case hexadecimal MD5, for dpkg's own databases only: never for trust.
std::string md5_hex(std::string_view data);

} // namespace stemma::image
