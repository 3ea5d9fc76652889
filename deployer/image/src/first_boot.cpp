#include "first_boot.hpp"

#include "stemma/core/text.hpp"

#include <array>
#include <string>

#include "unpack.hpp"

namespace stemma::image {

namespace {

constexpr std::uint64_t most_text = std::uint64_t{1} << 20U;

const std::string script_path = "/usr/lib/stemma/first-boot";
const std::string unit_path = "/etc/systemd/system/stemma-first-boot.service";
const std::string unit_link =
    "/etc/systemd/system/multi-user.target.wants/stemma-first-boot.service";
const std::string start_script = "/etc/init.d/stemma-first-boot";
const std::string inittab = "/etc/inittab";
const std::string inittab_line = "::once:/usr/lib/stemma/first-boot # stemma-first-boot";

std::string start_link(char level)
{
    return std::string("/etc/rc") + level + ".d/S99stemma-first-boot";
}

constexpr std::array<char, 4> levels = {'2', '3', '4', '5'};

constexpr std::string_view script = R"END(#!/bin/sh
# Packages were put into this system while it was not running. This runs what they still want to run
# (dpkg --configure -a), once, and then removes itself. It is run again at the next boot when dpkg
# fails: see the journal, or the console.
export DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
dpkg --configure -a </dev/null || exit 1
rm -f /etc/systemd/system/stemma-first-boot.service \
    /etc/systemd/system/multi-user.target.wants/stemma-first-boot.service \
    /etc/init.d/stemma-first-boot /etc/rc[2-5].d/S99stemma-first-boot
[ ! -e /etc/inittab ] || sed -i '/stemma-first-boot$/d' /etc/inittab
rm -f /usr/lib/stemma/first-boot
rmdir /usr/lib/stemma 2>/dev/null || true
)END";

constexpr std::string_view unit = R"END([Unit]
Description=Configures packages that were installed while this system was not running
After=local-fs.target

[Service]
Type=oneshot
ExecStart=/usr/lib/stemma/first-boot
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
)END";

constexpr std::string_view start_text = R"END(#!/bin/sh
### BEGIN INIT INFO
# Provides:          stemma-first-boot
# Required-Start:    $local_fs
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:
# Short-Description: Configures packages that were installed while this system was not running
### END INIT INFO
case "$1" in
    start) exec /usr/lib/stemma/first-boot ;;
esac
)END";

bool is_folder(volume::Filesystem& tree, const std::string& path)
{
    const auto info = tree.look_through(path);
    return info && info->kind == volume::NodeKind::directory;
}

void put(ext::Editor& editor,
         const std::string& path,
         std::uint32_t mode,
         std::string_view text,
         Time now)
{
    make_parents(editor, path, now);
    editor.put_file(path, {.mode = mode, .modified = now}, text);
}

void put_link(ext::Editor& editor, const std::string& path, const std::string& target, Time now)
{
    make_parents(editor, path, now);
    editor.put_symlink(path, {.modified = now}, target);
}

void remove_if_there(ext::Editor& editor, const std::string& path)
{
    if (editor.tree().look(path)) {
        editor.remove(path);
    }
}

/// The file with every line but ours; nullopt when it has none of ours.
std::optional<std::string> inittab_without_line(volume::Filesystem& tree)
{
    if (!tree.look_through(inittab)) {
        return std::nullopt;
    }
    const auto text = tree.read_all(inittab, most_text);
    std::string kept;
    for (const std::string_view line : split_lines(text)) {
        if (line != inittab_line) {
            kept += std::string(line) + "\n";
        }
    }
    return kept.size() < text.size() ? std::optional(kept) : std::nullopt;
}

void rewrite(ext::Editor& editor, const std::string& path, const std::string& text, Time now)
{
    const auto info = editor.tree().look_through(path);
    editor.put_file(path,
                    {.mode = info ? info->mode : 0644,
                     .uid = info ? info->uid : 0,
                     .gid = info ? info->gid : 0,
                     .modified = now},
                    text);
}

} // namespace

void put_first_boot(ext::Editor& editor, Time now)
{
    auto& tree = editor.tree();
    put(editor, script_path, 0755, script, now);
    if (is_folder(tree, "/lib/systemd/system") || is_folder(tree, "/usr/lib/systemd/system")) {
        put(editor, unit_path, 0644, unit, now);
        put_link(editor, unit_link, unit_path, now);
        return;
    }
    if (is_folder(tree, "/etc/init.d") && is_folder(tree, "/etc/rc2.d")) {
        put(editor, start_script, 0755, start_text, now);
        for (const char level : levels) {
            put_link(editor, start_link(level), "../init.d/stemma-first-boot", now);
        }
        return;
    }
    if (tree.look_through(inittab) && !inittab_without_line(tree)) {
        auto text = tree.read_all(inittab, most_text);
        text += (text.empty() || text.ends_with('\n') ? "" : "\n") + inittab_line + "\n";
        rewrite(editor, inittab, text, now);
    }
}

void remove_first_boot(ext::Editor& editor, Time now)
{
    for (const std::string& path : {script_path, unit_path, unit_link, start_script}) {
        remove_if_there(editor, path);
    }
    for (const char level : levels) {
        remove_if_there(editor, start_link(level));
    }
    if (is_folder(editor.tree(), "/usr/lib/stemma")) {
        editor.remove_folder("/usr/lib/stemma");
    }
    if (const auto text = inittab_without_line(editor.tree())) {
        rewrite(editor, inittab, *text, now);
    }
}

} // namespace stemma::image
