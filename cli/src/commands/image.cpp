#include "image.hpp"

#include "groups.hpp"

namespace stemma::cli {

namespace {

constexpr std::string_view what_sel_is =
    "SEL is image:NAME, a digest (eight digits are enough), or the path of an image file.";

Command import_row()
{
    return {
        .name = "image import",
        .summary = "copies an image file into the store and records it",
        .synopsis = "NAME FILE [--as FORMAT]",
        .description =
            "Copies FILE (raw, qcow2 with its backing files, vmdk, vpc, vhdx or vdi) into the "
            "state "
            "folder as an image version of its own, named by the digest of its virtual disk, and "
            "records it as NAME. The same content under the same name is recorded once.\n\n"
            "The format is taken from the file's name. A file whose name does not say it, or that "
            "is "
            "named like a raw disk and starts with another format's header, needs --as.",
        .options = {{.name = "as", .value = "FORMAT", .help = "the format of FILE"}},
        .examples = {{.line = "stemma image import golden build/golden/debian-12.qcow2",
                      .meaning = "records a golden image"},
                     {.line = "stemma image import old-disk disk.img --as raw",
                      .meaning = "says that the file is a raw disk, whatever its first bytes are"}},
        .exits = "",
        .run = run_image_import};
}

Command list_row()
{
    return {.name = "image list",
            .summary = "lists the recorded images",
            .synopsis = "[--all]",
            .description = "The newest version of every name; with --all retired ones too.",
            .options = {{.name = "all", .value = "", .help = "retired images too"}},
            .examples = {{.line = "stemma image list", .meaning = "shows all images in use"}},
            .exits = "",
            .run = run_image_list};
}

Command show_row()
{
    return {.name = "image show",
            .summary = "shows what is known of one image",
            .synopsis = "SEL",
            .description = what_sel_is,
            .options = reading_options(),
            .examples = {{.line = "stemma image show image:shop-1",
                          .meaning = "shows parent, partitions, files and what was installed"},
                         {.line = "stemma image show disk.qcow2 --json",
                          .meaning = "the same of a file that nobody recorded"}},
            .exits = "",
            .run = run_image_show};
}

Command install_row()
{
    auto options = opening_options();
    options.insert(
        options.begin(),
        {{.name = "name", .value = "NEW", .help = "the name of the new version"},
         {.name = "deb",
          .value = "F",
          .help = "a Debian package, as PACKAGE.deb is",
          .repeats = true},
         {.name = "file",
          .value = "SRC:DST[:MODE]",
          .help = "a file to the place DST, owned by root",
          .repeats = true},
         {.name = "tar", .value = "F", .help = "an archive, unpacked at /", .repeats = true},
         {.name = "mode",
          .value = "MODE",
          .help = "extract (default: nothing of the packages runs), appliance or chroot"},
         {.name = "dry-run", .value = "", .help = "judge and show, change nothing"}});
    return {
        .name = "image install",
        .summary = "makes a new image version with packages or files in it, offline",
        .synopsis = "SEL [PACKAGE.deb]… --name NEW [--file SRC:DST[:MODE]]… [--tar F]… [--dry-run]",
        .description =
            "Writes into a fresh overlay on the image, without root, without a mount and without "
            "booting it; checks the file system; then publishes the result under its digest and "
            "records it as NEW. Killed at any moment, nothing is there but the old images, and the "
            "same command does it again.\n\n"
            "Packages are judged as dpkg would: architecture, dependencies, conflicts, files of "
            "other "
            "packages, diversions, changed configuration files. A package with a postinst script "
            "is "
            "left unpacked for `dpkg --configure -a` in the VM; one with a preinst is refused.\n\n"
            "The same inputs give the same digest. Times come from the inputs, or from "
            "SOURCE_DATE_EPOCH.\n\n"
            "SEL is image:NAME, a digest, or the path of an image file (which is imported first).",
        .options = options,
        .examples =
            {{.line = "stemma image install image:golden --name shop-1.0 --deb shop_1.0_amd64.deb",
              .meaning = "installs a package"},
             {.line = "stemma image install image:golden --name motd --file motd:/etc/motd:0644",
              .meaning = "puts a single file in"}},
        .exits = "",
        .run = run_image_install};
}

Command remove_row()
{
    auto options = opening_options();
    options.insert(options.begin(),
                   {{.name = "name", .value = "NEW", .help = "the name of the new version"},
                    {.name = "package",
                     .value = "NAME",
                     .help = "a Debian package, with its configuration, as PACKAGE is",
                     .repeats = true},
                    {.name = "tar",
                     .value = "NAME",
                     .help = "an archive, by the name or sha256 that `image show` says",
                     .repeats = true},
                    {.name = "file", .value = "PATH", .help = "a file", .repeats = true},
                    {.name = "mode",
                     .value = "MODE",
                     .help = "for packages: extract (default; nothing of them runs), appliance or "
                             "chroot"},
                    {.name = "dry-run", .value = "", .help = "judge and show, change nothing"}});
    return {
        .name = "image remove",
        .summary = "makes a new image version without some packages or files",
        .synopsis = "SEL [PACKAGE]… --name NEW [--tar NAME]… [--file PATH]… [--mode MODE]",
        .description =
            "The counterpart of `image install`: the same overlay, check and record. An archive, "
            "and a file that an install put, give way to exactly what was there before, as the "
            "version before has it; they are refused when they were changed since.\n\n"
            "A package that others need is refused, and so is one whose prerm or postrm would "
            "run something that is not known here, but for --mode appliance, which runs them in "
            "a small VM.",
        .options = options,
        .examples = {{.line = "stemma image remove image:shop-1.0 --name bare --package shop",
                      .meaning = "takes a package out again"}},
        .exits = "",
        .run = run_image_remove};
}

Command patch_row()
{
    auto options = opening_options();
    options.insert(options.begin(),
                   {{.name = "name", .value = "NEW", .help = "the name of the new version"},
                    {.name = "mode",
                     .value = "MODE",
                     .help = "for packages: extract (default), appliance or chroot"},
                    {.name = "dry-run", .value = "", .help = "judge and show, change nothing"}});
    return {
        .name = "image patch",
        .summary = "makes a new image version from file, package or block patches",
        .synopsis = "BASE PATCH… --name NEW [--mode MODE] [--dry-run]",
        .description =
            "A PATCH is a file, and its content says of what kind: a block delta (image delta), a "
            "Debian package, a tar archive, or a unified comparison of text files (diff -u, git "
            "diff); or it is SRC:DST[:MODE], a single file. Packages go in first, then archives, "
            "files, and changes of text, all in one version.\n\n"
            "A block delta goes alone (or several, version after version) and gives exactly the "
            "digest that it promises, or nothing. A change of text must find its old lines "
            "exactly.\n\nBASE is image:NAME, a digest, or the path of an image file.",
        .options = options,
        .examples = {{.line = "stemma image patch image:shop-1.0 1.0-1.1.delta --name shop-1.1",
                      .meaning = "applies a block delta"},
                     {.line =
                          "stemma image patch image:shop-1.0 fix.diff motd:/etc/motd --name fixed",
                      .meaning = "changes lines of a file and replaces another"}},
        .exits = "",
        .run = run_image_patch};
}

Command delta_row()
{
    auto options = opening_options();
    options.insert(options.begin(),
                   {{.name = "out",
                     .value = "FILE",
                     .help = "where to write; default: A-B.delta, by their digests",
                     .letter = 'o'}});
    return {
        .name = "image delta",
        .summary = "writes what makes one image of another, block by block",
        .synopsis = "A B [-o FILE]",
        .description =
            "Writes a file of about the size of what is different. `image patch A FILE` makes "
            "B of it again, with exactly its digest. Where B is a later version of A only the "
            "blocks that were written since are read.\n\n"
            "A and B are image:NAME, a digest, or the path of an image file.",
        .options = options,
        .examples = {{.line = "stemma image delta image:shop-1.0 image:shop-1.1 -o 1.0-1.1.delta",
                      .meaning = "what a host with 1.0 needs to have 1.1"}},
        .exits = "",
        .run = run_image_delta};
}

Command ls_row()
{
    auto options = reading_options();
    options.insert(
        options.begin(),
        {{.name = "recursive", .value = "", .help = "with all that is below", .letter = 'R'},
         {.name = "long",
          .value = "",
          .help = "with kind, mode, owner, size, time",
          .letter = 'l'}});
    return {
        .name = "image ls",
        .summary = "lists files in an image",
        .synopsis = "SEL [PATH] [-R] [-l]",
        .description = what_sel_is,
        .options = options,
        .examples = {{.line = "stemma image ls image:golden /etc -l", .meaning = "lists a folder"},
                     {.line = "stemma image ls disk.qcow2 / -R --format ndjson",
                      .meaning = "everything, one JSON object per line"}},
        .exits = "4 when part of the tree cannot be read",
        .run = run_image_ls};
}

Command cat_row()
{
    return {.name = "image cat",
            .summary = "prints files of an image",
            .synopsis = "SEL PATH…",
            .description = "Prints the bytes as they are. Symbolic links are followed within the "
                           "image.\n\nSEL is image:NAME, a digest, or the path of an image file.",
            .options = reading_options(),
            .examples = {{.line = "stemma image cat image:golden /etc/os-release",
                          .meaning = "prints a file, without mounting anything"}},
            .exits = "",
            .run = run_image_cat};
}

Command diff_row()
{
    auto options = opening_options();
    options.insert(
        options.begin(),
        {{.name = "settings",
          .value = "",
          .help = "single settings of changed configuration files"},
         {.name = "content", .value = "", .help = "changed lines of text files"},
         {.name = "path", .value = "PATH", .help = "compare only what is below"},
         {.name = "times", .value = "", .help = "count a changed modification time too"}});
    return {
        .name = "image diff",
        .summary = "says what differs between two images",
        .synopsis = "A [B] [--settings] [--content] [--path PATH]",
        .description =
            "Compares partition tables, boot code, the boot loader's entries, kernels, packages "
            "with "
            "versions, and all files by content, mode, owner, link target and extended attributes. "
            "With --settings, changed configuration files are compared setting by setting.\n\n"
            "A and B are image:NAME, a digest, the path of an image file, or a snapshot whose disk "
            "was kept (snapshot:ID, or vm:NAME for its newest). Without B, an image is compared "
            "with "
            "its parent.",
        .options = options,
        .examples = {{.line = "stemma image diff image:golden image:shop-1.0 --settings",
                      .meaning = "what a version brought"},
                     {.line = "stemma image diff image:shop-1.0",
                      .meaning = "the same, against the parent that the lineage knows"},
                     {.line = "stemma image diff image:shop-1.0 vm:shop-3",
                      .meaning = "what a running VM changed, by its newest kept snapshot"},
                     {.line = "stemma image diff a.qcow2 b.vmdk --json",
                      .meaning = "two files of different formats, for a program"}},
        .exits = "0 when they are equal, 3 when they differ, 4 when a part cannot be read",
        .run = run_image_diff};
}

Command find_row()
{
    auto options = reading_options();
    options.insert(options.begin(),
                   {{.name = "name", .value = "GLOB", .help = "names that match, e.g. '*.conf'"},
                    {.name = "sha256", .value = "HEX", .help = "files with exactly this content"},
                    {.name = "digests",
                     .value = "",
                     .help = "the sha256 of every file, as sha256sum prints it"},
                    {.name = "larger", .value = "BYTES", .help = "files larger than this"},
                    {.name = "setuid", .value = "", .help = "set-user-id or set-group-id"}});
    return {.name = "image find",
            .summary = "finds files in an image",
            .synopsis =
                "SEL [PATH] [--name GLOB] [--sha256 HEX] [--digests] [--larger BYTES] [--setuid]",
            .description = what_sel_is,
            .options = options,
            .examples = {{.line = "stemma image find image:golden /usr --setuid",
                          .meaning = "programs that run with their owner's rights"}},
            .exits = "4 when part of the tree cannot be read",
            .run = run_image_find};
}

Command inspect_row()
{
    auto options = opening_options();
    options.insert(options.begin(),
                   {{.name = "record",
                     .value = "NAME",
                     .help = "import the image as NAME, with what was found as inferred links"}});
    return {
        .name = "image inspect",
        .summary = "infers the lineage of an image that nobody recorded",
        .synopsis = "SEL [--record NAME]",
        .description =
            "Reads every file of the image and asks the lineage for its content and, for programs, "
            "for its build-id: which builds, sources and packages are in it. Says the system, its "
            "packages, the recorded image that is most alike, and the notes that builders wrote "
            "into "
            "programs.\n\n"
            "SEL is image:NAME, a digest, or the path of an image file.",
        .options = options,
        .examples = {{.line = "stemma image inspect found.qcow2",
                      .meaning = "where does this come from?"},
                     {.line = "stemma image inspect found.qcow2 --record found",
                      .meaning = "the same, recorded: where and what then know of it"}},
        .exits = "4 when part of the tree cannot be read",
        .run = run_image_inspect};
}

Command customize_row()
{
    auto options = opening_options();
    options.insert(options.begin(),
                   {{.name = "name", .value = "NEW", .help = "the name of the new version"}});
    return {
        .name = "image customize",
        .summary = "makes a new image version by a YAML file: host name, keys, units, files",
        .synopsis = "SEL FILE --name NEW",
        .description =
            "FILE (version: 1) may hold: hostname, timezone, users (name, ssh_keys), services "
            "(enable, disable, mask), values and files (path, mode, and one of content, source, "
            "template with ${name}), reset (machine-id, ssh-host-keys: what each clone must make "
            "for itself). Nothing of the image runs; docs/images.md has an example.",
        .options = options,
        .examples = {{.line = "stemma image customize image:golden shop.yaml --name shop-base",
                      .meaning = "applies a file"}},
        .exits = "",
        .run = run_image_customize};
}

Command gc_row()
{
    return {
        .name = "image gc",
        .summary = "removes image files that nothing needs",
        .synopsis = "[--dry-run]",
        .description =
            "Removes the files of retired images and of changes that were killed, unless a VM, a "
            "reader or a later version needs them. The record of an image stays.",
        .options = {{.name = "dry-run", .value = "", .help = "show, remove nothing"}},
        .examples = {{.line = "stemma image gc --dry-run", .meaning = "what would go"}},
        .exits = "",
        .run = run_image_gc};
}

Command export_row()
{
    return {.name = "image export",
            .summary = "writes an image to a file of its own",
            .synopsis = "SEL FILE [--as FORMAT]",
            .description = "The file is complete in itself: it needs no backing file. It appears "
                           "under its name when it is whole.",
            .options = {{.name = "as",
                         .value = "FORMAT",
                         .help = "raw, qcow2, vmdk, vpc, vhdx or vdi (default: by the file's name, "
                                 "else qcow2)"}},
            .examples = {{.line = "stemma image export image:shop-1.0 shop.raw --as raw",
                          .meaning = "writes a raw disk"}},
            .exits = "",
            .run = run_image_export};
}

Command retire_row()
{
    return {.name = "image retire",
            .summary = "marks an image as no longer to be used",
            .synopsis = "SEL [--reason TEXT]",
            .description = "Records that the image is out of use. Its file stays: VMs and later "
                           "versions may build on it.",
            .options = {{.name = "reason", .value = "TEXT", .help = "why"}},
            .examples = {{.line = "stemma image retire image:shop-0.9",
                          .meaning = "retires a version"}},
            .exits = "",
            .run = run_image_retire};
}

} // namespace

std::vector<Command> image_commands()
{
    return {import_row(),
            list_row(),
            show_row(),
            install_row(),
            remove_row(),
            patch_row(),
            delta_row(),
            ls_row(),
            cat_row(),
            diff_row(),
            find_row(),
            inspect_row(),
            customize_row(),
            export_row(),
            retire_row(),
            gc_row()};
}

} // namespace stemma::cli
