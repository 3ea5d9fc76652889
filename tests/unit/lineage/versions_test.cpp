#include <catch2/catch.hpp>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "query/versions.hpp"

using stemma::lineage::compare_versions;

TEST_CASE("versions are ordered as dpkg orders them")
{
    // Ascending; each was checked with `dpkg --compare-versions`.
    const std::vector<std::string> order = {"0~rc1-1",
                                            "0-1",
                                            "0.9",
                                            "1.0~~",
                                            "1.0~",
                                            "1.0~beta",
                                            "1.0",
                                            "1.0-0ubuntu1",
                                            "1.0-1",
                                            "1.0-1+b1",
                                            "1.0-1.1",
                                            "1.0a",
                                            "1.0+dfsg",
                                            "1.0.1",
                                            "1.2",
                                            "1.10",
                                            "2",
                                            "1:0.1",
                                            "2:0"};
    for (std::size_t i = 0; i < order.size(); ++i) {
        for (std::size_t j = 0; j < order.size(); ++j) {
            INFO(order[i] << " and " << order[j]);
            const int found = compare_versions(order[i], order[j]);
            CHECK((found < 0) == (i < j));
            CHECK((found > 0) == (i > j));
        }
    }
    CHECK(compare_versions("1.0", "1.00") == 0);
    CHECK(compare_versions("0:1.0", "1.0") == 0);
}
