#include "stemma/collate/distribution.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

namespace stemma::hooks {

namespace fs = std::filesystem;

namespace {

struct Installed {
    std::string version;
    std::string arch;
};

using InstalledMap = std::unordered_map<std::string, Installed>; ///< by "name" and "name:arch"

std::string_view field(std::string_view stanza, std::string_view name)
{
    std::size_t at = 0;
    while (at < stanza.size()) {
        const auto end = std::min(stanza.find('\n', at), stanza.size());
        const auto line = stanza.substr(at, end - at);
        if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':') {
            return trim(line.substr(name.size() + 1));
        }
        at = end + 1;
    }
    return {};
}

InstalledMap read_status(const std::string& text)
{
    InstalledMap installed;
    std::string_view left = text;
    while (!left.empty()) {
        const auto end = left.find("\n\n");
        const auto stanza = left.substr(0, end);
        const std::string name(field(stanza, "Package"));
        if (!name.empty()) {
            const Installed entry{std::string(field(stanza, "Version")),
                                  std::string(field(stanza, "Architecture"))};
            installed[name + ":" + entry.arch] = entry;
            installed.try_emplace(name, entry);
        }
        left.remove_prefix(end == std::string_view::npos ? left.size() : end + 2);
    }
    return installed;
}

/// What the path may be called in a package's list: lists from before the merge of /usr say
/// "/bin/x" for "/usr/bin/x", and the other way round.
std::vector<std::string> aliases(const std::string& path)
{
    std::vector<std::string> names = {path};
    static constexpr std::array<std::string_view, 6> merged = {
        "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"};
    for (const auto folder : merged) {
        if (path.starts_with(folder)) {
            names.push_back("/usr" + path);
        } else if (path.starts_with(std::string("/usr").append(folder))) {
            names.push_back(path.substr(4));
        }
    }
    return names;
}

std::string vendor(const std::string& root)
{
    try {
        const auto text = read_file(root + "etc/os-release", 1U << 20U); // the lines borrow from it
        const auto lines = split_lines(text);
        const auto line = std::ranges::find_if(
            lines, [](std::string_view candidate) { return candidate.starts_with("ID="); });
        if (line != lines.end()) {
            auto id = line->substr(3);
            const bool quoted = id.size() > 1 && (id.front() == '"' || id.front() == '\'');
            return std::string(quoted ? id.substr(1, id.size() - 2) : id);
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): a system without the file is Debian's
    }
    return "debian";
}

std::string package_url(const std::string& vendor, const std::string& list, const InstalledMap& all)
{
    const auto name = list.substr(0, list.find(':'));
    const auto found = all.count(list) != 0 ? all.find(list) : all.find(name);
    std::string url = "pkg:deb/" + vendor + "/" + percent_encoded(name);
    if (found != all.end()) {
        url += "@" + percent_encoded(found->second.version) + "?arch=" + found->second.arch;
    }
    return url;
}

} // namespace

std::string percent_encoded(std::string_view text)
{
    std::string encoded;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == '~';
        if (plain) {
            encoded.push_back(c);
        } else {
            constexpr std::string_view digits = "0123456789ABCDEF";
            const auto byte = static_cast<unsigned char>(c);
            encoded.push_back('%');
            encoded.push_back(digits[byte >> 4U]);
            encoded.push_back(digits[byte & 0xfU]);
        }
    }
    return encoded;
}

std::string percent_decoded(std::string_view text)
{
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                            hex_value(text[i + 2]) >= 0;
        if (escape) {
            const int byte = hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]);
            decoded.push_back(static_cast<char>(byte));
            i += 2;
        } else {
            decoded.push_back(text[i]);
        }
    }
    return decoded;
}

std::string
debian_purl(const std::string& name, const std::string& version, const std::string& arch)
{
    return "pkg:deb/" + vendor("/") + "/" + percent_encoded(name) + "@" + percent_encoded(version) +
           "?arch=" + percent_encoded(arch);
}

Distribution::Distribution(std::string root) : root_(std::move(root))
{
    if (root_.empty() || root_.back() != '/') {
        root_.push_back('/');
    }
}

std::unordered_map<std::string, std::string>
Distribution::owners(const std::vector<std::string>& paths) const
{
    std::unordered_map<std::string, std::string> wanted; // name in a list → path as asked
    for (const auto& path : paths) {
        for (auto& name : aliases(path)) {
            wanted.emplace(std::move(name), path);
        }
    }
    std::unordered_map<std::string, std::string> owners;
    std::error_code failed;
    fs::directory_iterator lists(root_ + "var/lib/dpkg/info", failed);
    if (failed || paths.empty()) {
        return owners;
    }
    const auto installed = read_status(read_file(root_ + "var/lib/dpkg/status"));
    const auto distribution = vendor(root_);
    for (const auto& entry : lists) {
        if (entry.path().extension() != ".list") {
            continue;
        }
        const auto text = read_file(entry.path());
        std::string key;
        for (const auto line : split(text, '\n')) {
            key.assign(line);
            if (const auto found = wanted.find(key); found != wanted.end()) {
                owners.emplace(found->second,
                               package_url(distribution, entry.path().stem().string(), installed));
            }
        }
    }
    return owners;
}

} // namespace stemma::hooks
