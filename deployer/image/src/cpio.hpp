#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stemma::image {

/// A cpio archive of the form that the kernel takes as its first file system ("newc", cpio(5)).
/// Same calls, same bytes: everything is root's, from the beginning of 1970.
class CpioWriter {
public:
    /// path  relative; the folders above it must have been added before
    void add_folder(std::string_view path);
    void add_file(std::string_view path, std::uint32_t mode, std::string_view content);
    void add_symlink(std::string_view path, std::string_view target);
    /// The whole archive; nothing may be added afterwards.
    std::string finish();

private:
    void add(std::string_view path, std::uint32_t mode, std::string_view content);

    std::string bytes_;
    std::uint32_t inode_ = 0;
};

} // namespace stemma::image
