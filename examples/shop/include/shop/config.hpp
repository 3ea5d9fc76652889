#pragma once

#include <cstdint>
#include <string>

namespace shop {

struct Config {
    std::string address = "0.0.0.0";
    std::uint16_t port = 7070;
    unsigned workers = 4;
    unsigned idle_timeout_s = 30;
    std::string currency = "EUR";
    unsigned tax_percent = 19;
    bool round_up = false;
    std::string greeting;
    bool verbose = false;
};

/// throws  std::runtime_error: "PATH:LINE: …" for a key or a value that it does not know
Config load_config(const std::string& path);

} // namespace shop
