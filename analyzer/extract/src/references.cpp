#include "references.hpp"

#include "stemma/analyzer/key.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

namespace stemma::analyzer {

namespace {

constexpr std::size_t longest_path = 256;
constexpr std::size_t most_lookups = 50'000;
constexpr std::size_t most_of_one_socket = 16;

bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '.';
}

/// "/usr/sbin/nginx -t" and "unix:/srv/app.sock" name a file each; patterns and variables do not.
std::string_view path_in(std::string_view value)
{
    while (!value.empty() && (value.front() == '-' || value.front() == '@' ||
                              value.front() == '+' || value.front() == '!')) {
        value.remove_prefix(1); // systemd's marks in front of a command
    }
    if (value.starts_with("unix:")) {
        value.remove_prefix(5);
    }
    const std::string_view path = value.substr(0, value.find(' '));
    const bool plain = path.size() > 2 && path.size() <= longest_path && path.front() == '/' &&
                       std::all_of(path.begin(), path.end(), [](char byte) {
                           return is_name_byte(byte) || byte == '/' || byte == '+' || byte == '@';
                       });
    return plain ? path : std::string_view{};
}

/// Made when something runs, so that its absence at rest says nothing.
bool is_made_at_run_time(std::string_view path)
{
    constexpr std::array<std::string_view, 9> folders = {
        "/run", "/var/run", "/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/var/log", "/var/lock"};
    return std::any_of(folders.begin(), folders.end(), [&](std::string_view folder) {
        return path.starts_with(folder) &&
               (path.size() == folder.size() || path[folder.size()] == '/');
    });
}

/// "/run/php/fpm.sock" of "proxy:unix:/var/run/php/fpm.sock|fcgi://localhost"; empty: none.
std::string socket_in(std::string_view value)
{
    constexpr std::string_view ending = ".sock";
    constexpr std::string_view old_folder = "/var/run/";
    const auto end = value.find(ending);
    const auto start = value.substr(0, end).find('/');
    if (end == std::string_view::npos || start == std::string_view::npos ||
        end - start > longest_path) {
        return {};
    }
    const std::string_view path = value.substr(start, end + ending.size() - start);
    return path.starts_with(old_folder) ? std::string(path.substr(4)) : std::string(path);
}

/// "/etc/nginx" of everything in there.
std::string program_of(std::string_view file)
{
    const auto folder = file.find('/', 1);
    return std::string(file.substr(0, file.find('/', std::min(folder, file.size() - 1) + 1)));
}

Feature names_nothing_feature(const Feature& setting, std::string_view name, std::string value)
{
    Feature feature = setting;
    feature.attribute = std::string(name).append(names_nothing);
    feature.value = std::move(value);
    return feature;
}

enum class Account { none, user, group };

/// Directives whose value is an account, by the last part of their name.
Account account_named_by(std::string_view attribute)
{
    const std::string name = to_lower(attribute);
    for (const std::string_view one :
         {"user", "owner", "listen.owner", "runas", "run_as", "allowusers", "denyusers"}) {
        if (name == one) {
            return Account::user;
        }
    }
    for (const std::string_view one : {"group", "listen.group", "allowgroups", "denygroups"}) {
        if (name == one) {
            return Account::group;
        }
    }
    return Account::none;
}

bool is_account_name(std::string_view word)
{
    return !word.empty() && word.size() <= 32 && !is_digits(word) &&
           std::all_of(word.begin(), word.end(), is_name_byte);
}

std::set<std::string, std::less<>> names_of(const std::map<std::uint32_t, std::string>& accounts)
{
    std::set<std::string, std::less<>> names;
    for (const auto& [id, name] : accounts) {
        names.insert(name);
    }
    return names;
}

} // namespace

References::References(const Source& source)
    : source_(source),
      users_(names_of(source.accounts.users)),
      groups_(names_of(source.accounts.groups))
{
}

bool References::has_path(const std::string& path)
{
    const auto [found, fresh] = known_.try_emplace(path, true);
    if (fresh && known_.size() <= most_lookups) {
        found->second = source_.exists(path);
    }
    return found->second;
}

std::optional<Feature> References::check(const Feature& setting)
{
    const std::string_view attribute = setting.attribute;
    const auto mark = attribute.find(element_mark);
    const bool element = mark != std::string_view::npos;
    const std::string_view name = attribute.substr(0, mark);
    const std::string_view value =
        element ? attribute.substr(mark + element_mark.size()) : std::string_view(setting.value);
    if (setting.type == "lines" || setting.value_type == ValueType::damage) {
        return std::nullopt;
    }
    note_socket(setting, value);
    std::string_view missing;
    const Account account = account_named_by(name);
    if (const auto path = path_in(value); !path.empty()) {
        const bool looked_for = !is_made_at_run_time(path) && !(element && path != value);
        missing = looked_for && !has_path(std::string(path)) ? path : std::string_view{};
    } else if (account != Account::none && is_account_name(value)) {
        const auto& known = account == Account::user ? users_ : groups_;
        missing = known.empty() || known.contains(value) ? std::string_view{} : value;
    }
    if (missing.empty()) {
        return std::nullopt;
    }
    Feature feature = names_nothing_feature(setting, name, std::string(missing));
    feature.value_type = account == Account::none ? ValueType::path : ValueType::text;
    return feature;
}

void References::note_socket(const Feature& setting, std::string_view value)
{
    std::string path = socket_in(value);
    if (path.empty() || !is_made_at_run_time(path) || sockets_.size() >= most_lookups) {
        return;
    }
    Socket& socket = sockets_[std::move(path)];
    socket.programs.insert(program_of(setting.file));
    if (socket.programs.size() == 1 && socket.settings.size() < most_of_one_socket) {
        socket.settings.push_back(setting);
    }
}

std::vector<Feature> References::lonely_sockets() const
{
    std::vector<Feature> features;
    for (const auto& [path, socket] : sockets_) {
        if (socket.programs.size() > 1) {
            continue;
        }
        for (const Feature& setting : socket.settings) {
            const std::string_view attribute = setting.attribute;
            const auto name = attribute.substr(0, attribute.find(element_mark));
            features.push_back(names_nothing_feature(setting, name, path));
            features.back().value_type = ValueType::path;
        }
    }
    return features;
}

} // namespace stemma::analyzer
