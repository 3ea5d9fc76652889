#include "stemma/image/customize.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "change_session.hpp"
#include "systemd_units.hpp"
#include "unpack.hpp"

namespace stemma::image {

namespace {

using volume::NodeKind;

constexpr std::uint64_t most_text = std::uint64_t{16} << 20U;

struct Account {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::string home;
};

/// Applies one customization and remembers what it touched.
class Customizer {
public:
    Customizer(ChangeSession& session, Json& installed)
        : editor_(session.editor()),
          tree_(session.editor().tree()),
          now_(session.now()),
          installed_(installed)
    {
    }

    void apply(const Customization& wanted)
    {
        if (wanted.hostname) {
            set_hostname(*wanted.hostname);
        }
        if (wanted.timezone) {
            set_timezone(*wanted.timezone);
        }
        for (const auto& file : wanted.files) {
            put(file.path, file.content, file.mode);
        }
        for (const std::string& unit : wanted.enable) {
            enable(unit);
        }
        for (const std::string& unit : wanted.disable) {
            disable(unit);
        }
        for (const std::string& unit : wanted.mask) {
            mask(unit);
        }
        for (const auto& user : wanted.users) {
            add_keys(user);
        }
        if (wanted.reset_machine_id) {
            reset_machine_id();
        }
        if (wanted.reset_ssh_host_keys) {
            reset_host_keys();
        }
    }

private:
    void note(const std::string& path, const std::optional<std::string>& content)
    {
        installed_.push_back({{"kind", "file"},
                              {"name", json_text(path.substr(path.rfind('/') + 1))},
                              {"sha256", content ? Json(sha256(*content).hex()) : Json(nullptr)},
                              {"purl", nullptr},
                              {"path", json_text(path)}});
    }

    void put(const std::string& path,
             const std::string& content,
             std::uint32_t mode,
             const Account& owner = {})
    {
        make_parents(editor_, path, now_);
        editor_.put_file(
            path, {.mode = mode, .uid = owner.uid, .gid = owner.gid, .modified = now_}, content);
        note(path, content);
    }

    void link(const std::string& path, const std::string& target)
    {
        make_parents(editor_, path, now_);
        editor_.put_symlink(path, {.modified = now_}, target);
        note(path, std::nullopt);
    }

    std::string text_of_file(const std::string& path)
    {
        const auto info = tree_.look_through(path);
        return info && info->kind == NodeKind::file ? tree_.read_all(path, most_text) : "";
    }

    void set_hostname(const std::string& name)
    {
        put("/etc/hostname", name + "\n", 0644);
        // The line that names this machine itself follows, others stay.
        std::string hosts;
        bool found = false;
        auto text = text_of_file("/etc/hosts");
        if (text.empty()) {
            text = "127.0.0.1\tlocalhost\n"; // where there are hosts, this one is looked for
        }
        for (const std::string_view line : split_lines(text)) {
            const auto words = split_words(line);
            const bool own = !words.empty() && words[0] == "127.0.1.1";
            hosts += own ? "127.0.1.1\t" + name + "\n" : std::string(line) + "\n";
            found = found || own;
        }
        if (!found) {
            hosts += "127.0.1.1\t" + name + "\n";
        }
        put("/etc/hosts", hosts, 0644);
    }

    void set_timezone(const std::string& zone)
    {
        const std::string file = "/usr/share/zoneinfo/" + zone;
        const auto info = tree_.look_through(file);
        if (!info || info->kind != NodeKind::file) {
            throw Error(ErrorCode::not_found,
                        fmt::format("the image does not know the time zone {}", zone),
                        "is the package tzdata in it?");
        }
        link("/etc/localtime", file);
        put("/etc/timezone", zone + "\n", 0644);
    }

    void enable(const std::string& unit)
    {
        const auto links = install_links(tree_, unit);
        if (links.empty()) {
            throw Error(ErrorCode::usage,
                        fmt::format("{} cannot be enabled: its [Install] section names nothing",
                                    printable(unit)));
        }
        for (const UnitLink& each : links) {
            link(each.path, each.target);
        }
    }

    void disable(const std::string& unit)
    {
        (void)unit_file(tree_, unit); // a slip of the name is told
        const std::string root = "/etc/systemd/system";
        for (const auto& entry : tree_.list(root)) {
            const bool wants = entry.name.ends_with(".wants") || entry.name.ends_with(".requires");
            const auto path = fmt::format("{}/{}/{}", root, entry.name, unit);
            if (wants && entry.kind == NodeKind::directory && tree_.look(path)) {
                editor_.remove(path);
                note(path, std::nullopt);
            }
        }
    }

    void mask(const std::string& unit)
    {
        const auto path = "/etc/systemd/system/" + unit;
        const auto there = tree_.look(path);
        if (there && there->kind != NodeKind::symlink) {
            throw Error(ErrorCode::conflict,
                        fmt::format("{} is a unit of the administrator; it cannot be masked",
                                    printable(path)));
        }
        link(path, "/dev/null");
    }

    Account account(const std::string& name)
    {
        const auto text = text_of_file("/etc/passwd");
        for (const std::string_view line : split_lines(text)) {
            const auto fields = split(line, ':');
            if (fields.size() < 6 || fields[0] != name) {
                continue;
            }
            const auto uid = parse_unsigned(fields[2]);
            const auto gid = parse_unsigned(fields[3]);
            if (uid && gid && *uid <= UINT32_MAX && *gid <= UINT32_MAX &&
                fields[5].starts_with('/')) {
                return {.uid = static_cast<std::uint32_t>(*uid),
                        .gid = static_cast<std::uint32_t>(*gid),
                        .home = std::string(fields[5])};
            }
        }
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no user {} in the image", printable(name)));
    }

    void add_keys(const Customization::User& user)
    {
        const Account owner = account(user.name);
        const auto folder = owner.home + "/.ssh";
        const auto path = folder + "/authorized_keys";
        make_parents(editor_, folder, now_);
        editor_.put_folder(folder,
                           {.mode = 0700, .uid = owner.uid, .gid = owner.gid, .modified = now_});
        std::string text = text_of_file(path);
        if (!text.empty() && !text.ends_with('\n')) {
            text += '\n';
        }
        for (const std::string& key : user.ssh_keys) {
            const auto lines = split_lines(text);
            if (std::find(lines.begin(), lines.end(), key) == lines.end()) {
                text += key + "\n";
            }
        }
        put(path, text, 0600, owner);
    }

    /// Empty, not missing: systemd then makes an id at boot, also where /etc is read-only
    /// (machine-id(5)).
    void reset_machine_id()
    {
        put("/etc/machine-id", "", 0444);
        const std::string copy = "/var/lib/dbus/machine-id";
        const auto there = tree_.look(copy);
        if (there && there->kind == NodeKind::file) {
            editor_.remove(copy);
            note(copy, std::nullopt);
        }
    }

    void reset_host_keys()
    {
        if (!tree_.look_through("/etc/ssh")) {
            return;
        }
        for (const auto& entry : tree_.list("/etc/ssh")) {
            if (entry.name.starts_with("ssh_host_") &&
                entry.name.find("_key") != std::string::npos) {
                editor_.remove("/etc/ssh/" + entry.name);
                note("/etc/ssh/" + entry.name, std::nullopt);
            }
        }
    }

    ext::Editor& editor_;
    volume::Filesystem& tree_;
    Time now_;
    Json& installed_;
};

} // namespace

Change customize(World& world,
                 const Selected& base,
                 const std::string& name,
                 const Customization& customization)
{
    expect_name(name);
    make_folder(world.folder);
    const auto from = recorded_base(world, base);
    ChangeSession session(world, from, std::nullopt);
    NewVersion version;
    version.name = name;
    version.parent = from.digest;
    version.installed.push_back({{"kind", "patch"},
                                 {"name", json_text(customization.source.filename().string())},
                                 {"sha256", customization.sha256},
                                 {"purl", nullptr},
                                 {"path", nullptr}});
    Customizer(session, version.installed).apply(customization);
    return session.finish(version);
}

} // namespace stemma::image
