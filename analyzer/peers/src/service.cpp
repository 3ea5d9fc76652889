#include "stemma/core/text.hpp"

#include <array>

#include "model.hpp"

namespace stemma::analyzer {

namespace {

/// What people call a service, and where its settings are when the path does not have that name.
struct Row {
    std::string_view service;
    std::string_view part; ///< of the path, or of "path:setting"
};

constexpr std::array rows = {
    Row{"ssh", "/etc/ssh/"},
    Row{"ssh", "/home/"},
    Row{"ssh", "/root/.ssh"},
    Row{"ssh", "/etc/pam.d/sshd"},
    Row{"nss", "/etc/nsswitch.conf"},
    Row{"nss", "/etc/hosts"},
    Row{"dns", "/etc/resolv.conf"},
    Row{"dns", "/etc/bind/"},
    Row{"dns", "/etc/nsswitch.conf"},
    Row{"resolver", "/etc/resolv.conf"},
    Row{"resolver", "/etc/nsswitch.conf"},
    Row{"resolver", "/etc/hosts"},
    Row{"resolver", "/etc/systemd/resolved.conf"},
    Row{"hosts", "/etc/hosts"},
    Row{"kernel", "sysctl"},
    Row{"kernel", "/etc/modprobe.d"},
    Row{"kernel", "/etc/modules"},
    Row{"kernel", "/etc/default/grub"},
    Row{"kernel", "/etc/security/limits"},
    Row{"time", "/etc/chrony"},
    Row{"time", "/etc/ntp"},
    Row{"time", "/etc/localtime"},
    Row{"time", "/etc/timezone"},
    Row{"time", "timesyncd"},
    Row{"ntp", "/etc/chrony"},
    Row{"mount", "/etc/fstab"},
    Row{"mount", "/etc/crypttab"},
    Row{"firewall", "nftables"},
    Row{"firewall", "iptables"},
    Row{"firewall", "ufw"},
    Row{"firewall", "firewalld"},
    Row{"syslog", "rsyslog"},
    Row{"syslog", "journald"},
    Row{"cron", "/etc/cron"},
    Row{"cron", "/var/spool/cron"},
    Row{"php-fpm", "/etc/php/"},
    Row{"php", "/etc/php/"},
    Row{"apache", "/etc/apache2/"},
    Row{"apache", "/etc/httpd/"},
    Row{"mariadb", "/etc/mysql/"},
    Row{"mariadb", "/var/lib/mysql"},
    Row{"mysql", "/etc/mysql/"},
    Row{"postgres", "/etc/postgresql"},
    Row{"postgresql", "/var/lib/postgresql"},
    Row{"bind", "/etc/bind/"},
    Row{"bind", "/etc/named"},
    Row{"named", "/etc/bind/"},
    Row{"nfs", "/etc/exports"},
    Row{"nfs", "nfs-kernel-server"},
    Row{"nfs", "/etc/fstab"},
    Row{"smb", "/etc/samba/"},
    Row{"apt", "/etc/apt/"},
    Row{"sudo", "/etc/sudoers"},
    Row{"login", "/etc/pam.d/"},
    Row{"login", "/etc/login.defs"},
    Row{"login", "/etc/security/"},
    Row{"network", "/etc/network/"},
    Row{"network", "/etc/netplan/"},
    Row{"network", "/etc/systemd/network/"},
    Row{"mail", "/etc/postfix/"},
    Row{"mail", "/etc/dovecot/"},
    Row{"mail", "/etc/exim4/"},
    Row{"redis", "/etc/redis"},
    Row{"audit", "/etc/audit/"},
    Row{"snmp", "/etc/snmp/"},
    Row{"web", "/etc/nginx/"},
    Row{"web", "/etc/apache2/"},
    Row{"web", "/etc/haproxy/"},
};

} // namespace

bool concerns_service(std::string_view service, std::string_view file, std::string_view setting)
{
    if (service.empty()) {
        return false;
    }
    std::string name = to_lower(service);
    for (const std::string_view suffix : {".service", ".socket", ".timer"}) {
        if (name.ends_with(suffix)) {
            name.resize(name.size() - suffix.size());
        }
    }
    if (name == "sshd") {
        name = "ssh";
    }
    const std::string path = to_lower(file);
    for (const Row& row : rows) {
        if (row.service == name && path.find(row.part) != std::string::npos) {
            return true;
        }
    }
    // "kernel" and the like name no program; others stand in their own paths, units and packages.
    if (name.size() >= 3 && path.find(name) != std::string::npos) {
        return true;
    }
    const bool other = file == "unit:" || file == "package:";
    return other && to_lower(setting).find(name) != std::string::npos;
}

} // namespace stemma::analyzer
