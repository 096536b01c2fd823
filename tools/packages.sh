# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts that a fresh Debian 12 can run: which packages are missing, and their installation.
#   need cmake cmake                                      # a program, and the package that has it
#   need_file '/usr/include/sqlite3.h' libsqlite3-dev     # a file (pattern), and its package
#   need_to_build                                         # all that the tool and the example server are built with
#   install_needed NAME                                   # as root or with sudo; else prints the line that does it and exits 3
packages=()
need() { command -v "$1" > /dev/null || packages+=("$2"); }
need_file() { compgen -G "$1" > /dev/null || packages+=("$2"); }
need_to_build() {  # the tool and the example server
  need cmake cmake
  need ninja ninja-build
  need g++ g++
  need_file '/usr/share/cmake/nlohmann_json/nlohmann_jsonConfig.cmake' nlohmann-json3-dev
  need_file '/usr/share/cmake/CLI11/CLI11Config.cmake' libcli11-dev
  need_file '/usr/lib/*/cmake/fmt/fmt-config.cmake' libfmt-dev
  need_file '/usr/include/sqlite3.h' libsqlite3-dev
  need_file '/usr/include/zlib.h' zlib1g-dev
  need_file '/usr/include/httplib.h' libcpp-httplib-dev
}
install_needed() {
  if [ ${#packages[@]} = 0 ]; then return; fi
  local install=(apt-get install -y -qq --no-install-recommends "${packages[@]}") as_root=() log
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2> /dev/null; then
      echo "$1: these packages are missing, and I may not install them: sudo ${install[*]}" >&2
      exit 3
    fi
    as_root=(sudo -n)
  fi
  echo "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" "${install[@]}"; } > "$log" 2>&1; then tail -n 20 "$log"; rm -f "$log"; exit 3; fi
  rm -f "$log"
}
