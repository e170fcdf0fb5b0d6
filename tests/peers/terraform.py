#!/usr/bin/env python3
"""Drives the gateway with the real Terraform provider for Prefect: what tests/data/terraform describes is applied,
planned again without a difference, changed, planned again, and destroyed. A template of 30,000 characters with CRLF,
tabs, trailing spaces and more than ASCII comes back byte for byte.

CI runs it where there is a provider that was built beforehand; the registries that CI asks have none, and it says so.
HOOKGATE_TERRAFORM_PROVIDER names its `terraform-provider-prefect`,
HOOKGATE_TERRAFORM the program (else `tofu` or `terraform` of the path), HOOKGATE_BIN the gateway. Ends with
`N passed, N failed`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gateway

CONFIGURATION = gateway.ROOT / "tests/data/terraform"
EMAIL = "rin@acme.example"
TEMPLATE_CHARS = 30_000
# A plan says with these codes that nothing, or something, is to be changed.
NOTHING, SOMETHING = 0, 2


def large_template():
    """As long as a template may be, and full of what others trim or escape; in NFC, as Terraform makes all text."""
    head = '{\r\n\t"event": "terraform.große",   \r\n '
    head += '"resource": {"prefect.resource.id": "größe \u2028 \U0001f600 é"},\n'
    head += '"payload": {{ body|tojson }}, "text": "'
    tail = '"}  \t\r\n\r\n'
    return head + ("ü\u00a0" * TEMPLATE_CHARS)[: TEMPLATE_CHARS - len(head) - len(tail)] + tail


class Terraform:
    """The program, with a folder, a state and a home of its own."""

    def __init__(self, folder, server):
        named = [os.environ.get("HOOKGATE_TERRAFORM"), shutil.which("tofu"), shutil.which("terraform")]
        self.program = next((program for program in named if program), None)
        provider = os.environ.get("HOOKGATE_TERRAFORM_PROVIDER")
        if not self.program or not provider:
            sys.exit("HOOKGATE_TERRAFORM_PROVIDER must name the built provider, and tofu or terraform be there")
        self.folder = folder / "terraform"
        shutil.copytree(CONFIGURATION, self.folder)
        overrides = {"prefecthq/prefect": str(Path(provider).resolve().parent)}
        settings = folder / "terraform.rc"
        lines = "".join(f'"{name}" = "{place}"\n' for name, place in overrides.items())
        settings.write_text(f"provider_installation {{\ndev_overrides {{\n{lines}}}\n}}\n")
        account = server.account
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "TF_"))},
            "HOME": str(folder),
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "PREFECT_API_URL": f"http://{gateway.LOOPBACK}:{server.port}",
            "PREFECT_API_KEY": account["api_key"],
            "PREFECT_CLOUD_ACCOUNT_ID": account["account_id"],
            "TF_VAR_workspace_id": account["workspace_id"],
            "TF_VAR_email": EMAIL,
        }

    def run(self, *words):
        """One command to its end; it asks nothing."""
        words = [self.program, *words]
        return subprocess.run(
            words, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=240, check=False
        )

    def outputs(self):
        return {name: one["value"] for name, one in json.loads(self.run("output", "-json").stdout).items()}


def check_run(checks, what, terraform, expected, *words):
    """A command that must end with that code."""
    plain = [] if words[0] == "state" else ["-no-color", "-input=false"]
    done = terraform.run(words[0], *plain, *words[1:])
    checks.equal(what, done.returncode, expected) or print(done.stdout[-6000:], done.stderr[-6000:])
    return done


def check_applied(checks, terraform, what, *variables):
    """Applies, and finds nothing left to do."""
    check_run(checks, f"{what}: apply", terraform, 0, "apply", "-auto-approve", *variables)
    check_run(checks, f"{what}: the next plan is empty", terraform, NOTHING, "plan", "-detailed-exitcode", *variables)


def named(server, collection):
    """Records by name, as the API tells them."""
    return {one["name"]: one for one in server.api("POST", f"/{collection}/filter").json()}


def check_webhooks(checks, server, outputs, template):
    """The first round's webhooks."""
    made = named(server, "webhooks")
    checks.equal("the webhooks are there", sorted(made), ["bound", "document", "large", "released"])
    checks.true("a service account is bound", made["bound"]["service_account_id"])
    checks.true("the large template is as it was, byte for byte", made["large"]["template"] == template)
    template = made["document"]["template"]
    checks.equal("the data source reads the template", outputs["read_template"], template)
    checks.equal("the workspace was read", outputs["workspace"], server.account["workspace_handle"])
    path = f"/hooks/{made['document']['slug']}"
    checks.true("the endpoint has the slug", outputs["endpoint"].endswith(path), outputs)
    answer = server.post(path, {"model": "m1"})
    checks.equal("what was made receives", answer.status, 204)


def check_changed_webhooks(checks, server):
    """The second round's."""
    made = named(server, "webhooks")
    large, bound = made.get("large, renamed", {}), made["bound"]
    checks.equal("renamed, emptied, switched off", (large.get("description"), large.get("enabled")), ("", False))
    checks.true("the bound one is on and still bound", bound["enabled"] and bound["service_account_id"], bound)
    checks.equal("the released one is bound no more", made["released"]["service_account_id"], None)


def check_audit(checks, events):
    """Each act left its event, and nothing else did."""
    found = [event["event"].removeprefix("prefect-cloud.") for event in events]
    kinds = ("automation", "service-account", "team", "team-membership", "user", "webhook", "workspace-access", "workspace-role")
    counted = {name: found.count(name) for name in sorted(set(found)) if name.split(".")[0] in kinds}
    checks.equal("each keeper and expiry rotated its key once", found.count("api-key.rotated"), 2)
    expected = {
        "automation.created": 4,
        "automation.deleted": 4,
        "automation.updated": 2,
        "service-account.created": 3,
        "service-account.deleted": 3,
        "service-account.updated": 1,
        "team-membership.created": 2,
        "team-membership.deleted": 2,
        "team.created": 1,
        "team.deleted": 1,
        "team.updated": 1,
        "user.created": 1,
        "user.updated": 1,
        "webhook.created": 5,
        "webhook.deleted": 5,
        "webhook.received": 1,
        "webhook.updated": 3,
        "workspace-access.created": 3,
        "workspace-access.deleted": 3,
        "workspace-access.updated": 2,
        "workspace-role.created": 3,
        "workspace-role.deleted": 3,
    }
    checks.equal("each act left its event", counted, expected)


def owner(server):
    """Who the key belongs to: with an e-mail address, by which Terraform finds people."""
    connection = server.connect()
    headers = {"authorization": f"Bearer {server.account['api_key']}", "content-type": "application/json"}
    me = connection.ask("GET", "/api/me", headers=headers).json()["id"]
    named = {"email": EMAIL, "first_name": "Rin", "last_name": "Okada"}
    connection.ask("PATCH", f"/api/users/{me}", gateway.json_bytes(named), headers)
    connection.close()
    return me


def check(checks, folder):
    """The whole script."""
    with gateway.Gateway(folder) as server:
        terraform = Terraform(folder, server)
        template = large_template()
        (terraform.folder / "large.j2").write_bytes(template.encode())
        server.start()
        imported = {
            "prefect_user.owner": owner(server),
            "prefect_account.ours": server.account["account_id"],
            "prefect_account_member.owner": EMAIL,
        }
        for name, identity in imported.items():
            check_run(checks, f"{name} is imported", terraform, 0, "import", name, identity)
        check_applied(checks, terraform, "made")
        first = terraform.outputs()
        check_webhooks(checks, server, first, template)
        changed = ("-var", "changed=true")
        check_run(checks, "a change is seen", terraform, SOMETHING, "plan", "-detailed-exitcode", *changed)
        check_applied(checks, terraform, "changed", *changed)
        check_changed_webhooks(checks, server)
        second = terraform.outputs()
        checks.true("the keeper's change made another key", first["rotating_key"] != second["rotating_key"])
        # Who ends themselves, or their account, can do nothing else any more.
        check_run(checks, "what was imported is let go", terraform, 0, "state", "rm", *imported)
        check_run(checks, "destroyed", terraform, 0, "destroy", "-auto-approve", *changed)
        checks.equal("no webhook is left", named(server, "webhooks"), {})
        check_audit(checks, server.drained_events())
        checks.equal("it ends cleanly", server.stop(), 0)


if __name__ == "__main__":
    gateway.perform(check, seconds=600)
