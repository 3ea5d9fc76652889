#pragma once

#include "stemma/analyzer/feature.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stemma::analyzer {

/// What a system is called, so that its names can be taken out of its settings: two VMs that each
/// name themselves say the same.
struct OwnNames {
    std::string host; ///< short; empty: unknown
    std::string fqdn; ///< empty: unknown
    std::string machine_id;
    std::vector<std::string> addresses; ///< without prefix length
    std::set<std::string> disk_ids;     ///< UUIDs of its disks, lower case; empty: not known
    /// ("php", "8.2"): versions that are folders below /etc.
    std::vector<std::pair<std::string, std::string>> versions;
    std::uint64_t memory_mib = 0; ///< 0: unknown
    std::uint64_t vcpus = 0;      ///< 0: unknown

    /// Reads them from where systems keep them: /etc/hostname, /etc/machine-id, the network's
    /// configuration, features of kind "vm".
    static OwnNames of(const FeatureSet& set);
};

/// A rule of a user: settings whose name matches `setting` (a shell pattern over "FILE:KEY") are
/// left out, or have every match of `pattern` (ECMAScript) replaced.
struct CanonicalRule {
    std::string setting;
    std::string pattern; ///< empty: the whole value
    std::string replacement;
    bool ignore = false;
};

/// Rules from a YAML file:
///
///     version: 1
///     canonical:
///       - setting: "/opt/app/*:*token*"
///         ignore: true
///       - setting: "/etc/app.conf:*"
///         pattern: "build-[0-9]+"
///         replacement: "⟨BUILD⟩"
/// throws  config
std::vector<CanonicalRule> load_canonical_rules(const std::filesystem::path& file);

/// Brings values into the form in which they are compared. The declared rules, in this order:
///  own names    host name ⟨HOST⟩, FQDN ⟨FQDN⟩, machine id ⟨MACHINE⟩, address ⟨IP⟩, its networks
///               ⟨NET24⟩ and ⟨NET16⟩, versions in paths ⟨VER⟩
///  user's rules
///  booleans     yes, true, on, enabled are "yes"; no, false, off, disabled are "no"
///  identifiers  UUIDs ⟨UUID⟩ (kept when the VM's disks are known and none of them has it), MAC
///               addresses ⟨MAC⟩, 24 and more hexadecimal digits ⟨HEX⟩, keys in base64 ⟨KEY⟩,
///               password hashes ⟨HASH⟩, points in time ⟨TIME⟩
///  paths        doubled and last slashes are dropped; /bin, /sbin and /lib are those in /usr
class Canonical {
public:
    /// names, rules  borrowed
    explicit Canonical(const OwnNames& names, const std::vector<CanonicalRule>* rules = nullptr);
    ~Canonical();
    Canonical(const Canonical&) = delete;
    Canonical& operator=(const Canonical&) = delete;

    /// setting  "FILE:KEY", for the user's rules only
    /// returns  nullopt: the setting is left out
    [[nodiscard]] std::optional<std::string> value(std::string_view setting,
                                                   std::string_view raw) const;
    /// Own names and versions only: for paths and keys.
    [[nodiscard]] std::string name(std::string_view raw) const;
    /// Own texts and what stands for them, longest first.
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& replacements() const
    {
        return replace_;
    }
    /// Puts this system's own names back in: what peers say, as it would stand here.
    [[nodiscard]] std::string expand(std::string_view canonical) const;

private:
    struct Compiled;
    [[nodiscard]] std::string own(std::string_view raw) const;

    const OwnNames& names_;
    std::vector<std::pair<std::string, std::string>> replace_; ///< longest first
    std::vector<Compiled> rules_;
};

/// A number with its unit: "64M", "30s", "1.5 GiB", "50". Sizes in bytes, times in seconds.
struct Quantity {
    double value = 0;
    enum class Unit { none, size, time, percent } unit = Unit::none;
};
/// nullopt when the text is not one number with at most one unit.
std::optional<Quantity> quantity_of(std::string_view text);

/// Data that a running system writes by itself, or that is meant to differ: logs, caches, seeds,
/// leases, host keys, identities, copies that tools leave behind. nullptr when it is not; else why.
const char* operational_reason(std::string_view path);

} // namespace stemma::analyzer
