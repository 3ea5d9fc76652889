#!/usr/bin/env python3
"""Checks that includes go only in the allowed directions (docs/architecture.md).

usage: check.py FOLDER | --self-test
Prints one line per offence; exit 1 when there is any.
"""
import os
import re
import sys
import tempfile

# Who may include whom: folder -> prefixes of "stemma/<name>/" that it may see.
ALLOWED = {
    "core": {"core"},
    "core/config": {"core", "config"},
    "platform": {"core", "platform"},
    # The host's end of the wire whose other end is the guest's helper: one frame format for both.
    "platform/virt": {"core", "platform", "guest"},
    "lineage/model": {"core", "model"},
    "lineage/export": {"core", "platform", "model", "export"},
    "lineage": {"core", "config", "platform", "model", "lineage"},
    "hooks": {"core", "model", "hooks"},
    # Collation and packing run once per build, not once per compile: they may look at the world.
    "hooks/collate": {"core", "model", "hooks", "platform", "collate"},
    "guest": {"core", "guest"},
    "deployer": {"core", "config", "platform", "model", "lineage", "deployer", "image", "guest"},
    "analyzer": {"core", "config", "platform", "model", "lineage", "analyzer"},
    "cli": None,
    "server": {"core", "config", "platform", "model", "lineage", "analyzer", "server"},
}
# C headers of outside libraries appear only where they are wrapped.
OUTSIDE = re.compile(
    r"^(sqlite3|git2|libnbd|archive|archive_entry|sodium|zstd|seccomp|hivex|libpq-fe|httplib)\.h$|^(libvirt|ext2fs|blkid|et|git2|libxml|sqfs|ntfs-3g)/")


def platform_parts(root):
    folder = os.path.join(root, "platform")
    return {name for name in os.listdir(folder)} if os.path.isdir(folder) else set()


def folder_of(path):
    best = None
    for folder in ALLOWED:
        if path.startswith(folder + "/") and (best is None or len(folder) > len(best)):
            best = folder
    return best


def sources(root):
    for folder in sorted({name.split("/")[0] for name in ALLOWED}):
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".cpp", ".hpp", ".h", ".c")):
                    yield os.path.relpath(os.path.join(where, name), root)


def check(root):
    offences = []
    parts = platform_parts(root)
    for path in sources(root):
        home = folder_of(path)
        allowed = ALLOWED[home]
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
                if not found:
                    continue
                name = found.group(1)
                ours = re.match(r"stemma/([^/]+)/", name)
                if ours:
                    part = "platform" if ours.group(1) in parts else ours.group(1)
                    if allowed is not None and part not in allowed:
                        offences.append(f"{path}:{number}: {home} must not include {name}")
                elif OUTSIDE.match(name) and not re.match(r"platform/[^/]+/src/", path):
                    offences.append(f"{path}:{number}: {name} belongs into platform/*/src only")
    return offences


def self_test():
    with tempfile.TemporaryDirectory() as root:
        cases = {
            "deployer/src/a.cpp": '#include "stemma/analyzer/feature.hpp"\n',
            "hooks/src/b.cpp": '#include "stemma/config/yaml.hpp"\n',
            "lineage/src/c.cpp": "#include <sqlite3.h>\n",
            "core/src/d.cpp": '#include "stemma/core/text.hpp"\n',
        }
        for path, text in cases.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        found = [line.split(":")[0] for line in check(root)]
        wanted = ["deployer/src/a.cpp", "hooks/src/b.cpp", "lineage/src/c.cpp"]
        if sorted(found) != sorted(wanted):
            print(f"expected offences in {wanted}, found {found}")
            return 1
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    offences = check(sys.argv[1])
    print("\n".join(offences) if offences else "layering: every include goes an allowed way")
    return 1 if offences else 0


sys.exit(main())
