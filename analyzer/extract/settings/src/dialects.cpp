#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

#include "dialect.hpp"

/// The tables: which paths speak which dialect, and which directives of a dialect are lists, sets
/// or may stand more than once. This is the part that grows: a new program is a row or two here.
namespace stemma::analyzer::settings {

namespace {

constexpr std::array sshd_directives = {Directive{"allowgroups", Shape::words},
                                        Directive{"allowusers", Shape::words},
                                        Directive{"denygroups", Shape::words},
                                        Directive{"denyusers", Shape::words},
                                        Directive{"acceptenv", Shape::words},
                                        Directive{"hostkey", Shape::many},
                                        Directive{"listenaddress", Shape::many},
                                        Directive{"port", Shape::many},
                                        Directive{"subsystem", Shape::many},
                                        Directive{"include", Shape::many},
                                        Directive{"sendenv", Shape::words},
                                        Directive{"hostcertificate", Shape::many}};

constexpr std::array systemd_directives = {
    Directive{"after", Shape::words},       Directive{"before", Shape::words},
    Directive{"wants", Shape::words},       Directive{"requires", Shape::words},
    Directive{"conflicts", Shape::words},   Directive{"partof", Shape::words},
    Directive{"wantedby", Shape::words},    Directive{"requiredby", Shape::words},
    Directive{"alias", Shape::words},       Directive{"also", Shape::words},
    Directive{"environment", Shape::many},  Directive{"environmentfile", Shape::many},
    Directive{"execstartpre", Shape::many}, Directive{"execstartpost", Shape::many},
    Directive{"listenstream", Shape::many}, Directive{"oncalendar", Shape::many},
    Directive{"dns", Shape::words},         Directive{"ntp", Shape::words},
    Directive{"address", Shape::many},      Directive{"documentation", Shape::words},
    Directive{"condition*", Shape::many},   Directive{"systemcallfilter", Shape::words}};

constexpr std::array php_directives = {Directive{"extension", Shape::many},
                                       Directive{"zend_extension", Shape::many},
                                       Directive{"disable_functions", Shape::commas}};

constexpr std::array mysql_directives = {Directive{"replicate-*", Shape::many},
                                         Directive{"plugin-load*", Shape::many},
                                         Directive{"sql-mode", Shape::commas}};

constexpr std::array samba_directives = {Directive{"hosts allow", Shape::commas},
                                         Directive{"hosts deny", Shape::commas},
                                         Directive{"valid users", Shape::commas},
                                         Directive{"invalid users", Shape::commas},
                                         Directive{"write list", Shape::commas},
                                         Directive{"interfaces", Shape::commas},
                                         Directive{"admin users", Shape::commas}};

constexpr std::array fail2ban_directives = {Directive{"ignoreip", Shape::commas}};

constexpr std::array postfix_directives = {Directive{"mynetworks", Shape::commas},
                                           Directive{"mydestination", Shape::commas},
                                           Directive{"inet_interfaces", Shape::commas},
                                           Directive{"relay_domains", Shape::commas},
                                           Directive{"smtpd_milters", Shape::commas},
                                           Directive{"virtual_alias_domains", Shape::commas}};

constexpr std::array postgres_directives = {Directive{"listen_addresses", Shape::commas},
                                            Directive{"shared_preload_libraries", Shape::commas},
                                            Directive{"include*", Shape::many}};

constexpr std::array redis_directives = {Directive{"bind", Shape::words},
                                         Directive{"save", Shape::many},
                                         Directive{"include", Shape::many},
                                         Directive{"loadmodule", Shape::many},
                                         Directive{"rename-command", Shape::many},
                                         Directive{"user", Shape::many},
                                         Directive{"client-output-buffer-limit", Shape::many}};

constexpr std::array chrony_directives = {Directive{"server", Shape::many},
                                          Directive{"pool", Shape::many},
                                          Directive{"peer", Shape::many},
                                          Directive{"allow", Shape::many},
                                          Directive{"deny", Shape::many},
                                          Directive{"confdir", Shape::many},
                                          Directive{"sourcedir", Shape::many}};

constexpr std::array resolv_directives = {Directive{"nameserver", Shape::many},
                                          Directive{"options", Shape::words},
                                          Directive{"search", Shape::words}};

constexpr std::array nginx_directives = {Directive{"include", Shape::many},
                                         Directive{"listen", Shape::many},
                                         Directive{"server_name", Shape::words},
                                         Directive{"allow", Shape::many},
                                         Directive{"deny", Shape::many},
                                         Directive{"rewrite", Shape::many},
                                         Directive{"gzip_types", Shape::words},
                                         Directive{"load_module", Shape::many},
                                         Directive{"access_log", Shape::single}};

constexpr std::array bind_directives = {Directive{"allow-*", Shape::words},
                                        Directive{"forwarders", Shape::words},
                                        Directive{"masters", Shape::words},
                                        Directive{"primaries", Shape::words},
                                        Directive{"listen-on*", Shape::words},
                                        Directive{"acl", Shape::words},
                                        Directive{"also-notify", Shape::words},
                                        Directive{"include", Shape::many},
                                        Directive{"match-clients", Shape::words},
                                        Directive{"blackhole", Shape::words}};

constexpr std::array keepalived_directives = {Directive{"virtual_ipaddress", Shape::many},
                                              Directive{"track_script", Shape::many},
                                              Directive{"track_interface", Shape::many}};

constexpr std::array nft_directives = {Directive{"elements", Shape::words}};

constexpr std::array apache_directives = {Directive{"listen", Shape::many},
                                          Directive{"loadmodule", Shape::many},
                                          Directive{"include*", Shape::many},
                                          Directive{"serveralias", Shape::words},
                                          Directive{"require", Shape::many},
                                          Directive{"rewriterule", Shape::many},
                                          Directive{"rewritecond", Shape::many},
                                          Directive{"header", Shape::many},
                                          Directive{"setenvif*", Shape::many},
                                          Directive{"alias", Shape::many},
                                          Directive{"redirect*", Shape::many},
                                          Directive{"proxypass*", Shape::many},
                                          Directive{"options", Shape::words},
                                          Directive{"addtype", Shape::many},
                                          Directive{"allow", Shape::many},
                                          Directive{"deny", Shape::many},
                                          Directive{"sslprotocol", Shape::words},
                                          Directive{"directoryindex", Shape::words},
                                          Directive{"addoutputfilterbytype", Shape::many}};

/// `first`: the second word belongs to the name ("timeout server").
constexpr std::array haproxy_directives = {Directive{"timeout", Shape::first},
                                           Directive{"server", Shape::first},
                                           Directive{"option", Shape::first},
                                           Directive{"acl", Shape::first},
                                           Directive{"stats", Shape::first},
                                           Directive{"errorfile", Shape::first},
                                           Directive{"bind", Shape::many},
                                           Directive{"use_backend", Shape::many},
                                           Directive{"http-request", Shape::many},
                                           Directive{"http-response", Shape::many},
                                           Directive{"log", Shape::many}};

constexpr std::array snmp_directives = {Directive{"rocommunity*", Shape::many},
                                        Directive{"rwcommunity*", Shape::many},
                                        Directive{"view", Shape::many},
                                        Directive{"disk", Shape::many},
                                        Directive{"proc", Shape::many},
                                        Directive{"extend", Shape::many}};

constexpr std::array lighttpd_directives = {Directive{"server.modules", Shape::commas},
                                            Directive{"index-file.names", Shape::commas},
                                            Directive{"include*", Shape::many}};

constexpr std::array squid_directives = {Directive{"acl", Shape::many},
                                         Directive{"http_access", Shape::many},
                                         Directive{"http_port", Shape::many},
                                         Directive{"refresh_pattern", Shape::many},
                                         Directive{"cache_dir", Shape::many},
                                         Directive{"include", Shape::many}};

constexpr std::array<Directive, 0> no_directives = {};

// clang-format off
constexpr Dialect ini{.name = "ini", .read = read_ini, .comment = "#;"};
constexpr Dialect php{.name = "php", .read = read_ini, .comment = ";", .directives = php_directives};
constexpr Dialect mysql{.name = "mysql", .read = read_ini, .inline_comment = true, .fold_dash = true, .otherwise = Shape::single, .directives = mysql_directives};
constexpr Dialect samba{.name = "samba", .read = read_ini, .comment = "#;", .fold_case = true, .otherwise = Shape::single, .directives = samba_directives};
constexpr Dialect systemd{.name = "systemd", .read = read_ini, .comment = "#;", .directives = systemd_directives};
constexpr Dialect fail2ban{.name = "fail2ban", .read = read_ini, .comment = "#;", .otherwise = Shape::single, .directives = fail2ban_directives, .headers = "indented"};
constexpr Dialect toml{.name = "toml", .read = read_ini, .inline_comment = true};
constexpr Dialect shell{.name = "shell", .read = read_equals, .otherwise = Shape::single, .headers = "code"};
constexpr Dialect equals{.name = "equals", .read = read_equals, .comment = "#;"};
constexpr Dialect sysctl{.name = "sysctl", .read = read_equals, .comment = "#;", .otherwise = Shape::single};
constexpr Dialect postfix{.name = "postfix", .read = read_equals, .otherwise = Shape::single, .directives = postfix_directives};
constexpr Dialect postgres{.name = "postgresql", .read = read_equals, .inline_comment = true, .fold_case = true, .otherwise = Shape::single, .directives = postgres_directives, .headers = "words"};
constexpr Dialect sshd{.name = "sshd", .read = read_words, .fold_case = true, .otherwise = Shape::first, .directives = sshd_directives, .headers = "match host"};
constexpr Dialect redis{.name = "redis", .read = read_words, .fold_case = true, .otherwise = Shape::single, .directives = redis_directives};
constexpr Dialect chrony{.name = "chrony", .read = read_words, .comment = "#!;%", .directives = chrony_directives};
constexpr Dialect resolv{.name = "resolv", .read = read_words, .comment = "#;", .otherwise = Shape::single, .directives = resolv_directives};
constexpr Dialect snmpd{.name = "snmpd", .read = read_words, .directives = snmp_directives};
constexpr Dialect words{.name = "words", .read = read_words};
constexpr Dialect options{.name = "options", .read = read_options};
constexpr Dialect colon{.name = "colon", .read = read_colon};
constexpr Dialect nginx{.name = "nginx", .read = read_brace, .directives = nginx_directives};
constexpr Dialect bind{.name = "bind", .read = read_brace, .inline_comment = true, .directives = bind_directives};
constexpr Dialect nftables{.name = "nftables", .read = read_brace, .directives = nft_directives, .headers = "newline"};
constexpr Dialect keepalived{.name = "keepalived", .read = read_brace, .comment = "#!", .directives = keepalived_directives, .headers = "newline"};
constexpr Dialect logrotate{.name = "logrotate", .read = read_brace, .directives = no_directives, .headers = "newline"};
constexpr Dialect dovecot{.name = "dovecot", .read = read_brace, .headers = "newline"};
constexpr Dialect apt_conf{.name = "apt-conf", .read = read_brace, .inline_comment = true};
/// A statement per line, with or without ";", "=" or ":"; blocks in braces.
constexpr Dialect brace_lines{.name = "brace-lines", .read = read_brace, .headers = "newline"};
constexpr Dialect lighttpd{.name = "lighttpd", .read = read_brace, .directives = lighttpd_directives, .headers = "newline"};
constexpr Dialect squid{.name = "squid", .read = read_words, .directives = squid_directives};
constexpr Dialect openvpn{.name = "openvpn", .read = read_words, .comment = "#;"};
constexpr Dialect frr{.name = "frr", .read = read_words, .comment = "#!", .headers = "router interface vrf route-map"};
constexpr Dialect ipsec{.name = "ipsec", .read = read_words, .headers = "config conn ca"};
constexpr Dialect monit{.name = "monit", .read = read_words, .headers = "check"};
constexpr Dialect switches{.name = "switches", .read = read_ini};
constexpr Dialect exim{.name = "exim", .read = read_equals, .headers = "code"};
constexpr Dialect clauses{.name = "clauses", .read = read_colon, .inline_comment = true, .headers = "sections"};
constexpr Dialect brace{.name = "brace", .read = read_brace};
constexpr Dialect apache{.name = "apache", .read = read_apache, .fold_case = true, .directives = apache_directives};
constexpr Dialect haproxy{.name = "haproxy", .read = read_haproxy, .directives = haproxy_directives, .headers = "global defaults frontend backend listen userlist peers resolvers mailers program cache ring http-errors"};
constexpr Dialect interfaces{.name = "interfaces", .read = read_interfaces, .otherwise = Shape::plain};
constexpr Dialect fstab{.name = "fstab", .read = read_table, .columns = "spec mountpoint* type options+ dump pass"};
constexpr Dialect crypttab{.name = "crypttab", .read = read_table, .columns = "name* device key options+"};
constexpr Dialect passwd{.name = "passwd", .read = read_table, .columns = "name* password- uid gid comment home shell", .separator = ":"};
constexpr Dialect group{.name = "group", .read = read_table, .columns = "name* password- gid members+", .separator = ":"};
constexpr Dialect shadow{.name = "shadow", .read = read_table, .columns = "name* password- changed- min max warn inactive expire", .separator = ":"};
constexpr Dialect services{.name = "services", .read = read_table, .inline_comment = true, .columns = "name* port* aliases"};
constexpr Dialect limits{.name = "limits", .read = read_table, .columns = "domain* type* item* value"};
constexpr Dialect pg_hba{.name = "pg_hba", .read = read_lines};
constexpr Dialect hosts{.name = "hosts", .read = read_hosts, .inline_comment = true};
constexpr Dialect exports{.name = "exports", .read = read_exports};
constexpr Dialect pam{.name = "pam", .read = read_pam, .inline_comment = true};
constexpr Dialect cron{.name = "cron", .read = read_cron, .headers = "user"};
constexpr Dialect crontab{.name = "crontab", .read = read_cron};
constexpr Dialect sudoers{.name = "sudoers", .read = read_sudoers};
constexpr Dialect apt_sources{.name = "apt-sources", .read = read_apt_sources, .inline_comment = true};
constexpr Dialect deb822{.name = "deb822", .read = read_deb822};
constexpr Dialect master{.name = "postfix-master", .read = read_master};
constexpr Dialect rsyslog{.name = "rsyslog", .read = read_lines};
constexpr Dialect modules{.name = "modules", .read = read_lines, .comment = "#;"};
constexpr Dialect json{.name = "json", .read = read_json};
constexpr Dialect yaml{.name = "yaml", .read = read_yaml};
constexpr Dialect xml{.name = "xml", .read = read_xml};
constexpr Dialect lines{.name = "lines", .read = read_lines, .comment = "#;"};

struct Row {
    std::string_view pattern;
    const Dialect* dialect;
};

/// The first row whose pattern has the path decides; "**" crosses folders.
constexpr std::array rows = {
    Row{"**/ssh/sshd_config", &sshd}, Row{"**/ssh/ssh_config", &sshd}, Row{"**/ssh/ssh*_config.d/*", &sshd},
    Row{"/etc/fstab*", &fstab}, Row{"/etc/crypttab", &crypttab}, Row{"/etc/hosts", &hosts},
    Row{"/etc/passwd*", &passwd}, Row{"/etc/group*", &group}, Row{"/etc/shadow*", &shadow}, Row{"/etc/gshadow*", &group},
    Row{"/etc/services", &services}, Row{"/etc/protocols", &services}, Row{"/etc/nsswitch.conf", &colon}, Row{"/etc/aliases", &colon},
    Row{"/etc/resolv.conf", &resolv}, Row{"/etc/lvm/**", &dovecot}, Row{"/etc/profile", &shell}, Row{"**.sh", &lines}, Row{"**.py", &lines}, Row{"/etc/init.d/*", &lines}, Row{"/etc/network/interfaces", &interfaces}, Row{"/etc/network/interfaces.d/*", &interfaces},
    Row{"/etc/pam.d/*", &pam}, Row{"/etc/security/limits.conf", &limits}, Row{"/etc/security/limits.d/*", &limits},
    Row{"/etc/crontab", &cron}, Row{"/etc/cron.d/*", &cron}, Row{"/var/spool/cron/**", &crontab},
    Row{"/etc/sudoers", &sudoers}, Row{"/etc/sudoers.d/*", &sudoers},
    Row{"/etc/apt/sources.list", &apt_sources}, Row{"/etc/apt/sources.list.d/*.list", &apt_sources}, Row{"/etc/apt/sources.list.d/*.sources", &deb822},
    Row{"/etc/apt/apt.conf", &apt_conf}, Row{"/etc/apt/apt.conf.d/*", &apt_conf}, Row{"/etc/apt/preferences*", &deb822}, Row{"/etc/apt/preferences.d/*", &deb822},
    Row{"/etc/sysctl.conf", &sysctl}, Row{"**/sysctl.d/*.conf", &sysctl}, Row{"/etc/exports*", &exports},
    Row{"/etc/modules", &modules}, Row{"/etc/modules-load.d/*", &modules}, Row{"/etc/modprobe.d/*", &modules}, Row{"**/tmpfiles.d/*", &lines},
    Row{"/etc/default/*", &shell}, Row{"/etc/sysconfig/*", &shell}, Row{"/etc/environment", &shell}, Row{"/etc/*-release", &shell}, Row{"/usr/lib/os-release", &shell}, Row{"/etc/locale.conf", &shell}, Row{"/etc/vconsole.conf", &shell}, Row{"/etc/adduser.conf", &shell}, Row{"/etc/deluser.conf", &shell},
    Row{"/etc/login.defs", &words}, Row{"/etc/host.conf", &words}, Row{"/etc/ldap/ldap.conf", &words}, Row{"/etc/opendkim.conf", &words},
    Row{"**/systemd/**.service", &systemd}, Row{"**/systemd/**.socket", &systemd}, Row{"**/systemd/**.timer", &systemd}, Row{"**/systemd/**.mount", &systemd}, Row{"**/systemd/**.path", &systemd}, Row{"**/systemd/**.target", &systemd}, Row{"**/systemd/**.slice", &systemd}, Row{"**/systemd/**.network", &systemd}, Row{"**/systemd/**.netdev", &systemd}, Row{"**/systemd/**.link", &systemd}, Row{"**/systemd/**.conf", &systemd},
    Row{"/etc/nginx/**", &nginx}, Row{"/etc/apache2/**", &apache}, Row{"/etc/httpd/**", &apache}, Row{"/etc/haproxy/*.cfg", &haproxy},
    Row{"/etc/php/**.ini", &php}, Row{"/etc/php/**.conf", &php}, Row{"/etc/php*.ini", &php}, Row{"/etc/php.d/*.ini", &php}, Row{"/etc/php-fpm*/**", &php},
    Row{"/etc/mysql/**", &mysql}, Row{"/etc/my.cnf*", &mysql}, Row{"/etc/my.cnf.d/*", &mysql}, Row{"/etc/samba/*.conf", &samba},
    Row{"**/postgresql*.conf", &postgres}, Row{"**/postgresql/**/conf.d/*.conf", &postgres}, Row{"**/pg_hba.conf", &pg_hba}, Row{"**/pg_ident.conf", &pg_hba},
    Row{"/etc/redis/**.conf", &redis}, Row{"/etc/redis.conf", &redis}, Row{"/etc/memcached.conf", &options},
    Row{"/etc/postfix/main.cf", &postfix}, Row{"/etc/postfix/master.cf", &master}, Row{"/etc/dovecot/**", &dovecot},
    Row{"/etc/bind/named.conf*", &bind}, Row{"/etc/named.conf", &bind}, Row{"/etc/nftables.conf", &nftables}, Row{"/etc/nftables.d/*", &nftables}, Row{"/etc/keepalived/*.conf", &keepalived},
    Row{"/etc/logrotate.conf", &logrotate}, Row{"/etc/logrotate.d/*", &logrotate}, Row{"/etc/chrony/**", &chrony}, Row{"/etc/chrony.conf", &chrony}, Row{"/etc/ntp.conf", &chrony},
    Row{"/etc/snmp/*.conf", &snmpd}, Row{"/etc/fail2ban/**", &fail2ban}, Row{"/etc/rsyslog.conf", &rsyslog}, Row{"/etc/rsyslog.d/*", &rsyslog}, Row{"/etc/audit/**.rules", &lines},
    Row{"/etc/profile.d/*", &shell}, Row{"/etc/vsftpd.conf", &equals},
    Row{"/etc/freeradius/**/mods-config/**", &lines}, Row{"/etc/freeradius/**README*", &lines}, Row{"/etc/freeradius/**", &brace_lines}, Row{"/etc/corosync/*.conf", &brace_lines}, Row{"/etc/multipath.conf", &brace_lines}, Row{"/etc/multipath/**.conf", &brace_lines}, Row{"/etc/bacula/**.conf", &brace_lines}, Row{"/etc/wpa_supplicant/*.conf", &brace_lines}, Row{"/etc/rspamd/**.conf", &brace_lines}, Row{"/etc/rspamd/**.inc", &brace_lines}, Row{"/etc/icinga2/**.conf", &brace_lines},
    Row{"/etc/lighttpd/**.conf", &lighttpd}, Row{"/etc/dhcp/*.conf", &brace}, Row{"/etc/squid/**.conf", &squid}, Row{"/etc/openvpn/**.conf", &openvpn}, Row{"/etc/openvpn/**.ovpn", &openvpn}, Row{"/etc/frr/*.conf", &frr}, Row{"/etc/ipsec.conf", &ipsec}, Row{"/etc/ipsec.d/*.conf", &ipsec}, Row{"/etc/monit/monitrc*", &monit}, Row{"/etc/monit/monitrc.d/*", &monit}, Row{"/etc/monit/conf*/**", &monit}, Row{"/etc/ntpsec/*.conf", &chrony},
    Row{"/etc/munin/*.conf", &words}, Row{"/etc/tinyproxy/*.conf", &words}, Row{"/etc/mosquitto/**.conf", &words}, Row{"/etc/rsnapshot.conf", &words}, Row{"/etc/clamav/*.conf", &words}, Row{"/etc/spamassassin/*.cf", &words}, Row{"/etc/spamassassin/*.pre", &words}, Row{"/etc/tor/torrc*", &words}, Row{"/etc/cups/*.conf", &apache}, Row{"/etc/proftpd/**.conf", &apache},
    Row{"/etc/dnsmasq.conf", &switches}, Row{"/etc/dnsmasq.d/*", &switches}, Row{"/etc/turnserver.conf", &switches}, Row{"/etc/exim4/**", &exim}, Row{"/etc/unbound/**.conf", &clauses}, Row{"/etc/nsd/**.conf", &clauses}, Row{"**/pool_hba.conf", &pg_hba},
    Row{"/etc/kea/*.conf", &json}, Row{"/etc/cloud/cloud.cfg", &yaml}, Row{"/etc/cloud/cloud.cfg.d/*.cfg", &yaml}, Row{"/etc/mongod.conf", &yaml}, Row{"/etc/telegraf/**.conf", &toml}, Row{"/etc/dbus-1/**.conf", &xml},
    Row{"**.json", &json}, Row{"**.yaml", &yaml}, Row{"**.yml", &yaml}, Row{"**.toml", &toml}, Row{"**.xml", &xml}};
// clang-format on

constexpr std::array dialects = {
    &ini,       &php,     &mysql,    &samba,    &systemd,  &fail2ban,    &toml,        &shell,
    &equals,    &sysctl,  &postfix,  &postgres, &sshd,     &redis,       &chrony,      &resolv,
    &snmpd,     &words,   &options,  &colon,    &nginx,    &bind,        &nftables,    &keepalived,
    &logrotate, &dovecot, &apt_conf, &brace,    &apache,   &haproxy,     &interfaces,  &fstab,
    &crypttab,  &passwd,  &group,    &shadow,   &services, &limits,      &pg_hba,      &hosts,
    &exports,   &pam,     &cron,     &crontab,  &sudoers,  &apt_sources, &deb822,      &master,
    &rsyslog,   &modules, &json,     &yaml,     &xml,      &lines,       &brace_lines, &lighttpd,
    &squid,     &openvpn, &frr,      &ipsec,    &monit,    &switches,    &exim,        &clauses};

/// Copies that package tools and editors leave beside a file speak its dialect.
std::string_view without_copy_suffix(std::string_view path)
{
    for (const std::string_view suffix : {".bak",
                                          ".orig",
                                          ".old",
                                          ".dpkg-old",
                                          ".dpkg-new",
                                          ".dpkg-dist",
                                          ".ucf-dist",
                                          ".rpmnew",
                                          ".rpmsave",
                                          ".save",
                                          "~"}) {
        if (path.ends_with(suffix)) {
            return path.substr(0, path.size() - suffix.size());
        }
    }
    return path;
}

} // namespace

Shape Dialect::shape_of(std::string_view directive) const
{
    const std::string wanted = to_lower(directive);
    for (const Directive& row : directives) {
        const bool pattern = row.name.find('*') != std::string_view::npos;
        if (pattern ? glob_match(row.name, wanted) : row.name == wanted) {
            return row.shape;
        }
    }
    return otherwise;
}

const Dialect* dialect_by_path(std::string_view path)
{
    const std::string_view plain = without_copy_suffix(path);
    for (const Row& row : rows) {
        if (glob_match(row.pattern, plain, true)) {
            return row.dialect;
        }
    }
    return nullptr;
}

namespace {

/// How many lines of a text, without empty ones and comments, have which form.
struct LineForms {
    std::size_t total = 0;
    std::size_t sections = 0; ///< [name]
    std::size_t equal = 0;    ///< name = …
    std::size_t colons = 0;   ///< name: …
    std::size_t braces = 0;   ///< … { or } or ;
    std::size_t tags = 0;     ///< <…>
    std::size_t nested = 0;   ///< "name: …" that is indented below another one
};

bool is_assignment(std::string_view line)
{
    const auto at = line.find('=');
    return at != std::string_view::npos && at > 0 &&
           trim(line.substr(0, at)).find_first_of(" \t") == std::string_view::npos;
}

LineForms forms_of(std::string_view text)
{
    LineForms forms;
    bool opens = false;
    for (std::string_view line : split_lines(text)) {
        const bool indented = line.starts_with("  ");
        line = trim(line);
        if (line.empty() || line.front() == '#' || line.front() == ';') {
            continue;
        }
        forms.nested += opens && indented ? 1U : 0U;
        opens = line.back() == ':';
        const auto count = [](std::size_t& number, bool has) { number += has ? 1U : 0U; };
        const auto sign = line.find_first_of("=:{ \t");
        ++forms.total;
        count(forms.sections, line.front() == '[' && line.back() == ']');
        count(forms.tags, line.front() == '<' && line.back() == '>');
        count(forms.braces, line.back() == '{' || line.back() == '}' || line.back() == ';');
        count(forms.colons, sign != std::string_view::npos && line[sign] == ':');
        count(forms.equal, is_assignment(line));
    }
    return forms;
}

} // namespace

const Dialect& dialect_by_content(std::string_view text)
{
    const auto forms = forms_of(text.substr(0, 64U * 1024U));
    const std::string_view start = trim(text.substr(0, 256));
    if (start.starts_with("<?xml") || start.starts_with("<!")) {
        return xml;
    }
    if (forms.tags * 2 > forms.total) {
        return apache;
    }
    if (start.starts_with('{') && text.find('"') != std::string_view::npos) {
        return json;
    }
    if (forms.sections > 0 && (forms.equal + forms.sections) * 2 > forms.total) {
        return ini;
    }
    if (forms.braces * 2 > forms.total) {
        return brace;
    }
    if (forms.total > 0 && forms.equal * 10 >= forms.total * 7) {
        return equals;
    }
    if (forms.total > 1 && forms.colons * 10 >= forms.total * 8) {
        return start.starts_with("---") || forms.nested > 0 ? yaml : colon;
    }
    return lines;
}

std::span<const Dialect* const> all_dialects()
{
    return dialects;
}

std::string_view strip_comment(std::string_view line, const Dialect& dialect)
{
    line = trim(line);
    if (line.empty() || dialect.comment.find(line.front()) != std::string_view::npos) {
        return {};
    }
    if (!dialect.inline_comment) {
        return line;
    }
    char quote = 0;
    for (std::size_t i = 1; i < line.size(); ++i) {
        if (quote != 0) {
            quote = line[i] == quote ? '\0' : quote;
        } else if (line[i] == '"' || line[i] == '\'') {
            quote = line[i];
        } else if ((line[i - 1] == ' ' || line[i - 1] == '\t') &&
                   dialect.comment.find(line[i]) != std::string_view::npos) {
            return trim(line.substr(0, i));
        }
    }
    return line;
}

} // namespace stemma::analyzer::settings
