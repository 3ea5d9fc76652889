#include "stemma/core/text.hpp"
#include "stemma/hive/hive.hpp"
#include "stemma/volume/utf16.hpp"

#include <algorithm>

#include "bytes.hpp"

namespace stemma::hive {

namespace {

/// The strings of a list end with a zero each, and the list with one more.
std::string joined(std::string text)
{
    while (!text.empty() && text.back() == '\0') {
        text.pop_back();
    }
    std::string shown;
    for (const char letter : text) {
        shown += letter == '\0' ? "; " : std::string(1, letter);
    }
    return shown;
}

std::uint64_t number_of(std::string_view data, bool big)
{
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto byte = static_cast<unsigned char>(data[big ? i : data.size() - 1 - i]);
        value = (value << 8U) | byte;
    }
    return value;
}

} // namespace

std::string Value::text() const
{
    switch (type) {
    case ValueType::string:
    case ValueType::expandable:
    case ValueType::link: {
        const auto text = utf8_of_utf16(data);
        return text.substr(0, text.find('\0'));
    }
    case ValueType::strings:
        return joined(utf8_of_utf16(data));
    case ValueType::dword:
    case ValueType::dword_big:
    case ValueType::qword:
        if (data.size() == 4 || data.size() == 8) {
            return std::to_string(number_of(data, type == ValueType::dword_big));
        }
        break;
    default:
        break;
    }
    return to_hex(data);
}

} // namespace stemma::hive
