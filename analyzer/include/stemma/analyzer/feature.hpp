#pragma once

#include "stemma/core/json.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Features: what was seen of a system, one named value at a time. The contract between those who
/// extract them and those who compare, pool, learn or print them.
namespace stemma::analyzer {

/// What the value is, as far as its source says so; `text` when nothing is known. The value itself
/// stays as it was written: canonical forms are made by those who compare.
enum class ValueType {
    text,
    number,   ///< decimal, without a unit
    boolean,  ///< "true" or "false"
    size,     ///< bytes, or a number with a unit of size
    duration, ///< a number with a unit of time
    path,
    address, ///< host, IP or MAC, with or without port
    digest,  ///< hexadecimal
    version,
    mode,    ///< octal permission bits, four digits
    present, ///< the value is empty; that the attribute is there is all it says
    damage,  ///< what could not be parsed or read, as it stands there
};
std::string_view to_string(ValueType type) noexcept;
std::optional<ValueType> value_type_from(std::string_view word) noexcept;

/// One value of one attribute of one record. Records, not flat keys: that an attribute is missing
/// says something only where its record exists, and a record that one system alone has is compared
/// with others of its type.
///
///     name                                        kind     type  identity              attribute
///     setting:/etc/ssh/sshd_config:PermitRootLogin setting sshd  /etc/ssh/sshd_config
///     PermitRootLogin setting:/etc/fstab:mount[/boot]:options     setting  fstab
///     /etc/fstab:mount[/boot] options package:openssl:version                     package  deb
///     openssl               version file:/usr/sbin/shopd:sha256                 file     file
///     /usr/sbin/shopd       sha256 unit:ssh.service:enabled                    unit     unit
///     ssh.service           enabled user:www-data:shell                         user     user
///     www-data              shell vm:memory_mib                               vm       vm (empty)
///     memory_mib
///
/// All texts are bytes of an untrusted system: not always UTF-8, never longer than 64 KiB.
struct Feature {
    std::string
        kind; ///< setting, package, file, unit, user, group, cron, mount, network, boot, system, vm
    std::string type{};      ///< of the record: the parser's name for settings, else as `kind`
    std::string identity{};  ///< of the record within its kind; may be empty
    std::string attribute{}; ///< never empty
    std::string value{};
    ValueType value_type = ValueType::text;
    std::string file{};     ///< path in the tree that says so; empty: no file does
    std::uint32_t line = 0; ///< from 1; 0: the file as a whole, or no file

    /// "kind:identity:attribute"; without the identity where that is empty.
    [[nodiscard]] std::string name() const;
    auto operator<=>(const Feature&) const = default; // NOLINT(modernize-use-nullptr): its own 0
};

enum class Status {
    complete,    ///< all that the definition asked for
    partial,     ///< something is missing, for `reason`
    unsupported, ///< nothing was looked at, for `reason`
};
std::string_view to_string(Status status) noexcept;
std::optional<Status> status_from(std::string_view word) noexcept;

/// How one extractor fared.
struct ExtractorReport {
    std::string extractor{}; ///< "files", "settings", "packages", …
    Status status = Status::complete;
    std::string reason{}; ///< empty when complete
    std::uint64_t features = 0;

    bool operator==(const ExtractorReport&) const = default;
};

/// All that was extracted of one system at one moment.
struct FeatureSet {
    std::vector<Feature> features;           ///< after arrange(): sorted by name(), names unique
    std::vector<ExtractorReport> extractors; ///< in the order in which they ran

    /// Sorts by kind, identity, attribute and drops exact repetitions; a name that stands there
    /// again with another value gets "#2", "#3", … after its attribute, in order of file and line.
    void arrange();
    /// nullptr when there is none. Needs arrange().
    [[nodiscard]] const Feature*
    find(std::string_view kind, std::string_view identity, std::string_view attribute) const;
    /// The value, or an empty text.
    [[nodiscard]] std::string
    value_of(std::string_view kind, std::string_view identity, std::string_view attribute) const;
    /// True when no extractor is less than complete.
    [[nodiscard]] bool complete() const noexcept;
};

inline constexpr std::string_view features_schema = "stemma.features/1";

/// {"columns":["kind","type","identity","attribute","value","value_type","file","line"],
///  "extractors":[{"extractor","features","reason","status"}…],"rows":[[…]…],
///  "schema":"stemma.features/1"}; texts as json_text(). About 130 bytes per feature before
/// compression, 12 after.
Json to_json(const FeatureSet& set);
/// throws  corrupt: a member is missing or of another type; unsupported: a newer schema
FeatureSet features_from_json(const Json& json);

/// One feature as an object with every member present, "name" too: what commands print.
Json item_of(const Feature& feature);

} // namespace stemma::analyzer
