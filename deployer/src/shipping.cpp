#include "shipping.hpp"

#include "stemma/core/digest.hpp"

#include <algorithm>
#include <cstring>

namespace stemma::deployer {

namespace {

constexpr std::size_t changed_block = 4096;
constexpr std::size_t data_block = 65536;

bool all_zero(std::span<const std::byte> bytes) noexcept
{
    // Equal to itself shifted by one, and beginning with zero.
    return bytes.empty() || (bytes[0] == std::byte{0} &&
                             std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

/// The bytes of a volume from `offset` on; zeros beyond its end.
void read_padded(volume::Volume& volume, std::uint64_t offset, std::span<std::byte> into)
{
    const auto left = offset < volume.size() ? volume.size() - offset : 0;
    const auto there = static_cast<std::size_t>(std::min<std::uint64_t>(left, into.size()));
    if (there > 0) {
        volume.read(offset, into.first(there));
    }
    std::ranges::fill(into.subspan(there), std::byte{0});
}

/// Gathers blocks into ranges.
class Ranges {
public:
    void add(std::uint64_t offset, std::uint64_t length)
    {
        bytes_ += length;
        if (!ranges_.empty() && ranges_.back().offset + ranges_.back().length == offset) {
            ranges_.back().length += length;
        } else {
            ranges_.push_back({.offset = offset, .length = length});
        }
    }

    /// Joined over the smallest gaps, then cut to max_range.
    [[nodiscard]] std::vector<Range> finish() const
    {
        const auto limit = affordable_gap();
        std::vector<Range> joined;
        for (const auto& range : ranges_) {
            if (!joined.empty() && gap(joined.back(), range) <= limit) {
                joined.back().length = range.offset + range.length - joined.back().offset;
            } else {
                joined.push_back(range);
            }
        }
        std::vector<Range> cut;
        for (const auto& range : joined) {
            for (std::uint64_t done = 0; done < range.length; done += max_range) {
                cut.push_back({.offset = range.offset + done,
                               .length = std::min(max_range, range.length - done)});
            }
        }
        return cut;
    }

private:
    static std::uint64_t gap(const Range& before, const Range& after) noexcept
    {
        return after.offset - before.offset - before.length;
    }

    /// The largest gap such that all gaps up to it are together a tenth of what is sent anyway.
    [[nodiscard]] std::uint64_t affordable_gap() const
    {
        std::vector<std::uint64_t> gaps;
        for (std::size_t i = 1; i < ranges_.size(); ++i) {
            gaps.push_back(gap(ranges_[i - 1], ranges_[i]));
        }
        std::ranges::sort(gaps);
        std::uint64_t limit = 0;
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < gaps.size();) {
            // Equal gaps are joined all or none.
            const auto size = gaps[i];
            for (; i < gaps.size() && gaps[i] == size; ++i) {
                sum += size;
            }
            if (sum > bytes_ / 10) {
                break;
            }
            limit = size;
        }
        return limit;
    }

    std::vector<Range> ranges_;
    std::uint64_t bytes_ = 0;
};

} // namespace

Scan scan_for_shipping(volume::Volume& wanted, volume::Volume* had, const Cancel* cancel)
{
    Sha256 hash;
    Ranges ranges;
    std::vector<std::byte> before;
    std::uint64_t offset = 0;
    const std::size_t block = had == nullptr ? data_block : changed_block;
    volume::read_through(wanted, 0, wanted.size(), [&](std::span<const std::byte> piece) {
        if (cancel != nullptr) {
            cancel->check();
        }
        hash.update(piece);
        if (had != nullptr) {
            before.resize(piece.size());
            read_padded(*had, offset, before);
        }
        for (std::size_t at = 0; at < piece.size(); at += block) {
            const auto here = piece.subspan(at, std::min(block, piece.size() - at));
            const bool same = had == nullptr
                                  ? all_zero(here)
                                  : std::memcmp(here.data(), &before[at], here.size()) == 0;
            if (!same) {
                ranges.add(offset + at, here.size());
            }
        }
        offset += piece.size();
    });
    Scan scan{.digest = hash.finish().hex(), .ranges = ranges.finish(), .bytes = 0};
    for (const auto& range : scan.ranges) {
        scan.bytes += range.length;
    }
    return scan;
}

void expect_digest(const std::string& what, const std::string& found, const std::string& wanted)
{
    if (found != wanted) {
        throw Error(
            ErrorCode::corrupt,
            fmt::format(
                "{} reads as {} and should as {}", what, found.substr(0, 12), wanted.substr(0, 12)),
            "nothing was started on it; remove that file, and it is brought again");
    }
}

} // namespace stemma::deployer
