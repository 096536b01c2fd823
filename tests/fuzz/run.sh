#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh FUZZER CORPUS DICT WORK: fuzzes for $HOTPATH_FUZZ_SECONDS (2), starting from the committed corpus and what earlier runs found.
#   New inputs go to WORK, a crash to WORK/artifact-*, never into the tree.
set -eu
mkdir -p "$4/found"
rm -f "$4"/artifact-*
dict=; [ ! -f "$3" ] || dict=-dict=$3
# A unit of more than 1 s is a finding; libFuzzer's own limit for memory covers the whole process.
exec "$1" -max_total_time="${HOTPATH_FUZZ_SECONDS:-2}" -timeout=1 -rss_limit_mb=512 -print_final_stats=1 -verbosity=1 -artifact_prefix="$4/artifact-" \
  $dict "$4/found" "$2"
