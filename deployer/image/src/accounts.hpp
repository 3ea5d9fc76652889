#pragma once

#include "stemma/volume/filesystem.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace stemma::image {

/// Names of users and groups as the image's own /etc/passwd and /etc/group know them.
class Accounts {
public:
    static Accounts load(volume::Filesystem& tree);
    /// The number for a name; `fallback` where the name is empty or unknown.
    [[nodiscard]] std::uint32_t user(const std::string& name, std::uint64_t fallback) const;
    [[nodiscard]] std::uint32_t group(const std::string& name, std::uint64_t fallback) const;

private:
    std::map<std::string, std::uint32_t> users_;
    std::map<std::string, std::uint32_t> groups_;
};

} // namespace stemma::image
