#!/usr/bin/env bash
# The artefacts of this tree, built a second time in another folder, are the same bytes (after `make build`).
set -euo pipefail
cd "$(dirname "$0")/../.."
# A longer path than this one, so that a path in the module shows in its size too.
other=$(mktemp -d)/quite/another/folder
trap 'rm -rf "${other%/quite/another/folder}"' EXIT
mkdir -p "$other"
# The tree as it is, also when it is not committed; the commit is part of the module's version.
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
  tar --null --files-from - --create | tar --extract --directory "$other"
cp -a "$(git rev-parse --git-common-dir)" "$other/.git"
ln -s "$PWD/.tools" "$other/.tools"
make --no-print-directory -C "$other" build
for module in dist/*.wasm; do
  cmp "$module" "$other/$module"
  printf '%s: two builds, two folders, the same bytes: SHA-256 %s\n' "$module" "$(sha256sum <"$module" | cut -d' ' -f1)"
done
