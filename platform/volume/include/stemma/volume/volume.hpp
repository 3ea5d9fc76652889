#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::volume {

/// A run of bytes of a volume, as block status answers it.
struct Extent {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool zero = false; ///< reads as zeros
};

/// Random access to bytes: a whole virtual disk, a partition of it, a file. Belongs to one thread.
/// Offsets and lengths are bytes; every access must lie within size().
class Volume {
public:
    virtual ~Volume() = default;
    Volume() = default;
    Volume(const Volume&) = delete;
    Volume& operator=(const Volume&) = delete;

    /// What messages call it.
    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual std::uint64_t size() const = 0;
    [[nodiscard]] virtual bool writable() const = 0;

    /// Fills `into` completely.
    /// throws  io; corrupt: beyond the end
    virtual void read(std::uint64_t offset, std::span<std::byte> into) = 0;
    /// Makes the bytes visible to later reads; durable after flush().
    /// throws  io (a full disk is named); usage: not writable
    virtual void write(std::uint64_t offset, std::span<const std::byte> data) = 0;
    virtual void flush() = 0;

    /// Which parts of [offset, offset + length) are known to read as zeros; the answer is in order
    /// and covers the whole range. A volume that does not know answers one extent that is not zero.
    [[nodiscard]] virtual std::vector<Extent> extents(std::uint64_t offset, std::uint64_t length);

    /// The open files that reading needs: what a process that shall do nothing else has to keep.
    [[nodiscard]] virtual std::vector<int> descriptors() const { return {}; }

protected:
    /// throws  corrupt: the range is not all within the volume
    void expect_within(std::uint64_t offset, std::uint64_t length) const;
};

/// Bytes in memory; for tests and small parsers.
class MemoryVolume final : public Volume {
public:
    explicit MemoryVolume(std::vector<std::byte> bytes, std::string name = "memory");
    explicit MemoryVolume(std::string_view bytes, std::string name = "memory");

    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
    [[nodiscard]] bool writable() const override { return true; }
    void read(std::uint64_t offset, std::span<std::byte> into) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;
    void flush() override {}
    [[nodiscard]] std::string_view text() const noexcept
    {
        return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
    }

private:
    std::vector<std::byte> bytes_;
    std::string name_;
};

/// Keeps pieces of another volume in memory: reads of nearby bytes cost one access, and small
/// writes are gathered until flush() (or until the memory is needed), in no particular order.
/// Owns what it wraps. Large accesses that miss go straight through.
class CachedVolume final : public Volume {
public:
    /// memory  bytes to spend, at least 1 MiB
    explicit CachedVolume(std::unique_ptr<Volume> inner,
                          std::size_t memory = std::size_t{48} << 20U);
    ~CachedVolume() override;
    CachedVolume(const CachedVolume&) = delete;
    CachedVolume& operator=(const CachedVolume&) = delete;

    [[nodiscard]] std::string name() const override;
    [[nodiscard]] std::uint64_t size() const override { return size_; }
    [[nodiscard]] bool writable() const override;
    void read(std::uint64_t offset, std::span<std::byte> into) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;
    /// Writes out what was gathered, then flushes the wrapped volume.
    void flush() override;
    [[nodiscard]] std::vector<Extent> extents(std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] std::vector<int> descriptors() const override { return inner_->descriptors(); }

private:
    struct State;
    std::unique_ptr<Volume> inner_;
    std::uint64_t size_;
    std::unique_ptr<State> state_;
};

/// Gives [offset, offset + length) in order, in pieces of at most 1 MiB; pieces known to be zero
/// are given as zeros without being read.
void read_through(Volume& volume,
                  std::uint64_t offset,
                  std::uint64_t length,
                  const std::function<void(std::span<const std::byte>)>& sink);

/// Little-endian and big-endian numbers at an offset of a buffer that is known to be long enough.
std::uint16_t le16(std::span<const std::byte> data, std::size_t at) noexcept;
std::uint32_t le32(std::span<const std::byte> data, std::size_t at) noexcept;
std::uint64_t le64(std::span<const std::byte> data, std::size_t at) noexcept;
std::uint32_t be32(std::span<const std::byte> data, std::size_t at) noexcept;
std::uint64_t be64(std::span<const std::byte> data, std::size_t at) noexcept;
void put_be32(std::span<std::byte> data, std::size_t at, std::uint32_t value) noexcept;
void put_le32(std::span<std::byte> data, std::size_t at, std::uint32_t value) noexcept;

} // namespace stemma::volume
