"""Which members of a static library a link took: checked against what the linker itself says with -t -t."""
import hashlib
import json
import os
import re
import shlex
import subprocess
import unittest

from support import HOOK, STEMMA, BuildCase


class ArchiveCase(BuildCase):
    def sources(self, **texts):
        for name, text in texts.items():
            self.write(f"{name}.c", text)

    def library(self, name, members, flags=""):
        """The commands that compile the members and archive them."""
        return " && ".join([*(f"gcc {flags} -c {m}.c" for m in members),
                            f"rm -f {name}.a && ar rcs {name}.a " + " ".join(f"{m}.o" for m in members)])

    def traced_members(self, link):
        """What the linker says that it loads, of archives in the work folder: {"libx.a": {"a.o"}}."""
        result = self.run_plain(link + " -Wl,-t,-t")
        found = {}
        for line in (result.stdout + result.stderr).decode().splitlines():
            match = re.match(r"^\(?([^()]*\.a)\)?\(?([^()]+\.o)\)?$", line.strip())
            if match and not match.group(1).startswith("/"):
                found.setdefault(os.path.basename(match.group(1)), set()).add(match.group(2))
        return found

    def recorded_members(self, manifest, output):
        found = {}
        for path in manifest.inputs(output):
            if match := re.match(r"^(.*\.a)\((.*)\)$", path):
                found.setdefault(os.path.basename(match.group(1)), set()).add(match.group(2))
            elif path.endswith(".a"):
                names = self.run_plain(["ar", "t", path]).stdout.decode().split()
                found.setdefault(os.path.basename(path), set()).update(names)
        return found

    def check(self, prepare, link, output="main"):
        """Builds, and compares the members that the manifest names with those that the linker names."""
        manifest = self.build(f"{prepare} && {link}")
        plain = self.read(output)
        expected = self.traced_members(link)
        self.assertEqual(plain, self.read(output), "the watched link made another file")
        self.assertEqual(self.recorded_members(manifest, output), expected)
        self.assertEqual([step for step in manifest.steps if step.get("unsettled")], [])
        return manifest


USE_A = "int a(void); int main(void){return a();}\n"


class LinkedMembers(ArchiveCase):
    def test_a_member_that_was_not_linked_is_no_input(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", main=USE_A)
        manifest = self.check(self.library("libx", "ab") + " && gcc -c main.c", "gcc -o main main.o libx.a")
        self.assertEqual(manifest.inputs("main"), ["libx.a(a.o)", "main.o"])
        behind = manifest.sources_behind("main")
        self.assertIn("a.c", behind)
        self.assertNotIn("b.c", behind)
        self.assertTrue({"a.c", "b.c"} <= manifest.sources_behind("libx.a"))

    def test_the_lineage_does_not_lead_from_it_to_the_program(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", main=USE_A)
        self.build(self.library("libx", "ab") + " && gcc -c main.c && gcc -o main main.o -L. -lx")
        for source, reaches in (("a.c", True), ("b.c", False), ("main.c", True)):
            shown = self.run_plain([STEMMA, "--json", "where", f"file:{source}", "--to", "artifacts"]).stdout
            names = {item["name"] for item in json.loads(shown)["items"]}
            self.assertEqual("main" in names, reaches, (source, names))
        self.assertIn(b"libx.a(a.o)", self.run_plain([STEMMA, "manifest", "show", "work", "main"]).stdout)
        roots = [line for line in self.run_plain([STEMMA, "manifest", "show", "work"]).stdout.decode().splitlines()
                 if "sha256" in line]
        self.assertEqual([line.split()[0] for line in roots], ["main"])

    def test_a_program_and_an_archive_are_shown_by_their_files(self):
        self.sources(a="int a(void){return 0;}\n", main=USE_A)
        self.build(self.library("libx", "a") + " && ranlib libx.a && gcc -c main.c && gcc -o main main.o libx.a")
        shown = self.run_plain([STEMMA, "manifest", "show", "main"]).stdout.decode()
        self.assertIn(f"main  executable  sha256 {hashlib.sha256(self.read('main')).hexdigest()[:16]}", shown)
        shown = self.run_plain([STEMMA, "manifest", "show", "libx.a"]).stdout.decode()
        self.assertIn("archive: ar rcs libx.a a.o", shown)
        refused = self.run_plain([STEMMA, "manifest", "show", "main.c"], check=False)
        self.assertEqual((refused.returncode, b"no manifest" in refused.stderr), (1, True), refused)

    def test_ranlib_makes_no_member(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", main=USE_A)
        manifest = self.check(self.library("libx", "ab") + " && ranlib libx.a && gcc -c main.c", "gcc -o main main.o libx.a")
        self.assertEqual(manifest.inputs("main"), ["libx.a(a.o)", "main.o"])
        copies = [step["argv"] for step in manifest.steps if step["kind"] == "copy"]
        self.assertEqual(copies, [["ar", "rcs", "libx.a", "a.o", "b.o"]])

    def test_members_that_members_want(self):
        self.sources(a="int c(void); int a(void){return c();}\n", b="int b(void){return 0;}\n",
                     c="int d; int c(void){return d;}\n", d="int d;\n", main=USE_A)
        self.check(self.library("libx", "dcab") + " && gcc -c -fcommon main.c", "gcc -o main main.o libx.a")

    def test_a_temporary_object_of_the_compiler(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", main=USE_A)
        self.check(self.library("libx", "ab"), "gcc -o main main.c libx.a")

    def test_weak_wishes_take_nothing(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n",
                     main="int a(void); int b(void) __attribute__((weak));\nint main(void){return a() + (b ? b() : 0);}\n")
        self.check(self.library("libx", "ab") + " && gcc -c main.c", "gcc -o main main.o libx.a")

    def test_archives_serve_what_stands_before_them(self):
        self.sources(a="int b(void); int a(void){return b();}\n", b="int b(void){return 0;}\n",
                     c="int b(void){return 1;}\nint c;\n", d="int d;\n", main=USE_A)
        prepare = " && ".join([self.library("libone", "bd"), self.library("libtwo", "ad"), self.library("libthree", "cd"),
                               "gcc -c main.c"])
        # libone's turn comes before anything wants b.
        self.check(prepare, "gcc -o main main.o libone.a libtwo.a libthree.a")

    def test_groups_are_searched_in_turns(self):
        self.sources(a="int b(void); int a(void){return b();}\n", b="int c(void); int b(void){return c();}\n",
                     c="int c(void){return 0;}\n", d="int d;\n", main=USE_A)
        prepare = " && ".join([self.library("libone", "bd"), self.library("libtwo", "acd"), "gcc -c main.c"])
        self.check(prepare, "gcc -o main main.o -Wl,--start-group libone.a libtwo.a -Wl,--end-group")

    def test_whole_archives(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", c="int c;\n", main=USE_A)
        prepare = self.library("libx", "ab") + " && " + self.library("liby", "cb") + " && gcc -c main.c"
        manifest = self.check(prepare, "gcc -o main main.o -Wl,--whole-archive libx.a -Wl,--no-whole-archive liby.a")
        self.assertEqual(manifest.inputs("main"), ["libx.a", "main.o"])

    def test_symbols_that_the_command_line_wants(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", c="int __wrap_e(void){return 0;}\n",
                     e="int e(void){return 0;}\n", f="int f;\n", main="int a(void), e(void); int main(void){return a() + e();}\n")
        self.check(self.library("libx", "abcef") + " && gcc -c main.c",
                   "gcc -o main main.o -Wl,-u,b -Wl,--wrap=e -Wl,--defsym,f=0 libx.a")

    def test_tentative_definitions(self):
        self.sources(a="int shared_by_name = 7; int a(void){return 0;}\n", b="int shared_by_name; int b;\n",
                     main="int shared_by_name; int main(void){return shared_by_name;}\n")
        self.check(self.library("libx", "ba", "-fcommon") + " && gcc -fcommon -c main.c", "gcc -o main main.o libx.a")

    def test_what_a_shared_library_wants_and_gives(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", c="int c;\n",
                     s="int b(void); int s(void){return b();}\nint a(void){return 1;}\n",
                     main="int a(void), s(void); int main(void){return a() + s();}\n")
        self.check(self.library("libx", "abc", "-fPIC") + " && gcc -fPIC -c s.c && gcc -shared -o libs.so s.o && gcc -c main.c",
                   "gcc -o main main.o -L. -ls -lx -Wl,-rpath,.")

    def test_a_shared_library_that_is_not_needed(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n",
                     s="int b(void); int s(void){return b();}\n", main=USE_A)
        self.check(self.library("libx", "ab", "-fPIC") + " && gcc -fPIC -c s.c && gcc -shared -o libs.so s.o && gcc -c main.c",
                   "gcc -o main main.o -L. -Wl,--as-needed -ls -Wl,--no-as-needed -lx")

    def test_static_programs_scripts_and_response_files(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", c="void *malloc(unsigned long n){return 0;}\n",
                     main=USE_A)
        self.write("both.ld", "/* a script */ GROUP ( libx.a AS_NEEDED ( -lm ) )\n")
        self.write("words", "main.o both.ld -L .\n")
        self.check(self.library("libx", "abc") + " && gcc -c main.c", "gcc -static -o main @words")

    def test_c_plus_plus(self):
        self.write("a.cpp", "#include <string>\n#include <vector>\nstd::string a(){std::vector<std::string> v(3); return v[0];}\n")
        self.write("b.cpp", "#include <string>\n#include <vector>\nstd::string b(){std::vector<std::string> v(3); return v[1];}\n")
        self.write("main.cpp", "#include <string>\nstd::string a(); int main(){return static_cast<int>(a().size());}\n")
        self.check("g++ -c a.cpp b.cpp main.cpp && ar rcs libx.a b.o a.o", "g++ -o main main.o libx.a")

    def test_thin_archives(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", main=USE_A)
        manifest = self.build("gcc -c a.c b.c main.c && ar rcsT libx.a a.o b.o && gcc -o main main.o libx.a")
        self.assertEqual(manifest.inputs("main"), ["a.o", "main.o"])
        self.assertNotIn("b.c", manifest.sources_behind("main"))

    def test_other_linkers(self):
        self.sources(a="int b(void); int a(void){return b();}\n", b="int b(void){return 0;}\n", c="int b(void){return 1;}\n",
                     d="int d;\n", main=USE_A)
        prepare = " && ".join([self.library("libone", "bd"), self.library("libtwo", "ad"), self.library("libthree", "cd"),
                               "gcc -c main.c"])
        for linker in ("gold", "lld"):
            if subprocess.run(["which", f"ld.{linker}"], stdout=subprocess.DEVNULL, check=False).returncode == 0:
                with self.subTest(linker):
                    self.check(prepare, f"gcc -fuse-ld={linker} -o main main.o libone.a libtwo.a libthree.a")

    def test_what_cannot_be_known_is_said(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", main=USE_A)
        manifest = self.build("gcc -flto -O2 -c a.c b.c main.c && gcc-ar rcs libx.a a.o b.o && gcc -flto -O2 -o main main.o libx.a")
        self.assertEqual(manifest.inputs("main"), ["libx.a", "main.o"])
        said = [u for step in manifest.steps for u in step.get("unsettled", [])]
        self.assertEqual([manifest.files[u["file"]]["path"] for u in said], ["libx.a"])
        self.assertIn("link-time optimisation", said[0]["reason"])
        shown = self.run_plain([STEMMA, "manifest", "show", "work", "main"]).stdout
        self.assertIn(b"which of its members were linked is not known", shown)

    def test_an_archive_that_nobody_made(self):
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", main=USE_A)
        self.run_plain(self.library("libx", "ab") + " && rm a.o b.o a.c b.c")
        self.commit_all()
        manifest = self.build("gcc -o main main.c libx.a")
        self.assertEqual(manifest.inputs("main"), ["libx.a(a.o)", "main.c"])
        self.assertIn("libx.a", manifest.sources_behind("main"))


class ChangedArchives(ArchiveCase):
    def setUp(self):
        super().setUp()
        self.sources(a="int a(void){return 0;}\n", b="int b(void){return 0;}\n", old="int b(void){return 5;}\n", main=USE_A)

    def test_of_a_replaced_member_the_new_object_counts(self):
        manifest = self.build("gcc -c a.c && gcc -c old.c -o b.o && ar rcs libx.a a.o b.o && gcc -c b.c && ar r libx.a b.o")
        self.assertEqual(manifest.inputs("libx.a"), ["b.o", "libx.a(a.o)"])
        behind = manifest.sources_behind("libx.a")
        self.assertTrue({"a.c", "b.c"} <= behind)
        self.assertNotIn("old.c", behind)

    def test_a_later_build_replaces_it(self):
        self.build("gcc -c a.c && gcc -c old.c -o b.o && ar rcs libx.a a.o b.o")
        manifest = self.build("gcc -c b.c && ar r libx.a b.o && gcc -o main main.c libx.a")
        behind = manifest.sources_behind("libx.a")
        self.assertTrue({"a.c", "b.c"} <= behind, behind)
        self.assertNotIn("old.c", behind)
        self.assertIn("a.c", manifest.sources_behind("main"))
        self.assertNotIn("b.c", manifest.sources_behind("main"))
        self.assertEqual([a for a in manifest.artifacts if "(" in a["name"]], [])

    def test_a_deleted_member_is_gone(self):
        manifest = self.build("gcc -c a.c b.c && ar rcs libx.a a.o b.o && ar d libx.a b.o")
        self.assertNotIn("b.c", manifest.sources_behind("libx.a"))
        self.assertIn("a.c", manifest.sources_behind("libx.a"))

    def test_an_archive_of_an_earlier_build_that_is_linked_again(self):
        self.build("gcc -c a.c b.c && ar rcs libx.a a.o b.o")
        manifest = self.build("gcc -o main main.c libx.a")
        self.assertIn("a.c", manifest.sources_behind("main"))
        self.assertNotIn("b.c", manifest.sources_behind("main"))

    def test_two_builds_give_one_manifest(self):
        command = "gcc -c a.c b.c && rm -f libx.a && ar rcs libx.a a.o b.o && gcc -o main main.c libx.a"
        self.assertEqual(self.build(command).normalised(), self.build(command).normalised())

    def test_launchers_alone_say_it_too(self):
        journal = os.path.join(self.folder, "journal")
        for command in ("gcc -c a.c", "gcc -c b.c", "ar rcs libx.a a.o b.o", "gcc -o main main.c libx.a"):
            self.run_plain([HOOK, "step", f"--journal={journal}", "--target=t", "--", *shlex.split(command)])
        self.run_plain("rm -f libx.a")  # what is known was settled while the linker ran
        self.run_plain([STEMMA, "ingest", journal])
        shown = self.run_plain([STEMMA, "manifest", "show", "work", "main"]).stdout
        self.assertIn(b" a.c ", shown)
        self.assertNotIn(b" b.c ", shown)


if __name__ == "__main__":
    unittest.main(argv=[__file__] + os.environ.get("STEMMA_TESTS", "").split(), verbosity=1)
