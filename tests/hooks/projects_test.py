"""Build systems as people use them: what each one's manifest must say. With STEMMA_NIGHTLY=1 the long ones too."""
import json
import os
import re
import shutil
import sys
import time
import unittest

from support import BUILD_TREE, STEMMA, BuildCase, Manifest, needs, sha256

nightly = unittest.skipUnless(os.environ.get("STEMMA_NIGHTLY"), "a nightly test")


class BuildSystems(BuildCase):
    @needs("meson", "ninja")
    def test_meson(self):
        self.write("meson.build", "project('demo', 'c')\n"
                   "made = custom_target('made', input: 'value', output: 'made.h', capture: true,\n"
                   "                     command: ['sh', '-c', 'echo \"#define MADE $(cat $1)\"', 'sh', '@INPUT@'])\n"
                   "part = static_library('part', 'a.c', 'b.c')\n"
                   "executable('demo', 'main.c', made, link_with: part)\n")
        self.write("value", "7\n")
        self.write("a.c", "int a(void){return 0;}\n")
        self.write("b.c", "int b(void){return 0;}\n")
        self.write("main.c", '#include "made.h"\nint a(void); int main(void){return a() + MADE;}\n')
        self.commit_all()
        manifest = self.build("meson setup build && ninja -C build")
        behind = manifest.sources_behind("build/demo")
        self.assertTrue({"main.c", "a.c", "value"} <= behind)
        self.assertNotIn("b.c", behind)
        self.assertEqual([p for p in manifest.artifact_paths() if "meson-private" in p or "sanitycheck" in p], [])
        self.assertEqual(manifest.holes, [])

    @needs("autoreconf", "automake", "libtoolize")
    def test_autotools_with_libtool(self):
        self.write("configure.ac", "AC_INIT([demo],[1])\nAC_CONFIG_HEADERS([config.h])\nAM_INIT_AUTOMAKE([foreign subdir-objects])\n"
                   "AC_PROG_CC\nAM_PROG_AR\nLT_INIT\nAC_CHECK_HEADERS([stdio.h unistd.h])\nAC_CHECK_FUNCS([puts])\n"
                   "AC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n")
        self.write("Makefile.am", "bin_PROGRAMS = demo\ndemo_SOURCES = main.c\ndemo_LDADD = libpart.la libshared.la\n"
                   "noinst_LTLIBRARIES = libpart.la\nlibpart_la_SOURCES = a.c b.c\n"
                   "lib_LTLIBRARIES = libshared.la\nlibshared_la_SOURCES = s.c\n")
        self.write("a.c", "int a(void){return 0;}\n")
        self.write("b.c", "int b(void){return 0;}\n")
        self.write("s.c", "int s(void){return 0;}\n")
        self.write("main.c", "#include <config.h>\nint a(void), s(void); int main(void){return a() + s() - HAVE_STDIO_H + 1;}\n")
        self.run_plain("autoreconf -i")
        manifest = self.build("./configure --prefix=/nowhere && make -j2")
        self.assertEqual([p for p in manifest.artifact_paths() if "conftest" in p], [])
        program = [p for p in (".libs/demo", "demo") if manifest.artifact(p) and manifest.artifact(p)["kind"] == "executable"][0]
        behind = manifest.sources_behind(program)
        self.assertTrue({"main.c", "a.c", "config.h.in"} <= behind, behind)
        self.assertNotIn("b.c", behind)
        self.assertIn("s.c", manifest.sources_behind(".libs/libshared.so.0.0.0"))
        self.assertEqual(manifest.holes, [])

    @needs("go")
    def test_go_packages(self):
        self.environment.update(GOCACHE=os.path.join(self.folder, "gocache"), GOFLAGS="-mod=mod", GOPROXY="off",
                                GOPATH=os.path.join(self.folder, "gopath"))
        self.write("go.mod", "module m\n\ngo 1.19\n")
        self.write("main.go", 'package main\n\nimport "m/part"\n\nfunc main() { println(part.Value()) }\n')
        self.write("part/part.go", 'package part\n\nimport _ "embed"\n\n//go:embed words.txt\nvar words string\n\n'
                                   "func Value() string { return words }\n")
        self.write("part/words.txt", "x\n")
        self.write("part/other_windows.go", "package part\n")
        behind = self.build("go build -o m .").sources_behind("m")
        self.assertTrue({"main.go", "part/part.go", "part/words.txt"} <= behind,
                        sorted(p for p in behind if not p.startswith("/usr")))

    @needs("cargo")
    def test_cargo_packages(self):
        self.environment.update(CARGO_HOME=os.path.join(self.folder, "cargo"))
        self.write("Cargo.toml", '[package]\nname = "demo"\nversion = "1.0.0"\nedition = "2021"\nbuild = "build.rs"\n')
        self.write("build.rs", 'fn main() { println!("cargo:rerun-if-changed=build.rs"); }\n')
        self.write("src/lib.rs", "mod part;\npub fn value() -> i32 { part::value() }\n")
        self.write("src/part.rs", "pub fn value() -> i32 { 0 }\n")
        self.write("src/main.rs", 'fn main() { std::process::exit(demo::value() + include_str!("none").len() as i32); }\n')
        self.write("src/none", "")
        if self.run_plain("cargo build -q --offline", check=False).returncode != 0:
            self.skipTest("[stemma-skip] cargo does not build")
        shutil.rmtree(self.at("target"))
        first = self.build("cargo build -q --offline")
        names = first.artifact_paths()
        self.assertIn("target/debug/demo", names)
        # Cargo's own files, and what rustc keeps for the next time under a random name.
        self.assertEqual([p for p in names if "/.fingerprint/" in p or "/incremental/" in p or "timestamp" in p], [])
        self.write("src/part.rs", "pub fn value() -> i32 { 0 + 0 }\n")
        os.utime(self.at("src/part.rs"), (time.time() + 5, time.time() + 5))
        again = self.build("cargo build -q --offline", ["--strict"])
        for manifest in (first, again):
            self.assertTrue({"src/main.rs", "src/lib.rs", "src/part.rs", "src/none"} <= manifest.sources_behind("target/debug/demo"),
                            manifest.sources_behind("target/debug/demo"))
            self.assertRegex(manifest.inputs("target/debug/demo")[0], "^target/debug/deps/demo-[0-9a-f]+$")
            self.assertEqual([p for p in manifest.inputs("target/debug/demo") if not p.startswith("target/")], [])

    CONFIGURE = ("#!/bin/sh\nsystem=`(uname -s || echo unknown) 2>/dev/null`\necho looking > configure.log\n"
                 "for i in 1 2; do\necho \"int main(void){return $i;}\" > conftest.c\ngcc -o conftest conftest.c 2>> configure.log\n"
                 "rm -f conftest*\ndone\n"
                 "sed < Makefile.in \"s/SYSTEM/$system/\" > Makefile\nsed < demo.pc.in \"s/SYSTEM/$system/\" > demo.pc\n")

    def test_what_a_configure_script_redirects_comes_from_that_one_file(self):
        self.write("configure", self.CONFIGURE, 0o755)
        self.write("Makefile.in", "demo: main.c\n\tgcc -o demo main.c # SYSTEM\n")
        self.write("demo.pc.in", "Name: SYSTEM\n")
        self.write("main.c", "int main(void){return 0;}\n")
        for command in ("./configure", "sh ./configure", "/bin/bash configure"):
            manifest = self.build(f"{command} && make -B")
            for output in ("demo.pc", "Makefile"):
                inputs = set(manifest.inputs(output))
                self.assertTrue({f"{output}.in"} <= inputs <= {f"{output}.in", "configure"}, (command, output, inputs))
                self.assertEqual(manifest.step_of(output)["argv"][0], "sed")
                os.unlink(self.at(output))
            if command == "./configure": # it schedules, and nobody reads what it notes for itself
                self.assertIsNone(manifest.artifact("configure.log"))
            os.unlink(self.at("configure.log"))
        self.write("pack.sh", "gcc -o demo main.c\ngcc -o other main.c\necho 1.2 > version\n")
        self.assertEqual(self.build("sh pack.sh").step_of("version")["argv"], ["sh", "pack.sh"])

    def test_a_step_is_named_by_the_script_and_not_by_what_it_asks(self):
        self.write("make-version", "version=$(uname -s)\n{ echo \"version $version\"; cat notes; } > version\n")
        self.write("notes", "x\n")
        manifest = self.build("sh ./make-version")
        self.assertEqual(manifest.step_of("version")["argv"], ["sh", "./make-version"])
        self.assertTrue({"make-version", "notes"} <= set(manifest.inputs("version")))

    def test_what_a_shell_reads_is_no_input_of_what_it_installs(self):
        self.write("page.1", "x\n")
        self.write("Makefile", "install:\n\techo page.1 | sed 's/^/- /' | while read dash file; do install -m 644 $$file root; done\n")
        os.mkdir(self.at("root"))
        manifest = self.build("make install")
        inputs = manifest.inputs("root/page.1", system=True)
        self.assertEqual([p for p in inputs if p.endswith(("/sed", "page.1"))], ["page.1"])

    def test_objects_that_a_clone_borrows_are_no_inputs(self):
        other = os.path.join(self.folder, "other")
        os.mkdir(other)
        self.write("../other/version.in", "1\n")
        self.commit_all(cwd=other)
        self.git("clone", "-q", "--bare", other, os.path.join(self.folder, "bare"))
        self.git("-C", os.path.join(self.folder, "bare"), "repack", "-q", "-a", "-d")
        self.git("clone", "-q", "--shared", os.path.join(self.folder, "bare"), "clone")
        manifest = self.build("git log --format=%s > version", cwd=self.at("clone"))
        self.assertEqual([p for p in manifest.inputs("version") if "pack" in p], [])

    @needs("aarch64-linux-gnu-gcc")
    def test_a_cross_compiler_with_its_own_linker(self):
        self.write("a.c", "int a(void){return 0;}\n")
        self.write("b.c", "int b(void){return 0;}\n")
        self.write("main.c", "int a(void); void _start(void){a();}\n")
        tool = "aarch64-linux-gnu-"
        manifest = self.build(f"{tool}gcc -c a.c b.c main.c && {tool}ar rcs libx.a a.o b.o && {tool}gcc -nostdlib -o main main.o libx.a")
        self.assertEqual(manifest.inputs("main"), ["libx.a(a.o)", "main.o"])
        self.assertEqual(manifest.step_of("a.o")["kind"], "compile")
        self.assertEqual(manifest.artifact("main")["kind"], "executable")
        packages = {manifest.files[i]["package"] or "" for i in manifest.step_of("a.o")["inputs"]}
        self.assertTrue(any("aarch64-linux-gnu" in package for package in packages), packages)

    @needs("dh", "dpkg-buildpackage")
    def test_a_debian_package_by_debhelper(self):
        tree = "demo-1"
        self.write(f"{tree}/debian/control", "Source: demo\nMaintainer: T <t@example.org>\nBuild-Depends: debhelper-compat (= 13)\n\n"
                   "Package: demo\nArchitecture: any\nDescription: demo\n A demo.\n")
        self.write(f"{tree}/debian/changelog", "demo (1) unstable; urgency=low\n\n  * One.\n\n -- T <t@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n")
        self.write(f"{tree}/debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n", 0o755)
        self.write(f"{tree}/debian/copyright", "None.\n")
        self.write(f"{tree}/debian/postinst", "#!/bin/sh\nset -e\n#DEBHELPER#\n", 0o755)
        self.write(f"{tree}/Makefile", "demo: main.c\n\t$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<\n"
                   "install: demo\n\tinstall -D -m 755 demo $(DESTDIR)/usr/bin/demo\n\tinstall -D -m 644 demo.conf $(DESTDIR)/etc/demo.conf\n")
        self.write(f"{tree}/main.c", "int main(void){return 0;}\n")
        self.write(f"{tree}/demo.conf", "a=1\n")
        environment = dict(self.environment, DEB_BUILD_OPTIONS="noautodbgsym")
        self.environment = environment
        self.build(["dpkg-buildpackage", "-b", "-us", "-uc", "-d"], cwd=self.at(tree))
        package = [name for name in os.listdir(self.work) if name.endswith(".deb")][0]
        shown = json.loads(self.run_plain([STEMMA, "--json", "pack", package]).stdout)
        links = {item["path"].lstrip("./"): item["link"] for item in shown["items"]}
        self.assertEqual(links["etc/demo.conf"], "source")
        self.assertIn(links["usr/bin/demo"], ("content", "build-id"))
        self.assertNotIn("unexplained", links.values(), links)

    def test_a_script_that_schedules_generates_deletes_renames_and_copies(self):
        self.write("a.c", "int a(void){return 0;}\n")
        self.write("main.c", "int a(void); int main(void){return a();}\n")
        self.write("build.py", "import os, shutil, subprocess\n"
                   "for name in ('a', 'main'):\n"
                   "    open('gen_%s.c' % name, 'w').write(open(name + '.c').read())\n"
                   "    subprocess.check_call(['gcc', '-c', 'gen_%s.c' % name, '-o', name + '.o'])\n"
                   "    os.unlink('gen_%s.c' % name)\n"
                   "subprocess.check_call(['gcc', '-o', 'linked', 'a.o', 'main.o'])\n"
                   "os.rename('linked', 'final')\n"
                   "shutil.copy2('final', 'copy')\n"
                   "os.link('final', 'again')\n")
        manifest = self.build(["python3", "build.py"])
        self.assertEqual(manifest.inputs("a.o"), ["gen_a.c"])
        for output in ("final", "copy", "again"):
            behind = manifest.sources_behind(output)
            self.assertTrue({"a.c", "main.c"} <= behind, (output, behind))
            self.assertNotIn("gen_a.c", behind)

    @needs("cmake", "ninja")
    def test_an_external_project(self):
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.24)\nproject(outer LANGUAGES C)\ninclude(ExternalProject)\n"
                   "ExternalProject_Add(inner SOURCE_DIR ${CMAKE_SOURCE_DIR}/inner INSTALL_DIR ${CMAKE_BINARY_DIR}/prefix\n"
                   "  CMAKE_ARGS -DCMAKE_INSTALL_PREFIX=<INSTALL_DIR> BUILD_BYPRODUCTS ${CMAKE_BINARY_DIR}/prefix/lib/libinner.a)\n"
                   "add_executable(outer main.c)\nadd_dependencies(outer inner)\n"
                   "target_link_libraries(outer ${CMAKE_BINARY_DIR}/prefix/lib/libinner.a)\n")
        self.write("main.c", "int inner(void); int main(void){return inner();}\n")
        self.write("inner/CMakeLists.txt", "cmake_minimum_required(VERSION 3.24)\nproject(inner LANGUAGES C)\n"
                   "add_library(inner STATIC inner.c unused.c)\ninstall(TARGETS inner ARCHIVE DESTINATION lib)\n")
        self.write("inner/inner.c", "int inner(void){return 0;}\n")
        self.write("inner/unused.c", "int unused(void){return 0;}\n")
        self.commit_all()
        manifest = self.build("cmake -B build -G Ninja && cmake --build build")
        behind = manifest.sources_behind("build/outer")
        self.assertTrue({"main.c", "inner/inner.c"} <= behind, behind)
        self.assertNotIn("inner/unused.c", behind)


@needs("strace")
class AgainstATrace(BuildCase):
    """The judge of real projects (against_trace.py), on a small one."""
    MAKEFILE = ("all: demo\nvalue.h: value\n\tsed 's/^/#define VALUE /' < value | cat > $@\n"
                "a.o: a.c value.h\n\tgcc -fPIC -c a.c\n%.o: %.c\n\tgcc -c $<\n"
                "libpart.so.1: a.o\n\tgcc -shared -o $@ a.o && ln -sf libpart.so.1 libpart.so\n"
                "libb.a: b.o unused.o\n\tar rcs $@ b.o unused.o\n"
                "demo: main.o libpart.so.1 libb.a\n\tgcc -o demo.new main.o -L. -lb -lpart && mv demo.new demo && strip demo\n"
                "install: all\n\tinstall -D demo $(DESTDIR)/usr/bin/demo\n\tinstall -D -m 644 demo.conf $(DESTDIR)/etc/demo.conf\n")

    def judge(self, *more):
        judge = os.path.join(os.path.dirname(os.path.abspath(__file__)), "against_trace.py")
        return self.run_plain([sys.executable, judge, STEMMA, "--tree", self.work, "--keep", os.path.join(self.folder, "kept"),
                               "--command", "make -j2 && make install DESTDIR=$PWD/root", *more], check=False)

    def test_it_agrees_and_would_find_what_is_wrong(self):
        self.write("Makefile", self.MAKEFILE)
        self.write("value", "7\n")
        self.write("a.c", '#include "value.h"\nint a(void){return VALUE;}\n')
        self.write("b.c", "int b(void){return 0;}\n")
        self.write("unused.c", "int unused(void){return 0;}\n")
        self.write("main.c", "#include <stdio.h>\nint a(void), b(void); int main(void){return puts(\"\") + a() + b();}\n")
        self.write("demo.conf", "a=1\n")
        self.commit_all()
        result = self.judge()
        self.assertEqual(result.returncode, 0, result.stdout.decode() + result.stderr.decode())
        kept = os.path.join(self.folder, "kept", "manifest.json")
        whole = Manifest(kept)
        for wrong, complaint in ((self.without_input("value.h"), "missing .*/value.h of a.o"),
                                 (self.with_input("a.o", "b.c"), "unread .*/b.c of a.o"),
                                 (self.without_artifact("libb.a"), "lost .*/libb.a")):
            copy = json.loads(json.dumps(whole.json))
            wrong(copy)
            with open(kept, "w", encoding="utf-8") as file:
                json.dump(copy, file)
            result = self.judge("--again")
            self.assertEqual(result.returncode, 3, complaint)
            self.assertRegex(result.stdout.decode(), re.sub(" ", " +", complaint))

    @staticmethod
    def index(manifest, path):
        return [i for i, file in enumerate(manifest["files"]) if file["path"] == path][-1]

    def without_input(self, path):
        def change(manifest):
            index = self.index(manifest, path)
            for step in manifest["steps"]:
                step["inputs"] = [i for i in step["inputs"] if i != index]
        return change

    def with_input(self, output, path):
        def change(manifest):
            made = self.index(manifest, output)
            for step in manifest["steps"]:
                if made in step["outputs"]:
                    step["inputs"].append(self.index(manifest, path))
        return change

    def without_artifact(self, path):
        def change(manifest):
            index = self.index(manifest, path)
            manifest["artifacts"] = [a for a in manifest["artifacts"] if a["file"] != index]
        return change


STAMPED = """cmake_minimum_required(VERSION 3.24)
project(demo VERSION 1.4 LANGUAGES C)
find_package(Stemma REQUIRED)
add_executable(demo main.c)
stemma_track(demo STAMP)
"""


@needs("cmake", "ninja")
class Stamping(BuildCase):
    def note(self, path):
        text = self.run_plain(["readelf", "-n", path]).stdout.decode()
        match = re.search(r"Packaging Metadata: (\{.*\})", text)
        return json.loads(match.group(1)) if match else None

    def test_a_stamp_is_a_note_that_is_the_same_each_time_and_survives_strip(self):
        self.write("CMakeLists.txt", STAMPED)
        self.write("main.c", "int main(void){return 0;}\n")
        self.commit_all()
        digests = []
        for folder in ("one", "two"):
            self.run_plain(["cmake", "-B", folder, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={BUILD_TREE}"])
            manifest = self.build(f"cmake --build {folder}")
            digests.append(sha256(self.at(f"{folder}/demo")))
            self.assertIsNotNone(manifest.artifact(f"{folder}/demo")["build_id"])
        self.assertEqual(digests[0], digests[1])
        expected = {"type": "stemma", "name": "demo", "version": "1.4", "target": "demo"}
        self.assertEqual(self.note("one/demo"), expected)
        self.run_plain("strip -o stripped one/demo")
        self.assertEqual(self.note("stripped"), expected)
        linked = json.loads(self.run_plain([STEMMA, "--json", "pack", "stripped"]).stdout)["items"]
        self.assertEqual([item["link"] for item in linked], ["build-id"])


class Large(BuildCase):
    @nightly
    def test_five_thousand_edges_at_sixty_four_jobs(self):
        count = 5000
        self.write("in", "x\n")
        self.write("Makefile", f"all: $(shell seq -f out-%g {count})\nout-%: in\n\t@(cat in; echo $@) > $@\n")
        manifest = self.build("make -j64")
        self.assertEqual(len(manifest.steps), count)
        self.assertEqual(len({tuple(step["outputs"]) for step in manifest.steps}), count)
        for step in manifest.steps:
            self.assertEqual(manifest.paths(step["inputs"]), ["in"])
        self.assertEqual(manifest.holes, [])
        for path in ("out-1", f"out-{count}"):
            self.assertEqual(manifest.files[manifest.artifact(path)["file"]]["sha256"], sha256(self.at(path)))


if __name__ == "__main__":
    unittest.main(argv=[__file__] + os.environ.get("STEMMA_TESTS", "").split(), verbosity=1)
