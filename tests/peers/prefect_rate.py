#!/usr/bin/env python3
"""How many events a second a real Prefect server (SQLite, from PyPI) takes in batches of 100: from a bare client that
posts the same events, batched before, over one connection, and through the gateway. The gateway must reach 90 % of the
bare client: of what is acknowledged in a second, and, with a lane that asks whether events are stored, of what is stored.

Both in turn, in one run; the middle of the rounds' ratios counts: `--rounds N`. Takes HOOKGATE_BIN; installs the pinned
prefect once (setup.sh). Ends with `N passed, N failed`.
"""

import http.client
import json
import statistics
import sys
import threading
import time
import uuid

import gateway
from prefect_server import Server

# Each makes two events.
REQUESTS = 2000
EVENTS = REQUESTS * 2
BATCH = 100
ROUNDS = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 3
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


def made(folder):
    """Events as the gateway makes them of the requests: those received, and those of the template."""
    folder.mkdir()
    with gateway.Gateway(folder) as server:
        server.start()
        post_all(server, server.webhook("rate", template("rate.made")).path)
        names = ("rate.made", "prefect-cloud.webhook.received")
        members = ("occurred", "event", "resource", "related", "payload", "id", "follows")
        events = [event for event in server.drained_events() if event["event"] in names]
        return [{name: event[name] for name in members} for event in events]


def template(name):
    return f'{{"event": "{name}", "resource": {{"prefect.resource.id": "peer"}}, "payload": {{{{ body|tojson }}}}}}'


def renewed(event, name):
    """The same under another id, and those of the template under another name."""
    return {**event, "id": str(uuid.uuid4()), "event": name if event["event"] == "rate.made" else event["event"]}


def bare(prefect, events, name, counted):
    """Acknowledged and stored events per second of a bare client."""
    events = [renewed(event, name) for event in events]
    batches = [gateway.json_bytes(events[start : start + BATCH]) for start in range(0, EVENTS, BATCH)]
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
    """Asks how many events the server has, those of a template counted for two: each follows another one."""
    window = {"since": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    question = {"filter": {"occurred": window, "event": {"name": [name]}}, "limit": 1}
    return lambda: 2 * prefect._open(f"{prefect.api}/events/filter", question)["total"]


def through(folder, prefect, name, counted, confirm):
    """The same through a gateway whose spool is full of them: acknowledged per second, or stored."""
    folder.mkdir()
    with gateway.Gateway(folder, []) as server:
        server.start()
        post_all(server, server.webhook("rate", template(name)).path)
        server.stop()
        server.forward = [f"prefect+{prefect.api}?batch_events={BATCH}&confirm={confirm}"]
        if confirm == "accepted":
            server.start()
            return Watch(lambda: server.metric("forward_events"), 0.02).join()
        watch = Watch(counted, 0.2)
        server.start()
        return watch.join()


def post_all(server, path):
    """All requests."""

    statuses = []

    def post(client):
        connection = server.connect()
        for number in range(client, REQUESTS, CLIENTS):
            answer = connection.post(path, {"number": number, "text": "x" * 200})
            statuses.append(answer and answer.status)

    threads = [threading.Thread(target=post, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if statuses != [204] * REQUESTS:
        raise RuntimeError(f"requests were answered {set(statuses)}")


def check(checks, folder):
    """The whole script."""
    events = made(folder / "made")
    checks.equal("events are made", len(events), EVENTS)
    with Server(folder) as prefect:
        prefect.start()
        acknowledged, stored = [], []
        for number in range(ROUNDS):
            name = f"rate.bare.{number}"
            by_bare = bare(prefect, events, name, counter(prefect, name))
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
