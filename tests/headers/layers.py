#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""layers.py ROOT: walks the include graph of include/hotpath and checks it against the tables of docs/architecture.md."""
import fnmatch
import pathlib
import re
import sys

STANDARD = set("""algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes climits
clocale cmath codecvt compare complex concepts condition_variable coroutine csetjmp csignal cstdarg cstddef cstdint cstdio cstdlib
cstring ctime cuchar cwchar cwctype deque exception execution expected filesystem format forward_list fstream functional future
initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map memory memory_resource mutex new numbers
numeric optional ostream print queue random ranges ratio regex scoped_allocator semaphore set shared_mutex source_location span
sstream stack stdexcept stop_token streambuf string string_view strstream syncstream system_error thread tuple type_traits typeindex
typeinfo unordered_map unordered_set utility valarray variant vector version""".split())


def rows(text, first_column):
    """The cells of the Markdown table whose first heading is first_column."""
    lines = iter(text.splitlines())
    for line in lines:
        if re.match(r"\|\s*" + first_column + r"\s*\|", line):
            next(lines)
            break
    else:
        sys.exit(f"docs/architecture.md has no table that begins with the column {first_column}")
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def ticked(cell):
    return re.findall(r"`([^`]+)`", cell)


class tables:
    def __init__(self, root):
        text = (root / "docs/architecture.md").read_text(encoding="utf-8")
        self.layers = [(r[0], ticked(r[1]), r[2].split(), int(r[3])) for r in rows(text, "layer")]
        self.foreign = [(ticked(r[0]), ticked(r[1])) for r in rows(text, "include")]

    def layer(self, path):
        """(name, layers it may include, most lines) of a file given relative to include/hotpath, or None."""
        for name, globs, may, lines in self.layers:
            if any(fnmatch.fnmatchcase(path, g) for g in globs):
                return name, may, lines
        return None

    def foreign_allowed(self, path, inc):
        """None if path may include inc, else what the tables say."""
        for includes, where in self.foreign:
            if any(fnmatch.fnmatchcase(inc, g) for g in includes):
                if any(fnmatch.fnmatchcase(path, g) for g in where):
                    return None
                return f"<{inc}> is for " + (" ".join(where) or "nothing in this project")
        return None if inc in STANDARD else f"<{inc}> is neither of the standard library nor in the table"


def graph(include_dir):
    """{path relative to include/: [(included, line), ...]}, ours without the leading folder include/."""
    result = {}
    for file in sorted(include_dir.rglob("*")):
        if file.is_file():
            found = []
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
                if m:
                    found.append((m[2], number, m[1]))
            result[file.relative_to(include_dir).as_posix()] = found
    return result


def chain_to(edges, target):
    """A shortest include path from a header that nobody includes down to target, to show why it matters."""
    parents = {}
    for path, found in edges.items():
        for inc, _, _ in found:
            parents.setdefault(inc, []).append(path)
    queue, seen = [[target]], {target}
    while queue:
        path = queue.pop(0)
        up = [p for p in parents.get(path[0], []) if p not in seen]
        if not up:
            return path
        seen.update(up)
        queue += [[p] + path for p in up]
    return [target]


def check(root):
    table, edges, bad = tables(root), graph(root / "include"), []

    def say(path, line, text, *tail):
        bad.append(f"include/{path}:{line}: {text}\n    " + " -> ".join(chain_to(edges, path) + list(tail)))

    for path, found in edges.items():
        short = path.removeprefix("hotpath/")
        mine = table.layer(short)
        if mine is None:
            say(path, 1, "is in no layer; give it a row in docs/architecture.md")
            continue
        for inc, line, mark in found:
            if mark == '"':
                say(path, line, f'"{inc}": include with <hotpath/...>')
            elif inc.startswith("hotpath/"):
                theirs = table.layer(inc.removeprefix("hotpath/"))
                if inc not in edges:
                    say(path, line, f"<{inc}> does not exist")
                elif theirs and theirs[0] not in mine[1]:
                    say(path, line, f"layer {mine[0]} must not include layer {theirs[0]}", inc)
            else:
                why = table.foreign_allowed(short, inc)
                if why:
                    say(path, line, why, inc)
    return len(edges), bad


if __name__ == "__main__":
    files, problems = check(pathlib.Path(sys.argv[1]))
    print("\n".join(problems) if problems else f"{files} files, every include within its layer")
    sys.exit(1 if problems or not files else 0)
