#!/usr/bin/env python3
"""What watching a build costs: CPU and wall time of the same build, plain and watched, in pairs.

usage: bench.py STEMMA [--rounds N] [--tools stemma,strace,bear] [--only TITLE]
       bench.py STEMMA --tree FOLDER --command COMMAND [--clean COMMAND] [--rounds N] [--tools …]

Generated workloads: C++ sources with heavy headers, small C files, many objects at -j2 with their
archive and a link, a configure-like shell script, and autoconf's own configure where it is installed.
With --tree one real project instead: FOLDER is copied, COMMAND builds it there, --clean (default:
nothing) undoes that before each run and is not measured, e.g.

    bench.py stemma --tree fmt --command 'cmake -B b -G Ninja -DFMT_TEST=OFF && ninja -C b' --clean 'rm -rf b'

The last line says how busy the machine was: ratios of processor time bear that, those of wall time
do not. Each round runs the plain build and every watched one after the other; the medians of the ratios
within rounds are printed, so that a machine that is slow for a while slows both.
"""
import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def make_cpp(folder):
    headers = "".join(f"#include <{name}>\n" for name in ("algorithm", "functional", "iostream", "map", "regex", "string"))
    for i in range(4):
        write(f"{folder}/s{i}.cpp", headers + f"int f{i}(){{std::regex r(\"a+\"); std::map<int,std::string> m; "
              f"return static_cast<int>(m.size()) + std::regex_match(\"aa\", r) + {i};}}\n")
    return "for i in 0 1 2 3; do g++ -O1 -std=c++17 {launcher} -c s$i.cpp || exit 1; done; rm -f *.o"


def make_small_c(folder):
    for i in range(40):
        write(f"{folder}/s{i}.c", f"#include <stdio.h>\n#include <stdlib.h>\nint f{i}(void){{return puts(\"x\") + {i};}}\n")
    return "for i in $(seq 0 39); do gcc -O1 -c s$i.c || exit 1; done; rm -f *.o"


def make_objects(folder):
    """As git's tree is: headers of its own that all read, an archive, a program of a part of it."""
    for i in range(20):
        write(f"{folder}/h{i}.h", "#include <string.h>\n" + "".join(f"int declared_{i}_{j}(const char *);\n" for j in range(200)))
    headers = "".join(f'#include "h{i}.h"\n' for i in range(20))
    for i in range(60):
        body = "".join(f"int f{i}_{j}(const char *s){{return (int)strlen(s) * {j} + declared_1_1(s);}}\n" for j in range(60))
        write(f"{folder}/s{i}.c", f"#include <stdio.h>\n#include <stdlib.h>\n{headers}{body}")
    write(f"{folder}/main.c", "int declared_1_1(const char *s){return *s;}\nint f1_1(const char *);\nint main(void){return f1_1(\"\");}\n")
    write(f"{folder}/Makefile", "prog: main.o libs.a\n\tgcc -o $@ main.o libs.a\nlibs.a: " + " ".join(f"s{i}.o" for i in range(60)) +
          "\n\tar rcs $@ $^\n%.o: %.c\n\tgcc -O2 -c $<\nclean:\n\trm -f *.o *.a prog\n")
    return "make -s -j2 && make -s clean"


def make_autoconf(folder):
    if shutil.which("autoconf") is None:
        return None
    functions = "alarm atexit bzero dup2 fork getcwd gethostname gettimeofday localtime_r memchr memmove memset mkdir munmap".split()
    headers = "arpa/inet.h fcntl.h limits.h locale.h netdb.h stddef.h sys/file.h sys/ioctl.h sys/param.h sys/socket.h sys/time.h".split()
    write(f"{folder}/configure.ac", "AC_INIT([bench],[1])\nAC_CONFIG_HEADERS([config.h])\nAC_PROG_CC\n"
          f"AC_CHECK_HEADERS([{' '.join(headers)}])\nAC_CHECK_FUNCS([{' '.join(functions)}])\n"
          "AC_TYPE_SIZE_T\nAC_TYPE_PID_T\nAC_C_BIGENDIAN\nAC_CHECK_SIZEOF([long])\nAC_OUTPUT\n")
    subprocess.run(["autoreconf", "-i"], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return "./configure -q && rm -f config.h config.status config.log"


def make_configure(folder):
    write(f"{folder}/configure", "#!/bin/sh\nfor i in $(seq 60); do echo \"int main(void){return $i;}\" > conftest.c\n"
          "gcc -o conftest conftest.c 2>/dev/null && ./conftest; echo \"#define C$i $(echo $i | sed s/1/2/)\" >> config.h\n"
          "rm -f conftest*; done; rm -f config.h\n")
    return "sh ./configure"


WORKLOADS = {"C++, heavy headers": make_cpp, "small C files": make_small_c, "objects at -j2": make_objects,
             "configure": make_configure, "autoconf's configure": make_autoconf}


def run(argv, folder, environment):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    result = subprocess.run(argv, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        sys.exit(f"{argv} failed: {result.stderr.decode(errors='replace')[-500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stemma")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tools", default="stemma,strace,bear")
    parser.add_argument("--only", default="", help="a part of the workload's title")
    parser.add_argument("--tree", help="a real project's folder")
    parser.add_argument("--command", help="what builds it")
    parser.add_argument("--clean", default="true", help="what undoes that")
    arguments = parser.parse_args()
    stemma = os.path.abspath(arguments.stemma)
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as top:
        environment = dict(os.environ, STEMMA_STORE=f"{top}/state/lineage.db", LC_ALL="C")
        ways = {
            "stemma": lambda command: [stemma, "-q", "build", "--", "sh", "-c", command],
            "strace": lambda command: ["strace", "-f", "-o", f"{top}/trace", "sh", "-c", command],
            "bear": lambda command: ["bear", "--output", f"{top}/cc.json", "--", "sh", "-c", command],
        }
        wanted = [name for name in arguments.tools.split(",") if name == "stemma" or shutil.which(name)]
        print(f"{'workload':<20} {'plain CPU s':>11}  " + "  ".join(f"{name + ' CPU':>11} {'wall':>6}" for name in wanted), flush=True)
        def copy_tree(folder):
            shutil.copytree(arguments.tree, folder, symlinks=True, dirs_exist_ok=True)
            return arguments.command

        workloads = {os.path.basename(os.path.abspath(arguments.tree)): copy_tree} if arguments.tree else WORKLOADS
        for title, make in workloads.items():
            if arguments.only not in title:
                continue
            folder = tempfile.mkdtemp(dir=top)
            command = make(folder)
            if command is None:
                print(f"{title:<20} [skipped: not installed]")
                continue
            command = command.replace("{launcher} ", "")
            clean = ["sh", "-c", arguments.clean]
            plain_cpu, ratios = [], {name: ([], []) for name in wanted}
            for number in range(arguments.rounds + 1):
                run(clean, folder, environment)
                cpu, wall = run(["sh", "-c", command], folder, environment)
                seen = {}
                for name in wanted:
                    run(clean, folder, environment)
                    seen[name] = run(ways[name](command), folder, environment)
                if number == 0:
                    continue  # fills caches
                plain_cpu.append(cpu)
                for name, (other_cpu, other_wall) in seen.items():
                    ratios[name][0].append(other_cpu / cpu)
                    ratios[name][1].append(other_wall / wall)
            print(f"{title:<20} {statistics.median(plain_cpu):>11.2f}  " + "  ".join(
                f"{statistics.median(ratios[name][0]):>11.3f} {statistics.median(ratios[name][1]):>6.3f}" for name in wanted), flush=True)
        print("load of the machine: %.1f (1 min), %d processors" % (os.getloadavg()[0], os.cpu_count()))


if __name__ == "__main__":
    main()
