#!/usr/bin/env python3
"""What ten kept snapshots of one idle VM take, beside plain copies of the same disk.

usage: bench.py STEMMA STEMMA_GUEST [--snapshots N] [--pause SECONDS]

Boots the tests' tiny VM on a libvirt of its own (root, qemu, libvirtd), takes N snapshots with
--keep-disk, and prints the bytes that one and that N of them take: in the pool; as one compressed qcow2
copy each (qemu-img convert -c, zstd: what release 0.1 kept); as one plain qcow2 copy each. Every
snapshot is exported and compared with the copies' content first. Processor time of `take` beside.
"""
import argparse
import hashlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

SUPPORT = pathlib.Path(__file__).resolve().parents[2] / "tests/vm/support"

DOMAIN = """<domain type='qemu'><name>idle</name><memory unit='MiB'>96</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{0}/kernel</kernel><initrd>{0}/initrd</initrd>
<cmdline>console=ttyS0 quiet mitigations=off no_timer_check cryptomgr.notests panic=-1</cmdline></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{0}/disk.qcow2'/>
<target dev='vda' bus='virtio'/></disk><controller type='usb' model='none'/><memballoon model='none'/>
<channel type='unix'><source mode='bind' path='{0}/idle.sock'/>
<target type='virtio' name='org.stemma.guest.0'/></channel></devices></domain>"""


def run(*argv):
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True, text=True).stdout


def size_of(path):
    """Bytes on the disk, of a file or of all below a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Idle:
    """The VM, and what is kept of it in each way."""

    def __init__(self, arguments, work):
        self.arguments, self.work = arguments, work
        self.store = work / "store" / "lineage.db"
        self.store.parent.mkdir()
        run(SUPPORT / "tiny-image", work, arguments.guest)
        self.uri = run(SUPPORT / "libvirt-host", "up", work / "host", "bench").split("\n")[0]
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", work / "tiny.qcow2", "-F", "qcow2", work / "disk.qcow2")
        (work / "idle.xml").write_text(DOMAIN.format(work))
        run("virsh", "-c", self.uri, "define", work / "idle.xml")
        run("virsh", "-c", self.uri, "start", "idle")

    def end(self):
        run(SUPPORT / "libvirt-host", "down", self.work / "host")

    def stemma(self, *words):
        return json.loads(run(self.arguments.stemma, "--store", self.store, "--json", *words) or "{}")

    def take(self):
        """Keeps one in the pool; the same moment's disk as two kinds of copies. Sizes by kind."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        item = self.stemma("snapshot", "take", "--uri", self.uri, "idle", "--keep-disk")["items"][0]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        raw, packed, plain = (self.work / name for name in ("kept.raw", "packed.qcow2", "plain.qcow2"))
        run(self.arguments.stemma, "--store", self.store, "snapshot", "export", item["id"], "--disk", raw)
        run("qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", raw, packed)
        run("qemu-img", "convert", "-O", "qcow2", raw, plain)
        back = self.work / "back.raw"
        run("qemu-img", "convert", "-O", "raw", packed, back)
        if digest_of(back) != digest_of(raw):
            sys.exit("the copies differ: nothing is compared")
        return {
            "pool": item["stored"]["disk"]["stored"],
            "compressed qcow2": size_of(packed),
            "plain qcow2": size_of(plain),
            "seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stemma")
    parser.add_argument("guest", help="the program stemma-guest")
    parser.add_argument("--snapshots", type=int, default=10)
    parser.add_argument("--pause", type=float, default=2, help="seconds between two")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as folder:
        os.chmod(folder, 0o755)
        idle = Idle(arguments, pathlib.Path(folder))
        try:
            time.sleep(20)  # it boots; what it writes then is not idle
            taken = []
            for _ in range(arguments.snapshots):
                taken.append(idle.take())
                time.sleep(arguments.pause)
            idle.stemma("snapshot", "verify")
            pool = size_of(idle.store.parent / "snapshots")
        finally:
            idle.end()
    print(f"{'kept as':18} {'one, bytes':>12} {str(len(taken)) + ', bytes':>14} {'ratio':>6}")
    for kind in ("pool", "compressed qcow2", "plain qcow2"):
        one, all_of_them = taken[0][kind], sum(each[kind] for each in taken)
        print(f"{kind:18} {one:12} {all_of_them:14} {all_of_them / one:6.2f}")
    print(f"the whole folder of snapshots, with features and maps: {pool} bytes")
    seconds = sorted(each["seconds"] for each in taken)[len(taken) // 2]
    print(f"processor time of one `take --keep-disk` and its children, median: {seconds:.2f} s")


main()
