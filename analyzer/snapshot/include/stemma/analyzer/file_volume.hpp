#pragma once

#include "stemma/core/fd.hpp"
#include "stemma/volume/volume.hpp"

#include <filesystem>
#include <string>

namespace stemma::analyzer {

/// A plain file, byte for byte; its holes read as zeros and are known as such.
class FileVolume final : public volume::Volume {
public:
    /// throws  not_found, io
    explicit FileVolume(const std::filesystem::path& file);
    /// A new file of `size` zeros, to be written to.
    FileVolume(const std::filesystem::path& file, std::uint64_t size);

    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] std::uint64_t size() const override { return size_; }
    [[nodiscard]] bool writable() const override { return writable_; }
    void read(std::uint64_t offset, std::span<std::byte> into) override;
    void write(std::uint64_t offset, std::span<const std::byte> data) override;
    /// Durable when it returns.
    void flush() override;
    [[nodiscard]] std::vector<volume::Extent> extents(std::uint64_t offset,
                                                      std::uint64_t length) override;
    [[nodiscard]] std::vector<int> descriptors() const override { return {fd_.get()}; }

private:
    std::string name_;
    Fd fd_;
    std::uint64_t size_ = 0;
    bool writable_ = false;
};

} // namespace stemma::analyzer
