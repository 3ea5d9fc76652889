#include "disk_stream.hpp"

#include <algorithm>

namespace stemma::image {

DiskStream::DiskStream(volume::Volume& disk, Digesting digesting)
    : disk_(disk), digesting_(digesting), zeros_(piece_bytes), reader_([this] { run(); })
{
}

DiskStream::~DiskStream()
{
    {
        const std::scoped_lock hold(guard_);
        stopped_ = true;
    }
    changed_.notify_all();
    reader_.join();
}

std::optional<DiskStream::Piece> DiskStream::next()
{
    std::unique_lock hold(guard_);
    if (lent_) {
        ++taken_;
        lent_ = false;
        changed_.notify_all();
    }
    changed_.wait(hold, [this] { return taken_ < made_ || ended_; });
    if (taken_ < made_) {
        lent_ = true;
        const Slot& slot = ring_[taken_ % slots];
        return Piece{.bytes = bytes_of(slot), .hole = slot.hole};
    }
    if (failure_) {
        std::rethrow_exception(failure_);
    }
    return std::nullopt;
}

void DiskStream::run() noexcept
{
    std::exception_ptr failure;
    try {
        read_all();
    } catch (...) { // for next(), in the other thread
        failure = std::current_exception();
    }
    {
        const std::scoped_lock hold(guard_);
        failure_ = failure;
        ended_ = true;
    }
    changed_.notify_all();
}

void DiskStream::read_all()
{
    Sha256 hash;
    for (std::uint64_t offset = 0; offset < disk_.size() && wait_for_room();
         offset += piece_bytes) {
        Slot& slot = ring_[made_ % slots]; // nobody else changes made_, nor looks at this slot yet
        fill(slot, offset);
        if (digesting_ == Digesting::yes) {
            hash.update(bytes_of(slot));
        }
        {
            const std::scoped_lock hold(guard_);
            ++made_;
        }
        changed_.notify_all();
    }
    digest_ = hash.finish();
}

std::span<const std::byte> DiskStream::bytes_of(const Slot& slot) const noexcept
{
    return std::span(slot.hole ? zeros_ : slot.bytes).first(slot.bytes.size());
}

bool DiskStream::wait_for_room()
{
    std::unique_lock hold(guard_);
    changed_.wait(hold, [this] { return made_ - taken_ < slots || stopped_; });
    return !stopped_;
}

bool DiskStream::is_hole(std::uint64_t offset, std::uint64_t length)
{
    // One question for many pieces, and not so many that the answer becomes large.
    constexpr std::uint64_t question = 64 * piece_bytes;
    if (offset % question == 0) {
        known_ = disk_.extents(offset, std::min(question, disk_.size() - offset));
    }
    return std::all_of(known_.begin(), known_.end(), [&](const volume::Extent& each) {
        return each.zero || each.offset >= offset + length || each.offset + each.length <= offset;
    });
}

void DiskStream::fill(Slot& slot, std::uint64_t offset)
{
    slot.bytes.resize(
        static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, disk_.size() - offset)));
    slot.hole = is_hole(offset, slot.bytes.size());
    if (!slot.hole) {
        disk_.read(offset, slot.bytes);
    }
}

} // namespace stemma::image
