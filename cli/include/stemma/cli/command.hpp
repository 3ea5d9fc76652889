#pragma once

#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace stemma::cli {

/// Exit statuses beside 0 (done), 1 (failed) and 2 (wrong command line or configuration).
inline constexpr int exit_differs = 3;    ///< two things are not the same
inline constexpr int exit_incomplete = 4; ///< partly done, or an answer that is known to have gaps
inline constexpr int exit_violated = 5;   ///< the ledger or a signature does not hold
inline constexpr int exit_interrupted = 130;

struct Example {
    std::string_view line;    ///< what to type
    std::string_view meaning; ///< what it does, one sentence
};

/// One verb, e.g. "where" or "image install". Help, completion and option parsing all come from
/// this row; the function only acts.
struct Command {
    std::string_view name;
    std::string_view summary;     ///< one line, no full stop
    std::string_view synopsis;    ///< what follows the name: "SEL… [--to KIND]"
    std::string_view description; ///< paragraphs separated by an empty line
    std::vector<Option> options;  ///< without the global ones
    std::vector<Example> examples;
    std::string_view exits; ///< only what differs from the usual; may be empty
    /// Returns the exit status; throws Error.
    int (*run)(Context& context, const Args& args);
    bool rest_is_command = false; ///< everything from the first "--" on belongs to another program
};

/// All commands, in the order in which help shows them.
std::span<const Command> all_commands();

} // namespace stemma::cli
