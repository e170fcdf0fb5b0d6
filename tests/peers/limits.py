#!/usr/bin/env python3
"""What is asked of limits is told: by the API as clients of Prefect Cloud ask for it, and by `hookgate limit` as people
and programs read it; the same after the gateway was stopped. A report of usage counts once, over a kill -9, too.

Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import json
import subprocess
import time
import uuid

import gateway

TEMPLATE = '{"event": "limits.sent", "resource": {"prefect.resource.id": "limits"}}'
LIMITS = {
    "HOOKGATE_LIMITS__WEBHOOK_RATE": "3/h",
    "HOOKGATE_LIMITS__ACCOUNT_RATE": "5/h",
    "HOOKGATE_LIMITS__EVENT_RATE": "2/h",
}


class Program:
    """The command line, as one key's owner."""

    def __init__(self, server, folder):
        self.env = server.client_env(folder)

    def run(self, *words, code=0):
        """What `hookgate limit` printed; it must end with that code."""
        words = ["limit", *words]
        done = subprocess.run(
            [gateway.BINARY, *words], env=self.env, capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode != code:
            raise AssertionError(f"{words}: exit {done.returncode}, not {code}: {done.stderr}")
        return done.stdout + done.stderr

    def rows(self, *words):
        return json.loads(self.run(*words, "-o", "json"))


def use(checks, server):
    """Two webhooks, one of them over its limit; then the account's, and that of events."""
    busy, calm = (server.webhook(name, TEMPLATE) for name in ("busy", "größe"))
    said = [server.post(busy.path, {}).status for _ in range(5)]
    checks.equal("a webhook over its limit", said, [204, 204, 204, 429, 429])
    said = [server.post(calm.path, {}).status for _ in range(3)]
    checks.equal("an account over its limit", said, [204, 204, 429])
    event = {"event": "limits.own", "resource": {"prefect.resource.id": "own"}, "occurred": now()}
    said = [server.api("POST", "/events", [event | {"id": str(uuid.uuid4())}]).status for _ in range(3)]
    checks.equal("events over their limit", said, [204, 204, 429])
    return busy


def told(checks, server, folder, busy, when):
    """What the API and the command say of that."""
    account = server.account["api_path"].split("/workspaces/")[0]
    connection = server.connect()
    ask = lambda path: connection.ask(
        "GET", f"{account}/rate-limits{path}", headers={"authorization": f"Bearer {server.account['api_key']}"}
    )
    exceeded = ask("/status").json()["exceeded_buckets"]
    checks.equal(f"{when}: budgets that are used up", exceeded, ["logs-and-events", "webhooks"])
    usage = ask("/usage?keys=runs&keys=writing-events&keys=webhooks").json()
    figures = {key: (sum(told["requested"]), sum(told["granted"])) for key, told in usage["keys"].items()}
    checks.equal(f"{when}: usage", figures, {"webhooks": (6, 5), "writing-events": (3, 2)})
    checks.equal(f"{when}: three days of minutes", len(usage["minutes"]), 3 * 1440 + 1)
    table = ask("/usage/download").body.decode().split("\r\n")
    checks.equal(f"{when}: the table's head", table[0], "minute,key,limit,usage,requested,granted")
    connection.close()
    program = Program(server, folder)
    rows = {row["key"]: row for row in program.rows("ls")}
    key = f"webhooks/{busy.id}"
    checks.equal(f"{when}: refused by a webhook", (rows[key]["granted"], rows[key]["refused"]), (3, 2))
    checks.equal(f"{when}: its rate", (rows[key]["limit"], rows[key]["burst"]), ("3/h", 3))
    checks.true(f"{when}: when it was exceeded", rows[key]["exceeded"], rows[key])
    shown = program.run("show", "größe")
    checks.true(f"{when}: the way to raise it", "HOOKGATE_LIMITS__WEBHOOK_RATE" in shown, shown)
    checks.equal(f"{when}: by key and by name", program.rows("show", key), program.rows("show", "busy"))
    minutes = program.rows("usage", "busy")
    checks.equal(f"{when}: by the minute", sum(row["refused"] for row in minutes), 2)
    lines = program.run("ls").splitlines()
    checks.equal(f"{when}: one line each", len(lines), 1 + 4 + 2)
    simulated(checks, program, when)
    program.run("show", "nobody", code=5)
    program.run("usage", "senders", code=2)
    program.run("ls", "--since", "yesterday", code=2)


def simulated(checks, program, when):
    """What another limit would have done with the six requests that were kept."""
    simulate = lambda *words: json.loads(program.run("simulate", *words, "-o", "json"))
    said = simulate("--webhook", "busy", "--rate", "1/h")
    checks.equal(f"{when}: one an hour for one webhook", (said["requests"], said["refused"]), (3, 2))
    checks.equal(f"{when}: the burst it would take", said["burst_that_refuses_none"], 3)
    said = simulate("--each-webhook", "--rate", "2/h")
    checks.equal(f"{when}: two an hour for each", (said["requests"], said["refused"]), (5, 1))
    said = simulate("--all-webhooks", "--rate", "2/h")
    checks.equal(f"{when}: two an hour for all", said["refused"], 3)
    said = simulate("--event", "limits.sent", "--rate", "1/s", "--within", "1s")
    checks.equal(f"{when}: a pace of one a second", (said["events"], said["requests"]), (5, 5))
    checks.true(f"{when}: it lets them wait", said["delay_seconds"]["longest"] >= 1, said)
    checks.true(f"{when}: a faster one does not", said["rate_that_keeps_within"], said)
    program.run("simulate", code=2)
    program.run("simulate", "--rate", "1/s", "--since", "31d", "--until", "30d", code=5)


def reports(checks, server):
    """A report that is sent again, also after a crash, counts once."""
    report = {"seconds": 60, "flow_run_id": str(uuid.uuid4()), "occurred": now()}
    usage = "/managed_execution/usage"
    checks.equal("a report", server.api("POST", usage, report).status, 204)
    checks.equal("the same", server.api("POST", usage, report).status, 204)
    server.kill()
    server.start()
    checks.equal("the same after a crash", server.api("POST", usage, report).status, 204)
    checks.equal("not the same", server.api("POST", usage, report | {"seconds": 61}).status, 409)
    used = server.api("GET", "/managed_execution/details").json()["compute_usage_seconds"]
    checks.equal("it counts once", used, 60)


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def check(checks, folder):
    with gateway.Gateway(folder, env=LIMITS) as server:
        server.start()
        busy = use(checks, server)
        told(checks, server, folder, busy, "at once")
        server.stop()
        server.start()
        told(checks, server, folder, busy, "after a stop")
        reports(checks, server)


if __name__ == "__main__":
    gateway.perform(check, 180)
