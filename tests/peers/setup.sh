#!/usr/bin/env bash
# Installs the programs the checks of this folder drive, at their pinned versions: Python's into target/peers/venv,
# npm's into target/peers/node_modules and (vendors' SDKs, by their lock file) target/peers/sdks, Maven's into target/peers/kafka, Go's into target/peers/bin. Run again, it does nothing unless a pin changed.
# Asks PyPI, npm, Maven Central and the Go module proxy only.
set -euo pipefail
cd "$(dirname "$0")/../.."

examples='@octokit/webhooks-examples@7.6.1'
place=target/peers
stamp=$(cat tests/peers/requirements.txt tests/peers/setup.sh tests/peers/kafka.xml tests/peers/sdks/*.json | sha256sum)

[ "$(cat "$place/stamp" 2>/dev/null || true)" = "$stamp" ] && exit 0
mkdir -p "$place"
python3 -m venv --clear "$place/venv"
"$place/venv/bin/pip" install --quiet --requirement tests/peers/requirements.txt
npm install --prefix "$place" --no-save --no-audit --no-fund --ignore-scripts --silent "$examples"
mkdir -p "$place/sdks"
cp tests/peers/sdks/package.json tests/peers/sdks/package-lock.json "$place/sdks/"
npm ci --prefix "$place/sdks" --no-audit --no-fund --ignore-scripts --omit=optional --omit=peer --silent
rm -rf "$place/kafka"
mvn --quiet --batch-mode --file tests/peers/kafka.xml dependency:copy-dependencies \
  -DoutputDirectory="$PWD/$place/kafka"
GOBIN="$PWD/$place/bin" GOTOOLCHAIN=local "$place/venv/bin/go" install github.com/versity/versitygw/cmd/versitygw@v1.8.0
GOBIN="$PWD/$place/bin" GOTOOLCHAIN=local "$place/venv/bin/go" install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
printf '%s' "$stamp" >"$place/stamp"
