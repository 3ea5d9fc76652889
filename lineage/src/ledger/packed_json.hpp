#pragma once

#include "stemma/core/json.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// JSON in few bytes: what the ledger keeps of the bodies of events.
///
/// A value begins with a byte that says what follows; numbers are LEB128:
///
/// | byte   | value                                                                       |
/// |--------|-----------------------------------------------------------------------------|
/// | 0 1 2  | null, false, true                                                           |
/// | 3 4    | number n of 0 or more; -1 - n                                               |
/// | 5      | text: length, bytes                                                         |
/// | 6      | text or keys that the ledger knows as a word: its number                    |
/// | 7      | sha256 in lower-case hexadecimal: 32 bytes                                  |
/// | 8      | other lower-case hexadecimal, of 8 digits or more: number of bytes, bytes   |
/// | 9      | UUID: 16 bytes                                                              |
/// | 10     | array: count, values                                                        |
/// | 11     | array of numbers that never fall: count, difference of each to the one      |
/// |        | before                                                                      |
/// | 12     | object: number of the word that is its keys, values in the keys' order      |
/// | 13     | object: count, then key (length, bytes) and value of each                   |
/// | 64-127 | text of 0 to 63 bytes: bytes                                                |
///
/// A word is a text as above, or a byte 12, a count and keys (length, bytes). Measured: an event of
/// a VM 30 to 60 bytes (JSON: 83 to 210), a manifest of 150,000 links and 4,700 files 856 KB
/// before compression.
namespace stemma::lineage {

/// The texts that come again and again, by number.
class Words {
public:
    Words() = default;
    Words(const Words&) = delete;
    Words& operator=(const Words&) = delete;
    virtual ~Words() = default;
    /// Number of a word, from 1 on; made when it is new.
    virtual std::uint64_t number_of(std::string_view word) = 0;
    /// throws  corrupt: there is none of this number
    virtual std::string word_of(std::uint64_t number) = 0;
};

/// Which texts become words; keys of objects always do, unless there are many or long ones.
enum class Wording {
    keys,    ///< none: what is compressed afterwards needs none
    members, ///< those of members that say the same in many facts: host, image, state, …
    all,     ///< and all within arrays
};

/// returns  nullopt: it holds a number that is no integer
std::optional<std::string> pack_json(const Json& value, Wording wording, Words& words);

/// throws  corrupt
Json unpack_json(std::string_view bytes, std::string_view name, Words& words);

} // namespace stemma::lineage
