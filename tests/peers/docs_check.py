#!/usr/bin/env python3
"""Holds what the documents show. Every command is run here, or stands for one that CI runs; one that nobody runs is a
failure. Every file that is named is there.

The README's own way ("For real") is run word for word in a folder of its own, and must end with the event it
promises. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import json
import os
import re
import subprocess

import gateway

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "SECURITY.md", "templates/README.md", "fuzz/README.md"]
REAL = "## For real"
# Commands as the documents show them, and the words of .ci by which each is held.
HELD = {
    "cargo build --release": "cargo build --release --locked",
    "cargo test --locked": "shown README.md 'cargo test'",
    "cargo run --release -- demo": "shown README.md 'cargo run --release -- demo'",
    "cargo run --release -- bench": "target/release/hookgate bench",
    "cargo run --release -- bench --check": "target/release/hookgate bench --check",
    "HOOKGATE_BLESS=1 cargo test --locked": "HOOKGATE_BLESS=1 cargo test --locked",
    "HOOKGATE_BLESS=1 target/peers/venv/bin/python tests/peers/templates_check.py": "tests/peers/templates_check.py",
    "hookgate render templates/github/template.j2 --request templates/github/cases/push.request.json --trace": "--request templates/github/cases/push.request.json --trace",
    "hookgate test templates": "target/release/hookgate test templates",
    "hookgate test templates/github --filter push": "target/release/hookgate test templates",
    "hookgate test templates --coverage=full": "target/release/hookgate test templates --coverage=full",
    "hookgate test templates --stress 100 --seed 1": "target/release/hookgate test templates --stress 100 --seed 1",
    "hookgate check --deny-warnings templates": "target/release/hookgate check --deny-warnings templates",
    "hookgate fmt --check templates": "target/release/hookgate fmt --check templates",
    "tests/peers/setup.sh": "tests/peers/setup.sh",
    "python3 tests/peers/crash.py": "tests/peers/crash.py",
    "target/peers/venv/bin/python tests/peers/templates_check.py": "tests/peers/templates_check.py",
    "fuzz/smoke.sh": '"tough?" 1200 fuzz/smoke.sh',
    "fuzz/smoke.sh 15": 'fuzz/smoke.sh "$seconds"',
    "fuzz/smoke.sh 3600 signature handshake": 'fuzz/smoke.sh "$seconds"',
}
# How a line of a shell begins, in these documents.
SHELL = re.compile(r"(\w+=\S* )*(cargo|hookgate|python3|curl|jq|tail|fuzz/|tests/|target/|\.ci/|\w+=\$\()")
GOES_ON = re.compile(r"(\||\\|&&)$")
# Files in backticks or links; those of the sources are named as seen from there.
NAMED = re.compile(r"[`(](\.?[\w.-]+(?:/[\w.-]+)*(?:/|\.(?:md|rs|py|sh|toml)))[`)]")
ROOTS = ["", "src", "tests", "tests/peers", "fuzz"]


def commands(text):
    """Every command of the indented blocks of a document, as (line number, command); remarks are cut."""
    held = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("    ") or not (held or SHELL.match(line.strip())):
            held = ""
            continue
        line = re.sub(r"\s+# .*$", "", line.strip())
        held = f"{held} {line}".strip()
        if not GOES_ON.search(line):
            yield number, held
            held = ""


def section(text, title):
    """A section's text, up to the next heading of its level."""
    return text.split(f"\n{title}\n")[1].split("\n## ")[0]


def check_commands(checks, document, text):
    ci = "".join((gateway.ROOT / ".ci" / name).read_text() for name in ("run", "long", "steps.sh"))
    run_here = {command for _, command in commands(section(text, REAL))} if f"\n{REAL}\n" in text else set()
    for number, command in commands(text):
        if command in run_here:
            continue
        words = HELD.get(command)
        checks.true(
            f"{document}:{number}: CI runs `{command}` (say how in HELD of docs_check.py)",
            words is not None and words in ci,
            words or "nobody runs it",
        )


def check_names(checks, document, text):
    for name in sorted(set(NAMED.findall(text))):
        there = any((gateway.ROOT / root / name).exists() for root in ROOTS)
        beside = (gateway.ROOT / document).parent / name
        checks.true(f"{document} names {name}, which is there", there or beside.exists())


def real_script(text, admin_port):
    """The README's own way as one script: it waits where a reader would, and ends what it started."""
    lines = ["set -euo pipefail"]
    for _, command in commands(section(text, REAL)):
        if command.startswith("cargo build"):
            continue
        if command.startswith("tail"):
            lines.append("for _ in {1..500}; do grep -qs github.push events.ndjson && break; sleep 0.02; done")
        lines.append(command)
        if command.endswith("&"):
            ready = f"curl -sfo /dev/null http://127.0.0.1:{admin_port}/readyz"
            lines += ["trap 'kill %1; wait %1' EXIT", f"for _ in {{1..500}}; do {ready} && break; sleep 0.02; done"]
    return "\n".join(lines)


def check_real(checks, folder, text):
    port, admin_port = gateway.free_port(), gateway.free_port()
    (folder / "bin").mkdir()
    (folder / "bin/hookgate").symlink_to(gateway.BINARY)
    (folder / "templates").symlink_to(gateway.ROOT / "templates")
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOOKGATE_")},
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOOKGATE_URL": f"http://127.0.0.1:{port}",
        "HOOKGATE_SERVER__LISTEN": f"127.0.0.1:{port}",
        "HOOKGATE_SERVER__ADMIN_LISTEN": f"127.0.0.1:{admin_port}",
    }
    words = ["bash", "-c", real_script(text, admin_port)]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    checks.equal("the README's way ends well", done.returncode, 0) or print(done.stdout, done.stderr)
    checks.true("its request is answered 204", "204 No Content" in done.stdout, done.stdout)
    checks.true("with a receipt", "  receipt " in done.stdout, done.stdout)
    lines = (folder / "events.ndjson").read_text().splitlines()
    names = [json.loads(line)["event"] for line in lines]
    checks.equal("its events arrive", names[-2:], ["prefect-cloud.webhook.received", "github.push"])


def check(checks, folder):
    for document in DOCUMENTS:
        text = (gateway.ROOT / document).read_text()
        check_commands(checks, document, text)
        check_names(checks, document, text)
    check_real(checks, folder, (gateway.ROOT / "README.md").read_text())


if __name__ == "__main__":
    gateway.perform(check, 120)
