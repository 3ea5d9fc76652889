#include "stemma/server/api.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/text.hpp"

#include "answers.hpp"
#include "stores.hpp"

namespace stemma::server {

/// The page's bytes; made from page/index.html.
std::string_view page_text() noexcept;

namespace {

constexpr std::string_view api_prefix = "/api/v1/";

int status_of(ErrorCode code)
{
    switch (code) {
    case ErrorCode::usage:
    case ErrorCode::config:
        return 400;
    case ErrorCode::not_found:
        return 404;
    case ErrorCode::conflict:
        return 409;
    default:
        return 500;
    }
}

std::vector<std::pair<std::string, std::string>> guarded(std::string policy)
{
    return {{"Cache-Control", "no-store"},
            {"Content-Security-Policy", std::move(policy)},
            {"Referrer-Policy", "no-referrer"},
            {"X-Content-Type-Options", "nosniff"}};
}

http::Response json_response(int status, const Json& body)
{
    return {status,
            "application/json",
            body.dump(2, ' ', false, Json::error_handler_t::replace) + "\n",
            guarded("default-src 'none'")};
}

http::Response failed(int status, std::string_view code, const Error& error)
{
    return json_response(status,
                         {{"code", code},
                          {"hint", error.hint().empty() ? Json(nullptr) : json_text(error.hint())},
                          {"message", json_text(error.one_line())},
                          {"schema", "stemma.error/1"}});
}

/// The one inline script of the page, by its hash: nothing else may run.
std::string script_policy(std::string_view page)
{
    const auto begin = page.find("<script>") + 8;
    const auto script = page.substr(begin, page.find("</script>") - begin);
    const auto digest = sha256(script);
    const std::string bytes(digest.bytes.begin(), digest.bytes.end());
    return fmt::format("default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
                       "script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'",
                       to_base64(bytes));
}

/// The name in a Host header, without the port.
std::string_view host_name(std::string_view host)
{
    if (host.starts_with('[')) {
        return host.substr(0, host.find(']') + 1);
    }
    return host.substr(0, host.find(':'));
}

bool names_this_machine(std::string_view host)
{
    const auto name = host_name(host);
    return name == "localhost" || name == "[::1]" ||
           http::Address{std::string(name), 0}.is_loopback();
}

} // namespace

struct Api::Impl {
    Stores stores;
    bool local_only;
    const Clock& clock;
    Log& log;
    std::string policy = script_policy(page_text());

    http::Response answer(const http::Request& request)
    {
        if (request.path == "/") {
            return {200, "text/html; charset=utf-8", std::string(page_text()), guarded(policy)};
        }
        const std::string_view path = request.path;
        const auto answerer =
            path.starts_with(api_prefix) ? answerer_of(path.substr(api_prefix.size())) : nullptr;
        if (answerer == nullptr) {
            return failed(404,
                          "not_found",
                          Error(ErrorCode::not_found,
                                fmt::format("there is nothing at {}", printable(path)),
                                "docs/server.md lists what there is"));
        }
        const auto store = stores.lease();
        return json_response(200, answerer(*store, request, clock.now()));
    }
};

Api::Api(std::string store_url, bool local_only, const Clock& clock, Log& log)
    : impl_(new Impl{Stores(std::move(store_url), clock, log), local_only, clock, log})
{
}

Api::~Api() = default;

http::Response Api::handle(const http::Request& request)
{
    if (impl_->local_only && !names_this_machine(request.host)) {
        return failed(403,
                      "refused",
                      Error(ErrorCode::usage,
                            fmt::format("'{}' is not a name of this machine's own address",
                                        printable(request.host)),
                            "ask http://127.0.0.1 or http://localhost"));
    }
    try {
        return impl_->answer(request);
    } catch (const Error& error) {
        const int status = status_of(error.code());
        if (status == 500) {
            impl_->log.warning("{}: {}", printable(request.path), error.one_line());
        }
        return failed(status, to_string(error.code()), error);
    }
}

} // namespace stemma::server
