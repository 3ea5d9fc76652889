#include "stemma/analyzer/extract.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tree_maker.hpp"

using namespace stemma;
using namespace stemma::analyzer;
using support::features_of;
using support::report_of;

TEST_CASE("folders five hundred deep, endless names and hostile bytes in names cost nothing else")
{
    support::TreeMaker tree;
    std::string deep = "etc";
    for (int i = 0; i < 500; ++i) {
        deep += "/d";
    }
    tree.file(deep + "/last.conf", "a = 1\n");
    tree.file("etc/" + std::string(240, 'n') + ".conf", "b = 2\n");
    tree.file("etc/new\nline\x01\xff.conf", "c = 3\n");
    tree.file("etc/plain.conf", "d = 4\n");
    for (const bool as_tar : {false, true}) {
        auto opened = as_tar ? tree.as_tar() : tree.as_folder();
        const auto set = features_of(*opened, default_definition());
        CHECK(set.value_of("setting", "/etc/plain.conf", "d") == "4");
        CHECK(set.value_of("setting", "/etc/new\nline\x01\xff.conf", "c") == "3");
        CHECK(set.value_of("setting", "/etc/" + std::string(240, 'n') + ".conf", "b") == "2");
        // Either it was reached, or the report says that something was not.
        const bool reached = set.value_of("setting", "/" + deep + "/last.conf", "a") == "1";
        CHECK((reached || report_of(set, "settings").status == Status::partial));
    }
}

TEST_CASE("pipes, sockets and devices among configuration are named and never opened")
{
    support::TreeMaker tree;
    tree.file("etc/plain.conf", "d = 4\n");
    REQUIRE(::mkfifo((tree.root() / "etc/pipe.conf").c_str(), 0600) == 0);
    // Reading the pipe would wait for a writer without end; the device would never end.
    const bool device =
        ::mknod((tree.root() / "etc/zero.conf").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0;
    tree.link("etc/loop.conf", "loop.conf");
    tree.link("etc/dangling.conf", "/nowhere");
    tree.link("etc/device.conf", "zero.conf");
    const auto set = features_of(*tree.as_folder(), default_definition());
    CHECK(set.value_of("setting", "/etc/plain.conf", "d") == "4");
    CHECK(set.value_of("file", "/etc/pipe.conf", "kind") == "fifo");
    CHECK(set.find("file", "/etc/pipe.conf", "sha256") == nullptr);
    if (device) {
        CHECK(set.find("file", "/etc/zero.conf", "kind") != nullptr);
        CHECK(set.find("file", "/etc/zero.conf", "sha256") == nullptr);
    }
    CHECK(set.value_of("file", "/etc/loop.conf", "target") == "loop.conf");
}

TEST_CASE("a file of a gigabyte is not read, and is said to be left out")
{
    support::TreeMaker tree;
    tree.file("etc/plain.conf", "d = 4\n");
    tree.file("etc/huge.log", "x");
    REQUIRE(::truncate((tree.root() / "etc/huge.log").c_str(), 1LL << 30U) == 0);
    const auto set = features_of(*tree.as_folder(), default_definition());
    CHECK(set.value_of("setting", "/etc/plain.conf", "d") == "4");
    CHECK(set.find("file", "/etc/huge.log", "mode") != nullptr);
    CHECK(set.find("file", "/etc/huge.log", "sha256") == nullptr);
    CHECK(report_of(set, "files").status == Status::partial);
    CHECK_THAT(report_of(set, "files").reason, Catch::Contains("/etc/huge.log"));
    CHECK(report_of(set, "settings").status == Status::partial);
}

TEST_CASE("a setting that names what is not there says so")
{
    support::TreeMaker tree;
    tree.file("etc/passwd", "root:x:0:0::/root:/bin/bash\nwww:x:33:33::/var/www:/bin/false\n")
        .file("etc/group", "root:x:0:\nstaff:x:50:\n")
        .file("etc/ssh/sshd_config", "AllowGroups staff gone\n")
        .file("etc/nginx/nginx.conf",
              "user www;\nhttp {\n  server {\n    listen 80;\n    server_name a.example;\n    root "
              "/srv/a;\n"
              "    access_log /var/log/none.log;\n    fastcgi_pass unix:/run/none.sock;\n  }\n"
              "  server {\n    listen 80;\n    server_name b.example;\n    root /srv/missing;\n  "
              "}\n}\n")
        .file("srv/a/index.html", "x");
    const auto set = features_of(*tree.as_folder(), default_definition());
    std::vector<std::string> said;
    for (const auto& feature : set.features) {
        if (feature.attribute.ends_with("(names nothing)")) {
            said.push_back(feature.attribute + " " + feature.value + " " + feature.identity);
        }
    }
    CHECK(said ==
          std::vector<std::string>{"fastcgi_pass (names nothing) /run/none.sock "
                                   "/etc/nginx/nginx.conf:http/server[a.example:80]",
                                   "root (names nothing) /srv/missing "
                                   "/etc/nginx/nginx.conf:http/server[b.example:80]",
                                   "allowgroups (names nothing) gone /etc/ssh/sshd_config"});
}

TEST_CASE("a socket that one program names and no other serves says so")
{
    support::TreeMaker tree;
    tree.file("etc/nginx/sites-enabled/a",
              "server {\n  listen 80;\n  server_name a.example;\n  location /one {\n    "
              "fastcgi_pass unix:/var/run/php/fpm.sock;\n  }\n  location /two {\n    "
              "fastcgi_pass unix:/run/php-fpm.sock;\n  }\n}\n")
        .file("etc/php/8.2/fpm/pool.d/www.conf", "[www]\nlisten = /run/php/fpm.sock\n");
    const auto set = features_of(*tree.as_folder(), default_definition());
    const std::string site = "/etc/nginx/sites-enabled/a:server[a.example:80]/location";
    const std::string attribute = "fastcgi_pass (names nothing)";
    CHECK(set.find("setting", site + "[/one]", attribute) == nullptr);
    CHECK(set.value_of("setting", site + "[/two]", attribute) == "/run/php-fpm.sock");
}

TEST_CASE("files know the package that they came with")
{
    support::TreeMaker tree;
    tree.file("etc/app.conf", "a = 1\n")
        .file("etc/own.conf", "a = 1\n")
        .file("usr/bin/app", "x", 0755)
        .file("usr/bin/ls", "x", 0755)
        .file("var/lib/dpkg/info/app.list", "/.\n/etc\n/etc/app.conf\n/usr/bin/app\n")
        .file("var/lib/dpkg/info/coreutils:amd64.list", "/bin/ls\n");
    const auto set = features_of(*tree.as_folder(), default_definition());
    CHECK(set.value_of("file", "/etc/app.conf", "package") == "app");
    CHECK(set.value_of("file", "/usr/bin/app", "package") == "app");
    CHECK(set.value_of("file", "/usr/bin/ls", "package") == "coreutils");
    CHECK(set.find("file", "/etc/own.conf", "package") == nullptr);
}

TEST_CASE("a definition's parser reads the file as what it is told to be")
{
    support::TreeMaker tree;
    tree.file("etc/strange.txt", "[one]\nkey = value\n");
    const auto with = [&](const std::string& parser) {
        return features_of(*tree.as_folder(),
                           parse_definition("version: 1\nname: x\nsettings:\n  - paths: "
                                            "[\"/etc/**\"]\n    parser: " +
                                                parser + "\n",
                                            "x.yaml"));
    };
    CHECK(with("ini").value_of("setting", "/etc/strange.txt:one", "key") == "value");
    CHECK(with("lines").find("setting", "/etc/strange.txt", "∋key = value") != nullptr);
    try {
        with("inni");
        FAIL("a parser that there is not was accepted");
    } catch (const Error& error) {
        CHECK_THAT(error.one_line(), Catch::Contains("x.yaml:5:13"));
    }
}
