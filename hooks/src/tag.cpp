#include "tag.hpp"

#include <array>

namespace stemma::hooks {

namespace {

constexpr std::string_view launcher_name = "stemma-hook";

bool take(std::string_view argument, std::string_view option, std::string& into)
{
    if (argument.substr(0, option.size()) != option) {
        return false;
    }
    into = argument.substr(option.size());
    // Ninja leaves some placeholders of custom commands as they are.
    for (const auto* placeholder : {"TARGET_NAME", "TARGET_TYPE", "LANGUAGE", "OUTPUT", "OBJECT"}) {
        if (into == placeholder || into == std::string("<").append(placeholder).append(">")) {
            into.clear();
        }
    }
    return true;
}

} // namespace

std::optional<LauncherCall> launcher_call(const std::vector<std::string>& argv)
{
    if (argv.size() < 2 || argv[1] != "step") {
        return std::nullopt;
    }
    LauncherCall call;
    for (std::size_t i = 2; i < argv.size(); ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--") {
            call.tool = i + 1;
            return call.tool < argv.size() ? std::optional(call) : std::nullopt;
        }
        if (!take(argument, "--journal=", call.journal) &&
            !take(argument, "--target=", call.tag.target) &&
            !take(argument, "--type=", call.tag.type) &&
            !take(argument, "--language=", call.tag.language) &&
            !take(argument, "--output=", call.tag.output) &&
            !take(argument, "--role=", call.tag.role)) {
            return std::nullopt;
        }
    }
    return std::nullopt;
}

std::optional<Tag> tag_of(const std::vector<std::string>& argv)
{
    if (argv.empty()) {
        return std::nullopt;
    }
    const std::string_view program = argv.front();
    const auto slash = program.rfind('/');
    if (program.substr(slash == std::string_view::npos ? 0 : slash + 1) != launcher_name) {
        return std::nullopt;
    }
    auto call = launcher_call(argv);
    return call ? std::optional(std::move(call->tag)) : std::nullopt;
}

} // namespace stemma::hooks
