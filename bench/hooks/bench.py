#!/usr/bin/env python3
"""What watching a build costs: CPU and wall time of the same build, plain and watched, in pairs.

usage: bench.py STEMMA [--rounds N] [--tools stemma,strace,bear] [--only TITLE]

Three generated workloads: C++ sources with heavy headers, small C files, and a configure-like shell
script. Each round runs the plain build and every watched one after the other; the medians of the ratios
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


def make_configure(folder):
    write(f"{folder}/configure", "#!/bin/sh\nfor i in $(seq 60); do echo \"int main(void){return $i;}\" > conftest.c\n"
          "gcc -o conftest conftest.c 2>/dev/null && ./conftest; echo \"#define C$i $(echo $i | sed s/1/2/)\" >> config.h\n"
          "rm -f conftest*; done; rm -f config.h\n")
    return "sh ./configure"


WORKLOADS = {"C++, heavy headers": make_cpp, "small C files": make_small_c, "configure": make_configure}


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
        for title, make in WORKLOADS.items():
            if arguments.only not in title:
                continue
            folder = tempfile.mkdtemp(dir=top)
            command = make(folder).replace("{launcher} ", "")
            plain_cpu, ratios = [], {name: ([], []) for name in wanted}
            for number in range(arguments.rounds + 1):
                cpu, wall = run(["sh", "-c", command], folder, environment)
                seen = {name: run(ways[name](command), folder, environment) for name in wanted}
                if number == 0:
                    continue  # fills caches
                plain_cpu.append(cpu)
                for name, (other_cpu, other_wall) in seen.items():
                    ratios[name][0].append(other_cpu / cpu)
                    ratios[name][1].append(other_wall / wall)
            print(f"{title:<20} {statistics.median(plain_cpu):>11.2f}  " + "  ".join(
                f"{statistics.median(ratios[name][0]):>11.3f} {statistics.median(ratios[name][1]):>6.3f}" for name in wanted), flush=True)


if __name__ == "__main__":
    main()
