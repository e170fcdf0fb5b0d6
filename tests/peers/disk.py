#!/usr/bin/env python3
"""Takes the disk away: a file system that somebody else fills, one that fills because a destination is gone, one too
small for the files of a destination, one that turns read-only, one that hangs, a damaged byte in the middle of a
segment, and a second process on the same folder.

The file systems are small tmpfs in a mount namespace of the script's own, so nothing is left behind; that needs root,
or a kernel that grants it in a user namespace. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import contextlib
import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time

import gateway

DISK_BYTES = 48 << 20
FULL_SECONDS, ROOM_SECONDS = 30, 30
# Old segments are read for damage behind the start.
READ_SECONDS = 30
CLIENTS = 4
INSIDE = "HOOKGATE_PEERS_NAMESPACE"
FILLER = "x" * 20_000


class Load:
    """Clients that post numbered requests until told to stop; each answer is noted."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        self.answers, self.faults, self.done = {}, [], False
        self.threads = [threading.Thread(target=self._post, args=(client,), daemon=True) for client in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _post(self, client):
        connection, number = self.server.connect(), client
        while not self.done:
            try:
                answer = connection.post(self.path, {"number": number, "filler": FILLER})
                self.answers[number] = answer
                if answer.status != 204:
                    time.sleep(0.05)
            except (OSError, AttributeError) as fault:
                self.faults.append(repr(fault))
                connection = self.server.connect()
            number += CLIENTS

    def stop(self):
        self.done = True
        for thread in self.threads:
            thread.join(gateway.ANSWER_SECONDS)

    def count(self, status):
        return sum(answer.status == status for answer in list(self.answers.values()))


class Sink(http.server.ThreadingHTTPServer):
    """A destination that takes arrays of events."""

    daemon_threads = True

    def __init__(self, port):
        self.events = []
        super().__init__((gateway.LOOPBACK, port), Take)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Take(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.server.events += json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def mounted(folder):
    """A small file system of its own."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)


def fill(path):
    """Writes until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


def readiness(server):
    """Its status, and what it says of the spool."""
    answer = server.admin("/readyz")
    return answer.status, answer.json()["checks"].get("spool")


def check_refusals(checks, what, server, load, why="full"):
    """While nothing can be written: 503 with a number of seconds, and readiness says why."""
    if not checks.true(f"{what}: it says so", gateway.until(lambda: load.count(503), FULL_SECONDS), server.said()):
        return
    refusals = [answer for answer in list(load.answers.values()) if answer.status == 503]
    after = {answer.headers.get("retry-after", "") for answer in refusals}
    checks.true(f"{what}: 503 comes with Retry-After", all(text.isdigit() for text in after), after)
    # A disk is given up at its second failure, not at the first.
    named = gateway.until(lambda: readiness(server) == (503, why), ROOM_SECONDS)
    checks.true(f"{what}: readiness names the reason", named, readiness(server))
    checks.equal(f"{what}: it stays alive", server.admin("/livez").status, 200)


def check_recovery(checks, what, server, load):
    """Once there is room: ready and taking requests again, by itself."""
    before = load.count(204)
    taken = gateway.until(lambda: load.count(204) > before + 20, ROOM_SECONDS)
    checks.true(f"{what}: it goes on by itself once there is room", taken, server.said())
    checks.true(f"{what}: it is ready again", gateway.until(server.is_ready, ROOM_SECONDS), server.said())
    load.stop()
    checks.equal(f"{what}: every request had an answer", load.faults[:3], [])
    odd = {answer.status for answer in load.answers.values()} - {204, 503}
    checks.equal(f"{what}: only 204 and 503 were answered", odd, set())
    print(f"{what}: {load.count(204)} requests taken, {load.count(503)} refused")


def check_delivery(checks, what, load, events):
    """Exactly what was answered 204 arrives, each client's in order."""
    numbers = [event["payload"]["number"] for event in events if event["event"] == "peer.sent"]
    acked = [number for number, answer in load.answers.items() if answer.status == 204]
    checks.equal(f"{what}: what was taken arrives, and nothing else", sorted(set(numbers)), sorted(acked))
    for client in range(CLIENTS):
        order = list(dict.fromkeys(number for number in numbers if number % CLIENTS == client))
        checks.equal(f"{what}: client {client}'s requests keep their order", order, sorted(order))


def check_whole(checks, what, server):
    """It ends, and the spool it leaves has no fault."""
    checks.equal(f"{what}: it ends cleanly", server.stop(), 0)
    report = server.run("spool", "check", "--data", server.data)
    checks.equal(f"{what}: the spool is whole", (report.returncode, report.stderr), (0, ""))


def check_foreign(checks, folder):
    """Somebody else fills the file system."""
    what = "a disk filled by others"
    with mounted(folder / "disk") as disk, gateway.Gateway(folder, data=disk / "data") as server:
        server.start()
        load = Load(server, server.webhook("disk").path)
        checks.true(f"{what}: it begins well", gateway.until(lambda: load.count(204) > 50, FULL_SECONDS))
        fill(disk / "others")
        check_refusals(checks, what, server, load)
        (disk / "others").unlink()
        check_recovery(checks, what, server, load)
        check_delivery(checks, what, load, server.drained_events())
        check_whole(checks, what, server)


def check_unreachable(checks, folder):
    """A destination is gone until the disk is full, then comes back."""
    what, port = "a disk filled by a lost destination", gateway.free_port()
    forward = [f"http://{gateway.LOOPBACK}:{port}/events"]
    with mounted(folder / "disk") as disk, gateway.Gateway(folder, forward, data=disk / "data") as server:
        server.start()
        load = Load(server, server.webhook("disk").path)
        check_refusals(checks, what, server, load)
        sink = Sink(port)
        check_recovery(checks, what, server, load)
        checks.true(f"{what}: all is delivered", gateway.until(server.is_drained, 60), server.said())
        check_delivery(checks, what, load, sink.events)
        check_whole(checks, what, server)
        sink.shutdown()


def check_index(checks, folder):
    """Others take half of a disk while requests fail: what was acknowledged is in the index, and nothing stands still."""
    what = "an index on a small disk"
    broken = '{"event": "peer.sent", "resource": {"id": "peer"}}'
    with mounted(folder / "disk") as disk, gateway.Gateway(folder, data=disk / "data") as server:
        server.start()
        (disk / "others").write_bytes(b"x" * (DISK_BYTES // 2))
        load = Load(server, server.webhook("index", broken).path)
        took = gateway.until(lambda: load.count(400) * len(FILLER) > DISK_BYTES, 4 * ROOM_SECONDS)
        checks.true(f"{what}: it goes on, and the disk gets no other room", took, server.said())
        load.stop()
        print(f"{what}: {load.count(400)} requests failed, {load.count(503)} refused")
        checks.true(f"{what}: all is delivered", gateway.until(server.is_drained, ROOM_SECONDS), server.said())
        indexed = gateway.until(lambda: server.metric("feed_lag_frames") == 0, ROOM_SECONDS)
        checks.true(f"{what}: all is indexed", indexed, server.said())
        checks.equal(f"{what}: nobody lost a frame", server.metric("spool_dropped_frames_total"), 0)
        failed = sum(1 for event in server.events() if event["event"].endswith(".failed"))
        checks.equal(f"{what}: each failure was told", failed, load.count(400))
        checks.true(f"{what}: each is in the index", server.metric("feed_indexed_total") >= 2 * failed, failed)
        checks.true(f"{what}: the log of the index is small", (disk / "data/feed.db-wal").stat().st_size < 4 << 20)
        checks.true(f"{what}: it is ready", gateway.until(server.is_ready, ROOM_SECONDS), server.said())
        check_whole(checks, what, server)


def check_late_index(checks, folder):
    """The disk fills while the index cannot be written: once it can, it makes room for itself."""
    what = "an index far behind on a small disk"
    with mounted(folder / "disk") as disk, gateway.Gateway(folder, data=disk / "data") as server:
        server.start()
        webhook = server.webhook("late")
        checks.true(f"{what}: it begins well", gateway.until(lambda: server.metric("feed_lag_frames") == 0, ROOM_SECONDS))
        lock = sqlite3.connect(disk / "data/feed.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        load = Load(server, webhook.path)
        check_refusals(checks, what, server, load)
        lock.execute("ROLLBACK")
        lock.close()
        check_recovery(checks, what, server, load)
        indexed = gateway.until(lambda: server.metric("feed_lag_frames") == 0, 2 * ROOM_SECONDS)
        checks.true(f"{what}: it comes up to what is kept", indexed, server.said())
        checks.equal(f"{what}: nobody lost a frame", server.metric("spool_dropped_frames_total"), 0)
        check_delivery(checks, what, load, server.drained_events())
        check_whole(checks, what, server)


def check_rotated(checks, folder):
    """Somebody else leaves files that rotate less room than they and one batch need: their oldest make some."""
    what, keep = "rotated files on a small disk", 3
    with mounted(folder / "disk") as disk, gateway.Gateway(folder) as server:
        (disk / "others").write_bytes(b"x" * (DISK_BYTES - (17 << 18)))
        server.start()
        load = Load(server, server.webhook("rotated").path)
        checks.true(f"{what}: it begins well", gateway.until(lambda: load.count(204) > 1000, FULL_SECONDS), server.said())
        load.stop()
        server.stop()
        # A destination of another name begins with the oldest that is kept: batches are large.
        server.forward = [f"file:{disk}/out.ndjson?rotate_bytes={1 << 20}&rotate_keep={keep}"]
        server.start()
        checks.true(f"{what}: all is delivered", gateway.until(server.is_drained, ROOM_SECONDS), server.said())
        checks.true(f"{what}: it was full", "No space left" in server.log.read_text(), server.said())
        ended = sorted(disk.glob("out.ndjson.*"))
        checks.true(f"{what}: as many are kept as shall be", 1 <= len(ended) <= keep, ended)
        lines = [json.loads(line) for path in [*ended, disk / "out.ndjson"] for line in path.read_text().splitlines()]
        numbers = [line["payload"]["number"] for line in lines if line["event"] == "peer.sent"]
        acked = sorted(number for number, answer in load.answers.items() if answer.status == 204)
        for client in range(CLIENTS):
            own = [number for number in numbers if number % CLIENTS == client]
            newest = [number for number in acked if number % CLIENTS == client][-len(own) :]
            checks.equal(f"{what}: client {client}'s newest are there, once and in order", own, newest)
        checks.equal(f"{what}: it ends cleanly", server.stop(), 0)


@contextlib.contextmanager
def formatted(folder):
    """A file system of its own on a disk that can fail: ext4 in a file."""
    image, disk = folder / "image", folder / "disk"
    with image.open("wb") as file:
        file.truncate(2 * DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    disk.mkdir()
    try:
        yield lambda: subprocess.run(["mount", "-o", "loop", image, disk], check=True) and disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=False)


def check_read_only(checks, folder):
    """The disk fails under load, and its file system turns read-only as the kernel makes it; somebody mounts it again."""
    what = "a file system that turned read-only"
    with formatted(folder) as mount:
        with gateway.Gateway(folder, data=mount() / "data") as server:
            server.start()
            load = Load(server, server.webhook("disk").path)
            checks.true(f"{what}: it begins well", gateway.until(lambda: load.count(204) > 50, FULL_SECONDS))
            subprocess.run(["mount", "-o", "remount,abort", folder / "disk"], check=True)
            check_refusals(checks, what, server, load, "failed")
            load.stop()
            checks.equal(f"{what}: every request had an answer", load.faults[:3], [])
            checks.true(f"{what}: delivery goes on", gateway.until(server.is_drained, ROOM_SECONDS), server.said())
            check_delivery(checks, what, load, server.events())
            server.stop()
            subprocess.run(["umount", folder / "disk"], check=True)
            mount()
            server.start()
            webhook = server.webhook("again")
            again = Load(server, webhook.path)
            checks.true(f"{what}: mounted again, it takes requests", gateway.until(lambda: again.count(204) > 20, ROOM_SECONDS))
            again.stop()
            events = server.drained_events()
            check_delivery(checks, what, again, [one for one in events if webhook.id in json.dumps(one["related"])])
            # What was on its way as the disk failed may have come to it: a 503 says try again, not that it was nothing.
            numbers = {one["payload"].get("number") for one in events if webhook.id not in json.dumps(one["related"])}
            acked = {number for number, answer in load.answers.items() if answer.status == 204}
            checks.equal(f"{what}: mounted again, what was answered is there", acked - numbers, set())
            unsure = numbers - acked - {None}
            checks.true(f"{what}: and no more than was on its way", len(unsure) <= CLIENTS, unsure)
            check_whole(checks, what, server)


def check_hanging(checks, folder):
    """The disk hangs for a while: nobody waits for ever, and what was answered is there."""
    what, patience = "a disk that hangs", 5
    with formatted(folder) as mount:
        with gateway.Gateway(folder, data=mount() / "data") as server:
            server.start()
            load = Load(server, server.webhook("disk").path)
            checks.true(f"{what}: it begins well", gateway.until(lambda: load.count(204) > 50, FULL_SECONDS))
            subprocess.run(["fsfreeze", "--freeze", folder / "disk"], check=True)
            try:
                began = time.monotonic()
                told = gateway.until(lambda: load.count(503) >= CLIENTS, FULL_SECONDS)
                checks.true(f"{what}: who waits is sent away", told, server.said())
                waited = time.monotonic() - began
                checks.true(f"{what}: in time", patience - 1 < waited < patience + 5, waited)
                after = {one.headers.get("retry-after") for one in list(load.answers.values()) if one.status == 503}
                checks.equal(f"{what}: 503 comes with Retry-After", after, {"5"})
                ready = server.admin("/readyz")
                found = (ready.status, ready.json()["checks"]["spool"], len(ready.json()["degraded"]))
                checks.equal(f"{what}: readiness says slow, and ready", found, (200, "slow", 1))
            finally:
                subprocess.run(["fsfreeze", "--unfreeze", folder / "disk"], check=True)
            check_recovery(checks, what, server, load)
            numbers = {one["payload"].get("number") for one in server.drained_events()}
            acked = {number for number, answer in load.answers.items() if answer.status == 204}
            checks.equal(f"{what}: what was answered is there", acked - numbers, set())
            check_whole(checks, what, server)


def damage(spool, text):
    """Turns one bit of the first place that holds the text; returns (file, offset)."""
    for path in sorted(spool.glob("*")):
        data = bytearray(path.read_bytes()) if path.is_file() else b""
        if (place := data.find(text)) >= 0:
            data[place] ^= 1
            path.write_bytes(data)
            return path.name, place
    raise RuntimeError(f"{text!r} is nowhere in {spool}")


def covers(ranges, name, place):
    """Whether there is one damaged range, and the place lies in it."""
    return [one["offset"] <= place < one["offset"] + one["bytes"] for one in ranges if one["segment"] == name] == [True]


def check_damage(checks, folder, what, filler):
    """One bit in the middle of a segment."""
    numbers, hurt = range(200), 50
    with gateway.Gateway(folder) as server:
        server.start()
        path = server.webhook("damage").path
        connection = server.connect()
        statuses = {connection.post(path, {"number": n, "mark": f"<{n}>", "filler": filler}).status for n in numbers}
        checks.equal(f"{what}: all are taken", statuses, {204})
        connection.close()
        checks.equal(f"{what}: it ends cleanly", server.stop(), 0)
        name, place = damage(server.data / "spool", f"<{hurt}>".encode())
        report = server.run("spool", "check", "--data", server.data, "-o", "json")
        checks.equal(f"{what}: the check says no", report.returncode, 1)
        ranges = json.loads(report.stdout)["damaged"]
        checks.true(f"{what}: the check tells the range", covers(ranges, name, place), (report.stdout, name, place))
        # A destination of another name begins with the oldest that is kept.
        server.destination = folder / "again.ndjson"
        server.forward = [f"file:{server.destination}"]
        server.start()
        check_told(checks, what, server, name)
        events = server.drained_events()
        told = [event["payload"] for event in events if event["event"] == "hookgate.spool.damaged"]
        checks.true(f"{what}: one event tells the range", covers(told, name, place), told)
        arrived = [event["payload"]["number"] for event in events if event["event"] == "peer.sent"]
        checks.equal(f"{what}: the rest is delivered in order", arrived, [n for n in numbers if n != hurt])
        checks.equal(f"{what}: new requests are taken", server.post(path, {"number": 1000}).status, 204)
        checks.equal(f"{what}: it ends cleanly again", server.stop(), 0)
        segments = len(list((server.data / "spool").glob("*.log")))
        print(f"{what}: at {place} of {name}, one of {segments}; the check tells {ranges}")


def check_told(checks, what, server, name):
    """The damage is visible wherever an operator looks."""
    told = gateway.until(lambda: server.checks()["spool"]["damaged_ranges"] == 1, READ_SECONDS)
    checks.true(f"{what}: readiness counts the range", told, server.checks())
    checks.equal(f"{what}: so do the metrics", server.metric("spool_damaged_ranges"), 1)
    lines = [line for line in server.log.read_text().splitlines() if name in line]
    checks.true(f"{what}: the log names the segment", lines, server.said())
    kept = [path for path in (server.data / "spool").glob("**/quarantine/*.bin") if path.is_file()]
    checks.true(f"{what}: the bytes are set aside", kept, list((server.data / "spool").glob("**/*")))


def check_last_damage(checks, folder):
    """In the segment that was written last."""
    check_damage(checks, folder, "a damaged byte in the last segment", "")


def check_old_damage(checks, folder):
    """In one that others follow."""
    check_damage(checks, folder, "a damaged byte in an old segment", FILLER)


def check_second(checks, folder):
    """Another process on the same folder is told whose it is; the first serves on."""
    what = "a second process"
    with gateway.Gateway(folder) as server:
        server.start()
        path, pid = server.webhook("second").path, str(server.process.pid)
        _, *serve = server.serve_words(gateway.free_port(), gateway.free_port())
        for name, words in [("serve", serve), ("bootstrap", ["bootstrap", "--data", server.data])]:
            told = server.run(*words)
            checks.true(f"{what}: {name} ends with a fault", told.returncode not in (0, 101), told)
            checks.true(f"{what}: {name} names the folder", str(server.data) in told.stderr, told.stderr)
            checks.true(f"{what}: {name} names the process", pid in told.stderr, told.stderr)
        checks.equal(f"{what}: the first serves on", server.post(path, {}).status, 204)
        checks.equal(f"{what}: the first ends cleanly", server.stop(), 0)


def check(checks, folder):
    """The whole script, each part in a folder of its own."""
    parts = (
        *(check_foreign, check_unreachable, check_index, check_late_index, check_rotated, check_read_only, check_hanging),
        *(check_last_damage, check_old_damage, check_second),
    )
    for part in parts:
        place = folder / part.__name__
        place.mkdir()
        part(checks, place)


if __name__ == "__main__":
    if os.environ.get(INSIDE) != "1":
        os.environ[INSIDE] = "1"
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *user, "--mount", "--", sys.executable, *sys.argv])
    gateway.perform(check, seconds=240)
