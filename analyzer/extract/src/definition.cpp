#include "stemma/analyzer/definition.hpp"

#include "stemma/analyzer/settings.hpp"
#include "stemma/config/yaml.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

namespace stemma::analyzer {

namespace {

using config::Node;

constexpr std::uint64_t mib = 1ULL << 20U;
constexpr std::size_t longest_pattern = 4096;
constexpr std::size_t most_patterns = 10'000;

std::string pattern_from(const Node& node)
{
    auto pattern = node.text();
    if (!pattern.starts_with('/')) {
        node.refuse(fmt::format("the pattern '{}' does not start with '/'", printable(pattern)),
                    "patterns are matched against whole paths of the tree");
    }
    if (pattern.size() > longest_pattern) {
        node.refuse(fmt::format("a pattern is longer than {} bytes", longest_pattern));
    }
    bool open = false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == '\\') {
            ++i;
        } else if (pattern[i] == '[') {
            open = true;
        } else if (pattern[i] == ']') {
            open = false;
        }
    }
    if (open) {
        node.refuse(fmt::format("the pattern '{}' has a '[' without its ']'", printable(pattern)));
    }
    return pattern;
}

std::vector<std::string> patterns_from(const Node& node)
{
    std::vector<std::string> patterns;
    if (node.is_scalar()) {
        patterns.push_back(pattern_from(node));
        return patterns;
    }
    for (const auto& element : node.elements()) {
        patterns.push_back(pattern_from(element));
    }
    if (patterns.size() > most_patterns) {
        node.refuse(fmt::format("more than {} patterns", most_patterns));
    }
    return patterns;
}

std::vector<std::string> paths_of(const Node& rule)
{
    auto paths = patterns_from(rule.at("paths"));
    if (paths.empty()) {
        rule.at("paths").refuse("a rule without a path");
    }
    return paths;
}

std::vector<std::string> excludes_of(const Node& rule)
{
    const auto node = rule.find("exclude");
    return node ? patterns_from(*node) : std::vector<std::string>{};
}

std::vector<std::string> choices_from(const Node& node, const std::vector<std::string>& choices)
{
    std::vector<std::string> words;
    for (const auto& element : node.elements()) {
        auto word = element.one_of(choices);
        if (std::find(words.begin(), words.end(), word) != words.end()) {
            element.refuse(fmt::format("'{}' is here twice", word));
        }
        words.push_back(std::move(word));
    }
    return words;
}

std::vector<std::string> parser_names()
{
    std::vector<std::string> names = {"auto"};
    for (const auto name : dialect_names()) {
        names.emplace_back(name);
    }
    return names;
}

FileRule file_rule_from(const Node& node)
{
    node.allow_only({"paths", "exclude", "collect", "head"});
    FileRule rule;
    rule.paths = paths_of(node);
    rule.exclude = excludes_of(node);
    if (const auto collect = node.find("collect")) {
        const auto words =
            choices_from(*collect, {"attributes", "hash", "size", "lines", "package"});
        const auto has = [&](std::string_view word) {
            return std::find(words.begin(), words.end(), word) != words.end();
        };
        rule.attributes = has("attributes");
        rule.hash = has("hash");
        rule.size = has("size");
        rule.lines = has("lines");
        rule.package = has("package");
    }
    if (const auto head = node.find("head")) {
        rule.head = static_cast<std::uint32_t>(head->integer_within(0, 100));
    }
    return rule;
}

SettingsRule settings_rule_from(const Node& node)
{
    node.allow_only({"paths", "exclude", "parser"});
    SettingsRule rule;
    rule.paths = paths_of(node);
    rule.exclude = excludes_of(node);
    if (const auto parser = node.find("parser")) {
        rule.parser = parser->one_of(parser_names());
    }
    return rule;
}

RegistryRule registry_rule_from(const Node& node)
{
    node.allow_only({"hive", "keys", "depth"});
    RegistryRule rule;
    rule.hive = node.at("hive").text();
    if (!rule.hive.starts_with('/')) {
        node.at("hive").refuse("a path begins with \"/\"");
    }
    for (const auto& key : node.at("keys").elements()) {
        rule.keys.push_back(key.text());
    }
    if (const auto depth = node.find("depth")) {
        rule.depth = static_cast<std::uint32_t>(depth->integer_within(0, 64));
    }
    return rule;
}

Budget budget_from(const Node& node)
{
    node.allow_only({"features", "file_mib", "settings_mib", "total_mib", "seconds"});
    Budget budget;
    const auto number = [&](std::string_view key,
                            std::int64_t most) -> std::optional<std::uint64_t> {
        const auto value = node.find(key);
        if (!value) {
            return std::nullopt;
        }
        return static_cast<std::uint64_t>(value->integer_within(1, most));
    };
    budget.features = number("features", 50'000'000).value_or(budget.features);
    budget.file_bytes = number("file_mib", 1 << 20).value_or(budget.file_bytes / mib) * mib;
    budget.settings_bytes = number("settings_mib", 64).value_or(budget.settings_bytes / mib) * mib;
    budget.total_bytes = number("total_mib", 1 << 24).value_or(budget.total_bytes / mib) * mib;
    budget.seconds = static_cast<std::uint32_t>(number("seconds", 86'400).value_or(budget.seconds));
    return budget;
}

} // namespace

const std::vector<std::string>& extractor_names()
{
    static const std::vector<std::string> names = {
        "boot", "cron", "groups", "mounts", "network", "system", "units", "users", "vm"};
    return names;
}

bool Definition::wants(std::string_view extractor) const noexcept
{
    return std::find(extractors.begin(), extractors.end(), extractor) != extractors.end();
}

Definition parse_definition(std::string_view text, const std::string& name)
{
    const auto root = Node::parse(text, name);
    root.allow_only(
        {"version", "name", "files", "settings", "registry", "packages", "extractors", "budget"});
    static_cast<void>(root.at("version").integer_within(1, 1));
    Definition definition;
    definition.name = root.at("name").text();
    if (const auto files = root.find("files")) {
        for (const auto& rule : files->elements()) {
            definition.files.push_back(file_rule_from(rule));
        }
    }
    if (const auto settings = root.find("settings")) {
        for (const auto& rule : settings->elements()) {
            definition.settings.push_back(settings_rule_from(rule));
        }
    }
    if (const auto registry = root.find("registry")) {
        for (const auto& rule : registry->elements()) {
            definition.registry.push_back(registry_rule_from(rule));
        }
    }
    if (const auto packages = root.find("packages")) {
        definition.packages = choices_from(*packages, {"dpkg", "apk", "rpm"});
    }
    if (const auto extractors = root.find("extractors")) {
        definition.extractors = choices_from(*extractors, extractor_names());
    }
    if (const auto budget = root.find("budget")) {
        definition.budget = budget_from(*budget);
    }
    return definition;
}

Definition load_definition(const std::filesystem::path& path)
{
    return parse_definition(read_file(path, mib), path.string());
}

Definition default_definition()
{
    return parse_definition(default_definition_text(), "default.yaml (built in)");
}

} // namespace stemma::analyzer
