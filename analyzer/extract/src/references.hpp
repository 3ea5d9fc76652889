#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sink.hpp"

namespace stemma::analyzer {

/// Looks whether the files, users and groups exist that settings name.
class References {
public:
    explicit References(const Source& source);

    /// A feature beside the setting's, "ATTRIBUTE (names nothing)" with the name as its value;
    /// nullopt when the setting names nothing that could be looked for, or it is there. What only
    /// a running system has (/run, /proc, devices, temporary files, logs) is not looked for.
    std::optional<Feature> check(const Feature& setting);

private:
    [[nodiscard]] bool has_path(const std::string& path);

    const Source& source_;
    std::set<std::string, std::less<>> users_;
    std::set<std::string, std::less<>> groups_;
    std::unordered_map<std::string, bool> known_;
};

} // namespace stemma::analyzer
