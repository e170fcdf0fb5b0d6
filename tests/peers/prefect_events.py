#!/usr/bin/env python3
"""Drives the gateway's events with the unmodified `prefect` command and SDK: `event emit` and `event stream`,
`emit_event` as of Prefect Cloud and as of a Prefect server, a subscriber across a restart without a gap, an event of
1.3 MB that breaks no stream, and `read_events` over 1,000 events through a proxy under another public URL.

Takes HOOKGATE_BIN; installs the pinned prefect once (setup.sh). Ends with `N passed, N failed`. Given `sdk` and a verb,
it is the SDK's side: a process of its own, whose settings are its environment.
"""

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gateway

EVENTS = 1000
LARGE_BYTES = 1_300_000
MESSAGE_SECONDS = 60


def event(number, name="sdk.sent", payload=None):
    """An event as the API takes it."""
    return {
        "occurred": datetime.now(UTC).isoformat(),
        "event": name,
        "resource": {"prefect.resource.id": f"sdk.{number}"},
        "id": str(uuid.uuid4()),
        "payload": payload or {"number": number},
    }


# The SDK's side.


def emit(count):
    """Emits events and waits until they were sent."""
    from prefect.events import emit_event
    from prefect.events.worker import EventsWorker

    for number in range(count):
        emit_event("sdk.emitted", {"prefect.resource.id": f"sdk.{number}"}, payload={"number": number})
    EventsWorker.drain_all()


async def follow(name, count):
    """Follows events of a name until that many have come, and prints their numbers, one a line."""
    from prefect.events.clients import get_events_subscriber
    from prefect.events.filters import EventFilter, EventNameFilter

    names = EventFilter(event=EventNameFilter(name=[name]))
    async with get_events_subscriber(filter=names) as subscriber:
        print("listening", type(subscriber).__name__, flush=True)
        seen = 0
        async for received in subscriber:
            print(received.payload.get("number", received.payload), flush=True)
            seen += 1
            if seen == count:
                break


async def read():
    """Reads all events of a name, page by page, and prints their numbers as one list."""
    from prefect.client.orchestration import get_client
    from prefect.events.filters import EventFilter, EventNameFilter

    async with get_client() as client:
        page = await client.read_events(filter=EventFilter(event=EventNameFilter(name=["sdk.read"])))
        numbers, pages = [], 0
        while page:
            pages += 1
            numbers += [found.payload["number"] for found in page.events]
            page = await page.get_next_page(client) if page.next_page else None
    print(json.dumps({"numbers": numbers, "pages": pages}))


# The checks.


class Sdk:
    """Processes of the SDK and the command, with a home of their own."""

    def __init__(self, folder, server):
        self.python, self.program = gateway.installed("venv/bin/python"), gateway.installed("venv/bin/prefect")
        self.cloud, self.account = f"http://{gateway.LOOPBACK}:{server.port}/api", server.account
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        more = {"PREFECT_HOME": str(folder / "prefect"), "DO_NOT_TRACK": "1", "COLUMNS": "400"}
        self.env = {**kept, **more, "PREFECT_CLI_COLORS": "false", "PYTHONUNBUFFERED": "1"}

    def as_cloud(self, root=None):
        """Settings of a client of Prefect Cloud."""
        url = (root or self.cloud) + self.account["api_path"].removeprefix("/api")
        return {
            **self.env,
            "PREFECT_CLOUD_API_URL": root or self.cloud,
            "PREFECT_API_URL": url,
            "PREFECT_API_KEY": self.account["api_key"],
        }

    def as_server(self):
        """Settings of a client of a Prefect server with an auth string."""
        return {
            **self.env,
            "PREFECT_API_URL": self.cloud,
            "PREFECT_API_AUTH_STRING": f"anybody:{self.account['api_key']}",
        }

    def run(self, env, *words, program=None):
        """One process to its end: of the SDK, unless a program is named."""
        first = [program] if program else [self.python, __file__, "sdk"]
        return subprocess.run([*first, *words], env=env, capture_output=True, text=True, timeout=120, check=False)

    def start(self, env, *words, program=None):
        """One process, to be read line by line."""
        first = [program] if program else [self.python, __file__, "sdk"]
        return subprocess.Popen(
            [*first, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def ended(checks, what, done):
    """A process that must have ended well."""
    checks.equal(f"{what} exits 0", done.returncode, 0) or print(done.stdout, done.stderr)
    checks.true(f"{what} shows no traceback", "Traceback" not in done.stderr, done.stderr)


def numbers(server, name):
    """The numbers of events of that name at the destination, in order."""
    return [found["payload"].get("number") for found in server.drained_events() if found["event"] == name]


def publish(checks, server, events):
    checks.equal("published", server.api("POST", "/events", events).status, 204)


def follows(server):
    """Somebody follows events right now."""
    return server.metric('event_sockets_open{way="out"}') > 0


def check_command(checks, sdk, server):
    """`event emit` and `event stream`, for the workspace and the account."""
    for env, mode in ((sdk.as_cloud(), "cloud"), (sdk.as_server(), "server")):
        words = ("event", "emit", f"cli.{mode}", "--resource-id", f"cli.{mode}.1", "--payload", '{"number": 7}')
        ended(checks, f"event emit ({mode})", sdk.run(env, *words, program=sdk.program))
        checks.equal(f"what it emitted arrived ({mode})", numbers(server, f"cli.{mode}"), [7])
    for more in ((), ("--account",)):
        what = " ".join(("event stream", *more))
        stream = sdk.start(sdk.as_cloud(), "event", "stream", "--run-once", *more, program=sdk.program)
        checks.true(f"{what} listens", gateway.until(lambda: follows(server), 30))
        # Its --run-once stops nothing: prefect/cli/events.py of 3.8.8, line 100, is `if run_once: pass`, which its
        # comment explains. What ends it with 0 is a stream that a server closes with 1000 or 1001
        # (prefect/events/clients.py, `except RETRYABLE_EXCEPTIONS`), and no server can know that one event is enough.
        # Two events one behind the other hold it to that: whoever raises the pin to one that stops hears of it here.
        for number in (8, 9):
            publish(checks, server, [event(number, "cli.streamed")])
            shown = next((json.loads(line) for line in stream.stdout if '"cli.streamed"' in line), None)
            checks.equal(f"{what} shows what is published", shown and shown["payload"], {"number": number})
        stream.kill()
        _, errors = stream.communicate(timeout=MESSAGE_SECONDS)
        checks.true(f"{what} shows no traceback", "Traceback" not in errors, errors)
        gateway.until(lambda: not follows(server), 30)


def check_emit(checks, sdk, server):
    """`emit_event` in both modes; a short-lived process loses nothing."""
    for env, mode in ((sdk.as_cloud(), "cloud"), (sdk.as_server(), "server")):
        before = len(numbers(server, "sdk.emitted"))
        ended(checks, f"emit_event ({mode})", sdk.run(env, "emit", "1500"))
        found = numbers(server, "sdk.emitted")[before:]
        checks.equal(f"all arrived, once and in order ({mode})", found, list(range(1500)))


def check_follow(checks, sdk, server):
    """A subscriber sees every event, across a restart and past a large one, in both modes."""
    for env, mode, kind in (
        (sdk.as_cloud(), "cloud", "PrefectCloudEventSubscriber"),
        (sdk.as_server(), "server", "PrefectEventSubscriber"),
    ):
        name = f"sdk.{mode}"
        following = sdk.start(env, "follow", name, "302")
        checks.equal(f"it is the subscriber of {mode}", following.stdout.readline().split(), ["listening", kind])
        checks.true(f"it follows ({mode})", gateway.until(lambda: follows(server), 30))
        publish(checks, server, [event(number, name) for number in range(100)])
        large = {"number": 100, "text": "x" * LARGE_BYTES}
        publish(checks, server, [event(100, name, large)])
        publish(checks, server, [event(number, name) for number in range(101, 201)])
        checks.equal(f"the gateway stops ({mode})", server.stop(), 0)
        server.start()
        publish(checks, server, [event(number, name) for number in range(201, 302)])
        out, errors = following.communicate(timeout=MESSAGE_SECONDS)
        checks.equal(f"it ended by itself ({mode})", following.returncode, 0) or print(errors)
        found = out.splitlines()
        told = [int(line) for line in found if line.isdigit()]
        expected = [number for number in range(302) if number != 100]
        checks.equal(f"no gap, nothing twice ({mode})", sorted(told), expected)
        cut = [line for line in found if "truncated" in line]
        checks.true(f"the large one came without its payload ({mode})", len(cut) == 1, cut)
        lost = [one for one in numbers(server, name) if one == 100]
        checks.equal(f"and is kept whole ({mode})", lost, [100])


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on under another name, as a proxy does that says nothing of itself."""

    protocol_version = "HTTP/1.1"
    port = 0
    paths = []

    def forward(self):
        self.paths.append(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        skipped = ("host", "content-length", "connection", "accept-encoding")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in skipped}
        with contextlib.closing(http.client.HTTPConnection(gateway.LOOPBACK, self.port, timeout=30)) as inner:
            inner.request(self.command, self.path, body, headers)
            answer = inner.getresponse()
            data = answer.read()
        self.send_response(answer.status)
        self.send_header("content-type", answer.getheader("content-type") or "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = forward

    def log_message(self, *_):
        pass


def check_read(checks, folder):
    """`read_events` and its pages through a proxy that clients know by another URL."""
    proxy = ThreadingHTTPServer((gateway.LOOPBACK, 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    url = f"http://localhost:{proxy.server_address[1]}"
    with gateway.Gateway(folder / "behind", env={"HOOKGATE_SERVER__PUBLIC_URL": url}) as server:
        sdk = Sdk(folder / "behind", server)
        server.start()
        Proxy.port = server.port
        publish(checks, server, [event(number, "sdk.read") for number in range(EVENTS)])
        found = None

        def is_indexed():
            nonlocal found
            asked = {"filter": {"event": {"name": ["sdk.read"]}}, "limit": 0}
            found = server.api("POST", "/events/filter", asked).json()
            return found["total"] == EVENTS

        checks.true("all are indexed", gateway.until(is_indexed, 30), found)
        done = sdk.run(sdk.as_cloud(f"{url}/api"), "read")
        ended(checks, "read_events", done)
        told = json.loads(done.stdout.splitlines()[-1])
        checks.equal("each event once", sorted(told["numbers"]), list(range(EVENTS)))
        checks.true("over pages", told["pages"] >= 5, told["pages"])
        pages = [path for path in Proxy.paths if "/events/filter/next" in path]
        checks.equal("every page came through the proxy", len(pages), told["pages"] - 1)
        server.stop()
    proxy.shutdown()


def check(checks, folder):
    """The whole script."""
    (folder / "behind").mkdir()
    with gateway.Gateway(folder) as server:
        sdk = Sdk(folder, server)
        server.start()
        check_command(checks, sdk, server)
        check_emit(checks, sdk, server)
        check_follow(checks, sdk, server)
        checks.equal("it ends cleanly", server.stop(), 0)
        text = server.log.read_text()
        checks.true("no key stands in the log", server.account["api_key"] not in text)
    check_read(checks, folder)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sdk", "emit", count]:
            emit(int(count))
        case ["sdk", "follow", name, count]:
            asyncio.run(follow(name, int(count)))
        case ["sdk", "read"]:
            asyncio.run(read())
        case _:
            gateway.perform(check, seconds=280)
