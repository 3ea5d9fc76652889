#include "memory_stream.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace stemma::analyzer {

namespace {

constexpr std::size_t target_page = 4096;
constexpr std::size_t most_blocks = 256;
constexpr std::uint64_t largest_block = 1ULL << 46U;

constexpr std::uint64_t flag_zero = 2;
constexpr std::uint64_t flag_mem_size = 4;
constexpr std::uint64_t flag_page = 8;
constexpr std::uint64_t flag_end = 16;
constexpr std::uint64_t flag_continue = 32;

constexpr unsigned char section_start = 1;
constexpr unsigned char section_part = 2;
constexpr unsigned char section_end = 3;
constexpr unsigned char section_full = 4;
constexpr unsigned char section_configuration = 7;
constexpr unsigned char section_footer = 0x7e;

class StreamReader {
public:
    StreamReader(const ByteSource& source, MemorySink& sink)
        : source_(source), sink_(sink), buffer_(std::size_t{1} << 20U, '\0')
    {
    }

    std::string run()
    {
        constexpr std::uint64_t magic = 0x5145564d;
        if (number(4) != magic || number(4) != 3) {
            throw Error(ErrorCode::corrupt, "not a migration stream of version 3");
        }
        for (;;) {
            const auto kind = static_cast<unsigned char>(number(1));
            switch (kind) {
            case section_configuration:
                machine_ = text(number(4));
                break;
            case section_start:
                begin_section();
                break;
            case section_part:
            case section_end:
                expect_ram(number(4));
                pages();
                footer();
                any_part_ = true;
                if (kind == section_end) {
                    return machine_;
                }
                break;
            case section_full:
                // A background snapshot has no last part: the devices follow the pages.
                if (any_part_) {
                    return machine_;
                }
                [[fallthrough]];
            default:
                throw Error(ErrorCode::unsupported,
                            fmt::format("a section of kind {} before the end of the memory", kind));
            }
        }
    }

private:
    void need(std::size_t size)
    {
        if (end_ - begin_ >= size) {
            return;
        }
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
        while (end_ < size) {
            const auto got = source_(buffer_.data() + end_, buffer_.size() - end_);
            if (got == 0) {
                throw Error(ErrorCode::corrupt, "the memory stream ends too early");
            }
            end_ += got;
        }
    }

    std::string_view bytes(std::size_t size)
    {
        need(size);
        const std::string_view view(buffer_.data() + begin_, size);
        begin_ += size;
        return view;
    }

    /// Big-endian.
    std::uint64_t number(std::size_t size)
    {
        std::uint64_t value = 0;
        for (const char byte : bytes(size)) {
            value = (value << 8U) | static_cast<unsigned char>(byte);
        }
        return value;
    }

    std::string text(std::uint64_t size)
    {
        if (size > 255) {
            throw Error(ErrorCode::corrupt, "a name of more than 255 bytes in the memory stream");
        }
        return std::string(bytes(size));
    }

    void begin_section()
    {
        const auto id = number(4);
        const auto name = text(number(1));
        (void)number(4); // instance
        const auto version = number(4);
        if (name != "ram" || version != 4 || ram_) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("a section '{}' of version {} before the memory",
                                    printable(name),
                                    version));
        }
        ram_ = id;
        const auto total = number(8);
        if ((total & (target_page - 1)) != flag_mem_size) {
            throw Error(ErrorCode::corrupt, "the memory stream does not begin with its blocks");
        }
        read_blocks(total & ~std::uint64_t{target_page - 1});
        if (number(8) != flag_end) {
            throw Error(ErrorCode::unsupported, "the memory stream's blocks have more to them");
        }
        footer();
    }

    void read_blocks(std::uint64_t total)
    {
        while (total > 0) {
            MemoryBlock block;
            block.name = text(number(1));
            block.size = number(8);
            if (block.size == 0 || block.size > total || block.size > largest_block ||
                block.size % target_page != 0 || blocks_.size() >= most_blocks) {
                throw Error(ErrorCode::corrupt,
                            fmt::format("block '{}' of the memory stream has an impossible size",
                                        printable(block.name)));
            }
            total -= block.size;
            blocks_.push_back(std::move(block));
        }
        sink_.blocks(blocks_);
    }

    void expect_ram(std::uint64_t id) const
    {
        if (!ram_ || id != *ram_) {
            throw Error(ErrorCode::unsupported, "a section that is no memory, among the memory's");
        }
    }

    void footer()
    {
        if (number(1) != section_footer) {
            throw Error(ErrorCode::corrupt, "a section of the memory stream does not end");
        }
        expect_ram(number(4));
    }

    void pages()
    {
        for (;;) {
            const auto head = number(8);
            const auto flags = head & (target_page - 1);
            const auto offset = head & ~std::uint64_t{target_page - 1};
            if (flags == flag_end) {
                return;
            }
            const auto kind = flags & ~flag_continue;
            if (kind != flag_zero && kind != flag_page) {
                throw Error(ErrorCode::unsupported,
                            fmt::format("pages of kind {:#x} in the memory stream", flags));
            }
            if ((flags & flag_continue) == 0) {
                choose_block(text(number(1)));
            }
            if (current_ >= blocks_.size() || offset >= blocks_[current_].size) {
                throw Error(ErrorCode::corrupt, "a page outside of its memory block");
            }
            take_page(kind, offset);
        }
    }

    void take_page(std::uint64_t kind, std::uint64_t offset)
    {
        if (kind == flag_page) {
            sink_.page(current_, offset, bytes(target_page));
            return;
        }
        const auto fill = static_cast<char>(number(1));
        sink_.page(current_, offset, fill == 0 ? std::string() : std::string(target_page, fill));
    }

    void choose_block(const std::string& name)
    {
        const auto found = std::find_if(
            blocks_.begin(), blocks_.end(), [&](const auto& block) { return block.name == name; });
        if (found == blocks_.end()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("pages of an unknown memory block '{}'", printable(name)));
        }
        current_ = static_cast<std::size_t>(found - blocks_.begin());
    }

    const ByteSource& source_;
    MemorySink& sink_;
    std::string buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::string machine_;
    std::optional<std::uint64_t> ram_;
    std::vector<MemoryBlock> blocks_;
    std::size_t current_ = most_blocks;
    bool any_part_ = false;
};

} // namespace

std::string read_memory_stream(const ByteSource& source, MemorySink& sink)
{
    return StreamReader(source, sink).run();
}

} // namespace stemma::analyzer
