#!/usr/bin/env bash
# cargo-deny (deny.toml) on every lock file of this repository: deny.sh CHECK...
set -euo pipefail
cd "$(dirname "$0")/../../.."

deny() {
  local manifest=$1
  shift
  printf '  %s: ' "$manifest"
  .tools/supply-chain/bin/cargo-deny --log-level error --locked --workspace --manifest-path "$manifest" --config deny.toml check "$@"
}

deny Cargo.toml "$@"
deny tests/fuzz/Cargo.toml "$@"
# The SDKs that the bench compares with depend on older versions of what we use: doubles are no slip there.
others=()
for check in "$@"; do [ "$check" = bans ] || others+=("$check"); done
deny benches/sls/Cargo.toml "${others[@]}"
