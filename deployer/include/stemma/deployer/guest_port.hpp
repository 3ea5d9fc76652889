#pragma once

#include "stemma/core/json.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::deployer {

struct GuestExit {
    int code = 0;
    int signal = 0;
    bool timed_out = false;
};

struct GuestFile {
    std::string sha256;
    std::uint64_t size = 0;
    std::uint32_t mode = 0;
};

/// What can be asked of the inside of a running VM, whoever answers there: Stemma's helper, or the
/// QEMU guest agent. What comes back was written by the guest: data, never authority.
///
/// Every call throws remote when nothing answers in time, and what the guest reports otherwise.
class GuestPort {
public:
    virtual ~GuestPort() = default;
    GuestPort() = default;
    GuestPort(const GuestPort&) = delete;
    GuestPort& operator=(const GuestPort&) = delete;

    /// "stemma-guest" or "qemu-guest-agent"
    [[nodiscard]] virtual std::string helper() const = 0;
    /// host_name, kernel, os, boot_id, machine_id, uptime_s; empty strings for the unknown.
    virtual Json info() = 0;
    virtual GuestFile digest(const std::string& path) = 0;

    using Sink = std::function<void(bool is_error_output, std::string_view bytes)>;
    /// patience  0: without end
    virtual GuestExit exec(const std::vector<std::string>& argv,
                           std::chrono::milliseconds patience,
                           const Sink& sink) = 0;
    virtual GuestFile read(const std::string& path,
                           const std::function<void(std::string_view)>& sink) = 0;
    /// The file appears whole or not at all. `next` gives the next piece, empty at the end.
    virtual GuestFile write(const std::string& path,
                            std::uint32_t mode,
                            const std::function<std::string()>& next) = 0;

    struct TcpProbe {
        std::string address;
        std::uint16_t port = 0;
        std::string send;
        std::string until; ///< stop reading when this came
        std::chrono::milliseconds patience{5000};
    };
    /// What the service answered, at most 64 KiB.
    virtual std::string tcp(const TcpProbe& probe) = 0;
};

} // namespace stemma::deployer
