#pragma once

#include <span>
#include <string_view>

#include "sink.hpp"

namespace stemma::analyzer::settings {

/// A directive that needs to be known: its name as a pattern (lower case, matched against the name
/// without its sections) and its shape.
struct Directive {
    std::string_view name;
    Shape shape = Shape::plain;
};

/// One way of writing configuration: a grammar and what sets this family of files apart.
struct Dialect {
    std::string_view name;
    /// Reads a text into a sink; never throws for what is in it.
    void (*read)(std::string_view text, const Dialect& dialect, Sink& sink);
    std::string_view comment = "#"; ///< bytes that begin a comment at the start of a line
    bool inline_comment = false;    ///< … and after a blank
    bool fold_case = false;         ///< names are the same in any case
    bool fold_dash = false;         ///< "_" in names is "-"
    Shape otherwise = Shape::plain; ///< shape of directives that are not listed
    std::span<const Directive> directives{};
    std::string_view headers{};   ///< words that begin a section, blank-separated
    std::string_view columns{};   ///< tables: names of the columns; the identity has a "*"
    std::string_view separator{}; ///< tables: column separators; empty: blanks

    [[nodiscard]] Shape shape_of(std::string_view directive) const;
};

/// The table of dialects by path; nullptr when no row has the path.
const Dialect* dialect_by_path(std::string_view path);
/// What a text looks like, for paths that no row has.
const Dialect& dialect_by_content(std::string_view text);
std::span<const Dialect* const> all_dialects();

/// A line without its comment, trimmed.
std::string_view strip_comment(std::string_view line, const Dialect& dialect);

// The grammars, one per file of this folder.
void read_ini(std::string_view text, const Dialect& dialect, Sink& sink);
void read_equals(std::string_view text, const Dialect& dialect, Sink& sink); ///< key = value
void read_words(std::string_view text, const Dialect& dialect, Sink& sink);  ///< key value…
void read_colon(std::string_view text, const Dialect& dialect, Sink& sink);  ///< key: value
void read_brace(std::string_view text, const Dialect& dialect, Sink& sink);  ///< name args { … }
void read_apache(std::string_view text, const Dialect& dialect, Sink& sink);
void read_haproxy(std::string_view text, const Dialect& dialect, Sink& sink);
void read_table(std::string_view text, const Dialect& dialect, Sink& sink);
void read_hosts(std::string_view text, const Dialect& dialect, Sink& sink);
void read_exports(std::string_view text, const Dialect& dialect, Sink& sink);
void read_interfaces(std::string_view text, const Dialect& dialect, Sink& sink);
void read_pam(std::string_view text, const Dialect& dialect, Sink& sink);
void read_cron(std::string_view text, const Dialect& dialect, Sink& sink);
void read_sudoers(std::string_view text, const Dialect& dialect, Sink& sink);
void read_apt_sources(std::string_view text, const Dialect& dialect, Sink& sink);
void read_deb822(std::string_view text, const Dialect& dialect, Sink& sink);
void read_master(std::string_view text, const Dialect& dialect, Sink& sink);
void read_options(std::string_view text, const Dialect& dialect, Sink& sink); ///< -m 64
void read_json(std::string_view text, const Dialect& dialect, Sink& sink);
void read_yaml(std::string_view text, const Dialect& dialect, Sink& sink);
void read_xml(std::string_view text, const Dialect& dialect, Sink& sink);
void read_lines(std::string_view text, const Dialect& dialect, Sink& sink);

} // namespace stemma::analyzer::settings
