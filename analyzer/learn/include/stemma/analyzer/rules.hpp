#pragma once

#include "stemma/analyzer/matrix.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// One thing that a rule asks of a VM's features. All that is given must hold.
struct Condition {
    std::string feature;                ///< pattern over "FILE:KEY"; any that matches will do
    std::optional<bool> exists;         ///< that there is one, or none
    std::vector<std::string> one_of;    ///< canonical value; `is` gives one
    std::vector<std::string> none_of;   ///< `is_not`
    std::optional<std::string> matches; ///< shell pattern over the value
    std::optional<double> below;        ///< numbers with their units: bytes, seconds
    std::optional<double> above;
};

/// "When these hold, the VM is …", written by a user.
struct Rule {
    std::string name;
    std::string label;
    std::string because;
    std::vector<Condition> all;  ///< each must hold
    std::vector<Condition> any;  ///< one must; empty: does not matter
    std::vector<Condition> none; ///< none may
};

/// Rules from YAML:
///
///     version: 1
///     rules:
///       - name: open relay
///         label: sick
///         because: anybody can send mail through it
///         all:
///           - feature: "/etc/postfix/main.cf:mynetworks∋0.0.0.0/0"
///             exists: true
///         none:
///           - {feature: "/etc/postfix/main.cf:inet_interfaces∋*", one_of: [loopback-only]}
///
/// Conditions: exists, is, is_not, one_of, none_of, matches, below, above.
/// throws  config: FILE:LINE:COLUMN and what is wrong there
std::vector<Rule> parse_rules(std::string_view text, const std::string& name);
std::vector<Rule> load_rules(const std::filesystem::path& file);

struct RuleHit {
    std::size_t vm = 0;
    std::size_t rule = 0;
    struct Evidence {
        std::string feature;
        std::optional<std::string> value; ///< nullopt: that it is not there
    };
    std::vector<Evidence> evidence; ///< what made the conditions of `all` and `any` hold
};

/// Every rule on every VM; hits by VM, then by rule.
std::vector<RuleHit> apply_rules(const std::vector<Rule>& rules, const Matrix& matrix);

} // namespace stemma::analyzer
