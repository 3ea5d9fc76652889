#pragma once

#include "stemma/support/volumes.hpp"

#include <cstring>

/// Registry files, filled by libhivex' own writer.
namespace stemma::support {

namespace hives {

inline void put(std::string& bytes, std::size_t at, std::uint32_t value)
{
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

inline void put16(std::string& bytes, std::size_t at, std::uint16_t value)
{
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// A header, one block of 4 KiB, and in it a root key without anything and its security record.
inline std::string empty()
{
    constexpr std::size_t block = 4096;
    constexpr std::size_t root = block + 32;
    constexpr std::size_t root_bytes = 96;
    constexpr std::size_t security = root + root_bytes;
    constexpr std::size_t security_bytes = 48;
    std::string bytes(2 * block, '\0');
    bytes.replace(0, 4, "regf");
    put(bytes, 4, 1);
    put(bytes, 8, 1);
    put(bytes, 0x14, 1); // version 1.3
    put(bytes, 0x18, 3);
    put(bytes, 0x20, 1);
    put(bytes, 0x24, 32);
    put(bytes, 0x28, block);
    put(bytes, 0x2c, 1);
    bytes.replace(block, 4, "hbin");
    put(bytes, block + 8, block);
    put(bytes, root, ~static_cast<std::uint32_t>(root_bytes - 1));
    bytes.replace(root + 4, 2, "nk");
    put16(bytes, root + 6, 0x2c); // root, name of one-byte letters
    for (const std::size_t at :
         {std::size_t{28}, std::size_t{32}, std::size_t{40}, std::size_t{48}}) {
        put(bytes, root + 4 + at, 0xFFFFFFFF);
    }
    put(bytes, root + 4 + 44, security - block);
    put16(bytes, root + 4 + 72, 4);
    bytes.replace(root + 4 + 76, 4, "ROOT");
    put(bytes, security, ~static_cast<std::uint32_t>(security_bytes - 1));
    bytes.replace(security + 4, 2, "sk");
    put(bytes, security + 8, security - block);
    put(bytes, security + 12, security - block);
    put(bytes, security + 16, 1);
    put(bytes, security + 20, 20);
    bytes[security + 24] = 1; // a descriptor without owner, group and lists
    put(bytes, security + security_bytes, 2 * block - security - security_bytes);
    std::uint32_t sum = 0;
    for (std::size_t at = 0; at < 0x1fc; at += 4) {
        std::uint32_t word = 0;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        sum ^= word;
    }
    put(bytes, 0x1fc, sum);
    return bytes;
}

} // namespace hives

/// Makes a hive with the keys and values of a .reg text, whose keys begin with "[\".
inline void make_hive(const std::filesystem::path& path, const std::string& reg)
{
    write_file(path, hives::empty());
    const auto text = path.string() + ".reg";
    write_file(text, "Windows Registry Editor Version 5.00\n\n" + reg);
    tool_checked({"hivexregedit", "--merge", path.string(), text});
}

} // namespace stemma::support
