#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""snippets.py ROOT WORK CXX [FLAG...]: compiles every block fenced as ```cpp in README.md and docs/*.md, as a unit of its own.

A block is a whole unit: it brings its own includes. One without `main` is compiled as well, as a piece of a program.
What should only be shown is fenced as ```text. Errors are given with the line of the page."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys


def blocks(root):
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        if not page.is_file():
            continue
        opened, kind, text = 0, "", []
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            fence = re.match(r"\s*```(\S*)", line)
            if fence and not opened:
                opened, kind, text = number, fence[1], []
            elif fence:
                if kind in ("cpp", "c++", "C++", "cc"):
                    yield page.relative_to(root).as_posix(), opened + 1, text
                opened = 0
            elif opened:
                text.append(line)
        if opened:
            sys.exit(f"{page.relative_to(root)}:{opened}: this fence is never closed")


def main(root, work, command):
    root, work = pathlib.Path(root), pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)

    def compile_one(block):
        page, line, text = block
        unit = work / (re.sub(r"\W", "_", page) + f"_{line}.cpp")
        unit.write_text(f'#line {line} "{page}"\n' + "\n".join(text) + "\n")
        done = subprocess.run([*command, "-std=c++20", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-fsyntax-only",
                               "-I", str(root / "include"), str(unit)], capture_output=True, text=True)
        return (f"{page}:{line}", done.stderr if done.returncode else None)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(compile_one, blocks(root)))
    for where, error in done:
        print(f"{where}: " + ("ok" if error is None else "does not compile\n" + error))
    return 1 if any(error for _, error in done) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
