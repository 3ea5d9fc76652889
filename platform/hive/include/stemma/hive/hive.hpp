#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// A file of Windows' registry ("regf"), read from memory. Every offset, length and count in it is
/// the guest's, and checked; nothing is followed twice.
namespace stemma::hive {

/// Windows' own numbers.
enum class ValueType : std::uint32_t {
    none = 0,
    string = 1,
    expandable = 2,
    binary = 3,
    dword = 4,
    dword_big = 5,
    link = 6,
    strings = 7,
    qword = 11,
};

struct Value {
    std::string name; ///< UTF-8; empty: the key's default value
    ValueType type = ValueType::none;
    std::string data; ///< bytes as they lie there

    /// A string, a list's strings with "; " between, a number in decimal, other bytes in
    /// hexadecimal.
    [[nodiscard]] std::string text() const;
};

class Hive {
public:
    using Key = std::uint32_t; ///< where its cell lies

    /// bytes  the whole file
    /// name   what messages call it
    /// throws corrupt: no registry file, or cut off
    Hive(std::string bytes, std::string name);

    [[nodiscard]] Key root() const noexcept { return root_; }
    /// Changes lie in log files beside it (.LOG1, .LOG2), which are not replayed: values may be
    /// those of a moment before.
    [[nodiscard]] bool unclean() const noexcept { return unclean_; }

    /// path    names with "\" between, from the root; whatever their case
    /// throws  corrupt
    [[nodiscard]] std::optional<Key> find(std::string_view path) const;
    [[nodiscard]] std::string name_of(Key key) const;
    /// throws  corrupt; unsupported: more than 1 M
    [[nodiscard]] std::vector<Key> subkeys(Key key) const;
    [[nodiscard]] std::vector<Value> values(Key key) const;
    /// The value of that name, whatever its case.
    [[nodiscard]] std::optional<Value> value(Key key, std::string_view name) const;

private:
    [[nodiscard]] std::string_view cell(std::uint32_t offset, std::string_view kind) const;
    void add_subkeys(std::uint32_t list, int depth, std::vector<Key>& keys) const;
    [[nodiscard]] std::string data_of(std::string_view value) const;
    [[nodiscard]] std::string big_data(std::string_view cell, std::uint32_t length) const;
    [[noreturn]] void refuse(std::string_view what) const;

    std::string bytes_;
    std::string name_;
    Key root_ = 0;
    bool unclean_ = false;
};

} // namespace stemma::hive
