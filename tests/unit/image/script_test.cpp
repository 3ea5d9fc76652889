#include "stemma/core/text.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include "image_world.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

/// What dh_installsystemd of debhelper 13.11 writes for a service.
std::string systemd_postinst(const std::string& unit)
{
    const std::string when =
        "if [ \"$1\" = \"configure\" ] || [ \"$1\" = \"abort-upgrade\" ] || "
        "[ \"$1\" = \"abort-deconfigure\" ] || [ \"$1\" = \"abort-remove\" ] ; then\n";
    return "#!/bin/sh\nset -e\n# Automatically added by dh_installsystemd/13.11.4\n" + when +
           "\t# This will only remove masks created by d-s-h on package removal.\n"
           "\tdeb-systemd-helper unmask '" +
           unit +
           "' >/dev/null || true\n\n"
           "\t# was-enabled defaults to true, so new installations run enable.\n"
           "\tif deb-systemd-helper --quiet was-enabled '" +
           unit +
           "'; then\n"
           "\t\tdeb-systemd-helper enable '" +
           unit +
           "' >/dev/null || true\n\telse\n"
           "\t\tdeb-systemd-helper update-state '" +
           unit +
           "' >/dev/null || true\n\tfi\nfi\n"
           "# End automatically added section\n" +
           when +
           "\tif [ -d /run/systemd/system ]; then\n"
           "\t\tsystemctl --system daemon-reload >/dev/null || true\n"
           "\t\tif [ -n \"$2\" ]; then\n\t\t\t_dh_action=restart\n\t\telse\n"
           "\t\t\t_dh_action=start\n\t\tfi\n"
           "\t\tdeb-systemd-invoke $_dh_action '" +
           unit + "' >/dev/null || true\n\tfi\nfi\n";
}

std::string systemd_postrm(const std::string& unit)
{
    return "#!/bin/sh\nset -e\n"
           "if [ \"$1\" = remove ] && [ -d /run/systemd/system ] ; then\n"
           "\tsystemctl --system daemon-reload >/dev/null || true\nfi\n"
           "if [ \"$1\" = \"remove\" ]; then\n\tif [ -x \"/usr/bin/deb-systemd-helper\" ]; then\n"
           "\t\tdeb-systemd-helper mask '" +
           unit +
           "' >/dev/null || true\n\tfi\nfi\n"
           "if [ \"$1\" = \"purge\" ]; then\n\tif [ -x \"/usr/bin/deb-systemd-helper\" ]; then\n"
           "\t\tdeb-systemd-helper purge '" +
           unit + "' >/dev/null || true\n\t\tdeb-systemd-helper unmask '" + unit +
           "' >/dev/null || true\n\tfi\nfi\n";
}

constexpr std::string_view unit_text =
    "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target "
    "graphical.target\nAlias=store.service\nAlso=shop.socket\n";
constexpr std::string_view socket_text =
    "[Socket]\nListenStream=1\n[Install]\nRequiredBy=sockets.target\n";

struct Golden : support::ImageWorld {
    fs::path tree = folder.path() / "tree";

    Golden()
    {
        support::make_system(tree);
        fs::create_directories(tree / "usr/lib/systemd/system");
        write_file(tree / "usr/bin/deb-systemd-helper", "#!/usr/bin/perl\n", 0755);
        support::make_ext(folder.path() / "golden.raw", tree);
        fs::create_directory(folder.path() / "debs");
        image::import_image(world, "golden", file(folder.path() / "golden.raw"));
    }
    std::string deb(const std::string& name,
                    const std::map<std::string, std::string>& scripts,
                    const std::string& more = "",
                    const std::string& version = "1")
    {
        return support::make_deb(folder.path() / "debs",
                                 support::control_of(name, version, more),
                                 {{"usr/bin/" + name, name + version},
                                  {"lib/systemd/system/shop.service", std::string(unit_text)},
                                  {"lib/systemd/system/shop.socket", std::string(socket_text)}},
                                 scripts)
            .string();
    }
    image::Change install(const std::string& name,
                          std::vector<std::string> debs,
                          const std::string& base = "golden")
    {
        return image::install(world, {.base = named(base), .name = name, .debs = std::move(debs)});
    }
    std::string state(const std::string& image, const std::string& package)
    {
        const auto text =
            image::open_selected(named(image))->read_all("/var/lib/dpkg/status", 1 << 20);
        const auto at = text.find("Package: " + package + "\n");
        const auto status = text.find("Status: ", at);
        return at == std::string::npos
                   ? ""
                   : text.substr(status + 8, text.find('\n', status) - status - 8);
    }
};

/// "path -> target" of all links, and the paths of files, below a folder.
std::vector<std::string> names_below(const fs::path& folder)
{
    std::vector<std::string> names;
    if (fs::exists(folder)) {
        for (const auto& entry : fs::recursive_directory_iterator(folder)) {
            const auto name = entry.path().lexically_relative(folder).string();
            if (entry.is_symlink()) {
                names.push_back(name + " -> " + fs::read_symlink(entry.path()).string());
            } else if (entry.is_regular_file()) {
                names.push_back(name);
            }
        }
    }
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace

TEST_CASE("what debhelper writes for a unit is done as deb-systemd-helper does it")
{
    Golden golden;
    const auto change = golden.install(
        "shop", {golden.deb("shop", {{"postinst", systemd_postinst("shop.service")}})});
    CHECK(change.notes.empty());
    CHECK(golden.state("shop", "shop") == "install ok installed");
    const auto mine = golden.unpacked("shop");
    CHECK_FALSE(fs::exists(mine / "etc/systemd/system/stemma-first-boot.service"));

    if (!find_program("deb-systemd-helper")) {
        WARN("[stemma-skip] no deb-systemd-helper here to compare with");
        return;
    }
    // The real one, on the same tree without a systemctl.
    const auto theirs = golden.folder.path() / "theirs";
    fs::create_directories(theirs / "lib/systemd/system");
    write_file(theirs / "lib/systemd/system/shop.service", unit_text);
    write_file(theirs / "lib/systemd/system/shop.socket", socket_text);
    run_checked(
        {.argv = {"deb-systemd-helper", "enable", "shop.service"},
         .environment = {{"DPKG_ROOT", theirs.string()}, {"DPKG_MAINTSCRIPT_PACKAGE", "shop"}}});
    CHECK(names_below(mine / "etc/systemd/system") == names_below(theirs / "etc/systemd/system"));
    const fs::path state = "var/lib/systemd/deb-systemd-helper-enabled";
    CHECK(names_below(mine / state) == names_below(theirs / state));
    const auto sorted = [](const fs::path& file) {
        const auto text = read_file(file);
        auto lines = split_lines(text);
        std::sort(lines.begin(), lines.end());
        return std::vector<std::string>(lines.begin(), lines.end());
    };
    CHECK(sorted(mine / state / "shop.service.dsh-also") ==
          sorted(theirs / state / "shop.service.dsh-also"));
}

TEST_CASE("removing a package with a unit takes back what its installation did")
{
    Golden golden;
    golden.install("shop",
                   {golden.deb("shop",
                               {{"postinst", systemd_postinst("shop.service")},
                                {"postrm", systemd_postrm("shop.service")}})});
    image::remove(golden.world,
                  {.base = golden.named("shop"), .name = "bare", .packages = {"shop"}});
    const auto bare = golden.unpacked("bare");
    const auto before = golden.unpacked("golden");
    CHECK(names_below(bare / "etc") == names_below(before / "etc"));
    CHECK(names_below(bare / "var") == names_below(before / "var"));
    CHECK(read_file(bare / "var/lib/dpkg/status") == read_file(before / "var/lib/dpkg/status"));
}

TEST_CASE("a preset decides whether a unit is enabled")
{
    Golden golden;
    const auto preset = golden.folder.path() / "preset";
    write_file(preset, "# local\ndisable shop.*\nenable *\n");
    image::install(golden.world,
                   {.base = golden.named("golden"),
                    .name = "strict",
                    .files = {{.source = preset,
                               .target = "/etc/systemd/system-preset/10-x.preset",
                               .mode = std::nullopt}}});
    golden.install(
        "shop", {golden.deb("shop", {{"postinst", systemd_postinst("shop.service")}})}, "strict");
    const auto tree = image::open_selected(golden.named("shop"));
    CHECK_FALSE(tree->look("/etc/systemd/system/multi-user.target.wants/shop.service"));
    CHECK(tree->look("/var/lib/systemd/deb-systemd-helper-enabled/shop.service.dsh-also"));
}

TEST_CASE("a script that would do something unknown is left for the first boot")
{
    for (const std::string body : {"adduser --system shop\n",
                                   "if [ \"$1\" = configure ]; then ldconfig; fi\n",
                                   "case \"$1\" in configure) touch /x ;; esac\n",
                                   "x=$(date)\n",
                                   "for i in 1 2; do echo; done\n",
                                   "cat <<EOF\nfi\nEOF\n",
                                   ". /usr/share/debconf/confmodule\n",
                                   "[ -n \"$2\" ] || touch /y\n",
                                   "echo x > /etc/file\n",
                                   "true & false\n",
                                   "exit 1\n",
                                   "! true || rm -rf /etc\ntrue && reboot\n",
                                   "foo() { :; }\n",
                                   "if true; then : ; rm /x; fi\n",
                                   "if true; then :\n",
                                   "\"unterminated\n'\n"}) {
        Golden golden;
        INFO(body);
        const auto change = golden.install(
            "late", {golden.deb("late", {{"postinst", "#!/bin/sh\nset -e\n" + body}})});
        REQUIRE(change.notes.size() == 1);
        CHECK(change.notes[0].find("to be configured at the first boot") != std::string::npos);
        CHECK(golden.state("late", "late") == "install ok unpacked");
    }
}

TEST_CASE("a script whose dangerous parts are never reached does nothing")
{
    for (const std::string body :
         {"exit 0\nreboot\n",
          "case \"$1\" in\n  configure)\n  ;;\n  abort-upgrade|abort-remove|abort-deconfigure)\n"
          "    exit 0\n  ;;\n  *)\n    echo \"postinst called with unknown argument \\`$1'\" >&2\n"
          "    exit 1\n  ;;\nesac\n",
          "if [ \"$1\" = remove ]; then rm -rf /; elif [ -n \"$2\" ]; then reboot; else :; fi\n",
          "if [ -x /usr/sbin/nothing ] && [ -e /etc/os-release ]\nthen\n  nothing\nfi\n",
          "test -d /run/systemd/system || exit 0\nsystemctl daemon-reload\n",
          "[ ! -d /run/systemd/system ] || systemctl start x\n",
          "command -v no-such-program >/dev/null 2>&1 && no-such-program\ntrue\n",
          "if [ a = b ] ||\n   [ c = d ]; then\n  for i in 1; do\n    case x in x) reboot;; esac\n"
          "  done\nfi\n",
          "dpkg-maintscript-helper rm_conffile /etc/x 1~ -- \"$@\"\n"}) {
        Golden golden;
        INFO(body);
        const auto deb = golden.deb("idle",
                                    {{"postinst", "#!/bin/sh\nset -e\n" + body},
                                     {"preinst", "#!/bin/sh\nset -e\nexit 0\n"}});
        const auto change = golden.install("idle", {deb});
        CHECK(change.notes.empty());
        CHECK(golden.state("idle", "idle") == "install ok installed");
    }
}

TEST_CASE(
    "what depends on an unpacked package is left unpacked too, and the first boot is prepared")
{
    Golden golden;
    const auto late = golden.deb("late", {{"postinst", "#!/bin/sh\nadduser x\n"}});
    const auto user = support::make_deb(golden.folder.path() / "debs",
                                        support::control_of("user", "1", "Depends: late\n"),
                                        {{"usr/bin/user", "u"}})
                          .string();
    const auto change = golden.install("both", {user, late});
    CHECK(golden.state("both", "user") == "install ok unpacked");
    CHECK(change.notes.size() == 2);
    const auto root = golden.unpacked("both");
    CHECK(fs::read_symlink(
              root / "etc/systemd/system/multi-user.target.wants/stemma-first-boot.service") ==
          "/etc/systemd/system/stemma-first-boot.service");
    const auto script = root / "usr/lib/stemma/first-boot";
    CHECK(::access(script.c_str(), X_OK) == 0);
    CHECK(run({.argv = {"sh", "-n", script.string()}}).exit.success());
    image::remove(golden.world,
                  {.base = golden.named("both"), .name = "one", .packages = {"user"}});
    CHECK(image::open_selected(golden.named("one"))->look("/usr/lib/stemma/first-boot"));
    image::remove(golden.world,
                  {.base = golden.named("one"), .name = "none", .packages = {"late"}});
    const auto none = golden.unpacked("none");
    const auto before = golden.unpacked("golden");
    CHECK(names_below(none) == names_below(before));
}

TEST_CASE("an image without systemd gets its first boot by sysv-rc or inittab")
{
    for (const bool sysv : {true, false}) {
        support::ImageWorld plain;
        const auto tree = plain.folder.path() / "tree";
        support::make_system(tree);
        if (sysv) {
            fs::create_directories(tree / "etc/init.d");
            fs::create_directories(tree / "etc/rc2.d");
        } else {
            write_file(tree / "etc/inittab", "::sysinit:/etc/rc");
        }
        support::make_ext(plain.folder.path() / "g.raw", tree);
        fs::create_directory(plain.folder.path() / "debs");
        image::import_image(plain.world, "golden", plain.file(plain.folder.path() / "g.raw"));
        const auto deb = support::make_deb(plain.folder.path() / "debs",
                                           support::control_of("late", "1"),
                                           {{"usr/bin/late", "u"}},
                                           {{"postinst", "#!/bin/sh\nadduser x\n"}});
        image::install(plain.world,
                       {.base = plain.named("golden"), .name = "late", .debs = {deb.string()}});
        {
            const auto late = image::open_selected(plain.named("late"));
            if (sysv) {
                CHECK(late->read_link("/etc/rc2.d/S99stemma-first-boot") ==
                      "../init.d/stemma-first-boot");
            } else {
                CHECK(late->read_all("/etc/inittab", 1000) ==
                      "::sysinit:/etc/rc\n::once:/usr/lib/stemma/first-boot # stemma-first-boot\n");
            }
        }
        image::remove(plain.world,
                      {.base = plain.named("late"), .name = "none", .packages = {"late"}});
        const auto none = image::open_selected(plain.named("none"));
        CHECK_FALSE(none->look("/etc/rc2.d/S99stemma-first-boot"));
        CHECK_FALSE(none->look("/usr/lib/stemma"));
        if (!sysv) {
            CHECK(none->read_all("/etc/inittab", 1000) == "::sysinit:/etc/rc\n");
        }
    }
}

TEST_CASE("an upgrade whose old scripts do nothing goes in, others are refused")
{
    Golden golden;
    golden.install("v1",
                   {golden.deb("app",
                               {{"prerm",
                                 "#!/bin/sh\nset -e\nif [ -d /run/systemd/system ] && [ "
                                 "\"$1\" = remove ]; then systemctl stop x; fi\n"},
                                {"postrm", systemd_postrm("shop.service")}})});
    golden.install("v2", {golden.deb("app", {{"prerm", "#!/bin/sh\nstop app\n"}}, "", "2")}, "v1");
    CHECK(image::open_selected(golden.named("v2"))->read_all("/usr/bin/app", 10) == "app2");
    const auto refused =
        support::error_of([&] { golden.install("v3", {golden.deb("app", {}, "", "3")}, "v2"); });
    REQUIRE(refused.has_value());
    CHECK(refused->message().find("its prerm script would run \"stop app\"") != std::string::npos);
    const auto kept = support::error_of([&] {
        image::remove(golden.world,
                      {.base = golden.named("v2"), .name = "v0", .packages = {"app"}});
    });
    REQUIRE(kept.has_value());
    CHECK(kept->message().find("its prerm script would run \"stop app\"") != std::string::npos);
}
