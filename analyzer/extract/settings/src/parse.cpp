#include "stemma/analyzer/settings.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "dialect.hpp"

namespace stemma::analyzer {

namespace {

using settings::Dialect;

/// Blocks whose identity is written inside them: nginx's server by its name and port, Apache's
/// VirtualHost by its ServerName.
struct NamedBlock {
    std::string_view dialect;
    std::string_view block; ///< segment without its number
    std::string_view name;  ///< directive that names it
    std::string_view also;  ///< a second one; may be empty
};

constexpr NamedBlock named_blocks[] = {
    {"nginx", "server", "server_name", "listen"},
    {"apache", "virtualhost", "servername", ""},
};

/// "server" or "server[2]" at the beginning of a key's segment; npos when there is none.
std::size_t block_end(std::string_view key, std::string_view block, std::size_t& begin)
{
    begin = 0;
    while (begin < key.size()) {
        const std::string_view rest = key.substr(begin);
        if (rest.starts_with(block) && rest.size() > block.size() &&
            (rest[block.size()] == '/' || rest[block.size()] == '[')) {
            std::size_t at = begin + block.size();
            while (at < key.size() && key[at] == '[') {
                at = key.find(']', at);
                at = at == std::string_view::npos ? key.size() : at + 1;
            }
            return at < key.size() && key[at] == '/' ? at : std::string_view::npos;
        }
        const auto slash = key.find('/', begin);
        const auto bracket = key.find('[', begin);
        if (slash == std::string_view::npos || bracket < slash) {
            return std::string_view::npos;
        }
        begin = slash + 1;
    }
    return std::string_view::npos;
}

/// The directive's value: behind its "=" or, for a list, the first element.
std::string_view value_of(const Setting& setting, std::size_t from, std::string_view name)
{
    const std::string_view rest = std::string_view(setting.key).substr(from);
    if (rest == name) {
        return setting.value;
    }
    if (rest.starts_with(name) && rest.substr(name.size()).starts_with(element_mark)) {
        return rest.substr(name.size() + element_mark.size());
    }
    return {};
}

void name_blocks(SettingsFile& file, const NamedBlock& rule)
{
    std::map<std::string, std::pair<std::string, std::string>, std::less<>> identities;
    for (const Setting& setting : file.settings) {
        std::size_t begin = 0;
        const std::size_t end = block_end(setting.key, rule.block, begin);
        if (end == std::string_view::npos) {
            continue;
        }
        auto& [name, also] = identities[setting.key.substr(0, end)];
        if (name.empty()) {
            name = value_of(setting, end + 1, rule.name);
        }
        if (also.empty() && !rule.also.empty()) {
            also = value_of(setting, end + 1, rule.also);
        }
    }
    std::map<std::string, int, std::less<>> taken;
    std::map<std::string, std::string, std::less<>> renamed;
    for (const auto& [prefix, identity] : identities) {
        std::size_t begin = 0;
        block_end(prefix + "/", rule.block, begin);
        const auto word = split_words(identity.second);
        std::string fresh =
            prefix.substr(0, begin) + std::string(rule.block) + "[" + identity.first.substr(0, 100);
        if (!word.empty()) {
            fresh += ":" + std::string(word[0]);
        } else if (const auto open = prefix.find('[', begin); open != std::string::npos) {
            const auto shut = prefix.find(']', open);
            fresh += " " + prefix.substr(open + 1, shut - open - 1);
        }
        const int count = ++taken[fresh];
        renamed[prefix] = fresh + (count > 1 ? "#" + std::to_string(count) : "") + "]";
    }
    for (Setting& setting : file.settings) {
        std::size_t begin = 0;
        const std::size_t end = block_end(setting.key, rule.block, begin);
        if (end != std::string_view::npos) {
            setting.key = renamed[setting.key.substr(0, end)] + setting.key.substr(end);
        }
    }
}

const Dialect& choose(std::string_view path, std::string_view content, std::string_view named)
{
    for (const Dialect* dialect : settings::all_dialects()) {
        if (dialect->name == named) {
            return *dialect;
        }
    }
    const Dialect* known = settings::dialect_by_path(path);
    return known != nullptr ? *known : settings::dialect_by_content(content);
}

} // namespace

SettingsFile parse_settings(std::string_view path, std::string_view content, std::string_view named)
{
    const Dialect& dialect = choose(path, content, named);
    SettingsFile file;
    file.dialect = dialect.name;
    settings::Sink sink(dialect, file);
    dialect.read(content, dialect, sink);
    sink.finish();
    for (const NamedBlock& rule : named_blocks) {
        if (rule.dialect == dialect.name) {
            name_blocks(file, rule);
        }
    }
    return file;
}

std::string_view dialect_of(std::string_view path, std::string_view content)
{
    return choose(path, content, "auto").name;
}

std::vector<std::string_view> dialect_names()
{
    std::vector<std::string_view> names;
    for (const Dialect* dialect : settings::all_dialects()) {
        names.push_back(dialect->name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace stemma::analyzer
