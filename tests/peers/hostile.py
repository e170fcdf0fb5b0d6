#!/usr/bin/env python3
"""Sends what nobody should send: broken heads, endless and lying bodies, slow and silent sockets, template bombs, and
10,000 connections that stay open. Each gets its documented answer, while somebody who behaves is served without a gap.

Memory is the peak of the process (VmHWM): at most 64 MiB more than after a warm-up, and 20 KiB more for each of the 10,000
connections; 3 KiB once they have been quiet for some seconds. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import gzip
import os
import resource
import threading
import time
import zlib
from pathlib import Path

import gateway
from bombs import BOMBS

TAKES_ALL = """{
  "event": "peer.took", "resource": {"prefect.resource.id": "peer"}, "payload": {"body": {{ body|tojson }}}
}"""
GROWTH_MAX_BYTES = 64 << 20
IDLE_CONNECTIONS = 10_000
# Of each: new, until its thread gives back once a second what it freed (all may come in less); and once it is quiet.
NEW_BYTES, QUIET_BYTES, QUIET_SECONDS = 20 << 10, 3 << 10, 10
BOMB_SECONDS = 1.0
SLOW_CONNECTIONS = 20
# Deadlines by default: of a head, of a body's first byte, of a pace below 500 bytes a second; and what a busy machine
# may add.
HEAD_SECONDS, FIRST_BYTE_SECONDS, PACE_SECONDS, SLACK_SECONDS = 10, 5, 15, 5


class Prober(threading.Thread):
    """Somebody who behaves: posts all the time, and notes each answer that is not 204 and the longest wait."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.server, self.path = server, path
        self.count, self.slowest, self.faults, self.done = 0, 0.0, [], False

    def run(self):
        while not self.done:
            started = time.monotonic()
            try:
                answer = self.server.post(self.path, {"probe": self.count})
                if answer is None or answer.status != 204:
                    self.faults.append(answer)
            except OSError as fault:
                self.faults.append(fault)
            self.count += 1
            self.slowest = max(self.slowest, time.monotonic() - started)
            time.sleep(0.02)


def request(path, *lines, body=b"", method="POST"):
    """A request of exactly those header lines."""
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
    return head.encode("latin-1") + body


def with_length(path, body, *lines):
    """A request with a right length."""
    return request(path, "Host: x", f"Content-Length: {len(body)}", *lines, body=body)


def refused(path):
    """What is answered without being kept: name, bytes, status, whether the connection ends."""
    json_type, chunked = "Content-Type: application/json", "Transfer-Encoding: chunked"
    zeros = b"\0" * (256 << 20)
    packed = gzip.compress(zeros, 9)
    return [
        ("an unknown slug", with_length("/hooks/AAAAAAAAAAAAAAAAAAAAAA", b"{}", json_type), 404, False),
        ("a slug too long", with_length(f"/hooks/{'A' * 4000}", b"{}", json_type), 404, False),
        ("a path behind the slug", with_length(f"{path}/more", b"{}", json_type), 404, False),
        ("a length of 99,999,999 bytes", request(path, "Host: x", "Content-Length: 99999999"), 413, True),
        ("a chunk that has no length", request(path, "Host: x", chunked, body=b"zz\r\n{}\r\n0\r\n\r\n"), 400, True),
        ("a chunk of 2^68 bytes", request(path, "Host: x", chunked, body=b"11111111111111111\r\n"), 400, True),
        ("a gzip bomb", with_length(path, packed, "Content-Encoding: gzip"), 413, True),
        ("a deflate bomb", with_length(path, zlib.compress(zeros, 9), "Content-Encoding: deflate"), 413, True),
        ("a gzip in a gzip", with_length(path, gzip.compress(packed), "Content-Encoding: gzip, gzip"), 415, True),
        ("a gzip cut short", with_length(path, gzip.compress(b"{}")[:-9], "Content-Encoding: gzip"), 400, True),
        ("a header of 2 MB", request(path, "Host: x", f"a: {'b' * (2 << 20)}"), 431, True),
        ("101 headers", request(path, "Host: x", *["a: b"] * 100), 431, True),
        ("a target of 9 KB", request(f"/hooks/{'a' * 9000}", "Host: x"), 414, True),
        ("an unknown method", request(path, "Host: x", method="BREW"), 405, False),
        ("an unknown method on an unknown slug", request("/hooks/none", "Host: x", method="BREW"), 405, False),
        ("a length and chunks", request(path, "Host: x", "Content-Length: 2", chunked, body=b"{}"), 400, True),
        ("another transfer encoding", request(path, "Host: x", "Transfer-Encoding: gzip, chunked"), 400, True),
        ("two lengths", request(path, "Host: x", "Content-Length: 2", "Content-Length: 3", body=b"{}"), 400, True),
        ("no Host", request(path, "Content-Length: 0"), 400, True),
        ("two Hosts", request(path, "Host: x", "Host: x", "Content-Length: 0"), 400, True),
        ("a line folded", request(path, "Host: x", "a: b", " c"), 400, True),
        ("bare line feeds", f"POST {path} HTTP/1.1\nHost: x\nContent-Length: 0\n\n".encode(), 400, True),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01" + b"\0" * 200 + b"\r\n\r\n", 400, True),
    ]


# What is kept, whatever it is: name, body, media type, status, and what stands at the destination.
KEPT = [
    ("invalid UTF-8", b'{"a": "\xff\xfe"}', "application/json", 204, '{"a": "\ufffd\ufffd"}'),
    ("NaN", b'{"a": NaN}', "application/json", 204, '{"a": NaN}'),
    ("JSON cut short", b'{"a": [1, 2', "application/json", 204, '{"a": [1, 2'),
    ("U+0000", b'{"a": "x\\u0000y"}', "application/json", 204, {"a": "x\ufffdy"}),
    (
        "a number of 30 digits",
        b'{"a": 123456789012345678901234567890}',
        "application/json",
        204,
        {"a": int("1234567890" * 3)},
    ),
    ("a doubled name", b'{"a": 1, "a": 2}', "application/json", 204, {"a": 2}),
    ("a body of nothing", b"", "application/json", 204, ""),
    ("100,000 arrays in each other", b"[" * 100_000 + b"]" * 100_000, "application/json", 400, "too-large"),
    ("100,000 arrays that never end", b"[" * 100_000, "application/json", 400, "too-large"),
    ("150,000 numbers", b"[" + b"0," * 149_999 + b"0]", "application/json", 400, "too-large"),
    ("75,000 objects", b"[" + b'{"":0},' * 74_999 + b"{}]", "application/json", 400, "too-large"),
    (
        "a form of 150,000 fields",
        b"a&" * 150_000,
        "application/x-www-form-urlencoded",
        400,
        "too-large",
    ),
    ("a number of 100,000 digits", b'{"a": %s}' % (b"1" * 100_000), "application/json", 400, "invalid-event"),
]


def check_refused(checks, server, path):
    """Broken requests: the status, and whether the connection goes on."""
    for name, data, status, ends in refused(path):
        connection = server.connect()
        try:
            connection.send(data)
        except ConnectionError:
            pass  # it may answer and leave before all was sent
        answer = connection.answer()
        checks.equal(f"{name} is answered", answer and answer.status, status)
        if ends:
            checks.true(f"{name} ends the connection", connection.ended(SLACK_SECONDS))
        else:
            answer = connection.post(path, {})
            checks.equal(f"the connection goes on after {name}", answer and answer.status, 204)
        connection.close()


def check_disabled(checks, server):
    """A webhook that is switched off looks like one that never was."""
    webhook = server.webhook("off", TAKES_ALL)
    checks.equal(
        "a webhook is switched off", server.api("PATCH", f"/webhooks/{webhook.id}", {"enabled": False}).status, 204
    )
    off, never = server.post(webhook.path, {}), server.post("/hooks/AAAAAAAAAAAAAAAAAAAAAA", {})
    volatile = ("date", "x-request-id")
    plain = lambda answer: (answer.status, answer.body, {k: v for k, v in answer.headers.items() if k not in volatile})
    checks.equal("a disabled webhook is told from an unknown one by nothing", plain(off), plain(never))


def check_kept(checks, server):
    """Odd bodies: the answer, the receipt, and what became of them at the destination."""
    webhook, receipts = server.webhook("odd", TAKES_ALL), {}
    for name, body, media_type, status, _ in KEPT:
        connection = server.connect()
        answer = connection.ask("POST", webhook.path, body, {"content-type": media_type})
        checks.equal(f"{name} is answered", answer and answer.status, status)
        receipts[name] = answer and answer.headers.get("hookgate-receipt")
        connection.close()
    followers = {event["follows"]: event for event in server.drained_events()}
    for name, _, _, status, expected in KEPT:
        event = followers.get(receipts[name], {"payload": {}})["payload"]
        found = event.get("body") if status == 204 else event.get("error_type")
        checks.equal(f"{name} is at the destination", found, expected)


def check_slow(checks, server, path):
    """Silent, slow and half sockets, many at once: each ends within its deadline."""
    head = request(path, "Host: x", "Content-Length: 1000")
    kinds = [
        ("a silent socket", b"", b"", HEAD_SECONDS, None),
        ("half a request line", b"POST /ho", b"", HEAD_SECONDS, None),
        ("half an HTTP/2 preface", b"PRI * HTTP/2.0\r\n", b"", HEAD_SECONDS, None),
        ("headers of a byte a second", b"POST /hooks/x HTTP/1.1\r\na: ", b"b", HEAD_SECONDS, None),
        ("a body that never comes", head, b"", FIRST_BYTE_SECONDS, 408),
        ("a body of a byte a second", head, b"b", PACE_SECONDS, 408),
        (
            "a chunked body of a byte a second",
            request(path, "Host: x", "Transfer-Encoding: chunked", body=b"ff\r\n"),
            b"b",
            PACE_SECONDS,
            408,
        ),
    ]
    results, threads = [], []
    for kind in kinds:
        for _ in range(SLOW_CONNECTIONS):
            threads.append(
                threading.Thread(target=lambda kind=kind: results.append((kind[0], trickle(server, *kind[1:]))))
            )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, _, _, seconds, _ in kinds:
        faults = [fault for kind, fault in results if kind == name and fault]
        checks.equal(f"{name} ends within {seconds} s ({SLOW_CONNECTIONS} at once)", faults, [])


def trickle(server, first, then, seconds, status):
    """Sends a beginning, then a little every second; returns what is wrong with the end, or None."""
    connection, started = server.connect(), time.monotonic()
    connection.send(first)
    said = b""
    while (lasted := time.monotonic() - started) <= seconds + SLACK_SECONDS:
        connection.socket.settimeout(1)
        try:
            data = connection.socket.recv(4096)
            said += data
            if not data:
                break
        except TimeoutError:
            pass
        except ConnectionError:
            break
        try:
            connection.send(then)
        except OSError:
            pass
    else:
        return f"still open after {lasted:.0f} s"
    connection.close()
    if status and not said.startswith(f"HTTP/1.1 {status} ".encode()):
        return f"ended after {lasted:.0f} s with {said[:100]!r}"
    return None


def check_bombs(checks, server):
    """Templates that would hang or kill: refused when saved, or stopped when rendered, and quickly."""
    posted = []
    for name, source, body, expected in BOMBS:
        started = time.monotonic()
        made = server.api("POST", "/webhooks/", {"name": name, "template": source})
        if made.status == 201:
            answer = server.post(f"/hooks/{made.json()['slug']}", body)
            posted.append((name, expected, answer))
        took = time.monotonic() - started
        allowed = {"saved": [422], "stopped": [422, 201], "any": [422, 201]}[expected]
        checks.true(f"the bomb '{name}' is saved or not as expected ({expected})", made.status in allowed, made)
        checks.true(f"the bomb '{name}' takes {BOMB_SECONDS} s at most", took <= BOMB_SECONDS, f"{took:.2f} s")
    followers = {event["follows"]: event for event in server.drained_events()}
    for name, expected, answer in posted:
        if expected == "any":
            checks.true(f"the bomb '{name}' is answered", answer and answer.status in (204, 400), answer)
            continue
        event = followers.get(answer and answer.headers.get("hookgate-receipt"), {"event": None, "payload": {}})
        found = (answer and answer.status, event["event"], event["payload"].get("error_type"))
        checks.equal(f"the bomb '{name}' is stopped", found, (400, "prefect-cloud.webhook.failed", "template"))


def check_idle(checks, server, path, before):
    """10,000 connections that have asked once and stay: each is still served when it asks again, and costs little."""
    connections = []
    for number in range(IDLE_CONNECTIONS):
        connections.append(server.connect())
        if number % 100 == 0:
            answer = connections[-1].post(path, {})
        else:
            answer = connections[-1].ask("GET", "/hooks/AAAAAAAAAAAAAAAAAAAAAA")
        if answer is None or answer.status not in (204, 404, 429):
            break
    checks.equal("10,000 connections are open at once", len(connections), IDLE_CONNECTIONS)
    checks.equal("a newcomer is served beside them", server.post(path, {}).status, 204)
    statuses = {}
    for connection in connections:
        try:
            answer = connection.post(path, {})
        except OSError:
            answer = None
        status = answer and answer.status
        statuses[status] = statuses.get(status, 0) + 1
    checks.equal("every one of them is still served", statuses, {204: IDLE_CONNECTIONS})
    most = before + GROWTH_MAX_BYTES + IDLE_CONNECTIONS * QUIET_BYTES
    is_quiet = gateway.until(lambda: server.memory() <= most, QUIET_SECONDS, 0.5)
    checks.true("quiet, they hold 3 KiB each at most", is_quiet, f"{server.memory() >> 20} MiB")
    for connection in connections:
        connection.close()


def check_process(checks, server):
    """What is said of the process at its start, and what a crash of it would leave behind."""
    if os.geteuid() == 0:
        checks.true("who runs it as root is told so", "this runs as root" in server.log.read_text(), server.said())
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    cores = [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core file size")]
    checks.equal("it leaves no core file", cores, [["0", "0"]])


def check_growth(checks, server, what, before, most):
    """The peak since it was forgotten last."""
    peak = server.memory("VmHWM")
    print(f"{what}: {before >> 20} MiB after the warm-up, {peak >> 20} MiB at most")
    checks.true(
        f"{what}: memory grows by {most >> 20} MiB at most", peak - before <= most, f"{(peak - before) >> 20} MiB"
    )
    server.forget_peak()


def raise_descriptors():
    """Descriptors for both ends of the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS + 2000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        hard = wanted
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check(checks, folder):
    """The whole script."""
    raise_descriptors()
    with gateway.Gateway(folder) as server:
        server.start()
        path = server.webhook("behaves", TAKES_ALL).path
        for _ in range(500):
            server.post(path, {"filler": "x" * 8000})
        server.forget_peak()
        before, prober = server.memory(), Prober(server, path)
        prober.start()
        check_process(checks, server)
        check_refused(checks, server, path)
        check_disabled(checks, server)
        check_growth(checks, server, "broken requests", before, GROWTH_MAX_BYTES)
        check_kept(checks, server)
        check_growth(checks, server, "odd bodies", before, GROWTH_MAX_BYTES)
        check_slow(checks, server, path)
        check_growth(checks, server, "slow sockets", before, GROWTH_MAX_BYTES)
        check_bombs(checks, server)
        check_growth(checks, server, "template bombs", before, GROWTH_MAX_BYTES)
        check_idle(checks, server, path, before)
        most = GROWTH_MAX_BYTES + IDLE_CONNECTIONS * NEW_BYTES
        check_growth(checks, server, "10,000 connections", before, most)
        prober.done = True
        prober.join()
        checks.equal("who behaves was served all the time", prober.faults[:5], [])
        print(f"{prober.count} well-behaved requests meanwhile, the slowest {prober.slowest * 1000:.0f} ms")
        checks.equal("it is the same process", server.process.poll(), None)
        checks.equal("it ends cleanly", server.stop(), 0)
        panics = [line for line in server.log.read_text().splitlines() if "panicked" in line]
        checks.equal("nothing panicked", panics, [])


if __name__ == "__main__":
    gateway.perform(check, seconds=360)
