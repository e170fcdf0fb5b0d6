#!/usr/bin/env python3
"""Kills the gateway with -9 while eight clients make, change and end records of every kind, starts it again, and accounts
for every change: 2,000 of them and ten kills, or what `--mutations` and `--kills` say.

Each change gives a name of its own, and is never sent twice. At the end: whatever was answered 2xx is in the audit chain,
once, and whatever was refused is not; nothing is there that nobody asked for; each record is as its last event says, or
gone if that is its end; the chain is whole; every audit event is at the file destination, in the chain's order. What
crashes cost (changes without an answer, events delivered again) is printed. Takes HOOKGATE_BIN. Ends with
`N passed, N failed`.
"""

import argparse
import json
import random
import threading
from collections import Counter, defaultdict
from typing import NamedTuple

import gateway

CLIENTS = 8
MUTATION_SECONDS = 0.5
# Time for the last events from the outbox through the spool to the file.
ARRIVAL_SECONDS = 30
TEMPLATE = '{"event": "e", "resource": {"prefect.resource.id": "r"}}'
TRIGGER = {"type": "event", "expect": ["e"], "posture": "Reactive", "threshold": 1, "within": 0}


class Kind(NamedTuple):
    """How records of a kind are made and renamed."""

    path: str
    body: dict
    method: str
    in_workspace: bool

    def made(self, name):
        handle = {"handle": name} if self.path == "/workspaces" else {}
        return {**self.body, "name": name, **handle}

    def renamed(self, name):
        return self.made(name) if self.method == "PUT" else {"name": name}


KINDS = {
    "webhook": Kind("/webhooks", {"template": TEMPLATE}, "PUT", True),
    "automation": Kind("/automations", {"trigger": TRIGGER, "actions": [{"type": "do-nothing"}]}, "PUT", True),
    "incident": Kind("/incidents", {"tags": ["t"]}, "PATCH", True),
    "service-account": Kind("/bots", {}, "PATCH", False),
    "account-role": Kind("/account_roles", {"permissions": ["read:account"]}, "PATCH", False),
    "workspace-role": Kind("/workspace_roles", {"scopes": ["see_events"]}, "PATCH", False),
    "team": Kind("/teams", {}, "PUT", False),
    "workspace": Kind("/workspaces", {}, "PATCH", False),
}


class Change:
    """One change as a client saw it: `status` is None until it is answered."""

    def __init__(self, kind, verb, name, record=None):
        self.kind, self.verb, self.name, self.record, self.status = kind, verb, name, record, None

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

    def __init__(self, name, server, turns, changes, records):
        super().__init__(daemon=True)
        self.client, self.server, self.turns = name, server, turns
        # Records whose last change was not answered are left alone: nobody knows how they are.
        self.changes, self.records = changes, records

    def run(self):
        chance = random.Random(f"{self.client}/{len(self.changes)}")
        try:
            connection = self.server.connect()
            while self.turns.take():
                self.change(connection, chance)
        except (OSError, EOFError):
            return

    def change(self, connection, chance):
        kind = chance.choice(list(KINDS))
        known = self.records[kind]
        name = f"c{self.client}-{len(self.changes)}"
        verb = chance.choices(["created", "updated", "deleted"], [4, 4, 2])[0] if known else "created"
        record = known.pop(chance.randrange(len(known))) if verb != "created" else None
        change = Change(kind, verb, name, record)
        self.changes.append(change)
        answer = send(self.server, connection, change)
        if answer is None:
            raise EOFError
        change.status = answer.status
        if verb == "created" and change.is_done():
            change.record = answer.json()["id"]
        if change.record and (verb != "deleted" or not change.is_done()):
            known.append(change.record)


def place(server, kind):
    """Where a kind's records are."""
    workspace = server.account["api_path"]
    return (workspace if KINDS[kind].in_workspace else workspace.split("/workspaces")[0]) + KINDS[kind].path


def ask(server, connection, method, path, value=None):
    headers = {"authorization": f"Bearer {server.account['api_key']}", "content-type": "application/json"}
    return connection.ask(method, path, b"" if value is None else gateway.json_bytes(value), headers)


def send(server, connection, change):
    row, path = KINDS[change.kind], place(server, change.kind)
    if change.verb == "created":
        return ask(server, connection, "POST", f"{path}/", row.made(change.name))
    if change.verb == "updated":
        return ask(server, connection, row.method, f"{path}/{change.record}", row.renamed(change.name))
    return ask(server, connection, "DELETE", f"{path}/{change.record}")


def one_crash(server, turns, until, histories, records):
    """Changes until so few are left, then a kill and a restart."""
    clients = [
        Client(name, server, turns, history, records[name]) for name, history in enumerate(histories)
    ]
    for client in clients:
        client.start()
    gateway.until(lambda: turns.left <= until, MUTATION_SECONDS * 200, pause=0.001)
    server.kill()
    for client in clients:
        client.join(gateway.ANSWER_SECONDS)
    server.start()


def read_chain(server):
    """The audit events as the store keeps them, by account and number."""
    told = server.run("audit", "export", "--data", server.data)
    return [json.loads(line) for line in told.stdout.splitlines()]


def name_told(event):
    """The name that an event of a record says it has from then on."""
    if event["event"].endswith(".updated"):
        return event["payload"]["updates"]["name"]["to"]
    return event["payload"]["name"]


class Account:
    """What clients were told beside what the chain says."""

    def __init__(self, histories, chain):
        self.changes = [change for history in histories for change in history]
        # By record: (action, name), in the order of the chain.
        self.told = defaultdict(list)
        for row in chain:
            kind, _, action = row["event"]["event"].removeprefix("prefect-cloud.").rpartition(".")
            if kind in KINDS and action in ("created", "updated", "deleted"):
                record = row["event"]["resource"]["prefect.resource.id"].rpartition(".")[2]
                self.told[kind, record].append((action, name_told(row["event"])))
        self.by_name = Counter(
            (kind, action, name)
            for (kind, _), steps in self.told.items()
            for action, name in steps
            if action != "deleted"
        )
        self.ends = Counter(
            (kind, record) for (kind, record), steps in self.told.items() for action, _ in steps if action == "deleted"
        )

    def count(self, change):
        """How many events tell a change."""
        if change.verb == "deleted":
            return self.ends[change.kind, change.record]
        return self.by_name[change.kind, change.verb, change.name]

    def wrong(self):
        """Changes told more or less often than they were made."""
        bounds = {True: (1, 1), False: (0, 0), None: (0, 1)}
        found = []
        for change in self.changes:
            low, high = bounds[None if change.status is None else change.is_done()]
            if not low <= self.count(change) <= high:
                found.append((change.kind, change.verb, change.name, change.status, self.count(change)))
        return found

    def strangers(self, first):
        """Names in the chain that nobody gave."""
        given = {(change.kind, change.name) for change in self.changes} | first
        return [(kind, name) for kind, _, name in self.by_name if (kind, name) not in given]

    def differing(self, server):
        """Records that are not as their last event says."""
        found, connection = [], server.connect()
        for (kind, record), steps in self.told.items():
            answer = ask(server, connection, "GET", f"{place(server, kind)}/{record}")
            action, name = steps[-1]
            expected = (404, None) if action == "deleted" else (200, name)
            is_there = answer.status == 200
            if (answer.status, answer.json()["name"] if is_there else None) != expected:
                found.append((kind, record, steps[-1], answer.status))
        return found

    def untold(self, server):
        """Records that are there and in no event."""
        found, connection = [], server.connect()
        for kind in KINDS:
            offset = 0
            while rows := listed(server, connection, kind, offset):
                found += [(kind, row["id"]) for row in rows if (kind, row["id"]) not in self.told]
                offset += len(rows)
        return found


def listed(server, connection, kind, offset):
    """One page of the records of a kind, those left out that nobody made."""
    value = {"offset": offset, "limit": 200}
    rows = ask(server, connection, "POST", f"{place(server, kind)}/filter", value).json()
    return [row for row in rows if row.get("account_id", "") is not None]


def check_account(checks, server, account, chain):
    """Every rule over the whole history."""
    odd = Counter(change.status for change in account.changes if change.status and not change.is_done())
    checks.equal("nothing was refused but for want of time", set(odd) - {503}, set())
    checks.equal("each change is told as often as it was made", account.wrong()[:5], [])
    first = {("workspace", "default")}
    checks.equal("nothing is told that nobody did", account.strangers(first)[:5], [])
    checks.equal("each record is as its last event says", account.differing(server)[:5], [])
    checks.equal("no record is there that no event tells", account.untold(server)[:5], [])
    verdict = server.run("audit", "verify", "--data", server.data)
    checks.equal("the chain is whole", (verdict.returncode, verdict.stderr), (0, ""))
    numbers = [row["number"] for row in chain]
    checks.equal("no number of the chain is missing", numbers, list(range(1, len(chain) + 1)))


def check_delivery(checks, chain, events):
    """Every audit event arrived, in the order of the chain."""
    arrived = {}
    again = Counter(event["id"] for event in events)
    for place, event in enumerate(events):
        arrived.setdefault(event["id"], place)
    ids = [row["id"] for row in chain]
    checks.equal("every audit event arrived", [id for id in ids if id not in arrived][:5], [])
    places = [arrived[id] for id in ids if id in arrived]
    checks.true("they arrived in the order of the chain", places == sorted(places))
    texts = defaultdict(set)
    for event in events:
        texts[event["id"]].add(gateway.strict(event))
    checks.equal("what arrived again is the same", [id for id, said in texts.items() if len(said) > 1], [])
    return sum(count - 1 for count in again.values())


def check(checks, folder, mutations, kills):
    """The whole script."""
    chance, turns = random.Random(), Turns(mutations)
    histories = [[] for _ in range(CLIENTS)]
    records = [defaultdict(list) for _ in range(CLIENTS)]
    with gateway.Gateway(folder) as server:
        server.start()
        for kill in range(kills):
            step = mutations // kills
            until = mutations - step * (kill + 1) + chance.randrange(step)
            one_crash(server, turns, max(until, CLIENTS), histories, records)
        one_crash(server, turns, 0, histories, records)
        chain = read_chain(server)
        wanted = {row["id"] for row in chain}
        gateway.until(lambda: wanted <= {event["id"] for event in server.events()}, ARRIVAL_SECONDS, pause=0.5)
        events = server.drained_events()
        account = Account(histories, chain)
        check_account(checks, server, account, chain)
        again = check_delivery(checks, chain, events)
        checks.equal("it ends cleanly", server.stop(), 0)
        report = server.run("spool", "check", "--data", server.data)
        checks.equal("the spool is found whole", (report.returncode, report.stderr), (0, ""))
    done = sum(change.is_done() for change in account.changes)
    unanswered = [change for change in account.changes if change.status is None]
    kept = sum(account.count(change) for change in unanswered)
    checks.true("most changes were made", done > mutations * 0.8, done)
    print(
        f"{done} changes made, {len(chain)} audit events, {kills + 1} kills; {len(unanswered)} changes without an "
        f"answer, of which {kept} were kept; {again} events delivered again"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    words = parser.parse_args()
    gateway.perform(
        lambda checks, folder: check(checks, folder, words.mutations, words.kills), seconds=60 + words.mutations // 10
    )
