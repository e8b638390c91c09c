#!/usr/bin/env bash
# finish.sh IN OUT: what is done to the module after rustc.
#
# wasm-metadce removes every export that src/filter/exports.json does not list: those of the SDK, which nobody
# needs, and with them its dispatcher. Then wasm-opt. The features are those that Envoy's V8 accepts.
set -euo pipefail
in=$1 out=$2
cd "$(dirname "$0")/../.."
bin=.tools/binaryen/node_modules/.bin
PATH=$PWD/.tools/venv/bin:$PATH
features=(--enable-bulk-memory --enable-sign-ext --enable-mutable-globals --enable-nontrapping-float-to-int)
mkdir -p "$(dirname "$out")"
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
"$bin/wasm-metadce" "${features[@]}" --graph-file src/filter/exports.json "$in" --output "$scratch" >/dev/null
"$bin/wasm-opt" "${features[@]}" -O3 --strip-debug --strip-producers "$scratch" --output "$out.new"
# Only the SDK's dispatcher makes this call. Were it there, the linker would have taken the SDK's entry points (build.rs).
if grep --quiet proxy_set_effective_context "$out.new"; then
  echo "$0: the SDK's entry points are in the module instead of ours" >&2
  exit 1
fi
mv "$out.new" "$out"
