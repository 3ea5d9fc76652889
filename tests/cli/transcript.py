#!/usr/bin/env python3
"""usage: transcript.py --bin FOLDER[:FOLDER…] TRANSCRIPT|PAGE.md

Runs a recorded session again and compares what it prints. A transcript's lines:

    # text        a remark
    % command     run silently; has to succeed
    $ command     run by sh, in one temporary folder per transcript; what follows is what it printed,
                  on both streams, as they came
    ? 2           the exit of the command above, when it is not 0

What differs in every run is written as <uuid>, <time>, <sha256>, <id> (other long hexadecimal
names), <n> (seconds), <dir> (the temporary folder) and <home> (the one above it). STEMMA_ACCEPT=1 rewrites the transcript
with what is printed now and reports the test as skipped, never as passed.

Of a page, the blocks ```console are one session, run where the project's examples/ is; the page shows
what was really printed, which is compared as above.
"""
import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile

TIMEOUT_S = 240
EXAMPLES = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../examples"))

VARYING = [
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", "<time>"),
    (r"\b[0-9a-f]{64}\b", "<sha256>"),
    (r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{10,63}\b", "<id>"),
    (r"\b\d+(\.\d+)? (ms|s)\b", "<n> s"),
]


class Run:
    """One command of a transcript, with what it printed when it was recorded."""

    def __init__(self, command, silent):
        self.command = command
        self.silent = silent
        self.lines = []
        self.status = 0


def parse(text):
    """Splits a transcript into remarks (strings) and runs, in order."""
    items = []
    for line in text.splitlines():
        current = items[-1] if items and isinstance(items[-1], Run) else None
        if line.startswith("# ") or line == "#":
            items.append(line)
        elif line.startswith("$ ") or line.startswith("% "):
            items.append(Run(line[2:], line[0] == "%"))
        elif re.fullmatch(r"\? \d+", line) and current:
            current.status = int(line[2:])
        elif current and not current.silent:
            current.lines.append(line)
        elif line:
            sys.exit(f"transcript: a line that belongs to no command: {line}")
    return items


CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def console_blocks(page):
    """What stands in the page's sessions, exits left out: a page does not show them."""
    return "".join(CONSOLE.findall(page))


def with_blocks(page, lines):
    """The page with the lines of a session put into its blocks, command by command."""
    commands = []
    for line in lines:
        if line.startswith("$ "):
            commands.append([])
        commands[-1].append(line)
    taken = iter(commands)

    def refill(block):
        count = sum(line.startswith("$ ") for line in block.group(1).splitlines())
        return "```console\n" + "".join(line + "\n" for _ in range(count) for line in next(taken)) + "```"

    return CONSOLE.sub(refill, page)


def normal(text, folder):
    text = text.replace(folder, "<dir>").replace(os.path.dirname(folder), "<home>")
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text)
    return [line.rstrip() for line in text.splitlines()]


def environment(bins, folder):
    keep = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "ASAN_OPTIONS") if key in os.environ}
    return keep | {
        "PATH": bins + ":/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "HOME": folder, "TMPDIR": folder, "LC_ALL": "C.UTF-8", "TZ": "UTC", "NO_COLOR": "1", "COLUMNS": "100",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t.example",
        "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t.example",
        "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    }


def replay(items, bins, folder, shape):
    """The transcript's lines as they are now; shape(text, folder) gives the lines of what was printed."""
    now = []
    work = os.path.join(folder, "work")
    os.mkdir(work)
    os.symlink(EXAMPLES, os.path.join(work, "examples"))
    for item in items:
        if isinstance(item, str):
            now.append(item)
            continue
        done = subprocess.run(["sh", "-c", item.command], cwd=work, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S,
                              env=environment(bins, folder), check=False)
        printed = shape(done.stdout.decode("utf-8", "replace"), work)
        if item.silent:
            if done.returncode != 0:
                sys.exit(f"transcript: preparation failed: {item.command}\n" + "\n".join(printed))
            now.append("% " + item.command)
            continue
        now += ["$ " + item.command] + printed
        if done.returncode != 0:
            now.append(f"? {done.returncode}")
    return now


def recorded(items):
    lines = []
    for item in items:
        if isinstance(item, str):
            lines.append(item)
        elif item.silent:
            lines.append("% " + item.command)
        else:
            lines += ["$ " + item.command] + item.lines
            lines += [f"? {item.status}"] if item.status else []
    return lines


def differ(then, now):
    """Says what is different; whether anything is."""
    if now == then:
        return False
    print("\n".join(difflib.unified_diff(then, now, "recorded", "now", lineterm="")))
    print("STEMMA_ACCEPT=1 in the environment rewrites what was recorded")
    return True


def accept(path, text, same):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"[stemma-skip] {path} was {'left' if same else 'rewritten'}")


def check_page(path, page, run):
    session = parse(console_blocks(page))
    if not session:
        sys.exit(f"transcript: {path} has no console blocks")
    now = [line for line in run(session, lambda text, _: [line.rstrip() for line in text.splitlines()])
           if not re.fullmatch(r"\? \d+", line)]
    then = recorded(session)
    if os.environ.get("STEMMA_ACCEPT") == "1":
        accept(path, with_blocks(page, now), now == then)
        return 0
    if differ(normal("\n".join(then), "/nowhere/at/all"), normal("\n".join(now), "/nowhere/at/all")):
        return 1
    print(f"{len(session)} commands of the page print what it shows")
    return 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", required=True)
    options.add_argument("transcript")
    given = options.parse_args()
    with open(given.transcript, encoding="utf-8") as file:
        text = file.read()

    def run(session, shape):
        folder = os.path.realpath(tempfile.mkdtemp(prefix="stemma-cli-"))
        try:
            return replay(session, given.bin, folder, shape)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    if given.transcript.endswith(".md"):
        return check_page(given.transcript, text, run)
    items = parse(text)
    now = run(items, normal)
    then = recorded(items)
    if os.environ.get("STEMMA_ACCEPT") == "1":
        accept(given.transcript, "\n".join(now) + "\n", now == then)
        return 0
    if differ(then, now):
        return 1
    print(f"{sum(isinstance(item, Run) for item in items)} commands print what was recorded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
