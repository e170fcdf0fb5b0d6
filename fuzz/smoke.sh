#!/usr/bin/env bash
# Builds the fuzz targets and runs each from the committed seeds, on stable Rust and without a sanitizer: there is no
# `unsafe` here to find. Usage: fuzz/smoke.sh [SECONDS [TARGET…]].
#
# Without SECONDS, each target makes the runs below, from one number and from its seeds in one order. By time, a faster
# machine would try inputs that a slower one never came to, and a change that broke nothing could fail there; by runs, what
# is tried is the same wherever it is tried, but for what a target itself leaves to chance or to the clock. Ten to fifteen
# seconds each, two at a time (HOOKGATE_FUZZ_JOBS). With SECONDS, each looks for something new for so long, and goes on
# from what it found before (fuzz/corpus/TARGET).
#
# A crash is kept in fuzz/artifacts/TARGET, its input becomes a file of the ordinary tests: README.md, here. Closes with
# `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")"

declare -A runs=(
  [body]=200000 [certificate]=70000 [config]=17000 [event]=700000 [filter]=550000 [handshake]=350000 [head]=350000
  [look]=55000 [peer]=350000 [record]=350000 [recovery]=10000 [redaction]=70000 [render]=5000 [signature]=35000
  [template]=50000
)
# A machine that does much else takes longer; that is no reason to fail.
export RUNS_MAX_SECONDS=300

export seconds=${1:-}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs -a fuzz_targets/*.rs)
scratch=$(mktemp -d)
export scratch
trap 'rm -rf "$scratch"' EXIT

# .cargo/config.toml says how; flags of the environment would stand for those there.
env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo build --release --locked --target-dir target 2>&1 |
  { grep -vE '^ *(Compiling|Downloaded|Downloading) ' || true; }
bin=$(find target/*/release -maxdepth 1 -name "${targets[0]}" -type f -printf '%h\n' -quit)
export bin

# Runs a target; its outcome is one line in $scratch/TARGET.passed or TARGET.failed.
attempt() { # TARGET RUNS
  local target=$1 runs=$2 log=$scratch/$1.log began=$SECONDS new=$scratch/$1
  local options=(-timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="artifacts/$target/")
  if [ -n "$seconds" ]; then
    new=corpus/$target
    options+=(-max_total_time="$seconds")
  else
    options+=(-seed=1 -runs="$runs" -reload=0 -max_total_time="$RUNS_MAX_SECONDS")
  fi
  # New inputs go to the first folder, so that the seeds stay as they were committed.
  mkdir -p "$new" "artifacts/$target"
  # Folders are read in whatever order a disk has; a list is read as it is.
  find "seeds/$target" -type f | LC_ALL=C sort | paste -sd, | tr -d '\n' >"$log.seeds"
  options+=(-seed_inputs=@"$log.seeds" -dict="dicts/$target.dict")
  if "$bin/$target" "$new" "${options[@]}" >"$log" 2>&1; then
    local made covered
    made=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 || true)
    echo "$target: $made runs in $((SECONDS - began)) s, ${covered:-cov: ?}" | tee "$scratch/$target.passed"
  else
    {
      echo "FAILED $target"
      grep -aA12 -m1 -E 'panicked at|^==[0-9]+== ERROR' "$log" || tail -n 40 "$log"
      grep -aE 'Test unit written|artifacts/' "$log" | head -n 2 || true
    } | tee "$scratch/$target.failed"
  fi
}
export -f attempt

for target in "${targets[@]}"; do
  printf '%s %s\0' "$target" "${runs[$target]}"
done | xargs -0 -P "${HOOKGATE_FUZZ_JOBS:-2}" -I{} bash -euo pipefail -c 'attempt {}'
passed=$(find "$scratch" -name '*.passed' | wc -l)
failed=$((${#targets[@]} - passed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
