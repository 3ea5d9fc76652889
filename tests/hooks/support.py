"""Runs builds under `stemma build` in throw-away folders and reads their manifests."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

STEMMA, HOOK, BUILD_TREE = (os.path.abspath(word) for word in sys.argv[1:4])


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def needs(*programs):
    missing = [name for name in programs if shutil.which(name) is None]
    return unittest.skipIf(missing, f"[stemma-skip] not installed: {', '.join(missing)}")


def is_sanitized():
    with open(os.path.join(BUILD_TREE, "CMakeCache.txt"), encoding="utf-8") as file:
        return any(line.startswith("STEMMA_SANITIZE:") and line.strip().split("=", 1)[1] for line in file)


class Manifest:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.json = json.load(file)
        self.files = self.json["files"]
        self.steps = self.json["steps"]
        self.artifacts = self.json["artifacts"]
        self.holes = self.json["holes"]

    def file(self, path):
        found = [f for f in self.files if f["path"] == path]
        assert found, f"{path} is not in the manifest: {[f['path'] for f in self.files if f['state'] != 'system']}"
        return found[-1]

    def artifact(self, path):
        for artifact in self.artifacts:
            if self.files[artifact["file"]]["path"] == path:
                return artifact
        return None

    def step_of(self, path):
        artifact = self.artifact(path)
        assert artifact, f"no artifact {path}: {self.artifact_paths()}"
        assert artifact["step"] is not None, f"{path} is unrecorded"
        return self.steps[artifact["step"]]

    def paths(self, indexes, system=False):
        return sorted(self.files[i]["path"] for i in indexes if system or self.files[i]["state"] != "system")

    def inputs(self, path, system=False):
        return self.paths(self.step_of(path)["inputs"], system)

    def artifact_paths(self):
        return sorted(self.files[a["file"]]["path"] for a in self.artifacts)

    def sources_behind(self, path):
        """Every file that no step made, from which `path` comes."""
        made = {}
        for step in self.steps:
            for output in step["outputs"]:
                if output not in step["inputs"]:
                    made[output] = step
        found, looked = set(), set()
        wanted = [a["file"] for a in self.artifacts if self.files[a["file"]]["path"] == path]
        while wanted:
            index = wanted.pop()
            if index in looked:
                continue
            looked.add(index)
            if index in made:
                wanted.extend(made[index]["inputs"])
                if made[index]["tool"] is not None:
                    found.add(self.files[made[index]["tool"]]["path"])
            else:
                found.add(self.files[index]["path"])
        return found

    def normalised(self):
        copy = json.loads(json.dumps(self.json))
        del copy["run"]
        for hole in copy["holes"]:
            hole["pid"] = 0
        return copy


class BuildCase(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="stemma-builds-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.work = os.path.join(self.folder, "work")
        os.mkdir(self.work)
        self.environment = dict(os.environ, STEMMA_STORE=os.path.join(self.folder, "state", "lineage.db"),
                                LC_ALL="C", GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null")
        for name in ("STEMMA_OBSERVER", "STEMMA_JOURNAL", "CCACHE_DIR"):
            self.environment.pop(name, None)
        self.count = 0

    def write(self, path, text, mode=0o644):
        full = os.path.join(self.work, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(full, mode)
        return full

    def read(self, path):
        with open(self.at(path), "rb") as file:
            return file.read()

    def run_plain(self, command, check=True, cwd=None, **more):
        result = subprocess.run(command, cwd=cwd or self.work, env=self.environment, shell=isinstance(command, str),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        if check:
            self.assertEqual(result.returncode, 0, f"{command}: {result.stdout} {result.stderr}")
        return result

    def observe(self, command, options=(), check=True, cwd=None, **more):
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        result = subprocess.run([STEMMA, "-q", "build", *options, "--", *argv], cwd=cwd or self.work,
                                env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        if check:
            self.assertEqual(result.returncode, 0, f"{argv}: {result.stdout} {result.stderr}")
        return result

    def build(self, command, options=(), cwd=None, **more):
        self.count += 1
        out = os.path.join(self.folder, f"manifest-{self.count}.json")
        self.observe(command, ["--out", out, *options], cwd=cwd, **more)
        return Manifest(out)

    def git(self, *words, cwd=None):
        return self.run_plain(["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always",
                               *words], cwd=cwd).stdout.decode().strip()

    def commit_all(self, cwd=None):
        if not os.path.exists(os.path.join(cwd or self.work, ".git")):
            self.git("init", "-q", ".", cwd=cwd)
        self.git("add", "-A", cwd=cwd)
        self.git("commit", "-q", "-m", "one", cwd=cwd)
        return self.git("rev-parse", "HEAD", cwd=cwd)

    def at(self, path):
        return os.path.join(self.work, path)
