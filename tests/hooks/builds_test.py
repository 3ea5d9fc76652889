"""What a build's manifest must hold, whatever the build does. One test per way of building."""
import json
import os
import re
import signal
import subprocess
import time
import unittest

from support import BUILD_TREE, HOOK, STEMMA, BuildCase, Manifest, is_sanitized, needs, sha256


class Compiling(BuildCase):
    def test_one_command_compiles_and_links(self):
        self.write("a.c", '#include "a.h"\nint main(void){return A;}\n')
        self.write("a.h", "#define A 0\n")
        manifest = self.build("gcc -o a a.c")
        self.assertEqual(manifest.inputs("a"), ["a.c", "a.h"])
        self.assertEqual(manifest.step_of("a")["kind"], "link")
        self.assertEqual(manifest.artifact("a")["kind"], "executable")
        self.assertEqual(manifest.file("a")["sha256"], sha256(self.at("a")))
        notes = self.run_plain(["readelf", "-n", "a"]).stdout.decode()
        self.assertIn(manifest.artifact("a")["build_id"], notes)

    def test_an_object_without_a_name_of_its_own(self):
        self.write("a.c", "int a;\n")
        manifest = self.build("gcc -c a.c")
        self.assertEqual(manifest.inputs("a.o"), ["a.c"])
        self.assertEqual(manifest.step_of("a.o")["kind"], "compile")

    def test_two_sources_of_one_command_are_two_steps(self):
        self.write("a.c", "int a;\n")
        self.write("b.c", '#include "b.h"\nint b;\n')
        self.write("b.h", "\n")
        manifest = self.build("gcc -c a.c b.c")
        self.assertEqual(manifest.inputs("a.o"), ["a.c"])
        self.assertEqual(manifest.inputs("b.o"), ["b.c", "b.h"])

    def test_what_schedules_a_build_is_no_step_whatever_its_name(self):
        self.write("a.c", "int a;\n")
        self.write("b.c", "int b;\n")
        self.write(
            "build.py",
            "import subprocess\n"
            "seen = open('a.c').read() + open('b.c').read()\n"
            "for name in 'ab':\n"
            "    subprocess.run(['gcc', '-c', name + '.c'], check=True)\n"
            "open('state', 'w').write(seen)\n",
        )
        manifest = self.build("python3 build.py")
        self.assertEqual(manifest.inputs("a.o"), ["a.c"])
        self.assertEqual(manifest.inputs("b.o"), ["b.c"])
        self.assertEqual([step["kind"] for step in manifest.steps], ["compile", "compile"])

    def test_response_files_within_response_files_are_expanded(self):
        self.write("a.c", "int a;\n")
        self.write("one", '@two "-DX=a b"\n')
        self.write("two", "-c a.c\n")
        manifest = self.build("gcc @one")
        self.assertEqual(manifest.step_of("a.o")["argv"], ["gcc", "-c", "a.c", "-DX=a b"])
        self.assertEqual(manifest.inputs("a.o"), ["a.c", "one", "two"])

    def test_a_source_from_standard_input(self):
        self.write("a.c", "int a;\n")
        manifest = self.build("gcc -xc -c -o a.o - < a.c; cat a.c | gcc -xc -c -o b.o -")
        self.assertIn("a.c", manifest.inputs("a.o"))
        self.assertIn("a.c", manifest.inputs("b.o"))

    def test_a_pipe_whose_writer_ends_before_its_reader_begins(self):
        self.write("a.c", "int a;\n")
        manifest = self.build("cat a.c | (sleep 0.5; exec gcc -xc -c -o a.o -)")
        self.assertIn("a.c", manifest.inputs("a.o"))

    def test_headers_that_the_dependency_file_leaves_out(self):
        self.write("a.c", "#include <vendored.h>\nint a;\n")
        self.write("vendor/vendored.h", "\n")
        command = "gcc -MMD -isystem vendor -c a.c"
        self.run_plain(command)
        plain = self.read("a.d")
        manifest = self.build(command)
        self.assertEqual(plain, self.read("a.d"))
        self.assertNotIn(b"vendored", plain)
        self.assertIn("vendor/vendored.h", manifest.inputs("a.o"))

    def test_a_precompiled_header_and_what_is_in_it(self):
        self.write("all.h", '#include "deep.h"\n')
        self.write("deep.h", "#define DEEP 1\n")
        self.write("a.c", '#include "all.h"\nint a = DEEP;\n')
        manifest = self.build("gcc -o all.h.gch all.h && gcc -c a.c")
        self.assertIn("all.h.gch", manifest.inputs("a.o"))
        self.assertIn("deep.h", manifest.sources_behind("a.o"))

    def test_a_unity_build_has_its_real_sources(self):
        self.write("a.c", "int a;\n")
        self.write("b.c", "int b;\n")
        self.write("unity.c", '#include "a.c"\n#include "b.c"\n')
        self.assertEqual(self.build("gcc -c unity.c").inputs("unity.o"), ["a.c", "b.c", "unity.c"])

    def test_files_that_no_compiler_option_names(self):
        self.write("a.S", '.data\n.incbin "blob.bin"\n')
        self.write("blob.bin", b"\0\1\2")
        self.write("f.c", "int f(void){return 1;}\n")
        self.write("f.map", "{ global: f; local: *; };\n")
        self.write("more.ld", "INPUT(f.o)\n")
        manifest = self.build("gcc -c a.S && gcc -fPIC -c f.c && "
                              "gcc -shared -o libf.so more.ld -Wl,--version-script=f.map")
        self.assertIn("blob.bin", manifest.inputs("a.o"))
        self.assertEqual(manifest.inputs("libf.so"), ["f.map", "f.o", "more.ld"])
        self.assertEqual(manifest.artifact("libf.so")["kind"], "shared_library")

    def test_profiles(self):
        self.write("a.c", "int main(void){return 0;}\n")
        self.run_plain("gcc -fprofile-generate -o a a.c && ./a")
        profile = [name for name in os.listdir(self.work) if name.endswith(".gcda")]
        self.assertTrue(profile)
        self.assertIn(profile[0], self.build("gcc -fprofile-use -o a a.c").inputs("a"))

    def test_link_time_optimisation_without_its_temporary_files(self):
        self.write("a.c", "int b(void); int main(void){return b();}\n")
        self.write("b.c", "int b(void){return 0;}\n")
        manifest = self.build("gcc -flto -O2 -c a.c b.c && gcc -flto=2 -O2 -o a a.o b.o")
        self.assertEqual(manifest.inputs("a"), ["a.o", "b.o"])
        self.assertFalse([f["path"] for f in manifest.files if f["path"].startswith("/tmp/cc")])

    @needs("aarch64-linux-gnu-gcc")
    def test_a_cross_compiler(self):
        self.write("a.c", "int a;\n")
        manifest = self.build("aarch64-linux-gnu-gcc -c a.c")
        self.assertEqual(manifest.step_of("a.o")["kind"], "compile")

    def test_the_compiler_behind_the_driver(self):
        self.write("a.c", "int a;\n")
        manifest = self.build("cc -c a.c")
        cc1 = self.run_plain(["gcc", "-print-prog-name=cc1"]).stdout.decode().strip()
        seen = manifest.file(os.path.realpath(cc1))
        self.assertEqual(seen["sha256"], sha256(cc1))
        owner = self.run_plain(["dpkg", "-S", cc1]).stdout.decode().split(":")[0]
        version = self.run_plain(["dpkg-query", "-W", "-f", "${Version}", owner]).stdout.decode()
        self.assertEqual(seen["package"], f"pkg:deb/debian/{owner}@{version.replace('+', '%2B')}?arch=amd64")
        tool = manifest.files[manifest.step_of("a.o")["tool"]]
        self.assertEqual(tool["path"], os.path.realpath("/usr/bin/cc"))

    def test_inputs_are_what_a_system_call_trace_shows(self):
        self.write("a.c", '#include <stdio.h>\n#include "sub/h.h"\nint main(void){return puts(H);}\n')
        self.write("sub/h.h", '#define H "x"\n')
        trace = os.path.join(self.folder, "trace")
        self.run_plain(["strace", "-f", "-y", "-e", "trace=openat,open", "-o", trace, "gcc", "-o", "a", "a.c"])
        opened = set()
        with open(trace, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                match = re.search(r"open(?:at)?\(.*?O_RDONLY.*= \d+<([^>]+)>", line)
                if match and "O_DIRECTORY" not in line:
                    opened.add(match.group(1))
        opened = {p for p in opened if os.path.isfile(p) and not p.startswith(("/proc/", "/sys/", "/dev/"))
                  and not p.startswith("/tmp/cc") and p != self.at("a")}
        manifest = self.build(["gcc", "-o", "a", "a.c"])
        seen = {p if p.startswith("/") else self.at(p) for p in manifest.inputs("a", system=True)}
        self.assertEqual(opened - seen, set())
        programs = {"cc1", "as", "collect2", "ld"}
        extra = {p for p in seen - opened if not any(name in os.path.basename(p) for name in programs)}
        self.assertEqual(extra, set())


class Archiving(BuildCase):
    def test_one_member_replaced(self):
        self.write("a.c", "int a;\n")
        self.write("b.c", "int b;\n")
        manifest = self.build("gcc -c a.c b.c && ar rc lib.a a.o b.o && gcc -DX -O2 -g -c b.c && ar r lib.a b.o")
        self.assertEqual(manifest.step_of("lib.a")["argv"], ["ar", "r", "lib.a", "b.o"])
        self.assertTrue({"a.c", "b.c"} <= manifest.sources_behind("lib.a"))

    def test_an_archive_of_a_link(self):
        self.write("a.c", "int main(void){extern int b; return b;}\n")
        self.write("b.c", "int b;\n")
        manifest = self.build("gcc -c a.c b.c && ar rcs libb.a b.o && ranlib libb.a && gcc -o a a.o -L. -lb")
        self.assertEqual(manifest.inputs("a"), ["a.o", "libb.a"])
        self.assertEqual(manifest.step_of("libb.a")["argv"][0], "ar")
        self.assertEqual(manifest.inputs("libb.a"), ["b.o"])


class Generating(BuildCase):
    def test_a_source_that_is_gone_again(self):
        self.write("gen.sh", "#!/bin/sh\necho \"int g = $(cat value);\"\n", 0o755)
        self.write("value", "7\n")
        manifest = self.build("./gen.sh > g.c && gcc -c g.c && rm g.c")
        self.assertFalse(os.path.exists(self.at("g.c")))
        self.assertEqual(manifest.inputs("g.o"), ["g.c"])
        self.assertTrue({"gen.sh", "value"} <= manifest.sources_behind("g.o"))
        self.assertNotIn("g.c", manifest.artifact_paths())

    def test_a_pipeline_is_one_step(self):
        self.write("in.txt", "b\na\n")
        manifest = self.build("sort in.txt | tr a-z A-Z > out.txt")
        self.assertEqual(manifest.inputs("out.txt"), ["in.txt"])

    def test_what_a_python_script_wrote_and_ran(self):
        self.write("gen.py", "import subprocess\nopen('g.c','w').write(open('in').read())\n"
                             "subprocess.check_call(['gcc','-c','g.c'])\n")
        self.write("in", "int g;\n")
        manifest = self.build("python3 gen.py")
        self.assertEqual(manifest.inputs("g.o"), ["g.c"])
        self.assertTrue({"gen.py", "in"} <= manifest.sources_behind("g.o"))

    def test_copies_moves_and_links(self):
        self.write("a.c", "int main(void){return 0;}\n")
        manifest = self.build("gcc -o a a.c && cp a b && mv b c && ln c d && ln -s d e && strip -o s a")
        for name in ("c", "d", "s"):
            self.assertIn("a.c", manifest.sources_behind(name), name)
        self.assertEqual(manifest.step_of("s")["kind"], "copy")
        self.assertEqual(manifest.holes, [])
        self.assertEqual(manifest.file("s")["sha256"], sha256(self.at("s")))

    def test_configure_leaves_no_conftest_behind(self):
        self.write("configure", "#!/bin/sh\necho 'int main(void){return 0;}' > conftest.c\n"
                                "gcc -o conftest conftest.c && ./conftest && echo '#define OK 1' > config.h\n"
                                "rm -f conftest*\n", 0o755)
        self.write("a.c", '#include "config.h"\nint a = OK;\n')
        manifest = self.build("./configure && gcc -c a.c")
        self.assertEqual(manifest.artifact_paths(), ["a.o", "config.h"])
        self.assertEqual(manifest.inputs("a.o"), ["a.c", "config.h"])
        self.assertIn("configure", manifest.sources_behind("a.o"))


class Repeating(BuildCase):
    @needs("ccache")
    def test_ccache_cold_and_warm_have_the_same_sources(self):
        self.environment["CCACHE_DIR"] = os.path.join(self.folder, "ccache")
        self.write("a.c", '#include "a.h"\nint a = A;\n')
        self.write("a.h", "#define A 1\n")
        cold = self.build("ccache gcc -c a.c -o a.o")
        os.unlink(self.at("a.o"))
        warm = self.build("ccache gcc -c a.c -o a.o")
        self.assertEqual(cold.file("a.o")["sha256"], warm.file("a.o")["sha256"])
        for manifest in (cold, warm):
            self.assertTrue({"a.c", "a.h"} <= set(manifest.inputs("a.o")), manifest.inputs("a.o"))

    @needs("ccache")
    def test_objects_that_ccache_links_from_its_cache(self):
        self.environment.update(CCACHE_DIR=os.path.join(self.folder, "ccache"), CCACHE_HARDLINK="1", CCACHE_NODIRECT="1")
        self.write("a.c", '#include "a.h"\nint a = A;\n')
        self.write("a.h", "#define A 1\n")
        self.build("ccache gcc -c a.c -o a.o")
        os.unlink(self.at("a.o"))
        warm = self.build("ccache gcc -c a.c -o a.o")
        self.assertEqual(os.stat(self.at("a.o")).st_nlink, 2, "ccache was to link it")
        self.assertTrue({"a.c", "a.h"} <= set(warm.inputs("a.o")), warm.inputs("a.o"))

    def test_objects_that_were_not_rebuilt_come_from_the_build_that_made_them(self):
        self.write("a.c", "int main(void){extern int b; return b;}\n")
        self.write("b.c", "int b;\n")
        self.write("Makefile", "a: a.o b.o\n\tgcc -o a a.o b.o\n%.o: %.c\n\tgcc -c $<\n")
        self.build("make")
        self.write("b.c", "int b = 1;\n")
        os.utime(self.at("b.c"), (time.time() + 5, time.time() + 5))
        manifest = self.build("make", ["--strict"])
        self.assertTrue({"a.c", "b.c"} <= manifest.sources_behind("a"))
        self.assertEqual(manifest.inputs("a.o"), ["a.c"])

    def test_an_object_from_before_is_unrecorded(self):
        self.write("a.c", "int main(void){extern int b; return b;}\n")
        self.write("b.c", "int b;\n")
        self.run_plain("gcc -c b.c")
        manifest = self.build("gcc -o a a.c b.o")
        self.assertIsNone(manifest.artifact("b.o")["step"])
        self.assertEqual(self.observe("gcc -o a a.c b.o", ["--strict"], check=False).returncode, 4)

    def test_other_flags_make_a_new_step_of_the_same_output(self):
        self.write("a.c", "int f(int x){return x*3;}\n")
        manifest = self.build("gcc -O0 -c a.c && gcc -O2 -g -c a.c")
        self.assertEqual(manifest.step_of("a.o")["argv"], ["gcc", "-O2", "-g", "-c", "a.c"])
        self.assertEqual(len([s for s in manifest.steps if "gcc" in s["argv"][0]]), 1)

    def test_two_clean_builds_have_one_manifest_and_the_bytes_of_an_unwatched_one(self):
        self.write("a.c", "int main(void){extern int b; return b;}\n")
        self.write("b.c", "int b;\n")
        self.write("Makefile", "a: a.o libb.a\n\tgcc -o a a.o -L. -lb\n%.o: %.c\n\tgcc -c $<\n"
                               "libb.a: b.o\n\tar rcs $@ $<\nclean:\n\trm -f a *.o *.a\n")
        self.commit_all()
        self.run_plain("make")
        plain = sha256(self.at("a"))
        manifests = []
        for _ in range(2):
            self.run_plain("make clean")
            manifests.append(self.build("make -j4").normalised())
            self.assertEqual(sha256(self.at("a")), plain)
        self.assertEqual(manifests[0], manifests[1])


class Failing(BuildCase):
    def test_a_failing_compile_fails_the_same_way(self):
        self.write("a.c", "int main(void){ return }\n")
        plain = self.run_plain(["gcc", "-c", "a.c"], check=False)
        seen = self.observe(["gcc", "-c", "a.c"], ["--out", self.at("m.json")], check=False)
        self.assertEqual((plain.returncode, plain.stdout, plain.stderr), (seen.returncode, seen.stdout, seen.stderr))
        self.assertEqual(Manifest(self.at("m.json")).artifacts, [])

    def test_a_signal_ends_stemma_as_it_ended_the_command(self):
        result = self.observe("kill -TERM $$", check=False)
        self.assertEqual(result.returncode, -signal.SIGTERM)

    def test_a_stop_in_the_middle_of_many_jobs_leaves_a_readable_record(self):
        self.write("Makefile", "all: " + " ".join(f"o{i}" for i in range(40)) + "\no%:\n\techo $@ > $@; sleep 1\n")
        for number in (signal.SIGINT, signal.SIGTERM):
            out = os.path.join(self.folder, f"stopped-{int(number)}.json")
            process = subprocess.Popen([STEMMA, "build", "--out", out, "--", "make", "-j8"], cwd=self.work,
                                       env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       start_new_session=True)
            time.sleep(1.0)
            os.killpg(process.pid, number)
            process.communicate(timeout=60)
            self.assertNotEqual(process.returncode, 0)
            Manifest(out)

    def test_a_killed_observer_leaves_no_wrong_manifest(self):
        journal = os.path.join(self.folder, "j")
        self.write("a.c", "int a;\n")
        process = subprocess.Popen([STEMMA, "build", "--keep-journal", journal, "--", "/bin/sh", "-c",
                                    "gcc -c a.c && sleep 30 && gcc -c -o b.o a.c"], cwd=self.work,
                                   env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        deadline = time.time() + 60
        while not os.path.exists(self.at("a.o")) and time.time() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        process.kill()
        process.wait()
        os.killpg(process.pid, signal.SIGKILL)
        text = self.run_plain([STEMMA, "--json", "ingest", journal], check=False)
        self.assertIn(text.returncode, (0, 4), text.stderr)

    def test_a_full_disk_costs_the_record_and_not_the_build(self):
        self.write("a.c", "int a;\n")
        result = self.observe("gcc -c a.c", ["--keep-journal", "/dev/full"], check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(os.path.exists(self.at("a.o")))
        self.assertIn(b"could not be written", result.stderr)

    def test_a_store_and_a_file_do_not_wait_for_each_other(self):
        self.write("a.c", "int a;\n")
        out = os.path.join(self.folder, "no-such-folder", "m.json")
        result = self.observe("gcc -c a.c", ["--out", out])
        self.assertIn(b"the manifest is in the store only", result.stderr)
        self.run_plain([STEMMA, "manifest", "show", "work"])
        self.environment["STEMMA_STORE"] = "/proc/no-such-folder/lineage.db"
        manifest = self.build("gcc -c -O1 a.c")
        self.assertEqual(manifest.inputs("a.o"), ["a.c"])
        out = os.path.join(self.folder, "strict.json")
        self.assertEqual(self.observe("gcc -c a.c", ["--strict", "--out", out], check=False).returncode, 4)

    def test_a_command_that_is_not_there(self):
        result = self.observe(["no-such-program-here"], check=False)
        self.assertEqual(result.returncode, 127)
        self.assertIn(b"cannot run no-such-program-here", result.stderr)


class Escaping(BuildCase):
    def test_strange_names(self):
        for name in ("a b.c", "ü.c", "#1.c", "$x.c", "new\nline.c", "q'uote\".c"):
            self.write(name, "int a;\n")
            self.assertEqual(self.build(["gcc", "-c", name, "-o", "a.o"]).inputs("a.o"), [name])

    def test_one_relative_name_in_two_folders(self):
        for folder in ("x", "y"):
            self.write(f"{folder}/a.c", f"int {folder};\n")
        manifest = self.build("(cd x && gcc -c a.c) && (cd y && gcc -c a.c)")
        self.assertEqual(manifest.inputs("x/a.o"), ["x/a.c"])
        self.assertEqual(manifest.inputs("y/a.o"), ["y/a.c"])

    def test_static_programs_and_empty_environments(self):
        self.write("t.c", "#include <stdio.h>\nint main(void){int c;FILE*i=fopen(\"in\",\"r\"),*o=fopen(\"out\",\"w\");"
                          "while((c=getc(i))!=EOF)putc(c,o);return 0;}\n")
        self.write("in", "x\n")
        self.run_plain("gcc -static -o t t.c")
        manifest = self.build("env -i ./t")
        self.assertEqual(manifest.inputs("out"), ["in"])

    @needs("go")
    def test_go(self):
        self.environment["GOCACHE"] = os.path.join(self.folder, "gocache")
        self.environment["GOFLAGS"] = "-mod=mod"
        self.write("go.mod", "module m\n\ngo 1.19\n")
        self.write("main.go", "package main\nfunc main() { println(1) }\n")
        self.assertIn("main.go", self.build("go build -o m .").sources_behind("m"))

    @needs("cargo")
    def test_rust(self):
        self.write("a.rs", "mod b; fn main() { b::b(); }\n")
        self.write("b.rs", "pub fn b() {}\n")
        if self.run_plain("rustc --version", check=False).returncode != 0:
            self.skipTest("[stemma-skip] rustc does not run")
        manifest = self.build("rustc a.rs")
        self.assertTrue({"a.rs", "b.rs"} <= manifest.sources_behind("a"))

    def test_a_header_that_changes_during_the_build(self):
        self.write("h.h", "#define H 1\n")
        self.write("a.c", '#include "h.h"\nint a = H;\n')
        first = sha256(self.at("h.h"))
        manifest = self.build("gcc -c a.c -o a.o; echo '#define H 2' > h.h; gcc -c a.c -o b.o")
        second = sha256(self.at("h.h"))
        contents = {}
        for step in manifest.steps:
            for output in step["outputs"]:
                for i in step["inputs"]:
                    if manifest.files[i]["path"] == "h.h":
                        contents[manifest.files[output]["path"]] = manifest.files[i]["sha256"]
        self.assertEqual(contents["a.o"], first)
        self.assertEqual(contents["b.o"], second)

    def test_a_build_within_fakeroot_and_as_nobody(self):
        self.write("a.c", "int a;\n")
        os.chmod(self.folder, 0o755)
        os.chmod(self.work, 0o777)
        if os.geteuid() == 0:
            manifest = self.build(["setpriv", "--reuid=65534", "--clear-groups", "gcc", "-c", "a.c"])
            self.assertEqual(manifest.inputs("a.o"), ["a.c"])
            self.run_plain("rm -f a.o")
        if subprocess.run(["which", "fakeroot"], stdout=subprocess.DEVNULL).returncode == 0:
            self.assertEqual(self.build(["fakeroot", "gcc", "-c", "a.c"]).inputs("a.o"), ["a.c"])


class VersionControl(BuildCase):
    @unittest.skipUnless(os.geteuid() == 0, "[stemma-skip] needs root")
    def test_a_home_that_may_not_be_looked_into(self):
        self.write("a.c", "int a;\n")
        self.commit_all()
        home = os.path.join(self.folder, "home")
        os.mkdir(home, 0o700)
        os.mkdir(os.path.join(self.folder, "state"), 0o777)
        for folder in (self.folder, self.work, os.path.join(self.folder, "state")):
            os.chmod(folder, 0o777)
        os.chmod(self.at("a.c"), 0o644)
        self.environment.update(HOME=home)
        manifest = self.build("gcc -c a.c", user=65534, extra_groups=[])
        self.assertEqual(manifest.file("a.c")["state"], "clean")
        self.assertEqual(manifest.holes, [])

    def test_states_and_blobs_are_gits(self):
        self.write("clean.h", "\n")
        self.write("dirty.h", "\n")
        self.write("a.c", '#include "clean.h"\n#include "dirty.h"\n#include "new.h"\nint a;\n')
        commit = self.commit_all()
        self.write("dirty.h", "/* changed */\n")
        self.write("new.h", "\n")
        manifest = self.build("gcc -c a.c")
        self.assertEqual(manifest.json["build"]["commit"], commit)
        self.assertEqual(manifest.json["build"]["dirty"], ["dirty.h"])
        for path, state in (("clean.h", "clean"), ("dirty.h", "dirty"), ("new.h", "untracked"), ("a.c", "clean")):
            self.assertEqual(manifest.file(path)["state"], state, path)
            self.assertEqual(manifest.file(path)["blob"], self.git("hash-object", "--no-filters", path))

    def test_line_ends_and_ident(self):
        self.write(".gitattributes", "*.h text eol=crlf ident\n")
        self.write("h.h", b"/* $Id$ */\r\n")
        self.write("a.c", '#include "h.h"\nint a;\n')
        self.commit_all()
        os.unlink(self.at("h.h"))
        self.git("checkout", "h.h")
        self.assertIn(b"\r\n", self.read("h.h"))
        header = self.build("gcc -c a.c").file("h.h")
        self.assertEqual(header["blob"], self.git("hash-object", "--no-filters", "h.h"))
        self.assertEqual(header["index_blob"], self.git("rev-parse", "HEAD:h.h"))
        self.assertEqual(header["state"], "clean")

    def test_a_submodule_that_is_ahead(self):
        sub = os.path.join(self.folder, "sub")
        os.mkdir(sub)
        with open(os.path.join(sub, "s.h"), "w", encoding="utf-8") as file:
            file.write("\n")
        self.commit_all(cwd=sub)
        self.write("a.c", '#include "sub/s.h"\nint a;\n')
        self.commit_all()
        self.git("submodule", "--quiet", "add", sub, "sub")
        self.commit_all()
        self.write("sub/s.h", "/* ahead */\n")
        self.git("commit", "-qam", "two", cwd=self.at("sub"))
        manifest = self.build("gcc -c a.c")
        header = manifest.file("s.h")
        self.assertEqual(header["state"], "clean")
        self.assertNotEqual(header["repo"], manifest.json["build"]["repo"])
        self.assertEqual(manifest.json["build"]["dirty"], ["sub"])

    def test_a_linked_worktree_and_a_shallow_clone(self):
        self.write("a.c", "int a;\n")
        commit = self.commit_all()
        tree = os.path.join(self.folder, "tree")
        self.git("worktree", "add", "-q", "-b", "side", tree)
        manifest = self.build("gcc -c a.c", cwd=tree)
        self.assertEqual((manifest.json["build"]["commit"], manifest.json["build"]["branch"]), (commit, "side"))
        self.assertEqual(manifest.file("a.c")["state"], "clean")
        shallow = os.path.join(self.folder, "shallow")
        self.git("clone", "-q", "--depth", "1", "file://" + self.work, shallow)
        self.assertEqual(self.build("gcc -c a.c", cwd=shallow).file("a.c")["state"], "clean")

    def test_tools_that_a_version_manager_keeps_in_a_repository(self):
        tools = os.path.join(self.folder, "tools")
        os.makedirs(os.path.join(tools, "versions/bin"))
        for path, text in ((".gitignore", "/versions\n"), ("shim", "#!/bin/sh\nexec real\n"),
                           ("versions/bin/real", "#!/bin/sh\necho 'int a;' >a.c\n")):
            with open(os.path.join(tools, path), "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(file.name, 0o755)
        self.commit_all(cwd=tools)
        self.write("README", "\n")
        self.commit_all()
        self.environment["PATH"] += f":{tools}:{tools}/versions/bin"
        manifest = self.build("shim && gcc -c a.c")
        self.assertEqual(manifest.file(os.path.join(tools, "versions/bin/real"))["state"], "system")
        self.assertEqual(manifest.file("shim")["state"], "clean")

    def test_no_git_at_all(self):
        self.write("a.c", "int a;\n")
        manifest = self.build("gcc -c a.c")
        self.assertIsNone(manifest.json["build"]["commit"])
        self.assertEqual(manifest.file("a.c")["state"], "untracked")

    def test_credentials_stay_out(self):
        self.write("a.c", "int a;\n")
        self.commit_all()
        self.git("remote", "add", "origin", "https://me:secret@example.org/x.git")
        self.assertEqual(self.build("gcc -c a.c").json["build"]["repo"], "https://example.org/x.git")


PROJECT = """cmake_minimum_required(VERSION 3.24)
project(demo VERSION 1.0 LANGUAGES C)
{find}
add_custom_command(OUTPUT gen.c gen.h COMMAND sh ${{CMAKE_SOURCE_DIR}}/gen.sh DEPENDS gen.sh value)
add_library(part STATIC part.c ${{CMAKE_BINARY_DIR}}/gen.c)
target_include_directories(part PUBLIC ${{CMAKE_BINARY_DIR}})
add_executable(demo main.c)
target_link_libraries(demo part)
add_custom_command(TARGET demo POST_BUILD COMMAND strip $<TARGET_FILE:demo>)
{track}
install(TARGETS demo DESTINATION bin)
install(PROGRAMS tool.sh DESTINATION bin)
install(FILES demo.xml DESTINATION /etc)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_CONTACT t@t)
set(CPACK_PACKAGE_FILE_NAME demo)
set(CPACK_SET_DESTDIR ON)
include(CPack)
"""


@needs("cmake", "ninja")
class WithCMake(BuildCase):
    def project(self, find="find_package(Stemma REQUIRED)", track="stemma_track(part demo)"):
        self.write("CMakeLists.txt", PROJECT.format(find=find, track=track))
        self.write("gen.sh", "echo \"int gen = $(cat $(dirname $0)/value);\" > gen.c; echo > gen.h\n")
        self.write("value", "1\n")
        self.write("part.c", "int part;\n")
        self.write("main.c", '#include "gen.h"\nextern int gen, part; int main(void){return gen + part;}\n')
        self.write("tool.sh", "#!/bin/sh\n", 0o755)
        self.write("demo.xml", "<a/>\n")
        self.write(".gitignore", "build*\n")
        self.commit_all()

    def configure(self, generator, *more):
        self.run_plain(["cmake", "-B", "build", "-G", generator, f"-DCMAKE_PREFIX_PATH={BUILD_TREE}", *more])

    def check(self, manifest):
        demo = "build/demo"
        self.assertTrue({"part.c", "main.c", "value", "gen.sh"} <= manifest.sources_behind(demo))
        self.assertEqual(manifest.step_of("build/libpart.a")["target"], "part")
        self.assertTrue({"build/gen.c", "build/gen.h"} <= set(manifest.paths(manifest.step_of("build/gen.c")["outputs"])))
        self.assertNotIn(b".symtab", self.run_plain(["readelf", "-SW", demo]).stdout)
        self.assertEqual(manifest.step_of("build/CMakeFiles/demo.dir/main.c.o")["target"], "demo")
        self.assertEqual(manifest.files[manifest.artifact(demo)["file"]]["sha256"], sha256(self.at(demo)))

    def test_tracked_targets_with_both_generators(self):
        self.project()
        for generator in ("Ninja", "Unix Makefiles"):
            self.configure(generator)
            manifest = self.build("cmake --build build -j2")
            self.check(manifest)
            self.assertEqual(manifest.holes, [])
            self.run_plain("rm -rf build")

    def test_what_cmake_tries_out_is_no_artifact(self):
        self.project(find="", track="")
        manifest = self.build("cmake -B build -G Ninja && cmake --build build")
        self.assertTrue(os.path.exists(self.at("build/CMakeFiles")))
        self.assertIn("build/demo", manifest.artifact_paths())
        self.assertEqual([p for p in manifest.artifact_paths() if "CompilerId" in p], [])

    def test_the_list_of_conffiles_is_no_script(self):
        self.write("p/DEBIAN/control", "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: t <t@t>\nDescription: t\n")
        self.write("p/DEBIAN/conffiles", "/etc/p.conf\n")
        self.write("p/DEBIAN/postinst", "#!/bin/sh\n", 0o755)
        self.write("p/etc/p.conf", "a=1\n")
        self.run_plain("dpkg-deb --build --root-owner-group p p.deb")
        shown = json.loads(self.run_plain([STEMMA, "--json", "pack", "p.deb"]).stdout)
        names = [item["path"] for item in shown["items"]]
        self.assertIn("postinst", names)
        self.assertNotIn("conffiles", names)

    def test_launchers_alone_write_the_same_steps(self):
        self.project()
        self.configure("Ninja")
        self.run_plain("cmake --build build -j2")
        out = os.path.join(self.folder, "show.json")
        self.run_plain([STEMMA, "ingest", self.at("build/.stemma/journal")])
        shown = self.run_plain([STEMMA, "--json", "manifest", "show", "work", "demo"]).stdout
        with open(out, "wb") as file:
            file.write(shown)
        item = [i for i in json.loads(shown)["items"] if i["path"] == "build/demo"][0]
        self.assertEqual(item["sha256"], sha256(self.at("build/demo")))
        objects = json.loads(self.run_plain([STEMMA, "--json", "manifest", "show", "work", "main.c.o"]).stdout)
        self.assertEqual(objects["items"][0]["target"], "demo")

    def test_a_project_that_is_not_edited(self):
        self.project(find="", track="")
        self.configure("Ninja", f"-DCMAKE_PROJECT_TOP_LEVEL_INCLUDES={BUILD_TREE}/lib/cmake/Stemma/stemma.cmake")
        self.check(self.build("cmake --build build"))

    def test_an_installed_package_is_found(self):
        prefix = os.path.join(self.folder, "prefix")
        self.run_plain(["cmake", "--install", BUILD_TREE, "--prefix", prefix])
        self.project()
        self.run_plain(["cmake", "-B", "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}"])
        self.check(self.build("cmake --build build"))

    def test_packages_are_explained_file_by_file(self):
        self.project()
        self.configure("Ninja")
        self.build("cmake --build build -t package")
        for package in ("build/demo.deb", "build/demo.tar.gz"):
            result = self.run_plain([STEMMA, "--json", "pack", "--strict", package])
            links = {i["path"].split("/")[-1]: i for i in json.loads(result.stdout)["items"]}
            self.assertEqual(links["tool.sh"]["link"], "source", package)
            self.assertEqual(links["demo.xml"]["link"], "source")
            self.assertIn(links["demo"]["link"], ("content", "build-id"))

    def test_a_file_of_unknown_origin_is_unexplained(self):
        self.write("strange", "x\n")
        self.run_plain("tar czf strange.tar.gz strange")
        result = self.run_plain([STEMMA, "--json", "pack", "--strict", "strange.tar.gz"], check=False)
        self.assertEqual(result.returncode, 4)
        self.assertEqual(json.loads(result.stdout)["items"][0]["link"], "unexplained")


class Launcher(BuildCase):
    def test_many_at_once_tear_no_record(self):
        journal = os.path.join(self.folder, "journal")
        self.write("in", "x\n")
        count = 600
        script = (f"seq {count} | xargs -P 64 -I N {HOOK} step --journal={journal} --target=tN -- cp in out-N")
        self.run_plain(script)
        result = self.run_plain([STEMMA, "ingest", journal])
        self.assertEqual(result.returncode, 0)
        shown = self.run_plain([STEMMA, "--json", "manifest", "show", "work"]).stdout
        items = json.loads(shown)["items"]
        self.assertEqual(len(items), count)
        self.assertEqual(len({i["target"] for i in items}), count)

    def test_the_tool_runs_whatever_is_wrong_with_the_hook(self):
        self.write("a.c", "int a;\n")
        for words in (["step", "--journal=/no/such/folder/j"], ["step", "--nonsense"], ["step"]):
            result = self.run_plain([HOOK, *words, "--", "gcc", "-c", "a.c"], check=False)
            self.assertEqual((result.returncode, result.stderr), (0, b""), words)
        self.assertEqual(self.run_plain([HOOK, "step", "--", "false"], check=False).returncode, 1)

    @unittest.skipIf(is_sanitized(), "[stemma-skip] the launcher of a build with sanitizers is dynamic")
    def test_it_is_static_and_starts_without_a_library(self):
        self.assertIn(b"There is no dynamic section", self.run_plain(["readelf", "-d", HOOK]).stdout)


if __name__ == "__main__":
    unittest.main(argv=[__file__] + os.environ.get("STEMMA_TESTS", "").split(), verbosity=1)
