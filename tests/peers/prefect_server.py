#!/usr/bin/env python3
"""Forwards to a real Prefect server (SQLite, from PyPI) and asks it for every event: after a quiet start, after it was
stopped under load (for a minute; 15 seconds with --short) and killed under load, and after a batch with an event that
it refuses.

The server is told to take at most 20 labels per resource, where the gateway takes 500: an event of 30 is sound here and
poison there, and its whole batch is answered 422. Beside it a file destination gets the same events, to compare with.
Takes HOOKGATE_BIN; installs the pinned prefect once (setup.sh). Ends with `N passed, N failed`.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import gateway

STOPPED_SECONDS = 15 if "--short" in sys.argv[1:] else 60
START_SECONDS = 120
# The gateway tries again every 30 s at least; the server itself stores within some seconds.
SHOWN_SECONDS = 90
CLIENTS = 4
LABELS_MAX = 20
PAUSE_SECONDS = 0.06
# What the server shows beside the events' own members, and its order of members, are its own affair.
MEMBERS = ("occurred", "event", "resource", "related", "payload", "id", "follows")
TEMPLATE = """{
  "event": "server.sent",
  "resource": {"prefect.resource.id": "server.{{ body.number }}"{% for name in body.labels %}, {{ name|tojson }}: "x"{% endfor %}},
  "payload": {{ body|tojson }}
}"""


def ours(since):
    """What to ask the server for: it also makes some events of its own."""
    window = {"since": since, "until": "2100-01-01T00:00:00Z"}
    return {"occurred": window, "event": {"prefix": ["prefect-cloud.", "hookgate.", "server."]}}


class Server:
    """A Prefect server in a folder of its own, on one port for life."""

    def __init__(self, folder):
        self.program, self.folder = gateway.installed("venv/bin/prefect"), folder
        self.port, self.process = gateway.free_port(), None
        self.api = f"http://{gateway.LOOPBACK}:{self.port}/api"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EVENTS_MAXIMUM_LABELS_PER_RESOURCE": str(LABELS_MAX),
            "DO_NOT_TRACK": "1",
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        """Serves, once it says that it is healthy."""
        words = [self.program, "server", "start", "--host", gateway.LOOPBACK, "--port", str(self.port), "--no-ui"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(words, env=self.env, stdout=log, stderr=log, start_new_session=True)
        if not gateway.until(self.is_healthy, START_SECONDS):
            raise RuntimeError(f"the Prefect server is not healthy after {START_SECONDS} s")

    def stop(self):
        """Ends it as a deployment would; now and then it loses some of what it has accepted even so."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(START_SECONDS)

    def kill(self):
        """Ends it as a crash would: what it has accepted and not stored is lost to it."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def is_healthy(self):
        try:
            return self._open(f"{self.api}/health") is True
        except OSError:
            return False

    def shown(self, since):
        """Every event of the gateway that it shows since then, oldest first, page by page."""
        page = self._open(f"{self.api}/events/filter", {"filter": {**ours(since), "order": "ASC"}, "limit": 50})
        events = page["events"]
        while page["next_page"]:
            page = self._open(page["next_page"])
            events += page["events"]
        return events

    def count(self, since):
        """How many of them there are."""
        return self._open(f"{self.api}/events/filter", {"filter": ours(since), "limit": 1})["total"]

    def _open(self, url, value=None):
        body = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


def post_for(server, path, seconds, statuses):
    """Posts at a gentle pace from several clients for so long."""

    def post(client):
        connection, ends, number = server.connect(), time.monotonic() + seconds, client
        while time.monotonic() < ends:
            answer = connection.post(path, {"number": number, "text": "naïve \u2028 \U0001f600", "float": 1.5})
            statuses.append(answer and answer.status)
            number += CLIENTS
            time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=post, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def plain(event):
    """An event's own members, comparable."""
    return gateway.strict({name: event[name] for name in MEMBERS})


def check_shown(checks, what, prefect, expected):
    """Of these events the server shows each, once, unchanged, and no other of their time."""
    since = min(event["occurred"] for event in expected)
    gateway.until(lambda: prefect.count(since) >= len(expected), SHOWN_SECONDS, pause=0.5)
    shown = prefect.shown(since)
    by_id = {event["id"]: event for event in shown}
    missing = [event for event in expected if event["id"] not in by_id]
    checks.equal(f"{what}: no event is missing", missing[:2], [])
    checks.equal(f"{what}: each is shown once", len(shown), len(expected))
    changed = [
        (plain(event), plain(by_id[event["id"]]))
        for event in expected
        if event["id"] in by_id and plain(event) != plain(by_id[event["id"]])
    ]
    checks.equal(f"{what}: each is shown as it was sent", changed[:1], [])
    print(f"{what}: {len(shown)} events shown, {len(missing)} missing")


def check_quiet(checks, prefect, server, path):
    """With both up, everything arrives."""
    statuses = []
    post_for(server, path, 2, statuses)
    checks.equal("a quiet start: every request is taken", set(statuses), {204})
    check_shown(checks, "a quiet start", prefect, server.drained_events(SHOWN_SECONDS))


def check_away(checks, prefect, server, path, what, end, seconds):
    """The server goes under load, stays away, and comes back under load; senders never notice."""
    before, statuses = len(server.events()), []
    load = threading.Thread(target=post_for, args=(server, path, seconds + 4, statuses))
    load.start()
    time.sleep(2)
    end()
    ends = time.monotonic() + seconds
    gateway.until(lambda: time.monotonic() > ends, seconds + 1)
    checks.true(f"{what}: the gateway stays ready", server.is_ready())
    lanes = server.checks()["destinations"]
    behind = [lane["destination"] for lane in lanes if lane["frames_behind"] > 50]
    checks.true(f"{what}: its lane lags and no other", len(behind) == 1 and "prefect" in behind[0], lanes)
    prefect.start()
    load.join()
    checks.equal(f"{what}: every request is taken", set(statuses), {204})
    checks.true(f"{what}: it catches up", gateway.until(server.is_drained, SHOWN_SECONDS), server.checks())
    check_shown(checks, what, prefect, server.events()[before:])


def check_poison(checks, prefect, server, path):
    """An event the server refuses, in the middle of a batch that waited for it."""
    what, before = "a poisonous event", len(server.events())
    labels = [f"label-{number}" for number in range(LABELS_MAX + 10)]
    prefect.stop()
    connection = server.connect()
    answers = [connection.post(path, {"number": n, "labels": labels if n == 50 else []}) for n in range(100)]
    checks.equal(f"{what}: every request is taken", {answer.status for answer in answers}, {204})
    prefect.start()
    checks.true(f"{what}: nothing waits behind it", gateway.until(server.is_drained, SHOWN_SECONDS), server.checks())
    events = server.events()[before:]
    poison = [event["id"] for event in events if event["payload"].get("labels")]
    checks.equal(f"{what}: the other destination has it", len(poison), 1)
    told = [event["payload"]["event"] for event in events if event["event"] == "hookgate.destination.parked"]
    checks.equal(f"{what}: an event tells that it is parked", told, poison)
    check_shown(checks, what, prefect, [event for event in events if event["id"] not in poison])
    return poison


def check_parked(checks, server, poison):
    """It is kept, counted and listed, beside the running gateway."""
    checks.equal("the metrics count what is parked", server.metric("forward_parked"), 1)
    listed = server.run("parked", "ls", "--data", server.data, "-o", "json")
    checks.equal("`parked ls` works", (listed.returncode, listed.stderr), (0, ""))
    found = [json.loads(line) for line in listed.stdout.split("\n") if line]
    checks.equal("it lists that event and no other", [one["id"] for one in found], poison)
    checks.true("it tells what the server said", all("labels" in one["answer"] for one in found), found)


def check(checks, folder):
    """The whole script."""
    with Server(folder) as prefect:
        prefect.start()
        place = f"prefect+http://{gateway.LOOPBACK}:{prefect.port}/api"
        with gateway.Gateway(folder, [place, f"file:{folder / 'events.ndjson'}"]) as server:
            server.start()
            path = server.webhook("server", TEMPLATE).path
            check_quiet(checks, prefect, server, path)
            what = f"stopped for {STOPPED_SECONDS} s"
            check_away(checks, prefect, server, path, what, prefect.stop, STOPPED_SECONDS)
            check_away(checks, prefect, server, path, "killed for 5 s", prefect.kill, 5)
            poison = check_poison(checks, prefect, server, path)
            check_parked(checks, server, poison)
            checks.equal("it ends cleanly", server.stop(), 0)


if __name__ == "__main__":
    gateway.perform(check, seconds=STOPPED_SECONDS + 360)
