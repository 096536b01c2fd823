#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# absent.sh NAME REASON: what ctest runs in place of a test that cannot run here.
[ "${HOTPATH_REQUIRE_DATA:-0}" = 0 ] || { echo "$1 cannot run, but skips are failures: $2"; exit 1; }
echo "skipped: $2"
[ -z "${HOTPATH_SKIP_LOG:-}" ] || printf '%s\t%s\n' "$1" "$2" >> "$HOTPATH_SKIP_LOG"
exit 77
