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
            .synopsis = "[VM…] --keep N|POLICY [--dry-run]",
            .description =
                "Removes what is kept of all but the newest N snapshots of each VM, or of all that "
                "a policy does not keep: hourly:24,daily:7,weekly:4,last:3 keeps of each VM the "
                "newest of each of the last 24 hours in which there is one, and so on with days, "
                "weeks (ISO 8601), months (monthly) and years (yearly), and the last three; in "
                "UTC. What any rule keeps stays.\n\nWhat only removed snapshots had in the pool "
                "is freed. Their records stay in the ledger (`snapshot list --all`). Also removes "
                "what a killed snapshot left.",
            .options = {{"keep", "N|POLICY", "what stays, of each VM"},
                        {"dry-run", "", "only say what would stay, and why, and what would go"}},
            .examples = {{"stemma snapshot prune --keep 10", "Keep ten of each VM."},
                         {"stemma snapshot prune vm:shop-3 --keep hourly:24,daily:7 --dry-run",
                          "What would a policy keep of one VM, and why?"}},
            .exits = "4 the pool is damaged, and a part of it was left as it is",
            .run = run_snapshot_prune};
}

Command verify_row()
{
    return {.name = "snapshot verify",
            .summary = "read all that is kept of snapshots, and name what is damaged",
            .synopsis = "[SNAPSHOT|VM…]",
            .description =
                "Reads features, disks and memories that are kept, and compares each block of 4 "
                "KiB with its digest. Without a name: of all snapshots.",
            .options = {},
            .examples = {{"stemma snapshot verify", "Is all that is kept whole?"},
                         {"stemma snapshot verify vm:shop-3 --json", "Of one VM, for a script."}},
            .exits = "5 something is damaged",
            .run = run_snapshot_verify};
}

Command export_row()
{
    return {.name = "snapshot export",
            .summary = "write the disk or the memory of a snapshot to a file",
            .synopsis = "SNAPSHOT|VM [--disk FILE [--as qcow2|raw]] [--memory FILE]",
            .description = "Writes the whole disk as it was at the moment of the snapshot, and the "
                           "memory as an ELF core. Only snapshots that were taken with --keep-disk "
                           "or --memory hold them. Each block is compared with its digest: damage "
                           "is named, and no file is written.",
            .options = {{"disk", "FILE", "where to write the disk"},
                        {"memory", "FILE", "where to write the memory"},
                        {"as", "FORMAT", "qcow2 or raw; else by the file's name"}},
            .examples = {{"stemma snapshot export vm:shop-3 --disk /tmp/shop-3.qcow2",
                          "The newest kept disk of a VM."}},
            .exits = {},
            .run = run_snapshot_export};
}

Command schedule_row()
{
    return {
        .name = "snapshot schedule",
        .summary = "take snapshots again and again, by `stemma watch`",
        .synopsis = "SET… --every TIME [--keep N|POLICY] [--keep-disk] … | list | remove ID | run",
        .description =
            "Makes a schedule: of each VM that SET names at that time, a snapshot every so often, "
            "taken by `stemma watch`, one after the other. What was missed while nothing watched "
            "is "
            "made up for once. A VM of which none can be taken does not keep the others waiting: "
            "the failure is recorded and shown by `list`, and it is its turn again after TIME. "
            "With --keep, this schedule's snapshots of each VM are pruned; see `snapshot "
            "prune`.\n\n"
            "`run` takes what is due and returns: for cron, where nothing watches. A VM that is "
            "called like one of these words is vm:list.",
        .options = {{"every", "TIME", "15m, 1h, 1d, 1w"},
                    {"keep", "N|POLICY", "what stays of them, of each VM; else all"},
                    {"keep-disk", "", "keep a copy of the whole disk too"},
                    {"memory", "", "capture the memory of the same moment too"},
                    {"no-memory", "", "do not capture memory (the default)"},
                    {"quiesce", "", "freeze the file systems through the guest agent meanwhile"},
                    {"method", "METHOD", "backup, or external: an overlay that is merged back"}},
        .examples = {{"stemma snapshot schedule release:shop --every 1h --keep hourly:24,daily:7",
                      "Hourly, a day of them and a week of days."},
                     {"stemma snapshot schedule list", "What is scheduled, and how it went."},
                     {"stemma snapshot schedule remove 01a1fc46",
                      "No more; what was taken stays."}},
        .exits = "4 run: some VMs failed",
        .run = run_snapshot_schedule};
}

Command restore_row()
{
    return {
        .name = "snapshot restore",
        .summary = "give a VM its disk of a snapshot again, or make a new VM of it",
        .synopsis = "SNAPSHOT|VM [--as NEWVM] [--host HOST] [--yes] [--dry-run]",
        .description =
            "Writes the kept disk beside the VM's, then puts it in its place; the VM must be "
            "stopped, or --yes stops it for that moment, and it stays stopped. Where the VM's disk "
            "lies on an image, the new one does too, and takes what differs alone.\n\nWith --as a "
            "new VM is defined beside it: the definition of that time, with a name, UUID, hardware "
            "addresses and disk of its own. Other disks that are written to and devices of the "
            "host are left out, and named.\n\nKilled anywhere, the VM has its disk as it was or "
            "as it is in the snapshot; the same command again finishes. The lineage records it "
            "(`stemma log vm:NAME`).",
        .options = {{"as", "NEWVM", "make a new VM of this name"},
                    {"host", "HOST", "on this host; else where the VM is"},
                    {"uri", "URI", "on this libvirt, known to the lineage or not"},
                    {"yes", "", "stop the VM if it runs"},
                    {"dry-run", "", "only say what would be done"}},
        .examples = {{"stemma snapshot restore vm:shop-3 --dry-run",
                      "What would it do with the newest snapshot?"},
                     {"stemma snapshot restore 01a1fc46 --yes", "Stop the VM, and put it back."},
                     {"stemma snapshot restore 01a1fc46 --as shop-3-before",
                      "A second VM, to look at how it was."}},
        .exits = {},
        .run = run_snapshot_restore};
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
    return {take_row(),
            list_row(),
            show_row(),
            prune_row(),
            export_row(),
            verify_row(),
            restore_row(),
            schedule_row(),
            features_row()};
}

} // namespace stemma::cli
