#!/usr/bin/env bash
# What a release of this tree publishes, built a second time in another folder, is the same bytes (after `make published`).
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
make --no-print-directory -C "$other" published >/dev/null
diff <(cd dist/release && find . -type f | sort) <(cd "$other/dist/release" && find . -type f | sort)
for file in dist/release/*; do
  cmp "$file" "$other/$file"
done
# The sums are of the files.
(cd dist/release && sha256sum --quiet --check SHA256SUMS)
echo "dist/release: two builds, two folders, the same bytes in each of $(wc -l <dist/release/SHA256SUMS) files"
