#!/usr/bin/env python3
"""Throws what Schemathesis makes of the OpenAPI document at a fresh gateway, with an owner's key: no 5xx, no answer
that the document does not tell, each reply of exactly the shape it tells. Bounded in time, and the same each time.

Takes HOOKGATE_BIN; installs the pinned schemathesis once (setup.sh). Ends with `N passed, N failed`.
"""

import json
import subprocess

import gateway

SEED = 1
EXAMPLES = 8
SECONDS = 240
# What ends the caller or their place: tried by itself, last.
ENDS = ["user.delete", "account-membership.leave", "workspace.delete", "account.delete"]
# A webhook's first version is always there: when only a part of the path is spoiled that the settings below name, and put
# right again, the answer is rightly 200.
ALWAYS_THERE = ["webhook.version"]
# What is wrong may be known to the store alone: that nothing of an id is there, or a template does not compile.
EXCLUDED = "positive_data_acceptance"


def closed(value):
    """The document with every reply's objects closed: a member that it does not tell is a fault, too."""
    if isinstance(value, list):
        return [closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    value = {name: closed(one) for name, one in value.items()}
    if "object" in value.get("type", ()) and "properties" in value:
        value.setdefault("additionalProperties", False)
    return value


def settings(server):
    """What paths name: the caller, their own account and workspace."""
    connection = server.connect()
    me = connection.ask("GET", "/api/me", headers={"authorization": f"Bearer {server.account['api_key']}"}).json()
    connection.close()
    places = {"user": me["id"], "account": server.account["account_id"], "workspace": server.account["workspace_id"]}
    lines = "".join(f'"path.{name}" = {json.dumps(place)}\n' for name, place in places.items())
    always = "".join(
        f'[[operations]]\ninclude-operation-id = "{name}"\n[operations.checks.negative_data_rejection]\nenabled = false\n'
        for name in ALWAYS_THERE
    )
    return f"[parameters]\n{lines}{always}"


def check_document(checks, server):
    """The command and the gateway tell the same document."""
    told = server.run("openapi")
    checks.equal("the command tells the document", (told.returncode, told.stderr), (0, ""))
    connection = server.connect()
    served = connection.ask("GET", "/api/openapi.json")
    connection.close()
    checks.true("the gateway serves the same", served.body.decode() == told.stdout)
    return json.loads(told.stdout)


def check_operations(checks, folder, server, what, *chosen):
    """Some of the operations, thrown at the gateway until nothing new comes of it."""
    words = [gateway.installed("venv/bin/schemathesis"), "--config-file", folder / "settings.toml"]
    words += ["run", folder / "openapi.json", "--url", f"http://{gateway.LOOPBACK}:{server.port}"]
    words += ["--header", f"Authorization: Bearer {server.account['api_key']}", "--seed", str(SEED)]
    words += ["--max-examples", str(EXAMPLES), "--exclude-checks", EXCLUDED, "--continue-on-failure", *chosen]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    checks.equal(f"Schemathesis finds nothing in {what}", done.returncode, 0) or print(done.stdout, done.stderr)
    print(done.stdout[done.stdout.rfind("Test cases:") :])


def check(checks, folder):
    """The whole script."""
    # It is wrong about keys more often than a caller may be, to see that each operation asks for one.
    with gateway.Gateway(folder, env={"HOOKGATE_LIMITS__WRONG_KEYS_PER_MINUTE": "0"}) as server:
        server.start()
        document = check_document(checks, server)
        (folder / "openapi.json").write_text(json.dumps(closed(document)))
        (folder / "settings.toml").write_text(settings(server))
        without, only = ([f"--{side}-operation-id={name}" for name in ENDS] for side in ("exclude", "include"))
        check_operations(checks, folder, server, "what can be done again and again", *without)
        check_operations(checks, folder, server, "what ends the caller", *only)
        checks.equal("it ends cleanly", server.stop(), 0)


if __name__ == "__main__":
    gateway.perform(check, seconds=SECONDS + 60)
