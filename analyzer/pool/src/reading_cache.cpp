#include "reading_cache.hpp"

#include <algorithm>

#include "keyed_hash.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t most_entries = 1U << 18U;
constexpr std::size_t slots = 2 * most_entries;

void mark_trigrams(std::string_view text, ReadingCache::Trigrams& bits)
{
    for (std::size_t i = 0; i + 2 < text.size(); ++i) {
        const auto byte = [&](std::size_t at) {
            return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at]));
        };
        const std::uint32_t three = byte(i) | byte(i + 1) << 8U | byte(i + 2) << 16U;
        const std::uint32_t hash = (three * 2654435761U) >> 24U;
        bits[hash / 64] |= 1ULL << (hash % 64);
    }
}

bool contains(const ReadingCache::Trigrams& all, const ReadingCache::Trigrams& some)
{
    return (all[0] & some[0]) == some[0] && (all[1] & some[1]) == some[1] &&
           (all[2] & some[2]) == some[2] && (all[3] & some[3]) == some[3];
}

bool says(const Feature& feature, std::string_view text)
{
    const auto in = [&](const std::string& part) { return part.find(text) != std::string::npos; };
    return in(feature.identity) || in(feature.value) || in(feature.attribute) ||
           (!feature.identity.starts_with(feature.file) && in(feature.file));
}

} // namespace

ReadingCache::Entry& ReadingCache::at(std::uint64_t key)
{
    if (next_ < entries_.size() && entries_[next_].key == key) {
        return entries_[next_++];
    }
    index_.resize(slots);
    for (std::size_t slot = key % slots; index_[slot] != 0; slot = (slot + 1) % slots) {
        const std::size_t place = index_[slot] - 1;
        if (entries_[place].key == key) {
            next_ = place + 1;
            return entries_[place];
        }
    }
    return insert(key);
}

ReadingCache::Entry& ReadingCache::insert(std::uint64_t key)
{
    if (entries_.size() == most_entries) {
        entries_.clear();
        index_.assign(slots, 0);
    }
    std::size_t slot = key % slots;
    while (index_[slot] != 0) {
        slot = (slot + 1) % slots;
    }
    entries_.emplace_back().key = key;
    next_ = entries_.size();
    index_[slot] = static_cast<std::uint32_t>(next_);
    return entries_.back();
}

std::uint64_t hash_of(const Feature& feature)
{
    // Settings say their file twice.
    const bool repeats = feature.identity.starts_with(feature.file);
    const std::string_view file = repeats ? std::string_view{} : std::string_view(feature.file);
    KeyedHash hash;
    hash.add(feature.file.size() << 32U | feature.identity.size());
    hash.add(feature.attribute.size() << 32U | feature.value.size() << 1U | (repeats ? 1U : 0U));
    hash.add(std::string_view(feature.kind).substr(0, sizeof(std::uint64_t)));
    hash.add(file);
    hash.add(feature.identity);
    hash.add(feature.attribute);
    hash.add(feature.value);
    return hash.finish();
}

ReadingCache::Trigrams trigrams_of(const Feature& feature)
{
    ReadingCache::Trigrams bits{};
    for (const std::string* part :
         {&feature.file, &feature.identity, &feature.attribute, &feature.value}) {
        mark_trigrams(*part, bits);
    }
    return bits;
}

OwnNeedles::OwnNeedles(const std::vector<std::pair<std::string, std::string>>& replacements)
{
    for (const auto& [from, to] : replacements) {
        KeyedHash hash;
        hash.add(from.size() << 32U | to.size());
        hash.add(from);
        hash.add(to);
        Needle needle{from, hash.finish(), {}};
        mark_trigrams(from, needle.trigrams);
        needles_.push_back(needle);
    }
}

std::uint64_t OwnNeedles::signature(const Feature& feature,
                                    const ReadingCache::Trigrams& trigrams) const
{
    std::uint64_t signature = 0;
    for (const Needle& needle : needles_) {
        if (contains(trigrams, needle.trigrams) && says(feature, needle.text)) {
            signature = (signature ^ needle.hash) * 0x9E3779B97F4A7C15ULL;
            signature ^= signature >> 32U;
        }
    }
    return signature;
}

} // namespace stemma::analyzer
