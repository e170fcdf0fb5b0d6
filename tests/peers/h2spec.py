#!/usr/bin/env python3
"""h2spec, the conformance suite of HTTP/2 and HPACK, against a gateway: over plain text by prior knowledge, and over TLS.

Every case passes, but for those that tests/data/h2spec.txt names with the reason: what fails and is not named there fails
this check, and so does what is named there and passes. Takes HOOKGATE_BIN, and H2SPEC (installed by setup.sh from the Go
module proxy). Ends with `N passed, N failed`.
"""

import os
import subprocess
import xml.etree.ElementTree as xml
from pathlib import Path

import gateway

EXCEPTIONS = gateway.ROOT / "tests/data/h2spec.txt"
TLS = gateway.ROOT / "tests/data/tls"
CASES_MIN = 140


def exceptions(what):
    """Names of cases that are argued about for a listener; a line is `listener | name | reason`, `#` is for people."""
    lines = [line.split(" | ") for line in EXCEPTIONS.read_text().splitlines() if line and not line.startswith("#")]
    return {name for listener, name, _ in lines if listener == what}


def outcomes(report):
    """Each case and whether it passed; those that were skipped are left out."""
    found = {}
    for suite in xml.parse(report).getroot().iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), 1):
            name = f"{case.get('package')}/{number}"
            if case.find("skipped") is None:
                found[name] = case.find("failure") is None and case.find("error") is None
    return found


def check(checks, folder):
    for what, words, env in [
        ("plain", [], {}),
        (
            "TLS",
            ["--tls", "--insecure"],
            {
                "HOOKGATE_SERVER__TLS_CERTIFICATE": str(TLS / "certificate.pem"),
                "HOOKGATE_SERVER__TLS_KEY": str(TLS / "key.pem"),
            },
        ),
    ]:
        place = folder / what
        place.mkdir()
        with gateway.Gateway(place, forward=[]) as server:
            server.start()
            # One that reads bodies: who answers before the end of a request need not find what is wrong with it.
            path = server.webhook("specified").path
            server.stop()
            server.env.update(env)
            server.start()
            report = place / "report.xml"
            command = [os.environ.get("H2SPEC") or gateway.installed("bin/h2spec"), "--host", gateway.LOOPBACK]
            command += ["--port", server.port, "--path", path, "--timeout", 2, "--junit-report", report, *words]
            told = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=100, check=False)
            if not checks.true(f"{what}: h2spec reports", report.exists(), told.stdout[-500:] + told.stderr[-500:]):
                continue
            found, argued = outcomes(report), exceptions(what)
            passed = sum(found.values())
            print(f"{what}: {passed} of {len(found)} cases pass", flush=True)
            checks.true(f"{what}: the whole suite ran", len(found) >= CASES_MIN, len(found))
            for name, good in sorted(found.items()):
                checks.equal(f"{what}: {name} passes, unless it is argued about", good, name not in argued)
            checks.true(f"{what}: the gateway serves on", server.admin("/livez").status == 200)


if __name__ == "__main__":
    gateway.perform(check, seconds=115)
