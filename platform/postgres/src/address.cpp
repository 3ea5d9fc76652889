#include "stemma/postgres/address.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <array>
#include <initializer_list>
#include <memory>

#include <libpq-fe.h>

namespace stemma::postgres {

namespace {

constexpr std::string_view hidden = "***";
constexpr std::array schemes = {std::string_view("postgresql://"), std::string_view("postgres://")};

struct OptionsFreer {
    void operator()(PQconninfoOption* options) const noexcept { ::PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, OptionsFreer>;

std::string_view value_of(const PQconninfoOption* options, std::string_view keyword)
{
    for (const auto* option = options; option->keyword != nullptr; ++option) {
        if (keyword == option->keyword) {
            return option->val == nullptr ? std::string_view() : std::string_view(option->val);
        }
    }
    return {};
}

/// "%70assword" is "password" to libpq.
std::string decoded(std::string_view text)
{
    constexpr int sixteen = 16;
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const bool code = text[at] == '%' && at + 2 < text.size() && hex_value(text[at + 1]) >= 0 &&
                          hex_value(text[at + 2]) >= 0;
        if (code) {
            plain += static_cast<char>(hex_value(text[at + 1]) * sixteen + hex_value(text[at + 2]));
            at += 2;
        } else {
            plain += text[at];
        }
    }
    return plain;
}

std::string shown_parameters(std::string_view query)
{
    std::string text;
    for (const auto part : split(query, '&')) {
        const auto equals = part.find('=');
        const auto name = to_lower(decoded(part.substr(0, equals)));
        text += text.empty() ? "?" : "&";
        if (equals != std::string_view::npos && name.find("password") != std::string::npos) {
            text += std::string(part.substr(0, equals + 1)) + std::string(hidden);
        } else {
            text += part;
        }
    }
    return text;
}

/// Where "user:password" would end if whoever wrote the address forgot to write a '@', '/' or '?'
/// of the password as %40, %2F or %3F; npos: nothing looks like one.
std::size_t end_of_login(std::string_view rest)
{
    const auto at = rest.find_first_of("@/?");
    if (at == std::string_view::npos) {
        return at;
    }
    if (rest[at] == '@') {
        const auto more = rest.find_first_of("@/?", at + 1);
        const bool again = more != std::string_view::npos && rest[more] == '@';
        return again ? rest.find_last_of('@') : at;
    }
    const auto colon = rest.substr(0, at).rfind(':');
    const bool is_port = colon == std::string_view::npos || rest[colon + 1] == ']' ||
                         rest.front() == '[' || is_digits(rest.substr(colon + 1, at - colon - 1));
    return is_port ? std::string_view::npos : rest.find_last_of('@');
}

/// False when libpq would take a part of what is meant as a password for something else, and say it
/// aloud.
bool is_read_as_written(std::string_view url)
{
    const auto rest = url.substr(url.find("://") + 3);
    const auto ends = rest.find_first_of("@/");
    const bool has_login = ends != std::string_view::npos && rest[ends] == '@';
    return end_of_login(rest) == (has_login ? ends : std::string_view::npos);
}

} // namespace

bool is_address(std::string_view url) noexcept
{
    return url.starts_with(schemes[0]) || url.starts_with(schemes[1]);
}

std::string shown(std::string_view url)
{
    const auto begin = url.find("://");
    if (!is_address(url) || begin == std::string_view::npos) {
        return std::string(url);
    }
    std::string text(url.substr(0, begin + 3));
    auto rest = url.substr(begin + 3);
    if (const auto end = end_of_login(rest); end != std::string_view::npos) {
        const auto colon = rest.find(':');
        if (colon < end) {
            text += std::string(rest.substr(0, colon + 1)) + std::string(hidden);
            rest.remove_prefix(end);
        }
    }
    const auto question = rest.find('?');
    text += rest.substr(0, question);
    return question == std::string_view::npos ? text
                                              : text + shown_parameters(rest.substr(question + 1));
}

std::string target(const std::string& url)
{
    char* message = nullptr;
    const Options parsed(is_read_as_written(url) ? ::PQconninfoParse(url.c_str(), &message)
                                                 : nullptr);
    const std::unique_ptr<char, decltype(&::PQfreemem)> reason(message, ::PQfreemem);
    if (!parsed) {
        // libpq's words may quote a part of a password that is written wrongly.
        const bool quotable = reason != nullptr && shown(url) == url;
        throw Error(ErrorCode::usage,
                    fmt::format("{} is no address of a database{}",
                                printable(shown(url)),
                                quotable ? ": " + printable(trim(std::string_view(reason.get())))
                                         : std::string()),
                    "write postgresql://USER@HOST:PORT/DATABASE; in a password '@' is %40, '/' "
                    "is %2F, '%' is %25, and it is better kept in ~/.pgpass");
    }
    // Environment, service of PGSERVICE, built-in; a service that the address names stays a name.
    const Options usual(::PQconndefaults());
    const auto value = [&](std::string_view keyword) {
        const auto own = value_of(parsed.get(), keyword);
        return !own.empty() || !usual ? own : value_of(usual.get(), keyword);
    };
    std::string text;
    for (const auto* const key : {"host", "hostaddr", "port", "service"}) {
        text += fmt::format("{}={} ", key, value(key));
    }
    text += fmt::format("dbname={}", value("dbname").empty() ? value("user") : value("dbname"));
    return text;
}

} // namespace stemma::postgres
