#!/usr/bin/env bash
# Checks deploy/: systemd reads the unit and finds it hardened, hookgate reads the example settings and they are the
# defaults they claim to be. Takes HOOKGATE_BIN (target/release/hookgate). Ends with `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/../.."
bin=$(realpath "${HOOKGATE_BIN:-target/release/hookgate}")
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() { # name, command…
  local name=$1
  shift
  if "$@" >"$scratch/out" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED $name"
    sed 's/^/  /' "$scratch/out"
  fi
}

# The same settings with and without the file, but for the example destination.
same_as_defaults() {
  (cd "$scratch" && "$bin" config show >defaults.txt) || return 1
  "$bin" config show --config deploy/config.example.toml >"$scratch/example.txt" || return 1
  diff <(grep -v '^forward' "$scratch/defaults.txt") <(grep -v '^forward' "$scratch/example.txt")
}

# Every setting stands in the example, if only behind a #.
names_every_setting() {
  local missing=0 name
  for name in $("$bin" config show | sed -nE 's/^(# )?[a-z]+\.([a-z_]+) .*/\2/p'); do
    grep -qE "^(# )?$name = " deploy/config.example.toml || { echo "$name is not named"; missing=1; }
  done
  return $missing
}

# What is commented out must be right too.
commented_settings_are_read() {
  mkdir -p "$scratch/all"
  sed -E 's/^# ([a-z_]+ = )/\1/' deploy/config.example.toml >"$scratch/all/config.toml"
  "$bin" config show --config "$scratch/all/config.toml"
}

# The unit with this build in place of the installed one, so that systemd finds an executable.
unit_is_read() {
  sed "s|/usr/bin/hookgate|$bin|" deploy/systemd/hookgate.service >"$scratch/hookgate.service"
  local said
  said=$(systemd-analyze verify --man=no "$scratch/hookgate.service" 2>&1)
  # Units of the machine itself are no business of ours.
  said=$(grep 'hookgate' <<<"$said" || true)
  [ -z "$said" ] || { echo "$said"; return 1; }
}

unit_is_hardened() {
  systemd-analyze security --offline=true --threshold=15 "$scratch/hookgate.service" >"$scratch/score" 2>&1 ||
    { tail -1 "$scratch/score"; grep '✗' "$scratch/score"; return 1; }
}

check "the example settings are the defaults" same_as_defaults
check "the example names every setting" names_every_setting
check "what the example has commented out is read" commented_settings_are_read
if command -v systemd-analyze >/dev/null; then
  check "systemd reads the unit" unit_is_read
  check "systemd finds the unit hardened (1.5 or less)" unit_is_hardened
else
  check "systemd-analyze is installed" false
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
