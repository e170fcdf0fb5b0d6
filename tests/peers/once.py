#!/usr/bin/env python3
"""Kills the gateway with -9 eight times while clients post deliveries to two webhooks that take each once: by a header, and
by what was signed, whatever stands in headers. Requests are kept no longer than they must be. Then every client sends all
of its deliveries once more.

At the end each delivery has exactly one event, and every answer to it names the same receipt. Takes HOOKGATE_BIN. Ends
with `N passed, N failed`.
"""

import hashlib
import hmac
import random
import threading
import time
from collections import Counter, defaultdict

import gateway

KILLS = 8
CLIENTS = 6
LOAD_SECONDS = (0.2, 1.0)
SETTINGS = {"HOOKGATE_SPOOL__SEGMENT_BYTES": str(1 << 20), "HOOKGATE_SPOOL__RETENTION_SECONDS": "0"}
SECRET = "what-the-sender-knows"


def post(connection, path, delivery, chance):
    """One delivery; its sender signs the same each time, and a header that nobody signs is another each time."""
    body = gateway.json_bytes({"delivery": delivery})
    tag = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    signed = {"x-hub-signature-256": f"sha256={tag}", "x-other": str(chance.random())}
    return connection.ask("POST", path, body, {"content-type": "application/json", "x-delivery": delivery, **signed})


class Sender(threading.Thread):
    """Posts deliveries until the connection breaks, each of those it does not know to be taken first."""

    def __init__(self, name, server, path, told):
        super().__init__(daemon=True)
        self.sender, self.server, self.path, self.told = name, server, path, told

    def run(self):
        chance = random.Random()
        try:
            connection = self.server.connect()
            while True:
                open_ones = [number for number, receipts in self.told.items() if not receipts]
                fresh = len(self.told)
                number = open_ones[0] if open_ones else chance.choice([fresh, fresh, max(fresh - 3, 0)])
                receipts = self.told[number]
                delivery = f"{self.sender}/{number}"
                answer = post(connection, self.path, delivery, chance)
                if answer is None:
                    return
                receipts.append((answer.status, answer.headers.get("hookgate-receipt")))
        except OSError:
            return


def oldest(server):
    """The first request that may be kept still, by its place."""
    return min(int(path.name.split("-")[0]) for path in (server.data / "spool").glob("*.log"))


def one_crash(server, paths, histories, chance):
    """Load, kill, restart."""
    senders = [Sender(name, server, paths[name % 2], told) for name, told in enumerate(histories)]
    for sender in senders:
        sender.start()
    time.sleep(chance.uniform(*LOAD_SECONDS))
    server.kill()
    for sender in senders:
        sender.join(gateway.ANSWER_SECONDS)
    server.start()


def check(checks, folder):
    """The whole script."""
    chance, histories = random.Random(), [defaultdict(list) for _ in range(CLIENTS)]
    with gateway.Gateway(folder, env=SETTINGS) as server:
        server.start()
        ways = [
            {"dedup_key": "X-Delivery"},
            {"verification": {"provider": "github", "secrets": [SECRET], "once": True}},
        ]
        made = [server.api("POST", "/webhooks/", {"name": "once", "template": gateway.ECHO, **way}) for way in ways]
        paths = ["/hooks/" + answer.json()["slug"] for answer in made]
        for _ in range(KILLS):
            one_crash(server, paths, histories, chance)
        gone = gateway.until(lambda: oldest(server) > 100, 20)
        checks.true("the first requests are kept no longer", gone, oldest(server))
        for name, told in enumerate(histories):
            connection = server.connect()
            for number in list(told):
                delivery = f"{name}/{number}"
                answer = post(connection, paths[name % 2], delivery, chance)
                told[number].append((answer.status, answer.headers["hookgate-receipt"]))
            connection.close()
        events = server.drained_events()
        checks.equal("it ends cleanly", server.stop(), 0)
    answers = {f"{name}/{number}": told for name, all_told in enumerate(histories) for number, told in all_told.items()}
    refused = [told for told in answers.values() if any(status != 204 for status, _ in told)]
    checks.equal("nothing was refused", refused[:5], [])
    torn = {delivery: told for delivery, told in answers.items() if len({receipt for _, receipt in told}) != 1}
    checks.equal("every answer to a delivery names one receipt", list(torn.items())[:5], [])
    sent = {event["id"]: event["payload"]["delivery"] for event in events if event["event"] == "peer.sent"}
    counts = Counter(sent.values())
    checks.equal("every delivery has one event", [one for one in answers if counts[one] != 1][:5], [])
    again = sum(len(told) - 1 for told in answers.values())
    print(f"{KILLS} kills, {len(answers)} deliveries, {again} sent again, {len(sent)} events")


if __name__ == "__main__":
    gateway.perform(check, seconds=200)
