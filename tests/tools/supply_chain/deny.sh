#!/usr/bin/env bash
# cargo-deny (deny.toml) on every lock file of this repository: deny.sh CHECK...
set -euo pipefail
cd "$(dirname "$0")/../../.."

# deny MANIFEST FLAG CHECK...; a flag may be empty.
deny() {
  local manifest=$1 flag=$2
  shift 2
  printf '  %s%s: ' "$manifest" "${flag:+ $flag}"
  .tools/supply-chain/bin/cargo-deny --log-level error --locked ${flag:+"$flag"} --manifest-path "$manifest" --config deny.toml check "$@"
}

others=()
for check in "$@"; do [ "$check" = bans ] || others+=("$check"); done
# Doubles are looked for where they are a slip, in what is shipped. Wasmtime and the SDKs that the bench compares with depend
# on older versions of what we use.
deny Cargo.toml '' "$@"
deny Cargo.toml --workspace "${others[@]}"
deny tests/fuzz/Cargo.toml '' "$@"
deny benches/sls/Cargo.toml '' "${others[@]}"
