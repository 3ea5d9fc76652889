#pragma once

#include "stemma/hooks/journal.hpp"

#include <optional>
#include <string>
#include <unordered_map>

namespace stemma::hooks {

/// What is known of system files from earlier builds: their content while the stamp is the same,
/// their package while dpkg's status file is. A text file, one line per file:
///
///     stemma.system-files/1 <stamp of dpkg's status>
///     <path> TAB <stamp> TAB <sha256> TAB <size> TAB <kind> TAB <build-id or -> TAB <purl, - or ?>
///
/// A line that is not understood is dropped: it is only a cache.
class SystemCache {
public:
    struct Entry {
        Stamp stamp = 0;
        std::optional<Content> content;
        std::optional<std::string> package; ///< empty text: known to have none
    };

    /// An empty path keeps nothing.
    explicit SystemCache(std::string path);

    /// nullptr when it is not known or the file is another one now.
    [[nodiscard]] const Entry* find(const std::string& path, Stamp stamp) const;
    void put(const std::string& path, Stamp stamp, const Content& content);
    void put_package(const std::string& path, std::string purl);
    /// Never throws: a cache that cannot be written is no cache.
    void save() noexcept;

private:
    void load();

    std::string path_;
    Stamp packages_ = 0; ///< stamp of dpkg's status file
    bool changed_ = false;
    std::unordered_map<std::string, Entry> entries_;
};

} // namespace stemma::hooks
