#include "shop/config.hpp"

#include <charconv>
#include <fstream>
#include <functional>
#include <map>
#include <stdexcept>
#include <string_view>

namespace shop {

namespace {

std::string_view trimmed(std::string_view text)
{
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

unsigned number(std::string_view text, unsigned low, unsigned high)
{
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
    if (error != std::errc{} || end != text.end() || value < low || value > high) {
        throw std::runtime_error("not a number from " + std::to_string(low) + " to " +
                                 std::to_string(high) + ": " + std::string(text));
    }
    return value;
}

bool one_of(std::string_view text, std::string_view no, std::string_view yes)
{
    if (text != no && text != yes) {
        throw std::runtime_error("neither " + std::string(no) + " nor " + std::string(yes) + ": " +
                                 std::string(text));
    }
    return text == yes;
}

using Setter = std::function<void(Config&, std::string_view)>;

const std::map<std::string_view, Setter>& setters()
{
    static const std::map<std::string_view, Setter> all{
        {"address", [](Config& c, std::string_view v) { c.address = v; }},
        {"port",
         [](Config& c, std::string_view v) {
             c.port = static_cast<std::uint16_t>(number(v, 1, 65535));
         }},
        {"workers", [](Config& c, std::string_view v) { c.workers = number(v, 1, 256); }},
        {"idle_timeout_s",
         [](Config& c, std::string_view v) { c.idle_timeout_s = number(v, 1, 3600); }},
        {"currency", [](Config& c, std::string_view v) { c.currency = v; }},
        {"tax_percent", [](Config& c, std::string_view v) { c.tax_percent = number(v, 0, 100); }},
        {"rounding",
         [](Config& c, std::string_view v) { c.round_up = one_of(v, "nearest", "up"); }},
        {"greeting", [](Config& c, std::string_view v) { c.greeting = v; }},
        {"log_level",
         [](Config& c, std::string_view v) { c.verbose = one_of(v, "info", "debug"); }},
    };
    return all;
}

void apply_line(std::string_view line, Config& config)
{
    line = trimmed(line);
    if (line.empty() || line.front() == '#') {
        return;
    }
    const auto equals = line.find('=');
    const auto key = trimmed(line.substr(0, equals));
    const auto setter = setters().find(key);
    if (equals == std::string_view::npos || setter == setters().end()) {
        throw std::runtime_error("not a setting of shopd: " + std::string(line));
    }
    setter->second(config, trimmed(line.substr(equals + 1)));
}

} // namespace

Config load_config(const std::string& path)
{
    std::ifstream file(path);
    if (!file) {
        throw std::runtime_error(path + ": cannot be read");
    }
    Config config;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        try {
            apply_line(line, config);
        } catch (const std::exception& error) {
            throw std::runtime_error(path + ":" + std::to_string(number) + ": " + error.what());
        }
    }
    return config;
}

} // namespace shop
