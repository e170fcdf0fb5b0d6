#!/usr/bin/env python3
"""HTTP/2 frames by the thousand, and hostile bodies many at once, sent to the process itself: what each costs in memory,
descriptors and processor time, while somebody who behaves is served all the time.

Frames are written by hyperframe and hpack, and by hand where no library would. Each flood has several connections and
lasts for some seconds; one that is ended is opened again. One has many, which fill their tables of headers with entries
of a few bytes, each from a read of its own, for as long as they are not sent away, and stay. Memory is the peak of the process (VmHWM). A second after a
flood the process must be at rest, and have the descriptors it had. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import contextlib
import json
import os
import resource
import socket
import threading
import time
from pathlib import Path

import gateway
from hostile import Prober

FLOOD_SECONDS, CONNECTIONS, BODIES, BODIES_SECONDS = 3, 8, 64, 60
GROWTH_MAX_BYTES = 64 << 20
# What bodies that unfold to much may cost all together.
BODIES_GROWTH_MAX_BYTES = 256 << 20
# Connections that fill their tables, each with more entries than have room there; and what they may cost: a table's own
# share, its margin, and the eighth that is for all.
TABLES, ENTRIES, FILLER_BYTES = 304, 140, 16 << 10
TABLES_GROWTH_MAX_BYTES = 64 << 20
REST_SECONDS, REST_CPU_SECONDS = 1, 0.2
# Somebody who behaves may wait while both cores are busy with floods.
SLOWEST_SECONDS = 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, GO_AWAY, WINDOW, CONTINUATION, UNKNOWN = 0, 1, 2, 3, 4, 6, 7, 8, 9, 0xFA
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    """One frame, whatever is in it."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def head(path, *more):
    """The header block of a POST, packed without a memory of others."""
    from hpack import Encoder

    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path), *more]
    return Encoder().encode(fields, huffman=False)


def floods(path):
    """Name, what is sent first, and what again and again, by the number of the round (streams are odd numbers)."""
    block = head(path)
    stream = lambda number: 2 * (number + 1) + 1
    opened = frame(HEADERS, END_HEADERS, 1, block)
    filler = head(path, ("a", "b" * 12_000))
    # One long field is kept, then named again and again: a few bytes each, twelve thousand unfolded.
    unfolds = filler + b"\xbe" * 4000
    return [
        ("streams opened and reset", b"", lambda n: frame(HEADERS, END_HEADERS, stream(n), block) + frame(RESET, 0, stream(n), b"\0\0\0\x08")),
        ("continuations without an end", frame(HEADERS, 0, 1, block), lambda n: frame(CONTINUATION, 0, 1, b"\0\x01a\x01b" * 20)),
        ("empty continuations", frame(HEADERS, 0, 1, block), lambda n: frame(CONTINUATION, 0, 1)),
        ("pings beside an open stream", opened, lambda n: frame(PING, 0, 0, n.to_bytes(8, "big"))),
        ("settings beside an open stream", opened, lambda n: frame(SETTINGS, 0, 0)),
        ("priorities", opened, lambda n: frame(PRIORITY, 0, stream(n), b"\0\0\0\0\x01")),
        ("frames of an unknown kind", opened, lambda n: frame(UNKNOWN, 0, 0, b"x" * 64)),
        ("empty data", opened, lambda n: frame(DATA, 0, 1)),
        ("windows a byte wider", opened, lambda n: frame(WINDOW, 0, 0, b"\0\0\0\x01")),
        ("streams beyond those agreed", b"", lambda n: frame(HEADERS, END_HEADERS, stream(n), block)),
        ("headers that unfold to much", b"", lambda n: frame(HEADERS, END_HEADERS | END_STREAM, stream(n), unfolds)),
        ("tables that change their size", b"", lambda n: frame(SETTINGS, 0, 0, b"\0\x01" + (n % 4096).to_bytes(4, "big"))),
    ]


class Flooder(threading.Thread):
    """Sends one flood over one connection after the other; counts frames' bytes, and how often it was sent away."""

    def __init__(self, server, first, again):
        super().__init__(daemon=True)
        self.server, self.first, self.again = server, first, again
        self.sent, self.ended, self.until = 0, 0, time.monotonic() + FLOOD_SECONDS

    def run(self):
        while time.monotonic() < self.until:
            try:
                self.flood(self.server.connect(seconds=FLOOD_SECONDS))
            except OSError:
                self.ended += 1

    def flood(self, connection):
        connection.send(PREFACE + frame(SETTINGS, 0, 0) + self.first)
        number, reader = 0, threading.Thread(target=read_all, args=(connection.socket,), daemon=True)
        reader.start()
        try:
            while time.monotonic() < self.until and number < (1 << 20):
                frames = b"".join(self.again(one) for one in range(number, number + 100))
                connection.socket.settimeout(FLOOD_SECONDS)
                connection.send(frames)
                self.sent, number = self.sent + len(frames), number + 100
        finally:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
            reader.join()
            connection.close()


class Tables(threading.Thread):
    """Fills the tables of its share of the connections, and holds all of them until none of the others fills one."""

    def __init__(self, server, all_filled):
        super().__init__(daemon=True)
        self.server, self.all_filled, self.sent, self.ended = server, all_filled, 0, 0

    def run(self):
        held = []
        for _ in range(TABLES // CONNECTIONS):
            connection = self.server.connect(seconds=BODIES_SECONDS)
            held.append(connection)
            try:
                self.fill(connection)
            except OSError:
                self.ended += 1
        with contextlib.suppress(threading.BrokenBarrierError):
            self.all_filled.wait(BODIES_SECONDS)
        for connection in held:
            connection.close()

    def fill(self, connection):
        # It never says that it read our settings.
        connection.send(PREFACE + frame(SETTINGS, 0, 0))
        filler, heard = frame(UNKNOWN, 0, 0, b"x" * FILLER_BYTES), Frames(connection.socket)
        for number in range(ENTRIES):
            # GET, http, `x`, and a path that goes into the table: h2 keeps it as it came, where it copies other fields.
            head = frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, b"\x82\x86\x01\x01x\x44\x02/a")
            connection.send(head + filler)
            self.sent += len(head) + len(filler)
            # Whoever goes on after a farewell is cut: staying costs more.
            if heard.until(HEADERS, GO_AWAY) != HEADERS:
                self.ended += 1
                return


class Frames:
    """What a peer answers, frame by frame."""

    def __init__(self, source):
        self.source, self.rest = source, b""

    def until(self, *kinds):
        """The next frame of one of the kinds; none at the end."""
        while True:
            while len(self.rest) >= 9 and len(self.rest) >= (end := 9 + int.from_bytes(self.rest[:3], "big")):
                kind, self.rest = self.rest[3], self.rest[end:]
                if kind in kinds:
                    return kind
            data = self.source.recv(65536)
            if not data:
                return None
            self.rest += data


def read_all(source):
    """Throws away what is answered, until that ends."""
    with contextlib.suppress(OSError):
        while source.recv(65536):
            pass


def cpu_seconds(server):
    """Processor time that the process has used."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def is_at_rest(server):
    """Whether the process does almost nothing for a second."""
    began = cpu_seconds(server)
    time.sleep(REST_SECONDS)
    return cpu_seconds(server) - began <= REST_CPU_SECONDS


def check_cost(checks, server, path, what, load, growth_max):
    """What a load of threads costs while it lasts, and after it."""
    server.forget_peak()
    before, held, used, prober = server.memory(), descriptors(server), cpu_seconds(server), Prober(server, path)
    prober.start()
    began = time.monotonic()
    for thread in load:
        thread.start()
    for thread in load:
        thread.join()
    lasted, used = time.monotonic() - began, cpu_seconds(server) - used
    prober.done = True
    prober.join()
    grown = server.memory("VmHWM") - before
    sent = sum(getattr(thread, "sent", 0) for thread in load)
    ended = sum(getattr(thread, "ended", 0) for thread in load)
    print(f"{what:<32} {sent >> 10:>7} KiB sent, {ended:>5} times ended, {grown >> 20:>3} MiB, {used:5.1f} s of {lasted:4.1f}", flush=True)
    checks.true(f"{what}: memory grows by {growth_max >> 20} MiB at most", grown <= growth_max, f"{grown >> 20} MiB")
    checks.equal(f"{what}: who behaves is served", prober.faults[:3], [])
    checks.true(f"{what}: and soon", prober.slowest <= SLOWEST_SECONDS, f"{prober.slowest:.1f} s")
    checks.true(f"{what}: it is at rest after it", gateway.until(lambda: is_at_rest(server), 10), cpu_seconds(server))
    left = lambda: descriptors(server) <= held + 2
    checks.true(f"{what}: descriptors are given back", gateway.until(left, 15), (held, descriptors(server)))


def bodies():
    """Bodies of almost 1 MiB that unfold to much."""
    return [
        ("arrays of objects", b"[" + b'{"":0},' * 149_000 + b"{}]"),
        ("arrays in arrays", b"[" + b"[0]," * 260_000 + b"[]]"),
        ("names", b"{" + b",".join(b'"%d":0' % number for number in range(99_000)) + b"}"),
        ("escapes", json.dumps("\u0001" * 170_000).encode()),
    ]


def check(checks, folder):
    """The whole script."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with gateway.Gateway(folder) as server:
        server.start()
        path = server.webhook("behaves").path
        for _ in range(500):
            server.post(path, {"filler": "x" * 8000})
        for what, first, again in floods(path):
            load = [Flooder(server, first, again) for _ in range(CONNECTIONS)]
            for flooder in load:
                flooder.until = time.monotonic() + FLOOD_SECONDS
            check_cost(checks, server, path, what, load, GROWTH_MAX_BYTES)
        filled = threading.Barrier(CONNECTIONS)
        load = [Tables(server, filled) for _ in range(CONNECTIONS)]
        check_cost(checks, server, path, "hpack tables", load, TABLES_GROWTH_MAX_BYTES)
        checks.equal("hpack tables: each is sent away", sum(one.ended for one in load), TABLES)
        for what, body in bodies():
            answers = []

            def post(body=body, answers=answers):
                connection = server.connect(seconds=BODIES_SECONDS)
                answer = connection.ask("POST", path, body, {"content-type": "application/json"})
                answers.append(answer and answer.status)
                connection.close()

            load = [threading.Thread(target=post, daemon=True) for _ in range(BODIES)]
            check_cost(checks, server, path, f"{BODIES} bodies of {what}", load, BODIES_GROWTH_MAX_BYTES)
            odd = set(answers) - {204, 400, 413, 503}
            checks.equal(f"{BODIES} bodies of {what}: each is answered", (len(answers), odd), (BODIES, set()))
        checks.equal("it is the same process", server.process.poll(), None)
        checks.equal("it ends cleanly", server.stop(), 0)
        panics = [line for line in server.log.read_text().splitlines() if "panicked" in line]
        checks.equal("nothing panicked", panics, [])


if __name__ == "__main__":
    gateway.perform(check, seconds=240)
