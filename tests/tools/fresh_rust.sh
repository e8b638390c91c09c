#!/usr/bin/env bash
# On a machine whose rustup has the toolchain without the targets, and installs nothing by itself, `make rust` brings
# them. Tried in a RUSTUP_HOME of its own: hard links to this machine's toolchain, less the targets.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/tools/setup.sh rust
toolchain=$(dirname "$(dirname "$(rustup which rustc)")")
real=$(readlink -f "$toolchain")
home=$(mktemp -d --tmpdir="$(dirname "$(dirname "$real")")" fresh.XXXXXX)
trap 'rm -rf "$home"' EXIT
copy=$home/toolchains/$(basename "$toolchain")
mkdir -p "$copy"
cp -al "$real/." "$copy"
# What rustup writes to must not be shared with the original.
find "$copy/lib/rustlib" -maxdepth 1 -type f -exec cp --remove-destination {} {}.own \; -exec mv {}.own {} \;
export RUSTUP_HOME=$home RUSTUP_AUTO_INSTALL=0
unset RUSTUP_TOOLCHAIN
rustup target list --installed | { grep -E '^wasm32|-musl$' || true; } | xargs -r rustup target remove >/dev/null 2>&1
# rust-toolchain.toml lists them; this only asks where they would be.
libraries() {
  local target missing=0
  for target in wasm32-wasip1 "$(uname -m)-unknown-linux-musl"; do
    compgen -G "$(rustc --print target-libdir --target "$target")/libcore-*" || missing=1
  done
  return $missing
}
if libraries | grep -q .; then
  echo "$0: the targets could not be taken away" >&2
  exit 1
fi
make --no-print-directory rust
libraries >/dev/null
make --no-print-directory rust | { ! grep .; }
echo 'make rust: the targets come by themselves, once'
