#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""catalogue.py NAMES_FILE EXECUTABLE...: every fault of ids.txt has a test that carries its id, or is listed as open.

The names are those that run: what each doctest executable lists, and the ctest names in NAMES_FILE, one a line.
open.txt: one id a line, or id:word for the half of a case that is still open (a test name with the id and the word closes it).
An entry that has a test fails too, so that the list only gets shorter."""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ID = re.compile(r"\bF-[A-Z]{2,3}-\d\d\b")


def listed(executable):
    done = subprocess.run([executable, "--list-test-cases", "--no-version"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith(("[doctest]", "==="))]


def main(names_file, executables):
    names = pathlib.Path(names_file).read_text(encoding="utf-8").splitlines()
    for executable in executables:
        names += listed(executable)
    ids = [line.split("\t")[0] for line in (HERE / "ids.txt").read_text().splitlines()]
    open_entries = (HERE / "open.txt").read_text().split()
    tested = {}
    for name in names:
        for i in ID.findall(name):
            tested.setdefault(i, []).append(name)

    bad = [f"{i}: no such id, in the test \"{tested[i][0]}\"" for i in sorted(set(tested) - set(ids))]
    for entry in open_entries:
        i, _, word = entry.partition(":")
        closed_by = [n for n in tested.get(i, []) if word in n]
        if i not in ids:
            bad.append(f"open.txt: {entry}: no such id")
        elif closed_by:
            bad.append(f"open.txt: {entry} has a test, take it off the list: \"{closed_by[0]}\"")
    bad += [f"{i}: no test carries this id" for i in ids if i not in tested and i not in open_entries]
    print("\n".join(bad) if bad else f"{len(ids)} faults: {len(tested)} tested, {len(open_entries)} open; {len(names)} test names")
    return 1 if bad or len(ids) != 196 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
