#!/usr/bin/env python3
"""Performs every act that leaves an event, over HTTP against a fresh gateway, and finds the events at a file
destination: each with its resource, its related resources and its payload as in tests/data/acts, and no other. An
update repeated with equal values leaves nothing; nor does a request that is refused. No secret is in any of them.

Takes HOOKGATE_BIN; HOOKGATE_BLESS=1 writes the goldens. Ends with `N passed, N failed`.
"""

import json
import os
import re
import time
import uuid

import gateway

GOLDENS = gateway.ROOT / "tests/data/acts"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PREFIX = "prefect-cloud."
# A template that anybody can see is one, and two requests: one that it makes an event of, one that it does not.
TEMPLATE = '{"event": "acts.sent", "resource": {"prefect.resource.id": "{{ body.id }}"}}'
INCIDENT_FIELDS = ["name", "summary", "severity", "start_time", "tags", "related_resources"]
PASSWORD = "correct horse battery staple"
OTHER_TEMPLATE = '{"event": "acts.other", "resource": {"prefect.resource.id": "{{ body.id }}"}}'


class Acts:
    """The gateway, who acts on it, and what must come of it."""

    def __init__(self, checks, server):
        self.checks, self.server = checks, server
        self.account = f"/api/accounts/{server.account['account_id']}"
        self.workspace = f"{self.account}/workspaces/{server.account['workspace_id']}"
        self.key = server.account["api_key"]
        self.secrets = {self.key, PASSWORD}
        self.expected = []
        self.names = {server.account["account_id"]: "account", server.account["workspace_id"]: "workspace"}

    def ask(self, what, status, method, path, value=None, key=None, source=None, cookie=None):
        """One request, which must be answered so; returns the answer's JSON."""
        connection = self.server.connect(source)
        key = self.key if key is None else key
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        headers |= {"cookie": cookie, "origin": f"http://{gateway.LOOPBACK}"} if cookie else {}
        body = b"" if value is None else gateway.json_bytes(value)
        answer = connection.ask(method, path, body, headers)
        connection.close()
        self.checks.equal(f"{what}: status", answer.status, status) or print(answer.body.decode()[:500])
        found = answer.json() if answer.body else None
        self._keep_secrets(found)
        self.cookie = answer.headers.get("set-cookie", "").split(";")[0]
        return found

    def act(self, names, status, method, path, value=None, key=None, cookie=None):
        """An act, and the names of the events it leaves, in their order."""
        what = f"{method} {path.removeprefix(self.workspace).removeprefix(self.account)}"
        self.expected += [(name, what) for name in names.split()]
        return self.ask(what, status, method, path, value, key, cookie=cookie)

    def change(self, names, status, method, path, value, key=None):
        """A change; the same once more leaves nothing."""
        self.act(names, status, method, path, value, key)
        self.ask(f"{method} {path}, again", status, method, path, value, key)

    def refused(self, status, method, path, value=None, key=None):
        """A request that is refused, and leaves nothing."""
        self.ask(f"refused {method} {path}", status, method, path, value, key)

    def known(self, name, record):
        """Names the ids of a record in the goldens."""
        for field, ending in (("id", ""), ("actor_id", "'s actor"), ("user_id", "'s user")):
            if record.get(field):
                self.names.setdefault(record[field], name + ending)
        for field, held in record.items():
            if isinstance(held, dict) and held.get("id"):
                self.names.setdefault(held["id"], f"{name}'s {field}")
        return record

    def _keep_secrets(self, value):
        """What an answer told once: no event may tell it again."""
        if isinstance(value, dict):
            told = (value.get(name) for name in ("key", "slug", "invite_code"))
            self.secrets.update(one for one in told if isinstance(one, str) and one)
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                self._keep_secrets(one)

    def normal(self, value):
        """A value without ids and times of this run."""
        if isinstance(value, dict):
            return {name: self.normal(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.normal(one) for one in value]
        if not isinstance(value, str):
            return value
        value = UUID.sub(lambda found: f"<{self.names.get(found[0], 'id')}>", value)
        return TIME.sub("<time>", value)


def make_account(acts):
    """What bootstrap made, before anybody could act over HTTP."""
    names = "account account-settings account-domain-names user account-membership workspace workspace-settings api-key"
    acts.expected += [(f"{name}.created", "hookgate bootstrap") for name in names.split()]
    acts.me = acts.known("owner", acts.ask("who am I", 200, "GET", "/api/me"))
    rows = acts.ask("members", 200, "POST", f"{acts.account}/account_memberships/filter")
    acts.membership = acts.known("membership", rows[0])
    acts.known("owner", {"id": acts.me["id"], "actor_id": rows[0]["actor_id"]})
    for place, name in (("account_roles", "account"), ("workspace_roles", "workspace")):
        for role in acts.ask(f"{name} roles", 200, "POST", f"{acts.account}/{place}/filter"):
            acts.names[role["id"]] = f"{name} role {role['name']}"
            setattr(acts, f"{name}_{role['name'].lower()}", role["id"])


def change_settings(acts):
    """Of the account, and of a workspace."""
    acts.change("account-settings.updated", 204, "PATCH", f"{acts.account}/settings", {"ai_log_summaries": True})
    acts.refused(422, "PATCH", f"{acts.account}/settings", {"ai_log_summaries": 1})
    settings = {"inherit_default_result_storage": False}
    acts.change("workspace-settings.updated", 204, "PATCH", f"{acts.workspace}/settings", settings)
    acts.refused(422, "PATCH", f"{acts.workspace}/settings", {"unknown": 1})


def restrict_addresses(acts):
    """An allowlist without one of loopback's addresses: who calls from there is refused, and that is told."""
    allowlist = f"{acts.account}/ip_allowlist"
    entries = {"entries": [{"ip_network": "127.0.0.1/32", "enabled": True, "description": "here"}]}
    acts.change("account-settings.updated", 204, "PUT", allowlist, entries)
    acts.change("account-settings.updated", 204, "PATCH", f"{acts.account}/settings", {"enforce_ip_allowlist": True})
    elsewhere = {"entries": [{"ip_network": "203.0.113.0/24", "enabled": True, "description": None}]}
    acts.refused(422, "PUT", allowlist, elsewhere)
    what = "from an address that is not allowed"
    acts.expected.append(("request.access-denied.ip-allowlist", what))
    for _ in range(2):
        acts.ask(what, 403, "GET", f"{acts.workspace}/webhooks", source="127.0.0.2")
    acts.act("account-settings.updated", 204, "PATCH", f"{acts.account}/settings", {"enforce_ip_allowlist": False})


def change_roles(acts):
    """Roles of one's own, in accounts and workspaces."""
    roles = f"{acts.account}/account_roles"
    made = acts.act(
        "account-role.created", 201, "POST", f"{roles}/", {"name": "auditor", "permissions": ["read:account"]}
    )
    acts.known("account role", made)
    acts.refused(409, "POST", roles, {"name": "auditor", "permissions": []})
    acts.change("account-role.updated", 204, "PATCH", f"{roles}/{made['id']}", {"name": "reader"})
    acts.act("account-role.deleted", 204, "DELETE", f"{roles}/{made['id']}")
    acts.refused(404, "DELETE", f"{roles}/{made['id']}")
    roles = f"{acts.account}/workspace_roles"
    made = acts.act("workspace-role.created", 201, "POST", f"{roles}/", {"name": "watcher", "scopes": ["see_webhooks"]})
    acts.known("workspace role", made)
    scopes = {"scopes": ["see_webhooks", "see_events"]}
    acts.change("workspace-role.updated", 204, "PATCH", f"{roles}/{made['id']}", scopes)
    acts.act("workspace-role.deleted", 204, "DELETE", f"{roles}/{made['id']}")


def change_service_accounts(acts):
    """A service account, its keys, its place in account and workspace."""
    bots = f"{acts.account}/bots"
    names = "service-account.created account-membership.created api-key.created"
    bot = acts.act(names, 201, "POST", f"{bots}/", {"name": "robot"})
    acts.known("bot", bot)
    acts.refused(422, "POST", bots, {"name": "robot", "surplus": 1})
    acts.refused(403, "POST", bots, {"name": "other"}, key=bot["api_key"]["key"])
    acts.change("service-account.updated", 204, "PATCH", f"{bots}/{bot['id']}", {"name": "renamed"})
    acts.change(
        "account-membership.updated", 204, "PATCH", f"{bots}/{bot['id']}", {"account_role_id": acts.account_admin}
    )
    rotated = acts.act("api-key.rotated", 201, "POST", f"{bots}/{bot['id']}/rotate_api_key")
    acts.known("second", rotated)
    grants = f"{acts.workspace}/bot_access"
    grant = {"bot_id": bot["id"], "workspace_role_id": acts.workspace_viewer}
    access = acts.act("workspace-access.created", 200, "POST", f"{grants}/", [grant])[0]
    acts.known("access", access)
    grant["workspace_role_id"] = acts.workspace_developer
    acts.change("workspace-access.updated", 200, "POST", f"{grants}/", grant)
    acts.act("workspace-access.deleted", 204, "DELETE", f"{grants}/{access['id']}")
    names = "account-membership.deleted api-key.deleted service-account.deleted"
    acts.act(names, 204, "DELETE", f"{bots}/{bot['id']}")


def change_keys(acts):
    """A person, and keys of their own."""
    me = f"/api/users/{acts.me['id']}"
    acts.change("user.updated", 204, "PATCH", me, {"first_name": "Rin", "last_name": "Okada"})
    acts.refused(404, "PATCH", f"/api/users/{acts.server.account['account_id']}", {"first_name": "x"})
    made = acts.act("api-key.created", 201, "POST", f"{me}/api_keys", {"name": "laptop"})
    acts.known("key", made)
    acts.change("api-key.updated", 204, "PATCH", f"{me}/api_keys/{made['id']}", {"name": "desktop"})
    acts.act("api-key.deleted", 204, "DELETE", f"{me}/api_keys/{made['id']}")
    acts.refused(401, "GET", "/api/me", key=made["key"])


def invite(acts):
    """People are asked in, again, and not; they come or they do not."""
    asked = f"{acts.account}/invitations"
    one = lambda email: {"email": email, "account_role_id": acts.account_member}
    made = acts.act("account-invitation.created", 201, "POST", f"{asked}/", [one("rin@acme.example")])[0]
    acts.known("invitation", made)
    acts.refused(422, "POST", f"{asked}/", [one("nobody")])
    made = acts.act("account-invitation.updated", 200, "POST", f"{asked}/{made['id']}/resend")
    answer = f"/api/invitations/{made['id']}"
    acts.refused(404, "POST", f"{answer}/accept?invite_code=wrong", {"handle": "rin", "password": "correct horse"})
    newcomer = {"handle": "rin", "first_name": "Rin", "password": PASSWORD}
    names = "account-invitation.accepted user.created account-membership.created"
    acts.act(names, 204, "POST", f"{answer}/accept?invite_code={made['invite_code']}", newcomer, key="")
    acts.refused(409, "POST", f"{answer}/accept?invite_code={made['invite_code']}", newcomer, key="")
    made = acts.act("account-invitation.created", 201, "POST", f"{asked}/", [one("ann@acme.example")])[0]
    acts.known("second invitation", made)
    path = f"/api/invitations/{made['id']}/reject?invite_code={made['invite_code']}"
    acts.act("account-invitation.rejected", 204, "POST", path, key="")
    made = acts.act("account-invitation.created", 201, "POST", f"{asked}/", [one("bob@acme.example")])[0]
    acts.known("third invitation", made)
    acts.act("account-invitation.deleted", 204, "POST", f"{asked}/{made['id']}/revoke")


def invite_guests(acts):
    """The same, into a workspace."""
    asked = f"{acts.workspace}/invitations"
    made = acts.act("workspace-invitation.created", 201, "POST", f"{asked}/", {"email": "guest@acme.example"})
    acts.known("guest invitation", made)
    made = acts.act("workspace-invitation.updated", 200, "POST", f"{asked}/{made['id']}/resend")
    path = f"/api/invitations/{made['id']}/accept?invite_code={made['invite_code']}"
    names = "workspace-invitation.accepted user.created account-membership.created workspace-access.created"
    acts.act(names, 204, "POST", path, {"handle": "guest", "password": PASSWORD}, key="")
    made = acts.act("workspace-invitation.created", 201, "POST", f"{asked}/", {"email": "other@acme.example"})
    acts.known("second guest invitation", made)
    path = f"/api/invitations/{made['id']}/reject?invite_code={made['invite_code']}"
    acts.act("workspace-invitation.rejected", 204, "POST", path, key="")
    made = acts.act("workspace-invitation.created", 201, "POST", f"{asked}/", {"email": "third@acme.example"})
    acts.known("third guest invitation", made)
    acts.act("workspace-invitation.deleted", 204, "POST", f"{asked}/{made['id']}/revoke")


def come_and_go(acts):
    """Who was invited comes in by password, and goes."""
    entry = "/api/auth/login"
    acts.refused(401, "POST", entry, {"handle": "rin", "password": "not the password"}, key="")
    acts.act("user.logged-in", 200, "POST", entry, {"handle": "rin", "password": PASSWORD}, key="")
    cookie = acts.cookie
    acts.secrets.add(cookie.partition("=")[2])
    acts.act("user.logged-out", 204, "POST", "/api/auth/logout", key="", cookie=cookie)
    acts.ask("who went is nobody", 401, "GET", "/api/me", key="", cookie=cookie)


def change_workspaces(acts):
    """A workspace, and all that ends with it."""
    places = f"{acts.account}/workspaces"
    names = "workspace.created workspace-settings.created"
    made = acts.act(names, 201, "POST", f"{places}/", {"name": "Second", "handle": "second"})
    acts.known("second workspace", made)
    acts.refused(409, "POST", places, {"name": "Second", "handle": "second"})
    acts.change("workspace.updated", 204, "PATCH", f"{places}/{made['id']}", {"description": "größe"})
    names = "workspace-settings.deleted workspace.deleted"
    acts.act(names, 204, "DELETE", f"{places}/{made['id']}")


def change_teams(acts):
    """A team, and who is in it."""
    teams = f"{acts.account}/teams"
    made = acts.act("team.created", 201, "POST", teams, {"name": "on call"})
    acts.known("team", made)
    acts.change("team.updated", 200, "PUT", f"{teams}/{made['id']}", {"name": "by night", "description": "größe"})
    member = {"member_id": acts.me["id"], "member_type": "user"}
    acts.change("team-membership.created", 200, "PUT", f"{teams}/{made['id']}/members", {"members": [member]})
    member["role"] = "maintainer"
    acts.change("team-membership.updated", 200, "PUT", f"{teams}/{made['id']}/members", {"members": [member]})
    acts.refused(422, "PUT", f"{teams}/{made['id']}/members", {"members": [{"member_type": "user"}]})
    actor = acts.membership["actor_id"]
    acts.act("team-membership.deleted", 204, "DELETE", f"{teams}/{made['id']}/members/{actor}")
    acts.act("team.deleted", 204, "DELETE", f"{teams}/{made['id']}")


def change_domains(acts):
    """The domains of the account."""
    domains = f"{acts.account}/domains"
    acts.change("account-domain-names.updated", 204, "PATCH", domains, {"domain_names": ["acme.example"]})
    acts.refused(422, "PATCH", domains, {"domain_names": ["not a domain"]})


def lend_access(acts):
    """Leave for somebody who helps, for a while."""
    leave = f"{acts.account}/support_access"
    asked = {"expires_at": "2100-01-01T00:00:00Z", "reason": "it burns"}
    made = acts.act("support-access.created", 201, "POST", f"{leave}/", asked)
    acts.known("leave", made)
    acts.refused(422, "POST", leave, {"expires_at": "2001-01-01T00:00:00Z"})
    acts.change("support-access.updated", 204, "PATCH", f"{leave}/{made['id']}", {"reason": "it burnt"})
    acts.act("support-access.deleted", 204, "DELETE", f"{leave}/{made['id']}")


def use_and_pay(acts):
    """What runs is metered, and told once when it is too much; the plan ends, or does not."""
    limit = {"managed_execution_limit_seconds": 100}
    acts.change("account-settings.updated", 204, "PATCH", f"{acts.account}/settings", limit)
    usage = f"{acts.workspace}/managed_execution/usage"
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    report = {"seconds": 60, "flow_run_id": str(uuid.uuid4()), "occurred": now}
    acts.change("managed-execution.used", 204, "POST", usage, report)
    acts.refused(409, "POST", usage, report | {"seconds": 61})
    acts.act("managed-execution.used managed-execution.exceeded", 204, "POST", usage, {"seconds": 60})
    acts.act("managed-execution.used", 204, "POST", usage, {"seconds": 60})
    acts.refused(422, "POST", usage, {"seconds": -1})
    plan = f"/api/billing/{acts.server.account['account_id']}/subscription"
    acts.change("subscription.updated", 204, "PATCH", plan, {"cancel_at_period_end": True})
    acts.refused(422, "PATCH", plan, {"cancel_at_period_end": "yes"})


def move_workspace(acts, target):
    """A workspace leaves the account for another one; each account is told."""
    moved = acts.act(
        "workspace.created workspace-settings.created",
        201,
        "POST",
        f"{acts.account}/workspaces",
        {"name": "Moving", "handle": "moving"},
    )
    acts.known("moved workspace", moved)
    there = {"to_account_id": target["id"], "new_handle": "moved"}
    place = f"{acts.account}/workspaces/{moved['id']}"
    acts.refused(422, "POST", f"{place}/transfer", {"to_account_id": moved["id"]})
    acts.act("workspace.transferred-out workspace.transferred-in", 204, "POST", f"{place}/transfer", there)


def change_accounts(acts):
    """The account; and another, with all that is made and ends with it."""
    acts.change("account.updated", 204, "PATCH", f"{acts.account}/", {"link": "https://acme.example"})
    acts.refused(422, "PATCH", acts.account, {"plan_tier": "FREE"})
    names = "account account-settings account-domain-names account-membership"
    created = " ".join(f"{name}.created" for name in names.split())
    made = acts.act(created, 201, "POST", "/api/accounts/", {"name": "Second", "handle": "second-account"})
    acts.known("second account", made)
    acts.refused(409, "POST", "/api/accounts/", {"name": "Second", "handle": "second-account"})
    move_workspace(acts, made)
    people = f"/api/accounts/{made['id']}/invitations"
    asked = {"email": "eve@acme.example", "account_role_id": acts.account_member}
    asked = acts.known("eve's invitation", acts.act("account-invitation.created", 201, "POST", people, [asked])[0])
    path = f"/api/invitations/{asked['id']}/accept?invite_code={asked['invite_code']}"
    joined = "account-invitation.accepted user.created account-membership.created"
    acts.act(joined, 204, "POST", path, {"handle": "eve", "password": PASSWORD}, key="")
    names += " account-invitation account-membership user workspace workspace-settings"
    deleted = " ".join(f"{name}.deleted" for name in reversed(names.split()))
    acts.act(deleted, 204, "DELETE", f"/api/accounts/{made['id']}")


def change_automations(acts):
    """An automation, kept as it was sent."""
    automations = f"{acts.workspace}/automations"
    trigger = {"type": "event", "posture": "Reactive", "expect": ["acts.sent"], "threshold": 1, "within": 0}
    whole = {"name": "watch", "trigger": trigger, "actions": [{"type": "do-nothing"}], "actions_on_trigger": None}
    made = acts.act("automation.created", 201, "POST", automations, whole)
    acts.known("automation", made)
    acts.names.setdefault(made["trigger"]["id"], "trigger")
    acts.change("automation.updated", 204, "PATCH", f"{automations}/{made['id']}", {"enabled": False})
    acts.change("automation.updated", 204, "PUT", f"{automations}/{made['id']}", {**whole, "name": "renamed"})
    acts.refused(422, "POST", automations, {"name": "watch", "trigger": {"type": "unknown"}})
    acts.act("automation.deleted", 204, "DELETE", f"{automations}/{made['id']}")


def change_incidents(acts):
    """An incident from its declaration to its end."""
    incidents = f"{acts.workspace}/incidents"
    made = acts.act("incident.created incident.declared", 201, "POST", f"{incidents}/", {"name": "down", "tags": ["a"]})
    acts.known("incident", made)
    incident = f"{incidents}/{made['id']}"
    changed = {
        "name": "still down",
        "summary": "nobody knows",
        "severity": "high",
        "start_time": "2026-01-02T03:04:05Z",
        "tags": ["a", "b"],
        "related_resources": [{"prefect.resource.id": "acts.resource"}],
    }
    names = " ".join(f"incident.updated.{name}" for name in INCIDENT_FIELDS)
    acts.change(f"{names} incident.updated", 204, "PATCH", incident, changed)
    acts.act("incident.comment.added", 201, "POST", f"{incident}/comments", {"comment": "it burns"})
    acts.act("incident.resolved incident.updated", 204, "POST", f"{incident}/resolve")
    acts.refused(409, "POST", f"{incident}/resolve")
    acts.act("incident.reopened incident.updated", 204, "POST", f"{incident}/reopen")
    acts.refused(409, "POST", f"{incident}/reopen")
    acts.act("incident.deleted", 204, "DELETE", incident)


def change_webhooks(acts):
    """A webhook, and what it is sent."""
    hooks = f"{acts.workspace}/webhooks"
    made = acts.act("webhook.created", 201, "POST", f"{hooks}/", {"name": "hook", "template": TEMPLATE})
    acts.known("webhook", made)
    acts.refused(422, "POST", hooks, {"name": "hook", "template": "{{ nowhere"})
    hook = f"{hooks}/{made['id']}"
    sent = acts.server.post(f"/hooks/{made['slug']}", {"id": "1"}).status
    acts.checks.equal("it receives", sent, 204)
    acts.expected.append(("webhook.received", "POST /hooks"))
    sent = acts.server.post(f"/hooks/{made['slug']}", {}).status
    acts.checks.equal("what it makes no event of is refused", sent, 400)
    acts.expected += [("webhook.received", "POST /hooks"), ("webhook.failed", "POST /hooks")]
    acts.change("webhook.updated", 204, "PATCH", hook, {"enabled": False})
    whole = {"name": "renamed", "template": OTHER_TEMPLATE, "enabled": True, "service_account_id": None}
    acts.change("webhook.updated", 204, "PUT", hook, whole)
    acts.act("webhook.updated", 200, "POST", f"{hook}/rotate")
    acts.act("webhook.deleted", 204, "DELETE", hook)
    acts.refused(404, "DELETE", hook)


def kind_of(name):
    return name.split(".")[0]


def check_order(checks, acts, events):
    """Of each kind, the events that were to come, in their order, and no other."""
    found = [event["event"].removeprefix(PREFIX) for event in events]
    expected = [name for name, _ in acts.expected]
    for kind in sorted({kind_of(name) for name in found + expected}):
        of_kind = lambda names: [name for name in names if kind_of(name) == kind]
        checks.equal(f"the events of {kind}", of_kind(found), of_kind(expected))


def check_names(checks, server, events):
    """The command lists the names that arrived, and no other."""
    told = server.run("event", "names")
    checks.equal("`hookgate event names` works", (told.returncode, told.stderr), (0, ""))
    arrived = {event["event"] for event in events}
    checks.equal("the names it lists are those that arrived", sorted(told.stdout.split()), sorted(arrived))
    print(f"{len(arrived)} names of {len(events)} events")


def check_goldens(checks, acts, events):
    """Each event as it is written down, ids and times of the run apart."""
    shown = {}
    for event in events:
        told = {name: acts.normal(event[name]) for name in ("event", "resource", "related", "payload")}
        told["related"].sort(key=lambda one: one["prefect.resource.role"])
        shown.setdefault(kind_of(event["event"].removeprefix(PREFIX)), []).append(told)
    if os.environ.get("HOOKGATE_BLESS"):
        for old in GOLDENS.glob("*.json"):
            old.unlink()
        for kind, told in shown.items():
            (GOLDENS / f"{kind}.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    kinds = {path.stem for path in GOLDENS.glob("*.json")}
    checks.equal("there are goldens of these kinds", sorted(shown), sorted(kinds))
    for kind in sorted(kinds & set(shown)):
        golden = json.loads((GOLDENS / f"{kind}.json").read_text())
        checks.equal(f"{kind}: as many as in its golden", len(shown[kind]), len(golden))
        for number, (found, expected) in enumerate(zip(shown[kind], golden)):
            checks.equal(f"{kind}.json, event {number}", found, expected)


def check_secrets(checks, acts, server):
    """What answers told once stands nowhere else."""
    for place in (server.destination, server.log):
        text = place.read_text()
        checks.true(f"no secret stands in {place.name}", not any(secret in text for secret in acts.secrets))


def check(checks, folder):
    """The whole script."""
    with gateway.Gateway(folder) as server:
        server.start()
        acts = Acts(checks, server)
        make_account(acts)
        change_settings(acts)
        restrict_addresses(acts)
        change_roles(acts)
        change_service_accounts(acts)
        change_keys(acts)
        invite(acts)
        invite_guests(acts)
        come_and_go(acts)
        change_workspaces(acts)
        change_teams(acts)
        change_domains(acts)
        change_automations(acts)
        change_incidents(acts)
        lend_access(acts)
        use_and_pay(acts)
        change_accounts(acts)
        change_webhooks(acts)
        count = len(acts.expected)
        arrived = lambda: [one for one in server.events() if one["event"].startswith(PREFIX)]
        gateway.until(lambda: len(arrived()) >= count, 30)
        checks.equal("it ends cleanly", server.stop(), 0)
        # What senders leave goes another way into the spool than what managers do.
        events = sorted(arrived(), key=lambda one: one["occurred"].rstrip("Z"))
        check_order(checks, acts, events)
        check_goldens(checks, acts, events)
        check_names(checks, server, events)
        check_secrets(checks, acts, server)


if __name__ == "__main__":
    gateway.perform(check, seconds=180)
