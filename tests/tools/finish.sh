#!/usr/bin/env bash
# finish.sh IN OUT: what is done to the module after rustc.
#
# wasm-metadce removes every export that src/proxy/exports.json does not list: those of the SDK, which nobody
# needs, and with them its dispatcher. Then wasm-opt. The features are those that Envoy's V8 accepts.
set -euo pipefail
in=$1 out=$2
cd "$(dirname "$0")/../.."
bin=.tools/binaryen/node_modules/.bin
PATH=$PWD/.tools/venv/bin:$PATH
features=(--enable-bulk-memory --enable-sign-ext --enable-mutable-globals --enable-nontrapping-float-to-int)
mkdir -p "$(dirname "$out")"
scratch=$(mktemp)
text=$(mktemp)
trap 'rm -f "$scratch" "$text"' EXIT
"$bin/wasm-metadce" "${features[@]}" --graph-file src/proxy/exports.json "$in" --output "$scratch" >/dev/null
"$bin/wasm-opt" "${features[@]}" -O3 --strip-debug --strip-producers "$scratch" --output "$out.new"
# The linker should have taken our entry points and not the SDK's (build.rs). Both make this call: ours in one place, which is
# not inlined (src/proxy/host.rs), the SDK's dispatcher in others. wasm-opt may inline it, hence the module before that.
import=proxy_set_effective_context
"$bin/wasm-dis" "${features[@]}" "$scratch" --output "$text"
name=$(sed -nE "s/^ \(import \"env\" \"$import\" \(func (\\S+) .*/\1/p" "$text")
calls=$(grep -cF "(call $name" "$text" || true)
if [ "$calls" != 1 ]; then
  echo "$0: $calls calls of $import instead of ours alone: the SDK's entry points are in the module instead of ours" >&2
  exit 1
fi
mv "$out.new" "$out"
