#!/usr/bin/env bash
# Runs each fuzz target for SECONDS (15) from the committed seeds, on stable Rust and without a sanitizer: there is no
# `unsafe` here to find. Usage: fuzz/smoke.sh [SECONDS [TARGET…]]. With SEED set each run begins from that number, so that
# the same inputs are tried again. A crash is kept in fuzz/artifacts/TARGET, its input becomes a file of the ordinary
# tests. Closes with `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-15}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cargo fuzz build -s none 2>&1 | grep -vE '^ *(Compiling|Downloaded|Downloading) ' || true

passed=0 failed=0
for target in "${targets[@]}"; do
  options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1)
  [ -z "${SEED:-}" ] || options+=(-seed="$SEED")
  [ ! -f "dicts/$target.dict" ] || options+=(-dict="dicts/$target.dict")
  # New inputs go to the first folder, so that the seeds stay as they were committed.
  mkdir "$scratch/$target"
  log=$scratch/$target.log
  if cargo fuzz run -s none "$target" "$scratch/$target" "seeds/$target" -- "${options[@]}" >"$log" 2>&1; then
    passed=$((passed + 1))
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -oE 'cov: [0-9]+' "$log" | tail -1)
    echo "$target: $runs runs in $seconds s, ${covered:-cov: ?}"
  else
    failed=$((failed + 1))
    echo "FAILED $target"
    grep -aA12 -m1 -E 'panicked at|^==[0-9]+== ERROR' "$log" || tail -n 40 "$log"
    grep -aE 'Test unit written|artifacts/' "$log" | head -n 2
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
