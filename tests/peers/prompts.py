#!/usr/bin/env python3
"""Sits at a terminal before `hookgate login` and `hookgate password`: what is typed is not shown, two passwords must be
the same, Ctrl-C ends with 130, and the terminal shows again what is typed afterwards.

Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import os
import pty
import select
import subprocess
import termios
import time

import gateway

PATIENCE_SECONDS = 20
FIRST, SECOND = "correct horse one", "correct horse two"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, server, *words):
        env = {**server.env, "XDG_CONFIG_HOME": str(server.folder / "config")}
        self.ours, self.theirs = pty.openpty()

        def sit_down():
            os.setsid()
            os.close(os.open(os.ttyname(0), os.O_RDWR))

        ends = {"stdin": self.theirs, "stdout": self.theirs, "stderr": self.theirs}
        words = [str(gateway.BINARY), *words]
        self.process = subprocess.Popen(words, env=env, preexec_fn=sit_down, **ends)
        self.shown = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)

    def shows(self):
        """Whether what is typed is shown right now."""
        return bool(termios.tcgetattr(self.theirs)[3] & termios.ECHO)

    def answer(self, question, text):
        """Types a line once a question is there and nothing is shown any more; whether it was asked."""
        if not self._read_until(lambda: question in self.shown and not self.shows()):
            return False
        self.shown = self.shown.replace(question, "", 1)
        os.write(self.ours, text.encode())
        return True

    def end(self):
        """Its exit code."""
        self._read_until(lambda: self.process.poll() is not None)
        self._read(0)
        return self.process.poll()

    def _read_until(self, condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._read(0.02)
        return True

    def _read(self, seconds):
        while select.select([self.ours], [], [], seconds)[0]:
            self.shown += os.read(self.ours, 4096).decode(errors="replace")
            seconds = 0


def check_dialogue(checks, server, what, words, dialogue, code, says):
    """One command: its questions, in turn, each with its answer; how it ends, and what it says at the end."""
    with Terminal(server, *words) as terminal:
        for question, answer in dialogue:
            checks.true(f"{what}: it asks {question!r}", terminal.answer(question, answer), terminal.shown)
        checks.equal(f"{what}: it ends", terminal.end(), code)
        checks.true(f"{what}: it says so", says in terminal.shown, terminal.shown)
        typed = [answer.strip() for _, answer in dialogue if len(answer) > 2]
        checks.true(f"{what}: nothing that was typed is shown", not any(one in terminal.shown for one in typed))
        checks.true(f"{what}: the terminal is as it was", terminal.shows())


def check(checks, folder):
    """The whole script."""
    with gateway.Gateway(folder) as server:
        server.start()
        url, key = f"http://{gateway.LOOPBACK}:{server.port}", server.account["api_key"]
        present, fresh, again = "nothing when there is none: ", "New password: ", "The same again: "
        asked = f"API key for {url}: "
        for what, words, dialogue, code, says in (
            ("a wrong key", ["login", url], [(asked, "pnu_wrong-but-secret\n")], 4, "401"),
            ("nobody answers", ["login", url], [(asked, "\x03")], 130, ""),
            ("a login", ["login", url], [(asked, f"{key}\n")], 0, "local"),
            (
                "two that differ",
                ["password"],
                [(present, "\n"), (fresh, f"{FIRST}\n"), (again, f"{SECOND}\n")],
                1,
                "nothing was changed",
            ),
            (
                "a first password",
                ["password"],
                [(present, "\n"), (fresh, f"{FIRST}\n"), (again, f"{FIRST}\n")],
                0,
                "is set",
            ),
            (
                "a wrong present one",
                ["password"],
                [(present, f"{SECOND}\n"), (fresh, f"{SECOND}\n"), (again, f"{SECOND}\n")],
                1,
                "not the present password",
            ),
            (
                "another password",
                ["password"],
                [(present, f"{FIRST}\n"), (fresh, f"{SECOND}\n"), (again, f"{SECOND}\n")],
                0,
                "is set",
            ),
            ("Ctrl-C", ["password"], [(present, "\x03")], 130, ""),
        ):
            check_dialogue(checks, server, what, words, dialogue, code, says)
        for password, status in ((FIRST, 401), (SECOND, 200)):
            answer = server.post("/api/auth/login", {"handle": "admin", "password": password})
            checks.equal("only the last one opens", answer.status, status)


if __name__ == "__main__":
    gateway.perform(check, seconds=110)
