#include "snapshot.hpp"

#include "groups.hpp"

namespace stemma::cli {

namespace {

constexpr Option definition_option = {
    "definition", "FILE", "what to extract, instead of the shipped definition"};

Command take_row()
{
    return {
        .name = "snapshot take",
        .summary = "capture running VMs: disk at one point, features, metadata",
        .synopsis = "VM… [--quiesce] [--keep-disk] [--definition FILE]",
        .description =
            "Reads the system disk of each VM as it is at one moment, while the VM runs on, and "
            "keeps what the definition asks for: files, settings, packages, users, units, mounts "
            "and what the hypervisor says of the VM. Each snapshot knows the VM's one before.\n\n"
            "VM is vm:NAME (also a pattern), a name, release:NAME, host:NAME, image:NAME, @FILE or "
            "-. A VM that does not run is read as it lies there.",
        .options = {{"quiesce", "", "freeze the file systems through the guest agent meanwhile"},
                    {"keep-disk", "", "keep a copy of the whole disk too"},
                    {"method", "METHOD", "backup, or external: an overlay that is merged back"},
                    {"memory", "", "capture the memory of the same moment too"},
                    {"no-memory", "", "do not capture memory (the default)"},
                    {"uri", "URI", "look for the VMs on this libvirt, known to the lineage or not"},
                    definition_option},
        .examples = {{"stemma snapshot take vm:shop-3", "Capture one VM."},
                     {"stemma snapshot take release:shop", "Capture all VMs of a release."},
                     {"stemma snapshot take 'vm:shop-*' --quiesce --json",
                      "Capture with frozen file systems, for a script."}},
        .exits = "4 some VMs failed",
        .run = run_snapshot_take};
}

Command list_row()
{
    return {.name = "snapshot list",
            .summary = "list snapshots, the oldest first",
            .synopsis = "[VM…] [--all]",
            .description = "Lists the snapshots that are kept here, of all VMs or of those named.",
            .options = {{"all", "", "also those of which only the record is left"}},
            .examples = {{"stemma snapshot list vm:shop-3", "The history of one VM."}},
            .exits = {},
            .run = run_snapshot_list};
}

Command show_row()
{
    return {.name = "snapshot show",
            .summary = "show one snapshot and how complete it is",
            .synopsis = "SNAPSHOT|VM",
            .description =
                "Shows what a snapshot is of, and how each extractor fared. Of a VM, its "
                "newest one. An id may be shortened to its first eight digits.",
            .options = {},
            .examples = {{"stemma snapshot show vm:shop-3", "The newest snapshot of a VM."}},
            .exits = {},
            .run = run_snapshot_show};
}

Command prune_row()
{
    return {.name = "snapshot prune",
            .summary = "remove the data of old snapshots",
            .synopsis = "[VM…] --keep N [--dry-run]",
            .description =
                "Removes what is kept of all but the newest N snapshots of each VM. Their records "
                "stay in the ledger (`snapshot list --all`). Also removes what a killed snapshot "
                "left.",
            .options = {{"keep", "N", "how many stay, of each VM"},
                        {"dry-run", "", "only say what would be removed"}},
            .examples = {{"stemma snapshot prune --keep 10", "Keep ten of each VM."}},
            .exits = {},
            .run = run_snapshot_prune};
}

Command export_row()
{
    return {.name = "snapshot export",
            .summary = "write the disk of a snapshot to a file",
            .synopsis = "SNAPSHOT|VM --disk FILE [--as qcow2|raw]",
            .description = "Writes the whole disk as it was at the moment of the snapshot. Only "
                           "snapshots that were taken with --keep-disk hold it.",
            .options = {{"disk", "FILE", "where to write the disk"},
                        {"memory", "FILE", "where to write the memory"},
                        {"as", "FORMAT", "qcow2 or raw; else by the file's name"}},
            .examples = {{"stemma snapshot export vm:shop-3 --disk /tmp/shop-3.qcow2",
                          "The newest kept disk of a VM."}},
            .exits = {},
            .run = run_snapshot_export};
}

Command features_row()
{
    return {
        .name = "features",
        .summary = "show what was extracted of a VM",
        .synopsis = "VM|SNAPSHOT|file:IMAGE [--kind KIND] [--name GLOB] [--file PATH] [--status] | "
                    "--matrix VM…",
        .description =
            "Shows the features of a snapshot, of a VM's newest snapshot, or of a tree on this "
            "machine (an unpacked folder, a tar, a disk image), which is then read now.\n\n"
            "With --matrix: the features of many VMs in one table, a row per VM, in canonical "
            "forms and in a fixed order, for other tools; see docs/analyzer.md.",
        .options = {{"kind",
                     "KIND",
                     "only setting, package, file, unit, user, group, cron, mount, "
                     "network, boot, system or vm"},
                    {"name", "GLOB", "only features whose name matches"},
                    {"file", "PATH", "only what this file says"},
                    {"status", "", "how each extractor fared, instead of the features"},
                    {"limit", "N", "at most so many"},
                    {"dir", "TREE", "a folder, .tar or image on this machine"},
                    {"matrix", "", "one table of many VMs: CSV, or JSON with --json"},
                    {"varying", "", "matrix: only features in which the VMs differ"},
                    {"all", "", "matrix: also logs, caches, identities and the like"},
                    {"npy", "FOLDER", "matrix: codes.npy and schema.json into this folder"},
                    {"trees", "FOLDER", "matrix: instead of VMs, all folders and .tar in there"},
                    definition_option},
        .examples = {{"stemma features vm:shop-3 --kind package", "The packages of a VM."},
                     {"stemma features vm:shop-3 --file /etc/ssh/sshd_config",
                      "What one file says, line by line."},
                     {"stemma features --dir ./rootfs.tar --status", "How well a tar is read."},
                     {"stemma features --matrix release:shop --varying",
                      "What the VMs of a release differ in, as CSV."}},
        .exits = "4 some extractor could not see everything",
        .run = run_features};
}

} // namespace

std::vector<Command> snapshot_commands()
{
    return {take_row(), list_row(), show_row(), prune_row(), export_row(), features_row()};
}

} // namespace stemma::cli
