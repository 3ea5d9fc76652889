#include "stemma/core/text.hpp"

#include <catch2/catch.hpp>

#include <vector>

#include "ledger/merkle.hpp"

using namespace stemma;
using namespace stemma::lineage;

namespace {

/// The eight inputs and the roots of Certificate Transparency's own reference tests.
const std::vector<std::string> inputs = {"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};
const std::vector<std::string> roots = {
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

} // namespace

TEST_CASE("the root of n leaves is that of RFC 6962")
{
    std::vector<Digest> leaves;
    CHECK(merkle_root(leaves).hex() ==
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        leaves.push_back(leaf_hash(from_hex(inputs[i]).value()));
        CHECK(merkle_root(leaves).hex() == roots[i]);
    }
}

TEST_CASE("every part of a commit changes its chain hash")
{
    Commit commit{3, 7, 9, Time(std::chrono::seconds(5)), sha256("root")};
    const Digest before = sha256("before");
    const Digest chain = chain_hash(before, commit);
    CHECK(chain_hash(sha256("else"), commit) != chain);
    for (auto change : {+[](Commit& c) { ++c.no; },
                        +[](Commit& c) { ++c.first; },
                        +[](Commit& c) { ++c.last; },
                        +[](Commit& c) { c.recorded += std::chrono::microseconds(1); },
                        +[](Commit& c) { c.root.bytes[31] ^= 1U; }}) {
        Commit other = commit;
        change(other);
        CHECK(chain_hash(before, other) != chain);
    }
}
