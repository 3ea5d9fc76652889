#include "drivers.hpp"

#include "stemma/core/error.hpp"
#include "stemma/ext/ext.hpp"
#include "stemma/fat/fat.hpp"
#include "stemma/ntfs/ntfs.hpp"
#include "stemma/squashfs/squashfs.hpp"

#include <algorithm>
#include <array>

namespace stemma::disk {

namespace {

constexpr std::array drivers = {
    Driver{.name = "libext2fs", .contents = " ext2 ext3 ext4 ", .open = ext::open_reader},
    Driver{.name = "the FAT reader", .contents = " vfat ", .open = fat::open_reader},
    Driver{.name = "libntfs-3g", .contents = " ntfs ", .open = ntfs::open_reader},
    Driver{.name = "libsquashfs", .contents = " squashfs ", .open = squashfs::open_reader},
};

} // namespace

const Driver* driver_of(std::string_view content) noexcept
{
    const auto* const found =
        std::find_if(drivers.begin(), drivers.end(), [&](const Driver& driver) {
            const auto at = driver.contents.find(content);
            return !content.empty() && at != std::string_view::npos && at > 0 &&
                   driver.contents[at - 1] == ' ' && driver.contents[at + content.size()] == ' ';
        });
    return found == drivers.end() ? nullptr : found;
}

std::string advice_about(std::string_view content)
{
    if (content.empty() || content == "swap" || driver_of(content) != nullptr) {
        return {};
    }
    if (content == "LUKS") {
        return "it is encrypted (LUKS); nothing here can open it without its key";
    }
    if (content == "LVM") {
        return "its logical volumes have nothing that can be read here";
    }
    if (content == "RAID" || content.starts_with("LVM ") || content.starts_with("LVM,")) {
        return fmt::format("its file systems lie inside {}, which only the machine itself puts "
                           "together: read it in the running VM",
                           content);
    }
    return fmt::format("{} is read through libguestfs: apt-get install libguestfs0 libguestfs-xfs "
                       "linux-image-cloud-amd64",
                       content);
}

} // namespace stemma::disk
