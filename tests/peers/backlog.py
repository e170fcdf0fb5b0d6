#!/usr/bin/env python3
"""A dead destination with 200,000 events waiting for it (`--events N` for another number), beside one that lives: what
they cost in memory, how soon the gateway is back after kill -9 with all of them waiting, and how long it takes until
the destination has them once it is there again, which the gateway finds out by itself.

Memory is compared with what the same gateway holds while that destination takes everything at once: what waits lies on
the disk, and may cost no more than a window. The one that lives is kept waiting by nobody. Everything arrives, once, in
the order of each key. Prints a table. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import json
import sys
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gateway
from sink_servers import Process

EVENTS = int(sys.argv[sys.argv.index("--events") + 1]) if "--events" in sys.argv else 200_000
# Each request makes two events.
REQUESTS = EVENTS // 2
# Before anything is measured so many come that allocator, connections and index have their size.
WARM_REQUESTS = max(REQUESTS // 4, 2000)
CLIENTS = 4
KEYS = 100
# Sent at once on one connection, and answered in order.
AT_ONCE = 32
# What may wait in memory: the lane's window, a batch on its way, and what the allocator keeps of both.
GROWTH_MAX_BYTES = 96 << 20
# Far below what a lane does: a build that checks everything, on a busy machine, passes, too.
EVENTS_PER_SECOND_MIN = 500
# The longest wait between two tries, and some.
FOUND_MAX_SECONDS = 75
TEMPLATE = """{"event": "backlog.sent", "resource": {"prefect.resource.id": "backlog.{{ body.key }}"},
 "payload": {{ body|tojson }}}"""


class Sink(Process):
    """A receiver that writes down each body as it is, before it answers."""

    def __init__(self, folder):
        super().__init__(folder, "backlog")
        self.to = f"http://{gateway.LOOPBACK}:{self.port}/in"

    def words(self):
        return [sys.executable, __file__, "--receive", str(self.port), self.kept]

    def bodies(self):
        return self.kept.read_bytes().splitlines() if self.kept.exists() else []

    def events(self):
        """Everything it took, in order."""
        return [event for body in self.bodies() for event in json.loads(body)]


def receive(port, kept):
    """Serves until it is killed."""
    file, lock = open(kept, "ab", buffering=0), threading.Lock()

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                file.write(body + b"\n")
            self.send_response(204)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    Server((gateway.LOOPBACK, int(port)), Receiver).serve_forever()


def post(server, path, numbers):
    """Posts from several clients at once, many in one write; returns how they were answered."""
    answers = Counter()

    def client(mine):
        connection = server.connect()
        for start in range(0, len(mine), AT_ONCE):
            part = mine[start : start + AT_ONCE]
            connection.send(b"".join(request(path, number) for number in part))
            for _ in part:
                answer = connection.answer()
                answers[answer and answer.status] += 1

    threads = [threading.Thread(target=client, args=(numbers[number::CLIENTS],)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def request(path, number):
    body = gateway.json_bytes({"key": f"{number % CLIENTS}-{number % KEYS}", "number": number, "text": "x" * 200})
    head = f"POST {path} HTTP/1.1\r\nhost: {gateway.LOOPBACK}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def behind(server, of):
    """How many frames of the destination that is so called are not released yet."""
    lanes = server.checks()["destinations"]
    return next(lane["frames_behind"] for lane in lanes if of in lane["destination"])


def row(what, seconds, server, field="VmRSS"):
    """One line of the table; returns the memory."""
    memory = server.memory(field)
    print(f"{what:<44}{seconds:>9.2f} s{memory / (1 << 20):>9.1f} MiB", flush=True)
    return memory


def check_waiting(checks, server, path):
    """Everything comes while the destination is dead: memory stays, the other destination has it."""
    began = time.monotonic()
    answers = post(server, path, range(WARM_REQUESTS, WARM_REQUESTS + REQUESTS))
    checks.equal("every request is taken while it is dead", answers, Counter({204: REQUESTS}))
    row(f"{EVENTS:,} events came", time.monotonic() - began, server)
    checks.true("the other destination has them", gateway.until(lambda: behind(server, "file:") == 0, 60))
    waiting = row("and wait for the dead one", time.monotonic() - began, server)
    checks.true("they do wait", behind(server, "http:") >= REQUESTS, server.checks())
    checks.true("the gateway is ready all the while", server.is_ready())
    return waiting


def check_restart(checks, server):
    """Killed with all of them waiting, it is back soon, and holds no more than before."""
    server.kill()
    # Not ready within its bound, this raises.
    row("killed, and ready again", server.start(), server)
    checks.true("they still wait", behind(server, "http:") >= REQUESTS, server.checks())


def check_drain(checks, server, sink):
    """The destination is back: found without help, and brought up to date."""
    before = len(sink.bodies())
    server.forget_peak()
    began = time.monotonic()
    sink.start()
    found = gateway.until(lambda: len(sink.bodies()) > before, FOUND_MAX_SECONDS, pause=0.1)
    checks.true("the gateway finds it again by itself", found)
    first = time.monotonic()
    row("the destination is back, and found", first - began, server)
    patience = EVENTS / EVENTS_PER_SECOND_MIN
    drained = gateway.until(lambda: behind(server, "http:") == 0, patience, pause=0.1)
    seconds = time.monotonic() - first
    checks.true(f"it has everything within {patience:.0f} s", drained, server.checks())
    peak = row("it has everything; the most memory meanwhile", seconds, server, "VmHWM")
    row("and after it", seconds, server)
    print(f"{EVENTS / seconds:,.0f} events a second to it", flush=True)
    return peak


def check_events(checks, server, sink):
    """Both have the same events, each once, each key in its order."""
    expected, got = server.drained_events(), sink.events()
    counts = Counter(event["id"] for event in got)
    wanted = {event["id"]: event for event in expected}
    checks.equal("nothing is lost", [id for id in wanted if id not in counts][:3], [])
    checks.equal("nothing came twice", [id for id, count in counts.items() if count > 1][:3], [])
    checks.equal("each arrives as it was", [event for event in got if event != wanted.get(event["id"])][:1], [])
    sent = [event["payload"] for event in got if event["event"] == "backlog.sent"]
    checks.equal("each request has its event", len(sent), WARM_REQUESTS + REQUESTS)
    by_key = defaultdict(list)
    for payload in sent:
        by_key[payload["key"]].append(payload["number"])
    checks.equal("each key's order holds", [key for key, all in by_key.items() if all != sorted(all)][:3], [])


def check(checks, folder):
    """The whole script."""
    sink = Sink(folder)
    try:
        sink.start()
        with gateway.Gateway(folder, [f"file:{folder / 'events.ndjson'}", sink.to]) as server:
            server.start()
            path = server.webhook("backlog", TEMPLATE).path
            began = time.monotonic()
            answers = post(server, path, range(WARM_REQUESTS))
            checks.equal("every request is taken", answers, Counter({204: WARM_REQUESTS}))
            checks.true("both have everything", gateway.until(server.is_drained, 60), server.checks())
            alive = row("nothing waits", time.monotonic() - began, server)
            sink.kill()
            waiting = check_waiting(checks, server, path)
            checks.true("what waits costs little memory", waiting - alive <= GROWTH_MAX_BYTES, waiting - alive)
            check_restart(checks, server)
            peak = check_drain(checks, server, sink)
            checks.true("so does bringing it up to date", peak - alive <= GROWTH_MAX_BYTES, peak - alive)
            check_events(checks, server, sink)
            checks.equal("it ends cleanly", server.stop(), 0)
    finally:
        sink.kill()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--receive"]:
        receive(*sys.argv[2:])
    gateway.perform(check, seconds=300 + EVENTS // 200)
