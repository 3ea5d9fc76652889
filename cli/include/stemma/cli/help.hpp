#pragma once

#include "stemma/cli/command.hpp"

#include <span>
#include <string>
#include <string_view>

namespace stemma::cli {

/// Options that every command takes.
std::span<const Option> global_options();

/// `stemma --help`: all verbs with their summaries, in groups.
std::string overview(std::span<const Command> commands, bool colour);

/// `stemma VERB --help`: name, synopsis, description, options, exit status, examples, wrapped to
/// `width` columns.
std::string manual(const Command& command, std::size_t width, bool colour);

/// Help for the first word of two-word verbs: `stemma image --help`.
std::string family_help(std::span<const Command> commands, std::string_view family, bool colour);

/// A completion script for `shell` (bash, zsh, fish), made from the table of commands.
/// throws  usage: another shell
std::string completion_script(std::span<const Command> commands, std::string_view shell);

} // namespace stemma::cli
