#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""headers.py LEG --root DIR --list headers.txt --work DIR --cxx COMPILER: what every public header must survive.

alone   each header as the first and only include of a unit, with our whole warning set
names   `using namespace hotpath;` beside the C and POSIX libraries; macros that other headers are known to define
macros  including everything defines no macro without the prefix HOTPATH_, and leaves no HOTPATH_DETAIL_
odr     two units that include everything, in one program; the same under -fno-exceptions -fno-rtti
cross   everything that needs only the standard library, for another processor (COMPILER is a cross compiler)
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

WARN = "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wundef -Werror".split()

# Names that headers of this world define as macros. Set after the system headers, before ours: any use is an error. The second
# kind takes arguments, so that `(std::min)(a, b)` and `(max)()` are the way to write such a name.
TRAPS = """I B0 small unix linux sun near far interface IN OUT ERROR DELETE OPTIONAL CONST TRUE FALSE Bool True False None Success Status Always Never Unsorted _T
_B _S _C _U _L _N _P""".split()
CALLED_TRAPS = "min max major minor makedev likely unlikely".split()

NAMES = r"""
#include <arpa/inet.h>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <error.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <syslog.h>
#include <thread>
#include <unistd.h>
using namespace hotpath;
// Unqualified, as in the code of users: ambiguous if hotpath had the name. Never run.
double mathematics(double x) {
  return ::log(2.0) + log(x) + exp(x) + gamma(x) + j0(x) + y1(x) + round(x) + trunc(x) + floor(x) + ceil(x) + scalb(x, 2) +
         static_cast<double>(div(7, 2).quot) + abs(-1) + remainder(x, 2.0) + hypot(x, x) + pow(x, x) + fmin(x, x) + logb(x);
}
int library(char* text, int fd) {
  struct sockaddr* where = nullptr;
  socklen_t size = 0;
  fd_set set;
  FD_ZERO(&set);
  signal(SIGUSR1, SIG_DFL);
  clock_t c = clock();
  time_t t = time(nullptr);
  srand(static_cast<unsigned>(t));
  exit(static_cast<int>(c) + rand() + remove(text) + rename(text, text) + select(0, &set, &set, &set, nullptr) +
       accept(fd, where, &size) + static_cast<int>(send(fd, text, 1, 0) + recv(fd, text, 1, 0) + read(fd, text, 1) + write(fd, text, 1)) +
       open(text, 0) + close(fd) + connect(fd, where, size) + bind(fd, where, size) + listen(fd, 1) + shutdown(fd, 0) +
       poll(nullptr, 0, 0) + raise(1) + kill(0, 0) + static_cast<int>(wait(nullptr)) + pipe(&fd) + dup(fd) + link(text, text) +
       unlink(text) + access(text, 0) + truncate(text, 0) + sync_all() + usage());
}
int also(char* text) {
  syslog(1, "%s", text);
  ::error(0, 0, "%s", text);  // glibc's, from <error.h>: the one name that has to be written with its colons
  qsort(text, 1, 1, nullptr);
  struct stat s;
  struct timeval v;
  struct rusage r;
  std::thread::id id = std::this_thread::get_id();
  return (index(text, 'x') != nullptr) + stat(text, &s) + gettimeofday(&v, nullptr) + getrusage(0, &r) + (id == std::thread::id{}) +
         sched_yield() + static_cast<int>(random()) + atoi(text) + static_cast<int>(strlen(text)) + printf("%s", text) + puts(text);
}
"""
NAMES = NAMES.replace(" + sync_all() + usage()", "")


class session:
    def __init__(self, args):
        self.root, self.work, self.cxx = pathlib.Path(args.root), pathlib.Path(args.work), args.cxx
        self.work.mkdir(parents=True, exist_ok=True)
        lines = [line.split() for line in open(args.list, encoding="utf-8") if line.strip()]
        self.std = [p for kind, p in lines if kind == "std" and is_public(p)]
        self.all = [p for _, p in lines if is_public(p)]
        self.flags = ["-std=c++20", "-pthread", "-I", str(self.root / "include")] + args.flag
        self.cache = [shutil.which("ccache")] if shutil.which("ccache") else []

    def compile(self, name, text, *flags, headers_only=False):
        """None, or what the compiler said about the unit `name` with this text."""
        source = self.work / f"{name}.cpp"
        if not source.exists() or source.read_text() != text:
            source.write_text(text)
        what = ["-fsyntax-only"] if headers_only else ["-c", "-o", str(source.with_suffix(".o"))]
        cache = [] if headers_only else self.cache
        done = subprocess.run(cache + [self.cxx, *self.flags, *flags, *what, str(source)], capture_output=True, text=True)
        return None if done.returncode == 0 else f"---- {name} ({self.cxx})\n{done.stderr.strip()}"

    def run(self, command):
        done = subprocess.run(command, capture_output=True, text=True)
        return None if done.returncode == 0 else f"---- {' '.join(command[:1])}\n{done.stdout}{done.stderr}"


def is_public(path):
    return path.endswith(".hpp") and not path.endswith("-inl.hpp") and "/detail/" not in path


def includes(paths):
    return "".join(f"#include <{p}>\n" for p in paths)


def system_includes(s):
    """Every header of others that ours include, so that traps set after them can hit only our text."""
    found = set()
    for path in (s.root / "include").rglob("*.hpp"):
        found |= set(re.findall(r"^\s*#\s*include\s*<(?!hotpath/)([^>]+)>", path.read_text(), re.M))
    text = "".join(f"#if __has_include(<{p}>)\n#include <{p}>\n#endif\n" for p in sorted(found - {"immintrin.h", "arm_neon.h"}))
    return text + "#if defined(__x86_64__)\n#include <immintrin.h>\n#endif\n"


def alone(s):
    def one(path):
        # Twice: an include guard that does not guard is found here. -c, not -fsyntax-only: some warnings need code.
        return s.compile(path.replace("/", "."), f"#include <{path}>\n#include <{path}>\nint main() {{}}\n", *WARN)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, s.all)), f"{len(s.all)} headers alone"


def names(s):
    traps = "".join(f"#undef {t}\n#define {t} trap_macro_{t} @\n" for t in TRAPS)
    traps += "".join(f"#undef {t}\n#define {t}(...) trap_macro_{t} @\n" for t in CALLED_TRAPS)
    return [s.compile("names", includes(s.all) + NAMES, "-w"), s.compile("names_after", "int main();\n" + NAMES.replace(
                "using namespace hotpath;", includes(s.all) + "using namespace hotpath;"), "-w"),
            s.compile("traps", system_includes(s) + traps + includes(s.all), *WARN, headers_only=True),
            s.compile("traps_gnu", includes(s.all), "-std=gnu++20", *WARN, headers_only=True)], \
        f"names beside the C and POSIX libraries, {len(TRAPS + CALLED_TRAPS)} macro traps"


def macros(s):
    def defined(name, text):
        source = s.work / f"{name}.cpp"
        source.write_text(text)
        out = subprocess.run([s.cxx, *s.flags, "-dM", "-E", str(source)], capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"^#define (\w+)", out, re.M))
    ours = defined("macros_all", system_includes(s) + includes(s.all)) - defined("macros_none", system_includes(s))
    # Include guards and such of system headers that come in only through a header of ours are the system's, not ours.
    text = "".join(p.read_text() for p in (s.root / "include").rglob("*") if p.is_file())
    written = set(re.findall(r"^\s*#\s*define\s+(\w+)", text, re.M))
    bad = sorted(m for m in ours & written if not m.startswith("HOTPATH_") or m.startswith("HOTPATH_DETAIL_"))
    return ["leaked macros: " + " ".join(bad)] if bad else [], f"{len(ours & written)} macros, all HOTPATH_"


def odr(s):
    body = includes(s.all) + "const char* {0}() {{ return HOTPATH_VERSION_STRING; }}\n"
    main = body.format("second") + "const char* first();\nint main() { return first()[0] == second()[0] ? 0 : 1; }\n"
    bad = [s.compile("odr_a", body.format("first"), *WARN), s.compile("odr_b", main, *WARN)]
    if not any(bad):
        objects = [str(s.work / "odr_a.o"), str(s.work / "odr_b.o")]
        bad.append(s.run([s.cxx, *s.flags, *objects, "-o", str(s.work / "odr"), *s.libraries]))
        bad.append(bad[-1] or s.run([str(s.work / "odr")]))
    plain = ["-fno-exceptions", "-fno-rtti", *WARN]
    std = includes(s.std)
    bad += [s.compile("odr_plain_a", std + "int other() { return 0; }\n", *plain),
            s.compile("odr_plain_b", std + "int other();\nint main() { return other(); }\n", *plain)]
    if not any(bad):
        bad.append(s.run([s.cxx, "-pthread", str(s.work / "odr_plain_a.o"), str(s.work / "odr_plain_b.o"), "-o", str(s.work / "odr_plain")]))
    return bad, "two units with everything in one program, with and without exceptions"


def cross(s):
    bad = [s.compile("cross", includes(s.std), *WARN, headers_only=True),
           s.compile("cross_compiled", includes(s.std), "-DHOTPATH_HEADER_ONLY=0", *WARN, headers_only=True)]
    return bad, f"{len(s.std)} headers for " + subprocess.run([s.cxx, "-dumpmachine"], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("leg", choices=["alone", "names", "macros", "odr", "cross"])
    for option in ("root", "list", "work", "cxx"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--flag", action="append", default=[], help="one more compiler flag")
    parser.add_argument("--library", action="append", default=[], help="linked by odr")
    arguments = parser.parse_args()
    current = session(arguments)
    current.libraries = arguments.library
    problems, summary = globals()[arguments.leg](current)
    problems = [p for p in problems if p]
    print("\n".join(problems) if problems else f"{current.cxx}: {summary}: ok")
    sys.exit(1 if problems or not current.all else 0)
