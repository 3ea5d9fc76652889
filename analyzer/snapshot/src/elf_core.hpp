#pragma once

#include "stemma/core/fd.hpp"

#include <filesystem>
#include <optional>

#include "memory_stream.hpp"

namespace stemma::analyzer {

/// Writes a guest's RAM as an ELF64 core of physical memory, as `virsh dump --memory-only` lays it
/// out: one PT_LOAD per range (p_paddr is the guest's physical address), sparse, pages of zeros as
/// holes; and a PT_NOTE with the kernel's VMCOREINFO where a page of it was seen. It has no
/// registers: the stream's devices are not read.
class ElfCore final : public MemorySink {
public:
    /// machine  from the domain's XML, "pc-i440fx-7.2": says where RAM above the hole for PCI lies
    ElfCore(const std::filesystem::path& file, std::string machine);

    void blocks(const std::vector<MemoryBlock>& blocks) override;
    void page(std::size_t block, std::uint64_t offset, std::string_view content) override;
    /// Writes the headers; the file is whole then.
    void finish();

    [[nodiscard]] std::uint64_t pages() const noexcept { return pages_; } ///< not of zeros
    [[nodiscard]] std::uint64_t memory() const noexcept { return size_; } ///< bytes of RAM

private:
    void note_vmcoreinfo(std::string_view content);

    Fd fd_;
    std::string name_;
    std::string machine_;
    std::size_t ram_ = 0;
    std::uint64_t size_ = 0;
    std::uint64_t pages_ = 0;
    std::uint64_t seen_ = 0; ///< pages, zeros too
    std::string vmcoreinfo_;
};

/// Bytes of RAM below the hole for PCI devices; what is more lies from 4 GiB on.
/// returns  nullopt for a machine whose layout is not known
std::optional<std::uint64_t> low_memory(const std::string& machine, std::uint64_t size);

} // namespace stemma::analyzer
