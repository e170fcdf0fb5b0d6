"""A gateway of its own for each check of this folder: the built binary on free ports of loopback, with a temporary data
folder, spoken to over plain sockets that correct nothing. Also how the checks count, and how they end.

Never anything but loopback; never a wait without a bound. HOOKGATE_BIN names the binary (target/release/hookgate).
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("HOOKGATE_BIN", ROOT / "target/release/hookgate")).resolve()
LOOPBACK = "127.0.0.1"
READY_SECONDS = 10
STOP_SECONDS = 40
ANSWER_SECONDS = 30
# The whole body of the request as payload, whatever JSON object it is.
ECHO = '{"event": "peer.sent", "resource": {"prefect.resource.id": "peer"}, "payload": {{ body|tojson }}}'


class Answer(NamedTuple):
    """What came back: header names in lower case."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


class Connection:
    """One connection; what is sent goes out as it is."""

    def __init__(self, port, source=None, seconds=ANSWER_SECONDS):
        self.socket = socket.create_connection((LOOPBACK, port), seconds, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, bodiless=False):
        """The next answer; None when the peer ends the connection instead, or cuts the answer short."""
        while b"\r\n\r\n" not in self.rest:
            if not self._receive():
                return None
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        length = 0 if bodiless or status == 204 else int(headers.get("content-length", 0))
        while len(self.rest) < length:
            if not self._receive():
                return None
        body, self.rest = self.rest[:length], self.rest[length:]
        return Answer(status, headers, body)

    def ask(self, method, path, body=b"", headers=None):
        """One request as it should be, and its answer."""
        given = {"host": LOOPBACK, "content-length": len(body), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)
        return self.answer(bodiless=method == "HEAD")

    def post(self, path, value, headers=None):
        """A JSON body, and its answer."""
        return self.ask("POST", path, json_bytes(value), {"content-type": "application/json", **(headers or {})})

    def ended(self, seconds):
        """Whether the peer ends the connection within that time; what it says until then is thrown away."""
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(65536):
                    return True
        except ConnectionError:
            return True
        except TimeoutError:
            pass
        return False

    def close(self):
        self.socket.close()

    def _receive(self):
        data = self.socket.recv(65536)
        self.rest += data
        return bool(data)


class Webhook(NamedTuple):
    """A webhook as the gateway made it."""

    id: str
    path: str


class Gateway:
    """One data folder and the process that serves it; leaving the context ends the process."""

    def __init__(self, folder, forward=None, env=None, data=None):
        self.folder = Path(folder)
        self.data = Path(data or self.folder / "data")
        self.log = self.folder / "gateway.log"
        self.destination = self.folder / "events.ndjson"
        self.forward = [f"file:{self.destination}"] if forward is None else forward
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKGATE_")}
        self.env = {**inherited, **(env or {})}
        self.port, self.admin_port = free_port(), free_port()
        self.process = None
        told = self.run("bootstrap", "--data", self.data, "-o", "json")
        if told.returncode:
            raise RuntimeError(f"bootstrap ended with {told.returncode}: {told.stderr}")
        self.account = json.loads(told.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def run(self, *words):
        """One command of the binary to its end."""
        words = [str(BINARY), *(str(word) for word in words)]
        return subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def serve_words(self, port, admin_port):
        """The command that serves this folder, there."""
        forward = [word for place in self.forward for word in ("--forward-to", place)]
        listen = ["--listen", f"{LOOPBACK}:{port}", "--admin-listen", f"{LOOPBACK}:{admin_port}"]
        return [str(BINARY), "serve", "--data", str(self.data), *listen, *forward]

    def start(self):
        """Serves; returns the seconds it took to be ready."""
        started = time.monotonic()
        words = self.serve_words(self.port, self.admin_port)
        # What it prints is the stdout destination's alone.
        with self.log.open("ab") as log, (self.folder / "gateway.out").open("ab") as out:
            self.process = subprocess.Popen(words, env=self.env, stdout=out, stderr=log)
        if not until(self.is_ready, READY_SECONDS):
            raise RuntimeError(f"not ready within {READY_SECONDS} s (exit code {self.process.poll()}): {self.said()}")
        return time.monotonic() - started

    def stop(self):
        """Drains by SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self):
        """Ends it as a crash would."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def connect(self, source=None, seconds=ANSWER_SECONDS):
        return Connection(self.port, source, seconds)

    def post(self, path, value, headers=None):
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            return connection.post(path, value, headers)
        finally:
            connection.close()

    def api(self, method, path, value=None):
        """One call of the workspace's API."""
        connection = self.connect()
        headers = {"authorization": f"Bearer {self.account['api_key']}", "content-type": "application/json"}
        try:
            body = b"" if value is None else json_bytes(value)
            return connection.ask(method, self.account["api_path"] + path, body, headers)
        finally:
            connection.close()

    def client_env(self, folder):
        """What makes the command line speak to it with its owner's key."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOOKGATE_")}
        url = f"http://{LOOPBACK}:{self.port}"
        return {**inherited, "XDG_CONFIG_HOME": str(folder), "HOOKGATE_URL": url, "HOOKGATE_API_KEY": self.account["api_key"]}

    def webhook(self, name, template=ECHO):
        """A new webhook."""
        answer = self.api("POST", "/webhooks/", {"name": name, "template": template})
        if answer.status != 201:
            raise RuntimeError(f"webhook {name} was not made: {answer}")
        made = answer.json()
        return Webhook(made["id"], f"/hooks/{made['slug']}")

    def admin(self, path):
        connection = Connection(self.admin_port)
        try:
            return connection.ask("GET", path)
        finally:
            connection.close()

    def is_ready(self):
        try:
            return self.process.poll() is None and self.admin("/readyz").status == 200
        except (OSError, AttributeError):
            return False

    def checks(self):
        """What readiness says, as an object."""
        return self.admin("/readyz").json()

    def metric(self, name):
        """The sum of a metric's samples."""
        lines = self.admin("/metrics").body.decode().splitlines()
        found = [line for line in lines if re.match(rf"(hookgate_)?{re.escape(name)}(_total)?[ {{]", line)]
        return sum(float(line.split("} ")[-1].split(" ")[-1]) for line in found)

    def is_drained(self):
        return all(lane["frames_behind"] == 0 for lane in self.checks()["destinations"])

    def events(self):
        """Every event at the file destination, in order; a line still being written is left out."""
        if not self.destination.exists():
            return []
        *lines, _ = self.destination.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines]

    def drained_events(self, seconds=60):
        """The same, once every lane has caught up."""
        if not until(self.is_drained, seconds):
            raise RuntimeError(f"destinations lag after {seconds} s: {self.checks()['destinations']}")
        return self.events()

    def memory(self, field="VmRSS"):
        """Resident bytes: now, or with VmHWM the most since the last `forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) << 10

    def forget_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def said(self):
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


class Checks:
    """Counts what holds, prints what does not."""

    def __init__(self):
        self.passed = self.failed = 0

    def true(self, what, holds, found=""):
        """Counts `what` as passed if it holds."""
        if holds:
            self.passed += 1
            return True
        self.failed += 1
        print(f"FAILED {what}" + (f"\n  found {short(found)}" if found != "" else ""), flush=True)
        return False

    def equal(self, what, found, expected):
        """Counts `what` as passed if both are the same."""
        if found == expected:
            self.passed += 1
            return True
        self.failed += 1
        print(f"FAILED {what}\n  expected {short(expected)}\n  found    {short(found)}", flush=True)
        return False


def perform(check, seconds):
    """Runs `check(checks, folder)` in a folder of its own, for so long at most, and ends as every script here does."""

    def too_long(*_):
        # No TimeoutError: who waits for a socket would take it for the socket's.
        raise RuntimeError(f"not done within {seconds} s")

    if not BINARY.is_file():
        sys.exit(f"{BINARY} is not there: cargo build --release, or name it with HOOKGATE_BIN")
    checks = Checks()
    folder = tempfile.mkdtemp(prefix="hookgate-peers-")
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        check(checks, Path(folder))
    except Exception:  # whatever it is, it is a check that did not hold
        checks.true(f"the script came to its end\n{traceback.format_exc()}", False)
    signal.alarm(0)
    if checks.failed:
        for log in sorted(path for path in Path(folder).glob("**/*.log") if path.parent.name != "spool"):
            print(f"--- the end of {log.name}\n{log.read_text(errors='replace')[-3000:]}")
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(1 if checks.failed or not checks.passed else 0)


def installed(name):
    """A program or file of a peer, below target/peers; installs the peers unless they are there."""
    subprocess.run([ROOT / "tests/peers/setup.sh"], check=True)
    return ROOT / "target/peers" / name


def until(condition, seconds, pause=0.02):
    """Waits for a condition; False if it does not come in that time. Looks again after every pause."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def free_port():
    """A port nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return listener.getsockname()[1]


def json_bytes(value):
    """Compact JSON, not escaped beyond need, as most senders write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def strict(value):
    """A value's JSON with sorted keys: unlike ==, it tells 1 from 1.0 and from true."""
    return json.dumps(value, sort_keys=True)


def short(value):
    """A value's text, cut so that a failure stays readable."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 1000 else f"{text[:700]} … {text[-300:]} ({len(text)} characters)"
