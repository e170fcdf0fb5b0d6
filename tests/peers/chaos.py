#!/usr/bin/env python3
"""Five destinations of one gateway under load, while the gateway and the sinks are killed with -9 again and again: one is
fast, one slow (it has a pace below the load), one dead until the load is over, one flaps (each other second it answers
503), one is poisonous (it refuses some keys). The fast and the poisonous one get several requests at once.

At the end: nothing that was answered 204 is missing anywhere, what a sink does not have lies parked for it, each key's
order holds at every sink, what came twice is from around a kill and has the same id. The fast one is never late but
around its own kills and those of the gateway; the slow one is as late as its pace implies, and never faster than that.
Then the poisonous one is mended and what is parked is sent again, during two more kills: it has everything, in order.
Prints for each sink what was sent, received, unique, twice, parked, lost, and the latest. `--seconds N` for a longer
load. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import json
import random
import signal
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gateway
from sinks import Process

LOAD_SECONDS = int(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 40
CLIENTS = 4
KEYS_PER_CLIENT = 10
PAUSE_SECONDS = 0.04
# Between two kills, of the gateway and of the sinks in turn.
KILL_SECONDS = (2.0, 4.0)
AWAY_SECONDS = 0.7
# How long after a kill's end a lane may still be busy with it: the last wait after a failure.
GRACE_SECONDS = 2.5
# How long before a kill an event can have come that comes again after it.
AROUND_SECONDS = 1.5
LATE_MAX_SECONDS = 2
# Events per second of the slow one: less than come in.
PACE, BURST = 120, 60
POISONED = ("0-3", "2-7")
# Requests of the fast and the poisonous one on their way at once.
AT_ONCE = 4
SETTINGS = {"HOOKGATE_SPOOL__SEGMENT_BYTES": str(1 << 20)}
TEMPLATE = """{"event": "chaos.sent", "resource": {"prefect.resource.id": "chaos.{{ body.key }}"},
 "payload": {{ body|tojson }}}"""


class Sink(Process):
    """A receiver that notes what it took, and when, before it answers."""

    def __init__(self, folder, name, settings=""):
        super().__init__(folder, name)
        self.outages = []
        self.mended = self.folder / "mended"
        self.to = f"http://{gateway.LOOPBACK}:{self.port}/{name}{settings}"

    def words(self):
        return [sys.executable, __file__, "--receive", str(self.port), self.kept, self.name, self.mended]

    def arrivals(self):
        """Everything it took, in order: when, and the event."""
        *lines, _ = self.kept.read_bytes().split(b"\n") if self.kept.exists() else [b""]
        return [(line["at"], line["event"]) for line in map(json.loads, lines)]

    def crash(self):
        began = time.time()
        self.kill()
        time.sleep(AWAY_SECONDS)
        self.start()
        self.outages.append((began, time.time()))


def receive(port, kept, name, mended):
    """Serves until it is killed."""
    file, lock = open(kept, "ab", buffering=0), threading.Lock()

    def status_of(events):
        if name == "flapping" and int(time.time()) % 2:
            return 503
        keys = {event["payload"].get("key") for event in events}
        refuses = name == "poisonous" and keys.intersection(POISONED) and not Path(mended).exists()
        return 422 if refuses else 204

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            events = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                status, at = status_of(events), time.time()
                if status == 204:
                    file.write(b"".join(gateway.json_bytes({"at": at, "event": event}) + b"\n" for event in events))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    Server((gateway.LOOPBACK, int(port)), Receiver).serve_forever()


class Client(threading.Thread):
    """Posts at its pace to its own keys in turn, none twice; what has no answer is unknown."""

    def __init__(self, client, server, path, stop):
        super().__init__(daemon=True)
        self.client, self.server, self.path, self.stopped, self.told = client, server, path, stop, {}

    def run(self):
        connection, number = None, 0
        while not self.stopped.is_set():
            key = f"{self.client}-{number % KEYS_PER_CLIENT}"
            try:
                connection = connection or self.server.connect()
                self.told[key, number] = None
                answer = connection.post(self.path, {"key": key, "number": number})
                self.told[key, number] = answer and answer.status
                connection = connection if answer else None
            except OSError:
                connection = None
            number += 1
            time.sleep(PAUSE_SECONDS)


def second(event):
    """When the gateway took it."""
    return datetime.fromisoformat(event["received"]).timestamp()


def crash_gateway(server, outages):
    began = time.time()
    server.kill()
    server.start()
    outages.append((began, time.time()))


def load_and_kill(server, path, sinks, outages):
    """Posts, kills, for so long; returns what clients were told."""
    stop, chance = threading.Event(), random.Random()
    clients = [Client(client, server, path, stop) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    victims = [None, *sinks]
    ends, turn = time.monotonic() + LOAD_SECONDS, 0
    while time.monotonic() < ends:
        time.sleep(chance.uniform(*KILL_SECONDS))
        victim = victims[turn % len(victims)]
        if victim is None:
            crash_gateway(server, outages)
        else:
            victim.crash()
        turn += 1
    stop.set()
    for client in clients:
        client.join(gateway.ANSWER_SECONDS)
    return {request: status for client in clients for request, status in client.told.items()}


def is_idle(server, names):
    """Whether these lanes have nothing left to do."""
    lanes = server.checks()["destinations"]
    return all(lane["frames_behind"] == 0 for lane in lanes if lane["destination"].rpartition("/")[2] in names)


def parked_for(server, sink):
    """Ids of what lies parked for a sink."""
    told = server.run("parked", "ls", "--data", server.data, "-o", "json")
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    return {row["id"] for row in rows if row["destination"].endswith(f"/{sink.name}")}


def strays(arrivals, outages):
    """What came twice though nobody was killed between or just then."""
    first, found = {}, []
    for at, event in arrivals:
        before = first.setdefault(event["id"], at)
        around = (began - AROUND_SECONDS <= before <= ended and began <= at for began, ended in outages)
        if before != at and not any(around):
            found.append((event["id"], before, at))
    return found


def disorder(arrivals):
    """First arrivals that came before an earlier one of their key."""
    latest, seen, found = defaultdict(lambda: -1), set(), []
    for _, event in arrivals:
        if event["event"] != "chaos.sent" or event["id"] in seen:
            continue
        seen.add(event["id"])
        key, number = event["payload"]["key"], event["payload"]["number"]
        if number < latest[key]:
            found.append((key, number, latest[key]))
        latest[key] = max(latest[key], number)
    return found


def delays(arrivals):
    """When each event was taken by the gateway and first by the sink."""
    first = {}
    for at, event in arrivals:
        first.setdefault(event["id"], (second(event), at))
    return sorted(first.values())


def after(moment, outages, slack=0):
    """The moment, put off by all that stands in its way."""
    for began, ended in sorted(outages):
        if began <= moment + slack and moment <= ended + GRACE_SECONDS:
            moment = ended + GRACE_SECONDS
    return moment


def late(times, outages):
    """What came late, but for the time after troubles of its own."""
    due = ((after(taken, outages, LATE_MAX_SECONDS), taken, at) for taken, at in times)
    return [(round(at - moment, 2), taken) for moment, taken, at in due if at > moment + LATE_MAX_SECONDS]


def later_than_paced(times, outages):
    """What came later than from a budget of that pace that stands still in troubles of its own."""
    free, found = 0.0, []
    for (taken, _), at in zip(times, sorted(at for _, at in times), strict=True):
        free = after(max(taken, free + 1 / (PACE * 0.95)), outages)
        if at > free + LATE_MAX_SECONDS:
            found.append((round(at - free, 2), taken))
    return found


def too_many(arrivals):
    """Windows with more than the pace and the burst allow."""
    moments, found = sorted(at for at, _ in arrivals), []
    for window in (1, 5, 20):
        most = max((place + 1 - bisect_left(moments, at - window) for place, at in enumerate(moments)), default=0)
        if most > PACE * window * 1.02 + BURST:
            found.append((window, most))
    return found


def faults(name, arrivals, parked, expected, outages):
    """What breaks each rule at a sink, by rule."""
    came = {event["id"] for _, event in arrivals}
    found = {
        "nothing is lost": [id for id in expected if id not in came and id not in parked],
        "nothing is of unknown origin": list(came - expected.keys()),
        "nothing came that lies parked": list(came & parked),
        "each key's order holds": disorder(arrivals),
        "what came twice is from around a kill": strays(arrivals, outages),
        "each arrives as it was": [event["id"] for _, event in arrivals if event != expected.get(event["id"])],
    }
    if name == "fast":
        found["nothing is late but around its own kills"] = late(delays(arrivals), outages)
    if name == "slow":
        found["nothing is later than its pace implies"] = later_than_paced(delays(arrivals), outages)
        found["nothing is faster than its pace"] = too_many(arrivals)
    return found


def check_spoilt(checks, name, arrivals, expected, outages):
    """The rules can be broken: each is, by a history that was spoilt for it."""

    def spoilt(rule, history):
        checks.true(f"{name}: a spoilt history breaks: {rule}", faults(name, history, set(), expected, outages)[rule])

    sent = [place for place, (_, event) in enumerate(arrivals) if event["event"] == "chaos.sent"]
    one = arrivals[sent[0]][1]
    spoilt("nothing is lost", [arrival for arrival in arrivals if arrival[1]["id"] != one["id"]])
    spoilt("nothing is of unknown origin", [*arrivals, (time.time(), {**one, "id": "x"})])
    spoilt("each key's order holds", [arrivals[sent[-1]], *arrivals])
    quiet = [at for at in arrivals if not any(b - AROUND_SECONDS <= at[0] <= e for b, e in outages)]
    spoilt("what came twice is from around a kill", [*arrivals, (time.time(), quiet[-1][1])])
    spoilt("each arrives as it was", [*arrivals, (time.time(), {**one, "payload": {}})])
    if name == "fast":
        rest = [arrival for arrival in arrivals if arrival[1]["id"] != quiet[-1][1]["id"]]
        spoilt("nothing is late but around its own kills", [*rest, (time.time() + 60, quiet[-1][1])])
    if name == "slow":
        spoilt("nothing is later than its pace implies", [(at + 60, event) for at, event in arrivals])
        first = arrivals[0][0]
        spoilt("nothing is faster than its pace", [(first + (at - first) / 2, event) for at, event in arrivals])


def check_sink(checks, sink, parked, expected, outages):
    """What holds for every sink; prints its line of the table."""
    arrivals, outages = sink.arrivals(), outages + sink.outages
    found = faults(sink.name, arrivals, parked, expected, outages)
    for rule, broken in found.items():
        checks.equal(f"{sink.name}: {rule}", broken[:3], [])
    unique = len({event["id"] for _, event in arrivals})
    latest = max((at - taken for taken, at in delays(arrivals)), default=0)
    lost = len(found["nothing is lost"])
    row = (len(expected), len(arrivals), unique, len(arrivals) - unique, len(parked), lost)
    print(f"{sink.name:<12}" + "".join(f"{number:>9}" for number in row) + f"{latest:>11.2f}", flush=True)
    if sink.name in ("fast", "slow"):
        check_spoilt(checks, sink.name, arrivals, expected, outages)


def check(checks, folder):
    """The whole script."""
    several = f"?concurrency={AT_ONCE}&batch_events=5"
    fast, poisonous = (Sink(folder, name, several) for name in ("fast", "poisonous"))
    flapping, dead = (Sink(folder, name) for name in ("flapping", "dead"))
    slow = Sink(folder, "slow", f"?rate={PACE}/s&burst={BURST}&batch_events=50")
    living, outages = [fast, slow, flapping, poisonous], []
    try:
        for sink in living:
            sink.start()
        forward = [f"file:{folder / 'events.ndjson'}", *(sink.to for sink in [*living, dead])]
        with gateway.Gateway(folder, forward, env=SETTINGS) as server:
            server.start()
            path = server.webhook("chaos", TEMPLATE).path
            told = load_and_kill(server, path, living, outages)
            names = ("fast", "flapping", "poisonous", "slow")
            # The slow one is behind by what its pace leaves of a load: the longer that was, the longer it takes.
            patience = max(90, LOAD_SECONDS)
            checks.true("all but the dead one come to an end", gateway.until(lambda: is_idle(server, names), patience))
            checks.true("the dead one waits", not is_idle(server, ("dead",)))
            dead.start()
            server.process.send_signal(signal.SIGHUP)
            checks.true("once alive, it takes everything", gateway.until(lambda: is_idle(server, ("dead",)), 60))
            # What the gateway says of the dead one being back goes to the others, and one of them may be down just then.
            checks.true("the file has everything", gateway.until(server.is_drained, 90))
            events = server.events()
            check_all(checks, server, told, events, [*living, dead], outages)
            check_retry(checks, server, poisonous, events, outages)
            checks.equal("it ends cleanly", server.stop(), 0)
    finally:
        for sink in [*living, dead]:
            sink.kill()


def check_retry(checks, server, sink, events, outages):
    """What lies parked is sent again once the sink is mended, whoever is killed meanwhile."""
    sink.mended.touch()
    told = server.run("parked", "retry", "--data", server.data, "--all")
    checks.equal("parked events can be called up", told.returncode, 0)
    crash_gateway(server, outages)
    sink.crash()
    checks.true("nothing lies parked", gateway.until(lambda: not parked_for(server, sink), 60, pause=0.2), told.stdout)
    expected = {event["id"]: event for event in events}
    # The act itself is audited, and its event goes to all.
    arrivals = [(at, event) for at, event in sink.arrivals() if event["payload"].get("by") != "hookgate parked --data"]
    for rule, broken in faults(sink.name, arrivals, set(), expected, outages + sink.outages).items():
        checks.equal(f"mended: {rule}", broken[:3], [])


def check_all(checks, server, told, events, sinks, outages):
    """Every rule over the whole history."""
    expected = {event["id"]: event for event in events}
    checks.equal("the file has each event once", len(events), len(expected))
    sent = [event["payload"] for event in events if event["event"] == "chaos.sent"]
    found = Counter((payload["key"], payload["number"]) for payload in sent)
    taken = [request for request, status in told.items() if status == 204]
    checks.equal("what was answered was answered 204", Counter(told.values()).keys() - {204, None}, set())
    checks.equal("each request that was answered has one event", [one for one in taken if found[one] != 1][:3], [])
    checks.equal("no other has two", [one for one, count in found.items() if count > 1][:3], [])
    kills = len(outages) + sum(len(sink.outages) for sink in sinks)
    print(f"{LOAD_SECONDS} s, {len(told)} requests, {len(taken)} answered 204, {kills} kills")
    heads = ("sent", "received", "unique", "twice", "parked", "lost")
    print(f"{'sink':<12}" + "".join(f"{head:>9}" for head in heads) + f"{'latest s':>11}")
    poisoned = {id for id, event in expected.items() if event["payload"].get("key") in POISONED}
    for sink in sinks:
        parked = parked_for(server, sink)
        checks.equal(f"{sink.name}: what it refuses lies parked", parked, poisoned if sink.name == "poisonous" else set())
        check_sink(checks, sink, parked, expected, outages)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--receive"]:
        receive(*sys.argv[2:])
    gateway.perform(check, seconds=2 * LOAD_SECONDS + 240)
