#!/usr/bin/env python3
"""Rotates all that opens something, while it is used: the secret of a webhook, the key of a service account, and the key
of secrets at rest, each again and again with an overlap. Senders sign and bear the key all the time, some with the new
one at once, some with the old one for as long as it counts; others ask the API. Nobody who shows what counts is refused,
no connection breaks; who shows what has ended is refused.

`--seconds N` for each of the three and for all at once; 6 when nothing is said. Takes HOOKGATE_BIN. Ends with
`N passed, N failed`.
"""

import hashlib
import hmac
import secrets
import shutil
import sys
import threading
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

import gateway

SECONDS = int(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 6
SENDERS, CALLERS = 6, 2
OVERLAP = 2
# A secret of a webhook may count for the rest of the second that it ends in.
REST = 1
# Between two requests of one connection: a load that leaves the machine something.
PAUSE = 0.003
# What is taken, and what is no answer at all.
TAKEN, BROKEN = {200, 204}, "broken"


class Secret:
    """What opens, and what did before: until when, by the clock of both."""

    def __init__(self, text):
        self.texts = [(text, None)]
        self.lock = threading.Lock()

    def shown(self, slow):
        """The newest one; whoever is slow has the one before as long as it counts. With its end."""
        with self.lock:
            (newest, older) = (self.texts[-1], self.texts[-2:-1])
        return older[0] if slow and older and time.time() < older[0][1] else newest

    def replace(self, text, end):
        with self.lock:
            self.texts[-1] = (self.texts[-1][0], end)
            self.texts.append((text, None))

    def ended(self):
        """All that count no more."""
        with self.lock:
            return [text for text, end in self.texts if end is not None and end + REST < time.time()]


class World:
    """A gateway with a webhook that demands a signature and a key, and those who rotate both."""

    def __init__(self, server, key_file):
        self.server, self.key_file = server, key_file
        self.secret = Secret("the-first-secret-of-all")
        account = server.account["api_path"].split("/workspaces/")[0]
        roles = self.call("POST", f"{account}/workspace_roles/filter", {}).json()
        viewer = next(role["id"] for role in roles if role["name"] == "Viewer")
        bot = self.call("POST", f"{account}/bots/", {"name": "robot"}).json()
        self.rotate_path = f"{account}/bots/{bot['id']}/rotate_api_key"
        self.key = Secret(bot["api_key"]["key"])
        access = server.account["api_path"] + "/bot_access/"
        self.call("POST", access, {"bot_id": bot["id"], "workspace_role_id": viewer})
        self.record = {"name": "rotated", "template": gateway.ECHO, "service_account_id": bot["id"]}
        made = self.call("POST", server.account["api_path"] + "/webhooks/", self.with_secrets([self.secret.texts[0][0]]))
        self.path, self.place = f"/hooks/{made.json()['slug']}", f"{server.account['api_path']}/webhooks/{made.json()['id']}"

    def with_secrets(self, listed):
        return {**self.record, "verification": {"provider": "github", "secrets": listed}}

    def call(self, method, path, value=None):
        """One call of the owner's."""
        connection = self.server.connect()
        headers = {"authorization": f"Bearer {self.server.account['api_key']}", "content-type": "application/json"}
        body = b"" if value is None else gateway.json_bytes(value)
        answer = connection.ask(method, path, body, headers)
        connection.close()
        if answer is None or answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer

    def rotate_secret(self):
        fresh, end = secrets.token_hex(16), time.time() + OVERLAP
        told = self.call("GET", self.place).json()["verification"]["secrets"]
        until = (datetime.now(timezone.utc) + timedelta(seconds=OVERLAP)).isoformat().replace("+00:00", "Z")
        old = [{**one, "until": one.get("until", until)} for one in told]
        self.call("PUT", self.place, self.with_secrets([fresh, *old]))
        self.secret.replace(fresh, end)

    def rotate_key(self):
        end = time.time() + OVERLAP
        answer = self.call("POST", self.rotate_path, {"old_key_expires_in_seconds": OVERLAP})
        self.key.replace(answer.json()["api_key"]["key"], end)

    def rotate_key_file(self):
        done = self.server.run("secrets", "rotate", "--data", self.server.data, "--key-file", self.key_file)
        if done.returncode:
            raise RuntimeError(f"secrets rotate: {done.returncode}: {done.stderr}")

    def send(self, connection, secret, key, number):
        """One request as its sender makes it."""
        body = gateway.json_bytes({"number": number})
        tag = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"authorization": f"Bearer {key}", "x-hub-signature-256": f"sha256={tag}"}
        return connection.ask("POST", self.path, body, {"content-type": "application/json", **headers})


class Load(threading.Thread):
    """Sends or calls until it is told to stop; counts by phase what became of what counted when it was answered."""

    def __init__(self, world, place, is_caller):
        super().__init__(daemon=True)
        self.world, self.slow, self.is_caller = world, place % 2 == 1, is_caller
        self.phase, self.running = "alone", True
        self.told = defaultdict(Counter)

    def once(self, connection, secret, key):
        if self.is_caller:
            return connection.ask("GET", self.world.place, headers={"authorization": f"Bearer {key}"})
        return self.world.send(connection, secret, key, 1)

    def run(self):
        connection = self.world.server.connect()
        while self.running:
            phase = self.phase
            (secret, secret_end), (key, key_end) = (one.shown(self.slow) for one in (self.world.secret, self.world.key))
            try:
                answer = self.once(connection, secret, key)
            except OSError:
                answer = None
            found = answer.status if answer else BROKEN
            ends = [end for end in (key_end, None if self.is_caller else secret_end) if end is not None]
            # Its end came while it was on its way: whatever it was told was right.
            is_late = found == 401 and ends and time.time() >= min(ends)
            self.told[phase]["late" if is_late else found] += 1
            if found == BROKEN:
                connection = self.world.server.connect()
            time.sleep(PAUSE)


def rotate_for(seconds, *rotations):
    """Each of them in turn, and how often: the next one before the one before has ended."""
    ends, times = time.monotonic() + seconds, 0
    while times == 0 or time.monotonic() < ends:
        for rotation in rotations:
            rotation()
        times += 1
        time.sleep(OVERLAP * 0.6)
    return times


def check_ended(checks, world):
    """What has ended opens nothing, what counts does."""
    connection = world.server.connect()
    secret, key = world.secret.shown(False)[0], world.key.shown(False)[0]
    ended = [(old, key) for old in world.secret.ended()] + [(secret, old) for old in world.key.ended()]
    found = [world.send(connection, *one, 2).status for one in ended]
    checks.equal("what has ended is refused", Counter(found), Counter({401: len(ended)}))
    checks.true("several of each have ended", min(len(world.secret.ended()), len(world.key.ended())) >= 2)
    calls = [connection.ask("GET", world.place, headers={"authorization": f"Bearer {old}"}) for old in world.key.ended()]
    checks.equal("keys that have ended open no API", {answer.status for answer in calls}, {401})
    checks.equal("what counts is taken", world.send(connection, secret, key, 3).status, 204)


def check(checks, folder):
    """The whole script."""
    key_file, first = folder / "secrets.keys", folder / "first.keys"
    # What ended is shown more often than whoever guesses may.
    env = {"HOOKGATE_STORE__KEY_FILE": str(key_file), "HOOKGATE_LIMITS__WRONG_KEYS_PER_MINUTE": "0"}
    with gateway.Gateway(folder, env=env) as server:
        server.run("secrets", "init", key_file)
        shutil.copy(key_file, first)
        server.start()
        world = World(server, key_file)
        everything = (world.rotate_secret, world.rotate_key, world.rotate_key_file)
        phases = [
            ("nothing", ()),
            ("secret of a webhook", (world.rotate_secret,)),
            ("key of an account", (world.rotate_key,)),
            ("key at rest", (world.rotate_key_file,)),
            ("all at once", everything),
        ]
        loads = [Load(world, place, place >= SENDERS) for place in range(SENDERS + CALLERS)]
        for load in loads:
            load.start()
        times = {}
        for phase, rotations in phases:
            for load in loads:
                load.phase = phase
            times[phase] = rotate_for(SECONDS if rotations else 1, *rotations)
        time.sleep(OVERLAP + REST + 0.2)
        for load in loads:
            load.running = False
        for load in loads:
            load.join(gateway.ANSWER_SECONDS)
        check_ended(checks, world)
        report(checks, loads, times, phases)
        opened = server.run("secrets", "rotate", "--data", server.data, "--key-file", first, "--present")
        checks.true("the first key at rest opens nothing any more", opened.returncode != 0, opened.stdout)
        checks.equal("it ends cleanly", server.stop(), 0)
        server.start()
        check_ended(checks, world)
        checks.equal("it ends cleanly again", server.stop(), 0)


def report(checks, loads, times, phases):
    """The table, and whether anybody was refused in vain."""
    print(f"{'rotated':<20} {'times':>5} {'sent':>8} {'taken':>8} {'refused':>8} {'ended meanwhile':>16}")
    for phase, rotations in phases:
        told = sum((load.told[phase] for load in loads), Counter())
        late, taken = told.pop("late", 0), sum(told[status] for status in TAKEN)
        wrong = {status: count for status, count in told.items() if status not in TAKEN}
        rotated, sent = times[phase] if rotations else 0, taken + late + sum(wrong.values())
        print(f"{phase:<20} {rotated:>5} {sent:>8} {taken:>8} {sum(wrong.values()):>8} {late:>16}")
        checks.equal(f"nobody is refused who shows what counts: {phase}", wrong, {})
        checks.true(f"much was sent: {phase}", taken > 100, taken)
        checks.true(f"it was rotated: {phase}", not rotations or rotated >= 2, rotated)


if __name__ == "__main__":
    gateway.perform(check, seconds=SECONDS * 6 + 90)
