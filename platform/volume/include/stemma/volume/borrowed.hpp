#pragma once

#include "stemma/volume/volume.hpp"

namespace stemma::volume {

/// Lends a volume, for reading, to a function that wants to own one. The lender keeps it alive.
class Borrowed final : public Volume {
public:
    explicit Borrowed(Volume& inner) : inner_(inner) {}
    [[nodiscard]] std::string name() const override { return inner_.name(); }
    [[nodiscard]] std::uint64_t size() const override { return inner_.size(); }
    [[nodiscard]] bool writable() const override { return false; }
    void read(std::uint64_t offset, std::span<std::byte> into) override
    {
        inner_.read(offset, into);
    }
    void write(std::uint64_t offset, std::span<const std::byte> data) override
    {
        inner_.write(offset, data);
    }
    void flush() override {}
    [[nodiscard]] std::vector<int> descriptors() const override { return inner_.descriptors(); }

private:
    Volume& inner_;
};

} // namespace stemma::volume
