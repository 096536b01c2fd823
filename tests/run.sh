#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/run.sh [--full] [--require-data]: installs what is missing (Debian 12), builds, tests. The last lines are ctest's; the line
# before them names how many tests were skipped for want of data or of a compiler.
#   --full          the long tier: both compilers, header-only, address+undefined and thread sanitizers, 60 s per fuzz target, unscaled repeats
#   --require-data  a skip is a failure
# HOTPATH_TEST_DATA: folder of test data. HOTPATH_BUILD: where to build (build/). JOBS: jobs side by side (all processors).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
full=0
for option in "$@"; do
  case $option in
    --full) full=1 ;;
    --require-data) export HOTPATH_REQUIRE_DATA=1 ;;
    *) sed -n '3,8s/^# //p' "$0" >&2; exit 2 ;;
  esac
done
jobs=${JOBS:-$(nproc)} builds=$(realpath -m "${HOTPATH_BUILD:-build}")

# What is asked for, and the package that has it. Libraries are looked for by a file, tools by name.
. tools/packages.sh
need_to_build
need python3 python3
need pkg-config pkgconf
need clang++-14 clang-14
need aarch64-linux-gnu-g++-12 g++-12-aarch64-linux-gnu
need_file '/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' libclang-rt-14-dev
need_file '/usr/lib/cmake/doctest/doctestConfig.cmake' doctest-dev
need_file /usr/share/i18n/locales/de_DE locales
need_file '/usr/include/xxhash.h' libxxhash-dev
need_file '/usr/include/isa-l/igzip_lib.h' libisal-dev
install_needed tests/run.sh

export HOTPATH_SKIP_LOG=$builds/skipped.txt CMAKE_GENERATOR=Ninja CTEST_OUTPUT_ON_FAILURE=1
mkdir -p "$builds"

# Prints ctest's output as it comes, but the number of skips before its closing lines.
closing_lines() {
  awk -v log_file="$HOTPATH_SKIP_LOG" '
    /^[0-9]+% tests passed/ { closing = 1 }
    closing { held = held $0 "\n"; next }
    { print; fflush() }
    END {
      while ((getline line < log_file) > 0) { n++; print "  skipped " line }
      print "skipped: " n + 0
      printf "%s", held
    }'
}
# tier PRESET CTEST_OPTION...
tier() {
  echo "== $1: configure and build"
  cmake --preset "$1" -B "$builds/$1" > "$builds/$1.log" || { cat "$builds/$1.log"; return 1; }
  grep '^--   ' "$builds/$1.log" | sed 's/^-- //'
  nice cmake --build "$builds/$1" -j "$jobs" > "$builds/$1.log" || { cat "$builds/$1.log"; return 1; }
  echo "== $1: test"
  : > "$HOTPATH_SKIP_LOG"
  local fixed=()  # the thread sanitizer of g++ 12 needs a narrower address space than new kernels give
  if [ "$1" = tsan ] && setarch -R true 2> /dev/null; then fixed=(setarch -R); fi
  (cd "$builds/$1" && "${fixed[@]}" ctest -j "$jobs" "${@:2}") | closing_lines
}

if [ $full = 1 ]; then
  # One configuration shows what is labelled structure; the others repeat the suite. The first failure ends the run.
  export HOTPATH_FULL=1 HOTPATH_FUZZ_SECONDS=60
  for preset in asan tsan clang header release; do tier $preset -LE structure; done
  tier dev
else
  tier dev -LE full  # what is labelled full says again, with the other compiler, what another test says
fi
