# Sourced by the setup scripts: steps that say what they do, and packages of Debian.

say() { printf '  setup: %s\n' "$*"; }

# Runs a step quietly; its output is shown only when it fails.
step() {
  local what=$1 from=$SECONDS log
  shift
  log=$(mktemp)
  say "$what ..."
  if ! "$@" >"$log" 2>&1; then
    say "$what FAILED:"
    tail -n 40 "$log" >&2
    rm -f "$log"
    exit 1
  fi
  rm -f "$log"
  say "$what: done in $((SECONDS - from)) s"
}

apt_install() {
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
