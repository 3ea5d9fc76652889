#include "stemma/analyzer/settings.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stemma::analyzer::parse_settings;

std::map<std::string, std::string> keys_of(std::string_view path, std::string_view text)
{
    std::map<std::string, std::string> keys;
    for (const auto& setting : parse_settings(path, text).settings) {
        keys[setting.key] = setting.value;
    }
    return keys;
}

} // namespace

TEST_CASE("sshd: case is folded, lists are elements, Match opens a record")
{
    const auto keys =
        keys_of("/etc/ssh/sshd_config",
                "PermitRootLogin no\npermitrootlogin yes\n#Port 22\n"
                "AllowGroups sre web\nMatch User deploy\n  PasswordAuthentication yes\n");
    CHECK(keys.at("permitrootlogin") == "no"); // the first one counts
    CHECK(keys.count("allowgroups∋sre") == 1);
    CHECK(keys.count("allowgroups∋web") == 1);
    CHECK(keys.at("match[User deploy]/passwordauthentication") == "yes");
    CHECK(keys.size() == 4);
}

TEST_CASE("nginx: a server block is known by its name and port")
{
    const auto keys = keys_of("/etc/nginx/sites-enabled/shop",
                              "server {\n listen 443 ssl;\n server_name shop.example;\n"
                              " location / { try_files $uri /index.php; }\n"
                              " add_header X-A \"a; b\";\n}\n");
    CHECK(keys.at("server[shop.example:443]/location[/]/try_files") == "$uri /index.php");
    CHECK(keys.at("server[shop.example:443]/add_header[X-A]") == "a; b");
}

TEST_CASE("fstab: a mount is known by its mount point")
{
    const auto keys = keys_of("/etc/fstab", "UUID=1 / ext4 noatime,errors=remount-ro 0 1\n");
    CHECK(keys.at("[/]/spec") == "UUID=1");
    CHECK(keys.count("[/]/options∋noatime") == 1);
    CHECK(keys.at("[/]/pass") == "1");
}

TEST_CASE("a broken line costs that line and is itself a setting")
{
    const auto file =
        parse_settings("/etc/mysql/my.cnf", "[mysqld]\nport = 1\nwhat is this\nsocket = /s\n");
    CHECK(file.errors == 1);
    REQUIRE(file.settings.size() == 3);
    CHECK(file.settings[1].key == "(not understood)∋what is this");
    CHECK(file.settings[1].line == 3);
    CHECK(file.settings[2].key == "mysqld/socket");
}

TEST_CASE("a lost brace costs its block and not the rest of the file")
{
    const auto keys = keys_of("/etc/nginx/nginx.conf",
                              "events {\n    worker_connections 1;\n\nhttp {\n    gzip on;\n}\n");
    CHECK(keys.at("events/worker_connections") == "1");
    CHECK(keys.at("http/gzip") == "on");
}

TEST_CASE("a dialect that is named reads the file, whatever it is called or looks like")
{
    const auto keys = [](std::string_view dialect) {
        std::vector<std::string> found;
        for (const auto& setting :
             parse_settings("/etc/strange.txt", "[one]\nkey = value\n", dialect).settings) {
            found.push_back(setting.key);
        }
        return found;
    };
    CHECK(keys("ini") == std::vector<std::string>{"one/key"});
    CHECK(keys("lines") == std::vector<std::string>{"∋[one]", "∋key = value"});
    CHECK(keys("auto") == keys("ini"));
}
