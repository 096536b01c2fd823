#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# examples/quickstart.sh [FLAG...]: builds hotpath and a small inference server (a real transformer on the CPU, random weights), replays the
# first 200 rows of a public arrival trace against it, and prints the report. No GPU, no Python, no download of a model; the loopback
# interface only. On a fresh Debian 12 it installs what it needs. FLAGs go to `hotpath serve-profile`: --requests 40 is a shorter run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. tools/packages.sh
need_to_build
install_needed examples/quickstart.sh

build=${HOTPATH_BUILD:-build}/release
echo "== build (into $build)"
mkdir -p "$build"
if ! { CMAKE_GENERATOR=Ninja cmake --preset release -B "$build" -DHOTPATH_BUILD_TESTS=OFF && cmake --build "$build" --target hotpath_tool hotpath_server; } > "$build/quickstart.log" 2>&1; then
  tail -n 30 "$build/quickstart.log"
  exit 1
fi

echo "== server"
coproc server { exec "$build/examples/server/hotpath_server" --port 0 2> "$build/server.log"; }
trap 'kill "$server_PID" 2> /dev/null; wait "$server_PID" 2> /dev/null || true' EXIT
if ! read -r url <&"${server[0]}"; then tail -n 5 "$build/server.log"; exit 1; fi
echo "$url"

echo "== hotpath serve-profile: 200 rows of a public arrival trace, at twice their pace, prompts 1/32 and answers 1/8 as long"
"$build/hotpath" serve-profile --endpoint "$url" --output "$build/quickstart" --slo ttft=2s,tpot=100ms \
  --traffic examples/data/mooncake_conversation_200.jsonl --arrival recorded --speed 2 --length-scale 0.03125,0.125 "$@"

echo "== $build/hotpath serve-report $build/quickstart prints it again; --format md and --json too. The server's log: $build/server.log"
