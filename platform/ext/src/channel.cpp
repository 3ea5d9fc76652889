#include "channel.hpp"

#include <array>
#include <cstring>
#include <memory>
#include <string>

namespace stemma::ext {

namespace {

/// ext2fs_open2() hands the manager nothing but a name; the target travels beside it.
thread_local ChannelTarget* target_to_open = nullptr;

struct Channel {
    struct_io_channel base{};
    std::string name;
    ChannelTarget* target = nullptr;
};

ChannelTarget& target_of(io_channel channel) noexcept
{
    return *static_cast<Channel*>(channel->private_data)->target;
}

/// Runs `work`; what it throws is kept in the target and becomes EIO.
template <typename Work>
errcode_t guarded(io_channel channel, Work&& work) noexcept
{
    ChannelTarget& target = target_of(channel);
    try {
        work(*target.volume);
        return 0;
    } catch (...) {
        if (target.failure == nullptr) {
            target.failure = std::current_exception();
        }
        return EIO;
    }
}

/// libext2fs counts blocks, or bytes when the count is negative.
std::size_t byte_count(io_channel channel, int count) noexcept
{
    return count < 0
               ? static_cast<std::size_t>(-static_cast<long>(count))
               : static_cast<std::size_t>(count) * static_cast<std::size_t>(channel->block_size);
}

bool fits(io_channel channel, std::uint64_t offset, std::size_t length) noexcept
{
    const std::uint64_t size = target_of(channel).volume->size();
    return length <= size && offset <= size - length;
}

errcode_t read_blocks(io_channel channel, unsigned long long block, int count, void* data) noexcept
{
    const std::size_t length = byte_count(channel, count);
    const std::uint64_t offset = block * static_cast<unsigned>(channel->block_size);
    if (!fits(channel, offset, length)) {
        std::memset(data, 0, length);
        return EXT2_ET_SHORT_READ;
    }
    return guarded(channel, [&](volume::Volume& volume) {
        volume.read(offset, std::span(static_cast<std::byte*>(data), length));
    });
}

errcode_t
write_blocks(io_channel channel, unsigned long long block, int count, const void* data) noexcept
{
    const std::size_t length = byte_count(channel, count);
    const std::uint64_t offset = block * static_cast<unsigned>(channel->block_size);
    if (!fits(channel, offset, length)) {
        return EXT2_ET_SHORT_WRITE;
    }
    return guarded(channel, [&](volume::Volume& volume) {
        volume.write(offset, std::span(static_cast<const std::byte*>(data), length));
    });
}

errcode_t read_blocks32(io_channel channel, unsigned long block, int count, void* data) noexcept
{
    return read_blocks(channel, block, count, data);
}

errcode_t
write_blocks32(io_channel channel, unsigned long block, int count, const void* data) noexcept
{
    return write_blocks(channel, block, count, data);
}

errcode_t
write_bytes(io_channel channel, unsigned long offset, int count, const void* data) noexcept
{
    const auto length = static_cast<std::size_t>(count);
    if (count < 0 || !fits(channel, offset, length)) {
        return EXT2_ET_SHORT_WRITE;
    }
    return guarded(channel, [&](volume::Volume& volume) {
        volume.write(offset, std::span(static_cast<const std::byte*>(data), length));
    });
}

errcode_t flush(io_channel channel) noexcept
{
    return guarded(channel, [](volume::Volume& volume) {
        if (volume.writable()) {
            volume.flush();
        }
    });
}

errcode_t set_block_size(io_channel channel, int size) noexcept
{
    channel->block_size = size;
    return 0;
}

errcode_t close_channel(io_channel channel) noexcept
{
    if (--channel->refcount == 0) {
        delete static_cast<Channel*>(channel->private_data);
    }
    return 0;
}

errcode_t open_channel(const char* name, int flags, io_channel* channel) noexcept;

struct_io_manager make_manager() noexcept
{
    struct_io_manager manager{};
    manager.magic = EXT2_ET_MAGIC_IO_MANAGER;
    manager.name = "stemma volume";
    manager.open = open_channel;
    manager.close = close_channel;
    manager.set_blksize = set_block_size;
    manager.read_blk = read_blocks32;
    manager.write_blk = write_blocks32;
    manager.flush = flush;
    manager.write_byte = write_bytes;
    manager.read_blk64 = read_blocks;
    manager.write_blk64 = write_blocks;
    return manager;
}

io_manager manager() noexcept
{
    static struct_io_manager instance = make_manager();
    return &instance;
}

errcode_t open_channel(const char* name, int flags, io_channel* channel) noexcept
{
    if (target_to_open == nullptr ||
        ((flags & IO_FLAG_RW) != 0 && !target_to_open->volume->writable())) {
        return EXT2_ET_BAD_DEVICE_NAME;
    }
    try {
        auto fresh = std::make_unique<Channel>();
        fresh->name = name;
        fresh->target = target_to_open;
        struct_io_channel& base = fresh->base;
        base.magic = EXT2_ET_MAGIC_IO_CHANNEL;
        base.manager = manager();
        base.name = fresh->name.data();
        base.block_size = 1024;
        base.refcount = 1;
        base.private_data = fresh.get();
        *channel = &fresh.release()->base;
        return 0;
    } catch (...) {
        return EXT2_ET_NO_MEMORY;
    }
}

} // namespace

errcode_t
open_on(ChannelTarget& target, int flags, const SuperblockPlace& superblock, ext2_filsys* fs)
{
    target_to_open = &target;
    const errcode_t result = ::ext2fs_open2(
        "volume", nullptr, flags, superblock.block, superblock.block_size, manager(), fs);
    target_to_open = nullptr;
    return result;
}

} // namespace stemma::ext
