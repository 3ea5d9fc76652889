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

TEST_CASE("a section or block with nothing in it is there, one that is filled later is not empty")
{
    const auto ini = keys_of("/etc/systemd/journald.conf", "[Journal]\n#Storage=auto\n");
    CHECK(ini == std::map<std::string, std::string>{{"Journal/(empty)", "present"}});
    const auto again = keys_of("/etc/some.ini", "[a]\n[b]\nx = 1\n[a]\ny = 2\n[b]\n");
    CHECK(again == std::map<std::string, std::string>{{"a/y", "2"}, {"b/x", "1"}});
    const auto apache =
        parse_settings("/etc/apache2/ports.conf", "Listen 80\n<IfModule ssl>\n</IfModule>\n");
    REQUIRE(apache.settings.size() == 2);
    CHECK(apache.settings[1].key == "ifmodule[ssl]/(empty)");
    CHECK(apache.settings[1].line == 2);
}

TEST_CASE("YAML: a text of lines in a list is one element and no settings")
{
    const auto file = parse_settings("/etc/cloud/cloud.cfg.d/05_logging.cfg",
                                     "_log:\n - &base |\n   [loggers]\n   keys=root\n - &two |\n"
                                     "   [x]\nlog_cfgs:\n - [a, b]\n");
    CHECK(file.errors == 0);
    CHECK(file.settings.size() == 3);
}

TEST_CASE("an empty pair of quotes is a value, wherever it stands")
{
    const auto keys = keys_of("/etc/nginx/nginx.conf", "\"\"x;\nserver_tokens \"\";\n");
    CHECK(keys.at("server_tokens").empty());
    CHECK(keys.count("x") == 1);
}

TEST_CASE("comments of C's kind are left out over many lines, lines still counted")
{
    const auto bind = parse_settings("/etc/bind/named.conf.options",
                                     "/* one\n   recursion no; */\noptions { recursion yes; // "
                                     "really\n forwarders { 9.9.9.9; };\n};\n");
    REQUIRE(bind.settings.size() == 2);
    CHECK(bind.settings[0].key == "options/recursion");
    CHECK(bind.settings[0].value == "yes");
    CHECK(bind.settings[0].line == 3);
    CHECK(bind.settings[1].key == "options/forwarders∋9.9.9.9");
    const auto kea = parse_settings("/etc/kea/kea-dhcp4.conf",
                                    "// a file\n/* of\n */ {\n\"Dhcp4\": { # here\n"
                                    "\"valid-lifetime\": 600 } }\n");
    REQUIRE(kea.settings.size() == 1);
    CHECK(kea.settings[0].key == "Dhcp4/valid-lifetime");
    CHECK(kea.settings[0].line == 5);
}

TEST_CASE("daemons whose files look like nothing in particular are read by their path")
{
    struct Case {
        const char* path;
        const char* text;
        const char* key;
        const char* value;
    };
    const Case cases[] = {
        {"/etc/freeradius/3.0/clients.conf",
         "client localhost {\n\tipaddr = 127.0.0.1\n}\n",
         "client[localhost]/ipaddr",
         "127.0.0.1"},
        {"/etc/corosync/corosync.conf",
         "totem {\n\tversion: 2\n\tinterface {\n\t\tmcastport: 5405\n\t}\n}\n",
         "totem/interface/mcastport",
         "5405"},
        {"/etc/wpa_supplicant/wpa_supplicant.conf",
         "network={\n\tssid=\"corp\"\n}\n",
         "network/ssid",
         "corp"},
        {"/etc/lighttpd/lighttpd.conf",
         "server.modules = (\n\t\"mod_a\",\n\t\"mod_b\",\n)\nserver.port = 80\n",
         "server.modules∋mod_b",
         "present"},
        {"/etc/squid/squid.conf",
         "acl net src 10.0.0.0/8\nacl ports port 443\nhttp_access deny all\n",
         "acl∋ports port 443",
         "present"},
        {"/etc/unbound/unbound.conf",
         "server:\n  port: 53 # plain\nforward-zone:\n  name: \".\"\n",
         "server/port",
         "53"},
        {"/etc/frr/frr.conf",
         "! site 1\nhostname r1\nrouter bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n",
         "router[bgp 65001]/neighbor",
         "10.0.0.2 remote-as 65002"},
        {"/etc/ipsec.conf", "conn office\n\tauto=start\n", "conn[office]/auto", "start"},
        {"/etc/dnsmasq.conf", "domain-needed\nserver=9.9.9.9\n", "domain-needed", "on"},
        {"/etc/mongod.conf", "net:\n  port: 27017\n", "net/port", "27017"},
        {"/etc/agent/agent.conf", "net:\n  port: 27017\n", "net/port", "27017"},
        {"/etc/proftpd/proftpd.conf",
         "<Limit LOGIN>\nDenyAll\n</Limit>\n",
         "limit[LOGIN]/denyall",
         "on"},
    };
    for (const Case& one : cases) {
        INFO(one.path);
        const auto keys = keys_of(one.path, one.text);
        REQUIRE(keys.count(one.key) == 1);
        CHECK(keys.at(one.key) == one.value);
    }
}
