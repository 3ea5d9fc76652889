#include "stemma/analyzer/extract.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include "tree_maker.hpp"

using namespace stemma;
using namespace stemma::analyzer;
using support::features_of;
using support::report_of;

namespace {

/// A little of everything that the shipped definition looks at.
support::TreeMaker& furnish(support::TreeMaker& tree)
{
    return tree
        .file("etc/passwd",
              "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n"
              "broken line\n")
        .file("etc/group", "root:x:0:\nwww-data:x:33:ann,bob\n")
        .file("etc/shadow", "root:$y$secret:19000:0:90:7:::\nwww-data:*:19000::::::\n", 0640)
        .file("etc/hostname", "shop-3\n")
        .file("etc/hosts", "127.0.0.1 localhost\n10.1.2.3 shop-3.example.org shop-3\n")
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n")
        .file("etc/ssh/sshd_config", "Port 22\nPermitRootLogin no\n")
        .file("etc/fstab",
              "UUID=ab / ext4 errors=remount-ro,noatime 0 1\nUUID=cd none swap sw 0 0\n")
        .file("etc/crontab",
              "SHELL=/bin/sh\n17 * * * * root run-parts /etc/cron.hourly\n@daily x\n")
        .file("etc/cron.d/backup", "# c\n5 1 * * * backup /usr/local/bin/backup --all\n")
        .file("usr/lib/systemd/system/ssh.service",
              "[Unit]\n[Install]\nWantedBy=multi-user.target\n")
        .file("usr/lib/systemd/system/cups.service", "[Unit]\n[Install]\nWantedBy=x.target\n")
        .file("usr/lib/systemd/system/plain.service", "[Unit]\n")
        .link("etc/systemd/system/multi-user.target.wants/ssh.service",
              "/usr/lib/systemd/system/ssh.service")
        .link("etc/systemd/system/cups.service", "/dev/null")
        .link("etc/systemd/system/sshd.service", "/usr/lib/systemd/system/ssh.service")
        .file("var/lib/dpkg/status",
              "Package: openssl\nStatus: install ok installed\nVersion: 3.0.15-1\n"
              "Architecture: amd64\nDescription: x\n Package: not-a-field\n\n"
              "Package: libc6\nStatus: install ok installed\nVersion: 2.36\nArchitecture: amd64\n\n"
              "Package: libc6\nStatus: install ok installed\nVersion: 2.36\nArchitecture: i386\n\n"
              "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n"
              "Package: half\nStatus: install ok unpacked\nVersion: 2\nArchitecture: all\n\n"
              "Package: never\nStatus: unknown ok not-installed\n")
        .file("usr/sbin/shopd", "program", 0755)
        .link("etc/alternatives/editor", "/bin/nano")
        .file("boot/vmlinuz-6.1.0", "kernel")
        .file("boot/grub/grub.cfg",
              "menuentry {\n  linux /boot/vmlinuz-6.1.0 root=/dev/vda1 ro quiet\n}\n");
}

Definition definition_with(const std::string& rest)
{
    return parse_definition("version: 1\nname: test\n" + rest, "test.yaml");
}

} // namespace

TEST_CASE("a system's features are those that its files say")
{
    support::TreeMaker tree;
    const auto set = features_of(*furnish(tree).as_folder(), default_definition());
    const auto value = [&](auto... key) { return set.value_of(key...); };

    CHECK(value("user", "www-data", "shell") == "/usr/sbin/nologin");
    CHECK(value("user", "root", "password") == "set");
    CHECK(value("user", "www-data", "password") == "none");
    CHECK(value("user", "root", "password_max_days") == "90");
    CHECK(value("user", "broken line", "damage") == "broken line");
    CHECK(set.find("group", "www-data", "members∋bob") != nullptr);
    CHECK(value("system", "", "hostname") == "shop-3");
    CHECK(value("system", "os", "version_id") == "12");
    CHECK(value("network", "", "fqdn") == "shop-3.example.org");
    CHECK(value("network", "", "own_address") == "10.1.2.3");
    CHECK(value("mount", "/", "type") == "ext4");
    CHECK(set.find("mount", "/", "options∋noatime") != nullptr);
    CHECK(value("mount", "/", "options/errors") == "remount-ro");
    CHECK(value("mount", "swap", "source") == "UUID=cd");
    CHECK(value("cron", "/etc/cron.d/backup:[/usr/local/bin/backup --all]", "user") == "backup");
    CHECK(value("cron", "/etc/cron.d/backup:[/usr/local/bin/backup --all]", "schedule") ==
          "5 1 * * *");
    CHECK(value("cron", "/etc/crontab", "damage") == "@daily x");
    CHECK(value("unit", "ssh.service", "enabled") == "true");
    CHECK(set.find("unit", "ssh.service", "wanted_by∋multi-user.target") != nullptr);
    CHECK(value("unit", "cups.service", "masked") == "true");
    CHECK(value("unit", "cups.service", "enabled") == "false");
    CHECK(value("unit", "sshd.service", "alias_of") == "ssh.service");
    CHECK(set.find("unit", "plain.service", "enabled") == nullptr);
    CHECK(value("package", "openssl", "version") == "3.0.15-1");
    CHECK(value("package", "libc6:i386", "version") == "2.36");
    CHECK(value("package", "half", "state") == "install ok unpacked");
    CHECK(value("package", "gone", "state") == "deinstall ok config-files");
    CHECK(set.find("package", "never", "version") == nullptr);
    CHECK(value("file", "/usr/sbin/shopd", "sha256") == sha256("program").hex());
    CHECK(value("file", "/usr/sbin/shopd", "mode") == "0755");
    CHECK(value("file", "/etc/shadow", "mode") == "0640");
    CHECK(value("file", "/etc/alternatives/editor", "target") == "/bin/nano");
    CHECK(value("boot", "default", "kernel") == "/boot/vmlinuz-6.1.0");
    CHECK(value("boot", "default", "argument/root") == "/dev/vda1");
    CHECK(set.find("boot", "", "kernels∋6.1.0") != nullptr);
    CHECK(report_of(set, "packages").status == Status::complete);

    const auto* port = set.find("user", "www-data", "shell");
    REQUIRE(port != nullptr);
    CHECK(port->file == "/etc/passwd");
    CHECK(port->line == 2);
}

TEST_CASE("no secret leaves the tree")
{
    support::TreeMaker tree;
    furnish(tree)
        .file("etc/ssl/private/shop.key", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", 0600)
        .file("etc/ssh/ssh_host_rsa_key", "c2VjcmV0\n", 0600);
    for (const auto& feature : features_of(*tree.as_folder(), default_definition()).features) {
        CAPTURE(feature.name());
        CHECK(feature.value.find("secret") == std::string::npos);
        CHECK(feature.value.find("c2VjcmV0") == std::string::npos);
    }
}

TEST_CASE("folder, tar and ext4 of one tree give the same features")
{
    support::TreeMaker tree;
    furnish(tree)
        .file("etc/\xff\xfe odd\nname.conf", "a = 1\n")
        .link("etc/loop", "loop")
        .link("etc/escape", "../../../../../../etc/passwd")
        .folder("etc/" + std::string(200, 'd') + "/" + std::string(200, 'e'));
    ::mkfifo((tree.root() / "etc/pipe").c_str(), 0600);
    const auto definition = default_definition();
    const auto plain = features_of(*tree.as_folder(), definition);
    const auto tar = features_of(*tree.as_tar(), definition);
    CHECK(plain.features == tar.features);
    CHECK(plain.extractors == tar.extractors);
    CHECK(plain.value_of("file", "/etc/pipe", "kind") == "fifo");
    CHECK(report_of(plain, "files").status == Status::complete);
    const auto ext4 = tree.as_ext4();
    if (!ext4) {
        WARN("[stemma-skip] mke2fs is not installed");
        return;
    }
    const auto disk = features_of(*ext4, definition);
    CHECK(plain.features == disk.features);
    for (std::size_t i = 0; i < plain.extractors.size(); ++i) {
        CHECK(plain.extractors[i].reason == disk.extractors.at(i).reason);
    }
    CHECK(plain.extractors == disk.extractors);
}

TEST_CASE("rules collect what they say and only that")
{
    support::TreeMaker tree;
    tree.file("srv/a", "one\ntwo\nthree").file("srv/b/c", "x\n").file("srv/cache/x", "y");
    const auto definition = definition_with(
        "files:\n"
        "  - {paths: [/srv/**], exclude: [/srv/cache/**], collect: [size, lines], head: 2}\n"
        "  - {paths: [/srv/b/*], collect: [hash]}\n");
    const auto set = features_of(*tree.as_folder(), definition);
    CHECK(set.value_of("file", "/srv/a", "size") == "13");
    CHECK(set.value_of("file", "/srv/a", "lines") == "3");
    CHECK(set.value_of("file", "/srv/a", "line[2]") == "two");
    CHECK(set.find("file", "/srv/a", "line[3]") == nullptr);
    CHECK(set.find("file", "/srv/a", "mode") == nullptr);
    CHECK(set.find("file", "/srv/a", "sha256") == nullptr);
    CHECK(set.value_of("file", "/srv/b/c", "sha256") == sha256("x\n").hex());
    CHECK(set.value_of("file", "/srv/b/c", "lines") == "1");
    CHECK(set.find("file", "/srv/cache/x", "size") == nullptr);
    CHECK(set.extractors.size() == 1);
}

TEST_CASE("a link is parsed where its target is not parsed under its own name")
{
    support::TreeMaker tree;
    tree.file("run/resolv.conf", "nameserver 10.0.0.1\n")
        .link("etc/resolv.conf", "../run/resolv.conf")
        .file("etc/sites-available/x.conf", "a = 1\n")
        .link("etc/sites-enabled/x.conf", "../sites-available/x.conf");
    std::vector<std::string> parsed;
    const support::FakeClock clock;
    const Cancel cancel;
    const auto definition = definition_with("settings: [{paths: [/etc/**], parser: resolv}]\n");
    const auto tree_view = tree.as_folder();
    extract(*tree_view,
            definition,
            {.clock = clock,
             .cancel = cancel,
             .settings = [&](std::string_view path, std::string_view, std::string_view parser) {
                 CHECK(parser == "resolv");
                 parsed.emplace_back(path);
                 return std::vector<Feature>{};
             }});
    CHECK(parsed == std::vector<std::string>{"/etc/resolv.conf", "/etc/sites-available/x.conf"});
}

TEST_CASE("what is beyond the budget is left out and said")
{
    support::TreeMaker tree;
    tree.file("etc/big", std::string(3U << 20U, 'x')).file("etc/small", "a = 1\n");
    const auto sizes = features_of(*tree.as_folder(),
                                   definition_with("files: [{paths: [/etc/**], collect: [hash]}]\n"
                                                   "settings: [{paths: [/etc/**]}]\n"
                                                   "budget: {file_mib: 2, settings_mib: 1}\n"));
    CHECK(sizes.find("file", "/etc/small", "sha256") != nullptr);
    CHECK(sizes.find("file", "/etc/big", "sha256") == nullptr);
    CHECK(report_of(sizes, "files").status == Status::partial);
    CHECK_THAT(report_of(sizes, "files").reason, Catch::Matchers::Contains("/etc/big"));
    CHECK(report_of(sizes, "settings").status == Status::partial);

    const auto total = features_of(
        *tree.as_folder(),
        definition_with("files: [{paths: [/etc/**], collect: [hash]}]\nbudget: {total_mib: 1}\n"));
    CHECK(report_of(total, "files").status == Status::partial);

    const auto few = features_of(*tree.as_folder(),
                                 definition_with("files: [{paths: [/etc/**]}]\n"
                                                 "budget: {features: 2}\n"));
    CHECK(few.features.size() == 2);
    CHECK(report_of(few, "files").status == Status::partial);
}

TEST_CASE("when the time is over, the rest is left out and said")
{
    class Racing final : public Clock {
    public:
        [[nodiscard]] Time now() const override
        {
            now_ += std::chrono::seconds(30);
            return now_;
        }

    private:
        mutable Time now_ = parse_time("2026-01-02T03:04:05Z");
    };
    support::TreeMaker tree;
    tree.file("etc/a", "x").file("etc/b", "x").file("etc/c", "x").file("etc/d", "x");
    const Racing clock;
    const Cancel cancel;
    const auto view = tree.as_folder();
    const auto set = extract(*view,
                             definition_with("files: [{paths: [/etc/*], collect: [hash]}]\n"),
                             {.clock = clock, .cancel = cancel});
    CHECK(set.features.size() < 4);
    CHECK(report_of(set, "files").status == Status::partial);
}

TEST_CASE("an extraction that is asked to stop stops")
{
    support::TreeMaker tree;
    furnish(tree);
    const support::FakeClock clock;
    Cancel cancel;
    cancel.request();
    const auto view = tree.as_folder();
    const auto error = support::error_of(
        [&] { extract(*view, default_definition(), {.clock = clock, .cancel = cancel}); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::interrupted);
}

TEST_CASE("an empty tree has no features, and says why")
{
    support::TreeMaker tree;
    tree.folder("");
    const auto set = features_of(*tree.as_folder(), default_definition());
    CHECK(set.features.empty());
    CHECK(report_of(set, "packages").status == Status::unsupported);
    CHECK(report_of(set, "units").status == Status::unsupported);
    CHECK(report_of(set, "files").status == Status::complete);
    for (const auto& report : set.extractors) {
        CHECK((report.status == Status::complete) == report.reason.empty());
    }
}

TEST_CASE("tables of nonsense cost their lines, never the extraction")
{
    const std::string nonsense[] = {std::string("\0\0\xff:::::::\n", 11),
                                    std::string(100'000, ':') + "\n",
                                    std::string(70'000, 'x') + ":x:0:0::/:/\n",
                                    "a:b\n:x:0:0:::\n=\n[\n@\n@daily\n* * * * *\n\n\n",
                                    "root:x:99999999999999999999:0:::\n"};
    for (const auto& text : nonsense) {
        support::TreeMaker tree;
        for (const auto* path : {"etc/passwd",
                                 "etc/group",
                                 "etc/shadow",
                                 "etc/fstab",
                                 "etc/crontab",
                                 "etc/cron.d/x",
                                 "etc/hosts",
                                 "etc/hostname",
                                 "etc/os-release",
                                 "etc/resolv.conf",
                                 "etc/network/interfaces",
                                 "etc/systemd/network/x.network",
                                 "var/lib/dpkg/status",
                                 "lib/apk/db/installed",
                                 "boot/grub/grub.cfg",
                                 "etc/systemd/system/x.service",
                                 "etc/ssh/sshd_config"}) {
            tree.file(path, text);
        }
        const auto set = features_of(*tree.as_folder(), default_definition());
        for (const auto& feature : set.features) {
            CHECK(feature.value.size() <= 65536);
            CHECK(feature.identity.size() <= 65536);
        }
        CHECK(features_from_json(to_json(set)).features == set.features);
    }
}
