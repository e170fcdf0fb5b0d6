#!/usr/bin/env python3
"""Kills the gateway with -9 twelve times while eight clients post, starts it again, and accounts for every request.

Each request carries a number of its own, and is never sent twice. At the end, after a drain: none that was answered 204
is missing, ids are those of the receipts, no request has two events, each client's order holds, no line is torn. What
crashes cost (requests without an answer, events delivered again) is printed. kill -9 keeps the page cache: this proves
order and recovery, not that a power cut loses nothing. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import hashlib
import random
import threading
import time
from collections import Counter, defaultdict

import gateway

KILLS = 12
CLIENTS = 8
LOAD_SECONDS = (0.3, 2.0)
# Small segments, so that kills also hit the change from one to the next.
SETTINGS = {"HOOKGATE_SPOOL__SEGMENT_BYTES": str(1 << 20)}


class Client(threading.Thread):
    """Posts one request after the other, until the connection breaks."""

    def __init__(self, name, server, path, history):
        super().__init__(daemon=True)
        self.client, self.server, self.path, self.history = name, server, path, history

    def run(self):
        chance = random.Random(f"{self.client}/{len(self.history)}")
        try:
            connection = self.server.connect()
            while True:
                number = len(self.history)
                size = chance.choice([0, 100, 100, 1000, 9000, 40000])
                self.history.append(None)
                answer = connection.post(self.path, payload_of(self.client, number, size))
                if answer is None:
                    return
                self.history[number] = (answer.status, answer.headers.get("hookgate-receipt"))
        except OSError:
            return


def payload_of(client, number, size):
    """What a request carries: all of it follows from the three numbers."""
    letters = hashlib.sha256(f"{client}/{number}".encode()).hexdigest()
    return {"client": client, "number": number, "size": size, "filler": (letters * (size // 64 + 1))[:size]}


def one_crash(server, path, histories, chance):
    """Load, kill, restart; returns how many requests waited for an answer just then, and the seconds to be ready."""
    clients = [Client(name, server, path, history) for name, history in enumerate(histories)]
    for client in clients:
        client.start()
    time.sleep(chance.uniform(*LOAD_SECONDS))
    server.kill()
    for client in clients:
        client.join(gateway.ANSWER_SECONDS)
    open_requests = sum(history[-1] is None for history in histories if history)
    return open_requests, server.start()


class Account:
    """What clients were told beside what arrived; a request is (client, number)."""

    def __init__(self, histories, events):
        self.sent = [event for event in events if event["event"] == "peer.sent"]
        self.received = {event["id"]: event for event in events if event["event"] == "prefect-cloud.webhook.received"}
        self.arrived = defaultdict(list)
        for event in self.sent:
            self.arrived[event["payload"]["client"], event["payload"]["number"]].append(event)
        requests = {
            (client, number): told for client, told_all in enumerate(histories) for number, told in enumerate(told_all)
        }
        self.unanswered = [request for request, told in requests.items() if told is None]
        self.refused = {request: told for request, told in requests.items() if told and told[0] != 204}
        self.receipts = {request: told[1] for request, told in requests.items() if told and told[0] == 204}
        self.again = sum(count - 1 for count in Counter(event["id"] for event in events).values())

    def lost(self):
        """Answered 204, and not there."""
        return [request for request in self.receipts if request not in self.arrived]

    def under_two_ids(self):
        """There as two events: retries of the gateway's own must keep the id."""
        return [request for request, events in self.arrived.items() if len({event["id"] for event in events}) > 1]

    def altered(self):
        """There, but not as sent."""
        return [
            request
            for request, events in self.arrived.items()
            if any(event["payload"] != payload_of(*request, event["payload"]["size"]) for event in events)
        ]

    def strangers(self):
        """The receipt is not that of the received event, or that names another event."""
        return [
            request
            for request, receipt in self.receipts.items()
            for event in self.arrived.get(request, [])[:1]
            if event["follows"] != receipt
            or self.received.get(receipt, {"payload": {}})["payload"].get("event_id") != event["id"]
        ]

    def reordered(self):
        """First delivered before an earlier one of the same client."""
        found, latest, seen = [], defaultdict(lambda: -1), set()
        for event in self.sent:
            client, number = request = event["payload"]["client"], event["payload"]["number"]
            if request not in seen and number < latest[client]:
                found.append(request)
            seen.add(request)
            latest[client] = max(latest[client], number)
        return found


def check_account(checks, account):
    """Every rule over the whole history."""
    lost, two_ids, reordered = account.lost(), account.under_two_ids(), account.reordered()
    checks.equal("no request was refused", account.refused, {})
    checks.equal("no request answered 204 is missing", lost[:5], [])
    checks.equal("every receipt is the id of its received event", account.strangers()[:5], [])
    checks.equal("no request has events under two ids", two_ids[:5], [])
    checks.equal("every payload is what was sent", account.altered()[:5], [])
    checks.equal("each client's order holds", reordered[:5], [])
    kept = sum(request in account.arrived for request in account.unanswered)
    print(
        f"{len(account.receipts)} requests answered 204: {len(lost)} lost, {len(reordered)} reordered, {len(two_ids)} "
        f"under two ids; {account.again} events delivered again; {len(account.unanswered)} requests without an answer, "
        f"of which {kept} were kept"
    )


def check(checks, folder):
    """The whole script."""
    chance, histories = random.Random(), [[] for _ in range(CLIENTS)]
    with gateway.Gateway(folder, env=SETTINGS) as server:
        server.start()
        path = server.webhook("crash").path
        crashes = [one_crash(server, path, histories, chance) for _ in range(KILLS)]
        events = server.drained_events()
        checks.equal("it ends cleanly", server.stop(), 0)
        checks.equal("nothing more arrives while it ends", len(server.events()), len(events))
        report = server.run("spool", "check", "--data", server.data)
        checks.equal("the spool is found whole", (report.returncode, report.stderr), (0, ""))
    caught = sum(open_requests > 0 for open_requests, _ in crashes)
    checks.equal("every kill caught requests that waited for their answer", caught, KILLS)
    slowest = max(seconds for _, seconds in crashes)
    checks.true("every restart is ready within 10 s, by itself", slowest <= gateway.READY_SECONDS, slowest)
    print(f"{KILLS} kills, slowest restart {slowest:.2f} s")
    check_account(checks, Account(histories, events))


if __name__ == "__main__":
    gateway.perform(check, seconds=240)
