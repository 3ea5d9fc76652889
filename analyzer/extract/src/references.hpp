#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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

    /// Sockets exist while their server runs, so that what can be looked for is another program's
    /// setting that names the same one. Such features for the sockets, of all settings that were
    /// checked, that the configuration of one program alone names.
    [[nodiscard]] std::vector<Feature> lonely_sockets() const;

private:
    /// Settings that name one socket.
    struct Socket {
        std::set<std::string> programs; ///< by the folder of their configuration
        std::vector<Feature> settings;  ///< of the first program
    };

    [[nodiscard]] bool has_path(const std::string& path);
    void note_socket(const Feature& setting, std::string_view value);

    const Source& source_;
    std::set<std::string, std::less<>> users_;
    std::set<std::string, std::less<>> groups_;
    std::unordered_map<std::string, bool> known_;
    std::map<std::string, Socket> sockets_;
};

} // namespace stemma::analyzer
