#!/usr/bin/env python3
"""How many events a second a real Prefect server (SQLite, from PyPI) takes in batches of 100: from a bare client that
posts ready-made batches over one connection, and through the gateway. The gateway must reach 90 % of the bare client:
of what is acknowledged in a second, and, with a lane that asks whether events are stored, of what is stored.

Both in turn, in one run; the middle of the rounds' ratios counts. Takes HOOKGATE_BIN; installs the pinned prefect once
(setup.sh). Ends with `N passed, N failed`.
"""

import http.client
import json
import statistics
import threading
import time
import uuid
from datetime import datetime, timezone

import gateway
from prefect_server import Server

EVENTS = 6000
BATCH = 100
ROUNDS = 3
CLIENTS = 4
RATIO_MIN = 0.9
WAIT_SECONDS = 120
# A part of the events comes before the clock runs: connections, first statements, the start of a gateway.
WARM_SHARE = 0.1


class Watch:
    """Looks at a count until it is whole; the rate between the first tenth and the end."""

    def __init__(self, count, pause):
        self.count, self.pause, self.rate = count, pause, 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        began = None
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found, now = self.count(), time.monotonic()
            if began is None and found >= EVENTS * WARM_SHARE:
                began = now, found
            if found >= EVENTS:
                self.rate = (found - began[1]) / max(now - began[0], 1e-9)
                return
            time.sleep(self.pause)

    def join(self):
        self.thread.join()
        return self.rate


def moment():
    return datetime.now(timezone.utc).isoformat()


def made(number, name):
    """An event as the gateway makes them of these requests."""
    resource = {"prefect.resource.id": "peer"}
    payload = {"number": number, "text": "x" * 200}
    one = {"occurred": moment(), "event": name, "resource": resource, "related": [], "payload": payload}
    return {**one, "id": str(uuid.uuid4()), "follows": None}


def bare(prefect, name, counted):
    """Acknowledged and stored events per second of a bare client."""
    batches = [
        gateway.json_bytes([made(number, name) for number in range(start, start + BATCH)])
        for start in range(0, EVENTS, BATCH)
    ]
    connection = http.client.HTTPConnection(gateway.LOOPBACK, prefect.port)
    stored, began = Watch(counted, 0.2), None
    for place, batch in enumerate(batches):
        if place * BATCH >= EVENTS * WARM_SHARE and began is None:
            began = time.monotonic(), place
        connection.request("POST", "/api/events", batch, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 204:
            raise RuntimeError(f"the server answered {answer.status}")
    acknowledged = (len(batches) - began[1]) * BATCH / (time.monotonic() - began[0])
    return acknowledged, stored.join()


def counter(prefect, name):
    """Asks how many events of a name the server has."""
    window = {"since": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    question = {"filter": {"occurred": window, "event": {"name": [name]}}, "limit": 1}
    return lambda: prefect._open(f"{prefect.api}/events/filter", question)["total"]


def through(folder, prefect, name, counted, confirm):
    """The same through a gateway whose spool is full of them: acknowledged per second, or stored."""
    folder.mkdir()
    template = f'{{"event": "{name}", "resource": {{"prefect.resource.id": "peer"}}, "payload": {{{{ body|tojson }}}}}}'
    with gateway.Gateway(folder, []) as server:
        server.start()
        path = server.webhook("rate", template).path
        post_all(server, path)
        server.stop()
        server.forward = [f"prefect+{prefect.api}?batch_events={BATCH}&confirm={confirm}"]
        if confirm == "accepted":
            server.start()
            # Half of what goes out are events of requests received.
            return Watch(lambda: server.metric("forward_events") / 2, 0.02).join() * 2
        watch = Watch(counted, 0.2)
        server.start()
        return watch.join() * 2


def post_all(server, path):
    """As many requests as make the events: each makes two."""

    def post(client):
        connection = server.connect()
        for number in range(client, EVENTS, CLIENTS):
            connection.post(path, {"number": number, "text": "x" * 200})

    threads = [threading.Thread(target=post, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def check(checks, folder):
    """The whole script."""
    with Server(folder) as prefect:
        prefect.start()
        acknowledged, stored = [], []
        for number in range(ROUNDS):
            name = f"rate.bare.{number}"
            by_bare = bare(prefect, name, counter(prefect, name))
            found = []
            for confirm in ("accepted", "stored"):
                name = f"rate.{confirm}.{number}"
                counted = counter(prefect, name)
                found.append(through(folder / name, prefect, name, counted, confirm))
                checks.true(f"{name}: all are there", gateway.until(lambda: counted() >= EVENTS, WAIT_SECONDS, 0.5))
            print(
                f"round {number + 1}: acknowledged {by_bare[0]:.0f}/s bare, {found[0]:.0f}/s through hookgate; "
                f"stored {by_bare[1]:.0f}/s bare, {found[1]:.0f}/s through hookgate",
                flush=True,
            )
            acknowledged.append(found[0] / by_bare[0])
            stored.append(found[1] / by_bare[1])
    for what, ratios in (("acknowledged", acknowledged), ("stored", stored)):
        ratio = statistics.median(ratios)
        checks.true(f"{what}: at least {RATIO_MIN} of the bare client", ratio >= RATIO_MIN, ratios)
        print(f"{what}: {ratio:.2f} of the bare client")


if __name__ == "__main__":
    gateway.installed("venv/bin/prefect")
    gateway.perform(check, seconds=900)
