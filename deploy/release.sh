#!/usr/bin/env bash
# Makes what is handed out: the gateway, the bill of what is in it (CycloneDX), and their checksums. Usage:
# deploy/release.sh FOLDER. From one commit, with one toolchain and one C compiler, the bytes are the same wherever the clone
# lies and whenever it is built: `.ci/long` builds twice and compares. Needs cargo-auditable and cargo-cyclonedx, at the
# versions of .ci/steps.sh.
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/.."

# No folder of this machine stands in the binary: not in panics, not in line tables, not in what C compilers leave.
root=$PWD home=$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd)
separator=$'\x1f'
export CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$root=/hookgate$separator--remap-path-prefix=$home=/cargo"
export CFLAGS="-ffile-prefix-map=$root=/hookgate -ffile-prefix-map=$home=/cargo"
export CXXFLAGS=$CFLAGS
# Whoever wants a date takes the commit's.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH CARGO_INCREMENTAL=0 LC_ALL=C TZ=UTC
unset RUSTFLAGS

target=$(rustc -vV | sed -n 's/^host: //p')
# The list of crates and versions goes into the binary, too: `cargo audit bin`, grype and trivy read it there.
cargo auditable build --release --locked --target-dir target/dist
cp target/dist/release/hookgate "$out/hookgate"
cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$target" --override-filename hookgate.cdx
# It names what a feature could ask for; only what is built counts. And a reference needs no folder of this machine.
cargo tree --locked --edges normal,build --prefix none --format '{p}' | sed -E 's/ \(.*//; s/ v/ /' |
  jq --raw-input --slurp --sort-keys --arg from "path+file://$root" --slurpfile bill hookgate.cdx.json '
    split("\n") as $built
    | $bill[0]
    | .components |= map(select("\(.name) \(.version)" | IN($built[])))
    | [.metadata.component, .components[] | ."bom-ref"] as $refs
    | .dependencies |= map(select(.ref | IN($refs[])))
    | .dependencies[] |= if .dependsOn then .dependsOn |= map(select(IN($refs[]))) else . end
    # Cargo leaves the name out where the folder has it.
    | walk(if type == "string" and startswith($from)
      then "path+file:///hookgate" + (.[($from | length):] | sub("^#(?<version>[0-9])"; "#hookgate@\(.version)"))
      else . end)
  ' >"$out/hookgate.cdx.json"
rm hookgate.cdx.json
cd "$out"
sha256sum hookgate hookgate.cdx.json | tee SHA256SUMS
