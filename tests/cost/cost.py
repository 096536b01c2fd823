#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cost.py --root DIR --list headers.txt --cxx g++ [--update] [--time]: what it costs to include each public header.

Lines after preprocessing (-E -P), compared with the limit of the header's layer (docs/architecture.md; what a library weighs
by itself comes on top) and with cost.json beside this file: a header that grew by more than 5 % fails until --update has written the new figure, so that growth is a decision.
--time also compiles each, and prints the CPU time over an empty unit and as a ratio to <string>, the yardstick."""
import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "headers"))
import layers  # noqa: E402
from headers import is_public  # noqa: E402

# Lighter than their layer, each for its own reason.
OWN_LIMITS = {"version.hpp": 20, "config.hpp": 500}


def lines(cxx, path):
    done = subprocess.run([*cxx, "-E", "-P", "-x", "c++", "-"], input=f"#include <{path}>\n".encode(), capture_output=True)
    if done.returncode != 0:
        sys.exit(f"<{path}> does not preprocess:\n{done.stderr.decode()}")
    return done.stdout.count(b"\n")


def third_party(edges, header):
    """The library headers that `header` brings, directly or through others of ours."""
    found, todo, seen = set(), [header], {header}
    while todo:
        for inc, _, _ in edges.get(todo.pop(), []):
            if inc in edges and inc not in seen:
                seen.add(inc)
                todo.append(inc)
            elif re.match(r"(fmt|nlohmann)/|sqlite3\.h$", inc):
                found.add(inc)
    return found


def milliseconds(cxx, text, runs=3):
    """Least CPU time of a few compilations at -O0."""
    best = float("inf")
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*cxx, "-O0", "-c", "-o", os.devnull, "-x", "c++", "-"], input=text.encode(), check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("root", "list", "cxx"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--update", action="store_true", help="write cost.json")
    parser.add_argument("--time", action="store_true", help="measure time too; a few seconds per header")
    args = parser.parse_args()

    root = pathlib.Path(args.root)
    cxx = [args.cxx, "-std=c++20", "-I", str(root / "include")]
    major = subprocess.run([args.cxx, "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip().split(".")[0]
    machine = subprocess.run([args.cxx, "-dumpmachine"], capture_output=True, text=True, check=True).stdout.strip().split("-")[0]
    compiler = f"g++ {major} {machine}"
    known_file = HERE / "cost.json"
    known = json.loads(known_file.read_text()) if known_file.exists() else {"compiler": compiler, "lines": {}}
    same = known["compiler"] == compiler
    if not same:
        print(f"{compiler}: the figures of cost.json are of {known['compiler']}; only the limits are checked")

    headers = [line.split()[1] for line in open(args.list, encoding="utf-8") if is_public(line.strip())]
    table, edges, measured, bad = layers.tables(root), layers.graph(root / "include"), {}, []
    empty = milliseconds(cxx, "int main() {}\n") if args.time else 0
    yard = milliseconds(cxx, "#include <string>\nint main() {}\n") - empty if args.time else 0
    print(f"{'header':44} {'lines':>7} {'limit':>7} {'before':>7}" + (f" {'ms':>6} {'strings':>8}" if args.time else ""))
    for header in headers:
        short = header.removeprefix("hotpath/")
        layer = table.layer(short)
        limit = OWN_LIMITS.get(short, layer[2] if layer else 0)
        limit += sum(lines(cxx, inc) for inc in third_party(edges, header))
        n = measured[header] = lines(cxx, header)
        before = known["lines"].get(header)
        row = f"{header:44} {n:7} {limit:7} {before if before is not None else '-':>7}"
        if args.time:
            ms = milliseconds(cxx, f"#include <{header}>\nint main() {{}}\n") - empty
            row += f" {ms:6.0f} {ms / yard:8.2f}"
        print(row)
        if n > limit:
            bad.append(f"{header}: {n} lines, more than the {limit} of its layer")
        if same and not args.update:
            if before is None:
                bad.append(f"{header}: not in cost.json")
            elif n > 1.05 * before:
                bad.append(f"{header}: {n} lines, {100 * (n / before - 1):.1f} % more than the {before} of cost.json")
    gone = sorted(set(known["lines"]) - set(headers))
    if gone and not args.update:
        bad.append("in cost.json, but no header any more: " + " ".join(gone))
    if args.update:
        known_file.write_text(json.dumps({"compiler": compiler, "lines": measured}, indent=1) + "\n")
        print(f"wrote {known_file.relative_to(root.resolve())}")
    if bad:
        print("\n".join(bad))
        print("If the growth is meant, write the new figures: cmake --build BUILD --target cost_update")
    return 1 if bad or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
