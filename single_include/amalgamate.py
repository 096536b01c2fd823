#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""amalgamate.py [--check | --out DIR]: flattens a front door of include/ into one header that can be copied alone.

Depth first from the front door, each project header once, in the order in which a compiler meets them. A system include outside
every #if goes to the top, once; one inside an #if stays where it is. The products are header-only: `#if HOTPATH_HEADER_ONLY`
around an include is taken as true. No date, so the same tree gives the same bytes.

(no option)  writes the products beside this script     --out DIR  writes them there
--check      compares them with a fresh run; on a difference prints the command that mends it, exit code 1
"""
import argparse
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent / "include"
PRODUCTS = {  # front door: what the head of the product says
    "hotpath/hotpath.hpp": "everything that needs only the standard library",
    "hotpath/replay.hpp": "load a streaming LLM endpoint and record every arrival",
    "hotpath/trace.hpp": "torch.profiler traces: read, slice, merge, repair, write",
}
INCLUDE_LINE = re.compile(r"\s*#\s*include\s*<([^>]+)>")


class flattener:
    def __init__(self):
        self.seen, self.system, self.body = set(), set(), []

    def add(self, path, included_from):
        if path in self.seen:
            return
        self.seen.add(path)
        file = INCLUDE / path
        if not file.is_file():
            sys.exit(f"amalgamate.py: {included_from} includes <{path}>, which is not in include/")
        self.border(path)
        lines = file.read_text(encoding="utf-8").split("\n")
        conditions = []  # of the open #if: True for one that is dropped because it only guards includes of header-only bodies
        for number, line in enumerate(lines, 1):
            where = f"{path}:{number}"
            directive = re.match(r"\s*#\s*(if|ifdef|ifndef|else|elif|endif|include|pragma)\b(.*)", line)
            word, rest = (directive[1], directive[2]) if directive else ("", "")
            include = INCLUDE_LINE.match(line)
            if word.startswith("if"):
                dropped = rest.strip() == "HOTPATH_HEADER_ONLY" and only_includes(lines, number)
                conditions.append(dropped)
                if dropped:
                    continue
            elif word in ("else", "elif") and conditions and conditions[-1]:
                sys.exit(f"amalgamate.py: {where}: #{word} of an #if HOTPATH_HEADER_ONLY around includes")
            elif word == "endif" and conditions.pop():
                continue
            elif include and include[1].startswith("hotpath/"):
                if not all(conditions):
                    sys.exit(f"amalgamate.py: {where}: a project header inside an #if would be there for some builds only")
                self.add(include[1], where)
                self.border(path)
                continue
            elif include and all(conditions):
                self.system.add(include[1])
                continue
            elif word == "pragma" and rest.strip() == "once":
                continue
            if line != "// SPDX-License-Identifier: Apache-2.0":
                self.body.append(line)

    def border(self, path):
        """Names the file that the following lines are from; a border with nothing under it is dropped."""
        while self.body and self.body[-1] == "":
            self.body.pop()
        if self.body and self.body[-1].startswith("// ---- "):
            self.body.pop()
        self.body.append(f"// ---- {path}")


def only_includes(lines, number):
    """True if between the #if on this line and the next #endif there is nothing but project includes."""
    inside = []
    for line in lines[number:]:
        if re.match(r"\s*#\s*endif\b", line):
            break
        inside.append(line)
    return all(not line.strip() or line.strip().startswith("//") or re.match(r"\s*#\s*include\s*<hotpath/", line) for line in inside)


def flatten(front, what):
    version = re.search(r'HOTPATH_VERSION_STRING "([^"]+)"', (INCLUDE / "hotpath/version.hpp").read_text(encoding="utf-8"))[1]
    f = flattener()
    f.add(front, "amalgamate.py")
    while f.body and (f.body[-1] == "" or f.body[-1].startswith("// ---- ")):
        f.body.pop()
    head = ["// SPDX-License-Identifier: Apache-2.0", f"// hotpath {version}: {what}, in one header.",
            f"//   Made by single_include/amalgamate.py from include/{front}; do not edit. C++20, Linux, no library but the standard one.",
            "#pragma once", "#ifdef HOTPATH_SINGLE_HEADER", "#error \"one single header per unit: hotpath.hpp holds all of the others\"",
            "#endif", "#define HOTPATH_SINGLE_HEADER 1", "#if defined(HOTPATH_HEADER_ONLY) && !HOTPATH_HEADER_ONLY",
            "#error \"the single header holds the bodies; hotpath::compiled goes with the headers of include/\"", "#endif"]
    text = "\n".join(head + [f"#include <{s}>" for s in sorted(f.system)] + [""] + f.body) + "\n"
    return re.sub(r"\n{3,}", "\n\n", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    args = parser.parse_args()
    stale = []
    for front, what in PRODUCTS.items():
        text, product = flatten(front, what), args.out / front
        if args.check:
            if not product.is_file() or product.read_text(encoding="utf-8") != text:
                stale.append(front)
        else:
            product.parent.mkdir(parents=True, exist_ok=True)
            product.write_text(text, encoding="utf-8")
    if stale:
        print("not current: " + " ".join(f"single_include/{f}" for f in stale) + "\nmend with: python3 single_include/amalgamate.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
