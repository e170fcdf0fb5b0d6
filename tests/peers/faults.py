#!/usr/bin/env python3
"""Takes away what a gateway stands on: names that are not found, or not in time; memory; the file of its keys; its
certificate's time. Senders are answered as the table of faults in SECURITY.md says, and what was taken arrives.

Names are asked of a server of the script's own, in a mount namespace of its own; that needs root, or a kernel that
grants it in a user namespace. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import contextlib
import datetime
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import disk
import gateway

INSIDE = "HOOKGATE_PEERS_NAMESPACE"
NAME, NAMES_AT = "sink.hookgate.test", "127.0.5.3"
# What a sender waits at most while names are not found, and a lane before it looks again.
ANSWER_SECONDS, LANE_SECONDS = 1.0, 60
# Bodies together, memory in all, and what is sent beside: 120 bodies of 4 MB.
BODIES_BYTES, MEMORY_BYTES, BODY_BYTES, BODIES = 64 << 20, 256 << 20, 4_000_000, 120


class Names(threading.Thread):
    """A name server that says nothing, that it failed, or an address of loopback."""

    def __init__(self):
        super().__init__(daemon=True)
        self.mood, self.asked = "silent", 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((NAMES_AT, 53))
        self.start()

    def run(self):
        while True:
            question, peer = self.socket.recvfrom(512)
            self.asked += 1
            if answer := self.answer(question):
                self.socket.sendto(answer, peer)

    def answer(self, question):
        """RFC 1035: the question again, and one address behind it."""
        end = question.index(b"\0", 12) + 5
        kind = struct.unpack(">H", question[end - 4 : end - 2])[0]
        is_found = self.mood == "good" and kind == 1
        code = {"silent": None, "failing": 2, "unknown": 3, "good": 0}[self.mood]
        if code is None:
            return None
        head = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, int(is_found), 0, 0)
        record = struct.pack(">HHHIH4B", 0xC00C, 1, 1, 1, 4, 127, 0, 0, 1) if is_found else b""
        return head + question[12:end] + record


@contextlib.contextmanager
def own_resolver(folder):
    """Names are asked of NAMES_AT, by whoever is started inside."""
    file = folder / "resolv.conf"
    file.write_text(f"nameserver {NAMES_AT}\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", file, "/etc/resolv.conf"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/resolv.conf"], check=False)


def fault_of_lane(server):
    """Why the destination that is no file takes nothing."""
    faults = [lane["fault"] for lane in server.checks()["destinations"] if lane["fault"]]
    return faults[0] if faults else ""


def check_names(checks, folder):
    """A destination whose name is not found: senders and the other destination notice nothing."""
    what, names, port = "names", Names(), gateway.free_port()
    forward = [f"file:{folder / 'events.ndjson'}", f"http://{NAME}:{port}/events"]
    with own_resolver(folder), gateway.Gateway(folder, forward) as server:
        server.start()
        path, number = server.webhook("names").path, 0
        for mood in ("silent", "failing", "unknown"):
            names.mood = mood
            started, before = time.monotonic(), names.asked
            server.process.send_signal(signal.SIGHUP)
            statuses = {server.post(path, {"number": number + count}).status for count in range(10)}
            number += 10
            took = time.monotonic() - started
            checks.equal(f"{what}: senders are answered while they are {mood}", statuses, {204})
            checks.true(f"{what}: within {ANSWER_SECONDS} s while they are {mood}", took < 10 * ANSWER_SECONDS, took)
            asked = gateway.until(lambda before=before: names.asked > before, LANE_SECONDS)
            checks.true(f"{what}: the lane asks again while they are {mood}", asked, server.checks())
            told = gateway.until(lambda: "has no address" in fault_of_lane(server), LANE_SECONDS)
            checks.true(f"{what}: readiness says why while they are {mood}", told, fault_of_lane(server))
            checks.true(f"{what}: it is ready while they are {mood}", server.is_ready(), server.said())
        at_file = gateway.until(lambda: len(numbers(server.events())) == number, LANE_SECONDS)
        checks.true(f"{what}: the other destination has all", at_file, numbers(server.events()))
        sink, names.mood = disk.Sink(port), "good"
        server.process.send_signal(signal.SIGHUP)
        checks.true(f"{what}: all arrives", gateway.until(server.is_drained, LANE_SECONDS), server.checks())
        checks.equal(f"{what}: in order", numbers(sink.events), list(range(number)))
        parked = [lane["parked"] for lane in server.checks()["destinations"]]
        checks.equal(f"{what}: nothing was parked", parked, [0, 0])
        checks.equal(f"{what}: it ends cleanly", server.stop(), 0)
        sink.shutdown()


def numbers(events):
    return [event["payload"]["number"] for event in events if event["event"] == "peer.sent"]


class Cage:
    """A control group with little memory, where the machine lets us make one."""

    def __init__(self):
        name = f"hookgate-{os.getpid()}"
        places = [(Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max")]
        self.place = None
        for above, limit in places:
            with contextlib.suppress(OSError):
                place = above / name
                place.mkdir()
                self.place = place
                (place / limit).write_text(str(MEMORY_BYTES))
                return
            self.remove()

    def take(self, process):
        """Whether the process is inside."""
        if not self.place:
            return False
        (self.place / "cgroup.procs").write_text(str(process.pid))
        return True

    def remove(self):
        if self.place:
            with contextlib.suppress(OSError):
                self.place.rmdir()
            self.place = None


def check_memory(checks, folder):
    """Far more in bodies than there is memory: those that have no room are told so, and small ones pass."""
    what, cage = "memory", Cage()
    # Those that are held are not to be ended for being slow while others are sent.
    env = {"HOOKGATE_LIMITS__BODIES_MAX_BYTES": str(BODIES_BYTES), "HOOKGATE_LIMITS__BODY_MIN_BYTES_PER_SECOND": "0"}
    with gateway.Gateway(folder, env=env) as server:
        server.start()
        is_caged = cage.take(server.process)
        path = server.webhook("memory").path
        server.forget_peak()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY_BYTES + 1}\r\n\r\n".encode()
        connections, beside = [], []
        for number in range(BODIES):
            connection = server.connect(seconds=5)
            with contextlib.suppress(OSError):
                connection.send(head + b" " * BODY_BYTES)
            connections.append(connection)
            if number % 20 == 0:
                beside.append(server.post(path, {"number": number}).status)
        said = [answer_so_far(connection) for connection in connections]
        refused = [answer for answer in said if answer]
        held = sum(not answer for answer in said)
        checks.equal(f"{what}: only 503 is said", {answer.split(b" ")[1] for answer in refused} - {b"503"}, set())
        checks.true(f"{what}: with when to come again", all(b"retry-after: 1" in answer for answer in refused))
        checks.true(f"{what}: no more is held than may be", held * BODY_BYTES <= BODIES_BYTES, held)
        checks.true(f"{what}: and not much less", held * BODY_BYTES > BODIES_BYTES // 2, held)
        checks.equal(f"{what}: small bodies pass", set(beside), {204})
        peak = server.memory("VmHWM")
        checks.true(f"{what}: {MEMORY_BYTES >> 20} MiB are enough", peak < MEMORY_BYTES, f"{peak >> 20} MiB")
        for connection in connections:
            connection.close()
        whole = lambda: server.post(path, {"number": 1, "filler": "x" * 1_000_000}).status == 204
        checks.true(f"{what}: there is room again", gateway.until(whole, 20), server.said())
        checks.true(f"{what}: it is ready", server.is_ready(), server.said())
        checks.equal(f"{what}: it ends cleanly", server.stop(), 0)
        cells = "in a control group of as much" if is_caged else "measured, since no control group could be made"
        print(f"{what}: {held} bodies held, {len(refused)} refused, {peak >> 20} MiB at most ({cells})")
    cage.remove()


def answer_so_far(connection):
    """What a connection was told; nothing, while it is waited for the rest."""
    connection.socket.settimeout(0.01)
    said = b""
    try:
        while data := connection.socket.recv(4096):
            said += data
    except OSError:
        pass
    return said


def check_keys(checks, folder):
    """Without the file of its keys a gateway with sealed secrets does not start; one that runs goes on."""
    what, keys = "keys", folder / "secrets.keys"
    env = {"HOOKGATE_STORE__KEY_FILE": str(keys)}
    made = subprocess.run([gateway.BINARY, "secrets", "init", keys], capture_output=True, text=True, check=False)
    checks.equal(f"{what}: a file is made", made.returncode, 0)
    with gateway.Gateway(folder, env=env) as server:
        server.start()
        webhook = server.webhook("keys")
        verification = {"provider": "gitlab", "secrets": ["a-token-of-gitlab"]}
        body = {"name": "keys", "description": "", "template": gateway.ECHO, "verification": verification}
        checks.equal(f"{what}: a secret is kept", server.api("PUT", f"/webhooks/{webhook.id}", body).status, 204)
        hidden = keys.rename(folder / "elsewhere")
        server.process.send_signal(signal.SIGHUP)
        signed = lambda: server.post(webhook.path, {}, {"x-gitlab-token": "a-token-of-gitlab"}).status
        checks.equal(f"{what}: without the file it serves on", signed(), 204)
        checks.true(f"{what}: and is ready", server.is_ready(), server.said())
        checks.equal(f"{what}: it ends cleanly", server.stop(), 0)
        for name, make in (
            ("no file", lambda: None),
            ("a folder", keys.mkdir),
            ("another text", lambda: (keys.rmdir(), keys.write_text("no key\n"), keys.chmod(0o600))),
            ("an empty file", lambda: keys.write_text("")),
        ):
            make()
            words = server.serve_words(server.port, server.admin_port)
            told = subprocess.run(words, env=server.env, capture_output=True, text=True, timeout=30, check=False)
            checks.true(f"{what}: with {name} it does not start", told.returncode not in (0, 101), told)
            is_named = str(keys) in told.stderr and "a-token-of-gitlab" not in told.stderr
            checks.true(f"{what}: with {name} it says which file", is_named, told.stderr)
        keys.unlink()
        hidden.rename(keys)
        server.start()
        checks.equal(f"{what}: with it all is there", signed(), 204)
        checks.equal(f"{what}: it ends cleanly again", server.stop(), 0)


def check_certificate(checks, folder):
    """A certificate of ours that is over: nobody who looks at it connects, until another stands in its file."""
    import trustme

    what, authority = "certificate", trustme.CA()
    chain, key, known = folder / "chain.pem", folder / "key.pem", folder / "ca.pem"
    authority.cert_pem.write_to_path(known)

    def show(until):
        issued = authority.issue_cert(gateway.LOOPBACK, not_before=datetime.datetime(2020, 1, 1), not_after=until)
        issued.private_key_pem.write_to_path(key)
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    show(datetime.datetime(2020, 2, 1))
    env = {"HOOKGATE_SERVER__TLS_CERTIFICATE": str(chain), "HOOKGATE_SERVER__TLS_KEY": str(key)}
    with gateway.Gateway(folder, env=env) as server:
        server.start()
        context = ssl.create_default_context(cafile=known)

        def connect():
            try:
                with socket.create_connection((gateway.LOOPBACK, server.port), 5) as plain:
                    with context.wrap_socket(plain, server_hostname=gateway.LOOPBACK):
                        return "connected"
            except ssl.SSLCertVerificationError as fault:
                return fault.verify_message

        checks.equal(f"{what}: who looks does not connect", connect(), "certificate has expired")
        checks.true(f"{what}: the gateway is ready for others", server.is_ready(), server.said())
        show(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=9))
        renewed = gateway.until(lambda: connect() == "connected", 20, 0.2)
        checks.true(f"{what}: another one is used without a restart", renewed, connect())
        checks.equal(f"{what}: it ends cleanly", server.stop(), 0)


def check(checks, folder):
    """The whole script, each part in a folder of its own."""
    for part in (check_names, check_memory, check_keys, check_certificate):
        place = folder / part.__name__
        place.mkdir()
        started = time.monotonic()
        part(checks, place)
        print(f"{part.__name__}: {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    if os.environ.get(INSIDE) != "1":
        os.environ[INSIDE] = "1"
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *user, "--mount", "--", sys.executable, *sys.argv])
    gateway.perform(check, seconds=240)
