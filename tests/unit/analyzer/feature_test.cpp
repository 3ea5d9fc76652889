#include "stemma/analyzer/feature.hpp"
#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace stemma;
using namespace stemma::analyzer;

namespace {

Feature setting(const std::string& attribute, const std::string& value, std::uint32_t line = 1)
{
    return {"setting",
            "sshd",
            "/etc/ssh/sshd_config",
            attribute,
            value,
            ValueType::text,
            "/etc/ssh/sshd_config",
            line};
}

} // namespace

TEST_CASE("a feature's name joins kind, identity and attribute")
{
    CHECK(setting("PermitRootLogin", "no").name() ==
          "setting:/etc/ssh/sshd_config:PermitRootLogin");
    CHECK(Feature{"vm", "vm", "", "memory_mib", "96"}.name() == "vm:memory_mib");
}

TEST_CASE("arranged features have unique names, also when a tree forges the numbering")
{
    FeatureSet set;
    set.features = {setting("a", "2", 9),
                    setting("a", "1", 3),
                    setting("a#2", "x", 1),
                    setting("a", "1", 3),
                    setting("B", "y", 1)};
    set.arrange();
    std::set<std::string> names;
    for (const auto& feature : set.features) {
        names.insert(feature.name());
    }
    CHECK(set.features.size() == 4);
    CHECK(names.size() == 4);
    CHECK(set.value_of("setting", "/etc/ssh/sshd_config", "a") == "1");
    auto again = set;
    again.arrange();
    CHECK(again.features == set.features);
}

TEST_CASE("features come back from JSON as they went, bytes that are no UTF-8 too")
{
    FeatureSet set;
    set.features = {setting("a", std::string("\xff\x00\n", 3)), setting("b", "")};
    set.features[1].value_type = ValueType::present;
    set.extractors = {{"settings", Status::partial, "one file is too large", 2}};
    set.arrange();
    const auto back = features_from_json(parse_json(canonical_json(to_json(set)), "test"));
    CHECK(back.features == set.features);
    CHECK(back.extractors == set.extractors);
    CHECK_FALSE(back.complete());
}

TEST_CASE("features of another shape are refused")
{
    FeatureSet set;
    set.features = {setting("a", "1")};
    const auto good = to_json(set);
    auto newer = good;
    newer["schema"] = "stemma.features/2";
    CHECK(support::error_of([&] { features_from_json(newer); })->code() == ErrorCode::unsupported);
    auto torn = good;
    torn["rows"][0].erase(7);
    CHECK(support::error_of([&] { features_from_json(torn); })->code() == ErrorCode::corrupt);
    auto typed = good;
    typed["rows"][0][5] = "nonsense";
    CHECK(support::error_of([&] { features_from_json(typed); })->code() == ErrorCode::corrupt);
}
