#pragma once

#include "stemma/core/json.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "port.hpp"

namespace stemma::guest {

/// One request while it runs: sends and takes its content under the credit rule, and notices when
/// the host cancels it or begins anew.
class Exchange {
public:
    Exchange(Port& port, std::uint64_t epoch, std::uint32_t request)
        : port_(port), epoch_(epoch), request_(request)
    {
    }

    /// Sends content, in pieces, waiting for credit.
    /// throws  Abandoned, interrupted: cancelled
    void send(char stream, std::string_view bytes);
    /// The next piece of the host's content; nullopt after its last.
    std::optional<std::string> receive();
    /// Looks at what the host says meanwhile, waiting at most so long.
    /// throws  Abandoned, interrupted
    void attend(std::chrono::milliseconds patience);
    [[nodiscard]] int port_fd() const noexcept { return port_.fd(); }
    void end(const Json& result);

private:
    void handle(const Frame& frame);

    Port& port_;
    std::uint64_t epoch_;
    std::uint32_t request_;
    std::int64_t credit_ = window;
    std::uint32_t consumed_ = 0;
    std::string arrived_;
    bool whole_ = false;
};

/// Answers the host until the port is gone. Returns for a socket that was closed.
void serve(Port& port);

// One function per operation: the result's JSON, content through the exchange.
Json run_program(const Json& request, Exchange& exchange);
Json probe_tcp(const Json& request, Exchange& exchange);
Json digest_of_file(const Json& request);
Json send_file(const Json& request, Exchange& exchange);
Json receive_file(const Json& request, Exchange& exchange);
Json describe_system();
std::string boot_id();

} // namespace stemma::guest
