#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <limits>
#include <map>
#include <random>
#include <vector>

#include "fleet.hpp"
#include "ledger/packed_json.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

namespace {

class KeptWords final : public Words {
public:
    std::uint64_t number_of(std::string_view word) override
    {
        const auto [found, fresh] = numbers_.try_emplace(std::string(word), texts.size() + 1);
        if (fresh) {
            texts.emplace_back(word);
        }
        return found->second;
    }
    std::string word_of(std::uint64_t number) override
    {
        if (number == 0 || number > texts.size()) {
            throw Error(ErrorCode::corrupt, "no such word");
        }
        return texts[number - 1];
    }

    std::vector<std::string> texts;

private:
    std::map<std::string, std::uint64_t> numbers_;
};

constexpr auto wordings = {Wording::keys, Wording::members, Wording::all};

Json random_json(std::mt19937_64& random, int depth);

std::string random_text(std::mt19937_64& random)
{
    const std::string hex = sha(std::to_string(random()));
    switch (random() % 9) {
    case 0:
        return hex;
    case 1:
        return hex.substr(random() % 64);
    case 2:
        return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
               hex.substr(16, 4) + "-" + hex.substr(20, 12);
    case 3:
        return hex.substr(0, 8) + "-" + hex.substr(8, 27); // nearly a UUID
    case 4:
        return "ABCDEF0123456789";
    case 5:
        return std::string(random() % 400, 'x');
    case 6:
        return {"\0\n\"\\", 4};
    case 7:
        return "Ünïcödé 統";
    default:
        return "running";
    }
}

Json random_number(std::mt19937_64& random)
{
    switch (random() % 5) {
    case 0:
        return std::numeric_limits<std::int64_t>::min();
    case 1:
        return std::numeric_limits<std::uint64_t>::max();
    case 2:
        return -static_cast<std::int64_t>(random() % 1000);
    default:
        return random() % 300;
    }
}

Json random_many(std::mt19937_64& random, int depth)
{
    const bool object = random() % 2 == 0;
    Json json = object ? Json::object() : Json::array();
    const auto count = random() % 12 == 0 ? 40 : random() % 5;
    const bool numbers = random() % 3 == 0;
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (object) {
            json[random_text(random)] = random_json(random, depth - 1);
        } else if (numbers) {
            json.push_back(number += random() % 3);
        } else {
            json.push_back(random_json(random, depth - 1));
        }
    }
    return json;
}

Json random_json(std::mt19937_64& random, int depth)
{
    switch (random() % (depth > 0 ? 6 : 4)) {
    case 0:
        return random() % 2 == 0 ? Json(nullptr) : Json(random() % 4 < 2);
    case 1:
        return random_number(random);
    case 2:
    case 3:
        return random_text(random);
    default:
        return random_many(random, depth);
    }
}

} // namespace

TEST_CASE("what was packed is the same JSON again, to the byte")
{
    std::mt19937_64 random(1);
    KeptWords words;
    for (int i = 0; i < 3000; ++i) {
        const auto json = random_json(random, 4);
        for (const auto wording : wordings) {
            const auto packed = pack_json(json, wording, words);
            REQUIRE(packed);
            INFO(canonical_json(json));
            CHECK(canonical_json(unpack_json(*packed, "it", words)) == canonical_json(json));
            CHECK(pack_json(json, wording, words) == packed);
        }
    }
}

TEST_CASE("the facts of a fleet are packed into less than half of their JSON")
{
    KeptWords words;
    std::size_t before = 0;
    std::size_t after = 0;
    for (const auto& event : Fleet(71).events) {
        const auto packed = pack_json(event.body, Wording::all, words);
        REQUIRE(packed);
        CHECK(unpack_json(*packed, "it", words) == event.body);
        before += canonical_json(event.body).size();
        after += packed->size();
    }
    CHECK(after * 2 < before);
}

TEST_CASE("a number that is no integer is not packed")
{
    KeptWords words;
    CHECK(!pack_json(Json{{"a", 1.5}}, Wording::all, words));
    CHECK(!pack_json(Json::array({1, 2, 0.25}), Wording::keys, words));
}

TEST_CASE("packed bytes that are cut anywhere are refused, and damaged ones read or refused")
{
    std::mt19937_64 random(2);
    KeptWords words;
    for (int i = 0; i < 200; ++i) {
        const auto packed = *pack_json(random_json(random, 3), Wording::members, words);
        for (std::size_t size = 0; size < packed.size(); ++size) {
            const auto error = error_of(
                [&] { unpack_json(std::string_view(packed).substr(0, size), "it", words); });
            REQUIRE(error);
            CHECK(error->code() == ErrorCode::corrupt);
        }
        auto damaged = packed;
        damaged[random() % damaged.size()] = static_cast<char>(random());
        const auto error = error_of([&] { unpack_json(damaged, "it", words); });
        CHECK((!error || error->code() == ErrorCode::corrupt));
    }
}

TEST_CASE("words that name each other, and values that are nested without end, are refused")
{
    KeptWords words;
    words.texts = {std::string("\x06\x01", 2), std::string("\x0a\x01\x06\x02", 4)};
    for (const auto* const packed : {"\x06\x01", "\x06\x02", "\x0c\x01", "\x06\x09"}) {
        CHECK(error_of([&] { unpack_json(packed, "it", words); })->code() == ErrorCode::corrupt);
    }
    std::string deep;
    for (int i = 0; i < 100'000; ++i) {
        deep += "\x0a\x01";
    }
    CHECK(error_of([&] { unpack_json(deep + "a", "it", words); })->code() == ErrorCode::corrupt);
}
