#pragma once

#include "stemma/core/json.hpp"
#include "stemma/image/debian.hpp"
#include "stemma/volume/filesystem.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace stemma::image {

struct Diversion {
    std::string from;
    std::string to;
    std::string package; ///< ":" for the administrator's own
};

/// dpkg's own records in an image, read from a file tree: /var/lib/dpkg.
class DpkgDatabase {
public:
    /// throws  unsupported: the image has no dpkg; corrupt
    static DpkgDatabase load(volume::Filesystem& tree);
    /// False when the tree has no dpkg status file at all.
    static bool present(volume::Filesystem& tree);

    [[nodiscard]] const std::string& arch() const noexcept { return arch_; }
    [[nodiscard]] bool knows_arch(const std::string& arch) const;
    /// The vendor's word for package URLs: ID of os-release, "debian" when it has none.
    [[nodiscard]] const std::string& vendor() const noexcept { return vendor_; }

    [[nodiscard]] std::vector<Stanza>& stanzas() noexcept { return stanzas_; }
    [[nodiscard]] const std::vector<Stanza>& stanzas() const noexcept { return stanzas_; }
    /// The record of a package, whatever its state; `arch` empty: of any architecture.
    [[nodiscard]] Stanza* find(std::string_view name, std::string_view arch = {});
    [[nodiscard]] const Stanza* find(std::string_view name, std::string_view arch = {}) const;
    void put(Stanza stanza);
    void erase(std::string_view name, std::string_view arch);

    [[nodiscard]] const std::vector<Diversion>& diversions() const noexcept { return diversions_; }
    [[nodiscard]] const std::set<std::string>& overridden() const noexcept { return overridden_; }
    /// Path prefix or name → packages that asked to be told ("libc-bin", or "man-db/noawait").
    [[nodiscard]] const std::map<std::string, std::vector<std::string>>& triggers() const noexcept
    {
        return triggers_;
    }

    /// Packages (file stems) whose lists hold this path; paths are compared after the merge of
    /// /usr.
    [[nodiscard]] std::vector<std::string> owners(volume::Filesystem& tree,
                                                  const std::string& path);
    /// The lines of a package's list; empty when it has none.
    [[nodiscard]] std::vector<std::string> files_of(volume::Filesystem& tree,
                                                    const std::string& stem) const;
    /// "/lib/x" → "/usr/lib/x" where /lib is a link to usr/lib.
    [[nodiscard]] std::string merged(const std::string& path) const;

    /// Contents of /var/lib/dpkg/status.
    [[nodiscard]] std::string status_text() const;
    /// [{name version arch purl}] of all packages that are there, sorted by name.
    [[nodiscard]] Json packages_json() const;

private:
    void read_architectures(volume::Filesystem& tree);
    void read_diversions(volume::Filesystem& tree);
    void read_triggers(volume::Filesystem& tree);

    std::vector<Stanza> stanzas_;
    std::string arch_;
    std::set<std::string> foreign_;
    std::string vendor_;
    std::vector<Diversion> diversions_;
    std::set<std::string> overridden_;
    std::map<std::string, std::vector<std::string>> triggers_;
    std::set<std::string> merged_tops_;
    std::map<std::string, std::vector<std::string>> owners_;
    bool owners_read_ = false;
};

inline constexpr std::string_view dpkg_folder = "/var/lib/dpkg";

/// The last word of a record's Status: "installed", "unpacked", "config-files", …
std::string state_of(const Stanza& stanza);
/// True when its files are in place: what a dependency can build on.
bool is_there(const Stanza& stanza);
/// "libfoo:amd64" or "foo": how dpkg names the package's own files.
std::string stem_of(const Stanza& stanza);
/// Path → MD5 of the Conffiles field.
std::map<std::string, std::string> conffiles_of(const Stanza& stanza);

/// One `KEY=value` of an os-release, without quotes.
std::string os_release_value(volume::Filesystem& tree, std::string_view key);

} // namespace stemma::image
