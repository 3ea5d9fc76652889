#!/usr/bin/env python3
"""What reading and changing a real Debian image costs, beside libguestfs, in the same run.

usage: bench.py STEMMA GOLDEN.qcow2 [--rounds N] [--debs F,F,F,F] [--only WORD]

GOLDEN.qcow2 is what scripts/golden-image makes. Each operation runs with stemma and with libguestfs one
after the other; per operation: medians of wall time, processor time with all child processes, the
largest resident set of any process of it, and the ratio of wall times. Where both print digests, the
digests are compared first, so that only equal work is measured. Needs libguestfs-tools
(LIBGUESTFS_BACKEND=direct is set here) and a kernel that it can read.
"""
import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def measured(argv, environment, accept=(0,), output=None):
    """Wall seconds, processor seconds and the largest resident set in MiB of a command."""
    started = time.perf_counter()
    with open(output or os.devnull, "wb") as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(argv, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        code = os.waitstatus_to_exitcode(status)
        if code not in accept:
            err.seek(0)
            sys.exit(f"{' '.join(argv)} failed with {code}: {err.read().decode(errors='replace')[-800:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def unescaped(line):
    """sha256sum begins a line with a backslash when the name has one, and doubles it there."""
    return line[1:].replace("\\\\", "\\") if line.startswith("\\") else line


class Bench:
    def __init__(self, arguments, work):
        self.stemma, self.golden, self.rounds = arguments.stemma, arguments.golden, arguments.rounds
        self.only, self.work = arguments.only, work
        self.env = dict(os.environ, STEMMA_STORE=f"{work}/store/lineage.db", LIBGUESTFS_BACKEND="direct",
                        LIBGUESTFS_BACKEND_SETTINGS="force_tcg", TMPDIR=work)
        os.mkdir(f"{work}/store")
        self.count = 0

    def fresh(self):
        """A copy-on-write overlay of the golden image, as a user of libguestfs would make it."""
        self.count += 1
        path = f"{self.work}/guest{self.count}.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.golden, path], check=True)
        return path

    def name(self):
        self.count += 1
        return f"v{self.count}"

    def pair(self, title, ours, theirs, accept=(0,)):
        """ours, theirs: functions that give an argv; run alternately."""
        if self.only and self.only not in title:
            return
        left, right = [], []
        for _ in range(self.rounds):
            left.append(measured(ours(), self.env, accept))
            right.append(measured(theirs(), self.env, accept))
        medians = [[statistics.median(column) for column in zip(*rows)] for rows in (left, right)]
        print(f"| {title} | {medians[1][0]:.1f} s | {medians[0][0]:.2f} s | {medians[1][0] / medians[0][0]:.0f} | "
              f"{medians[0][1]:.2f} s | {max(row[2] for row in left):.0f} MiB |", flush=True)

    def same_digests(self):
        """Both must say the same of every file of /usr, or nothing here means anything."""
        mine, theirs = f"{self.work}/mine", f"{self.work}/theirs"
        measured([self.stemma, "image", "find", self.golden, "/usr", "--digests"], self.env, output=mine)
        measured(["guestfish", "--ro", "-a", self.golden, "-m", "/dev/sda", "checksums-out", "sha256", "/usr", theirs], self.env)
        with open(mine, encoding="utf-8") as file:
            left = sorted(line.rstrip("\n") for line in file)
        with open(theirs, encoding="utf-8", errors="replace") as file:
            right = sorted(unescaped(line.rstrip("\n")).replace("  ./", "  /usr/", 1) for line in file)
        if left != right:
            sys.exit(f"the digests of /usr differ: {sorted(set(left) ^ set(right))[:6]}")
        print(f"{len(left)} files of /usr have the same digests by both\n")


def make_files(folder):
    os.mkdir(folder)
    random.seed(1)
    for i in range(20):
        with open(f"{folder}/f{i:02}", "wb") as file:
            file.write(random.randbytes(512 * 1024))


def delta(bench, work):
    """A change of 10 MB in a raw image of 1 GB, in one piece and scattered."""
    base, changed = f"{work}/base.raw", f"{work}/changed.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", bench.golden, base], check=True)
    os.truncate(base, max(os.path.getsize(base), 1 << 30))
    for title, pieces in (("one piece", 1), ("in 160 pieces", 160)):
        shutil.copyfile(base, changed)
        size = (10 << 20) // pieces
        with open(changed, "r+b") as file:
            for i in range(pieces):
                file.seek((100 << 20) + i * (5 << 20))
                file.write(random.randbytes(size))
        for kind, left, right in (("two raw files", base, changed),):
            out = f"{work}/out.delta"
            wall, cpu, rss = measured([bench.stemma, "image", "delta", left, right, "-o", out], bench.env)
            print(f"delta, {title}, {kind}: {wall:.2f} s wall, {cpu:.2f} s CPU, {rss:.0f} MiB, "
                  f"{os.path.getsize(out) / (10 << 20):.3f} of the changed bytes", flush=True)
    make_names = [bench.name(), bench.name()]
    with open(f"{work}/ten", "wb") as file:
        file.write(random.randbytes(10 << 20))
    measured([bench.stemma, "image", "import", make_names[0], bench.golden], bench.env)
    measured([bench.stemma, "image", "install", f"image:{make_names[0]}", "--name", make_names[1], "--file",
              f"{work}/ten:/opt/ten"], bench.env)
    out = f"{work}/version.delta"
    wall, cpu, rss = measured([bench.stemma, "image", "delta", f"image:{make_names[0]}", f"image:{make_names[1]}", "-o", out],
                              bench.env)
    print(f"delta, a version with a new file of 10 MiB: {wall:.2f} s wall, {cpu:.2f} s CPU, {rss:.0f} MiB, "
          f"{os.path.getsize(out) / (10 << 20):.3f} of the changed bytes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stemma")
    parser.add_argument("golden")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--debs", default="", help="four packages that need nothing that is not in the image")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    arguments.stemma, arguments.golden = map(os.path.realpath, (arguments.stemma, arguments.golden))
    print(f"# load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as work:
        bench = Bench(arguments, work)
        if arguments.only in ("", "delta"):
            delta(bench, work)
        if arguments.only == "delta" or not shutil.which("guestfish"):
            print("no libguestfs here, or not asked for: nothing to compare with")
            return
        make_files(f"{work}/files")
        golden, stemma = arguments.golden, arguments.stemma
        measured([stemma, "image", "import", "golden", golden], bench.env)
        measured([stemma, "image", "install", "image:golden", "--name", "other", "--file", f"{work}/files/f00:/opt/f00"], bench.env)
        measured([stemma, "image", "export", "image:other", f"{work}/other.qcow2"], bench.env)
        bench.same_digests()
        print("| operation | libguestfs | stemma | ratio | stemma's CPU | peak of a process |\n|---|---|---|---|---|---|")
        fish = ["guestfish", "--ro", "-a", golden, "-m", "/dev/sda"]
        bench.pair("read all of /etc", lambda: [stemma, "image", "find", golden, "/etc", "--digests"],
                   lambda: fish + ["checksums-out", "sha256", "/etc", f"{work}/out"])
        bench.pair("copy in 20 files, 10 MB",
                   lambda: [stemma, "image", "install", "image:golden", "--name", bench.name()] +
                   [word for i in range(20) for word in ("--file", f"{work}/files/f{i:02}:/opt/")],
                   lambda: ["virt-customize", "-q", "-a", bench.fresh(), "--copy-in", f"{work}/files:/opt"])
        bench.pair("sha256 of /usr", lambda: [stemma, "image", "find", golden, "/usr", "--digests"],
                   lambda: fish + ["checksums-out", "sha256", "/usr", f"{work}/out"])
        bench.pair("full diff of two images", lambda: [stemma, "image", "diff", golden, f"{work}/other.qcow2"],
                   lambda: ["virt-diff", "-a", golden, "-A", f"{work}/other.qcow2"], accept=(0, 3))
        debs = [os.path.realpath(deb) for deb in arguments.debs.split(",") if deb]
        if debs:
            bench.pair(f"install {len(debs)} .deb",
                       lambda: [stemma, "image", "install", "image:golden", "--name", bench.name()] +
                       [word for deb in debs for word in ("--deb", deb)],
                       lambda: ["virt-customize", "-q", "-a", bench.fresh()] +
                       [word for deb in debs for word in ("--upload", f"{deb}:/tmp/{os.path.basename(deb)}")] +
                       ["--run-command", "dpkg -i " + " ".join(f"/tmp/{os.path.basename(deb)}" for deb in debs)])


if __name__ == "__main__":
    main()
