#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/log.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// A small HTTP/1.1 server for programs that answer questions: GET and HEAD only, no bodies, one
/// request per connection, every wait bounded.
namespace stemma::http {

struct Request {
    std::string path;                              ///< decoded, without the query
    std::multimap<std::string, std::string> query; ///< decoded; in no order between equal names
    std::string host;                              ///< the header Host; may be empty
};

struct Response {
    int status = 200;
    std::string type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers; ///< more than the type
};

/// Called from several threads at once. An exception becomes status 500 without its text.
using Handler = std::function<Response(const Request&)>;

struct Limits {
    std::size_t threads = 4;               ///< requests at once; others wait
    std::chrono::seconds read{5};          ///< for the whole of a request to come
    std::chrono::seconds write{30};        ///< for a client to take what it asked for
    std::size_t longest_target = 8192 - 1; ///< bytes of path and query; the library's own bound
};

/// "HOST:PORT", "[::1]:8080", ":8080" (loopback) or a port alone.
struct Address {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;
    /// throws  usage: not of this form
    static Address parse(std::string_view text);
    /// True for 127.0.0.0/8, ::1 and "localhost": nothing that another machine can reach.
    [[nodiscard]] bool is_loopback() const;
    [[nodiscard]] std::string text() const;
};

class Server {
public:
    /// Binds at once; port 0 takes a free one.
    /// throws  conflict: the address is taken or not this machine's
    Server(Address address, Handler handler, Log& log, Limits limits = {});
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// With the port that was taken.
    [[nodiscard]] const Address& address() const noexcept { return address_; }
    /// Answers until `cancel` is requested; requests under way are finished.
    void run(const Cancel& cancel);

private:
    struct Impl;
    Address address_;
    std::unique_ptr<Impl> impl_;
};

} // namespace stemma::http
