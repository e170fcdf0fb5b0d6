#!/usr/bin/env bash
# Runs each fuzz target from the committed seeds, on stable Rust and without a sanitizer: there is no `unsafe` here to
# find. Usage: fuzz/smoke.sh [SECONDS [TARGET…]].
#
# Without SECONDS, each target makes the runs below, from one number and from its seeds in one order. By time, a faster
# machine would try inputs that a slower one never came to, and a change that broke nothing could fail there; by runs, what
# is tried is the same wherever it is tried, but for what a target itself leaves to chance or to the clock. About ten
# seconds each on two cores. With SECONDS, each looks for something new for so long.
#
# A crash is kept in fuzz/artifacts/TARGET, its input becomes a file of the ordinary tests. Closes with `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")"

declare -A runs=(
  [body]=1000000 [event]=1000000 [head]=500000 [look]=100000 [recovery]=20000 [render]=4000 [template]=100000
)
# A machine that does much else takes longer; that is no reason to fail.
RUNS_MAX_SECONDS=300

seconds=${1:-}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cargo fuzz build -s none 2>&1 | grep -vE '^ *(Compiling|Downloaded|Downloading) ' || true

passed=0 failed=0
for target in "${targets[@]}"; do
  options=(-timeout=10 -rss_limit_mb=1024 -print_final_stats=1)
  if [ -n "$seconds" ]; then
    options+=(-max_total_time="$seconds")
  else
    options+=(-seed=1 -runs="${runs[$target]}" -reload=0 -max_total_time="$RUNS_MAX_SECONDS")
  fi
  # Folders are read in whatever order a disk has; a list is read as it is.
  find "$PWD/seeds/$target" -type f | LC_ALL=C sort | paste -sd, | tr -d '\n' >"$scratch/$target.seeds"
  options+=(-seed_inputs=@"$scratch/$target.seeds")
  [ ! -f "dicts/$target.dict" ] || options+=(-dict="dicts/$target.dict")
  # New inputs go to the first folder, so that the seeds stay as they were committed.
  mkdir "$scratch/$target"
  log=$scratch/$target.log
  began=$SECONDS
  if cargo fuzz run -s none "$target" "$scratch/$target" -- "${options[@]}" >"$log" 2>&1; then
    passed=$((passed + 1))
    made=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 || true)
    echo "$target: $made runs in $((SECONDS - began)) s, ${covered:-cov: ?}"
  else
    failed=$((failed + 1))
    echo "FAILED $target"
    grep -aA12 -m1 -E 'panicked at|^==[0-9]+== ERROR' "$log" || tail -n 40 "$log"
    grep -aE 'Test unit written|artifacts/' "$log" | head -n 2 || true
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
