#include "cpio.hpp"

#include <fmt/format.h>

namespace stemma::image {

namespace {

constexpr std::uint32_t folder_bits = 0040755;
constexpr std::uint32_t file_bits = 0100000;
constexpr std::uint32_t link_bits = 0120777;

void pad(std::string& bytes)
{
    constexpr std::size_t unit = 4;
    bytes.resize((bytes.size() + unit - 1) / unit * unit, '\0');
}

} // namespace

void CpioWriter::add(std::string_view path, std::uint32_t mode, std::string_view content)
{
    ++inode_;
    // magic ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check
    bytes_ += fmt::format("070701{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}"
                          "{:08X}{:08X}",
                          inode_,
                          mode,
                          0,
                          0,
                          1,
                          0,
                          content.size(),
                          0,
                          0,
                          0,
                          0,
                          path.size() + 1,
                          0);
    bytes_ += path;
    bytes_ += '\0';
    pad(bytes_);
    bytes_ += content;
    pad(bytes_);
}

void CpioWriter::add_folder(std::string_view path)
{
    add(path, folder_bits, {});
}

void CpioWriter::add_file(std::string_view path, std::uint32_t mode, std::string_view content)
{
    add(path, file_bits | mode, content);
}

void CpioWriter::add_symlink(std::string_view path, std::string_view target)
{
    add(path, link_bits, target);
}

std::string CpioWriter::finish()
{
    add("TRAILER!!!", 0, {});
    return std::move(bytes_);
}

} // namespace stemma::image
