#include "words.hpp"

#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace stemma::exporting {

namespace {

bool is_unreserved(char byte) noexcept
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

/// RFC 3986 characters of a whole URI; everything else in it must be encoded.
bool may_stand_in_uri(char byte) noexcept
{
    return is_unreserved(byte) ||
           std::string_view(":/?#[]@!$&'()*+,;=%").find(byte) != std::string_view::npos;
}

std::string encoded(std::string_view bytes, bool (*stays)(char) noexcept)
{
    std::string text;
    text.reserve(bytes.size());
    for (const char byte : bytes) {
        if (stays(byte)) {
            text += byte;
        } else {
            text += fmt::format("%{:02X}", static_cast<unsigned char>(byte));
        }
    }
    return text;
}

} // namespace

std::string name_text(std::string_view bytes)
{
    return is_utf8(bytes) ? std::string(bytes) : printable(bytes);
}

std::string percent_encoded(std::string_view bytes)
{
    return encoded(bytes, [](char byte) noexcept { return is_unreserved(byte) || byte == '/'; });
}

std::string percent_decoded(std::string_view text)
{
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
            hex_value(text[i + 2]) >= 0) {
            bytes += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            bytes += text[i];
        }
    }
    return bytes;
}

std::optional<std::string> repository_uri(std::string_view repo)
{
    if (repo.starts_with('/')) {
        return "git+file://" + percent_encoded(repo);
    }
    const auto scheme = repo.find("://");
    if (scheme != std::string_view::npos && scheme > 0) {
        const auto plain = encoded(repo, may_stand_in_uri);
        return repo.starts_with("git+") ? plain : "git+" + plain;
    }
    // "git@host:path", ssh's own form: a colon before any slash.
    const auto colon = repo.find(':');
    if (colon == std::string_view::npos || colon == 0 || repo.find('/') < colon) {
        return std::nullopt;
    }
    return fmt::format("git+ssh://{}/{}",
                       encoded(repo.substr(0, colon), may_stand_in_uri),
                       percent_encoded(repo.substr(colon + 1)));
}

std::optional<std::string> file_uri(const model::Manifest& manifest, const model::File& file)
{
    if (file.package) {
        const auto at = file.path.find_first_not_of('/');
        const auto inside = at == std::string::npos ? std::string() : file.path.substr(at);
        return file.package->find('#') != std::string::npos
                   ? *file.package
                   : fmt::format("{}#{}", *file.package, percent_encoded(inside));
    }
    if (file.repo.empty()) {
        return file.path.starts_with('/') ? std::optional("file://" + percent_encoded(file.path))
                                          : std::nullopt;
    }
    const bool committed = file.state == model::FileState::clean && manifest.build.commit &&
                           file.repo == manifest.build.repo;
    const auto repository = repository_uri(file.repo);
    if (!committed || !repository) {
        return std::nullopt;
    }
    return fmt::format("{}@{}#{}", *repository, *manifest.build.commit, percent_encoded(file.path));
}

std::string second_time(Time time)
{
    const auto whole = format_time(std::chrono::floor<std::chrono::seconds>(time));
    return whole.substr(0, whole.find('.')) + "Z";
}

std::optional<PurlParts> split_purl(std::string_view purl)
{
    if (!purl.starts_with("pkg:")) {
        return std::nullopt;
    }
    PurlParts parts;
    purl.remove_prefix(4);
    purl = purl.substr(0, purl.find('#'));
    const auto question = purl.find('?');
    if (question != std::string_view::npos) {
        for (const auto qualifier : split(purl.substr(question + 1), '&')) {
            if (qualifier.starts_with("arch=")) {
                parts.arch = percent_decoded(qualifier.substr(5));
            }
        }
        purl = purl.substr(0, question);
    }
    const auto at = purl.rfind('@');
    if (at != std::string_view::npos && purl.find('/', at) == std::string_view::npos) {
        parts.version = percent_decoded(purl.substr(at + 1));
        purl = purl.substr(0, at);
    }
    const auto slash = purl.find('/');
    if (slash == std::string_view::npos || slash + 1 == purl.size()) {
        return std::nullopt;
    }
    parts.type = std::string(purl.substr(0, slash));
    parts.name = percent_decoded(base_name(purl));
    return parts;
}

std::string_view base_name(std::string_view path) noexcept
{
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

} // namespace stemma::exporting
