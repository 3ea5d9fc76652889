#include "stemma/analyzer/canonical.hpp"
#include "stemma/core/text.hpp"

#include <array>

namespace stemma::analyzer {

namespace {

struct Row {
    std::string_view pattern;
    const char* reason;
};

constexpr const char* run_time = "run-time state";
constexpr const char* identity = "identity of the VM";
constexpr const char* copy = "copy of another file";
constexpr const char* clock_state = "state of the clock";
constexpr const char* tool_state = "state of a package tool";

constexpr std::array rows = {
    Row{"/var/log/**", "log data"},
    Row{"/var/cache/**", "cache"},
    Row{"/var/tmp/**", "temporary data"},
    Row{"/tmp/**", "temporary data"},
    Row{"/run/**", run_time},
    Row{"/var/run/**", run_time},
    Row{"/proc/**", run_time},
    Row{"/sys/**", run_time},
    Row{"/dev/**", run_time},
    Row{"/var/lib/systemd/**", run_time},
    Row{"/var/lib/dhcp/**", "address leases"},
    Row{"/var/lib/NetworkManager/**", run_time},
    Row{"/var/lib/chrony/**", clock_state},
    Row{"/var/lib/ntp/**", clock_state},
    Row{"/var/lib/logrotate/**", run_time},
    Row{"/var/lib/apt/**", tool_state},
    Row{"/var/lib/dpkg/**", tool_state},
    Row{"/var/lib/ucf/**", tool_state},
    Row{"/var/lib/cloud/**", run_time},
    Row{"/var/lib/private/**", run_time},
    Row{"/var/backups/**", copy},
    Row{"/etc/machine-id", identity},
    Row{"/var/lib/dbus/machine-id", identity},
    Row{"/etc/hostname", identity},
    Row{"/etc/mailname", identity},
    Row{"/etc/ssh/ssh_host_*", identity},
    Row{"/etc/adjtime", clock_state},
    Row{"/etc/mtab", run_time},
    Row{"/etc/ld.so.cache", "cache"},
    Row{"/etc/**.timestamp", run_time},
    Row{"/etc/.pwd.lock", run_time},
    Row{"/etc/.updated", run_time},
    Row{"/etc/blkid.tab", "cache"},
    Row{"/etc/passwd-", copy},
    Row{"/etc/shadow-", copy},
    Row{"/etc/group-", copy},
    Row{"/etc/gshadow-", copy},
    Row{"/etc/subuid-", copy},
    Row{"/etc/subgid-", copy},
    Row{"**/.*_history", "history"},
    Row{"/swapfile", run_time},
    Row{"/lost+found", run_time},
};

constexpr std::array<std::string_view, 14> copies = {".bak",
                                                     ".orig",
                                                     ".old",
                                                     "~",
                                                     ".dpkg-old",
                                                     ".dpkg-new",
                                                     ".dpkg-dist",
                                                     ".dpkg-bak",
                                                     ".ucf-old",
                                                     ".ucf-dist",
                                                     ".rpmsave",
                                                     ".rpmnew",
                                                     ".swp",
                                                     ".save"};

} // namespace

const char* operational_reason(std::string_view path)
{
    for (const Row& row : rows) {
        if (glob_match(row.pattern, path, true)) {
            return row.reason;
        }
    }
    for (const std::string_view suffix : copies) {
        if (path.ends_with(suffix)) {
            return copy;
        }
    }
    return nullptr;
}

} // namespace stemma::analyzer
