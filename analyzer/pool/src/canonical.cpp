#include "stemma/analyzer/canonical.hpp"

#include "stemma/config/yaml.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <regex>

#include "identifiers.hpp"

namespace stemma::analyzer {

namespace {

/// Replaces `from` where it stands as a word of its own.
void replace_words(std::string& text, std::string_view from, std::string_view to)
{
    std::size_t at = 0;
    while ((at = text.find(from, at)) != std::string::npos) {
        const std::size_t end = at + from.size();
        const bool begins = at == 0 || !is_word(text[at - 1]) || !is_word(from.front());
        const bool ends = end == text.size() || !is_word(text[end]) || !is_word(from.back());
        if (begins && ends) {
            text.replace(at, from.size(), to);
            at += to.size();
        } else {
            at = end;
        }
    }
}

/// "/lib/x" is "/usr/lib/x" since the folders were merged; so are bin and sbin.
std::string_view merged_root(std::string_view text)
{
    for (const std::string_view folder : {"/bin/", "/sbin/", "/lib/", "/lib64/"}) {
        if (text.starts_with(folder)) {
            return "/usr";
        }
    }
    return {};
}

std::string fold_path(std::string_view text)
{
    if (text.find("://") != std::string_view::npos) {
        return std::string(text);
    }
    std::string out(merged_root(text));
    for (const char byte : text) {
        if (byte != '/' || out.empty() || out.back() != '/') {
            out += byte;
        }
    }
    if (out.size() > 1 && out.back() == '/') {
        out.pop_back();
    }
    return out;
}

std::optional<std::string> boolean_of(std::string_view text)
{
    if (text.size() > 8 || text.size() < 2) {
        return std::nullopt;
    }
    const std::string word = to_lower(text);
    for (const std::string_view yes : {"yes", "true", "on", "enabled"}) {
        if (word == yes) {
            return "yes";
        }
    }
    for (const std::string_view no : {"no", "false", "off", "disabled"}) {
        if (word == no) {
            return "no";
        }
    }
    return std::nullopt;
}

} // namespace

struct Canonical::Compiled {
    const CanonicalRule* rule;
    std::optional<std::regex> pattern;
};

Canonical::Canonical(const OwnNames& names, const std::vector<CanonicalRule>* rules) : names_(names)
{
    const auto add = [&](const std::string& from, std::string to) {
        if (from.size() >= 3) {
            replace_.emplace_back(from, std::move(to));
        }
    };
    add(names.fqdn, "⟨FQDN⟩");
    if (names.host != "localhost" && names.host != "debian") {
        add(names.host, "⟨HOST⟩");
    }
    add(names.machine_id, "⟨MACHINE⟩");
    for (const std::string& address : names.addresses) {
        add(address, "⟨IP⟩");
        const auto last = address.rfind('.');
        if (last == std::string::npos || last == 0) {
            continue;
        }
        for (const std::string_view end : {".0", ".1", ".254", ".255"}) {
            add(address.substr(0, last) + std::string(end), "⟨NET24⟩" + std::string(end));
        }
        if (const auto middle = address.rfind('.', last - 1); middle != std::string::npos) {
            add(address.substr(0, middle) + ".", "⟨NET16⟩.");
        }
    }
    for (const auto& [name, version] : names.versions) {
        for (const std::string_view glue : {"", "/", "-"}) {
            const std::string before = name + std::string(glue);
            add(before + version, before + "⟨VER⟩");
        }
    }
    std::stable_sort(replace_.begin(), replace_.end(), [](const auto& a, const auto& b) {
        return a.first.size() > b.first.size();
    });
    for (std::size_t i = 0; rules != nullptr && i < rules->size(); ++i) {
        const CanonicalRule& rule = (*rules)[i];
        Compiled compiled{&rule, std::nullopt};
        if (!rule.pattern.empty()) {
            compiled.pattern.emplace(rule.pattern);
        }
        rules_.push_back(std::move(compiled));
    }
}

Canonical::~Canonical() = default;

std::string Canonical::name(std::string_view raw) const
{
    return std::string(merged_root(raw)) + own(raw);
}

std::string Canonical::own(std::string_view raw) const
{
    std::string text(raw);
    for (const auto& [from, to] : replace_) {
        replace_words(text, from, to);
    }
    return text;
}

std::optional<std::string> Canonical::value(std::string_view setting, std::string_view raw) const
{
    std::string text = own(raw);
    for (const Compiled& compiled : rules_) {
        if (!glob_match(compiled.rule->setting, setting)) {
            continue;
        }
        if (compiled.rule->ignore) {
            return std::nullopt;
        }
        text = compiled.pattern
                   ? std::regex_replace(text, *compiled.pattern, compiled.rule->replacement)
                   : compiled.rule->replacement;
    }
    if (auto boolean = boolean_of(text)) {
        return boolean;
    }
    if (text.size() >= 10) {
        text = replace_identifiers(text, names_.disk_ids);
    }
    if (text.find('/') != std::string::npos) {
        text = fold_path(text);
    }
    return text;
}

std::string Canonical::expand(std::string_view canonical) const
{
    std::string text(canonical);
    for (const auto& [from, to] : replace_) {
        std::size_t at = 0;
        while ((at = text.find(to, at)) != std::string::npos) {
            text.replace(at, to.size(), from);
            at += from.size();
        }
    }
    return text;
}

std::vector<CanonicalRule> load_canonical_rules(const std::filesystem::path& file)
{
    const config::Node root = config::Node::load(file);
    root.allow_only({"version", "canonical"});
    if (root.at("version").integer() != 1) {
        root.at("version").refuse("only version 1 is known");
    }
    std::vector<CanonicalRule> rules;
    for (const config::Node& node : root.at("canonical").elements()) {
        node.allow_only({"setting", "pattern", "replacement", "ignore"});
        CanonicalRule rule;
        rule.setting = node.at("setting").text();
        if (const auto pattern = node.find("pattern")) {
            rule.pattern = pattern->text();
            try {
                const std::regex trial(rule.pattern);
            } catch (const std::regex_error& error) {
                pattern->refuse(std::string("not a regular expression: ") + error.what());
            }
        }
        if (const auto replacement = node.find("replacement")) {
            rule.replacement = replacement->text();
        }
        if (const auto ignore = node.find("ignore")) {
            rule.ignore = ignore->boolean();
        }
        rules.push_back(std::move(rule));
    }
    return rules;
}

} // namespace stemma::analyzer
