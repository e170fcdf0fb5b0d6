#!/usr/bin/env python3
"""Kills the gateway with -9 while eight clients make, change and end what an account holds, starts it again, and accounts
for every change: 2,000 of them and ten kills, or what `--mutations` and `--kills` say.

The changes are of every sort that the catalogue has: records with a name; records of which an account or workspace has
one; invitations sent and sent again; places in a workspace given, changed and taken; keys and slugs made anew; workspaces
that move to another account; and what is made or ended along with them.

Each change bears a mark of its own or concerns a record of its own, and is never sent twice. At the end: whatever was
answered 2xx is in the audit chains, once, and whatever was refused is not; nothing is there that nobody asked for; of a
change that has several events, all are there or none; each event goes on from the one before it of its record; each record
is as its last event says, or gone if that is its end; the chains are whole; every audit event is at the file destination,
in its chain's order. What crashes cost (changes without an answer, events delivered again) is printed. Takes
HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import argparse
import json
import random
import threading
import uuid
from collections import defaultdict
from typing import NamedTuple

import gateway
from ledger import Ledger, key

CLIENTS = 8
MUTATION_SECONDS = 0.5
# Time for the last events from the outbox through the spool to the file.
ARRIVAL_SECONDS = 30
TEMPLATE = '{"event": "e", "resource": {"prefect.resource.id": "r"}}'
TRIGGER = {"type": "event", "expect": ["e"], "posture": "Reactive", "threshold": 1, "within": 0}


class Kind(NamedTuple):
    """Where records of a kind are, what makes one, and how it is changed and ended."""

    place: str
    made: dict = {}
    # What bears the mark of a change.
    field: str = "name"
    method: str = "PATCH"
    # A change without a mark, below the record.
    again: str = ""
    end: tuple = ("DELETE", "")
    list: tuple = ("POST", "/filter")


ONE = {"end": None, "list": None}
INVITATION = {"field": "email", "method": None, "again": "/resend", "end": ("POST", "/revoke")}
KINDS = {
    "webhook": Kind("{workspace}/webhooks", {"template": TEMPLATE}, method="PUT", again="/rotate"),
    "automation": Kind(
        "{workspace}/automations", {"trigger": TRIGGER, "actions": [{"type": "do-nothing"}]}, method="PUT"
    ),
    "incident": Kind("{workspace}/incidents", {"tags": ["t"]}),
    "service-account": Kind("{account}/bots", again="/rotate_api_key"),
    "api-key": Kind("{me}/api_keys", list=("GET", "")),
    "account-role": Kind("{account}/account_roles", {"permissions": ["read:account"]}),
    "workspace-role": Kind("{account}/workspace_roles", {"scopes": ["see_events"]}),
    "team": Kind("{account}/teams", method="PUT"),
    "workspace": Kind("{account}/workspaces", again="/transfer"),
    "workspace-access": Kind("{workspace}/bot_access", field="bot_id", method=None, again="with another role", list=None),
    "account-invitation": Kind("{account}/invitations", **INVITATION),
    "workspace-invitation": Kind("{workspace}/invitations", **INVITATION),
    "support-access": Kind(
        "{account}/support_access", {"expires_at": "2100-01-01T00:00:00Z"}, field="reason", list=("GET", "")
    ),
    "account-settings": Kind("{account}/settings", field="managed_execution_limit_seconds", **ONE),
    "workspace-settings": Kind("{workspace}/settings", field="default_result_storage_block_id", **ONE),
    "account-domain-names": Kind("{account}/domains", field="domain_names", **ONE),
}
# The mark of a change: a name, where no other is said.
MARKS = {
    "account-invitation": lambda serial: f"c{serial}@acme.example",
    "workspace-invitation": lambda serial: f"c{serial}@acme.example",
    "account-settings": lambda serial: serial,
    "workspace-settings": lambda serial: str(uuid.UUID(int=serial)),
    "account-domain-names": lambda serial: [f"c{serial}.example"],
}


def verbs(kind):
    """What is done to records of a kind, and how often."""
    row = KINDS[kind]
    if row.end is None:
        return {"updated": 1}
    changed = {"updated": 4} if row.method else {}
    again = {"moved" if kind == "workspace" else "again": 2} if row.again else {}
    return {"created": 4, "deleted": 2, **changed, **again}


class World:
    """The gateway's two accounts, and the roles that are given."""

    def __init__(self, server):
        self.server = server
        account = f"/api/accounts/{server.account['account_id']}"
        connection = server.connect()
        self.me = self.ask(connection, "GET", "/api/me").json()["id"]
        self.parts = {"account": account, "workspace": server.account["api_path"], "me": f"/api/users/{self.me}"}
        self.member = self.role(connection, "account_roles", "Member")
        self.roles = [self.role(connection, "workspace_roles", name) for name in ("Viewer", "Developer")]
        other = {"name": "Second", "handle": "second-account"}
        self.other = self.ask(connection, "POST", "/api/accounts/", other).json()["id"]
        connection.close()

    def role(self, connection, kind, name):
        rows = self.ask(connection, "POST", f"{self.parts['account']}/{kind}/filter").json()
        return next(row["id"] for row in rows if row["name"] == name)

    def ask(self, connection, method, path, value=None):
        secret = self.server.account["api_key"]
        headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        return connection.ask(method, path, b"" if value is None else gateway.json_bytes(value), headers)

    def place(self, kind):
        return KINDS[kind].place.format(**self.parts)

    def made(self, kind, mark):
        """The whole of a record that bears a mark."""
        more = {"workspace": {"handle": mark}, "account-invitation": {"account_role_id": self.member}}
        return {**KINDS[kind].made, KINDS[kind].field: mark, **more.get(kind, {})}


class Change:
    """One change as a client saw it: `status` is None until it is answered. `keys` name the events that it must leave."""

    def __init__(self, kind, verb, request, keys):
        self.kind, self.verb, self.request, self.keys, self.status = kind, verb, request, keys, None

    def is_done(self):
        return self.status is not None and 200 <= self.status < 300


class Turns:
    """How many changes there are still to be made."""

    def __init__(self, left):
        self.left, self.lock = left, threading.Lock()

    def take(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0


class Client(threading.Thread):
    """Makes one change after the other, until the connection breaks or all are made."""

    def __init__(self, number, world, turns, changes, records):
        super().__init__(daemon=True)
        self.number, self.world, self.turns = number, world, turns
        # By kind: what there is, by id; of a place in a workspace, whose it is and the number of its role. Records that a
        # change without an answer concerned are left alone: nobody knows how they are.
        self.changes, self.records, self.taken = changes, records, {}
        self.chance = random.Random(f"{number}/{len(changes)}")

    def run(self):
        try:
            connection = self.world.server.connect()
            while self.turns.take():
                self.change(connection)
        except (OSError, EOFError):
            return

    def change(self, connection):
        self.taken = {}
        change = self.next_change(self.chance.choice(list(KINDS)))
        self.changes.append(change)
        answer = self.world.ask(connection, *change.request)
        if answer is None:
            raise EOFError
        change.status = answer.status
        ends = {one for _, action, one in change.keys if action in ("deleted", "transferred-out")}
        for (kind, identity), value in self.taken.items():
            if not (change.is_done() and identity in ends):
                self.records[kind][identity] = value
        if change.verb == "created" and change.is_done():
            self.records[change.kind][answer.json()["id"]] = [change.request[2].get("bot_id"), 0]
        if change.kind == "workspace-access" and change.verb == "again" and change.is_done():
            self.records[change.kind][change.keys[0][2]][1] ^= 1

    def take(self, kind, identity):
        """A record, until it is known what became of it; None if it is left alone."""
        if identity in self.records[kind]:
            self.taken[kind, identity] = self.records[kind].pop(identity)
        return self.taken.get((kind, identity))

    def next_change(self, kind):
        row, known, possible = KINDS[kind], self.records[kind], verbs(kind)
        serial = (self.number + 1) * 10**6 + len(self.changes)
        mark, place = MARKS.get(kind, lambda serial: f"c{serial}")(serial), self.world.place(kind)
        if row.end is None:
            return Change(kind, "updated", ("PATCH", place, {row.field: mark}), [key(kind, "updated", mark)])
        verb = self.chance.choices(list(possible), list(possible.values()))[0] if known else "created"
        if verb == "created":
            return self.creation(kind, mark)
        identity = self.chance.choice(list(known))
        if verb == "deleted":
            return self.end(kind, identity)
        if verb != "updated":
            return self.repetition(kind, identity, mark)
        self.take(kind, identity)
        value = self.world.made(kind, mark) if row.method == "PUT" else {row.field: mark}
        return Change(kind, verb, (row.method, f"{place}/{identity}", value), [key(kind, verb, mark)])

    def creation(self, kind, mark):
        value = self.world.made(kind, mark)
        if kind == "workspace-access":
            used = {bot for bot, _ in self.records[kind].values()}
            free = [bot for bot in self.records["service-account"] if bot not in used]
            if not free:
                return self.creation("service-account", mark)
            mark = self.chance.choice(free)
            self.take("service-account", mark)
            value = {"bot_id": mark, "workspace_role_id": self.world.roles[0]}
        keys = [key(kind, "created", mark)]
        if kind == "service-account":
            keys += [key("account-membership", "created", mark), key("api-key", "created", mark)]
        return Change(kind, "created", ("POST", f"{self.world.place(kind)}/", value), keys)

    def end(self, kind, identity):
        """The end of a record, and of what ends with it."""
        bot, _ = self.take(kind, identity)
        keys = [(kind, "deleted", identity)]
        if kind == "workspace-access":
            self.take("service-account", bot)
        if kind == "service-account":
            places = [place for place, (bot, _) in self.records["workspace-access"].items() if bot == identity]
            for place in places:
                self.take("workspace-access", place)
            keys += [("workspace-access", "deleted", place) for place in places]
            keys += [(other, "deleted", identity) for other in ("account-membership", "api-key")]
        if kind == "workspace":
            keys.append(("workspace-settings", "deleted", identity))
        method, behind = KINDS[kind].end
        return Change(kind, "deleted", (method, f"{self.world.place(kind)}/{identity}{behind}", None), keys)

    def repetition(self, kind, identity, mark):
        """What changes a record without a mark, or moves it."""
        (bot, role), place = self.take(kind, identity), self.world.place(kind)
        if kind == "workspace-access":
            self.take("service-account", bot)
            value = {"bot_id": bot, "workspace_role_id": self.world.roles[1 - role]}
            return Change(kind, "again", ("POST", f"{place}/", value), [(kind, "updated", identity)])
        path = f"{place}/{identity}{KINDS[kind].again}"
        if kind == "workspace":
            value = {"to_account_id": self.world.other, "new_handle": mark}
            keys = [(kind, action, identity) for action in ("transferred-out", "transferred-in")]
            return Change(kind, "moved", ("POST", path, value), keys)
        name = ("api-key", "rotated", identity) if kind == "service-account" else (kind, "updated", identity)
        return Change(kind, "again", ("POST", path, None), [name])


def one_crash(world, turns, until, histories, records):
    """Changes until so few are left, then a kill and a restart."""
    clients = [Client(number, world, turns, history, records[number]) for number, history in enumerate(histories)]
    for client in clients:
        client.start()
    gateway.until(lambda: turns.left <= until, MUTATION_SECONDS * 200, pause=0.001)
    world.server.kill()
    for client in clients:
        client.join(gateway.ANSWER_SECONDS)
    world.server.start()


def read_chains(world):
    """The audit events as the store keeps them: of the account, then of the one that workspaces move to."""
    told = world.server.run("audit", "export", "--data", world.server.data)
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    return sorted(rows, key=lambda row: row["account"] == world.other)


def listed(world, connection, kind):
    """The ids of the records of a kind that are there, but for those that are built in."""
    (method, end), offset, most = KINDS[kind].list, 0, 200
    while True:
        value = {"offset": offset, "limit": most} if method == "POST" else None
        rows = world.ask(connection, method, world.place(kind) + end, value).json()
        yield from (row["id"] for row in rows if row.get("account_id", "") is not None)
        offset += len(rows)
        if len(rows) < most or method == "GET":
            return


def path_of(world, kind, record, moved):
    """Where a record is read."""
    there = record in moved or record == world.other
    account = f"/api/accounts/{world.other}" if there else world.parts["account"]
    own = {
        "account-domain-names": f"{account}/domains",
        "account-membership": f"{account}/account_memberships/{record}",
        "account-settings": f"{account}/settings",
        "workspace": f"{account}/workspaces/{record}",
        "workspace-settings": f"{account}/workspaces/{record}/settings",
    }
    return own.get(kind) or f"{world.place(kind)}/{record}"


def differing(world, ledger):
    """Records that are not as their last event says."""
    odd, connection, moved = [], world.server.connect(), ledger.moved()
    for (kind, record), state in ledger.states.items():
        # Keys of service accounts are looked at with them; the places of whoever runs this are not their own.
        if kind == "api-key" and not ledger.is_of(record, world.me):
            continue
        if kind == "account-membership" and state and not state["bot_id"]:
            continue
        answer = world.ask(connection, "GET", path_of(world, kind, record, moved))
        told = answer.json() if answer.status == 200 else {}
        if state is None:
            is_so = answer.status == 404 or told.get("status") == "REVOKED"
        else:
            is_so = answer.status == 200 and all(told[name] == state[name] for name in state if name in told)
        if not is_so:
            odd.append((kind, record, state, answer.status, {name: told.get(name) for name in state or ()}))
        if kind == "service-account" and state:
            keys = world.ask(connection, "GET", f"{world.place(kind)}/{record}/read_bot_api_keys").json()
            known = [one for (other, one), key in ledger.states.items() if other == "api-key" and ledger.is_of(one, record) and key]
            if [keys["active_key"]["id"]] != known:
                odd.append((kind, record, known, keys))
    return odd


def untold(world, ledger):
    """Records that are there and in no event."""
    connection = world.server.connect()
    kinds = [kind for kind, row in KINDS.items() if row.list]
    return [(kind, one) for kind in kinds for one in listed(world, connection, kind) if not ledger.knows(kind, one)]


def check_account(checks, world, ledger, chains):
    """Every rule over the whole history."""
    odd = {change.status for change in ledger.changes if change.status and not change.is_done()}
    refused = [(change.kind, change.verb, change.status) for change in ledger.changes if change.status in odd - {503}]
    checks.equal("nothing was refused but for want of time", refused[:5], [])
    checks.equal("each change is told as often as it was made, and nothing else is", ledger.wrong()[:5], [])
    checks.equal("a change is told whole or not at all", ledger.halves()[:5], [])
    checks.equal("what is made and ended together is told together", ledger.apart()[:5], [])
    checks.equal("each event goes on from the one before it", ledger.broken[:5], [])
    checks.equal("each record is as its last event says", differing(world, ledger)[:5], [])
    checks.equal("no record is there that no event tells", untold(world, ledger)[:5], [])
    verdict = world.server.run("audit", "verify", "--data", world.server.data)
    checks.equal("the chains are whole", (verdict.returncode, verdict.stderr), (0, ""))
    for account in {row["account"] for row in chains}:
        numbers = [row["number"] for row in chains if row["account"] == account]
        checks.equal("no number of a chain is missing", numbers, list(range(1, len(numbers) + 1)))


def check_delivery(checks, chains, events):
    """Every audit event arrived, in the order of its chain."""
    arrived, texts = {}, defaultdict(set)
    for place, event in enumerate(events):
        arrived.setdefault(event["id"], place)
        texts[event["id"]].add(gateway.strict(event))
    checks.equal("every audit event arrived", [row["id"] for row in chains if row["id"] not in arrived][:5], [])
    for account in {row["account"] for row in chains}:
        places = [arrived.get(row["id"], 0) for row in chains if row["account"] == account]
        checks.true("they arrived in the order of the chain", places == sorted(places))
    checks.equal("what arrived again is the same", [id for id, said in texts.items() if len(said) > 1], [])
    return len(events) - len(arrived)


def check(checks, folder, mutations, kills):
    """The whole script."""
    chance, turns = random.Random(), Turns(mutations)
    histories = [[] for _ in range(CLIENTS)]
    records = [defaultdict(dict) for _ in range(CLIENTS)]
    with gateway.Gateway(folder) as server:
        server.start()
        world = World(server)
        first = {row["id"] for row in read_chains(world)}
        for kill in range(kills):
            step = mutations // kills
            until = mutations - step * (kill + 1) + chance.randrange(step)
            one_crash(world, turns, max(until, CLIENTS), histories, records)
        one_crash(world, turns, 0, histories, records)
        chains = read_chains(world)
        wanted = {row["id"] for row in chains}
        gateway.until(lambda: wanted <= {event["id"] for event in server.events()}, ARRIVAL_SECONDS, pause=0.5)
        events = server.drained_events()
        ledger = Ledger(histories, chains, first)
        check_account(checks, world, ledger, chains)
        again = check_delivery(checks, chains, events)
        checks.equal("it ends cleanly", server.stop(), 0)
        report = server.run("spool", "check", "--data", server.data)
        checks.equal("the spool is found whole", (report.returncode, report.stderr), (0, ""))
    done = [change for change in ledger.changes if change.is_done()]
    checks.true("most changes were made", len(done) > mutations * 0.8, len(done))
    made = {(change.kind, change.verb) for change in done}
    possible = {(kind, verb) for kind in KINDS for verb in verbs(kind)}
    checks.equal("there were changes of every sort", possible - made if mutations >= 2000 else set(), set())
    unanswered = [change for change in ledger.changes if change.status is None]
    kept = sum(ledger.count(change) for change in unanswered)
    print(
        f"{len(done)} changes made, of {len(made)} sorts; {len(chains)} audit events, {kills + 1} kills; "
        f"{len(unanswered)} changes without an answer, of which {kept} were kept; {again} events delivered again"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    words = parser.parse_args()
    gateway.perform(
        lambda checks, folder: check(checks, folder, words.mutations, words.kills), seconds=60 + words.mutations // 10
    )
