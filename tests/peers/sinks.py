#!/usr/bin/env python3
"""Every sink beside the real thing, through one and the same suite: one gateway with a destination of each kind, posted
to for some seconds; meanwhile each sink's server is killed with -9 and started again. None of the events that the
gateway has (a file destination tells which) may be missing at any sink; what comes twice must be from around the kill,
and come with the same id. Prints a table of sent, received, unique, duplicates and lost.

Which servers, and who asks them, stands in sink_servers.py. Requests over HTTP are read by programs that are not ours:
CloudEvents by the CloudEvents SDK, signatures by the standardwebhooks library, with the new secret and with the old one,
HTTP/2 in TLS by Node's own server, which asks for the gateway's certificate and its token.
Takes HOOKGATE_BIN, and perhaps words that names of sinks must have; installs the peers once (setup.sh). Ends with
`N passed, N failed`.
"""

import base64
import json
import secrets
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gateway
from sink_servers import Cloud, Files, Http2, Kafka, Nats, Objects, Postgres, Prefect, Process, Redis, Stdout

SECONDS = 420
EVENTS = 1500
CLIENTS = 4
PAUSE_SECONDS = 0.005
AWAY_SECONDS = 1.5
DRAIN_SECONDS = 180
# How long before a kill an event can have come that is sent again after it.
AROUND_SECONDS = 5


class Http(Process):
    """A receiver of one form, which keeps what it was sent in a file before it answers; perhaps one that takes signed
    requests alone, or those that log in."""

    LOGIN = "hook:pass wörd"

    def __init__(self, folder, form, signed=False, login=""):
        super().__init__(folder, f"http-{form}{'-signed' if signed else ''}")
        self.form = form
        self.to = f"http://{gateway.LOOPBACK}:{self.port}/in?form={form}"
        self.secrets = [f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}" for _ in range(2 if signed else 0)]
        if signed:
            file = self.folder / "secrets"
            file.write_text("\n".join(self.secrets) + "\n")
            self.to += f"&sign_file={file}&batch_events=50"
        self.credential = ""
        if login:
            file = self.folder / "login"
            file.write_text(f"{self.LOGIN}\n")
            self.to += f"&{login}_file={file}"
            encoded = base64.b64encode(self.LOGIN.encode()).decode()
            self.credential = f"Basic {encoded}"

    def words(self):
        place = ["--receive", str(self.port), self.kept, self.form, self.credential]
        return [sys.executable, __file__, *place, *self.secrets]

    def received(self):
        """Every event it was sent, in order, as its reader read it."""
        *lines, _ = self.kept.read_bytes().split(b"\n") if self.kept.exists() else [b""]
        return [json.loads(line) for line in lines]


def read_events(form, headers, body):
    """The events of one request, read by those who define its form; whatever is wrong raises."""
    from cloudevents.core.bindings.http import HTTPMessage, from_binary, from_structured
    from cloudevents.core.formats.json import JSONFormat

    media = headers["content-type"]
    if form == "array":
        assert media == "application/json", media
        return json.loads(body)
    if form == "single":
        assert media == "application/json", media
        return [json.loads(body)]
    if form == "ndjson":
        assert media == "application/x-ndjson" and body.endswith(b"\n"), media
        return [json.loads(line) for line in body.splitlines()]
    if form == "cloudevents":
        assert media == "application/cloudevents+json", media
        return [plain(from_structured(HTTPMessage(headers, body), JSONFormat()))]
    if form == "cloudevents-binary":
        return [plain(from_binary(HTTPMessage(headers, body), JSONFormat()))]
    assert form == "cloudevents-batch" and media == "application/cloudevents-batch+json", media
    return [plain(JSONFormat().read(None, json.dumps(one).encode())) for one in json.loads(body)]


def plain(cloudevent):
    """The event inside, which all attributes must agree with."""
    event = cloudevent.get_data()
    source = f"/accounts/{event['account']}" + (f"/workspaces/{event['workspace']}" if event["workspace"] else "")
    resource = event["resource"]["prefect.resource.id"]
    found = [cloudevent.get_id(), cloudevent.get_type(), cloudevent.get_source(), cloudevent.get_subject()]
    assert found == [event["id"], event["event"], source, resource], found
    assert cloudevent.get_specversion() == "1.0" and cloudevent.get_datacontenttype() == "application/json"
    moment = cloudevent.get_time().strftime("%Y-%m-%dT%H:%M:%S")
    assert event["occurred"].startswith(moment), (event["occurred"], moment)
    return event


def receive(port, kept, form, credential, *whsecs):
    """Serves until it is killed."""
    from standardwebhooks import Webhook

    hooks, lock, file = [Webhook(secret) for secret in whsecs], threading.Lock(), open(kept, "ab", buffering=0)

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                for hook in hooks:
                    hook.verify(body, headers, json_parse=False)
                assert hooks or "webhook-signature" not in headers
                assert headers.get("authorization", "") == credential, headers.get("authorization")
                events, status = read_events(form, headers, body), 204
                lines = b"".join(gateway.json_bytes(event) + b"\n" for event in events)
                with lock:
                    file.write(lines)
            except Exception as fault:
                print(f"{type(fault).__name__}: {fault}", body[:300], flush=True)
                status = 400
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    Server((gateway.LOOPBACK, int(port)), Receiver).serve_forever()


SINKS = {
    "http-array": lambda folder: Http(folder, "array"),
    "http-array-signed": lambda folder: Http(folder, "array", signed=True),
    "http-single": lambda folder: Http(folder, "single"),
    "http-ndjson": lambda folder: Http(folder, "ndjson", login="basic"),
    "https-http2": Http2,
    "http-cloudevents": lambda folder: Http(folder, "cloudevents"),
    "http-cloudevents-binary": lambda folder: Http(folder, "cloudevents-binary"),
    "http-cloudevents-batch": lambda folder: Http(folder, "cloudevents-batch"),
    "nats": Nats,
    "nats-tls": lambda folder: Nats(folder, tls=True),
    "redis": Redis,
    "redis-tls": lambda folder: Redis(folder, tls=True),
    "postgres": Postgres,
    "kafka": Kafka,
    "s3": Objects,
    "file": Files,
    "stdout": Stdout,
    "prefect-http": lambda folder: Prefect(folder, "http"),
    "prefect-ws": lambda folder: Prefect(folder, "ws"),
    "cloud-http": lambda folder: Cloud(folder, "http"),
    "cloud-ws": lambda folder: Cloud(folder, "ws"),
}


def post_all(server, path, statuses):
    """Posts from several clients at once, as many requests as were asked for, some texts odd."""

    def post(client):
        connection = server.connect()
        for number in range(client, EVENTS, CLIENTS):
            text = ["plain", "naïve \u2028 \U0001f600", '"%', "\u0007"][number % 4]
            answer = connection.post(path, {"number": number, "text": text, "float": 1.5})
            statuses.append(answer and answer.status)
            time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=post, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    return threads


def kill_each(sinks, downtimes):
    """Kills every sink and starts it again, one after the other, each away for a while."""

    def away(sink):
        began = time.time()
        sink.kill()
        time.sleep(AWAY_SECONDS)
        sink.start()
        downtimes[sink.name] = (began, time.time())

    threads = [threading.Thread(target=away, args=(sink,)) for sink in sinks]
    for thread in threads:
        thread.start()
        time.sleep(0.2)
    for thread in threads:
        thread.join()


def check_sink(checks, sink, expected, downtime):
    """What one sink has, against what the gateway had; returns its line of the table."""
    expected = {id: event for id, event in expected.items() if sink.wants(event)}
    received = sink.received()
    counts = Counter(event["id"] for event in received)
    by_id = {event["id"]: event for event in received}
    lost = [id for id in expected if id not in counts]
    checks.equal(f"{sink.name}: no event is lost", len(lost), 0)
    checks.equal(f"{sink.name}: none is of unknown origin", len(counts.keys() - expected.keys()), 0)
    changed = [(one, expected[id]) for id, one in by_id.items() if id in expected and one != sink.plain(expected[id])]
    checks.equal(f"{sink.name}: each arrives as it was", changed[:1], [])
    twice = [id for id, count in counts.items() if count > 1]
    began, ended = (stamp(second) for second in (downtime[0] - AROUND_SECONDS, downtime[1]))
    stray = [id for id in twice if not began <= expected[id]["received"] <= ended]
    checks.equal(f"{sink.name}: what came twice is from around the kill", len(stray), 0)
    return (sink.name, len(expected), len(received), len(counts), len(received) - len(counts), len(lost))


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def check(checks, folder):
    chosen = [name for name in SINKS if all(word in name for word in sys.argv[1:])]
    sinks = [SINKS[name](folder) for name in chosen]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda sink: sink.start(), sinks))
        # Which events a destination wants, only a file says; flags would stand for all of it.
        config = folder / "hookgate.toml"
        forward = [f"file:{folder / 'events.ndjson'}", *(sink.to for sink in sinks)]
        wheres = ["", *(getattr(sink, "where", "") for sink in sinks)]
        for to, where in zip(forward, wheres):
            with config.open("a") as file:
                file.write(f"[[forward]]\nto = {json.dumps(to)}\n" + (f'where = "{where}"\n' if where else ""))
        with gateway.Gateway(folder, [], env={"HOOKGATE_CONFIG": str(config)}) as server:
            server.start()
            path = server.webhook("sinks").path
            statuses, downtimes = [], {}
            threads = post_all(server, path, statuses)
            gateway.until(lambda: len(statuses) > EVENTS // 4, SECONDS)
            kill_each(sinks, downtimes)
            for thread in threads:
                thread.join()
            checks.equal("every request is taken", Counter(statuses), Counter({204: EVENTS}))
            expected = {event["id"]: event for event in server.drained_events(DRAIN_SECONDS)}
            sent = [event for event in expected.values() if event["event"] == "peer.sent"]
            checks.equal("every request is an event", len(sent), EVENTS)
            checks.equal("nothing is parked", server.metric("forward_parked"), 0)
            print(f"{'sink':<26} {'sent':>6} {'received':>8} {'unique':>6} {'twice':>6} {'lost':>5}")
            for sink in sinks:
                name, *numbers = check_sink(checks, sink, expected, downtimes[sink.name])
                print(f"{name:<26} {numbers[0]:>6} {numbers[1]:>8} {numbers[2]:>6} {numbers[3]:>6} {numbers[4]:>5}")
            for sink in sinks:
                sink.check(checks)
            checks.equal("it stops", server.stop(), 0)
    finally:
        for sink in sinks:
            sink.kill()
            sink.remove()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--receive"]:
        receive(*sys.argv[2:])
    gateway.installed("venv/bin/python")
    gateway.perform(check, SECONDS)
