"""The ways of watching: what each sees, what it declares, and what becomes of a build without its observer."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from support import HOOK, STEMMA, BuildCase, needs, sha256


def opened_files(trace):
    """Regular files that a trace by `strace -f -y -e trace=open,openat` shows to be opened for reading."""
    found = set()
    with open(trace, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = re.search(r"open(?:at)?\(.*?O_RDONLY.*= \d+<([^>]+)>", line)
            if match and "O_DIRECTORY" not in line:
                found.add(match.group(1))
    return {p for p in found if os.path.isfile(p) and not p.startswith(("/proc/", "/sys/", "/dev/", "/tmp/cc"))}


class FastLane(BuildCase):
    """Compilers and linkers open past the observer, and tell it afterwards what."""

    def traced(self, command):
        trace = os.path.join(self.folder, "trace")
        self.run_plain(["strace", "-f", "-e", "trace=openat", "-o", trace, STEMMA, "-q", "build", "--", *command])
        with open(trace, encoding="utf-8", errors="replace") as file:
            return file.read()

    def test_a_compiler_takes_it(self):
        self.write("a.c", "int a;\n")
        text = self.traced(["gcc", "-c", "a.c"])
        # strace shows the observer's gift as the open's result.
        self.assertRegex(text, r"stemma-lane\.so")
        self.assertNotRegex(text, r'"/\.stemma/lane/1"[^\n]*ENOENT')

    def test_it_sees_what_a_trace_of_the_unwatched_build_shows(self):
        for i in range(300):
            self.write(f"include/a-header-with-a-long-name-so-that-its-log-runs-over/{'x' * 150}/h{i}.h", f"#define H{i} {i}\n")
        lines = "".join(f'#include "a-header-with-a-long-name-so-that-its-log-runs-over/{"x" * 150}/h{i}.h"\n' for i in range(300))
        self.write("a.c", "#include <stdio.h>\n" + lines + "int main(void){return puts(\"x\") + H299;}\n")
        command = ["gcc", "-Iinclude", "-o", "a", "a.c"]
        trace = os.path.join(self.folder, "trace")
        self.run_plain(["strace", "-f", "-y", "-e", "trace=open,openat", "-o", trace, *command])
        opened = opened_files(trace) - {self.at("a")}
        manifest = self.build(command)
        seen = {p if p.startswith("/") else self.at(p) for p in manifest.inputs("a", system=True)}
        self.assertEqual(opened - seen, set())
        self.assertEqual(manifest.holes, [])

    def test_with_and_without_it_there_is_one_manifest(self):
        self.write("a.c", '#include <stdlib.h>\n#include "h.h"\nint main(void){return A;}\n')
        self.write("h.h", "#define A 0\n")
        command = "gcc -c a.c && gcc -o a a.o"
        fast = self.build(command)
        # A build that preloads something itself is asked about every open.
        self.environment["LD_PRELOAD"] = "/lib/x86_64-linux-gnu/libm.so.6"
        self.environment["ASAN_OPTIONS"] = "verify_asan_link_order=0"  # for stemma itself, where it is built so
        slow = self.build(command)
        for output in ("a.o", "a"):
            self.assertEqual(fast.inputs(output), slow.inputs(output))
            more = set(slow.inputs(output, system=True)) - set(fast.inputs(output, system=True))
            self.assertLessEqual({os.path.basename(p) for p in more}, {"libm.so.6"})
            self.assertLessEqual(set(fast.inputs(output, system=True)), set(slow.inputs(output, system=True)))

    def test_nothing_else_is_preloaded(self):
        self.write("a.c", "int main(void){return 0;}\n")
        manifest = self.build("gcc -o a a.c && env > seen && gcc -o b a.c -wrapper env && ./a")
        self.assertNotIn(b"LD_PRELOAD", self.read("seen"))
        self.assertEqual(manifest.inputs("b"), ["a.c"])
        self.assertFalse([f["path"] for f in manifest.files if "stemma-lane" in f["path"]])

    def test_a_header_that_is_rewritten_right_after_its_reading(self):
        self.write("a.c", "\n".join(f'#include "h{i}.h"' for i in range(50)) + "\nint a;\n")
        for i in range(50):
            self.write(f"h{i}.h", f"/* {i} */\n")
        manifest = self.build("gcc -c a.c; for i in $(seq 0 49); do echo '/* new */' > h$i.h; done")
        names = [p for p in manifest.inputs("a.o") if p.startswith("h")]
        self.assertEqual(len(names), 50)
        self.assertEqual(manifest.holes, [])


class Preloading(BuildCase):
    """The fallback where the kernel refuses user notification."""
    options = ("--observe", "preload")

    def test_it_sees_what_a_compile_and_a_link_read(self):
        self.write("a.c", '#include <stdio.h>\n#include "sub/h.h"\nint main(void){return puts(H);}\n')
        self.write("sub/h.h", '#define H "x"\n')
        trace = os.path.join(self.folder, "trace")
        command = ["gcc", "-o", "a", "a.c"]
        self.run_plain(["strace", "-f", "-y", "-e", "trace=open,openat", "-o", trace, *command])
        opened = opened_files(trace) - {self.at("a")}
        manifest = self.build(command, self.options)
        seen = {p if p.startswith("/") else self.at(p) for p in manifest.inputs("a", system=True)}
        # What the loader and the C library open for themselves goes past every library.
        own = {p for p in opened if p in ("/etc/ld.so.cache", "/etc/locale.alias") or "/locale/" in p or "/gconv/" in p}
        self.assertEqual(opened - seen - own, set())
        self.assertEqual(manifest.holes, [])

    def test_makefiles_scripts_pipes_and_copies(self):
        self.write("gen.sh", "#!/bin/sh\necho \"int g = $(cat value);\"\n", 0o755)
        self.write("value", "7\n")
        self.write("main.c", "extern int g; int main(void){return g;}\n")
        self.write("Makefile", "all: c\n\ng.c: gen.sh value\n\t./gen.sh | cat > $@\n%.o: %.c\n\tgcc -c $<\n"
                               "libg.a: g.o\n\tar rcs $@ $<\na: main.o libg.a\n\tgcc -o $@ main.o -L. -lg\n"
                               "c: a\n\tcp a b && mv b c && ln -s c d\n")
        manifest = self.build("make -j4", self.options)
        self.assertTrue({"gen.sh", "value", "main.c"} <= manifest.sources_behind("c"))
        self.assertEqual(manifest.step_of("libg.a")["argv"][0], "ar")
        self.assertEqual(manifest.holes, [])

    def test_what_a_python_program_wrote_and_ran(self):
        self.write("gen.py", "import subprocess\nopen('g.c','w').write(open('in').read())\n"
                             "subprocess.check_call(['gcc','-c','g.c'])\n")
        self.write("in", "int g;\n")
        manifest = self.build("python3 gen.py", self.options)
        self.assertTrue({"gen.py", "in"} <= manifest.sources_behind("g.o"))

    def test_an_empty_environment_does_not_hide_a_program(self):
        self.write("a.c", "int a;\n")
        manifest = self.build("env -i /usr/bin/gcc -c a.c", self.options)
        self.assertEqual(manifest.inputs("a.o"), ["a.c"])

    def test_a_static_program_is_a_hole_and_its_children_are_seen(self):
        self.write("t.c", "#include <unistd.h>\nint main(void){return execl(\"/usr/bin/gcc\",\"gcc\",\"-c\",\"a.c\",(char*)0);}\n")
        self.write("a.c", "int a;\n")
        self.run_plain("gcc -static -o t t.c")
        manifest = self.build("./t", self.options)
        self.assertIn("is static", " ".join(h["reason"] for h in manifest.holes))
        self.assertTrue(all(h["pid"] > 0 for h in manifest.holes))
        self.assertIn("a.c", manifest.inputs("a.o"))
        self.assertEqual(self.observe("./t", ("--strict", *self.options), check=False).returncode, 4)

    def test_a_setuid_program_is_a_hole(self):
        if os.geteuid() != 0:
            self.skipTest("[stemma-skip] only root can make a program of another user")
        shutil.copy("/bin/cat", self.at("their-cat"))
        os.chown(self.at("their-cat"), 65534, 65534)
        os.chmod(self.at("their-cat"), 0o4755)
        manifest = self.build("./their-cat /dev/null > out", self.options)
        self.assertIn("gains rights", " ".join(h["reason"] for h in manifest.holes))

    @needs("fakeroot")
    def test_within_fakeroot_and_as_nobody(self):
        self.write("a.c", "int a;\n")
        os.chmod(self.folder, 0o755)
        os.chmod(self.work, 0o777)
        self.assertEqual(self.build(["fakeroot", "gcc", "-c", "a.c"], self.options).inputs("a.o"), ["a.c"])

    def test_outputs_and_exits_stay_as_they_are(self):
        self.write("a.c", "int main(void){ return }\n")
        plain = self.run_plain(["gcc", "-c", "a.c"], check=False)
        seen = self.observe(["gcc", "-c", "a.c"], self.options, check=False)
        self.assertEqual((plain.returncode, plain.stdout, plain.stderr), (seen.returncode, seen.stdout, seen.stderr))

    def test_the_launcher_falls_back_too(self):
        self.write("a.c", "int a;\n")
        journal = os.path.join(self.folder, "journal")
        self.environment["STEMMA_OBSERVE"] = "preload"
        self.run_plain([HOOK, "step", f"--journal={journal}", "--target=t", "--", "gcc", "-c", "a.c"])
        with open(journal, "rb") as file:
            text = file.read()
        self.assertIn(b"preload", text)
        self.assertIn(b"a.c", text)


class Alone(BuildCase):
    """A build whose observer was killed."""

    def end_of(self, options):
        self.write("a.c", "int a;\n")
        out, journal = os.path.join(self.folder, "manifest"), os.path.join(self.folder, "journal")
        script = "gcc -c a.c; touch ready; while [ -e ready ]; do sleep 0.1; done; gcc -c -o b.o a.c; echo $? > status"
        process = subprocess.Popen([STEMMA, "build", "--out", out, "--keep-journal", journal, *options, "--", "/bin/sh", "-c", script],
                                   cwd=self.work, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   start_new_session=True)
        deadline = time.time() + 60
        while not os.path.exists(self.at("ready")) and time.time() < deadline:
            time.sleep(0.05)
        process.kill()
        os.unlink(self.at("ready"))
        try:
            process.communicate(timeout=60)  # ends when the last process of the build has ended
            self.assertFalse(os.path.exists(out))
            return journal
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def test_it_ends_and_its_journal_says_that_it_is_not_whole(self):
        for options in ((), ("--observe", "preload")):
            journal = self.end_of(options)
            result = self.run_plain([STEMMA, "ingest", journal], check=False)
            self.assertIn(result.returncode, (0, 4), result.stderr)
            self.assertIn(b"the observer was stopped", result.stdout + result.stderr)
            os.unlink(journal)

    def test_with_the_fallback_it_goes_on(self):
        self.end_of(("--observe", "preload"))
        self.assertEqual(self.read("status"), b"0\n")


class Moving(BuildCase):
    def test_files_are_followed_into_a_folder_that_was_renamed(self):
        self.write("a.c", "int a;\n")
        manifest = self.build("mkdir -p stage/sub && gcc -c a.c -o stage/sub/a.o && mv stage final")
        self.assertIn("final/sub/a.o", manifest.artifact_paths())
        self.assertIn("a.c", manifest.sources_behind("final/sub/a.o"))


@unittest.skipUnless(os.geteuid() == 0, "[stemma-skip] needs root")
class SystemFiles(BuildCase):
    """They are looked at once, as nobody changes them during a build; unless a build does."""

    def setUp(self):
        super().setUp()
        self.system = os.path.realpath(tempfile.mkdtemp(prefix="stemma-test-", dir="/opt"))
        self.addCleanup(shutil.rmtree, self.system, True)
        for name in ("h", "other"):
            self.write(os.path.join(self.system, name), f"{name}\n")

    def content_read_for(self, output, change, name):
        path = f"{self.system}/{name}"
        self.write("Makefile", f"before:\n\tcat {path} {path} > $@\nchange:\n\t{change}\n{output}:\n\tcat {path} > $@\n")
        manifest = self.build(f"make before change {output}")
        read = [manifest.files[i] for i in manifest.step_of(output)["inputs"]]
        return [f["sha256"] for f in read if os.path.basename(f["path"]) not in ("cat", "bash", "dash")
                and f["path"].startswith("/opt/")], manifest.holes

    def test_one_that_is_written_is_looked_at_again(self):
        read, holes = self.content_read_for("after", f"echo new > {self.system}/h", "h")
        self.assertEqual(read, [sha256(f"{self.system}/h")])
        self.assertEqual([hole["program"] for hole in holes], [f"{self.system}/h"])  # what was read before is gone

    def test_one_that_is_replaced_is_looked_at_again(self):
        read, _ = self.content_read_for("after", f"echo new > {self.system}/n && mv {self.system}/n {self.system}/h", "h")
        self.assertEqual(read, [sha256(f"{self.system}/h")])

    def test_a_link_that_leads_elsewhere_is_looked_at_again(self):
        os.symlink("h", f"{self.system}/link")
        read, holes = self.content_read_for("after", f"ln -sfn other {self.system}/link", "link")
        self.assertEqual(read, [sha256(f"{self.system}/other")])
        self.assertEqual(holes, [])

    def test_a_folder_that_is_another_is_looked_at_again(self):
        for folder, text in (("one", "1\n"), ("two", "2\n")):
            self.write(os.path.join(self.system, folder, "h"), text)
        read, _ = self.content_read_for("after", f"mv {self.system}/one {self.system}/old && mv {self.system}/two {self.system}/one",
                                        "one/h")
        self.assertEqual(read, [sha256(f"{self.system}/one/h")])


if __name__ == "__main__":
    unittest.main(argv=[__file__] + os.environ.get("STEMMA_TESTS", "").split(), verbosity=1)
