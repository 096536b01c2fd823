#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hardened.sh EXECUTABLE COMPILE_COMMANDS: it was linked position-independent, with full RELRO, a stack protector and no executable stack, and its
# sources were compiled with _FORTIFY_SOURCE (its symbols tell nothing: calls that are proven safe leave none).
set -u
missing=
want() { printf '%s\n' "$2" | grep -qE "$3" || missing="$missing $1"; }
want position-independent "$(readelf -hW "$1")" 'Type: +DYN'
want bind-now "$(readelf -dW "$1")" 'BIND_NOW|FLAGS_1.*NOW'
want relro "$(readelf -lW "$1")" 'GNU_RELRO'
want no-executable-stack "$(readelf -lW "$1")" 'GNU_STACK.* RW +0x'
want stack-protector "$(readelf --dyn-syms -W "$1")" '__stack_chk_fail'
want fortify "$(grep '"command".*tools/serve_profile\.cpp' "$2")" '_FORTIFY_SOURCE=2'
[ -z "$missing" ] || { echo "$1 lacks:$missing"; exit 1; }
