// Layout:
// https://github.com/msuhanov/regf/blob/master/Windows%20registry%20file%20format%20specification.md

#include "stemma/hive/hive.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "bytes.hpp"

namespace stemma::hive {

namespace {

constexpr std::size_t header_bytes = 4096; ///< cells are counted from its end
constexpr std::uint32_t nothing = 0xFFFFFFFF;
constexpr std::size_t most_keys = std::size_t{1} << 20U;
constexpr std::size_t key_head = 76;
constexpr std::size_t value_head = 20;
constexpr std::uint32_t most_data = 64U << 20U;

bool same_name(std::string_view left, std::string_view right)
{
    return to_lower(left) == to_lower(right);
}

} // namespace

Hive::Hive(std::string bytes, std::string name) : bytes_(std::move(bytes)), name_(std::move(name))
{
    if (bytes_.size() < header_bytes || !bytes_.starts_with("regf")) {
        refuse("is no registry file");
    }
    unclean_ = u32(bytes_, 4) != u32(bytes_, 8);
    root_ = u32(bytes_, 0x24);
    if (u32(bytes_, 0x28) > bytes_.size() - header_bytes) {
        refuse("is cut off");
    }
    (void)name_of(root_);
}

void Hive::refuse(std::string_view what) const
{
    throw Error(ErrorCode::corrupt, fmt::format("{} {}", name_, what));
}

/// A used cell's content, of at least four bytes. `kind` is how it must begin; an "nk" and a "vk"
/// have their fixed part.
std::string_view Hive::cell(std::uint32_t offset, std::string_view kind) const
{
    const std::uint64_t at = std::uint64_t{header_bytes} + offset;
    if (at % 8 != 0 || at + 8 > bytes_.size()) {
        refuse(fmt::format("points out of itself (cell {:#x})", offset));
    }
    const std::uint32_t raw = u32(bytes_, static_cast<std::size_t>(at));
    const std::uint32_t length = ~raw + 1; // negative: in use
    if ((raw & 0x80000000U) == 0 || length < 8 || length > bytes_.size() - at) {
        refuse(fmt::format("has a broken cell at {:#x}", offset));
    }
    const auto content =
        std::string_view(bytes_).substr(static_cast<std::size_t>(at) + 4, length - 4);
    const std::size_t least = kind == "nk" ? key_head : kind == "vk" ? value_head : 4;
    if (!content.starts_with(kind) || content.size() < least) {
        refuse(fmt::format("has no {} at {:#x}", kind, offset));
    }
    return content;
}

std::string Hive::name_of(Key key) const
{
    constexpr std::uint32_t one_byte_letters = 0x20;
    const auto content = cell(key, "nk");
    const std::size_t length = u16(content, 72);
    if (length > content.size() - key_head) {
        refuse("has a key whose name ends outside of it");
    }
    const auto name = content.substr(key_head, length);
    return (u16(content, 2) & one_byte_letters) != 0 ? utf8_of_latin(name) : utf8_of_utf16(name);
}

void Hive::add_subkeys(std::uint32_t list, int depth, std::vector<Key>& keys) const
{
    const auto content = cell(list, "");
    const auto kind = content.substr(0, 2);
    const std::size_t count = u16(content, 2);
    const bool hashed = kind == "lf" || kind == "lh";
    const std::size_t step = hashed ? 8 : 4;
    if ((!hashed && kind != "li" && kind != "ri") || (kind == "ri" && depth > 0) ||
        count * step > content.size() - 4) {
        refuse(fmt::format("has a broken list of keys at {:#x}", list));
    }
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t each = u32(content, 4 + i * step);
        if (kind == "ri") {
            add_subkeys(each, depth + 1, keys);
        } else {
            keys.push_back(each);
        }
        if (keys.size() > most_keys) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{}: a key has more than {} keys", name_, most_keys));
        }
    }
}

std::vector<Hive::Key> Hive::subkeys(Key key) const
{
    const auto content = cell(key, "nk");
    std::vector<Key> keys;
    if (u32(content, 20) > 0 && u32(content, 28) != nothing) {
        add_subkeys(u32(content, 28), 0, keys);
    }
    return keys;
}

std::optional<Hive::Key> Hive::find(std::string_view path) const
{
    Key at = root_;
    for (const std::string_view name : split(path, '\\')) {
        if (name.empty()) {
            continue;
        }
        const auto below = subkeys(at);
        const auto found = std::find_if(
            below.begin(), below.end(), [&](Key each) { return same_name(name_of(each), name); });
        if (found == below.end()) {
            return std::nullopt;
        }
        at = *found;
    }
    return at;
}

std::string Hive::big_data(std::string_view cell_content, std::uint32_t length) const
{
    constexpr std::size_t segment = 16344;
    const std::size_t count = u16(cell_content, 2);
    const auto list = cell(u32(cell_content, 4), "");
    if (count * 4 > list.size()) {
        refuse("has a broken list of data");
    }
    std::string data;
    for (std::size_t i = 0; i < count && data.size() < length; ++i) {
        const auto part = cell(u32(list, i * 4), "");
        data += part.substr(0, std::min(segment, length - data.size()));
    }
    if (data.size() < length) {
        refuse("has a value that is cut off");
    }
    return data;
}

std::string Hive::data_of(std::string_view value) const
{
    constexpr std::uint32_t within = 0x80000000U;
    constexpr std::uint32_t largest_plain = 16344;
    const std::uint32_t length = u32(value, 4);
    if ((length & within) != 0) {
        return std::string(value.substr(8, std::min(length & ~within, 4U)));
    }
    if (length == 0) {
        return {};
    }
    if (length > most_data) {
        refuse("has a value that is too long");
    }
    const auto content = cell(u32(value, 8), "");
    if (length > largest_plain && content.starts_with("db") && content.size() >= 8) {
        return big_data(content, length);
    }
    if (length > content.size()) {
        refuse("has a value that is cut off");
    }
    return std::string(content.substr(0, length));
}

std::vector<Value> Hive::values(Key key) const
{
    constexpr std::uint32_t one_byte_letters = 1;
    const auto content = cell(key, "nk");
    const std::size_t count = u32(content, 36);
    std::vector<Value> all;
    if (count == 0) {
        return all;
    }
    const auto list = cell(u32(content, 40), "");
    if (count > list.size() / 4) {
        refuse("has a broken list of values");
    }
    for (std::size_t i = 0; i < count; ++i) {
        const auto entry = cell(u32(list, i * 4), "vk");
        const std::size_t length = u16(entry, 2);
        if (length > entry.size() - value_head) {
            refuse("has a value whose name ends outside of it");
        }
        const auto name = entry.substr(value_head, length);
        all.push_back({.name = (u16(entry, 16) & one_byte_letters) != 0 ? utf8_of_latin(name)
                                                                        : utf8_of_utf16(name),
                       .type = static_cast<ValueType>(u32(entry, 12)),
                       .data = data_of(entry)});
    }
    return all;
}

std::optional<Value> Hive::value(Key key, std::string_view name) const
{
    for (Value& each : values(key)) {
        if (same_name(each.name, name)) {
            return std::move(each);
        }
    }
    return std::nullopt;
}

} // namespace stemma::hive
