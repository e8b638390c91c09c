#!/usr/bin/env bash
# Runs the fuzz targets, which `make fuzz-build` has built: run.sh SECONDS [TARGET...], two at a time or as many as there are
# cores. Each first replays its saved corpus (tests/fuzz/corpus.py) and the seeds. What it finds new stays in target/fuzz/corpus;
# an input that fails is in target/fuzz/findings, and the run says so.
#   run.sh minimise [TARGET...]   saves what is worth keeping of all that: the least inputs that reach everything
set -euo pipefail
cd "$(dirname "$0")/../.."
what=$1
shift
root=$PWD/target/fuzz
bin=$root/$(uname -m)-unknown-linux-gnu/release
saved=$root/saved
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(sed -n 's|^path = "targets/\(.*\)\.rs"$|\1|p' tests/fuzz/Cargo.toml)
# What an earlier version had saved is not among them.
rm -rf "$saved" "$root/seeds"
python3 tests/fuzz/seeds.py "$root/seeds"
python3 tests/fuzz/corpus.py unpack "$saved"
mkdir -p "$root/findings"

fuzz() {
  local seconds=$1 target=$2 log=$root/$2.log
  [ -d "$saved/$target" ] || { printf '%s: nothing is saved, see make fuzz-corpus\n' "$target" >&2; return 1; }
  mkdir -p "$root/corpus/$target" "$root/seeds/$target"
  # A leak check after every input costs a quarter of a second, and safe code has few leaks to find.
  if ! "$bin/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -detect_leaks=0 \
    -artifact_prefix="$root/findings/$target-" "$root/corpus/$target" "$saved/$target" "$root/seeds/$target" >"$log" 2>&1; then
    grep -a -A 12 -E 'panicked|ERROR: ' "$log" | cut -c 1-400 >&2 || tail -n 20 "$log" >&2
    grep -a 'Test unit written' "$log" >&2 || true
    printf '%s: FAILED\n' "$target" >&2
    return 1
  fi
  awk -v target="$target" '
    /^stat::number_of_executed_units/ { runs = $2 }
    /^stat::peak_rss_mb/ { memory = $2 }
    /cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") covered = $(i + 1) }
    END { printf "%-14s %9d runs, %6d edges, %4d MB\n", target ":", runs, covered, memory }' "$log"
}

minimise() {
  local target=$1 least=$root/least
  rm -rf "${least:?}/$target"
  mkdir -p "$least/$target" "$root/corpus/$target" "$saved/$target" "$root/seeds/$target"
  # What reaches an edge, not how often: a tenth of the size.
  "$bin/$target" -set_cover_merge=1 -use_counters=0 -max_len=4096 -timeout=10 \
    "$least/$target" "$saved/$target" "$root/corpus/$target" "$root/seeds/$target" >"$root/$target.merge.log" 2>&1
  python3 tests/fuzz/corpus.py pack "$least" "$target"
}

if [ "$what" = minimise ]; then
  for target in "${targets[@]}"; do minimise "$target"; done
  exit
fi
export -f fuzz
export root saved bin
printf '%s\0' "${targets[@]}" | xargs -0 -P "$(nproc)" -I{} bash -euo pipefail -c 'fuzz "$@"' fuzz "$what" {}
printf '%s passed, 0 failed\n' "${#targets[@]}"
