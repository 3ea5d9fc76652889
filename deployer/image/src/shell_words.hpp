#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The part of the shell's language that maintainer scripts of packages are mostly made of.
namespace stemma::image {

/// Statements of a script, one per newline, ";" or "&&"-free list; comments are dropped, lines that
/// end in "\" are joined. ";;" is a statement of its own.
/// returns  nullopt: a here-document, an open quote, or a NUL
std::optional<std::vector<std::string>> shell_statements(std::string_view script);

/// One command of an and-or list.
struct ShellCommand {
    enum class Link { first, on_success, on_failure };
    Link link = Link::first;
    bool negated = false;
    std::vector<std::string> words; ///< redirections to /dev/null and of errors are taken off
};

/// Splits a statement at "&&" and "||", with the script's arguments put in for "$1", "$2" and "$@".
/// returns  nullopt: a pipe, a substitution, another variable, a redirection into a file, "&", …
std::optional<std::vector<ShellCommand>> shell_commands(std::string_view statement,
                                                        const std::vector<std::string>& arguments);

} // namespace stemma::image
