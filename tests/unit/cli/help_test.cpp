#include "stemma/cli/help.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace stemma;
using namespace stemma::cli;

TEST_CASE("every command has a summary, a description, an example, and options with help")
{
    for (const auto& command : all_commands()) {
        INFO(command.name);
        CHECK_FALSE(command.summary.empty());
        CHECK(command.summary.back() != '.');
        CHECK_FALSE(command.description.empty());
        CHECK_FALSE(command.examples.empty());
        CHECK(command.run != nullptr);
        std::set<std::string_view> seen;
        for (const auto& option : command.options) {
            INFO(option.name);
            CHECK_FALSE(option.help.empty());
            CHECK(seen.insert(option.name).second);
            for (const auto& global : global_options()) {
                CHECK(global.name != option.name);
                CHECK((option.letter == 0 || global.letter != option.letter));
            }
        }
        for (const auto& example : command.examples) {
            CHECK(example.line.find("stemma") != std::string_view::npos);
        }
    }
}

TEST_CASE("names of commands are unique")
{
    std::set<std::string_view> names;
    for (const auto& command : all_commands()) {
        INFO(command.name);
        CHECK(names.insert(command.name).second);
    }
}

TEST_CASE("a manual page fits its width")
{
    for (const auto& command : all_commands()) {
        const auto page = manual(command, 80, false);
        for (const auto line : split_lines(page)) {
            const bool verbatim = line.find("$ ") != std::string_view::npos ||
                                  line.starts_with("    stemma") || line.starts_with("     ");
            INFO(command.name << ": " << line);
            CHECK((verbatim || display_width(line) <= 80));
        }
    }
}

TEST_CASE("bash accepts its completion script and completes a verb")
{
    const auto script = completion_script(all_commands(), "bash");
    CHECK(run({.argv = {"bash", "-n"}, .input = script}).exit.success());
    const auto test = script + R"(
COMP_WORDS=(stemma doc); COMP_CWORD=1; _stemma; echo "${COMPREPLY[@]}"
COMP_WORDS=(stemma doctor --js); COMP_CWORD=2; _stemma; echo "${COMPREPLY[@]}"
)";
    CHECK(run({.argv = {"bash"}, .input = test}).out == "doctor\n--json\n");
}
