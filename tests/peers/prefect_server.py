#!/usr/bin/env python3
"""Forwards to a real Prefect server (SQLite, from PyPI) and asks it for every event: after a quiet start, after it was
stopped under load (for a minute; 10 seconds with --short) and killed under load, and after a batch with an event that
it refuses. Then it is the gateway that is killed and stopped, while it sends: a relay between the two counts what is
sent again, and with which ids, for the server itself keeps one event for each id, however often it comes.

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
from collections import Counter, defaultdict
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gateway

STOPPED_SECONDS = 10 if "--short" in sys.argv[1:] else 60
START_SECONDS = 120
# The gateway tries again every 30 s at least; the server itself stores within some seconds.
SHOWN_SECONDS = 90
CLIENTS = 4
LABELS_MAX = 20
PAUSE_SECONDS = 0.06
# Requests to each of the webhooks whose events are on their way when the gateway goes, one after the other: each makes
# two events, at a pace that leaves time to end it twice.
REPEATED_REQUESTS = 500
REPEATED_WEBHOOKS = 3
REPEATED_RATE = 200
# An event that the server has taken and does not show for 30 s is sent again: one that gets nothing but events that it
# has stored already fails to store them, and what it gets with them, and lets go of both at last.
MISSED_SECONDS = 25
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


class Relay:
    """Passes on to a server all that the gateway asks, and notes each event that it is sent, and in which of the
    gateway's lives."""

    def __init__(self, port):
        self.life, self.sent = 0, []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path == "/api/events":
                    at = time.monotonic()
                    relay.sent += [(relay.life, at, event) for event in json.loads(body)]
                # One that lay idle may be about to end: what is sent then seems to fail.
                onward = HTTPConnection(gateway.LOOPBACK, port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                onward.request(self.command, self.path, body, headers)
                answer = onward.getresponse()
                text = answer.read()
                onward.close()
                self.send_response(answer.status)
                self.send_header("content-type", answer.getheader("content-type", "application/json"))
                if answer.status != 204:
                    self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = pass_on

            def log_message(self, *_):
                pass

        class Passing(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """Connections end with the gateway."""

        self.server = Passing((gateway.LOOPBACK, 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def unique(self):
        return len({event["id"] for _, _, event in list(self.sent)})

    def times(self):
        """For each event in which lives it was sent, and when, in that order."""
        times = defaultdict(list)
        for life, at, event in list(self.sent):
            times[event["id"]].append((life, at))
        return times


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


def post_all(server, paths):
    """Posts to one webhook after the other, as fast as it goes; how that was answered."""
    connection, statuses = server.connect(), Counter()
    for place, path in enumerate(paths):
        for number in range(REPEATED_REQUESTS):
            answer = connection.post(path, {"number": f"{place}-{number}"})
            statuses[answer and answer.status] += 1
    connection.close()
    return statuses


def check_repeats(checks, prefect, folder):
    """The gateway is killed with -9 while it sends, then stopped: what is sent again has the same id, and counts once."""
    what, relay = "a gateway that goes", Relay(prefect.port)
    folder.mkdir()
    place = f"prefect+http://{gateway.LOOPBACK}:{relay.port}/api?rate={REPEATED_RATE}/s"
    with gateway.Gateway(folder, [place, f"file:{folder / 'events.ndjson'}"]) as server:
        server.start()
        paths = [server.webhook(f"repeated {number}", TEMPLATE).path for number in range(REPEATED_WEBHOOKS)]
        every = 2 * REPEATED_REQUESTS * REPEATED_WEBHOOKS
        checks.equal(f"{what}: every request is taken", post_all(server, paths), Counter({204: every // 2}))

        def end_at(enough, end):
            is_under_way = gateway.until(lambda: relay.unique() >= enough, SHOWN_SECONDS)
            checks.true(f"{what}: it sends", is_under_way and relay.unique() < every, relay.unique())
            end()
            relay.life += 1
            server.start()

        end_at(every // 3, server.kill)
        end_at(every * 2 // 3, server.stop)
        checks.true(f"{what}: it catches up", gateway.until(server.is_drained, SHOWN_SECONDS), server.checks())
        events, times = server.events(), relay.times()
        checks.equal(f"{what}: what was sent is what there is", times.keys(), {event["id"] for event in events})
        check_shown(checks, what, prefect, events)
        ids = defaultdict(set)
        for _, _, event in relay.sent:
            if event["event"] == "server.sent":
                ids[event["payload"]["number"]].add(event["id"])
        checks.equal(f"{what}: each request has one id", {len(all) for all in ids.values()}, {1})
        first = {event["id"]: event for _, _, event in reversed(relay.sent)}
        changed = [event for _, _, event in relay.sent if plain(event) != plain(first[event["id"]])]
        checks.equal(f"{what}: what is sent again is the same", changed[:1], [])
        pairs = [pair for sent in times.values() for pair in zip(sent, sent[1:])]
        again = Counter(after if after != before else "missed" for (before, _), (after, _) in pairs)
        hasty = [(a, b) for a, b in pairs if a[0] == b[0] and b[1] - a[1] < MISSED_SECONDS]
        checks.equal(f"{what}: nothing is sent twice in one life unless it is missed at the server", hasty[:3], [])
        print(
            f"{what}: {len(relay.sent)} sent, {len(times)} unique; again after a kill {again[1]}, after a stop {again[2]},"
            f" for the server had not stored it in time {again['missed']}"
        )
        checks.equal(f"{what}: it ends cleanly", server.stop(), 0)


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
        check_repeats(checks, prefect, folder / "repeats")


if __name__ == "__main__":
    gateway.perform(check, seconds=STOPPED_SECONDS + 480)
