#include "device.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "library.hpp"

namespace stemma::ntfs {

namespace {

DeviceTarget& target_of(ntfs_device* device) noexcept
{
    return *static_cast<DeviceTarget*>(device->d_private);
}

s64 read_at(ntfs_device* device, void* buffer, s64 count, s64 offset) noexcept
{
    DeviceTarget& target = target_of(device);
    const auto end = static_cast<s64>(target.volume->size());
    if (count < 0 || offset < 0 || offset > end) {
        errno = EINVAL;
        return -1;
    }
    const s64 now = std::min(count, end - offset);
    try {
        target.volume->read(
            static_cast<std::uint64_t>(offset),
            std::span(static_cast<std::byte*>(buffer), static_cast<std::size_t>(now)));
        return now;
    } catch (...) {
        target.failure = std::current_exception();
        errno = EIO;
        return -1;
    }
}

s64 read_on(ntfs_device* device, void* buffer, s64 count) noexcept
{
    DeviceTarget& target = target_of(device);
    const s64 got = read_at(device, buffer, count, static_cast<s64>(target.position));
    if (got > 0) {
        target.position += static_cast<std::uint64_t>(got);
    }
    return got;
}

s64 seek(ntfs_device* device, s64 offset, int whence) noexcept
{
    DeviceTarget& target = target_of(device);
    const auto end = static_cast<s64>(target.volume->size());
    const s64 base = whence == SEEK_CUR   ? static_cast<s64>(target.position)
                     : whence == SEEK_END ? end
                                          : 0;
    if (offset < -base || offset > end - base) {
        errno = EINVAL;
        return -1;
    }
    target.position = static_cast<std::uint64_t>(base + offset);
    return base + offset;
}

int describe(ntfs_device* device, struct stat* into) noexcept
{
    *into = {};
    into->st_mode = S_IFREG | 0400;
    into->st_size = static_cast<off_t>(target_of(device).volume->size());
    return 0;
}

s64 refuse() noexcept
{
    errno = EROFS;
    return -1;
}

ntfs_device_operations make_operations() noexcept
{
    ntfs_device_operations operations{};
    operations.open = [](ntfs_device* device, int) {
        device->d_state |= (1UL << ND_Open) | (1UL << ND_ReadOnly);
        return 0;
    };
    operations.close = [](ntfs_device* device) {
        device->d_state &= ~(1UL << ND_Open);
        return 0;
    };
    operations.seek = seek;
    operations.read = read_on;
    operations.write = [](ntfs_device*, const void*, s64) { return refuse(); };
    operations.pread = read_at;
    operations.pwrite = [](ntfs_device*, const void*, s64, s64) { return refuse(); };
    operations.sync = [](ntfs_device*) { return 0; };
    operations.stat = describe;
    operations.ioctl = [](ntfs_device*, unsigned long, void*) {
        errno = EOPNOTSUPP;
        return -1;
    };
    return operations;
}

} // namespace

ntfs_device* make_device(DeviceTarget& target)
{
    static ntfs_device_operations operations = make_operations();
    return ::ntfs_device_alloc("volume", 0, &operations, &target);
}

} // namespace stemma::ntfs
