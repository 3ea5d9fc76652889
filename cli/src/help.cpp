#include "stemma/cli/help.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace stemma::cli {

namespace {

constexpr std::string_view usual_exits =
    "0 done; 1 failed; 2 usage or configuration; 3 differences found; 4 partly done, or the answer "
    "is known to be incomplete; 5 integrity violated; 130 interrupted";

std::string head(std::string_view text, bool colour)
{
    return colour ? fmt::format("\x1b[1m{}\x1b[0m\n", text) : fmt::format("{}\n", text);
}

/// Breaks one paragraph at blanks; every line starts with `indent` blanks.
std::string wrapped(std::string_view paragraph, std::size_t indent, std::size_t width)
{
    std::string text;
    std::string line(indent, ' ');
    bool empty = true;
    for (const auto word : split_words(paragraph)) {
        if (!empty && display_width(line) + 1 + display_width(word) > width) {
            text += line + "\n";
            line.assign(indent, ' ');
            empty = true;
        }
        if (!empty) {
            line += ' ';
        }
        line += word;
        empty = false;
    }
    return text + line + "\n";
}

/// Paragraphs are separated by an empty line; lines that start with a blank are kept as they are.
std::string paragraphs(std::string_view text, std::size_t indent, std::size_t width)
{
    std::string result;
    std::string paragraph;
    const auto flush = [&] {
        if (!paragraph.empty()) {
            result += wrapped(paragraph, indent, width);
            paragraph.clear();
        }
    };
    for (const auto line : split(text, '\n')) {
        if (line.empty()) {
            flush();
            result += "\n";
        } else if (line.front() == ' ') {
            flush();
            result += std::string(indent, ' ') + std::string(line) + "\n";
        } else {
            paragraph += std::string(line) + " ";
        }
    }
    flush();
    return result;
}

std::string option_head(const Option& option)
{
    auto text = option.letter == 0 ? fmt::format("--{}", option.name)
                                   : fmt::format("-{}, --{}", option.letter, option.name);
    if (!option.value.empty()) {
        text += fmt::format(" {}", option.value);
    }
    if (option.repeats) {
        text += "…";
    }
    return text;
}

std::string option_list(std::span<const Option> options, std::size_t width)
{
    std::string text;
    for (const auto& option : options) {
        text += fmt::format("    {}\n", option_head(option));
        text += wrapped(option.help, 8, width);
    }
    return text;
}

std::string rows(const std::vector<std::pair<std::string, std::string>>& entries)
{
    std::size_t widest = 0;
    for (const auto& [name, summary] : entries) {
        widest = std::max(widest, display_width(name));
    }
    std::string text;
    for (const auto& [name, summary] : entries) {
        text += fmt::format(
            "    {}{}  {}\n", name, std::string(widest - display_width(name), ' '), summary);
    }
    return text;
}

/// "image install" → "image"; "where" → "where".
std::string_view first_word(std::string_view name)
{
    return name.substr(0, name.find(' '));
}

std::string words_of(std::span<const Command> commands, std::string_view family)
{
    std::string text;
    for (const auto& command : commands) {
        if (first_word(command.name) == family && command.name.size() > family.size()) {
            text += fmt::format("{} ", command.name.substr(family.size() + 1));
        }
    }
    return std::string(trim(text));
}

std::string dashed_options(const Command& command)
{
    std::string text;
    for (const auto& option : command.options) {
        text += fmt::format("--{} ", option.name);
    }
    for (const auto& option : global_options()) {
        text += fmt::format("--{} ", option.name);
    }
    return std::string(trim(text));
}

std::vector<std::string> families(std::span<const Command> commands)
{
    std::vector<std::string> names;
    for (const auto& command : commands) {
        const std::string family(first_word(command.name));
        if (std::find(names.begin(), names.end(), family) == names.end()) {
            names.push_back(family);
        }
    }
    return names;
}

std::string bash_completion(std::span<const Command> commands)
{
    std::string cases;
    for (const auto& command : commands) {
        cases +=
            fmt::format("        '{}') options='{}' ;;\n", command.name, dashed_options(command));
    }
    std::string seconds;
    for (const auto& family : families(commands)) {
        const auto words = words_of(commands, family);
        if (!words.empty()) {
            seconds += fmt::format("        {}) words='{}' ;;\n", family, words);
        }
    }
    return fmt::format(
        R"(# bash completion for stemma; load it with: source <(stemma completion bash)
_stemma() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} first=${{COMP_WORDS[1]}} second=${{COMP_WORDS[2]}}
    local words= options= verb=$first
    case $first in
{0}    esac
    [ -n "$words" ] && verb="$first $second"
    case $verb in
{1}    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W '{2} --help --version' -- "$current"))
    elif [ "$COMP_CWORD" -eq 2 ] && [ -n "$words" ]; then
        COMPREPLY=($(compgen -W "$words" -- "$current"))
    elif [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$options --help" -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _stemma stemma
)",
        seconds,
        cases,
        join(families(commands), " "));
}

std::string fish_completion(std::span<const Command> commands)
{
    std::string text = "# fish completion for stemma\n";
    for (const auto& command : commands) {
        const auto family = first_word(command.name);
        const bool alone = family == command.name;
        const auto condition = alone ? std::string("__fish_use_subcommand")
                                     : fmt::format("__fish_seen_subcommand_from {}", family);
        text += fmt::format("complete -c stemma -n '{}' -a '{}' -d '{}'\n",
                            condition,
                            alone ? command.name : command.name.substr(family.size() + 1),
                            command.summary);
        for (const auto& option : command.options) {
            text += fmt::format("complete -c stemma -n '__fish_seen_subcommand_from {}' -l {}\n",
                                family,
                                option.name);
        }
    }
    for (const auto& family : families(commands)) {
        if (!words_of(commands, family).empty()) {
            text += fmt::format("complete -c stemma -n '__fish_use_subcommand' -a '{}'\n", family);
        }
    }
    return text;
}

} // namespace

std::span<const Option> global_options()
{
    static constexpr std::array options = {
        Option{"store",
               "URL",
               "The lineage store: a file, sqlite:PATH, or a team's "
               "postgresql://USER@HOST/DATABASE "
               "(default: STEMMA_STORE, else .stemma/lineage.db in the nearest "
               "parent folder that has a .stemma/, else below $XDG_STATE_HOME)"},
        Option{"config", "FILE", "Settings (default: stemma.yaml beside .stemma/)"},
        Option{"format", "FORMAT", "table, json, ndjson, csv or dot", false, 0},
        Option{"json", "", "Short for --format json"},
        Option{"quiet", "", "Say nothing but results and errors", false, 'q'},
        Option{"verbose", "", "Say more about what is being done; twice for debugging", true, 'v'},
        Option{"colour", "WHEN", "auto, always or never; NO_COLOR is respected"},
        Option{"color", "WHEN", "The same"},
        Option{"progress", "HOW", "auto, plain (a line every ten seconds) or none"},
        Option{"help", "", "Show this", false, 'h'},
    };
    return options;
}

std::string overview(std::span<const Command> commands, bool colour)
{
    std::string text = "Stemma keeps the family tree of running software: source file, artifact, "
                       "package,\nimage, VM, host. It tells where something runs, what is in it, "
                       "and which VM is the\nodd one out.\n\n";
    text += head("USAGE", colour);
    text += "    stemma VERB [SELECTOR…] [options]\n\n";
    text += head("VERBS", colour);
    std::vector<std::pair<std::string, std::string>> entries;
    std::set<std::string> seen;
    for (const auto& command : commands) {
        const std::string family(first_word(command.name));
        const auto words = words_of(commands, family);
        if (words.empty()) {
            entries.emplace_back(command.name, command.summary);
        } else if (seen.insert(family).second) {
            std::string choices = words;
            std::replace(choices.begin(), choices.end(), ' ', '|');
            entries.emplace_back(family, choices);
        }
    }
    text += rows(entries);
    text += "\n" + head("SELECTORS", colour);
    text += "    file:PATH[@REV] blob:ID commit:A[..B] repo:NAME artifact:SHA|NAME|BUILDID\n"
            "    package:NAME[<=>VER] image:NAME|DIGEST release:NAME vm:NAME|UUID host:GLOB\n"
            "    snapshot:ID @FILE -        sets: A + B, A & B, A - B, ( )\n\n";
    text += "`stemma VERB --help` explains a verb, with examples. `stemma doctor` checks the "
            "installation.\n";
    return text;
}

std::string family_help(std::span<const Command> commands, std::string_view family, bool colour)
{
    std::string text = head("USAGE", colour);
    text += fmt::format("    stemma {} WORD [options]\n\n", family);
    text += head("WORDS", colour);
    std::vector<std::pair<std::string, std::string>> entries;
    for (const auto& command : commands) {
        if (first_word(command.name) == family) {
            entries.emplace_back(command.name, command.summary);
        }
    }
    return text + rows(entries) +
           fmt::format("\n`stemma {} WORD --help` explains each, with examples.\n", family);
}

std::string manual(const Command& command, std::size_t width, bool colour)
{
    width = std::clamp<std::size_t>(width, 60, 100);
    std::string text = head("NAME", colour);
    text += fmt::format("    stemma {} - {}\n\n", command.name, command.summary);
    text += head("SYNOPSIS", colour);
    text += fmt::format("    stemma {} {}\n\n", command.name, command.synopsis);
    text += head("DESCRIPTION", colour);
    text += paragraphs(command.description, 4, width) + "\n";
    if (!command.options.empty()) {
        text += head("OPTIONS", colour) + option_list(command.options, width) + "\n";
    }
    text += head("GLOBAL OPTIONS", colour) + option_list(global_options(), width) + "\n";
    text += head("EXIT STATUS", colour);
    text += paragraphs(command.exits.empty() ? usual_exits : command.exits, 4, width) + "\n";
    if (!command.examples.empty()) {
        text += head("EXAMPLES", colour);
        for (const auto& example : command.examples) {
            text += wrapped(example.meaning, 4, width);
            text += fmt::format("        $ {}\n", example.line);
        }
    }
    return text;
}

std::string completion_script(std::span<const Command> commands, std::string_view shell)
{
    if (shell == "bash") {
        return bash_completion(commands);
    }
    if (shell == "zsh") {
        return "autoload -U +X bashcompinit && bashcompinit\n" + bash_completion(commands);
    }
    if (shell == "fish") {
        return fish_completion(commands);
    }
    throw Error(ErrorCode::usage,
                fmt::format("no completion for '{}'", printable(shell)),
                "known shells: bash, zsh, fish");
}

} // namespace stemma::cli
