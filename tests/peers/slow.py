#!/usr/bin/env python3
"""Thousands of connections that do nothing, or little, while somebody behaves: what each costs in memory, and what the
one who behaves feels of them.

Idle ones first: plain, and over TLS, a gateway of its own for each; at most 16 KiB of memory each. Then attackers: a
head of a byte a second, a body of a byte a second, silence, in equal parts. The p99 of honest requests is at most
twice what it is while the same attackers are at another gateway of this machine, or 2 ms more where twice is less
than that; memory grows by at most 16 MiB and 24 KiB an attacker. Last, heads that are as long as they may be: twice
as many halves of them over HTTP/1, and some on each of 128 streams over HTTP/2, at a gateway that gives 16 MiB to all
heads; memory grows by these and as much as above, and by 128 KiB more for a connection of HTTP/2, whose parser keeps
1 KiB for each of as many streams as were open at once. Takes HOOKGATE_BIN and --connections (1,000). Ends with `N
passed, N failed`.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import resource
import socket
import ssl
import time

import gateway

IDLE_MAX_BYTES = 16 << 10
SLOWED_MAX = 2.0
SLOWED_SECONDS = 0.002
# Who speaks has a parser and its buffers: more than an idle one, and no more than this.
ATTACKER_MAX_BYTES = 24 << 10
GROWTH_MAX_BYTES = 16 << 20
HONEST = 1200
HEADS_BYTES = 16 << 20
HALF_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"a: " + b"b" * 5995 + b"\r\n") * 10
# What the parser keeps for each stream that was open beside others, also once it is refused.
STREAMS_MAX_BYTES = ATTACKER_MAX_BYTES + (128 << 10)
STREAMS, PREFACE = 128, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
# HEADERS with END_HEADERS, without END_STREAM.
HEADERS = b"\x01\x04"
# HPACK without its table: POST, http, `x`; then 90 headers, and one of 8,000 bytes.
PSEUDO = b"\x83\x86\x01\x01x"
FIELDS = b"\0\x01a\x08bbbbbbbb" * 90 + b"\0\x01c\x7f\xc1\x3d" + b"d" * 8000
TLS = gateway.ROOT / "tests/data/tls"
# One source address has some 28,000 ports: several, so that none is short of them.
SOURCES = [f"127.0.0.{number}" for number in range(2, 10)]


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def honest(server, path, count=HONEST):
    """Seconds of each of some requests, on connections of their own, all answered 204."""
    seconds, statuses = [], {}
    for number in range(count):
        started = time.monotonic()
        answer = server.post(path, {"number": number})
        seconds.append(time.monotonic() - started)
        status = answer and answer.status
        statuses[status] = statuses.get(status, 0) + 1
        time.sleep(0.005)
    return seconds, statuses


class Crowd(multiprocessing.Process):
    """Attackers: connections of three kinds, which come back when they are ended, until it is terminated. A process of
    its own: within this one the clock of honest requests would wait for the interpreter that attacks."""

    def __init__(self, port, path, count):
        super().__init__(daemon=True)
        self.port, self.count = port, count
        self._open, self._ended = multiprocessing.RawValue("i"), multiprocessing.RawValue("i")
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n"
        self.kinds = [
            (f"{head}a: ".encode(), b"b"),
            (f"{head}Content-Length: 100000\r\n\r\n".encode(), b"b"),
            (b"", b""),
        ]

    @property
    def open(self):
        """Connections that are there now."""
        return self._open.value

    @property
    def ended(self):
        """Those that were ended so far."""
        return self._ended.value

    def run(self):
        # What attacks costs elsewhere what it costs here.
        os.nice(19)
        asyncio.run(self.crowd())

    async def crowd(self):
        await asyncio.gather(*(self.attack(number) for number in range(self.count)))

    async def attack(self, number):
        first, then = self.kinds[number % len(self.kinds)]
        source = SOURCES[number % len(SOURCES)]
        await asyncio.sleep(number / 2000)
        while True:
            try:
                reader, writer = await asyncio.open_connection(gateway.LOOPBACK, self.port, local_addr=(source, 0))
            except OSError:
                await asyncio.sleep(1)
                continue
            self._open.value += 1
            try:
                writer.write(first)
                while not reader.at_eof():
                    await asyncio.sleep(1)
                    writer.write(then)
                    await writer.drain()
            except OSError:
                pass
            self._open.value -= 1
            self._ended.value += 1
            writer.close()


def held(server):
    """Bytes of memory, also those that were swapped out because nobody uses them."""
    return server.memory() + server.memory("VmSwap")


def idle(checks, folder, what, count, context=None):
    """What an idle connection costs: one that asked once, and stays."""
    env = {"HOOKGATE_LIMITS__IDLE_SECONDS": "600", "HOOKGATE_LIMITS__WRONG_SLUGS_PER_MINUTE": "0"}
    if context:
        env["HOOKGATE_SERVER__TLS_CERTIFICATE"] = str(TLS / "certificate.pem")
        env["HOOKGATE_SERVER__TLS_KEY"] = str(TLS / "key.pem")
    place = folder / what
    place.mkdir()
    with gateway.Gateway(place, forward=[], env=env) as server:
        server.start()

        def opened(number):
            plain = socket.create_connection((gateway.LOOPBACK, server.port), 30, (SOURCES[number % len(SOURCES)], 0))
            return context.wrap_socket(plain, server_hostname="localhost") if context else plain

        def ask(connection):
            connection.sendall(b"GET /hooks/AAAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: x\r\n\r\n")
            return connection.recv(4096).startswith(b"HTTP/1.1 404 ")

        # What the first ones cost is the process's, not theirs.
        warm = [opened(number) for number in range(100)]
        answered = sum(map(ask, warm))
        time.sleep(2)
        before = held(server)
        crowd = [opened(number) for number in range(count)]
        answered += sum(map(ask, crowd))
        time.sleep(3)
        each = (held(server) - before) / count
        print(f"an idle connection, {what}: {each / 1024:.1f} KiB of {count}", flush=True)
        checks.equal(f"idle, {what}: all are answered", answered, count + len(warm))
        checks.true(f"idle, {what}: at most 16 KiB each", each <= IDLE_MAX_BYTES, f"{each:.0f} bytes")
        checks.true(f"idle, {what}: the last and the first are served", ask(crowd[-1]) and ask(warm[0]))
        for connection in crowd + warm:
            connection.close()


def attacked(checks, folder, count):
    """What honest requests feel of a crowd of slow ones: beside what they feel of the same crowd at somebody else's
    door, for what it takes of the machine. In turn, twice each."""
    (folder / "other").mkdir()
    with gateway.Gateway(folder, forward=[]) as server, gateway.Gateway(folder / "other", forward=[]) as other:
        doors = []
        for one in (other, server):
            one.start()
            doors.append((one, one.webhook("behaves").path))
        path = doors[1][1]
        honest(server, path, 200)
        calm, statuses = honest(server, path)
        checks.equal("undisturbed, all are taken", statuses, {204: HONEST})
        server.forget_peak()
        before, felt = server.memory(), {other: [], server: []}
        for door, hook in doors * 2:
            crowd = Crowd(door.port, hook, count)
            crowd.start()
            come = gateway.until(lambda: crowd.open >= count * 0.98, 60)
            checks.true(f"{count} attackers are there", come, crowd.open)
            seconds, statuses = honest(server, path)
            felt[door] += seconds
            checks.equal("beside attackers, all are taken", statuses, {204: HONEST})
            # A head has 10 s, a body 5 s for its first byte and 10 s of grace.
            ended = gateway.until(lambda: crowd.ended >= count * 0.9, 40)
            checks.true("attackers are ended", ended, crowd.ended)
            crowd.terminate()
            crowd.join(20)
        there, here = (percentile(felt[door], 0.99) for door in (other, server))
        grown = server.memory("VmHWM") - before
        print(
            f"honest p99: {percentile(calm, 0.99) * 1000:.2f} ms undisturbed, {there * 1000:.2f} ms while {count} "
            f"attackers are at another gateway, {here * 1000:.2f} ms while they are here; memory grew by "
            f"{grown >> 20} MiB",
            flush=True,
        )
        most = max(there * SLOWED_MAX, there + SLOWED_SECONDS)
        checks.true("beside attackers, p99 is at most twice", here <= most, f"{here:.4f} s, not {most:.4f} s")
        most = GROWTH_MAX_BYTES + count * ATTACKER_MAX_BYTES
        checks.true("beside attackers, memory is bounded", grown <= most, f"{grown >> 20} MiB")


def streams(path):
    """A connection of HTTP/2 whose streams have long heads and bodies that do not come."""
    head = PSEUDO + b"\x04" + bytes([len(path)]) + path.encode() + FIELDS
    length = len(head).to_bytes(3, "big")
    return PREFACE + b"".join(length + HEADERS + (2 * n + 1).to_bytes(4, "big") + head for n in range(STREAMS))


def heads(checks, folder, what, count, each, sent):
    """What long heads of many connections cost together, and that the usual ones pass beside them."""
    place = folder / what
    place.mkdir()
    # Those that are held are not to be ended while others are sent.
    limits = {"HEADS_MAX_BYTES": HEADS_BYTES, "HEADER_SECONDS": 60}
    env = {f"HOOKGATE_LIMITS__{name}": str(value) for name, value in limits.items()}
    with gateway.Gateway(place, forward=[], env=env) as server:
        server.start()
        path = server.webhook("behaves").path
        honest(server, path, 100)
        server.forget_peak()
        before, crowd, passed = server.memory(), [], []
        for number in range(count):
            connection = socket.create_connection((gateway.LOOPBACK, server.port), 30, (SOURCES[number % 8], 0))
            with contextlib.suppress(OSError):
                connection.sendall(sent(path))
            crowd.append(connection)
            if number % 50 == 0:
                passed.append(server.post(path, {"number": number}).status)
        told = gateway.until(lambda: refusals(server) > 0, 20)
        checks.true(f"{what}: some have no room and are told", told)
        checks.equal(f"{what}: usual ones pass", set(passed), {204})
        time.sleep(2)
        grown = server.memory("VmHWM") - before
        print(f"{what}: {count} connections, memory grew by {grown / (1 << 20):.0f} MiB", flush=True)
        most = HEADS_BYTES + GROWTH_MAX_BYTES + count * each
        checks.true(f"{what}: memory is bounded", grown <= most, f"{grown >> 20} MiB, not {most >> 20}")
        for connection in crowd:
            connection.close()


def refusals(server):
    """Heads and blocks that were refused for want of room."""
    lines = server.admin("/metrics").body.decode().splitlines()
    found = [line for line in lines if 'reason="heads-crowded"' in line]
    return sum(int(line.rsplit(" ", 1)[1]) for line in found)


def raise_descriptors(count):
    """Descriptors for both ends of the connections."""
    wanted = count + 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000)
    count = parser.parse_args().connections
    raise_descriptors(count)

    def check(checks, folder):
        context = ssl.create_default_context(cafile=TLS / "certificate.pem")
        # What they cost together grows by leaps: so many that one of them weighs little.
        idle(checks, folder, "plain", max(count, 5000))
        idle(checks, folder, "TLS", min(count, 2000), context)
        attacked(checks, folder, count)
        heads(checks, folder, "half heads", min(2 * count, 4000), ATTACKER_MAX_BYTES, lambda _: HALF_HEAD)
        heads(checks, folder, "heads of streams", min(count // 10, 400), STREAMS_MAX_BYTES, streams)

    gateway.perform(check, seconds=170 if count <= 2000 else 600)


if __name__ == "__main__":
    main()
