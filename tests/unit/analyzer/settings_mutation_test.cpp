#include "stemma/analyzer/settings.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

using stemma::analyzer::parse_settings;

struct RealFile {
    const char* path;
    std::string text;
};

/// Configuration as Debian and its services have it, one of each grammar.
const std::vector<RealFile>& real_files()
{
    static const std::vector<RealFile> files = {
        {"/etc/ssh/sshd_config",
         "Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication no\nUsePAM yes\n"
         "X11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem sftp "
         "/usr/lib/openssh/sftp-server\nMatch User anoncvs\n\tX11Forwarding no\n\tForceCommand cvs "
         "server\n"},
        {"/etc/nginx/nginx.conf",
         "user www-data;\nworker_processes auto;\nevents {\n\tworker_connections 768;\n}\nhttp "
         "{\n\tsendfile on;\n\tinclude /etc/nginx/mime.types;\n\tgzip on;\n\tserver {\n\t\tlisten "
         "80;\n\t\tserver_name a.example;\n\t\tlocation / {\n\t\t\ttry_files $uri "
         "=404;\n\t\t}\n\t}\n}\n"},
        {"/etc/apache2/sites-available/a.conf",
         "<VirtualHost *:80>\n\tServerName a.example\n\tDocumentRoot /var/www/html\n\t<Directory "
         "/var/www/html>\n\t\tRequire all granted\n\t</Directory>\n\tErrorLog "
         "${APACHE_LOG_DIR}/error.log\n</VirtualHost>\n"},
        {"/etc/haproxy/haproxy.cfg",
         "global\n\tlog /dev/log local0\n\tmaxconn 4000\ndefaults\n\tmode http\n\ttimeout connect "
         "5000\n\ttimeout client 50000\nfrontend web\n\tbind *:80\n\tdefault_backend app\nbackend "
         "app\n\tserver a1 10.0.0.1:80 check\n"},
        {"/etc/fstab",
         "UUID=1111 / ext4 errors=remount-ro 0 1\nUUID=2222 /boot ext4 defaults 0 2\n/dev/sr0 "
         "/media/cdrom0 udf,iso9660 user,noauto 0 0\n"},
        {"/etc/passwd",
         "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
         "sync:x:4:65534:sync:/bin:/bin/sync\n"},
        {"/etc/pam.d/login",
         "auth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\nsession "
         "[success=ok ignore=ignore default=bad] pam_selinux.so close\n@include common-auth\n"},
        {"/etc/cron.d/e2scrub",
         "SHELL=/bin/sh\n30 3 * * 0 root test -e /run/systemd/system || /sbin/e2scrub\n10 3 * * * "
         "root /sbin/e2scrub_all -A -r\n"},
        {"/etc/sudoers",
         "Defaults\tenv_reset\nDefaults\tsecure_path=\"/usr/sbin:/usr/bin\"\nroot\tALL=(ALL:ALL) "
         "ALL\n%sudo\tALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"},
        {"/etc/mysql/mariadb.conf.d/50-server.cnf",
         "[server]\n[mysqld]\nuser = mysql\npid-file = /run/mysqld.pid\nbind-address = "
         "127.0.0.1\nskip-name-resolve\n!includedir /etc/mysql/conf.d/\n"},
        {"/etc/postgresql/15/main/postgresql.conf",
         "data_directory = '/var/lib/postgresql/15/main' # x\nlisten_addresses = "
         "'localhost'\nmax_connections = 100\nshared_buffers 128MB\n"},
        {"/etc/redis/redis.conf",
         "bind 127.0.0.1 -::1\nprotected-mode yes\nport 6379\nsave 3600 1\nsave 300 100\nmaxmemory "
         "10mb\n"},
        {"/etc/systemd/system/a.service",
         "[Unit]\nDescription=a\nAfter=network.target "
         "syslog.target\n[Service]\nExecStart=/usr/bin/a "
         "\\\n  --x\nRestart=on-failure\n[Install]\nWantedBy=multi-user.target\n"},
        {"/etc/logrotate.d/rsyslog",
         "/var/log/syslog\n/var/log/mail.log\n{\n\trotate "
         "4\n\tweekly\n\tpostrotate\n\t\t/usr/lib/rsyslog/rsyslog-rotate\n\tendscript\n}\n"},
        {"/etc/bind/named.conf.options",
         "acl corp { 10.0.0.0/8; };\noptions {\n\tdirectory \"/var/cache/bind\";\n\tforwarders { "
         "10.0.0.1; };\n\trecursion yes; // yes\n};\n"},
        {"/etc/nftables.conf",
         "flush ruleset\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority "
         "0; policy drop;\n\t\tct state established accept\n\t\ttcp dport 22 accept\n\t}\n}\n"},
        {"/etc/postfix/main.cf",
         "myhostname = a.example\nmydestination = $myhostname, localhost\nmynetworks = "
         "127.0.0.0/8\ninet_interfaces = all\n"},
        {"/etc/app/app.json",
         "{\n \"name\": \"x\",\n \"ports\": [80, 443],\n \"tls\": {\n  \"cert\": \"/a\",\n  "
         "\"min\": "
         "1.2\n }\n}\n"},
        {"/etc/app/app.yaml",
         "name: x\nports:\n  - 80\n  - 443\ntls:\n  cert: /a # c\n  min: 1.2\nusers:\n  - name: "
         "a\n   "
         " shell: /bin/sh\n  - name: b\n"},
        {"/etc/app/app.xml",
         "<?xml version=\"1.0\"?>\n<a x=\"1\">\n <b>text</b>\n <c y=\"2\"/>\n</a>\n"},
        {"/etc/apt/sources.list",
         "deb http://deb.debian.org/debian bookworm main\ndeb [signed-by=/a] http://x bookworm "
         "main "
         "contrib\n"},
        {"/etc/sysctl.d/60-corp.conf",
         "net.ipv4.ip_forward = 0\nvm.swappiness=10\nkernel.panic = 10\n"},
    };
    return files;
}

std::set<std::string> keys_of(const char* path, std::string_view text)
{
    std::set<std::string> keys;
    for (const auto& setting : parse_settings(path, text).settings) {
        keys.insert(setting.key);
    }
    return keys;
}

std::string mutated(std::string text, std::mt19937& random)
{
    static const std::string bytes = std::string("{}[]<>=:;#\"'\\ \n\t/%$,@!\0\xff", 24) + "az09";
    for (auto count = 1 + random() % 3; count > 0; --count) {
        const std::size_t at = random() % (text.size() + 1);
        const char byte = bytes[random() % bytes.size()];
        switch (random() % 4) {
        case 0:
            text.insert(at, 1, byte);
            break;
        case 1:
            text.erase(at, 1 + random() % 4);
            break;
        case 2:
            if (at < text.size()) {
                text[at] = byte;
            }
            break;
        default:
            text.insert(at, text.substr(random() % text.size(), random() % 40));
            break;
        }
    }
    return text;
}

} // namespace

TEST_CASE("10,000 mutations of real configuration files lose no file")
{
    std::mt19937 random(20261121);
    const auto& files = real_files();
    std::vector<std::set<std::string>> healthy;
    for (const RealFile& file : files) {
        healthy.push_back(keys_of(file.path, file.text));
        INFO(file.path);
        REQUIRE(healthy.back().size() >= 2);
        CHECK(parse_settings(file.path, file.text).errors == 0);
    }
    std::size_t kept = 0;
    std::size_t all = 0;
    for (int round = 0; round < 10'000; ++round) {
        const std::size_t i = random() % files.size();
        const std::string text = mutated(files[i].text, random);
        const auto parsed = parse_settings(files[i].path, text);
        CAPTURE(files[i].path, text);
        REQUIRE_FALSE(parsed.settings.empty());
        std::set<std::string> keys;
        for (const auto& setting : parsed.settings) {
            REQUIRE(keys.insert(setting.key).second); // keys are unique
            REQUIRE(setting.key.size() <= stemma::analyzer::max_setting_key);
            REQUIRE(setting.line >= 1);
        }
        for (const std::string& key : healthy[i]) {
            kept += keys.contains(key) ? 1U : 0U;
        }
        all += healthy[i].size();
    }
    // Up to three slips in files of about seven settings: most of each file is still understood.
    CHECK(kept * 100 > all * 70);
}

TEST_CASE("every prefix of a configuration file is read")
{
    for (const RealFile& file : real_files()) {
        for (std::size_t length = 0; length <= file.text.size(); ++length) {
            CHECK_NOTHROW(parse_settings(file.path, std::string_view(file.text).substr(0, length)));
        }
    }
}

TEST_CASE("a hostile file costs bounded memory")
{
    const std::string deep(100'000, '{');
    CHECK_NOTHROW(parse_settings("/etc/nginx/nginx.conf", deep));
    CHECK_NOTHROW(parse_settings("/etc/a.json", deep));
    std::string many;
    for (int i = 0; i < 50'000; ++i) {
        many += "k" + std::to_string(i) + " = 1\n";
    }
    const auto parsed = parse_settings("/etc/sysctl.conf", many);
    CHECK(parsed.cut);
    CHECK(parsed.settings.size() == stemma::analyzer::max_settings_per_file);
    const auto line =
        parse_settings("/etc/sysctl.conf", "a = " + std::string(1'000'000, 'x') + "\n");
    REQUIRE(line.settings.size() == 1);
    CHECK(line.settings[0].value.size() <= stemma::analyzer::max_setting_value);
}
