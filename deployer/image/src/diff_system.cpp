#include "diff_system.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "dpkg_database.hpp"

namespace stemma::image {

namespace {

using volume::FolderEntry;
using volume::NodeKind;

/// Key → value of one kind on both sides, as differences.
std::vector<Difference> compare_maps(DifferenceKind kind,
                                     const std::map<std::string, std::string>& before,
                                     const std::map<std::string, std::string>& after,
                                     const std::string& field)
{
    std::vector<Difference> all;
    std::set<std::string> names;
    for (const auto* side : {&before, &after}) {
        for (const auto& [name, value] : *side) {
            names.insert(name);
        }
    }
    for (const std::string& name : names) {
        const auto left = before.find(name);
        const auto right = after.find(name);
        if (left != before.end() && right != after.end()) {
            if (left->second != right->second) {
                all.push_back({.kind = kind,
                               .change = DifferenceChange::changed,
                               .name = name,
                               .fields = {field},
                               .before = left->second,
                               .after = right->second});
            }
            continue;
        }
        const bool added = left == before.end();
        all.push_back({.kind = kind,
                       .change = added ? DifferenceChange::added : DifferenceChange::removed,
                       .name = name,
                       .fields = {},
                       .before = added ? "" : left->second,
                       .after = added ? right->second : ""});
    }
    return all;
}

std::map<std::string, std::string> packages_of(volume::Filesystem& tree)
{
    std::map<std::string, std::string> packages;
    if (!DpkgDatabase::present(tree)) {
        return packages;
    }
    const auto database = DpkgDatabase::load(tree);
    for (const Stanza& stanza : database.stanzas()) {
        if (!is_there(stanza)) {
            continue;
        }
        const auto state = state_of(stanza);
        packages[stanza.get("Package") + ":" + stanza.get("Architecture")] =
            stanza.get("Version") + (state == "installed" ? "" : " (" + state + ")");
    }
    return packages;
}

std::string short_digest(volume::Filesystem& tree, const std::string& path)
{
    return tree.digest(path).hex().substr(0, 12);
}

std::vector<FolderEntry> entries_of(volume::Filesystem& tree, const std::string& folder)
{
    const auto info = tree.look_through(folder);
    return info && info->kind == NodeKind::directory ? tree.list(folder)
                                                     : std::vector<FolderEntry>();
}

/// Kernels, their first file systems, and the versions that have modules.
std::map<std::string, std::string> kernels_of(volume::Filesystem& tree)
{
    std::map<std::string, std::string> kernels;
    for (const FolderEntry& entry : entries_of(tree, "/boot")) {
        const std::string path = "/boot/" + entry.name;
        const bool is_kernel =
            entry.name.starts_with("vmlinuz") || entry.name.starts_with("initrd");
        if (is_kernel && entry.kind == NodeKind::file) {
            kernels[path] = "sha256 " + short_digest(tree, path);
        } else if (is_kernel && entry.kind == NodeKind::symlink) {
            kernels[path] = "-> " + printable(tree.read_link(path));
        }
    }
    for (const FolderEntry& entry : entries_of(tree, "/lib/modules")) {
        kernels["/lib/modules/" + entry.name] = "there";
    }
    return kernels;
}

/// The title in a GRUB menu line: menuentry 'Debian GNU/Linux' --class …
std::string grub_title(std::string_view line)
{
    const auto open = line.find_first_of("'\"");
    const auto close = open == std::string_view::npos ? open : line.find(line[open], open + 1);
    return close == std::string_view::npos ? std::string(line)
                                           : std::string(line.substr(open + 1, close - open - 1));
}

/// GRUB's menu: each entry's kernel with its arguments, and its initrd.
void add_grub(volume::Filesystem& tree, std::map<std::string, std::string>& boot)
{
    constexpr std::uint64_t most = std::uint64_t{4} << 20U;
    const std::string path = "/boot/grub/grub.cfg";
    const auto info = tree.look_through(path);
    if (!info || info->kind != NodeKind::file) {
        return;
    }
    std::string title;
    const auto text = tree.read_all(path, most);
    for (const std::string_view raw : split_lines(text)) {
        const auto line = trim(raw);
        if (line.starts_with("menuentry ")) {
            title = "grub: " + grub_title(line);
        } else if (!title.empty() && (line.starts_with("linux") || line.starts_with("initrd"))) {
            const auto words = split_words(line);
            boot[title + ": " + std::string(words[0])] =
                std::string(trim(line.substr(words[0].size())));
        }
    }
}

/// One file of the Boot Loader Specification: a keyword and its value per line.
void add_loader_entry(const std::string& name,
                      const std::string& text,
                      std::map<std::string, std::string>& boot)
{
    for (const std::string_view line : split_lines(text)) {
        const auto words = split_words(line);
        if (words.size() > 1 && !words[0].starts_with('#')) {
            boot[name + ": " + std::string(words[0])] =
                std::string(trim(line.substr(words[0].size())));
        }
    }
}

/// What the boot loader offers: GRUB's menu, and the Boot Loader Specification's entries.
std::map<std::string, std::string> boot_entries_of(volume::Filesystem& tree)
{
    constexpr std::uint64_t most = std::uint64_t{1} << 20U;
    std::map<std::string, std::string> boot;
    add_grub(tree, boot);
    for (const std::string folder : {"/boot/loader/entries", "/efi/loader/entries"}) {
        for (const FolderEntry& entry : entries_of(tree, folder)) {
            add_loader_entry(entry.name, tree.read_all(folder + "/" + entry.name, most), boot);
        }
    }
    return boot;
}

/// The beginning of a disk that the firmware runs, in named pieces.
std::map<std::string, std::string> boot_code_of(volume::Volume& disk)
{
    constexpr std::size_t code = 440; // then the MBR's own data
    constexpr std::size_t sector = 512;
    constexpr std::size_t core_end = 63 * sector;
    std::map<std::string, std::string> pieces;
    const auto add = [&](const std::string& name, std::size_t from, std::size_t to) {
        if (disk.size() < to) {
            return;
        }
        std::vector<std::byte> bytes(to - from);
        disk.read(from, bytes);
        if (std::any_of(
                bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })) {
            Sha256 hash;
            hash.update(std::span<const std::byte>(bytes));
            pieces[name] = "sha256 " + hash.finish().hex().substr(0, 12);
        }
    };
    add("boot sector's code", 0, code);
    if (volume::read_partitions(disk).kind == volume::PartitionTable::Kind::mbr) {
        add("boot loader behind the MBR", sector, core_end);
    }
    return pieces;
}

} // namespace

std::vector<Difference> compare_systems(volume::Filesystem& before, volume::Filesystem& after)
{
    auto all = compare_maps(
        DifferenceKind::boot, boot_entries_of(before), boot_entries_of(after), "entry");
    for (auto& more :
         {compare_maps(DifferenceKind::kernel, kernels_of(before), kernels_of(after), "kernel"),
          compare_maps(
              DifferenceKind::package, packages_of(before), packages_of(after), "version")}) {
        all.insert(all.end(), more.begin(), more.end());
    }
    return all;
}

std::vector<Difference> compare_boot_code(volume::Volume& before, volume::Volume& after)
{
    return compare_maps(DifferenceKind::boot, boot_code_of(before), boot_code_of(after), "code");
}

std::vector<Difference> compare_tables(const volume::PartitionTable& before,
                                       const volume::PartitionTable& after)
{
    const auto lines = [](const volume::PartitionTable& table) {
        std::map<std::string, std::string> all;
        all["table"] = volume::to_string(table.kind);
        for (const auto& partition : table.partitions) {
            all[fmt::format("partition {}", partition.number)] =
                fmt::format("{} at {}, {}, type {}, label \"{}\"",
                            partition.content.empty() ? "unknown" : partition.content,
                            partition.offset,
                            human_size(partition.length),
                            partition.type.empty() ? "-" : partition.type,
                            partition.label);
        }
        return all;
    };
    return compare_maps(DifferenceKind::partition, lines(before), lines(after), "partition");
}

} // namespace stemma::image
