#!/usr/bin/env bash
# finish.sh IN FOLDER: the artefacts, made of what rustc made.
#
# wasm-opt once; then wasm-metadce takes from each artefact the exports that src/proxy/exports.txt does not list for it (the
# SDK's among them, with its dispatcher), and what only they need. Each is told which one it is. The features are those that
# Envoy's V8 accepts.
set -euo pipefail
in=$1 folder=$2
cd "$(dirname "$0")/../.."
bin=.tools/binaryen/node_modules/.bin
PATH=$PWD/.tools/venv/bin:$PATH
features=(--enable-bulk-memory --enable-sign-ext --enable-mutable-globals --enable-nontrapping-float-to-int)
mkdir -p "$folder"
scratch=$(mktemp --directory)
trap 'rm -rf "$scratch"' EXIT

# The exports of an artefact as a graph for wasm-metadce.
graph() {
  awk -v artefact="$1" '
    /^#/ { next }
    { for (i = 2; i <= NF; i++) if ($i == artefact) names[++count] = $1 }
    END {
      printf "[{\"name\": \"host\", \"root\": true, \"reaches\": ["
      for (i = 1; i <= count; i++) printf "%s\"%s\"", (i > 1 ? ", " : ""), names[i]
      printf "]}"
      for (i = 1; i <= count; i++) printf ", {\"name\": \"%s\", \"export\": \"%s\"}", names[i], names[i]
      print "]"
    }' src/proxy/exports.txt >"$scratch/$1.json"
  "$bin/wasm-metadce" "${features[@]}" --graph-file "$scratch/$1.json" "$2" --output "$3" >/dev/null
}

# nginx's artefact has all exports.
graph nginx "$in" "$scratch/own.wasm"
# The linker should have taken our entry points and not the SDK's (build.rs). Both make this call: ours in one place, which is
# not inlined (src/proxy/host.rs), the SDK's dispatcher in others. wasm-opt may inline it, hence the module before that.
import=proxy_set_effective_context
"$bin/wasm-dis" "${features[@]}" "$scratch/own.wasm" --output "$scratch/text"
name=$(sed -nE "s/^ \(import \"env\" \"$import\" \(func (\\S+) .*/\1/p" "$scratch/text")
calls=$(grep -cF "(call $name" "$scratch/text" || true)
if [ "$calls" != 1 ]; then
  echo "$0: $calls calls of $import instead of ours alone: the SDK's entry points are in the module instead of ours" >&2
  exit 1
fi
"$bin/wasm-opt" "${features[@]}" -O3 --strip-debug --strip-producers "$scratch/own.wasm" --output "$scratch/fast.wasm"

for artefact in envoy nginx shadow; do
  new=$scratch/$artefact.wasm
  graph "$artefact" "$scratch/fast.wasm" "$new"
  # Bytes of the same length, see src/artefact.rs.
  LC_ALL=C sed -i "s/artefact=any   /artefact=$(printf '%-6s' "$artefact")/" "$new"
  if [ "$(LC_ALL=C grep -aoc "artefact=$artefact" "$new")" != 1 ]; then
    echo "$0: the place that says which artefact it is was not found once" >&2
    exit 1
  fi
done
mv "$scratch/envoy.wasm" "$folder/sentry_edge_mirror.wasm"
mv "$scratch/nginx.wasm" "$folder/sentry_edge_mirror_nginx.wasm"
mv "$scratch/shadow.wasm" "$folder/sentry_edge_mirror_shadow.wasm"
