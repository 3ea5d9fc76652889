#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/volume/volume.hpp"

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace stemma::image {

/// A disk from its begin to its end, read, and digested if wanted, by a thread of its own that is a
/// few pieces ahead: two disks that are compared keep two processors busy, and each byte is read
/// once. Borrows the volume, which nothing else may use meanwhile.
class DiskStream {
public:
    /// All but the last piece have this size.
    static constexpr std::size_t piece_bytes = std::size_t{1} << 20U;

    enum class Digesting { no, yes };
    DiskStream(volume::Volume& disk, Digesting digesting);
    ~DiskStream();
    DiskStream(const DiskStream&) = delete;
    DiskStream& operator=(const DiskStream&) = delete;

    struct Piece {
        std::span<const std::byte> bytes;
        bool hole = false; ///< known to be zeros without reading; `bytes` are zeros then too
    };
    /// The next piece, valid until the next call; nullopt after the last.
    /// throws  what reading threw
    std::optional<Piece> next();

    /// Of the whole disk, after its last piece.
    [[nodiscard]] const Digest& digest() const noexcept { return digest_; }

private:
    struct Slot {
        std::vector<std::byte> bytes;
        bool hole = false;
    };
    static constexpr std::size_t slots = 4;

    [[nodiscard]] std::span<const std::byte> bytes_of(const Slot& slot) const noexcept;
    void run() noexcept;
    void read_all();
    bool wait_for_room();
    void fill(Slot& slot, std::uint64_t offset);
    bool is_hole(std::uint64_t offset, std::uint64_t length);

    volume::Volume& disk_;
    Digesting digesting_;
    Digest digest_{};
    const std::vector<std::byte> zeros_;
    std::array<Slot, slots> ring_{};
    std::mutex guard_;
    std::condition_variable changed_;
    std::vector<volume::Extent> known_{}; ///< from the piece before on, for some way
    std::uint64_t made_ = 0;              ///< pieces read so far
    std::uint64_t taken_ = 0;             ///< pieces that next() is done with
    bool lent_ = false;                   ///< next() gave piece `taken_` away
    bool ended_ = false;
    bool stopped_ = false; ///< nobody wants the rest
    std::exception_ptr failure_{};
    std::thread reader_; ///< last: it uses all the others
};

} // namespace stemma::image
