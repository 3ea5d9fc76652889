#include "stemma/volume/mapped.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>

namespace stemma::volume {

Mapped::Mapped(Volume& whole, std::vector<Piece> pieces, std::string name)
    : whole_(whole), pieces_(std::move(pieces)), name_(std::move(name))
{
    for (const Piece& piece : pieces_) {
        if (piece.length > whole_.size() || piece.offset > whole_.size() - piece.length) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{} reaches beyond the end of {} (bytes {} to {} of {})",
                                    name_,
                                    whole_.name(),
                                    piece.offset,
                                    piece.offset + piece.length,
                                    whole_.size()));
        }
        size_ += piece.length;
    }
}

Mapped::Mapped(std::unique_ptr<Volume> whole, std::vector<Piece> pieces, std::string name)
    : Mapped(*whole, std::move(pieces), std::move(name))
{
    owned_ = std::move(whole);
}

/// Calls act(offset in the whole, offset in this, length) for each piece that the range touches.
template <typename Act>
void Mapped::for_each_part(std::uint64_t offset, std::uint64_t length, Act&& act) const
{
    expect_within(offset, length);
    std::uint64_t start = 0; // of the piece, in this volume
    for (const Piece& piece : pieces_) {
        const std::uint64_t from = std::max(start, offset);
        const std::uint64_t to = std::min(start + piece.length, offset + length);
        if (from < to) {
            act(piece.offset + (from - start), from, to - from);
        }
        start += piece.length;
    }
}

void Mapped::read(std::uint64_t offset, std::span<std::byte> into)
{
    for_each_part(offset, into.size(), [&](auto place, auto here, auto length) {
        whole_.read(place, into.subspan(here - offset, length));
    });
}

void Mapped::write(std::uint64_t offset, std::span<const std::byte> data)
{
    for_each_part(offset, data.size(), [&](auto place, auto here, auto length) {
        whole_.write(place, data.subspan(here - offset, length));
    });
}

std::vector<Extent> Mapped::extents(std::uint64_t offset, std::uint64_t length)
{
    std::vector<Extent> all;
    for_each_part(offset, length, [&](auto place, auto here, auto part) {
        for (Extent extent : whole_.extents(place, part)) {
            extent.offset = extent.offset - place + here;
            all.push_back(extent);
        }
    });
    return all;
}

} // namespace stemma::volume
