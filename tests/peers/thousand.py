#!/usr/bin/env python3
"""A thousand destinations as records, each with a resource of its own, made, changed and deleted under load.

Each that stays has everything that came for it after it was made, once, and nothing of another's; the gateway's memory
stays within a bound, and a start after kill -9 is quick. Prints how long each part took. Takes HOOKGATE_BIN. Ends with
`N passed, N failed`.
"""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gateway

COUNT = 1000
PAUSE_SECONDS = 0.002
MEMORY_MAX_BYTES = 200 << 20
START_MAX_SECONDS = 5
SETTINGS = {"HOOKGATE_EGRESS__ALLOW": "127.0.0.0/8", "HOOKGATE_LIMITS__WEBHOOK_RATE": "100000/min"}
TEMPLATE = """{"event": "thousand.sent", "resource": {"prefect.resource.id": "thousand.{{ body.key }}"},
 "payload": {{ body|tojson }}}"""


class Sink:
    """Counts what each path got."""

    def __init__(self):
        self.got, lock = Counter(), threading.Lock()
        got = self.got

        class Receiver(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                events = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    got.update((self.path, event["payload"].get("number")) for event in events)
                self.send_response(204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 512

            def handle_error(self, *_):
                """Connections end with the gateway."""

        self.server = Server((gateway.LOOPBACK, 0), Receiver)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def address(self, key):
        return f"http://{gateway.LOOPBACK}:{self.server.server_address[1]}/{key}"


class Load(threading.Thread):
    """Posts for each key in turn until it is stopped."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.connection, self.path, self.stopped, self.answers = server.connect(), path, threading.Event(), []

    def run(self):
        number = 0
        while not self.stopped.is_set():
            value = {"key": number % COUNT, "number": number}
            self.answers.append(self.connection.post(self.path, value).status)
            number += 1
            time.sleep(PAUSE_SECONDS)


def timed(what, work, items):
    """Does it with each, and says how long that took; the statuses that were no success."""
    began = time.monotonic()
    answers = [work(item) for item in items]
    print(f"{what} {len(answers)} in {time.monotonic() - began:.1f} s", flush=True)
    return answers, [answer.status for answer in answers if answer.status >= 300]


def check(checks, folder):
    """The whole script."""
    sink = Sink()
    with gateway.Gateway(folder, [], env=SETTINGS) as server:
        server.start()
        load = Load(server, server.webhook("thousand", TEMPLATE).path)
        load.start()

        def make(key):
            wanted = {"resource": {"id": [f"thousand.{key}"]}}
            return server.api("POST", "/destinations", {"name": f"d{key}", "to": sink.address(key), "filter": wanted})

        made, refused = timed("made", make, range(COUNT))
        checks.equal("all are made", refused, [])
        ids, since = [answer.json()["id"] for answer in made], len(load.answers)

        def change(key):
            return server.api("PATCH", f"/destinations/{ids[key]}", {"batch_events": 1 + key % 5})

        checks.equal("half are changed", timed("changed", change, range(1, COUNT, 2))[1], [])
        gone = range(0, COUNT, 4)

        def delete(key):
            return server.api("DELETE", f"/destinations/{ids[key]}")

        checks.equal("some end", timed("deleted", delete, gone)[1], [])
        gateway.until(lambda: len(load.answers) - since > COUNT, 30)
        load.stopped.set()
        load.join(gateway.ANSWER_SECONDS)
        checks.equal("all requests are taken", Counter(load.answers).keys(), {204})
        wanted = [(f"/{number % COUNT}", number) for number in range(since, len(load.answers)) if number % COUNT % 4]
        checks.true("nothing is lost", gateway.until(lambda: all(sink.got[one] for one in wanted), 30))
        checks.equal("nothing comes twice", [one for one in wanted if sink.got[one] > 1][:3], [])
        numbered = [(path, number) for path, number in sink.got if number is not None]
        foreign = [one for one in numbered if one[0] != f"/{one[1] % COUNT}"]
        checks.equal("none has another's", foreign[:3], [])
        memory = server.memory("VmHWM")
        print(f"{len(load.answers)} requests, {len(wanted)} for those that stayed, {memory >> 20} MiB at most")
        checks.true("memory is bounded", memory < MEMORY_MAX_BYTES, memory)
        server.kill()
        checks.true("a start after a kill is quick", server.start() < START_MAX_SECONDS)
        checks.equal("it ends cleanly", server.stop(), 0)


if __name__ == "__main__":
    gateway.perform(check, seconds=300)
