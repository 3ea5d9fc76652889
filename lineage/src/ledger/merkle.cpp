#include "merkle.hpp"

#include <array>
#include <bit>

#include "../store/ids.hpp"

namespace stemma::lineage {

namespace {

void add_number(Sha256& hash, std::uint64_t number)
{
    std::array<char, 8> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<char>((number >> (56U - 8U * i)) & 0xffU);
    }
    hash.update(std::string_view(bytes.data(), bytes.size()));
}

} // namespace

Digest leaf_hash(std::string_view canonical_event)
{
    return Sha256().update(std::string_view("\0", 1)).update(canonical_event).finish();
}

Digest merkle_root(std::span<const Digest> leaves)
{
    if (leaves.empty()) {
        return Sha256().finish();
    }
    if (leaves.size() == 1) {
        return leaves.front();
    }
    // The largest power of two below the number of leaves.
    const std::size_t half = std::bit_floor(leaves.size() - 1);
    const Digest left = merkle_root(leaves.first(half));
    const Digest right = merkle_root(leaves.subspan(half));
    return Sha256()
        .update(std::string_view("\1", 1))
        .update(bytes_of(left))
        .update(bytes_of(right))
        .finish();
}

Digest chain_hash(const Digest& before, const Commit& commit)
{
    Sha256 hash;
    hash.update(std::string_view("\2", 1)).update(bytes_of(before));
    add_number(hash, commit.no);
    add_number(hash, commit.first);
    add_number(hash, commit.last);
    add_number(hash, static_cast<std::uint64_t>(commit.recorded.time_since_epoch().count()));
    hash.update(bytes_of(commit.root));
    return hash.finish();
}

} // namespace stemma::lineage
