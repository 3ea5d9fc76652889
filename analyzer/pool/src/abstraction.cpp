#include "abstraction.hpp"

#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

#include "identifiers.hpp"

namespace stemma::analyzer {

namespace {

/// Folders whose entries are one of many each.
constexpr std::array<std::string_view, 16> holders = {"home",
                                                      "www",
                                                      "opt",
                                                      "srv",
                                                      "export",
                                                      "sites-available",
                                                      "sites-enabled",
                                                      "mods-available",
                                                      "mods-enabled",
                                                      "conf-available",
                                                      "conf-enabled",
                                                      "live",
                                                      "archive",
                                                      "system-connections",
                                                      "keys",
                                                      "zones"};

bool holds_many(std::string_view folder)
{
    return folder.ends_with(".d") || folder.ends_with(".wants") || folder.ends_with(".requires") ||
           std::find(holders.begin(), holders.end(), folder) != holders.end();
}

} // namespace

std::string general_path_of(std::string_view path)
{
    std::string general;
    std::string_view before;
    for (const std::string_view part : split(path, '/')) {
        if (part.empty()) {
            continue;
        }
        general += '/';
        if (holds_many(before)) {
            general += '*';
        } else {
            general += part;
        }
        before = part;
    }
    return general.empty() ? "/" : general;
}

bool are_alike(std::string_view general_path)
{
    static constexpr std::array<std::string_view, 14> different = {".wants/",
                                                                   ".requires/",
                                                                   "/init.d/",
                                                                   "/rc",
                                                                   "/systemd/",
                                                                   "/pam.d/",
                                                                   "/cron",
                                                                   "/profile.d",
                                                                   "/apparmor",
                                                                   "/alternatives/",
                                                                   "/default/",
                                                                   "/fail2ban/",
                                                                   "/etc/crontab",
                                                                   "/logcheck/"};
    return std::none_of(different.begin(), different.end(), [&](std::string_view part) {
        return general_path.find(part) != std::string_view::npos;
    });
}

std::string general_key(std::string_view key)
{
    std::string general;
    int depth = 0;
    for (const char byte : key) {
        if (byte == ']' && depth > 0) {
            --depth;
        }
        if (depth == 0) {
            general += byte;
        }
        if (byte == '[') {
            ++depth;
        }
    }
    return general;
}

std::string instance_name(std::string_view path, std::string_view identity)
{
    if (identity.empty()) {
        const std::string general = general_path_of(path);
        std::size_t star = 0;
        const auto general_parts = split(general, '/');
        const auto parts = split(path, '/');
        for (std::size_t i = 0; i < general_parts.size() && i < parts.size(); ++i) {
            star = general_parts[i] == "*" ? i : star;
        }
        identity = star > 0 ? parts[star] : std::string_view{};
    }
    std::size_t begin = 0;
    while (begin < identity.size() && !is_word(identity[begin])) {
        ++begin;
    }
    std::size_t end = begin;
    while (end < identity.size() && is_word(identity[end])) {
        ++end;
    }
    const std::string_view name = identity.substr(begin, end - begin);
    return name.size() >= 3 ? std::string(name) : std::string();
}

std::string without_self(std::string_view value, std::string_view self)
{
    std::string text(value);
    if (self.empty()) {
        return text;
    }
    std::size_t at = 0;
    while ((at = text.find(self, at)) != std::string::npos) {
        const std::size_t end = at + self.size();
        const bool whole =
            (at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]));
        if (whole) {
            text.replace(at, self.size(), "⟨SELF⟩");
            at += 8;
        } else {
            at = end;
        }
    }
    return text;
}

} // namespace stemma::analyzer
