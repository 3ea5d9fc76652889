#include "stemma/http/server.hpp"

#include "stemma/core/text.hpp"

#include <httplib.h>

#include <atomic>
#include <thread>

namespace stemma::http {

namespace {

std::uint16_t port_of(std::string_view text, std::string_view whole)
{
    const auto number = parse_unsigned(text);
    if (!number || *number > 65535) {
        throw Error(ErrorCode::usage,
                    fmt::format("not an address to listen on: '{}'", printable(whole)),
                    "it reads HOST:PORT, e.g. 127.0.0.1:8080 or [::1]:8080");
    }
    return static_cast<std::uint16_t>(*number);
}

Request request_of(const httplib::Request& from)
{
    Request request;
    request.path = from.path;
    request.query.insert(from.params.begin(), from.params.end());
    request.host = from.get_header_value("Host");
    return request;
}

void put(httplib::Response& to, const Response& from)
{
    to.status = from.status;
    for (const auto& [name, value] : from.headers) {
        to.set_header(name, value);
    }
    to.set_content(from.body, from.type);
}

/// Why a request is not looked at further; 0 when it is.
int refusal(const httplib::Request& request)
{
    if (request.method != "GET" && request.method != "HEAD") {
        return 405;
    }
    const bool has_body =
        request.has_header("Transfer-Encoding") ||
        (request.has_header("Content-Length") && request.get_header_value("Content-Length") != "0");
    return has_body ? 413 : 0;
}

} // namespace

Address Address::parse(std::string_view text)
{
    Address address;
    const auto colon = text.rfind(':');
    if (is_digits(text)) {
        address.port = port_of(text, text);
        return address;
    }
    if (colon == std::string_view::npos) {
        port_of("", text);
    }
    address.port = port_of(text.substr(colon + 1), text);
    auto host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        port_of("", text); // an IPv6 address without brackets
    }
    if (!host.empty()) {
        address.host = host;
    }
    return address;
}

bool Address::is_loopback() const
{
    return host == "localhost" || host == "::1" ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string Address::text() const
{
    return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                               : fmt::format("[{}]:{}", host, port);
}

struct Server::Impl {
    httplib::Server server;
    Handler handler;
    Log& log;

    Impl(Handler wanted, Log& where) : handler(std::move(wanted)), log(where) {}

    /// Everything is answered before the library routes: no body is read, no pattern matched.
    void answer(const httplib::Request& request, httplib::Response& response)
    {
        if (const int status = refusal(request)) {
            put(response,
                {status, "text/plain", "only GET and HEAD, without a body\n", {{"Allow", "GET"}}});
            return;
        }
        try {
            put(response, handler(request_of(request)));
        } catch (const std::exception& failure) {
            log.warning("a request failed: {}", failure.what());
            put(response, {500, "text/plain", "failed; the server's log says why\n", {}});
        }
        log.debug("{} {} {}", request.method, printable(request.path), response.status);
    }
};

Server::Server(Address address, Handler handler, Log& log, Limits limits)
    : address_(std::move(address)), impl_(std::make_unique<Impl>(std::move(handler), log))
{
    auto& server = impl_->server;
    server.new_task_queue = [threads = limits.threads] { return new httplib::ThreadPool(threads); };
    server.set_keep_alive_max_count(1);
    server.set_read_timeout(limits.read);
    server.set_write_timeout(limits.write);
    server.set_payload_max_length(0);
    server.set_tcp_nodelay(true);
    // The library's default lets a second server take the same port, and half of the requests.
    server.set_socket_options([](socket_t socket) {
        const int yes = 1;
        ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server.set_pre_routing_handler([this](const auto& request, auto& response) {
        impl_->answer(request, response);
        return httplib::Server::HandlerResponse::Handled;
    });
    int port = address_.port;
    if (port == 0) {
        port = server.bind_to_any_port(address_.host);
    } else if (!server.bind_to_port(address_.host, port)) {
        port = -1;
    }
    if (port <= 0) {
        throw Error(ErrorCode::conflict,
                    fmt::format("cannot listen on {}", printable(address_.text())),
                    "the port is in use or the address is not this machine's: choose another "
                    "with --listen HOST:PORT");
    }
    address_.port = static_cast<std::uint16_t>(port);
}

Server::~Server() = default;

void Server::run(const Cancel& cancel)
{
    std::atomic<bool> ended = false;
    std::thread watcher([&] {
        while (!ended.load()) {
            if (cancel.requested()) {
                impl_->server.stop(); // again and again: it is a no-op before the loop began
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    });
    const bool orderly = impl_->server.listen_after_bind();
    ended = true;
    watcher.join();
    if (!orderly && !cancel.requested()) {
        throw Error(ErrorCode::io, fmt::format("stopped listening on {}", address_.text()));
    }
}

} // namespace stemma::http
