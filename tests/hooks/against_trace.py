#!/usr/bin/env python3
"""Judges a manifest by a trace of system calls: builds a tree plain, under `strace -f` and under `stemma build`.

usage: against_trace.py STEMMA --tree FOLDER --command COMMAND [--options WORDS] [--user NAME] [--keep FOLDER [--again]]

Each build happens in a fresh copy of FOLDER at one and the same path, and COMMAND runs there in a shell.
Said is, line by line, and the exit is 3 when there is any such line:

  bytes       a file that two unwatched builds make equal, and the watched one otherwise
  missing     a file that a step opened for reading by the trace, and that is no input of the artifact's step
  unread      an input of a step that no process of that step opened by the trace
  unwritten   an artifact that nobody wrote by the trace
  lost        an ELF file, archive or package that the build left behind and that is no artifact
  unrecorded  an artifact without a step, though the trace shows who wrote it
  gone        an artifact that is not there any more, or has other bytes
  copy        a copy that has not the bytes of what it comes from
  package     a system file whose package is not what dpkg says
  hole        what the manifest declares that it did not see
"""
import argparse
import base64
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

WITH_ALL_BELOW = ("compile", "link", "archive", "pack", "install")
IGNORED = ("/proc/", "/sys/", "/dev/")
CALLS = ("open,openat,openat2,creat,execve,execveat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
         "chdir,fchdir,fork,vfork,clone,clone3,exit_group")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(top):
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in (".git", ".stemma")]
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def unescaped(text):
    """strace's C string: what stands between its quotes."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1").decode("utf-8", "surrogateescape")


def interpreter_of(program):
    try:
        with open(program, "rb") as file:
            head = file.read(256)
    except OSError:
        return program
    words = head[2:].split(b"\n")[0].split() if head[:2] == b"#!" else []
    return os.path.realpath(words[0].decode()) if words else program


def is_tried_out(path):
    """CMake and meson leave programs behind with which they try the compiler."""
    return "/meson-private/" in path or "/CMakeFiles/" in path and "/CompilerId" in path


def is_archive(path):
    with open(path, "rb") as file:
        return file.read(8) in (b"!<arch>\n", b"!<thin>\n")


class Process:
    def __init__(self, pid, parent):
        self.pid, self.parent = pid, parent
        self.cwd = parent.cwd if parent else None
        self.children, self.images, self.reads, self.writes, self.events = [], [], set(), set(), []
        if parent:
            parent.children.append(self)

    def below(self):
        yield self
        for child in self.children:
            yield from child.below()


class Trace:
    """Who opened what, from `strace -f -y`; threads count as their process."""
    STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')

    def __init__(self, path, folder):
        self.by_pid, self.all, self.folder, self.clock = {}, [], folder, 0
        with open(path, encoding="latin-1") as lines:
            calls = list(self.whole_calls(lines))
        # A child is heard of before its parent's call returns.
        self.births = {}
        for number, (pid, text) in enumerate(calls):
            match = re.match(r"(?:v?fork|clone3?)\(.*= (\d+)$", text)
            if match:
                self.births.setdefault(int(match.group(1)), []).append((number, pid, "CLONE_THREAD" in text))
        for number, (pid, text) in enumerate(calls):
            self.take(number, pid, text)

    @staticmethod
    def whole_calls(lines):
        """A call that others interrupt stands where it returned."""
        waiting = {}
        for line in lines:
            pid, _, text = line.rstrip("\n").partition(" ")
            text = text.strip()
            if text.endswith("<unfinished ...>"):
                waiting[pid] = text[:-len("<unfinished ...>")].rstrip()
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
            yield int(pid), waiting.pop(pid, "") + resumed.group(1) if resumed else text

    def process_at(self, number, pid):
        """The process of a call: process ids come again, so the next birth of this one tells its parent."""
        births = self.births.get(pid, [])
        while births and pid not in self.by_pid:
            at, parent, is_thread = births[0]
            above = self.by_pid.get(parent) or self.process_at(number, parent)
            self.by_pid[pid] = above if is_thread else self.born(pid, above)
        return self.by_pid.get(pid) or self.born(pid, None)

    def born(self, pid, parent):
        process = Process(pid, parent)
        process.cwd = process.cwd or self.folder
        self.by_pid[pid] = process
        self.all.append(process)
        return process

    def take(self, number, pid, text):
        if text.startswith("+++ "):
            self.by_pid.pop(pid, None)
            if self.births.get(pid):
                self.births[pid].pop(0)
            return
        match = re.match(r"(\w+)\((.*)\)\s+= (-?\d+)(?:<(.*)>)?(?: .*)?$", text)
        if not match:
            return
        call, arguments, result, opened = match.group(1), match.group(2), int(match.group(3)), match.group(4)
        process = self.process_at(number, pid)
        if result < 0:
            return
        self.clock += 1
        if call in ("open", "openat", "openat2", "creat") and opened:
            self.open(process, call, arguments, self.fd_path(opened))
        elif call in ("chdir", "fchdir"):
            self.move(process, call, arguments)
        elif call in ("execve", "execveat"):
            self.become(process, arguments)
        elif call in ("rename", "renameat", "renameat2", "link", "linkat"):
            self.rename(process, arguments)
        elif call in ("symlink", "symlinkat"):
            self.symlink(process, arguments)

    @staticmethod
    def fd_path(text):
        path = unescaped(text)
        return path[:-len(" (deleted)")] if path.endswith(" (deleted)") else path

    def open(self, process, call, arguments, path):
        if "O_DIRECTORY" in arguments or "O_PATH" in arguments or not path.startswith("/") or path.startswith(IGNORED):
            return
        if call == "creat" or "O_WRONLY" in arguments or "O_RDWR" in arguments or "O_TRUNC" in arguments:
            process.writes.add(path)
            process.events.append((self.clock, "w", path))
            if "O_RDWR" in arguments and "O_TRUNC" not in arguments and "O_CREAT" not in arguments:
                process.events.append((self.clock, "u", path))
        else:
            process.reads.add(path)
            process.events.append((self.clock, "r", path))

    def move(self, process, call, arguments):
        if call == "fchdir":
            match = re.match(r"\d+<(.*)>", arguments)
            process.cwd = unescaped(match.group(1)) if match else process.cwd
        else:
            process.cwd = os.path.normpath(os.path.join(process.cwd, unescaped(self.STRING.search(arguments).group(1))))

    def become(self, process, arguments):
        head, _, words = arguments.partition("[")
        path = unescaped(self.STRING.search(head).group(1))
        argv = [unescaped(word) for word in self.STRING.findall(words[:words.rfind("]")])]
        program = os.path.realpath(os.path.join(process.cwd, path))
        process.images.append((argv, process.cwd))
        process.reads.add(program)
        process.events.append((self.clock, "r", program))
        process.reads.add(interpreter_of(program))  # the kernel opens it: no call shows that

    def rename(self, process, arguments):
        names = [unescaped(word) for word in self.STRING.findall(arguments)]
        folders = [unescaped(folder) for folder in re.findall(r"(?:AT_FDCWD|\d+)<(.*?)>", arguments)]
        if len(names) != 2:
            return
        folders = folders if len(folders) == 2 else [process.cwd] * 2
        source, target = (os.path.normpath(os.path.join(folder, name)) for folder, name in zip(folders, names))
        process.events.append((self.clock, "r", source))
        process.events.append((self.clock, "w", target))
        process.reads.add(source)
        process.writes.add(target)

    def symlink(self, process, arguments):
        target, link = (unescaped(word) for word in self.STRING.findall(arguments))
        folder = re.search(r"(?:AT_FDCWD|\d+)<(.*?)>", arguments)
        link = os.path.normpath(os.path.join(unescaped(folder.group(1)) if folder else process.cwd, link))
        process.reads.add(os.path.realpath(os.path.join(os.path.dirname(link), target)))
        process.writes.add(link)

    def writers(self, path):
        return [process for process in self.all if path in process.writes]

    def steps(self, argv, cwd):
        return [process for process in self.all if any(a == argv and c == cwd for a, c in process.images)]


def inputs_of(processes):
    """What they read that none of them wrote before."""
    events = sorted(event for process in processes for event in process.events)
    written, read = set(), set()
    for _, what, path in events:
        if what == "w":
            written.add(path)
        elif path not in written or what == "u":
            read.add(path)
    return read


class Judge:
    def __init__(self, manifest, trace, work):
        self.manifest, self.trace, self.work = manifest, trace, work
        self.files, self.steps = manifest["files"], manifest["steps"]
        self.root = manifest["run"]["root"] or work
        self.complaints = []
        self.seen = set()

    def complain(self, kind, text):
        if (kind, text) not in self.seen:
            self.seen.add((kind, text))
            self.complaints.append((kind, text))

    def path(self, index):
        name = self.files[index]["path"]
        if not isinstance(name, str):  # bytes that are no UTF-8
            name = os.fsdecode(base64.b64decode(name["b64"]))
        return name if name.startswith("/") else os.path.join(self.root, name)

    def paths(self, indexes):
        return {self.path(index) for index in indexes}

    def folder(self, step):
        cwd = step["cwd"]
        return os.path.normpath(cwd if cwd.startswith("/") else os.path.join(self.root, cwd))

    def judge(self):
        for artifact in self.manifest["artifacts"]:
            self.judge_artifact(artifact)
        for step in self.steps:
            if step["outputs"]:
                self.judge_step(step)
        self.judge_left_behind()
        self.judge_packages()
        for hole in self.manifest["holes"]:
            self.complain("hole", f"{hole['program']}: {hole['reason']}")
        return self.complaints

    def judge_artifact(self, artifact):
        path = self.path(artifact["file"])
        if not os.path.isfile(path) or sha256(path) != self.files[artifact["file"]]["sha256"]:
            self.complain("gone", path)
        writers = self.trace.writers(path)
        if artifact["step"] is None:
            self.complain("unrecorded", path)
        elif not writers:
            self.complain("unwritten", path)

    def judge_step(self, step):
        """The step's processes by the trace: those with its arguments, that wrote one of its outputs themselves or below."""
        outputs = self.paths(step["outputs"])
        inputs = self.paths(step["inputs"])
        if step["tool"] is not None:
            inputs.add(self.path(step["tool"]))
        alike = self.trace.steps(step["argv"], self.folder(step))
        processes = [p for p in alike if any(outputs & q.writes for q in p.below())]
        if not processes and len(alike) == 1:  # it prints into a file that its parent opened
            processes = alike
        if not processes:
            processes = [p for path in outputs for p in self.trace.writers(path)]
        name = f"{' '.join(sorted(os.path.relpath(p, self.work) for p in outputs))[:120]} ({step['kind']}: {' '.join(step['argv'])[:60]})"
        if not processes:
            return
        if step["kind"] == "copy" and len(step["inputs"]) == 1:
            self.judge_copy(step, name)
            return
        # What a script or a build tool runs are steps of their own; what it wrote itself counts here.
        everything = {q for p in processes for q in p.below() if step["kind"] in WITH_ALL_BELOW or outputs & q.writes}
        members = {p.partition("(")[0] for p in inputs if p.endswith(")")}
        needed = {p for p in inputs_of(everything) if self.counts(p) and not is_tried_out(p)} - outputs
        if step["kind"] == "link":  # of which it may have taken no member
            needed = {p for p in needed if not is_archive(p)}
        for path in sorted(needed - inputs - members):
            self.complain("missing", f"{path} of {name}")
        opened = {path for process in processes for q in self.reach(process, step["kind"]) for path in q.reads}
        for path in sorted(inputs - opened):
            # Members of archives are no files; temporary files have another name in each build.
            if not path.endswith(")") and (os.path.exists(path) or path.startswith(self.work)):
                self.complain("unread", f"{path} of {name}")

    def judge_copy(self, step, name):
        source, target = self.files[step["inputs"][0]], self.files[step["outputs"][0]]
        if source["sha256"] != target["sha256"] and source["path"] != target["path"]:  # else it was changed in place
            self.complain("copy", f"{source['path']} of {name}")

    @staticmethod
    def reach(process, kind):
        """Whose reads may count: all below, and above for what was redirected; of no compiler's or linker's step also those
        beside it: a pipeline is one step, and so is a shell with what it takes in."""
        above = process if kind in WITH_ALL_BELOW else process.parent or process
        found = set(above.below())
        while above:
            found.add(above)
            above = above.parent
        return found

    def counts(self, path):
        return os.path.isfile(path) and not path.startswith(IGNORED) and "/.git/" not in path and "/ccache/" not in path

    def judge_left_behind(self):
        known = {self.path(a["file"]) for a in self.manifest["artifacts"]}
        for path in files_below(self.work):
            with open(path, "rb") as file:
                head = file.read(8)
            binary = head[:4] == b"\x7fELF" or head == b"!<arch>\n"
            if binary and path not in known and not is_tried_out(path) and self.trace.writers(path):
                self.complain("lost", path)

    def judge_packages(self):
        """By dpkg's own lists of files, where /bin and /usr/bin are one folder."""
        def merged(path):
            return re.sub(r"^/(bin|sbin|lib|lib32|lib64|libx32)/", r"/usr/\1/", path)

        owners = {}
        for path in glob.glob("/var/lib/dpkg/info/*.list"):
            name = os.path.basename(path)[:-len(".list")].partition(":")[0]
            with open(path, encoding="utf-8", errors="surrogateescape") as lines:
                for line in lines:
                    owners.setdefault(merged(line.rstrip("\n")), set()).add(name)
        for file in self.files:
            if file["state"] != "system":
                continue
            package = file["package"]
            mine = urllib.parse.unquote(re.match(r"pkg:deb/debian/([^@]+)@", package).group(1)) if package else None
            known = owners.get(merged(file["path"]), set())
            if (mine is None and known) or (mine is not None and mine not in known):
                self.complain("package", f"{file['path']}: {package} and not {sorted(known)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stemma")
    parser.add_argument("--tree", required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--options", default="", help="of `stemma build`")
    parser.add_argument("--keep", help="where the manifest, trace and tree are left")
    parser.add_argument("--user", help="who builds")
    parser.add_argument("--again", action="store_true", help="judges what --keep left there, without building")
    arguments = parser.parse_args()
    stemma = os.path.abspath(arguments.stemma)
    top = arguments.keep or tempfile.mkdtemp(prefix="stemma-trace-")
    os.makedirs(top, exist_ok=True)
    os.chmod(top, 0o777)
    top = os.path.realpath(top)
    work = f"{top}/work"
    environment = dict(os.environ, STEMMA_STORE=f"{top}/state/lineage.db", LC_ALL="C", HOME=top, SOURCE_DATE_EPOCH="1700000000")

    def run(prefix):
        if arguments.again:
            return {}
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(arguments.tree, work, symlinks=True)
        argv = [*prefix, "sh", "-c", arguments.command]
        if arguments.user:
            subprocess.run(["chown", "-R", arguments.user, top], check=True)
            argv = ["setpriv", f"--reuid={arguments.user}", "--clear-groups", *argv]
        result = subprocess.run(argv, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if result.returncode != 0:
            sys.exit(f"{argv} failed:\n{result.stdout.decode(errors='replace')[-3000:]}")
        return {path: sha256(path) for path in files_below(work)}

    plain = run([])
    traced = run(["strace", "-f", "-y", "-s", "1000000", "--seccomp-bpf", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", f"{top}/trace"])
    watched = run([stemma, "build", *arguments.options.split(), "--out", f"{top}/manifest.json", "--"])
    with open(f"{top}/manifest.json", encoding="utf-8") as file:
        manifest = json.load(file)
    trace = Trace(f"{top}/trace", work)
    judge = Judge(manifest, trace, work)
    for path in sorted(set(plain) | set(watched)):
        if plain.get(path) != watched.get(path) and plain.get(path) == traced.get(path):
            judge.complain("bytes", path)
    complaints = judge.judge()
    for kind, text in complaints:
        print(f"{kind:<11} {text}")
    print(f"{len(manifest['artifacts'])} artifacts, {len(manifest['steps'])} steps, {len(manifest['files'])} files; "
          f"{len(trace.all)} processes traced; {len(complaints)} complaints")
    if not arguments.keep:
        shutil.rmtree(top, ignore_errors=True)
    sys.exit(3 if complaints else 0)


if __name__ == "__main__":
    main()
