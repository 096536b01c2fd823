#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# consume.sh CASE ROOT BUILD WORK CXX [COMPONENT...]: uses hotpath as somebody else's project would. CASE is a function below.
#   ROOT: the source tree. BUILD: a finished build tree. WORK: an empty place of this test. COMPONENT: dependencies that are on.
set -euo pipefail
case_name=$1 root=$2 build=$3 work=$4 cxx=$5
shift 5
components=("$@") prefix=$work/prefix flags=(-std=c++20 -Wall -Wextra -Wpedantic -Werror -pthread)
here=$root/tests/consume
rm -rf "$work"; mkdir -p "$work"; cd "$work"

say() { printf '+ %s\n' "$*"; "$@"; }
install_here() { cmake --install "$build" --prefix "$prefix" > install.log || { cat install.log; return 1; }; }
# project PROGRAMS FOLDER CMAKE_OPTION...: configures, builds, and runs every program that comes out, PROGRAMS in number.
project() {
  local programs=$1; shift
  say cmake -S "$here/$1" -B built -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER="$cxx" "${@:2}" > configure.log || { cat configure.log; return 1; }
  say cmake --build built -j 2 > build.log || { cat build.log; return 1; }
  local ran=0 program
  for program in built/with_*; do [ ! -x "$program" ] || { say "$program"; ran=$((ran + 1)); }; done
  [ "$ran" -eq "$programs" ] || { echo "$ran programs ran, not $programs"; return 1; }
}
# expect_failure PATTERN... -- COMMAND: the command fails and its output holds each pattern.
expect_failure() {
  local patterns=()
  while [ "$1" != -- ]; do patterns+=("$1"); shift; done; shift
  if "$@" > out.log 2>&1; then cat out.log; echo "this should have failed: $*"; return 1; fi
  for pattern in "${patterns[@]}"; do
    # CMake wraps long messages: compare without line ends.
    tr -s '\n ' ' ' < out.log | grep -qE -- "$pattern" || { cat out.log; echo "the failure does not say: $pattern"; return 1; }
  done
}

add_subdirectory() { project 2 add_subdirectory -DHOTPATH_SOURCE="$root"; }
fetch_content() { project 1 add_subdirectory -DHOTPATH_SOURCE="$root" -DFETCH=ON; }
find_package() {
  install_here
  project $((2 + ${#components[@]})) find_package -DCMAKE_PREFIX_PATH="$prefix" -DCOMPONENTS="$(IFS=';'; echo "compiled;${components[*]}")"
  expect_failure "without its component tape" -- cmake -S "$here/find_package" -B none -DCMAKE_PREFIX_PATH="$prefix" -DCOMPONENTS=tape
  mv "$prefix" "$work/moved"  # an install tree may be moved
  rm -rf built && project 2 find_package -DCMAKE_PREFIX_PATH="$work/moved" -DCOMPONENTS=compiled
}
build_tree() { project 2 find_package -Dhotpath_DIR="$build" -DCOMPONENTS=compiled; }
pkg_config() {
  install_here
  export PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name hotpath.pc)")
  [ "$(pkg-config --modversion hotpath)" = "$(sed -n 's/.*VERSION_STRING "\(.*\)"/\1/p' "$root/include/hotpath/version.hpp")" ]
  say "$cxx" "${flags[@]}" $(pkg-config --cflags hotpath) "$here/main.cpp" -o main $(pkg-config --libs hotpath) && say ./main
}
single_header() {  # one file copied out of the repository
  mkdir -p mine/hotpath && cp "$root/single_include/hotpath/hotpath.hpp" mine/hotpath/
  say "$cxx" "${flags[@]}" -DSINGLE_HEADER -I mine "$here/main.cpp" -o main && say ./main
}
plain() {
  say "$cxx" "${flags[@]}" -fno-exceptions -fno-rtti -I "$root/include" "$here/main.cpp" -o main && say ./main
}
two_options() {  # units that disagree about every option that could matter
  say "$cxx" "${flags[@]}" -O2 -DNDEBUG -DHOTPATH_HAS_SQLITE=1 -DHOTPATH_HAS_FMT=1 -I "$root/include" -DGIVE=give_a -c "$here/give.cpp" -o a.o
  say "$cxx" "${flags[@]}" -O0 -fno-rtti -fsigned-char -I "$root/include" -DGIVE=give_b -c "$here/give.cpp" -o b.o
  say "$cxx" "${flags[@]}" -O1 -I "$root/include" "$here/take.cpp" a.o b.o -o main -ldl && say ./main
}
shared_objects() {  # two linked, one loaded at run time, all embed us; also with hidden symbols
  local visibility part
  for visibility in default hidden; do
    for part in a b c; do
      say "$cxx" "${flags[@]}" -fPIC -shared -fvisibility=$visibility -I "$root/include" -DGIVE=give_$part \
        $([ $part != c ] || echo -DGIVE_BY_NAME) "$here/give.cpp" -o libgive_$part.so
    done
    say "$cxx" "${flags[@]}" -I "$root/include" "$here/take.cpp" -o main -L. -lgive_a -lgive_b -Wl,-rpath,"$work" -ldl
    say ./main ./libgive_c.so
  done
}
mixed_modes() {  # a type handed from a compiled unit to a header-only one, or across -fno-exceptions: the linker says no
  say "$cxx" "${flags[@]}" -I "$root/include" "$here/take.cpp" -c -o take.o
  say "$cxx" "${flags[@]}" -I "$root/include" -DGIVE=give_a -c "$here/give.cpp" -o a.o
  say "$cxx" "${flags[@]}" -I "$root/include" -DGIVE=give_b -c "$here/give.cpp" -o b.o
  say "$cxx" "${flags[@]}" -I "$root/include" -DGIVE=give_b -DHOTPATH_HEADER_ONLY=0 -c "$here/give.cpp" -o b_compiled.o
  say "$cxx" "${flags[@]}" -I "$root/include" -DGIVE=give_b -fno-exceptions -c "$here/give.cpp" -o b_noexc.o
  say "$cxx" -pthread take.o a.o b.o "$build/libhotpath.a" -o main && say ./main  # the same mode links
  local wrong
  for wrong in b_compiled.o b_noexc.o; do
    expect_failure 'undefined (reference|symbol).*give_b\(hotpath::v1::stats::sketch' -- \
      "$cxx" -pthread take.o a.o $wrong "$build/libhotpath.a" -o main
  done
}
missing() {  # what a configure says when a package is not there
  local all=(cmake -S "$root" -B none -DCMAKE_CXX_COMPILER="$cxx")
  expect_failure "component sqlite needs SQLite .*apt-get install libsqlite3-dev, or configure with -DHOTPATH_SQLITE=OFF" -- \
    "${all[@]}" -DHOTPATH_SQLITE=ON -DCMAKE_DISABLE_FIND_PACKAGE_SQLite3=ON
  rm -rf none
  expect_failure "component tests needs doctest.*apt-get install doctest-dev, or configure with -DHOTPATH_BUILD_TESTS=OFF" -- \
    "${all[@]}" -DHOTPATH_BUILD_TOOLS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_doctest=ON
  rm -rf none
  say "${all[@]}" -DHOTPATH_BUILD_TESTS=OFF -DHOTPATH_BUILD_TOOLS=OFF -DHOTPATH_BUILD_EXAMPLES=OFF -DHOTPATH_FMT=OFF \
    -DCMAKE_DISABLE_FIND_PACKAGE_SQLite3=ON -DHOTPATH_ISAL_LIBRARY:FILEPATH= -DHOTPATH_ISAL_FOLDER:PATH= > table.log  # those two: looked for, not there
  grep -E '^--   isal +off ISA-L >= 2.30 not found \(apt-get install libisal-dev\)' table.log
  grep -E '^--   sqlite +off SQLite >= 3.37 not found \(apt-get install libsqlite3-dev\)' table.log
  grep -E '^--   fmt +off HOTPATH_FMT=OFF' table.log
  grep -E '^--   nlohmann +on  nlohmann_json' table.log
}
offline() {  # the whole configuration in a namespace without a network
  local apart=(unshare -n)  # root may; others need a user namespace around it
  "${apart[@]}" true 2> /dev/null || apart=(unshare -rn)
  "${apart[@]}" true 2> /dev/null || exec "$root/tests/support/absent.sh" consume.offline "no namespaces here"
  say "${apart[@]}" cmake -S "$root" -B none -DCMAKE_CXX_COMPILER="$cxx" > table.log || { cat table.log; return 1; }
  grep -E '^--   ' table.log
}

"$case_name"
