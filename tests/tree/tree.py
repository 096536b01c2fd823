#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tree.py RULE ROOT [headers.txt]: rules that hold for the text of the whole tree. Prints file:line of each breach.

no_shell         nothing in include/, tools/ or examples/ starts a shell
no_machine_path  no file names a path of the machine it was written on
heads            every source begins with its licence; headers have #pragma once and no `using namespace`
header_list      the header list of CMake is the content of include/; the umbrella holds all that needs only the standard library
"""
import pathlib
import re
import subprocess
import sys

CODE = {".hpp", ".cpp", ".h", ".c", ".inc", ".py", ".sh"}


def files(root, *folders):
    """Files of the project, by git where there is one; else all below, without build trees."""
    done = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, text=True)
    names = done.stdout.split("\0") if done.returncode == 0 else [p.relative_to(root).as_posix() for p in root.rglob("*")]
    for name in sorted(filter(None, names)):
        if (not folders or name.startswith(folders)) and not name.startswith(("build", ".git/")) and (root / name).is_file():
            yield name


def lines(root, name):
    return (root / name).read_text(encoding="utf-8", errors="replace").splitlines()


def search(root, pattern, *folders, skip=()):
    regex = re.compile(pattern)
    return [f"{name}:{n}: {line.strip()[:120]}" for name in files(root, *folders) if not name.startswith(skip)
            for n, line in enumerate(lines(root, name), 1) if regex.search(line)]


def no_shell(root, _):
    return search(root, r"\b(system|popen|wordexp|execlp|execvp)\s*\(|\bsh\W+-c\b|std::system", "include/", "tools/", "examples/")


def no_machine_path(root, _):
    # Recorded answers of servers are data; the folder names are split so that this line does not find itself.
    homes = "|".join(("wo" "rk", "ro" "ot", "ho" "me", "fa" "rm", "Us" "ers"))
    return search(root, rf"(^|[^A-Za-z0-9._$}}-])/({homes})/[A-Za-z]", skip=("tests/data/", "tests/fuzz/corpus/", "single_include/hotpath/"))


def heads(root, _):
    bad = []
    for name in files(root):
        text = lines(root, name)
        if pathlib.PurePath(name).suffix not in CODE and not name.endswith("CMakeLists.txt"):
            continue
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in text[:2]):
            bad.append(f"{name}:1: no SPDX line")
        if name.startswith("include/") and name.endswith(".hpp"):
            if "#pragma once" not in text:
                bad.append(f"{name}:1: no #pragma once")
            bad += [f"{name}:{n}: using namespace in a header" for n, line in enumerate(text, 1)
                    if line.startswith("using namespace ")]
            if not name.endswith("-inl.hpp") and not re.match(rf"// {re.escape(name.removeprefix('include/'))}( - |: )", text[1] if len(text) > 1 else ""):
                bad.append(f"{name}:2: want `// {name.removeprefix('include/')} - what it is`")
    return bad


def header_list(root, listed):
    kinds = dict(reversed(line.split()) for line in listed.read_text().splitlines() if line)
    there = {p.relative_to(root / "include").as_posix() for p in (root / "include").rglob("*") if p.is_file()}
    bad = [f"include/{h}:1: not in the header list of CMakeLists.txt" for h in sorted(there - set(kinds))]
    bad += [f"CMakeLists.txt: lists {h}, which is not there" for h in sorted(set(kinds) - there)]
    reached, todo = set(), ["hotpath/hotpath.hpp"]
    while todo:
        path = todo.pop()
        if path in there and path not in reached:
            reached.add(path)
            todo += re.findall(r"^\s*#\s*include\s*<(hotpath/[^>]+)>", (root / "include" / path).read_text(), re.M)
    for h in sorted(there):
        if kinds.get(h) == "std" and h not in reached and h.endswith(".hpp") and "/detail/" not in h and "-inl" not in h:
            bad.append(f"include/hotpath/hotpath.hpp: does not bring <{h}>, which needs only the standard library")
        if kinds.get(h) == "bound" and h in reached:
            bad.append(f"include/hotpath/hotpath.hpp: brings <{h}>, which needs a library")
        if h.endswith("-inl.hpp") and not any(f"#include <{h}>" in (root / "include" / other).read_text() for other in there - {h}):
            bad.append(f"include/{h}:1: no header includes it")
    return bad


if __name__ == "__main__":
    rule, where = sys.argv[1], pathlib.Path(sys.argv[2])
    breaches = globals()[rule](where, pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None)
    print("\n".join(breaches) if breaches else f"{rule}: ok in {sum(1 for _ in files(where))} files")
    sys.exit(1 if breaches else 0)
