#!/usr/bin/env python3
"""A team's ledger in PostgreSQL: the same answers as a file's, several machines at once, and what breaks.

usage: shared_store_test.py STEMMA [--long] [PART…]
Each "machine" is a cache folder of its own. --long kills more often; parts are the functions below.
"""
import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from postgres_server import Server, is_there

FAILURES = []
STEMMA = os.path.abspath(sys.argv[1])
LONG = "--long" in sys.argv
SECRET = "geheim"


def want(holds, text):
    if not holds:
        FAILURES.append(text)


class Machine:
    """The program with a store, and with a cache of its own."""

    def __init__(self, folder, name, url):
        self.home = os.path.join(folder, name)
        os.makedirs(self.home, exist_ok=True)
        self.url = url
        self.environment = {**os.environ, "XDG_CACHE_HOME": os.path.join(self.home, "cache"),
                            "XDG_STATE_HOME": os.path.join(self.home, "state"), "HOME": self.home, "STEMMA_STORE": url}

    def start(self, *words, **more):
        return subprocess.Popen([STEMMA, *words], env=self.environment, cwd=self.home, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    def run(self, *words, status=0, feed=None):
        done = subprocess.run([STEMMA, *words], env=self.environment, cwd=self.home, capture_output=True, text=True,
                              input=feed, check=False)
        if status is not None:
            want(done.returncode == status, f"{words}: {done.returncode}, not {status}: {done.stderr}")
        want(SECRET not in done.stdout + done.stderr, f"{words}: a password is shown: {done.stdout}{done.stderr}")
        return done

    def json(self, *words, status=0):
        at = words.index("--") if "--" in words else len(words)  # what follows is another program's
        done = self.run(*words[:at], "--json", *words[at:], status=status)
        try:
            return json.loads(done.stdout)
        except ValueError:
            want(False, f"{words}: no JSON: {done.stdout!r} {done.stderr!r}")
            return {"items": []}

    def known(self):
        """Identities of all events but those that the ledger says of itself."""
        return {(item["origin"], item["oseq"]) for item in self.json("log")["items"]
                if not item["kind"].startswith("ledger.")}


def event(origin, oseq, kind, body, day=1):
    return {"schema": "stemma.event/1", "origin": origin, "oseq": oseq, "kind": kind,
            "at": f"2026-01-{day:02}T00:00:{oseq % 60:02}Z", "body": body}


def lines(events):
    return "\n".join(json.dumps(each) for each in events) + "\n"


def state(origin, oseq, what="x"):
    return event(origin, oseq, "vm.changed", {"uuid": f"uuid-{origin}", "name": origin, "what": what})


def fleet():
    """Two images, one made of the other, on VMs that move and go; a channel; late and odd texts."""
    package = [{"kind": "deb", "name": "shop", "sha256": f"{number:064x}", "path": "shop.deb",
                "purl": f"pkg:deb/debian/shop@1.{number}?arch=amd64"} for number in (1, 2)]
    digest = ["11" * 32, "22" * 32]
    listed = [[{"name": "shop", "version": f"1.{number}", "arch": "amd64",
                "purl": f"pkg:deb/debian/shop@1.{number}?arch=amd64"}] for number in (1, 2)]
    facts = []
    for number in (0, 1):
        facts.append(event("site", len(facts) + 1, "package.packed", {
            "name": "shop", "version": f"1.{number + 1}", "arch": "amd64", "sha256": package[number]["sha256"],
            "purl": package[number]["purl"], "file": "shop.deb", "build": None, "payload": []}))
        facts.append(event("site", len(facts) + 1, "image.created", {
            "name": f"shop-{number + 1}", "digest": digest[number], "parent": digest[0] if number else None,
            "format": "raw", "size": 1 << 20, "path": f"/i/{number}", "os": "Debian \u00fc\u0000", "removed": [],
            "installed": [package[number]], "packages": listed[number]}, 2 + number))
    for number in range(6):
        uuid = f"00000000-0000-0000-0000-{number:012}"
        facts.append(event("site", len(facts) + 1, "vm.deployed", {
            "uuid": uuid, "name": f"vm-{number}", "host": f"host-{number % 2}", "image": digest[number % 2],
            "release": "shop", "adopted": False}, 4))
        if number % 3 == 0:
            facts.append(event("site", len(facts) + 1, "vm.migrated", {
                "uuid": uuid, "name": f"vm-{number}", "from": f"host-{number % 2}", "to": "host-9"}, 5))
        if number == 5:
            facts.append(event("site", len(facts) + 1, "vm.retired", {
                "uuid": uuid, "name": f"vm-{number}", "reason": "old"}, 6))
    facts.append(event("site", len(facts) + 1, "channel.set", {
        "channel": "stable", "kind": "package", "name": "shop", "version": "1.2", "digest": None}, 7))
    facts += [event("late", 2, "host.state", {"name": "host-9", "state": "down", "reason": "power"}, 6),
              event("late", 1, "host.added", {"name": "host-9", "uuid": "", "uri": "test:///default", "labels": {}}, 3)]
    return facts


def build_something(machine):
    """A real build, so that sources and artifacts are asked for as well."""
    source = os.path.join(machine.home, "shop")
    os.makedirs(os.path.join(source, "src"))
    for name, text in {"src/price.c": "int price(void) { return 3; }\n",
                       "src/main.c": "int price(void);\nint main(void) { return price(); }\n"}.items():
        with open(os.path.join(source, name), "w", encoding="utf-8") as file:
            file.write(text)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@x", "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", source, *words], check=True, env=machine.environment)
    done = subprocess.run([STEMMA, "build", "--name", "shop", "--", "sh", "-c", "cc -c src/price.c -o price.o && cc -c src/main.c "
                           "-o main.o && cc price.o main.o -o shopd"], cwd=source, env=machine.environment,
                          capture_output=True, text=True, check=False)
    want(done.returncode == 0, f"the build: {done.stderr}")


QUESTIONS = [
    ("log",), ("log", "vm:vm-0"), ("outdated",), ("image", "list"), ("host", "list"), ("vm", "list"),
    ("where", "file:src/price.c"), ("where", "package:shop", "--to", "hosts"), ("what", "host:host-9"),
    ("what", "artifact:shopd", "--to", "sources"), ("why", "package:shop=1.1", "vm:vm-2"), ("why", "file:src/price.c", "artifact:shopd"),
    ("common", "vm:vm-0", "vm:vm-2"), ("diff", "vm:vm-0", "vm:vm-1"), ("what", "host:host-*", "--as-of", "2026-01-04T12:00:00Z"),
    ("where", "image:shop-1", "--to", "vms", "--as-of", "2026-01-05T12:00:00Z"), ("where", "image:shop-1", "--known-at", "7"),
    ("where", "package:shop", "--to", "vms", "--known-at", "9"), ("what", "event:host.state=down")]


def same_answers(folder, server):
    source = Machine(folder, "source", os.path.join(folder, "source.db"))
    source.run("ingest", "-", feed=lines(fleet()))
    build_something(source)
    file = Machine(folder, "file", os.path.join(folder, "file.db"))
    team = Machine(folder, "team", server.make("team"))
    for store in (file, team):
        source.run("push", "--all", "--batch", "4", store.url)
    pairs = [(json.loads(store.run("ledger", "checkpoint").stdout)) for store in (file, team)]
    want(pairs[0]["root"] == pairs[1]["root"] and pairs[0]["commit"] == pairs[1]["commit"] and pairs[0]["commit"] > 3,
         f"other roots: {pairs}")
    with contextlib.closing(sqlite3.connect(f"file:{file.url}?mode=ro", uri=True)) as database:
        roots = [row[0] for row in database.execute("SELECT lower(hex(root)) FROM commits ORDER BY no")]
    theirs = server.sql("SELECT encode(root, 'hex') FROM stemma.commits ORDER BY no").stdout.split()
    want(roots == theirs, f"other roots: {roots} {theirs}")
    second = Machine(folder, "second", team.url)
    for words in QUESTIONS:
        answers = [store.json(*words, status=None) for store in (file, team, second)]
        for answer in answers:
            for item in answer["items"]:
                item.pop("recorded", None)
            answer.pop("as_of", None)
        want(answers[0]["items"] != [], f"{words}: nothing to compare")
        want(answers[0] == answers[1] == answers[2], f"{words}: another answer: {answers}")
    for store in (team, second):
        want("whole" in store.run("ledger", "verify", "--rebuild").stdout, "verify")
    copy = os.path.join(folder, "copy.db")
    team.run("ledger", "backup", copy)
    backup = Machine(folder, "backup", copy)
    want(backup.json("log") == team.json("log"), "the backup says something else")
    team.run("ledger", "rebuild")
    want(any("events" in item["detail"] for item in team.json("doctor", status=None)["items"] if item["check"] == "store"),
         "doctor")
    left = [item["name"] for item in team.json("run", "vm:vm-0", "--yes", "--", "true", "{}")["items"]]
    want(left == ["vm-0"], f"run: {left}")
    want(second.json("log")["items"] == team.json("log")["items"], "the other machine does not follow")


def duplicates(folder, server):
    one = Machine(folder, "dup1", server.make("dup"))
    two = Machine(folder, "dup2", one.url)
    facts = [state("a", number) for number in range(1, 6)]
    one.run("ingest", "-", feed=lines(facts))
    two.run("ingest", "-", feed=lines(facts))
    want(len(two.known()) == 5 and server.sql("SELECT count(*) FROM stemma.commits", "dup").stdout.strip() == "1",
         "duplicates made a commit")
    said = two.run("ingest", "-", feed=lines([state("a", 3, "otherwise")]), status=1)
    want("two different things" in said.stderr, f"equivocation: {said.stderr}")
    want([item["kind"] for item in one.json("log")["items"]].count("ledger.equivocation") == 1, "it is not reported")
    for statement in ("UPDATE stemma.event SET body = ''", "DELETE FROM stemma.commits", "TRUNCATE stemma.event",
                      "SET stemma.pruning = 'on'; UPDATE stemma.event SET hash = hash, kind = 'x'"):
        want(server.sql(statement, "dup", check=False).returncode != 0, f"not refused: {statement}")


def started(folder, server):
    """init makes the ledger and names it to the folder, unless the address holds a password."""
    machine = Machine(folder, "started", server.make("started").replace(":geheim@", "@"))
    other = Machine(folder, "started2", server.url("started"))
    for each in (machine, other):
        each.run("init")
        want(os.listdir(os.path.join(each.home, ".stemma")) == [".gitignore"], "init made a file as well")
        want(each.json("log")["items"] == [], "a new ledger says something")
    with open(os.path.join(machine.home, "stemma.yaml"), encoding="utf-8") as settings:
        want(machine.url in settings.read(), "the settings do not name the ledger")
    del machine.environment["STEMMA_STORE"]
    machine.run("ingest", "-", feed=lines([state("n", 1)]))
    want(other.known() == {("n", 1)}, "what the settings name is not what init made")


def many_writers(folder, server):
    machines = [Machine(folder, f"many{number}", None) for number in (1, 2)]
    url = server.make("many")
    failed = []

    def write(machine, origin):
        for number in range(1, 9):
            done = machine.run("ingest", "-", feed=lines([state(origin, number)]), status=None)
            if done.returncode != 0:
                failed.append(done.stderr)

    for machine in machines:
        machine.environment["STEMMA_STORE"] = url
    writer = machines[0].start("serve", "--writer", "--listen", "none")
    threads = [threading.Thread(target=write, args=(machines[number % 2], f"o{number}")) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.send_signal(signal.SIGINT)
    writer.communicate()
    want(failed == [], f"turned away: {failed[:2]}")
    wanted = {(f"o{origin}", number) for origin in range(6) for number in range(1, 9)}
    for machine in machines:
        want(machine.known() == wanted, f"not everything is known: {len(machine.known())}")
        machine.run("ledger", "verify", "--rebuild")
    logs = [machine.json("log")["items"] for machine in machines]
    want(logs[0] == logs[1], "two machines, two logs")


def pruned(folder, server):
    one = Machine(folder, "prune1", server.make("prune"))
    two = Machine(folder, "prune2", one.url)
    facts = fleet() + [state("vm-5", number, "x" * 3000 + str(number)) for number in range(1, 20)]
    one.run("ingest", "-", feed=lines(facts))
    two.run("log")
    live = two.json("what", "vm:vm-0")["items"]
    done = one.json("ledger", "prune", "--before", "2026-02-01T00:00:00Z", "--yes")
    want(done["events"] > 10 and not done["dry_run"], f"{done}")
    left = server.sql("SELECT count(*) FROM stemma.event WHERE encoding = 2 AND body = ''", "prune").stdout.strip()
    want(left == str(done["events"]), f"the server keeps what was pruned: {left} of {done['events']}")
    for machine in (one, two, Machine(folder, "prune3", one.url)):
        verified = machine.json("ledger", "verify", "--rebuild")
        want(verified["whole"] and verified["pruned"] == done["events"], f"{verified}")
        want(machine.json("what", "vm:vm-0")["items"] == live, "an answer about the present changed")
        want(machine.json("log", "--as-of", "2026-01-02T00:00:00Z", status=4)["complete"] is False, "the gap")
    two.run("ledger", "compact")


def killed_clients(folder, server):
    machine = Machine(folder, "kill", server.make("kill"))
    machine.run("ingest", "-", feed=lines([state("k", 1)]))
    random.seed(7)
    sure = {("k", 1)}
    for attempt in range(60 if LONG else 12):
        batch = [state(f"k{attempt}", number, "y" * 500) for number in range(1, 300)]
        process = machine.start("ingest", "-")
        try:
            process.stdin.write(lines(batch))
            process.stdin.close()
        except BrokenPipeError:
            pass
        time.sleep(random.uniform(0.0, 0.25))
        process.kill()
        if process.wait() == 0:
            sure |= {(each["origin"], each["oseq"]) for each in batch}
        for pipe in (process.stdout, process.stderr):
            pipe.close()
    other = Machine(folder, "kill2", machine.url)
    for each in (machine, other):
        want(sure <= each.known(), "what was acknowledged is lost")
        each.run("ledger", "verify", "--rebuild")
    want(machine.known() == other.known(), "two machines differ after kills")
    by_origin = {}
    for origin, _ in machine.known():
        by_origin[origin] = by_origin.get(origin, 0) + 1
    want(set(by_origin.values()) <= {1, 299}, f"a part of a batch: {by_origin}")


def killed_server(folder, server):
    machine = Machine(folder, "crash", server.make("crash"))
    machine.run("ingest", "-", feed=lines([state("s", 1)]))
    sure, end = {("s", 1)}, threading.Event()

    def write(origin):
        number = 1
        while not end.is_set():
            done = machine.run("ingest", "-", feed=lines([state(origin, number)]), status=None)
            if done.returncode == 0:
                sure.add((origin, number))
                number += 1

    threads = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10 if LONG else 2):
        time.sleep(0.7)
        server.kill()
        server.start()
    time.sleep(0.7)
    end.set()
    for thread in threads:
        thread.join()
    other = Machine(folder, "crash2", machine.url)
    for each in (machine, other):
        want(sure <= each.known(), f"acknowledged, and lost: {sorted(sure - each.known())[:3]}")
        each.run("ledger", "verify", "--rebuild")
    want(len(sure) > 6, f"only {len(sure)} were acknowledged")
    want(machine.known() == other.known(), "two machines differ after the server's end")


def wait_for(holds, text, seconds=20):
    for _ in range(seconds * 20):
        if holds():
            return
        time.sleep(0.05)
    want(False, f"never came: {text}")


def unsure_commits(folder, server):
    """The server goes away while it commits: nothing is lost, nothing said twice."""
    machine = Machine(folder, "unsure", server.make("unsure"))
    machine.run("init")

    def added(name):
        log = [item["body"]["name"] for item in machine.json("log")["items"] if item["kind"] == "host.added"]
        return log.count(name)

    def waits_for(event):
        found = server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{event}'", "unsure", check=False)
        return found.stdout.strip() == "1"

    # It committed, and could not say so: a commit waits for a standby that never comes.
    server.kill()
    server.start("synchronous_standby_names=nobody")
    process = machine.start("host", "add", "kept", "test:///default")
    wait_for(lambda: waits_for("SyncRep"), "a commit that waits for a standby")
    server.kill()
    server.start()
    said = process.communicate()[1]
    want(process.returncode == 0 and added("kept") == 1, f"committed, and not said: {said}")

    server.kill()
    server.start("full_page_writes=off")
    found = [item["detail"] for item in machine.json("doctor", status=None)["items"] if item["check"] == "store server"]
    want(len(found) == 1 and "full_page_writes is off" in found[0], f"doctor of a careless server: {found}")
    server.kill()
    server.start()

    # It had not committed: the commit is slow, and its connection is ended.
    server.sql("CREATE SEQUENCE public.tries; CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
               "IF nextval('public.tries') = 1 THEN PERFORM pg_sleep(60); END IF; RETURN NULL; END $$; "
               "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON stemma.commits DEFERRABLE INITIALLY DEFERRED "
               "FOR EACH ROW EXECUTE FUNCTION slow()", "unsure")
    process = machine.start("host", "add", "ended", "test:///default")
    wait_for(lambda: waits_for("PgSleep"), "a slow commit")
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", "unsure")
    said = process.communicate()[1]
    want(process.returncode == 0 and added("ended") == 1, f"not committed: {said}")

    # Others were quicker, at the commit and before; and a refusal that stays.
    server.sql("DROP TRIGGER slow ON stemma.commits", "unsure")
    for number, (code, when) in enumerate((("40001", "DEFERRED"), ("40P01", "IMMEDIATE"))):
        server.sql(f"CREATE OR REPLACE FUNCTION quick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                   f"IF nextval('public.tries') % 4 <> 0 THEN RAISE EXCEPTION 'quicker' USING ERRCODE = '{code}'; "
                   f"END IF; RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER quick AFTER INSERT ON stemma.commits "
                   f"DEFERRABLE INITIALLY {when} FOR EACH ROW EXECUTE FUNCTION quick()", "unsure")
        machine.run("host", "add", f"late{number}", "test:///default")
        server.sql("DROP TRIGGER quick ON stemma.commits", "unsure")
        want(added(f"late{number}") == 1, f"{code}: {added(f'late{number}')}")
    server.sql("CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$; "
               "CREATE CONSTRAINT TRIGGER never AFTER INSERT ON stemma.commits DEFERRABLE INITIALLY DEFERRED "
               "FOR EACH ROW EXECUTE FUNCTION never()", "unsure")
    want("never" in machine.run("host", "add", "never", "test:///default", status=1).stderr, "a refusal without its words")
    want(added("never") == 0, "a refused commit is known")
    machine.run("ledger", "verify", "--rebuild")


def served(folder, server):
    """A process that stays open answers what others recorded since; one that waits with the copy holds nobody up."""
    one = Machine(folder, "served1", server.make("served"))
    two = Machine(folder, "served2", one.url)
    one.run("ingest", "-", feed=lines(fleet()))
    process = one.start("serve", "--listen", "127.0.0.1:0")
    address = re.search(r"http://[0-9.:]+/", process.stderr.readline())
    want(address is not None, "serve does not say where")
    two.run("ingest", "-", feed=lines([state("n", 1)]))
    if address:
        with urllib.request.urlopen(address[0] + "api/v1/log?q=vm:n", timeout=20) as answer:
            want(len(json.load(answer)["items"]) == 1, "a server that stays open does not follow")
    process.send_signal(signal.SIGINT)
    process.communicate()


def out_of_reach(folder, server):
    machine = Machine(folder, "far", server.make("far") + "&connect_timeout=2")
    machine.run("ingest", "-", feed=lines(fleet()))
    whole = machine.json("what", "vm:vm-0")
    server.kill()
    answer = machine.json("what", "vm:vm-0", status=4)
    want(answer["items"] == whole["items"] and not answer["complete"], "answered from the copy")
    want(any("cannot be reached since 20" in gap["reason"] and f"as of event {whole['seq']}" in gap["reason"]
             for gap in answer["gaps"]), f"{answer['gaps']}")
    want(machine.json("vm", "list", status=4)["complete"] is False, "vm list")
    machine.json("where", "image:shop-1", "--known-at", "7")  # nothing new can change it
    machine.run("ledger", "verify", status=4)
    want("cannot be reached" in machine.run("run", "vm:vm-0", "--yes", "--", "true", "{}", status=1).stderr, "an incomplete set")
    refused = machine.run("ingest", "-", feed=lines([state("q", 1)]), status=1)
    want("cannot be reached" in refused.stderr and "nothing was recorded" in refused.stderr, refused.stderr)
    stranger = Machine(folder, "stranger", machine.url)
    want("no copy" in stranger.run("log", status=1).stderr, "a machine without a copy")
    source = os.path.join(machine.home, "w")
    os.makedirs(source)
    built = subprocess.run([STEMMA, "build", "--", "sh", "-c", "echo made > out"], cwd=source, env=machine.environment,
                           capture_output=True, text=True, check=False)
    want(built.returncode == 0 and os.path.exists(os.path.join(source, "out")), f"a build failed: {built}")
    want(SECRET not in built.stderr, "a build shows a password")
    server.start()
    machine.run("ingest", "-", feed=lines([state("q", 1)]))
    want(machine.json("what", "vm:vm-0")["complete"], "reached again")
    # A server that is there and says nothing.
    children = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=False)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        want(machine.json("what", "vm:vm-0", status=4)["items"] == whole["items"], "a server that hangs")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    want(children.stdout != "", "the server has no processes")


def rewritten(folder, server):
    def without_triggers(text, database):
        server.sql("SET session_replication_role = replica; " + text, database)

    url = server.make("rewritten")
    machine = Machine(folder, "re1", url)
    for number in range(1, 4):
        machine.run("ingest", "-", feed=lines([state("r", number)]))
    machine.run("ledger", "verify")
    last = server.sql("SELECT max(no) FROM stemma.commits", "rewritten").stdout.strip()

    without_triggers("UPDATE stemma.event SET body = 'x' WHERE seq = 2", "rewritten")
    machine.run("log")  # its copy is whole, and nothing new came
    want("event 2" in machine.run("ledger", "verify", status=5).stdout, "an edited row")
    refused = Machine(folder, "re2", url).run("log", status=1)
    want("event 2" in refused.stderr, f"an edited row is taken: {refused.stderr}")

    without_triggers(f"DELETE FROM stemma.commits WHERE no = {last}; DELETE FROM stemma.event WHERE seq = 3", "rewritten")
    cut = machine.run("log", status=1)
    want("was rewritten" in cut.stderr and "cut off" in cut.stderr, f"{cut.stderr}")
    want("was rewritten" in machine.run("ledger", "verify", status=5).stdout, "verify of a cut ledger")
    want("was rewritten" in machine.run("ingest", "-", feed=lines([state("r", 4)]), status=1).stderr, "recorded after a cut")

    server.sql("DROP SCHEMA stemma CASCADE", "rewritten")
    for words in (("log",), ("init",)):
        want("no ledger" in machine.run(*words, status=1).stderr, "no tables")
    Machine(folder, "re3", url).run("init")
    want("another ledger" in machine.run("log", status=1).stderr, "another ledger in its place")
    without_triggers("UPDATE stemma.meta SET value = '99' WHERE key = 'version'", "rewritten")
    newer = Machine(folder, "re4", url).run("log", status=1)
    want("newer stemma" in newer.stderr and "upgrade" in newer.stderr, newer.stderr)


LIES = {
    "its own hash": "UPDATE stemma.event SET body = '{}', hash = sha256('{}') WHERE seq = 2",
    "a missing event": "DELETE FROM stemma.event WHERE seq = 2",
    "a root": "UPDATE stemma.commits SET root = chain WHERE no = 2",
    "a chain": "UPDATE stemma.commits SET chain = root WHERE no = 2",
    "a time": "UPDATE stemma.commits SET recorded = recorded - 1000000000000 WHERE no = 2",
    "a missing commit": "DELETE FROM stemma.commits WHERE no = 2",
    "a commit without end": "UPDATE stemma.commits SET last = 9223372036854775807 WHERE no = 3",
    "no frame": "UPDATE stemma.event SET encoding = 1 WHERE seq = 2",
    "an unknown encoding": "UPDATE stemma.event SET encoding = 77 WHERE seq = 2",
    "no JSON": "UPDATE stemma.event SET body = '{' WHERE seq = 2",
    "a deep JSON": "UPDATE stemma.event SET body = convert_to(repeat('[', 1000000), 'UTF8') WHERE seq = 2",
    "no time": "UPDATE stemma.event SET at = 9223372036854775807 WHERE seq = 2",
    "no text": "UPDATE stemma.event SET origin = '\\xff' WHERE seq = 2",
    "no kind": "UPDATE stemma.event SET kind = '' WHERE seq = 2",
    "a tombstone with a body": "UPDATE stemma.event SET encoding = 2 WHERE seq = 2",
    "another type": "ALTER TABLE stemma.commits DROP CONSTRAINT commits_check, DROP CONSTRAINT commits_no_check, "
                    "ALTER COLUMN last TYPE text",
    "a short hash": "ALTER TABLE stemma.event DROP CONSTRAINT event_hash_check; UPDATE stemma.event SET hash = 'x' WHERE seq = 2",
}


def lies(folder, server):
    """A server that says what is not so is refused, whatever it says, by a machine that has nothing to compare."""
    honest = Machine(folder, "honest", server.make("honest"))
    for number in range(1, 4):
        honest.run("ingest", "-", feed=lines([state("r", number)]))
    told = list(LIES.items())[:: 1 if LONG else 4]
    if LONG:
        bomb = subprocess.run("head -c 3000000000 /dev/zero | zstd -q", shell=True, capture_output=True, check=True).stdout
        told.append(("a bomb", f"UPDATE stemma.event SET encoding = 1, body = '\\x{bomb.hex()}' WHERE seq = 2"))
    for number, (what, statement) in enumerate(told):
        server.sql("DROP DATABASE IF EXISTS lies WITH (FORCE)", "postgres")
        server.sql("CREATE DATABASE lies TEMPLATE honest", "postgres")
        with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as script:
            script.write(f"SET session_replication_role = replica; {statement};")
            script.flush()
            os.chmod(script.name, 0o644)
            server.sql_file(script.name, "lies")
        said = Machine(folder, f"lied{number}", server.url("lies")).run("log", status=1)
        want(re.search("event 2|commit [23]|no number|32 bytes", said.stderr), f"{what}: {said.stderr}")
    # What is hidden as if it were pruned is not a lie of a row; the proof of the whole finds it.
    server.sql("SET session_replication_role = replica; UPDATE stemma.event SET encoding = 2, body = '' WHERE seq = 2", "honest")
    found = Machine(folder, "hidden", honest.url).run("ledger", "verify", status=5)
    want("nothing says that it was pruned" in found.stdout, f"hidden: {found}")


def roles(folder, server):
    """What docs/lineage.md grants is enough, and no less is."""
    owner = Machine(folder, "owner", server.make("roles"))
    owner.run("ingest", "-", feed=lines(fleet()))
    server.sql("DROP ROLE IF EXISTS asks; DROP ROLE IF EXISTS tells; CREATE ROLE asks LOGIN; CREATE ROLE tells LOGIN;"
               "GRANT USAGE ON SCHEMA stemma TO asks, tells; GRANT SELECT ON ALL TABLES IN SCHEMA stemma TO asks, tells;"
               "GRANT INSERT ON stemma.event, stemma.commits TO tells; GRANT UPDATE ON stemma.head TO tells", "roles")
    asks = Machine(folder, "asks", owner.url.replace("stemma:geheim@", "asks@"))
    tells = Machine(folder, "tells", owner.url.replace("stemma:geheim@", "tells@"))
    want(asks.known() == owner.known(), "a role that may only ask")
    refused = asks.run("ingest", "-", feed=lines([state("n", 1)]), status=1)
    want("permission denied" in refused.stderr and "grants" in refused.stderr, refused.stderr)
    tells.run("ingest", "-", feed=lines([state("n", 1)]))
    want(("n", 1) in asks.known(), "a role that may tell")
    tells.run("ledger", "prune", "--before", "2026-02-01T00:00:00Z", "--yes", status=1)
    tells.run("ledger", "verify", "--rebuild")


def passwords(folder, server):
    """Asked for by the server: in the address, in a password file, by a service."""
    server.make("locked")
    server.sql(f"DROP ROLE IF EXISTS member; CREATE ROLE member LOGIN SUPERUSER PASSWORD '{SECRET}'", "locked")
    rules = os.path.join(server.data, "pg_hba.conf")
    with open(rules, encoding="utf-8") as file:
        usual = file.read()
    with open(rules, "w", encoding="utf-8") as file:
        file.write("local locked member scram-sha-256\n" + usual)
    server.sql("SELECT pg_reload_conf()", "postgres")
    place = f"/locked?host={server.folder}"
    inside = Machine(folder, "inside", f"postgresql://member:{SECRET}@{place}")
    wait_for(lambda: Machine(folder, "none", f"postgresql://member@{place}").run("log", status=None).stderr.count("password"),
             "a server that asks for a password")
    inside.run("ingest", "-", feed=lines([state("p", 1)]))
    wrong = Machine(folder, "wrong", f"postgresql://member:{SECRET}-not@{place}").run("log", status=1)
    want("password authentication failed" in wrong.stderr, wrong.stderr)
    by_file = Machine(folder, "by_file", f"postgresql://member@{place}")
    kept = os.path.join(by_file.home, "kept")
    with open(os.open(kept, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        file.write(f"*:*:locked:member:{SECRET}\n")
    by_file.environment["PGPASSFILE"] = kept
    want(by_file.known() == {("p", 1)}, "PGPASSFILE")
    by_service = Machine(folder, "by_service", "postgresql:///?service=team")
    services = os.path.join(by_service.home, "services")
    with open(services, "w", encoding="utf-8") as file:
        file.write(f"[team]\nhost={server.folder}\ndbname=locked\nuser=member\n")
    by_service.environment.update(PGPASSFILE=kept, PGSERVICEFILE=services)
    want(by_service.known() == {("p", 1)}, "a service")
    os.unlink(kept)  # what is left must not know it
    os.unlink(services)


def secrets(folder, _):
    machine = Machine(folder, "secrets", None)
    for url in ("postgresql://u:geheim@/x?host=/none", "postgresql://u:ge%ZZgeheim@h/x", "postgresql://u:a@geheim@h/x",
                "postgresql://u:a/geheim@h/x", "postgresql://h/x?pass%77ord=geheim&host=/none",
                "postgresql://u:geheim?@h/x?nonsense=1", "postgres://u:geheim@h:99999999/x"):
        machine.environment["STEMMA_STORE"] = url
        want(machine.run("log", status=None).returncode in (1, 2), f"{url} is no store")
        machine.run("doctor", status=None)
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                want(SECRET.encode() not in file.read(), f"{where}/{name} holds a password")


PARTS = (same_answers, duplicates, started, many_writers, pruned, killed_clients, killed_server, unsure_commits,
         served, out_of_reach, rewritten, lies, roles, passwords, secrets)


def main():
    if not is_there():
        print("[stemma-skip] PostgreSQL's server is not installed: scripts/setup installs it")
        return 1 if os.environ.get("CI") else 0
    with Server() as server, tempfile.TemporaryDirectory(prefix="stemma-shared-") as folder:
        named = [word for word in sys.argv[2:] if word != "--long"]
        for part in (part for part in PARTS if not named or part.__name__ in named):
            begin = time.monotonic()
            part(folder, server)
            print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    print("\n".join(FAILURES) if FAILURES else "shared store: all holds")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
