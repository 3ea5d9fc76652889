#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// The text in which LVM keeps its metadata. Private to this library.
namespace stemma::volume {

/// name { … } with numbers, strings and lists of both. A list of one is the same as its value.
struct LvmSection {
    std::map<std::string, std::vector<std::string>> values;
    std::map<std::string, std::unique_ptr<LvmSection>> sections;

    /// Empty when it is not there.
    [[nodiscard]] std::string text(const std::string& name) const;
    [[nodiscard]] std::uint64_t number(const std::string& name) const;
    [[nodiscard]] const LvmSection* section(const std::string& name) const;
};

/// throws  corrupt: not of that form, nested deeper than 8
LvmSection parse_lvm_text(std::string_view text);

} // namespace stemma::volume
