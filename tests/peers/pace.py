#!/usr/bin/env python3
"""Measures what a destination at 100 events/s gets in a minute: 100 ± 2 a second; and in another minute in which the
gateway is stopped, killed with -9 and stopped again: a restart neither gives the budget anew nor takes it away. No
second has more than the pace and the burst allow. `--seconds N` for shorter ones. Takes HOOKGATE_BIN. Ends with
`N passed, N failed`.
"""

import json
import sys
import threading
import time
from bisect import bisect_left
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gateway

SECONDS = int(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 60
PACE, BURST = 100, 300
TOLERANCE = 2
CLIENTS = 4
# More than both measurements need, before they begin.
REQUESTS = PACE * (SECONDS * 2 + 30) // 2
RESTARTS = 3


class Sink(ThreadingHTTPServer):
    """Notes when events come."""

    daemon_threads = True

    def __init__(self):
        moments = self.moments = []

        class Receiver(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                events = json.loads(self.rfile.read(int(self.headers["content-length"])))
                moments.extend([time.monotonic()] * len(events))
                self.send_response(204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__((gateway.LOOPBACK, 0), Receiver)
        self.to = f"http://{gateway.LOOPBACK}:{self.server_port}/in?rate={PACE}/s&burst={BURST}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def rate(self, began, ended):
        """Events per second between two moments."""
        moments = sorted(self.moments)
        return (bisect_left(moments, ended) - bisect_left(moments, began)) / (ended - began)


def post_all(server, path):
    """Fills the spool with what the destination will be behind by."""

    def post():
        connection = server.connect()
        for number in range(REQUESTS // CLIENTS):
            connection.post(path, {"number": number})

    threads = [threading.Thread(target=post) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(checks, sink, what, meanwhile):
    """The rate over the time, with something done in it three times."""
    began = time.monotonic()
    for part in range(1, RESTARTS + 1):
        time.sleep(max(0, began + SECONDS * part / (RESTARTS + 1) - time.monotonic()))
        meanwhile(part)
    time.sleep(max(0, began + SECONDS - time.monotonic()))
    found = sink.rate(began, began + SECONDS)
    checks.true(f"{what}: {PACE} events/s, {TOLERANCE} more or less", abs(found - PACE) <= TOLERANCE, found)
    print(f"{what}: {found:.2f} events/s over {SECONDS} s", flush=True)


def check(checks, folder):
    """The whole script."""
    sink = Sink()
    with gateway.Gateway(folder, [sink.to]) as server:

        def restart(part):
            if part % 2:
                checks.equal("it ends cleanly", server.stop(), 0)
            else:
                server.kill()
            server.start()

        server.start()
        post_all(server, server.webhook("pace").path)
        # Until the burst is used up.
        checks.true("the burst goes at once", gateway.until(lambda: len(sink.moments) >= BURST, 10))
        time.sleep(1)
        measure(checks, sink, "undisturbed", lambda _: None)
        measure(checks, sink, f"with {RESTARTS} restarts", restart)
        checks.true("there was always something to send", server.checks()["destinations"][0]["frames_behind"] > 0)
    moments = sorted(sink.moments)
    most = max(place + 1 - bisect_left(moments, at - 1) for place, at in enumerate(moments))
    checks.true("no second has more than the pace and the burst", most <= PACE * 1.02 + BURST, most)


if __name__ == "__main__":
    gateway.perform(check, seconds=SECONDS * 2 + 120)
