#!/usr/bin/env python3
"""What strangers learn and cost who know the words but no secret: how long slugs, keys and names take to be refused, what
ten thousand signatures in one header cost, and what handshakes of TLS do that begin and do not end, while somebody honest
comes.

Slugs and keys are tried in turns over one connection, and the medians of all kinds compared. Signatures are compared with
as many bytes that are none. Of handshakes more than the cap of 500 are begun again and again, some of them ten bytes long,
some whole up to the client's last word; honest clients must get in beside them, and what all cost is bounded and given back.
A crowd of 800 honest ones waits, and none of it is cut.
Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import base64
import contextlib
import os
import random
import resource
import selectors
import socket
import ssl
import statistics
import threading
import time

import gateway
from floods import cpu_seconds, descriptors, is_at_rest

TLS = gateway.ROOT / "tests/data/tls"
TLS_ENV = {
    "HOOKGATE_SERVER__TLS_CERTIFICATE": str(TLS / "certificate.pem"),
    "HOOKGATE_SERVER__TLS_KEY": str(TLS / "key.pem"),
    "HOOKGATE_LIMITS__CONNECTIONS_MAX": "5000",
}
NOBODYS = "A" * 22
# Rounds of all kinds, and how far medians may be from each other: what one core does beside us is in all of them.
ROUNDS, APART_MAX = 4000, 1.08
# Of passwords few are looked at before their budget is over; each is as slow as a hundred thousand slugs.
PASSWORD, PASSWORDS, NAMES_APART_MAX = "correct horse battery", 4, 1.5
SIGNATURES, FEW, REQUESTS = 10_000, 1500, 1000
# Beside as many bytes that are no signature: both are read, and searched for what is not allowed in a header. And what
# a request may cost in all, on whatever machine. The key is one of RFC 8032's.
COSTS_MAX, CPU_MAX_SECONDS = 2.0, 0.005
# Judged where others are served, two signatures of a large body for eight keys cost hundreds of milliseconds each time.
LARGE_BYTES, HONEST, HONEST_PAUSE_SECONDS, HONEST_MAX_MS = 5 << 20, 1000, 0.002, 100
PUBLIC_KEY = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
# Those that are silent at any time, for more than a handshake may take: more than the 500 turns and the line of 1000 hold.
# Up to a thousand come in a second.
STALLED, AT_ONCE, PAUSE_SECONDS, STALLED_SECONDS = 1800, 20, 0.02, 12
HELD_MAX = 1500
HONEST_SECONDS = 2.0
# Honest ones that come at the same moment.
CROWD, CROWD_SECONDS = 800, 20
# A handshake holds what rustls has read and derived.
STALLED_MAX_BYTES, GROWTH_MAX_BYTES = 48 << 10, 16 << 20


def ask_for(path):
    """One request, as short as a sender's."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
    return head.encode()


def with_key(key):
    """One call of the API."""
    return f"GET /api/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


def compare(checks, server, what, asked, status):
    """Asks for all kinds in turns: the same bytes for each, and the same time."""
    connection, taken = server.connect(), {name: [] for name in asked}
    chance, names, answers = random.Random(7), list(asked), set()
    for number in range(ROUNDS):
        chance.shuffle(names)
        for name in names:
            began = time.perf_counter_ns()
            connection.send(asked[name])
            answer = connection.answer()
            spent = time.perf_counter_ns() - began
            if number >= ROUNDS // 10:
                taken[name].append(spent / 1000)
            answers.add((answer and answer.status, answer and answer.body))
    connection.close()
    checks.equal(f"{what} of all kinds are refused alike", [code for code, _ in answers], [status])
    medians = {name: statistics.median(found) for name, found in taken.items()}
    told = ", ".join(f"{name} {took:.1f} µs" for name, took in medians.items())
    print(f"{what} are refused within, by their kind: {told}", flush=True)
    apart = max(medians.values()) / min(medians.values())
    checks.true(f"no kind of {what} is told by its time: {APART_MAX} times apart", apart <= APART_MAX, medians)


def check_timing(checks, folder):
    """Whether a slug is nobody's, switched off, deleted, for other networks, or too short, takes the same time; whatever is
    wrong about a key, too; and whether it is the name or the password."""
    folder.mkdir()
    unlimited = {f"HOOKGATE_LIMITS__WRONG_{what}_PER_MINUTE": "0" for what in ("SLUGS", "KEYS")}
    with gateway.Gateway(folder, forward=[], env=unlimited) as server:
        server.start()
        off, gone = server.webhook("off"), server.webhook("gone")
        closed = server.api("POST", "/webhooks/", {"name": "c", "template": gateway.ECHO, "networks": ["192.0.2.0/24"]})
        server.api("PATCH", f"/webhooks/{off.id}", {"enabled": False})
        server.api("DELETE", f"/webhooks/{gone.id}")
        slug = off.path.removeprefix("/hooks/")
        kinds = {
            "nobody's": f"/hooks/{NOBODYS}",
            "nobody's, near": f"/hooks/{slug[:-1]}{'A' if slug[-1] != 'A' else 'B'}",
            "switched off": off.path,
            "deleted": gone.path,
            "for others": f"/hooks/{closed.json()['slug']}",
            "short": "/hooks/A",
        }
        compare(checks, server, "slugs", {name: ask_for(path) for name, path in kinds.items()}, 404)
        own = server.account["api_key"]
        kinds = {
            "nobody's": own[:4] + NOBODYS + own[4 + len(NOBODYS) :],
            "near the end": own[:-1] + ("A" if own[-1] != "A" else "B"),
            "near in all of its secret": own[:16] + own[16:][::-1],
            "of another kind": "pnb_" + own[4:],
            "short": own[:-1],
            "long": own + "A",
        }
        compare(checks, server, "keys", {name: with_key(key) for name, key in kinds.items()}, 401)
        names(checks, server)
        checks.equal("timing: it ends cleanly", server.stop(), 0)


def names(checks, server):
    """A name that is there takes as long as one that is not: as long as a password is looked at."""
    plain = {"content-type": "application/json"}
    own = {"authorization": f"Bearer {server.account['api_key']}", **plain}
    connection = server.connect()
    me = connection.ask("GET", "/api/me", b"", own).json()
    connection.post(f"/api/users/{me['id']}/password", {"password": PASSWORD}, own)
    taken, statuses = {me["handle"]: [], "nobody-is-called-so": []}, set()
    for number in range(PASSWORDS):
        for name, found in taken.items():
            began = time.monotonic()
            answer = connection.post("/api/auth/login", {"handle": name, "password": f"{PASSWORD}{number}"}, plain)
            found.append(time.monotonic() - began)
            statuses.add(answer.status)
    connection.close()
    checks.equal("names and passwords are refused alike", statuses, {401})
    there, not_there = (statistics.median(found) for found in taken.values())
    print(f"passwords are refused within {there * 1000:.1f} ms, of nobody's names {not_there * 1000:.1f} ms", flush=True)
    apart = max(there, not_there) / min(there, not_there)
    checks.true(f"no name is told by its time: {NAMES_APART_MAX} times apart", apart <= NAMES_APART_MAX, taken)


def compare_costs(checks, server, path, kinds):
    """What each kind of signatures is refused with, and within; the first is what the others are compared with."""
    taken, answers = {what: [] for what in kinds}, {what: set() for what in kinds}
    connection, headers = server.connect(), {"webhook-id": "1", "webhook-timestamp": int(time.time())}
    used = cpu_seconds(server)
    for _ in range(REQUESTS):
        for what, (signature, filler, _) in kinds.items():
            began = time.perf_counter_ns()
            answer = connection.post(path, {}, {**headers, "webhook-signature": signature, "x-filler": filler})
            taken[what].append((time.perf_counter_ns() - began) / 1000)
            answers[what].add((answer and answer.status, answer and answer.body))
    connection.close()
    used = (cpu_seconds(server) - used) / REQUESTS / len(kinds)
    for what, (_, _, reason) in kinds.items():
        checks.equal(f"{what}: refused by its name", answers[what], {(401, b'{"detail":"Not verified: %s"}' % reason)})
    base, *costs = (statistics.median(found) for found in taken.values())
    told = ", ".join(f"{what} {statistics.median(found):.0f} µs" for what, found in taken.items())
    print(f"refused within: {told}; {used * 1e6:.0f} µs of processor time on average", flush=True)
    checks.true(f"no more than {COSTS_MAX} times of {next(iter(kinds))}", max(costs) <= COSTS_MAX * base, (base, costs))
    checks.true("and little", used <= CPU_MAX_SECONDS, used)


def check_signatures(checks, folder):
    """Ten thousand signatures in one header, shared and public keys': refused by a name that stays, and for little."""
    folder.mkdir()
    with gateway.Gateway(folder, forward=[]) as server:
        server.start()
        paths = []
        for secret in ["whsec_" + "QUFB" * 8, PUBLIC_KEY]:
            verification = {"provider": "standard-webhooks", "secrets": [secret]}
            body = {"name": secret[:5], "template": gateway.ECHO, "verification": verification}
            made = server.api("POST", "/webhooks/", body)
            checks.equal("a webhook that verifies is made", made.status, 201)
            paths.append(f"/hooks/{made.json()['slug']}")
        server.forget_peak()
        before, many = server.memory(), " ".join(["v1,a"] * SIGNATURES)
        # Beside as many bytes that are none. More than a hundred are too many; a header of more than 8 KiB is none.
        kinds = {
            "one signature": ("v1,a", many, b"signature_mismatch"),
            f"{FEW} signatures": (" ".join(["v1,a"] * FEW), many, b"signature_malformed"),
            f"{SIGNATURES} signatures": (many, "v1,a", b"signature_missing"),
        }
        compare_costs(checks, server, paths[0], kinds)
        # Each of them is work: more than eight are too many.
        forged = "v1a," + base64.b64encode(b"\1" * 63 + b"\0").decode()
        crowd = " ".join([forged] * 80)
        kinds = {
            "one signature of a public key": (forged, crowd, b"signature_mismatch"),
            "80 signatures of a public key": (crowd, forged, b"signature_malformed"),
        }
        compare_costs(checks, server, paths[1], kinds)
        grown = server.memory("VmHWM") - before
        checks.true("and no memory", grown <= GROWTH_MAX_BYTES, f"{grown >> 20} MiB")
        check_large(checks, server, paths[0], forged)
        checks.equal("signatures: it ends cleanly", server.stop(), 0)


def check_large(checks, server, path, forged):
    """Many signatures of a large body, for eight public keys: beside them a sender of another webhook is served as before."""
    keys = []
    while len(keys) < 8:
        # About every second number of 32 bytes is a key.
        key = f"whpk_{base64.b64encode(os.urandom(32)).decode()}"
        verification = {"provider": "standard-webhooks", "secrets": [*keys, key]}
        body = {"name": f"large {random.random()}", "template": gateway.ECHO, "verification": verification}
        made = server.api("POST", "/webhooks/", body)
        if made.status == 201:
            keys.append(key)
            target = f"/hooks/{made.json()['slug']}"
    body = b"x" * LARGE_BYTES
    headers = {"webhook-id": "1", "webhook-timestamp": int(time.time())}
    for count, reason in [(2, b"signature_mismatch"), (3, b"signatures_heavy")]:
        signed = {**headers, "webhook-signature": " ".join([forged] * count)}
        answer = server.connect().ask("POST", target, body, signed)
        checks.equal(f"{count} signatures of a large body", answer.body, b'{"detail":"Not verified: %s"}' % reason)
    ended = threading.Event()

    def attack():
        connection = server.connect()
        while not ended.is_set():
            connection.ask("POST", target, body, {**headers, "webhook-signature": f"{forged} {forged}"})
        connection.close()

    def honest():
        connection, taken = server.connect(), []
        for _ in range(HONEST):
            began = time.perf_counter_ns()
            connection.post(path, {}, headers)
            taken.append((time.perf_counter_ns() - began) / 1_000_000)
            time.sleep(HONEST_PAUSE_SECONDS)
        connection.close()
        return statistics.quantiles(taken, n=100)[98]

    alone, crowd = honest(), [threading.Thread(target=attack) for _ in range(4)]
    for one in crowd:
        one.start()
    beside = honest()
    ended.set()
    for one in crowd:
        one.join()
    print(f"p99 of an honest sender: {alone:.1f} ms alone, {beside:.1f} ms beside large forgeries", flush=True)
    checks.true("large forgeries keep nobody waiting", beside <= HONEST_MAX_MS + 2 * alone, (alone, beside))


def hello(context):
    """The first words of a client."""
    reading, writing = ssl.MemoryBIO(), ssl.MemoryBIO()
    speaker = context.wrap_bio(reading, writing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        speaker.do_handshake()
    return writing.read()


class Stalled(threading.Thread):
    """Handshakes that do not end: so many at any time, as far as they are let, until told to leave. Who is ended comes again."""

    def __init__(self, port, kinds):
        super().__init__(daemon=True)
        self.port, self.kinds = port, kinds
        self.open, self.begun, self.leaving = [], 0, False

    def run(self):
        while not self.leaving:
            for _ in range(min(AT_ONCE, STALLED - len(self.open))):
                with contextlib.suppress(OSError):
                    source = (f"127.0.0.{2 + self.begun % 8}", 0)
                    one = socket.create_connection((gateway.LOOPBACK, self.port), 5, source)
                    one.sendall(self.kinds[self.begun % len(self.kinds)])
                    one.setblocking(False)
                    self.open.append(one)
                self.begun += 1
            self.open = [one for one in self.open if not is_over(one)]
            time.sleep(PAUSE_SECONDS)
        for one in self.open:
            one.close()


def is_over(one):
    """Whether the other end has ended a connection; closes it then. What it says until then is thrown away."""
    try:
        while one.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    one.close()
    return True


def honest(server, context, path):
    """How long a whole request over a new connection takes; None when it is not answered."""
    began = time.monotonic()
    try:
        with socket.create_connection((gateway.LOOPBACK, server.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as one:
                one.sendall(ask_for(path))
                is_taken = one.recv(4096).startswith(b"HTTP/1.1 204 ")
    except OSError:
        return None
    return time.monotonic() - began if is_taken else None


class Newcomer:
    """One of a crowd: a whole request over a new connection, as far as it goes without waiting."""

    def __init__(self, server, context, path):
        plain = socket.create_connection((gateway.LOOPBACK, server.port), 10)
        plain.setblocking(False)
        self.socket = context.wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False)
        self.path, self.is_secured, self.answer = path, False, None

    def go_on(self):
        """Does what can be done now; what it waits for then, or nothing at its end."""
        try:
            if not self.is_secured:
                self.socket.do_handshake()
                self.is_secured = True
                self.socket.sendall(ask_for(self.path))
            self.answer = self.socket.recv(4096)
        except ssl.SSLWantReadError:
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        except OSError:
            pass
        self.socket.close()
        return None


def check_crowd(checks, folder):
    """More honest clients at once than handshakes may be: they wait, and none is cut."""
    folder.mkdir()
    with gateway.Gateway(folder, forward=[], env=TLS_ENV) as server:
        context = ssl.create_default_context(cafile=TLS / "certificate.pem")
        server.connect = lambda **_: secured(server, context)
        server.start()
        path, began = server.webhook("behaves").path, time.monotonic()
        crowd, ready = [], selectors.DefaultSelector()
        for _ in range(CROWD):
            one = Newcomer(server, context, path)
            ready.register(one.socket, one.go_on(), one)
            crowd.append(one)
        while ready.get_map() and time.monotonic() < began + CROWD_SECONDS:
            for key, _ in ready.select(1):
                ready.unregister(key.fileobj)
                if (wanted := key.data.go_on()) is not None:
                    ready.register(key.data.socket, wanted, key.data)
        served = sum((one.answer or b"").startswith(b"HTTP/1.1 204 ") for one in crowd)
        print(f"of a crowd of {CROWD}, {served} are served within {time.monotonic() - began:.2f} s", flush=True)
        checks.equal("a crowd is served", served, CROWD)
        checks.equal("crowd: it ends cleanly", server.stop(), 0)


def check_handshakes(checks, folder):
    """More handshakes than may be at once, that begin and do not end."""
    folder.mkdir()
    context = ssl.create_default_context(cafile=TLS / "certificate.pem")
    with gateway.Gateway(folder, forward=[], env=TLS_ENV) as server:
        # Requests of the API would need TLS, too.
        server.connect = lambda **_: secured(server, context)
        server.start()
        path = server.webhook("behaves").path
        calm = [honest(server, context, path) for _ in range(100)]
        checks.true("without others, honest ones are served", None not in calm, calm)
        whole = hello(context)
        held, before = descriptors(server), server.memory()
        server.forget_peak()
        stalled = Stalled(server.port, [whole[:10], whole[: len(whole) // 2], whole, b""])
        stalled.start()
        are_many = gateway.until(lambda: stalled.begun > STALLED, 20)
        checks.true("more begin than may be at once", are_many, stalled.begun)
        until, beside, most = time.monotonic() + STALLED_SECONDS, [], 0
        while time.monotonic() < until:
            beside.append(honest(server, context, path))
            most = max(most, descriptors(server))
            time.sleep(0.05)
        grown = server.memory("VmHWM") - before
        lost = beside.count(None)
        slowest = max((took for took in beside if took), default=0)
        usual = statistics.median(took or 10 for took in beside)
        print(
            f"{stalled.begun} handshakes begun, {len(stalled.open)} of them open; beside them {len(beside)} honest ones, "
            f"{lost} lost, the slowest {slowest:.2f} s (median {usual:.3f} s, {statistics.median(calm):.3f} s without); "
            f"{most} descriptors, {grown >> 20} MiB",
            flush=True,
        )
        checks.equal("honest ones get in beside them", lost, 0)
        checks.true(f"and within {HONEST_SECONDS} s", slowest <= HONEST_SECONDS, slowest)
        checks.true("stalled ones are ended", stalled.begun > 2 * STALLED, stalled.begun)
        bound = held + HELD_MAX + 64
        checks.true("descriptors are bounded", most <= bound, (most, bound))
        bound = GROWTH_MAX_BYTES + STALLED * STALLED_MAX_BYTES
        checks.true("memory is bounded", grown <= bound, f"{grown >> 20} MiB, not {bound >> 20}")
        stalled.leaving = True
        stalled.join(20)
        are_back = gateway.until(lambda: descriptors(server) <= held + 2, 15)
        checks.true("descriptors are given back", are_back, (held, descriptors(server)))
        checks.true("it is at rest after them", gateway.until(lambda: is_at_rest(server), 10))
        after = [honest(server, context, path) for _ in range(20)]
        checks.true("and serves as before", None not in after and max(after) <= HONEST_SECONDS, after)
        checks.equal("handshakes: it ends cleanly", server.stop(), 0)
        panics = [line for line in server.log.read_text().splitlines() if "panicked" in line]
        checks.equal("nothing panicked", panics, [])


def secured(server, context):
    """A connection like any other, over TLS."""
    connection = gateway.Connection(server.port)
    connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
    return connection


def check(checks, folder):
    """The whole script."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    check_timing(checks, folder / "timing")
    check_signatures(checks, folder / "signatures")
    check_crowd(checks, folder / "crowd")
    check_handshakes(checks, folder / "handshakes")


if __name__ == "__main__":
    gateway.perform(check, seconds=150)
