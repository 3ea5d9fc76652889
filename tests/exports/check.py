#!/usr/bin/env python3
"""Runs `stemma export` on a build made here and checks what it writes with other programs.

usage: check.py STEMMA
"""
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import validators  # noqa: E402

FAILURES = []
LIBC = "pkg:deb/debian/libc6-dev@2.36-9%2Bdeb12u9?arch=amd64"
GCC = "pkg:deb/debian/gcc-12@12.2.0-14?arch=amd64"


def want(holds, text):
    if not holds:
        FAILURES.append(text)
    return holds


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Build:
    """A small build with real files on disk: two sources, a generated one, a library, a program."""

    def __init__(self, root):
        self.root = root
        self.files, self.at = [], {}
        self.system = os.path.join(root, "sys")
        commit = "8" * 40
        for path in ("src/main.c", "src/price.c", "include/price.h", "tools/gen.py"):
            self.add(path, state="clean", repo="https://example.org/shop.git")
        self.add("conf/shop.conf", state="dirty", repo="https://example.org/shop.git")
        for path in ("build/gen.c", "build/main.o", "build/price.o", "build/gen.o",
                     "build/libprice.a", "build/shopd", "build/shop.deb"):
            self.add(path, state="generated", repo="https://example.org/shop.git")
        for path, package in (("stdio.h", LIBC), ("libc.so.6", LIBC), ("crt1.o", LIBC),
                              ("gcc", GCC), ("python3", None), ("ld", None)):
            self.add(os.path.join(self.system, path), state="system", repo="", package=package)
        steps = [
            self.step("generate", "python3", ["tools/gen.py"], ["build/gen.c"]),
            self.step("compile", "gcc", ["src/main.c", "include/price.h", "stdio.h"], ["build/main.o"]),
            self.step("compile", "gcc", ["src/price.c", "include/price.h"], ["build/price.o"]),
            self.step("compile", "gcc", ["build/gen.c"], ["build/gen.o"]),
            self.step("archive", "ld", ["build/price.o", "build/gen.o"], ["build/libprice.a"]),
            self.step("link", "ld", ["build/main.o", "build/libprice.a", "libc.so.6", "crt1.o"],
                      ["build/shopd"]),
            self.step("pack", None, ["build/shopd", "conf/shop.conf"], ["build/shop.deb"]),
        ]
        artifacts = [self.artifact("build/main.o", "object", 1), self.artifact("build/price.o", "object", 2),
                     self.artifact("build/libprice.a", "archive", 4),
                     self.artifact("build/shopd", "executable", 5, "a1b2c3d4"),
                     self.artifact("build/shop.deb", "package", 6)]
        self.manifest = {
            "artifacts": artifacts, "complete": True, "files": self.files, "holes": [],
            "build": {"branch": "main", "commit": commit, "dirty": ["conf/shop.conf"], "name": "shop",
                      "repo": "https://example.org/shop.git", "toolchain": "GNU 12.2.0"},
            "run": {"finished": "2026-01-02T03:04:06.000000Z", "id": "01941f29-7c00-7000-8000-000000000001",
                    "machine": "builder 1", "root": root, "started": "2026-01-02T03:04:05.000000Z",
                    "user": "ada"},
            "schema": "stemma.manifest/1", "steps": steps}

    def add(self, path, state, repo, package=None):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        data = f"content of {os.path.basename(path)}\n".encode()
        with open(full, "wb") as file:
            file.write(data)
        header = b"blob %d\0" % len(data)
        self.at[path] = self.at[os.path.basename(path)] = len(self.files)
        self.files.append({
            "blob": hashlib.sha1(header + data).hexdigest() if repo else None, "index_blob": None,
            "package": package, "path": path, "repo": repo, "sha256": sha256(data),
            "size": len(data), "state": state})

    def step(self, kind, tool, inputs, outputs):
        return {"argv": [tool or "pack", "-o", *outputs, "a b"], "cwd": "build", "exit": 0,
                "inputs": sorted(self.at[i] for i in inputs), "kind": kind,
                "outputs": sorted(self.at[o] for o in outputs), "target": "",
                "tool": self.at[tool] if tool else None}

    def artifact(self, path, kind, step, build_id=None):
        return {"build_id": build_id, "file": self.at[path], "kind": kind,
                "name": os.path.basename(path), "step": step, "target": ""}

    def digest(self, path):
        return self.files[self.at[path]]["sha256"]

    def write(self, name="shop.manifest", **changes):
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**self.manifest, **changes}, file)
        return path


class Program:
    def __init__(self, path):
        self.path = path

    def __call__(self, *words, status=0):
        done = subprocess.run([self.path, *words], capture_output=True, check=False)
        want(done.returncode == status,
             f"stemma {' '.join(words)}: exit {done.returncode}, not {status}: "
             f"{done.stderr.decode()}{done.stdout.decode()[:500]}")
        return done.stdout.decode()


def check_document(name, document):
    for complaint in validators.VALIDATORS[name](document):
        want(False, f"{name}: {complaint}")
    by_schema = validators.against_schema(name, document)
    if by_schema is None:
        return f"{name}: structural validator (its schema is not installed)" if name in (
            "spdx", "cyclonedx") else f"{name}: structural validator"
    for complaint in by_schema[:10]:
        want(False, f"{name}: schema: {complaint}")
    return f"{name}: structural validator and published schema"


def check_slsa(stemma, build):
    lines = stemma("export", "--as", "slsa", build.write()).splitlines()
    names = [json.loads(line)["subject"][0]["name"] for line in lines]
    want(sorted(names) == ["shop.deb", "shopd"], f"deliverables are {names}")
    for line in lines:
        used = check_document("statement", json.loads(line))
    statement = json.loads(lines[names.index("shopd")])
    dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    found = {(d["name"], d["digest"].get("sha256")) for d in dependencies}
    expected = {build.files[build.at[p]]["path"] for p in (
        "src/main.c", "src/price.c", "include/price.h", "tools/gen.py", "stdio.h", "libc.so.6",
        "crt1.o", "gcc", "python3", "ld")}
    want({n for n, d in found if d} == expected, f"shopd depends on {sorted(n for n, _ in found)}")
    want(dependencies[0]["digest"] == {"gitCommit": "8" * 40}, "the first dependency is the checkout")
    for dependency in dependencies[1:]:
        path = os.path.join(build.root, dependency["name"])
        with open(path, "rb") as file:
            data = file.read()
        want(dependency["digest"]["sha256"] == sha256(data), f"sha256 of {path}")
        if "gitBlob" in dependency["digest"]:
            blob = subprocess.run(["git", "hash-object", path], capture_output=True, text=True,
                                  check=True).stdout.strip()
            want(dependency["digest"]["gitBlob"] == blob, f"gitBlob of {path}")
    return used


def check_boms(stemma, build, checks):
    manifest = build.write()
    hole = build.write("hole.manifest", complete=False,
                       holes=[{"pid": 7, "program": "go", "reason": "static"}])
    for name in ("spdx", "cyclonedx"):
        for words in ((), ("--only", "shopd"), ("--root", build.root), ("--only", "main.o")):
            text = stemma("export", "--as", name, manifest, *words)
            used = check_document(name, json.loads(text))
            want(text == stemma("export", "--as", name, manifest, *words), f"{name}: other bytes")
        text = stemma("export", "--as", name, hole, status=4)
        check_document(name, json.loads(text))
        want("static" in text, f"{name} does not tell of the hole")
        checks.append(used)
    document = json.loads(stemma("export", "--as", "spdx", manifest, "--root", build.root))
    for file in document["files"]:
        with open(os.path.join(build.root, file["fileName"]), "rb") as content:
            data = content.read()
        sums = {c["algorithm"]: c["checksumValue"] for c in file["checksums"]}
        want(sums == {"SHA1": hashlib.sha1(data).hexdigest(), "SHA256": sha256(data)},
             f"checksums of {file['fileName']}")
    bom = json.loads(stemma("export", "--as", "cyclonedx", manifest, "--only", "shopd"))
    linked = {c["purl"] for c in bom["components"]}
    want(linked == {LIBC}, f"shopd is linked with {linked}")
    tasks = bom["formulation"][0]["workflows"][0]["tasks"]
    want(len(tasks) == 6, f"shopd took {len(tasks)} tasks, not 6")


def check_omnibor(stemma, build):
    out = os.path.join(build.root, "omnibor")
    stemma("export", "--as", "omnibor", build.write(), "--out", out)
    repo = os.path.join(build.root, "git256")
    subprocess.run(["git", "init", "-q", "--object-format=sha256", repo], check=True)

    def gitoid(path):
        return subprocess.run(["git", "hash-object", path], cwd=repo, capture_output=True, text=True,
                              check=True).stdout.strip()

    with open(os.path.join(out, "targets"), encoding="ascii") as file:
        targets = dict(line.split() for line in file)
    want(list(targets) == sorted(targets), "targets are not sorted")
    texts = {}
    for made, manifest in targets.items():
        path = os.path.join(out, "manifests", "gitoid_blob_sha256", manifest[:2], manifest[2:])
        want(gitoid(path) == manifest, f"manifest {manifest} is not named after its content")
        with open(path, encoding="ascii") as file:
            texts[made] = file.read()
    ids = {p: gitoid(os.path.join(build.root, build.files[build.at[p]]["path"])) for p in build.at}
    want(set(targets) == {ids[p] for p in ("build/gen.c", "build/main.o", "build/price.o",
                                           "build/gen.o", "build/libprice.a", "build/shopd",
                                           "build/shop.deb")}, "not every made file has a manifest")

    def expected(made, inputs):
        lines = sorted(ids[i] + (f" manifest {targets[ids[i]]}" if ids[i] in targets else "")
                       for i in inputs)
        want(texts[ids[made]] == "gitoid:blob:sha256\n" + "".join(f"{line}\n" for line in lines),
             f"input manifest of {made}: {texts[ids[made]]}")

    expected("build/main.o", ["src/main.c", "include/price.h", "stdio.h"])
    expected("build/shopd", ["build/main.o", "build/libprice.a", "libc.so.6", "crt1.o"])
    # A header that changed since: everything above it loses its manifest, nothing else does.
    with open(os.path.join(build.root, "sys/stdio.h"), "a", encoding="ascii") as file:
        file.write("edited\n")
    partial = os.path.join(build.root, "partial")
    stemma("export", "--as", "omnibor", build.write(), "--out", partial, status=4)
    with open(os.path.join(partial, "targets"), encoding="ascii") as file:
        left = {line.split()[0] for line in file}
    want(left == {ids[p] for p in ("build/gen.c", "build/price.o", "build/gen.o",
                                   "build/libprice.a")}, "an incomplete manifest was written")


def check_signatures(stemma, build):
    key = os.path.join(build.root, "release.key")
    bundle = os.path.join(build.root, "shop.intoto.jsonl")
    deb = os.path.join(build.root, "build/shop.deb")
    stemma("key", "generate", key)
    stemma("key", "generate", key, status=1)
    want(os.stat(key).st_mode & 0o777 == 0o600, "the secret key may be read by others")
    stemma("export", "--as", "slsa", build.write(), "--sign", key, "--out", bundle)
    with open(bundle, encoding="ascii") as file:
        lines = file.read().splitlines()
    for line in lines:
        document = json.loads(line)
        check_document("envelope", document)
        kind, body = document["payloadType"].encode(), base64.b64decode(document["payload"])
        check_document("statement", json.loads(body))
        for name, data in (("pae", b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)),
                           ("sig", base64.b64decode(document["signatures"][0]["sig"]))):
            with open(os.path.join(build.root, name), "wb") as file:
                file.write(data)
        checked = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key + ".pub", "-sigfile",
             os.path.join(build.root, "sig"), "-in", os.path.join(build.root, "pae")],
            capture_output=True, check=False)
        want(checked.returncode == 0, f"openssl refuses a signature: {checked.stderr.decode()}")
    verify = ("verify-attestation", bundle, "--key")
    stemma(*verify, key + ".pub", "--subject", deb)
    stemma(*verify, key + ".pub", "--subject", os.path.join(build.root, "src/main.c"), status=5)
    other = os.path.join(build.root, "other.key")
    stemma("key", "generate", other)
    stemma(*verify, other + ".pub", status=5)
    stemma(*verify, other + ".pub", "--key", key + ".pub", "--subject", deb)
    stemma("verify-attestation", bundle, status=2)
    for name in ("spdx", "cyclonedx"):
        stemma("export", "--as", name, build.write(), "--sign", key, "--out", bundle + name)
        stemma("verify-attestation", bundle + name, "--key", key + ".pub", "--subject", deb)
    check_forgeries(stemma, build, lines, verify, key)


def check_forgeries(stemma, build, lines, verify, key):
    bundle = verify[1]
    document = json.loads(lines[0])
    forged = base64.b64decode(document["payload"]).replace(b"shop.git", b"evil.git")
    swapped = {**document, "signatures": json.loads(lines[1])["signatures"]}
    cases = [lines[0][:cut] for cut in (1, len(lines[0]) // 2, len(lines[0]) - 1)]
    cases += [json.dumps({**document, "payload": base64.b64encode(forged).decode()}),
              json.dumps({**document, "payloadType": "text/plain"}), json.dumps(swapped),
              json.dumps({**document, "signatures": []}), "[]", "{}", "null", "\0"]
    for case in cases:
        # Beside a good line: one bad one is enough.
        with open(bundle, "w", encoding="utf-8") as file:
            file.write(lines[1] + "\n" + case + "\n")
        stemma(*verify, key + ".pub", status=5)
    with open(bundle, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1))
    stemma(*verify, key + ".pub")


def main():
    stemma = Program(sys.argv[1])
    checks = []
    if "--published" in sys.argv[2:] and validators.official_schema("cyclonedx") is None:
        print("[stemma-skip] the published CycloneDX schema is not there: tests/schemas/fetch")
        return 0
    with tempfile.TemporaryDirectory(prefix="stemma-exports-") as root:
        build = Build(root)
        checks.append(check_slsa(stemma, build))
        check_boms(stemma, build, checks)
        check_signatures(stemma, build)
        check_omnibor(stemma, build)
        stemma("export", "--as", "spdxx", build.write(), status=2)
        stemma("export", "--as", "spdx", build.write(), "--only", "shopdd", status=1)
        stemma("export", "--as", "spdx", os.path.join(root, "none"), status=1)
    for line in checks:
        print(line)
    print("\n".join(FAILURES) if FAILURES else "exports: all checks hold")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
