#!/usr/bin/env python3
"""Forwards to a real Prefect server (SQLite, from PyPI) and asks it for every event: after a quiet start, after it was
stopped under load (for a minute; 15 seconds with --short), and after a batch with an event that it refuses.

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
START_SECONDS = 60
# The gateway tries again every 30 s at least; the server itself stores within some seconds.
SHOWN_SECONDS = 90
CLIENTS = 4
LABELS_MAX = 20
PAUSE_SECONDS = 0.04
# What the gateway sends it begins with one of these; the server has events of its own.
NAMES = ["hookgate.", "prefect-cloud.", "server."]
# What the server shows beside the events' own members, and its order of members, are its own affair.
MEMBERS = ("occurred", "event", "resource", "related", "payload", "id", "follows")
TEMPLATE = """{
  "event": "server.sent",
  "resource": {"prefect.resource.id": "server"{% for name in body.labels %}, {{ name|tojson }}: "x"{% endfor %}},
  "payload": {{ body|tojson }}
}"""


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
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def start(self):
        """Serves, once it says that it is healthy."""
        words = [self.program, "server", "start", "--host", gateway.LOOPBACK, "--port", str(self.port), "--no-ui"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(words, env=self.env, stdout=log, stderr=log, start_new_session=True)
        if not gateway.until(self.is_healthy, START_SECONDS):
            raise RuntimeError(f"the Prefect server is not healthy after {START_SECONDS} s")

    def stop(self):
        """Ends it as a deployment would: it stores what it has accepted."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(START_SECONDS)

    def is_healthy(self):
        try:
            return self._open(f"{self.api}/health") is True
        except OSError:
            return False

    def shown(self):
        """Every event it shows whose id the gateway could have given, oldest first, page by page."""
        window = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
        wanted = {"occurred": window, "event": {"prefix": NAMES}, "order": "ASC"}
        page = self._open(f"{self.api}/events/filter", {"filter": wanted, "limit": 50})
        events = page["events"]
        while page["next_page"]:
            page = self._open(page["next_page"])
            events += page["events"]
        return events

    def count(self):
        """How many of them there are."""
        window = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
        wanted = {"occurred": window, "event": {"prefix": NAMES}}
        return self._open(f"{self.api}/events/filter", {"filter": wanted, "limit": 1})["total"]

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
    """Everything at the file destination is shown by the server, each once, unchanged."""
    gateway.until(lambda: prefect.count() >= len(expected), SHOWN_SECONDS, pause=0.5)
    shown = prefect.shown()
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


def check_stopped(checks, prefect, server, path):
    """The server goes under load, stays away, and comes back under load; senders never notice."""
    what, statuses = f"stopped for {STOPPED_SECONDS} s", []
    load = threading.Thread(target=post_for, args=(server, path, STOPPED_SECONDS + 4, statuses))
    load.start()
    time.sleep(2)
    prefect.stop()
    ends = time.monotonic() + STOPPED_SECONDS
    gateway.until(lambda: time.monotonic() > ends, STOPPED_SECONDS + 1)
    lanes = {lane["destination"]: lane["frames_behind"] for lane in server.checks()["destinations"]}
    checks.true(f"{what}: its lane lags and no other", sum(lag > 50 for lag in lanes.values()) == 1, lanes)
    checks.true(f"{what}: the gateway stays ready", server.is_ready())
    prefect.start()
    load.join()
    checks.equal(f"{what}: every request is taken", set(statuses), {204})
    checks.true(f"{what}: it catches up", gateway.until(server.is_drained, SHOWN_SECONDS), server.checks())
    check_shown(checks, what, prefect, server.events())


def check_poison(checks, prefect, server, path):
    """An event the server refuses, in the middle of a batch that waited for it."""
    what, connection = "a poisonous event", server.connect()
    labels = [f"label-{number}" for number in range(LABELS_MAX + 10)]
    prefect.stop()
    answers = [connection.post(path, {"number": n, "labels": labels if n == 50 else []}) for n in range(100)]
    checks.equal(f"{what}: every request is taken", {answer.status for answer in answers}, {204})
    prefect.start()
    checks.true(f"{what}: nothing waits behind it", gateway.until(server.is_drained, SHOWN_SECONDS), server.checks())
    events = server.events()
    poison = [event["id"] for event in events if event["payload"].get("labels")]
    checks.equal(f"{what}: the other destination has it", len(poison), 1)
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
            check_stopped(checks, prefect, server, path)
            poison = check_poison(checks, prefect, server, path)
            check_parked(checks, server, poison)
            checks.equal("it ends cleanly", server.stop(), 0)


if __name__ == "__main__":
    gateway.perform(check, seconds=STOPPED_SECONDS + 300)
