#pragma once

#include "stemma/volume/volume.hpp"

#include <memory>
#include <string>
#include <vector>

namespace stemma::volume {

/// A run of bytes of another volume.
struct Piece {
    std::uint64_t offset = 0; ///< bytes
    std::uint64_t length = 0; ///< bytes
};

/// Pieces of another volume, one after the other: a partition has one, a logical volume may have
/// many. Owns what it looks into, or borrows it.
class Mapped final : public Volume {
public:
    /// throws  corrupt: a piece does not lie within `whole`
    Mapped(Volume& whole, std::vector<Piece> pieces, std::string name);
    Mapped(std::unique_ptr<Volume> whole, std::vector<Piece> pieces, std::string name);

    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] std::uint64_t size() const override { return size_; }
    [[nodiscard]] bool writable() const override { return whole_.writable(); }
    void read(std::uint64_t offset, std::span<std::byte> into) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;
    void flush() override { whole_.flush(); }
    [[nodiscard]] std::vector<Extent> extents(std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] std::vector<int> descriptors() const override { return whole_.descriptors(); }

private:
    template <typename Act>
    void for_each_part(std::uint64_t offset, std::uint64_t length, Act&& act) const;

    std::unique_ptr<Volume> owned_;
    Volume& whole_;
    std::vector<Piece> pieces_;
    std::string name_;
    std::uint64_t size_ = 0;
};

} // namespace stemma::volume
