#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/real/vllm.sh DIR [options] - hotpath against a real vLLM on the CPU; compares its report with the server's own counters.
#   DIR holds venv/bin/vllm and models/tiny-llama. Options: see vllm.py --help. Opt-in: no other test depends on it.
set -euo pipefail
[ $# -ge 1 ] && [ -x "$1/venv/bin/vllm" ] || { echo "usage: vllm.sh DIR [--hotpath EXE] [--record DIR] ...; DIR/venv/bin/vllm must exist" >&2; exit 2; }
exec "$1/venv/bin/python" "$(dirname "${BASH_SOURCE[0]}")/vllm.py" "$@"
