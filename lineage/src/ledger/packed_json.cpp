#include "packed_json.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <vector>

#include "../store/varint.hpp"

namespace stemma::lineage {

namespace {

enum class Tag : unsigned char {
    null,
    no,
    yes,
    number,
    negative,
    text,
    word,
    sha256,
    hex,
    uuid,
    array,
    ascending,
    object,
    loose_object,
    short_text = 64,
    end = 128,
};

constexpr std::size_t longest_short_text = 63;
constexpr std::size_t shortest_word = 4;
constexpr std::size_t longest_word = 256;
constexpr std::size_t most_keys = 32;
constexpr std::size_t sha256_bytes = 32;
constexpr std::size_t shortest_hex = 4; // bytes
constexpr std::size_t uuid_bytes = 16;
constexpr std::size_t deepest = 80; // more than parse_json() lets in

/// Members of which many facts say the same.
constexpr std::array recurring = {std::string_view("arch"),
                                  std::string_view("channel"),
                                  std::string_view("digest"),
                                  std::string_view("format"),
                                  std::string_view("from"),
                                  std::string_view("host"),
                                  std::string_view("image"),
                                  std::string_view("kind"),
                                  std::string_view("link"),
                                  std::string_view("os"),
                                  std::string_view("parent"),
                                  std::string_view("phase"),
                                  std::string_view("release"),
                                  std::string_view("state"),
                                  std::string_view("step"),
                                  std::string_view("to")};

void put_tag(std::string& out, Tag tag)
{
    out.push_back(static_cast<char>(tag));
}

void put_text(std::string& out, std::string_view text)
{
    put(out, text.size());
    out += text;
}

bool is_dash_of_uuid(std::size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

/// The bytes that lower-case hexadecimal digits stand for; empty: it is something else.
std::string bytes_of_hex(std::string_view digits)
{
    const auto lower = [](char digit) { return digit < 'A' || digit > 'F'; };
    return std::all_of(digits.begin(), digits.end(), lower) ? from_hex(digits).value_or("")
                                                            : std::string();
}

std::string bytes_of_uuid(std::string_view text)
{
    std::string digits;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_dash_of_uuid(i) != (text[i] == '-')) {
            return {};
        }
        if (text[i] != '-') {
            digits.push_back(text[i]);
        }
    }
    return bytes_of_hex(digits);
}

std::string uuid_of(std::string_view bytes)
{
    auto text = to_hex(bytes);
    for (const std::size_t at : {8U, 13U, 18U, 23U}) {
        text.insert(at, "-");
    }
    return text;
}

/// A text as it is when it is no word.
void put_plain(std::string& out, std::string_view text)
{
    constexpr std::size_t uuid_length = 2 * uuid_bytes + 4;
    const auto bytes = text.size() == uuid_length        ? bytes_of_uuid(text)
                       : text.size() >= 2 * shortest_hex ? bytes_of_hex(text)
                                                         : std::string();
    if (!bytes.empty() && text.size() == uuid_length && bytes.size() == uuid_bytes) {
        put_tag(out, Tag::uuid);
        out += bytes;
    } else if (bytes.size() == sha256_bytes) {
        put_tag(out, Tag::sha256);
        out += bytes;
    } else if (!bytes.empty()) {
        put_tag(out, Tag::hex);
        put_text(out, bytes);
    } else if (text.size() <= longest_short_text) {
        out.push_back(static_cast<char>(static_cast<std::size_t>(Tag::short_text) + text.size()));
        out += text;
    } else {
        put_tag(out, Tag::text);
        put_text(out, text);
    }
}

bool never_falls(const Json& array)
{
    std::uint64_t before = 0;
    for (const auto& value : array) {
        if (!value.is_number_unsigned() || value.get<std::uint64_t>() < before) {
            return false;
        }
        before = value.get<std::uint64_t>();
    }
    return !array.empty();
}

class Packer {
public:
    Packer(Wording wording, Words& words) : wording_(wording), words_(words) {}

    /// recurs  the value is of a member that says the same in many facts
    /// returns  false: there is a number that is no integer
    bool pack(const Json& value, bool recurs)
    {
        switch (value.type()) {
        case Json::value_t::null:
            put_tag(out, Tag::null);
            return true;
        case Json::value_t::boolean:
            put_tag(out, value.get<bool>() ? Tag::yes : Tag::no);
            return true;
        case Json::value_t::number_integer:
        case Json::value_t::number_unsigned:
            pack_number(value);
            return true;
        case Json::value_t::string:
            pack_text(value.get_ref<const std::string&>(), recurs);
            return true;
        case Json::value_t::array:
            return pack_array(value);
        case Json::value_t::object:
            return pack_object(value);
        default:
            return false;
        }
    }

    std::string out;

private:
    void pack_number(const Json& value)
    {
        const auto number = value.get<std::int64_t>();
        const bool negative = !value.is_number_unsigned() && number < 0;
        put_tag(out, negative ? Tag::negative : Tag::number);
        put(out, negative ? static_cast<std::uint64_t>(-1 - number) : value.get<std::uint64_t>());
    }

    void pack_text(const std::string& text, bool recurs)
    {
        if (!recurs || text.size() < shortest_word || text.size() > longest_word) {
            put_plain(out, text);
            return;
        }
        std::string word;
        put_plain(word, text);
        put_tag(out, Tag::word);
        put(out, words_.number_of(word));
    }

    bool pack_array(const Json& array)
    {
        if (never_falls(array)) {
            put_tag(out, Tag::ascending);
            put(out, array.size());
            std::uint64_t before = 0;
            for (const auto& value : array) {
                put(out, value.get<std::uint64_t>() - before);
                before = value.get<std::uint64_t>();
            }
            return true;
        }
        put_tag(out, Tag::array);
        put(out, array.size());
        return std::all_of(
            array.begin(), array.end(), [&](const Json& value) { return pack_within(value); });
    }

    bool pack_within(const Json& value)
    {
        ++within_;
        const bool done = pack(value, wording_ == Wording::all);
        --within_;
        return done;
    }

    bool pack_object(const Json& object)
    {
        const bool loose = object.size() > most_keys;
        if (loose) {
            put_tag(out, Tag::loose_object);
            put(out, object.size());
        } else {
            put_keys(object);
        }
        for (const auto& [key, value] : object.items()) {
            if (loose) {
                put_text(out, key);
            }
            const bool recurs =
                (within_ > 0 && wording_ == Wording::all) ||
                (wording_ != Wording::keys &&
                 std::find(recurring.begin(), recurring.end(), key) != recurring.end());
            if (!pack(value, recurs)) {
                return false;
            }
        }
        return true;
    }

    void put_keys(const Json& object)
    {
        std::string word;
        put_tag(word, Tag::object);
        put(word, object.size());
        for (const auto& [key, value] : object.items()) {
            put_text(word, key);
        }
        put_tag(out, Tag::object);
        auto found = shapes_.find(word);
        if (found == shapes_.end()) {
            const auto number = words_.number_of(word);
            found = shapes_.emplace(std::move(word), number).first;
        }
        put(out, found->second);
    }

    Wording wording_;
    Words& words_;
    std::size_t within_ = 0; ///< how many arrays
    std::map<std::string, std::uint64_t> shapes_;
};

/// True of a text that is no word.
bool begins_plain_text(unsigned char byte)
{
    constexpr auto first = static_cast<unsigned char>(Tag::short_text);
    constexpr auto end = static_cast<unsigned char>(Tag::end);
    const auto tag = static_cast<Tag>(byte);
    return (byte >= first && byte < end) || tag == Tag::text || tag == Tag::sha256 ||
           tag == Tag::hex || tag == Tag::uuid;
}

class Unpacker {
public:
    Unpacker(NumberReader reader, Words& words, std::string_view name)
        : reader_(reader), words_(words), name_(name)
    {
    }

    Json value()
    {
        const auto byte = static_cast<unsigned char>(reader_.bytes(1).front());
        if (byte >= static_cast<unsigned char>(Tag::short_text)) {
            if (byte >= static_cast<unsigned char>(Tag::end)) {
                reader_.refuse();
            }
            return text(reader_.bytes(byte - static_cast<std::size_t>(Tag::short_text)));
        }
        switch (static_cast<Tag>(byte)) {
        case Tag::null:
            return nullptr;
        case Tag::no:
            return false;
        case Tag::yes:
            return true;
        case Tag::number:
            return reader_.number();
        case Tag::negative:
            return negative();
        case Tag::array:
        case Tag::ascending:
        case Tag::object:
        case Tag::loose_object:
            return many(static_cast<Tag>(byte));
        default:
            return long_text(static_cast<Tag>(byte));
        }
    }

    void end() const
    {
        if (!reader_.ended()) {
            reader_.refuse();
        }
    }

private:
    [[nodiscard]] Json text(std::string_view bytes) const
    {
        if (!is_utf8(bytes)) {
            reader_.refuse();
        }
        return bytes;
    }

    Json negative()
    {
        const auto number = reader_.number();
        if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
            reader_.refuse();
        }
        return -1 - static_cast<std::int64_t>(number);
    }

    Json long_text(Tag tag)
    {
        switch (tag) {
        case Tag::text:
            return text(reader_.bytes(reader_.count()));
        case Tag::word:
            return word();
        case Tag::sha256:
            return to_hex(reader_.bytes(sha256_bytes));
        case Tag::hex:
            return to_hex(reader_.bytes(reader_.count()));
        case Tag::uuid:
            return uuid_of(reader_.bytes(uuid_bytes));
        default:
            reader_.refuse();
        }
    }

    Json word()
    {
        const auto found = words_.word_of(reader_.number());
        if (found.empty() || !begins_plain_text(static_cast<unsigned char>(found.front()))) {
            reader_.refuse(); // not even a word of a word: that could go round in circles
        }
        Unpacker inner(NumberReader(found, name_), words_, name_);
        auto value = inner.value();
        inner.end();
        return value;
    }

    Json many(Tag tag)
    {
        if (++depth_ > deepest) {
            reader_.refuse();
        }
        Json value = tag == Tag::array       ? array()
                     : tag == Tag::ascending ? ascending()
                     : tag == Tag::object    ? object()
                                             : loose_object();
        --depth_;
        return value;
    }

    Json array()
    {
        const auto count = reader_.count();
        Json::array_t values;
        values.reserve(count);
        while (values.size() < count) {
            values.push_back(value());
        }
        return values;
    }

    Json ascending()
    {
        const auto count = reader_.count();
        Json::array_t values;
        values.reserve(count);
        std::uint64_t number = 0;
        while (values.size() < count) {
            number += reader_.number();
            values.emplace_back(number);
        }
        return values;
    }

    Json object()
    {
        Json::object_t members;
        for (const auto& key : keys(reader_.number())) {
            members.emplace_hint(members.end(), key, value());
        }
        return members;
    }

    Json loose_object()
    {
        Json::object_t members;
        for (auto count = reader_.count(); count > 0; --count) {
            auto key = text(reader_.bytes(reader_.count())).get<std::string>();
            members[std::move(key)] = value();
        }
        return members;
    }

    const std::vector<std::string>& keys(std::uint64_t number)
    {
        const auto known = shapes_.find(number);
        if (known != shapes_.end()) {
            return known->second;
        }
        const auto word = words_.word_of(number);
        NumberReader reader(word, name_);
        if (reader.bytes(1).front() != static_cast<char>(Tag::object)) {
            reader.refuse();
        }
        std::vector<std::string> keys(reader.count());
        for (auto& key : keys) {
            key = text(reader.bytes(reader.count())).get<std::string>();
        }
        return shapes_.emplace(number, std::move(keys)).first->second;
    }

    NumberReader reader_;
    Words& words_;
    std::string_view name_;
    std::size_t depth_ = 0;
    std::map<std::uint64_t, std::vector<std::string>> shapes_;
};

} // namespace

std::optional<std::string> pack_json(const Json& value, Wording wording, Words& words)
{
    Packer packer(wording, words);
    return packer.pack(value, false) ? std::optional(std::move(packer.out)) : std::nullopt;
}

Json unpack_json(std::string_view bytes, std::string_view name, Words& words)
{
    Unpacker unpacker(NumberReader(bytes, name), words, name);
    auto value = unpacker.value();
    unpacker.end();
    return value;
}

} // namespace stemma::lineage
