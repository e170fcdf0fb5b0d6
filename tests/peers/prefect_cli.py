#!/usr/bin/env python3
"""Drives the gateway with the unmodified `prefect` command: login, workspaces, profiles, `api`, and every verb of
`cloud ip-allowlist` and `cloud webhook`. Each exits 0, the audit events are at the destination without slug or key, and
what was made that way receives.

Takes HOOKGATE_BIN; installs the pinned prefect once (setup.sh). Ends with `N passed, N failed`.
"""

import json
import os
import re
import subprocess

import gateway

TEMPLATE = """{
  "event": "cli.sent",
  "resource": {"prefect.resource.id": "cli.{{ body.id }}", "prefect.resource.name": "größe \u2028"},
  "payload": {{ body|tojson }}
}
"""
CHANGED = TEMPLATE.replace("cli.sent", "cli.changed")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Prefect:
    """The command with a home of its own."""

    def __init__(self, folder, server):
        self.program = gateway.installed("venv/bin/prefect")
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_CLOUD_API_URL": f"http://{gateway.LOOPBACK}:{server.port}/api",
            "PREFECT_CLI_COLORS": "false",
            "DO_NOT_TRACK": "1",
            "COLUMNS": "400",
        }

    def run(self, *words):
        """One command to its end; whatever it asks is answered with yes. `api` takes its input for a body."""
        answers = "" if words[0] == "api" else "y\n" * 3
        words = [self.program, *words]
        return subprocess.run(
            words, env=self.env, input=answers, capture_output=True, text=True, timeout=60, check=False
        )


def check_command(checks, prefect, *words):
    """A command that must succeed without complaint; returns what it printed."""
    done = prefect.run(*words)
    what = f"prefect {' '.join(words[:3])}"
    checks.equal(f"{what} exits 0", done.returncode, 0) or print(done.stdout, done.stderr)
    checks.true(f"{what} shows no traceback", "Traceback" not in done.stdout + done.stderr, done.stderr)
    return done.stdout


def check_login(checks, prefect, server):
    """A wrong key is refused in a friendly way; the right one is taken, into a profile of its own."""
    account = server.account
    check_command(checks, prefect, "profile", "create", "gateway")
    # It is not connected to anything yet, and ends with 1 for that.
    prefect.run("profile", "use", "gateway")
    place = f"{account['account_handle']}/{account['workspace_handle']}"
    wrong = prefect.run("cloud", "login", "--key", "pnu_" + "x" * 36, "--workspace", place)
    checks.equal("a wrong key is refused", wrong.returncode, 1)
    checks.true("a wrong key gives no traceback", "Traceback" not in wrong.stdout + wrong.stderr, wrong.stderr)
    check_command(checks, prefect, "cloud", "login", "--key", account["api_key"], "--workspace", place)


def check_places(checks, prefect, server):
    """The workspace and the profile are chosen again, and found."""
    account = server.account
    place = f"{account['account_handle']}/{account['workspace_handle']}"
    listed = check_command(checks, prefect, "cloud", "workspace", "ls")
    checks.true("it lists the workspace", place in listed, listed)
    check_command(checks, prefect, "cloud", "workspace", "set", "--workspace", place)
    said = check_command(checks, prefect, "profile", "use", "gateway")
    checks.true("the profile is connected", "Connected" in said, said)
    for words in (("profile", "ls"), ("profile", "inspect"), ("config", "view"), ("version",)):
        check_command(checks, prefect, *words)


def check_api(checks, prefect, server):
    """Raw calls, below each of the three bases that the command knows; and a list of what there is none of."""
    account = server.account
    found = json.loads(check_command(checks, prefect, "api", "GET", "/me/workspaces", "--root"))
    checks.equal("the root's", [one["workspace_id"] for one in found], [account["workspace_id"]])
    found = json.loads(check_command(checks, prefect, "api", "POST", "/bots/filter", "--account"))
    checks.equal("the account's", found, [])
    found = json.loads(check_command(checks, prefect, "api", "POST", "/webhooks/filter", "--data", '{"limit": 1}'))
    checks.equal("the workspace's", found, [])
    check_command(checks, prefect, "automation", "ls")
    wrong = prefect.run("api", "GET", "/webhooks/no-id")
    checks.true("what is wrong is told", wrong.returncode != 0 and "uuid_parsing" in wrong.stdout + wrong.stderr, wrong)


def entries(server):
    """The allowlist as the API has it: what is enabled, by network."""
    connection = server.connect()
    path = f"/api/accounts/{server.account['account_id']}/ip_allowlist"
    answer = connection.ask("GET", path, headers={"authorization": f"Bearer {server.account['api_key']}"})
    connection.close()
    return {one["ip_network"]: one["enabled"] for one in answer.json()["entries"]}


def check_allowlist(checks, prefect, server):
    """Each verb of `cloud ip-allowlist`; nobody locks themselves out."""
    verb = lambda *words: check_command(checks, prefect, "cloud", "ip-allowlist", *words)
    verb("ls")
    verb("add", "127.0.0.0/8", "-d", "loopback")
    verb("add", "2001:db8::/32")
    checks.equal("both are there", entries(server), {"127.0.0.0/8": True, "2001:db8::/32": True})
    listed = verb("ls")
    checks.true("it lists them", "127.0.0.0/8" in listed and "2001:db8::/32" in listed, listed)
    verb("toggle", "2001:db8::/32")
    checks.equal("one is switched off", entries(server), {"127.0.0.0/8": True, "2001:db8::/32": False})
    verb("enable")
    locked = prefect.run("cloud", "ip-allowlist", "remove", "127.0.0.0/8")
    checks.true("a lock-out is refused, and told", locked.returncode and "Traceback" not in locked.stderr, locked)
    checks.equal("it is as it was", entries(server), {"127.0.0.0/8": True, "2001:db8::/32": False})
    verb("disable")
    verb("remove", "2001:db8::/32")
    verb("remove", "127.0.0.0/8")
    checks.equal("none is left", entries(server), {})


def record(server, name):
    """The webhook of that name as the API has it."""
    return next(one for one in server.api("POST", "/webhooks/filter").json() if one["name"] == name)


def posts(server, made, body):
    return server.post(f"/hooks/{made['slug']}", body).status


def check_webhook(checks, prefect, server):
    """Each verb in turn, and what it changes for senders; returns the webhook's id and its slugs."""
    check_command(checks, prefect, "cloud", "webhook", "create", "from-cli", "-t", TEMPLATE, "-d", "made by the command")
    made = record(server, "from-cli")
    found = (made["template"], made["description"], made["enabled"], made["service_account_id"])
    checks.equal("it is made as given, byte for byte", found, (TEMPLATE, "made by the command", True, None))
    checks.equal("it receives", posts(server, made, {"id": 1}), 204)
    listed = check_command(checks, prefect, "cloud", "webhook", "ls")
    checks.true("ls shows id and slug", made["id"] in listed and made["slug"] in listed, listed)
    shown = check_command(checks, prefect, "cloud", "webhook", "get", made["id"])
    checks.true("get shows it", UUID.search(shown) and made["slug"] in shown, shown)
    check_command(checks, prefect, "cloud", "webhook", "toggle", made["id"])
    checks.equal("switched off, it looks like none", posts(server, made, {"id": 2}), 404)
    check_command(checks, prefect, "cloud", "webhook", "update", made["id"], "-n", "renamed", "-t", CHANGED)
    renamed = record(server, "renamed")
    found = (renamed["template"], renamed["description"], renamed["enabled"], renamed["slug"])
    checks.equal("update keeps what it does not name", found, (CHANGED, made["description"], False, made["slug"]))
    check_command(checks, prefect, "cloud", "webhook", "toggle", made["id"])
    checks.equal("switched on, it receives by the new template", posts(server, made, {"id": 3}), 204)
    check_command(checks, prefect, "cloud", "webhook", "rotate", made["id"])
    rotated = record(server, "renamed")
    checks.true("rotate changes the slug", rotated["slug"] != made["slug"])
    checks.equal("the old slug is gone at once", posts(server, made, {"id": 4}), 404)
    checks.equal("the new slug receives at once", posts(server, rotated, {"id": 5}), 204)
    check_command(checks, prefect, "cloud", "webhook", "delete", made["id"])
    checks.equal("deleted, it is gone", posts(server, rotated, {"id": 6}), 404)
    checks.equal("the API has no webhook left", server.api("POST", "/webhooks/filter").json(), [])
    return made["id"], (made["slug"], rotated["slug"])


def check_audit(checks, server, webhook, events):
    """The trail of the changes: each once, in order, by whom, and what of it changed."""
    prefix, account = "prefect-cloud.", server.account
    trail = [event for event in events if event["event"].startswith("prefect-cloud.webhook.")]
    trail = [event for event in trail if event["event"].rsplit(".", 1)[1] in ("created", "updated", "deleted")]
    names = [event["event"].removeprefix(prefix + "webhook.") for event in trail]
    checks.equal("the audit events arrive in order", names, ["created", *["updated"] * 4, "deleted"])
    ids = {event["resource"]["prefect.resource.id"] for event in trail}
    checks.equal("they are about that webhook", ids, {f"{prefix}webhook.{webhook}"})
    scopes = [
        {one["prefect.resource.role"]: one["prefect.resource.id"].removeprefix(prefix) for one in event["related"]}
        for event in trail
    ]
    where = {"account": f"account.{account['account_id']}", "workspace": f"workspace.{account['workspace_id']}"}
    checks.true("they name account and workspace", all(where.items() <= scope.items() for scope in scopes), scopes)
    checks.true("they name the actor", all("actor" in scope for scope in scopes), scopes)
    updates = [event["payload"].get("updated_fields") for event in trail[1:5]]
    checks.equal("they name what changed", updates, [["enabled"], ["name", "template"], ["enabled"], ["slug"]])
    checks.equal("the first has the template", trail[0]["payload"].get("template"), TEMPLATE)
    own = [
        event["event"] for event in events if ".webhook." not in event["event"] and event["event"].startswith(prefix)
    ]
    created = {f"{prefix}{kind}.created" for kind in ("account", "workspace", "user", "api-key")}
    checks.true("bootstrap's own events arrived too", created <= set(own), own)
    arrived = [(event["event"], event["payload"]["id"]) for event in events if event["event"].startswith("cli.")]
    checks.equal("what was posted arrived", arrived, [("cli.sent", 1), ("cli.changed", 3), ("cli.changed", 5)])


def check(checks, folder):
    """The whole script."""
    with gateway.Gateway(folder) as server:
        prefect = Prefect(folder, server)
        server.start()
        check_login(checks, prefect, server)
        check_places(checks, prefect, server)
        check_api(checks, prefect, server)
        check_allowlist(checks, prefect, server)
        webhook, slugs = check_webhook(checks, prefect, server)
        check_audit(checks, server, webhook, server.drained_events())
        check_command(checks, prefect, "cloud", "logout")
        checks.equal("it ends cleanly", server.stop(), 0)
        secrets = [*slugs, server.account["api_key"]]
        for place in (server.destination, server.log):
            text = place.read_text()
            checks.true(f"no slug or key stands in {place.name}", not any(secret in text for secret in secrets))


if __name__ == "__main__":
    gateway.perform(check, seconds=280)
