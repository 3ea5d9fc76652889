#!/usr/bin/env python3
"""Recording, pushing, proving and pruning, as a user does it.

usage: writing_test.py STEMMA [--full-disk]
"""
import base64
import csv
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

FAILURES = []
STEMMA = os.path.abspath(sys.argv[1])


def want(holds, text):
    if not holds:
        FAILURES.append(text)


class Store:
    """A store in a folder of its own, and the program that uses it."""

    def __init__(self, folder, name):
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        self.path = os.path.join(self.folder, "lineage.db")
        self.base = [STEMMA, "--store", self.path]

    def run(self, *words, status=0, feed=None):
        done = subprocess.run([*self.base, *words], capture_output=True, text=True, input=feed, check=False)
        if status is not None:
            want(done.returncode == status, f"{words}: {done.returncode}, not {status}: {done.stderr}")
        return done

    def json(self, *words, status=0):
        at = words.index("--") if "--" in words else len(words)  # what follows two dashes is another command's
        done = self.run(*words[:at], "--json", *words[at:], status=status)
        try:
            return json.loads(done.stdout)
        except ValueError:
            want(False, f"{words}: no JSON: {done.stdout!r} {done.stderr!r}")
            return {"items": []}

    def events(self):
        """Everything recorded, without what each ledger says for itself: where it stands, and when it was recorded."""
        return [{key: value for key, value in item.items() if key not in ("seq", "recorded")}
                for item in self.json("log")["items"]]


def event(origin, oseq, kind, body, day=1):
    return json.dumps({"schema": "stemma.event/1", "origin": origin, "oseq": oseq, "kind": kind,
                       "at": f"2026-01-{day:02}T00:00:00Z", "body": body})


def image(origin, oseq, name, day=1):
    digest = name.encode().hex().ljust(64, "0")[:64]
    return event(origin, oseq, "image.created",
                 {"name": name, "digest": digest, "parent": None, "format": "raw", "size": 1, "path": "/x", "os": "",
                  "installed": [], "removed": [], "packages": []}, day)


def vm(origin, oseq, name, day=1, kind="vm.deployed"):
    return event(origin, oseq, kind, {"uuid": "uuid-" + name, "name": name, "host": "h1", "release": "r",
                                      "image": "base".encode().hex().ljust(64, "0")}, day)


def pushing(folder):
    host, centre = Store(folder, "host"), Store(folder, "centre")
    host.run("ingest", "-", feed="\n".join(image("o1", n, f"i{n}") for n in range(1, 8)) + "\n")
    first = host.json("push", centre.path, "--batch", "3")["items"][0]
    want(first["pushed"] == 7 and first["after"] == 0, f"first push: {first}")
    want(host.json("push", centre.path)["items"][0]["pushed"] == 0, "the second push has nothing to do")
    want(centre.events() == host.events(), "the centre does not know what the host recorded")

    # Offline: recorded here, pushed later, in order, once.
    host.run("run", "image:i1", "--yes", "--", "true", "{}")
    host.run("push", "--", "sh", "-c", "exit 3", status=1)
    host.run("push", "/proc/none/x.db", status=1)
    want(host.json("push", centre.path)["items"][0]["pushed"] == 2, "the two events of the action")
    want(centre.events() == host.events(), "after an offline time")
    third = Store(folder, "third")
    done = host.json("push", "--batch", "2", "--", STEMMA, "--store", third.path, "ingest", "-")
    want(done["items"][0]["pushed"] == 9, f"through a command: {done}")
    want(third.events() == host.events(), "through a command")
    want(third.json("push", centre.path)["items"][0]["pushed"] == 9, "by another way")
    want(len(centre.events()) == 9, "what came by two ways is there once")
    want("itself" in host.run("push", host.path, status=2).stderr, "to itself")
    host.run("push", status=2)
    host.run("push", centre.path, "--", "true", status=2)
    for store in (host, centre, third):
        store.run("ledger", "verify", "--rebuild")


def start_writer(store):
    writer = subprocess.Popen([*store.base, "serve", "--writer", "--listen", "none"], stderr=subprocess.PIPE, text=True)
    want("writing what others record" in writer.stderr.readline(), "the writer does not say where it is")
    return writer


def ingest_at_once(store, names):
    running = [subprocess.Popen([*store.base, "ingest", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True) for _ in names]
    for process, name in zip(running, names):
        process.stdin.write(image(name, 1, name) + "\n")
        process.stdin.close()
    return running


def finished(running):
    for process in running:
        error = process.stderr.read()
        want(process.wait(timeout=120) == 0, f"a writer was turned away: {error}")
        process.stderr.close()


def writing(folder):
    store = Store(folder, "writing")
    want("--listen none" in store.run("serve", "--listen", "none", status=2).stderr, "nothing to do")
    writer = start_writer(store)
    want("another process" in store.run("serve", "--writer", "--listen", "none", status=1).stderr, "two writers")
    finished(ingest_at_once(store, [f"a{n}" for n in range(12)]))
    writer.send_signal(signal.SIGINT)
    said = writer.stderr.read()
    want(writer.wait(timeout=60) == 0 and "recorded 12 events of 12 requests" in said, f"the writer said: {said}")
    writer = start_writer(store)
    running = ingest_at_once(store, [f"b{n}" for n in range(12)])
    time.sleep(0.05)
    writer.kill()
    writer.wait()
    finished(running)
    writer.stderr.close()
    want(len(store.events()) == 24, "24 events, each once")
    store.run("ledger", "verify", "--rebuild")


def proving(folder):
    store = Store(folder, "proving")
    store.run("ingest", "-", feed=image("o", 1, "a"))
    key, other = os.path.join(folder, "key"), os.path.join(folder, "other")
    for name in (key, other):
        store.run("key", "generate", name)
    kept = os.path.join(folder, "monday.json")
    store.run("ledger", "checkpoint", "--sign", key, "-o", kept)
    store.run("ingest", "-", feed=image("o", 2, "b"))
    whole = store.json("ledger", "verify", "--checkpoint", kept, "--key", key + ".pub")
    want(whole["whole"] and whole["events"] == 2, f"signed checkpoint: {whole}")
    want("nobody looked" in store.run("ledger", "verify", "--checkpoint", kept).stderr, "no warning")
    store.run("ledger", "verify", "--checkpoint", kept, "--key", other + ".pub", status=5)
    with open(kept, encoding="ascii") as file:
        envelope = json.load(file)
    inner = json.loads(base64.b64decode(envelope["payload"]))
    want(inner["schema"] == "stemma.checkpoint/1" and inner["seq"] == 1, f"{inner}")
    inner["seq"] = 0
    envelope["payload"] = base64.b64encode(json.dumps(inner).encode()).decode()
    forged = os.path.join(folder, "forged.json")
    with open(forged, "w", encoding="ascii") as file:
        json.dump(envelope, file)
    store.run("ledger", "verify", "--checkpoint", forged, "--key", key + ".pub", status=5)
    plain = os.path.join(folder, "plain.json")
    store.run("ledger", "checkpoint", "-o", plain)
    store.run("ledger", "verify", "--checkpoint", plain)
    store.run("ledger", "verify", "--checkpoint", plain, "--key", key + ".pub", status=5)
    # A ledger whose end was cut off, and one that was rewritten.
    cut = Store(folder, "cut")
    cut.run("ingest", "-", feed=image("o", 1, "a"))
    cut.run("ledger", "verify", "--checkpoint", plain, status=5)
    # Contradiction and gap.
    want("two different things" in store.run("ingest", "-", feed=image("o", 1, "z"), status=1).stderr, "equivocation")
    store.run("ingest", "-", feed=image("o", 9, "late"))
    gaps = store.json("ledger", "verify")["origin_gaps"]
    want(len(gaps) == 1 and "6 of its 9" in gaps[0]["reason"], f"{gaps}")


def flip_in_middle(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 4]))


def pruning(folder):
    store = Store(folder, "pruning")
    feed = [image("o", 1, "base"), vm("o", 2, "stays"), vm("o", 3, "goes", 2)]
    feed += [event("o", n, "vm.changed", {"uuid": "uuid-goes", "name": "goes", "what": "x" * 5000 + str(n)}, 3)
             for n in range(4, 60)]
    feed += [vm("o", 60, "goes", 4, "vm.retired")]
    store.run("ingest", "-", feed="\n".join(feed))
    store.run("ledger", "prune", status=2)
    planned = store.json("ledger", "prune", "--before", "2026-01-10T00:00:00Z")
    want(planned["dry_run"] and planned["events"] == 58, f"{planned}")
    before = store.json("what", "vm:stays")["items"]
    done = store.json("ledger", "prune", "--before", "2026-01-10T00:00:00Z", "--yes")
    want(not done["dry_run"] and done["items"] == planned["items"], f"{done}")
    want(store.json("what", "vm:stays")["items"] == before, "an answer about the present changed")
    want(store.json("ledger", "verify", "--rebuild")["pruned"] == 58, "tombstones")
    want(len(store.json("log")["items"]) == 61, "tombstones are in the log, and the pruning")
    store.run("ledger", "compact")
    store.run("ledger", "verify")
    found = [item for item in store.json("doctor", status=None)["items"] if item["check"] == "store"]
    want(found and "61 events" in found[0]["detail"], f"doctor: {found}")
    flip_in_middle(store.path)
    want("checksum" in store.run("ledger", "verify", status=5).stdout, "a flipped bit")


def running(folder):
    store = Store(folder, "running")
    feed = [image("o", 1, "base")] + [vm("o", n, f"v{n}") for n in range(2, 6)]
    store.run("ingest", "-", feed="\n".join(feed))
    mark = os.path.join(folder, "mark")
    dry = store.json("run", "vm:v*", "--", "sh", "-c", f"echo {{}} >>{mark}")
    want(dry["dry_run"] and len(dry["items"]) == 4 and not os.path.exists(mark), f"dry run: {dry}")
    store.run("run", "vm:v*", "--yes", "--max", "3", "--", "sh", "-c", f"echo {{}} >>{mark}", status=2)
    want(not os.path.exists(mark), "--max")
    begin = time.monotonic()
    done = store.json("run", "vm:v*", "--yes", "--rate", "10/s", "--", "sh", "-c", f"echo {{}} >>{mark}")
    want(time.monotonic() - begin >= 0.39, "--rate: four starts, a tenth of a second apart at least")
    with open(mark, encoding="ascii") as file:
        want(sorted(file.read().split()) == ["v2", "v3", "v4", "v5"], "each once")
    actions = [item for item in store.json("log")["items"] if item["kind"] == "action.run"]
    want(len(actions) == 8 and all(a["body"]["run"] == done["run"] for a in actions), "each action and outcome")
    want({a["body"]["set_seq"] for a in actions} == {5}, "frozen at a position")
    failed = store.json("run", "vm:v*", "--yes", "--keep-going", "--", "sh", "-c", "test {} = v3", status=4)
    want([item["exit"] for item in failed["items"]] == [1, 0, 1, 1], f"{failed}")
    want(len(store.json("run", "vm:v*", "--yes", "--", "false", "{}", status=1)["items"]) == 1, "stops at the first")
    store.run("ingest", "-", feed=image("o", 9, "late"))  # a gap
    want("--force" in store.run("run", "vm:v2", "--yes", "--", "true", "{}", status=1).stderr, "incomplete set")
    store.run("run", "vm:v2", "--yes", "--force", "--", "true", "{}")
    store.run("ingest", "-", feed=vm("p", 1, "-rf"))
    want("an option" in store.run("run", "vm:uuid--rf", "--", "rm", "{}", status=1).stderr, "a name with a dash")
    store.run("run", "vm:v2", "--yes", "--", "true", status=2)


def evidence(folder):
    """Links that were told and links that were inferred, each with what it rests on."""
    store = Store(folder, "evidence")
    deb = {"purl": "pkg:deb/shop@1.0?arch=amd64", "name": "shop", "version": "1.0", "arch": "amd64",
           "sha256": "a" * 64, "file": "shop.deb", "build": None, "payload": []}
    listed = {"name": "shop", "version": "1.0", "arch": "amd64", "purl": deb["purl"]}
    seen, told = (json.loads(image("o", n, name)) for n, name in ((2, "seen"), (3, "told")))
    seen["body"]["packages"] = told["body"]["packages"] = [listed]
    told["body"]["installed"] = [{"kind": "deb", "name": "shop", "sha256": deb["sha256"], "purl": deb["purl"],
                                  "path": "shop.deb"}]
    feed = [event("o", 1, "package.packed", deb), json.dumps(seen), json.dumps(told)]
    for number, (name, runs) in enumerate((("a", seen), ("b", told)), 4):
        running_vm = json.loads(vm("host-origin", number - 3, name))
        running_vm["body"]["image"] = runs["body"]["digest"]
        feed.append(json.dumps(running_vm))
    store.run("ingest", "-", feed="\n".join(feed))
    for name, inferred in (("a", True), ("b", False)):
        links = store.json("why", "package:shop", "vm:" + name)["items"]
        want([link["inferred"] for link in links] == [inferred, False], f"{name}: {links}")
        want(all(link["event"]["origin"] and link["event"]["at"] and link["event"]["seq"] for link in links), f"{links}")
        want(bool(links[0]["basis"]) == inferred, f"what it rests on: {links[0]}")
    text = store.run("why", "package:shop", "vm:a").stdout
    want("inferred from" in text and ", by host-origin)" in text, text)
    for name, dashes in (("a", 1), ("b", 0)):
        dot = store.run("why", "package:shop", "vm:" + name, "--all", "--format", "dot").stdout
        want(dot.count("style=dashed") == dashes and dot.count(" -> ") == 2, dot)
        if shutil.which("dot"):
            drawn = subprocess.run(["dot", "-Tplain"], input=dot, capture_output=True, text=True, check=False)
            want(drawn.returncode == 0 and drawn.stdout.count("edge ") == 2, f"dot: {drawn}")


def told(path):
    """A path's bytes as JSON has them."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(path).decode()}


def paths(folder):
    """Paths of any bytes, and of 4,096 of them, come out of every format as they went in."""
    store = Store(folder, "paths")
    odd = [b"long/" + b"x" * 4091, b"two\nlines", b"not utf-8 \xff\xfe", b"quote\"comma,tab\t", b"-dash", "é".encode()]
    odd.sort()
    file = {"blob": None, "index_blob": None, "package": None, "repo": "r", "size": 1}
    files = [{**file, "path": told(path), "sha256": f"{n:064x}", "state": "clean"} for n, path in enumerate(odd, 1)]
    files.append({**file, "path": "out", "sha256": "f" * 64, "state": "generated"})
    manifest = {
        "schema": "stemma.manifest/1", "complete": True, "files": files, "holes": [],
        "build": {"branch": "main", "commit": "a" * 40, "dirty": [], "name": "r", "repo": "r", "toolchain": ""},
        "run": {"id": "run-1", "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z", "machine": "m",
                "root": "/", "user": "u"},
        "steps": [{"argv": ["cat"], "cwd": "/", "exit": 0, "inputs": list(range(len(odd))), "kind": "generate",
                   "outputs": [len(odd)], "target": "", "tool": None}],
        "artifacts": [{"build_id": None, "file": len(odd), "kind": "other", "name": "out", "step": 0, "target": ""}]}
    store.run("ingest", "-", feed=event("o", 1, "build.recorded", {"manifest": manifest}))
    ask = [*store.base, "what", "artifact:out", "--to", "sources"]

    def shown(*more):
        return subprocess.run([*ask, *more], capture_output=True, check=True).stdout

    sources = [item for item in json.loads(shown("--json"))["items"] if item["path"] != "out"]
    want(sorted(json.dumps(item["path"]) for item in sources) == sorted(json.dumps(told(p)) for p in odd), "json")
    lines = [json.loads(line) for line in shown("--format", "ndjson").splitlines()]
    want([line["path"] for line in lines if line.get("path") != "out" and "path" in line] ==
         [item["path"] for item in sources], "ndjson")
    names = shown("-0").split(b"\0")
    want(sorted(name for name in names if name not in (b"", b"out")) == odd, f"-0: {names}")
    rows = list(csv.reader(io.StringIO(shown("--format", "csv").decode("utf-8", "surrogateescape"), newline="")))
    want(len(rows) == len(odd) + 1 and all(len(row) == len(rows[0]) for row in rows), f"csv: {len(rows)} rows")
    want(any("x" * 4091 in cell for row in rows for cell in row), "csv: the long path")
    table = shown().decode()  # escaped, and so one line for each
    want(len(table.splitlines()) == len(odd) + 1 and "two\\nlines" in table, table[-500:])
    for path in odd:
        found = subprocess.run([*store.base, "where", b"file:" + path, "--to", "artifacts", "--count"],
                               capture_output=True, check=False)
        want(found.stdout.strip() == b"1", f"where {path[:40]}: {found}")
    feed = os.path.join(folder, "paths.ndjson")
    with open(feed, "wb") as out:
        out.write(shown("--format", "ndjson"))
    want(store.run("where", "@" + feed, "--to", "artifacts", "--count").stdout.strip() == "1", "its own ndjson")


def migrating(folder):
    """A store that release 0.1.0 made: refused by who only reads, and the same after it was brought to this version."""
    store = Store(folder, "migrating")
    old = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "lineage", "store-1.db.gz")
    with gzip.open(old, "rb") as packed, open(store.path, "wb") as out:
        out.write(packed.read())
    refused = store.run("what", "vm:uuid-a", status=1).stderr
    want("older version" in refused and "stemma ledger rebuild" in refused, f"an old store: {refused}")
    store.run("ledger", "rebuild")
    chain = json.loads(store.run("ledger", "checkpoint").stdout)["chain"]
    want(chain == "dc0c5718a4e05f348755145e3b894632c9c57746a8458c65afbdaa6c8aa55bac", f"the ledger changed: {chain}")
    want([item["name"] for item in store.json("what", "vm:uuid-a", status=None)["items"]] == ["shop", "seen"], "a VM")
    want(len(store.json("what", "artifact:out")["items"]) == 6, "sources of an artifact")
    want(len(store.events()) == 6, "all events")
    store.run("ledger", "verify", "--rebuild")
    store.run("ingest", "-", feed=vm("another", 1, "later"))
    store.run("ledger", "compact")  # now with checksums of its pages
    store.run("ledger", "verify", "--rebuild")


FULL = """
mount -t tmpfs -o size=1m none "$1" || { echo cannot; exit 77; }
cd "$1"; shift
cat >"$PWD/../feed" ; "$@" ingest "$PWD/../feed"; status=$?
[ $status = 0 ] && { echo "there was room"; exit 1; }
"$@" ledger verify --rebuild >&2 || exit 2
TMPDIR="$PWD" "$@" ledger verify --rebuild >&2; [ $? = 1 ] || exit 3
mount -o remount,size=64m none "$PWD"; cd "$PWD"
"$@" ingest "$PWD/../feed" && "$@" ledger verify --rebuild >&2 || exit 4
# Filled by others: no room even for the index of the log.
dd if=/dev/zero of=others bs=1k 2>/dev/null
"$@" log vm:u --limit 1 && "$@" ledger verify || exit 5
tail -n 1 "$PWD/../feed" | sed 's/"oseq": 2999/"oseq": 3000/' | "$@" ingest -; [ $? = 1 ] || exit 6
rm others; "$@" ledger verify --rebuild >&2
"""


def full_disk(folder):
    place = os.path.join(folder, "small")
    os.makedirs(place)
    feed = "\n".join(event("o", n, "vm.changed", {"uuid": "u", "name": "n", "what": os.urandom(900).hex()})
                     for n in range(1, 3000))
    done = subprocess.run(["unshare", "-rm", "sh", "-c", FULL, "sh", place, STEMMA, "--store", "lineage.db"],
                          input=feed, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare:" in done.stderr:
        print("a full disk was not tried: no mount namespaces here")
        return
    want(done.returncode == 0 and "no space left" in done.stderr, f"full disk: {done}")
    want("name a folder with room: TMPDIR=" in done.stderr, f"no room to derive again: {done.stderr}")


def main():
    with tempfile.TemporaryDirectory(prefix="stemma-writing-") as folder:
        if "--full-disk" in sys.argv:
            full_disk(folder)
            print("\n".join(FAILURES) if FAILURES else "writing: a full disk holds")
            return 1 if FAILURES else 0
        for part in (pushing, writing, proving, pruning, running, evidence, paths, migrating):
            part(folder)
        server = Store(folder, "server")
        want(server.run("ingest", "-", feed="", status=1).stderr != "", "nothing to ingest")
    print("\n".join(FAILURES) if FAILURES else "writing: all holds")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
