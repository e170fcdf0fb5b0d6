# What .ci/run and .ci/long share: steps that are timed and counted, programs that are installed if they are missing.
# Sourced, from the root of the clone.

# The versions the checks were made with.
DENY_VERSION=0.20.2
AUDITABLE_VERSION=0.7.7
CYCLONEDX_VERSION=0.5.9

export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0 PIP_DISABLE_PIP_VERSION_CHECK=1
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

passed=0 failed=0 skipped=0 table=()

# Runs a command as a named step, for so long at most. What fails is counted; the other steps go on.
step() { # NAME SECONDS COMMAND…
  local name=$1 limit=$2 began=$SECONDS outcome=passed
  shift 2
  printf '\n== %s\n' "$name"
  if timeout --kill-after=30 "$limit" "$@" </dev/null; then
    passed=$((passed + 1))
  else
    outcome="FAILED ($?)"
    failed=$((failed + 1))
  fi
  table+=("$(printf '%5d s  %-12s %s' $((SECONDS - began)) "$outcome" "$name")")
  printf -- '-- %s: %s in %d s\n' "$name" "$outcome" $((SECONDS - began))
  [ "$outcome" = passed ]
}

# Says that a step is not run, and why: it is counted, and stands in the table.
skip() { # NAME REASON
  skipped=$((skipped + 1))
  printf '\n== %s\n-- %s: NOT RUN: %s\n' "$1" "$1" "$2"
  table+=("$(printf '%5d s  %-12s %s' 0 'NOT RUN' "$1: $2")")
}

# Says how it went, and ends.
finish() {
  printf '\n'
  printf '%s\n' "${table[@]}"
  printf '%5d s  in all\n\n' "$SECONDS"
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}

# The commands a document shows that begin with some words, without their remarks.
shown() { # FILE WORDS
  sed -nE "s/^    ($2([^#]*[^# ])?) *(#.*)?\$/\1/p" "$1"
}

# Debian's packages for programs that are not there.
install_packages() {
  local missing=() pair
  for pair in cc:gcc c++:g++ make:make git:git python3:python3 npm:npm node:nodejs curl:curl jq:jq \
    systemd-analyze:systemd unshare:util-linux mount:mount nats-server:nats-server redis-server:redis-server \
    java:default-jre-headless mvn:maven; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  # Debian keeps this one out of the way of commands.
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  [ ${#missing[@]} -gt 0 ] || return 0
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
}

# Tools of cargo at their pins, where cargo keeps its own: they outlive the clone.
install_tools() {
  [ "$(cargo deny --version 2>/dev/null)" = "cargo-deny $DENY_VERSION" ] ||
    cargo install --quiet --locked --force cargo-deny --version "$DENY_VERSION"
}

# What deploy/release.sh needs beside.
install_release_tools() {
  local installed
  installed=$(cargo install --list)
  grep -qF "cargo-auditable v$AUDITABLE_VERSION:" <<<"$installed" ||
    cargo install --quiet --locked --force cargo-auditable --version "$AUDITABLE_VERSION"
  grep -qF "cargo-cyclonedx v$CYCLONEDX_VERSION:" <<<"$installed" ||
    cargo install --quiet --locked --force cargo-cyclonedx --version "$CYCLONEDX_VERSION"
}

# Licences, sources and bans always; known holes when their database can be had from here.
check_dependencies() {
  cargo deny --locked check --hide-inclusion-graph bans licenses sources
  if timeout 60 cargo deny --locked fetch db >/dev/null 2>&1; then
    cargo deny --locked check --hide-inclusion-graph advisories
  else
    echo "advisories: not checked, their database cannot be reached from here"
  fi
}

# Once more, if need be: machines are shared, and a measurement is not a proof.
twice() {
  "$@" || { echo "once more:"; "$@"; }
}

# A change of the gateway's dependencies belongs into the fuzzer's lock file, too.
check_fuzz_sources() {
  cargo fmt --manifest-path fuzz/Cargo.toml --check
  cargo metadata --manifest-path fuzz/Cargo.toml --locked --format-version 1 >/dev/null || {
    echo "fuzz/Cargo.lock no longer fits: cargo metadata --manifest-path fuzz/Cargo.toml, and commit it"
    return 1
  }
}

peers=target/peers/venv/bin/python
export -f install_packages install_tools install_release_tools check_dependencies twice check_fuzz_sources
export DENY_VERSION AUDITABLE_VERSION CYCLONEDX_VERSION
