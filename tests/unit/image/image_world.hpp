#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/image/library.hpp"
#include "stemma/image/transaction.hpp"
#include "stemma/support/fake_clock.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "image_files.hpp"

namespace stemma::support {

/// A store and an image folder of a test's own.
struct ImageWorld {
    TemporaryFolder folder{"image-test"};
    FakeClock clock;
    NullLog log;
    Progress progress{ProgressMode::none};
    Cancel cancel;
    std::unique_ptr<lineage::Store> store = lineage::Store::open(
        (folder.path() / "lineage.db").string(), lineage::Store::Mode::write, clock, log);
    image::World world{.store = *store,
                       .clock = clock,
                       .log = log,
                       .progress = progress,
                       .cancel = cancel,
                       .folder = folder.path() / "images",
                       .allow = {}};

    [[nodiscard]] image::Selected file(const fs::path& path) const
    {
        return image::select(nullptr, path.string(), std::nullopt, {});
    }
    [[nodiscard]] image::Selected named(const std::string& name) const
    {
        return image::select(store.get(), "image:" + name, std::nullopt, {});
    }
    /// Names in the image folder, without the lock.
    [[nodiscard]] std::vector<std::string> names() const
    {
        std::vector<std::string> all;
        for (const auto& entry : fs::directory_iterator(world.folder)) {
            if (entry.path().filename() != ".lock") {
                all.push_back(entry.path().filename().string());
            }
        }
        std::sort(all.begin(), all.end());
        return all;
    }
    /// The image's files in a folder, as debugfs copies them out.
    fs::path unpacked(const std::string& name)
    {
        const auto out = folder.path() / (name + ".tree");
        const auto flat = folder.path() / (name + ".raw");
        image::export_image(world, named(name), flat, volume::ContainerFormat::raw);
        CHECK(is_clean(flat));
        fs::create_directory(out);
        debugfs(flat, fmt::format("rdump / {}", out.string()));
        return out;
    }
};

/// A .deb made by dpkg-deb from a control file and files (path → content; "…!" makes it a program).
inline fs::path make_deb(const fs::path& folder,
                         const std::string& control,
                         const std::map<std::string, std::string>& files,
                         const std::map<std::string, std::string>& scripts = {})
{
    const TemporaryFolder root("deb");
    fs::create_directories(root.path() / "DEBIAN");
    write_file(root.path() / "DEBIAN/control", control);
    for (const auto& [name, content] : scripts) {
        write_file(root.path() / "DEBIAN" / name, content, name == "conffiles" ? 0644 : 0755);
    }
    for (const auto& [path, content] : files) {
        fs::create_directories((root.path() / path).parent_path());
        write_file(root.path() / path, content);
    }
    run_checked({.argv = {"dpkg-deb",
                          "--root-owner-group",
                          "-Zgzip",
                          "-b",
                          root.path().string(),
                          folder.string()},
                 .environment = {{"SOURCE_DATE_EPOCH", "1700000000"}}});
    fs::path newest;
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".deb" &&
            (newest.empty() || fs::last_write_time(entry) >= fs::last_write_time(newest))) {
            newest = entry.path();
        }
    }
    return newest;
}

inline std::string control_of(const std::string& name,
                              const std::string& version,
                              const std::string& more = "",
                              const std::string& arch = "amd64")
{
    return fmt::format("Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: T <t@example>\n{}"
                       "Description: a test\n",
                       name,
                       version,
                       arch,
                       more);
}

/// The tree of a small system with a dpkg database: libc6 2.36 and an editor are installed.
inline void make_system(const fs::path& root)
{
    make_tree(root);
    fs::create_directories(root / "usr/lib");
    fs::create_symlink("usr/lib", root / "lib");
    fs::create_directories(root / "var/lib/dpkg/info");
    fs::create_directories(root / "var/lib/dpkg/triggers");
    fs::create_directories(root / "var/lib/dpkg/updates");
    write_file(root / "var/lib/dpkg/arch", "amd64\n");
    write_file(root / "var/lib/dpkg/available", "");
    write_file(root / "var/lib/dpkg/diversions",
               "/usr/bin/diverted\n/usr/bin/diverted.real\nother\n");
    write_file(root / "var/lib/dpkg/triggers/File", "/usr/share/watched watcher/noawait\n");
    write_file(root / "etc/passwd", "root:x:0:0::/root:/bin/sh\nshop:x:990:991::/:/bin/false\n");
    write_file(root / "etc/group", "root:x:0:\nshop:x:991:\n");
    write_file(root / "usr/bin/editor", "editor\n", 0755);
    std::string status;
    for (const auto* name : {"libc6", "dpkg", "editor", "watcher"}) {
        status += control_of(
            name, "2.36-9", std::string(name) == "editor" ? "Breaks: editor-breaker\n" : "");
        status += "Status: install ok installed\n\n";
        write_file(root / fmt::format("var/lib/dpkg/info/{}.list", name),
                   std::string(name) == "editor" ? "/.\n/usr\n/usr/bin\n/usr/bin/editor\n"
                                                 : "/.\n");
        write_file(root / fmt::format("var/lib/dpkg/info/{}.md5sums", name), "");
    }
    write_file(root / "var/lib/dpkg/status", status);
}

} // namespace stemma::support
