#pragma once

#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/volume/filesystem.hpp"

#include <filesystem>
#include <string>
#include <vector>

/// Small images made by the real tools, for the tests of this folder.
namespace stemma::support {

namespace fs = std::filesystem;

/// mke2fs with `options`, filled with `folder`; `size` as mke2fs reads it ("64M").
inline void make_ext(const fs::path& image,
                     const fs::path& folder,
                     const std::string& size = "48M",
                     const std::vector<std::string>& options = {})
{
    std::vector<std::string> argv = {"mke2fs", "-q", "-F", "-d", folder.string()};
    if (options.empty() || options.front() != "-t") {
        argv.insert(argv.end(), {"-t", "ext4"});
    }
    argv.insert(argv.end(), options.begin(), options.end());
    argv.push_back(image.string());
    argv.push_back(size);
    Command command{.argv = argv};
    command.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
    run_checked(command);
}

inline void convert(const fs::path& from, const fs::path& to, const std::string& format)
{
    run_checked(
        {.argv = {"qemu-img", "convert", "-f", "raw", "-O", format, from.string(), to.string()}});
}

/// What debugfs prints for a request.
inline std::string debugfs(const fs::path& image, const std::string& request)
{
    Command command{.argv = {"debugfs", "-R", request, image.string()}};
    command.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
    return run(command).out;
}

/// True when `e2fsck -fn` finds nothing to complain about.
inline bool is_clean(const fs::path& image)
{
    Command command{.argv = {"e2fsck", "-fn", image.string()}};
    command.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
    return run(command).exit.success();
}

/// Lets e2fsck make an index (htree) for every folder that is large enough.
inline void reindex(const fs::path& image)
{
    Command command{.argv = {"e2fsck", "-fyD", image.string()}};
    command.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
    run(command);
}

/// A file tree with something of everything that needs no privilege.
inline void make_tree(const fs::path& root)
{
    fs::create_directories(root / "etc/shop");
    fs::create_directories(root / "usr/bin");
    fs::create_directories(root / "var/lib/empty");
    write_file(root / "etc/os-release", "PRETTY_NAME=\"Test 1\"\nID=test\n");
    write_file(root / "etc/shop/shop.conf", "port = 7070\n");
    write_file(root / "usr/bin/tool", std::string(300'000, 'x') + "end", 0755);
    write_file(root / "usr/bin/nothing", "");
    fs::create_symlink("usr/bin", root / "bin");
    fs::create_symlink("/etc/os-release", root / "absolute");
    fs::create_symlink("../../../../etc/os-release", root / "etc/shop/above");
    fs::create_symlink("loop", root / "loop");
    fs::create_symlink(std::string(100, 'y'), root / "slow-link");
    fs::create_hard_link(root / "usr/bin/tool", root / "usr/bin/same");
    write_file(root / std::string("odd \n\xff name"), "odd");
}

} // namespace stemma::support
