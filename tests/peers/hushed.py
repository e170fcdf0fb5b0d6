#!/usr/bin/env python3
"""What the log says at its loudest: slugs, keys, passwords, tokens of sessions and secrets, the gateway's own and those
of its senders and destinations, are sent on every way there is, right and wrong, whole and spoilt, over HTTP/1, HTTP/2
and TLS. None may stand in a line, at `trace`, as JSON and for people, nor in what metrics and readiness say; not as they are,
not in hex, not in base64.

Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import gateway
from floods import END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, head

TLS = gateway.ROOT / "tests/data/tls"
PASSWORD = "correct-horse-battery-staple"
SIGNING = "signing-secret-that-nobody-sees"
BASIC = "basic-secret-that-nobody-sees"
BEARER = "bearer-of-a-destination-nobody-sees"
OWN_HEADER = "header-of-a-destination-nobody-sees"
SIGN_OUT = "whsec_" + base64.b64encode(b"signs-what-goes-out-32-bytes-long").decode()
REDACTED = "card-number-that-nobody-keeps"
WRONG = "hg_wrong-key-of-somebody-who-guesses"
BROKEN = '{"event": "x", "resource": {{ body.a.b.c }}'
# Less than this is no secret but a word.
LEAST = 12


class Sink(http.server.BaseHTTPRequestHandler):
    """A destination that takes some and refuses others, and says back what it was sent."""

    count = 0

    def do_POST(self):
        said = str(self.headers).encode() + self.rfile.read(int(self.headers.get("content-length", 0)))
        Sink.count += 1
        # Behind one that sends it elsewhere a lane waits for long.
        status = (200, 422, 500, 200, 302)[Sink.count % 5]
        self.send_response(status, f"Said {BEARER}")
        if status == 302:
            self.send_header("location", f"/elsewhere?token={BEARER}")
        self.send_header("x-said", self.headers.get("authorization", ""))
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


class Secrets:
    """What must not be said, by name."""

    def __init__(self):
        self.named = {}

    def add(self, name, secret):
        """One more; returns it."""
        assert len(secret) >= LEAST, (name, secret)
        self.named[name] = secret
        return secret

    def found(self, text):
        """Which of them stand in a text, and how."""
        pairs = [(f"{name} {how}", form) for name, secret in self.named.items() for how, form in forms(secret)]
        return sorted(name for name, form in pairs if form in text)


def forms(secret):
    """A secret as it is, and as programs print bytes."""
    raw = secret.encode()
    yield "as it is", secret
    yield "in hex", raw.hex()
    # Whatever stands before it in the same text: three ways to begin.
    for skipped in range(3):
        whole = raw[skipped : skipped + (len(raw) - skipped) // 3 * 3]
        yield f"in base64, from {skipped} on", base64.b64encode(whole).decode()


def knock(server, data, secured):
    """Sends bytes, and reads what comes for a moment."""
    connection = gateway.Connection(server.port)
    if secured:
        context = ssl.create_default_context(cafile=TLS / "certificate.pem")
        context.set_alpn_protocols(["h2"] if data.startswith(PREFACE) else ["http/1.1"])
        connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
    with contextlib.suppress(OSError):
        connection.send(data)
        connection.ended(0.3)
    connection.close()


def requests(path, more):
    """One path on every way: HTTP/1 whole and spoilt, HTTP/2 whole and spoilt."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in more)
    body = json.dumps({"card": REDACTED}).encode()
    typed = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{lines}"
    post, close = f"POST {path} HTTP/1.1\r\nHost: x\r\n{typed}", "Connection: close\r\n\r\n"
    begin, whole = PREFACE + frame(SETTINGS, 0, 0), END_HEADERS | END_STREAM
    two = lambda place, fields: begin + frame(HEADERS, whole, 1, head(place, *fields))
    away = f"{path}?slug={path}&token={WRONG}"
    return [
        (post + close).encode() + body,
        (post.replace(path, away) + f"Referer: http://x{path}\r\n" + close).encode() + body,
        # Spoilt: of no method, no host, with a blank or a bracket in the path, a length that lies, half of it.
        (post.replace("POST", "PO ST") + close).encode(),
        (post.replace("Host: x\r\n", "") + close).encode(),
        (post.replace(path, f"{path} {path}") + close).encode(),
        (post.replace(path, f"{path}{{x}}") + close).encode(),
        (post.replace("Length: ", "Length: x") + close).encode(),
        post.encode(),
        f"GET {path}".encode(),
        two(path, more),
        two(f"{path} x", more),
        two(f"{path}\x7f{{", more),
        two(path, [*more, ("connection", path)]),
        two(path, [*more, ("content-length", path.replace("/", ""))]),
        two(path, [(name.upper(), value) for name, value in more]),
        two(path, [*more, (":authority", path), (":path", path)]),
        two(path, [*more, ("te", path), ("expect", path)]),
        # A block that ends within a value, and one that names what is in no table.
        begin + frame(HEADERS, whole, 1, head(path, *more)[:-3]),
        begin + frame(HEADERS, whole, 1, head(path, *more) + b"\xff\xff\xff\xff\x7f"),
    ]


def webhooks(server, secrets):
    """Webhooks of all kinds, by their paths; the secrets of each."""
    made = {}

    def make(name, template=gateway.ECHO, **more):
        answer = server.api("POST", "/webhooks/", {"name": name, "template": template, **more})
        if answer.status != 201:
            raise RuntimeError(f"{name}: {answer}")
        record = answer.json()
        made[name] = record
        secrets.add(f"the slug of {name}", record["slug"])
        return record

    make("plain")
    make("broken", BROKEN)
    make("redacted", redact={"headers": [], "query": [], "body": ["$.card"]})
    for provider, secret in [("github", SIGNING), ("basic", f"user:{BASIC}")]:
        make(provider, verification={"provider": provider, "secrets": [secret]})
    off = make("off")
    server.api("PATCH", f"/webhooks/{off['id']}", {"enabled": False})
    old = make("rotated")
    answer = server.api("POST", f"/webhooks/{old['id']}/rotate", {})
    if answer.status < 300:
        secrets.add("the slug behind rotated", answer.json()["slug"])
    gone = make("gone")
    server.api("DELETE", f"/webhooks/{gone['id']}")
    return made


def calls(server, secrets):
    """The API: keys made and ended, people with passwords, sessions with cookies, destinations with secrets."""
    account = server.account["api_path"].split("/workspaces/")[0]
    bearer = {"authorization": f"Bearer {server.account['api_key']}", "content-type": "application/json"}

    def ask(method, path, value=None, headers=None):
        connection = server.connect()
        try:
            body = b"" if value is None else gateway.json_bytes(value)
            return connection.ask(method, path, body, bearer if headers is None else headers)
        finally:
            connection.close()

    me = ask("GET", "/api/me").json()
    statuses = {"password": ask("POST", f"/api/users/{me['id']}/password", {"password": PASSWORD}).status}
    plain = {"content-type": "application/json"}
    answer = ask("POST", "/api/auth/login", {"handle": me["handle"], "password": PASSWORD}, plain)
    statuses["login"] = answer.status
    cookie = answer.headers["set-cookie"].split(";")[0]
    secrets.add("a session", cookie.split("=", 1)[1])
    ask("POST", "/api/auth/login", {"handle": me["handle"], "password": f"{PASSWORD}-wrong"}, plain)
    statuses["me by cookie"] = ask("GET", "/api/me", headers={"cookie": cookie}).status
    ask("POST", "/api/auth/logout", {}, {"cookie": cookie, "origin": "https://evil.example"})
    bot = ask("POST", f"{account}/bots/", {"name": "bot"}).json()
    secrets.add("a bot's key", bot["api_key"]["key"])
    for key in [WRONG, bot["api_key"]["key"][:-1], bot["api_key"]["key"]]:
        ask("GET", "/api/me", headers={"authorization": f"Bearer {key}"})
        ask("GET", f"/api/me?api_key={key}", headers={"authorization": key, "x-api-key": key})
    destination = {
        "name": "out",
        "to": "https://hooks.example/events",
        "headers": {"x-own": "a word"},
        "bearer": BEARER,
        "sign_secrets": [SIGN_OUT],
    }
    statuses["a destination"] = ask("POST", f"{server.account['api_path']}/destinations/", destination).status
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    upgrade["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    for way, more in [("in", {}), ("out", {}), ("out", {"sec-websocket-protocol": "prefect"})]:
        for key in [WRONG, bot["api_key"]["key"]]:
            shown = {"cookie": cookie, "authorization": f"Bearer {key}"}
            ask("GET", f"{account}/events/{way}", headers={**upgrade, **more, **shown})
    return statuses, cookie


def speak(server, secrets, secured):
    """All of it, over plain text or TLS."""
    made = webhooks(server, secrets)
    statuses, cookie = calls(server, secrets)
    body = json.dumps({"card": REDACTED}).encode()
    signature = hmac.new(SIGNING.encode(), body, hashlib.sha256).hexdigest()
    secrets.add("a signature", signature)
    basic = base64.b64encode(f"user:{BASIC}".encode()).decode()
    more = [
        ("authorization", f"Basic {basic}"),
        ("cookie", cookie),
        ("x-hub-signature-256", f"sha256={signature}"),
        ("proxy-authorization", f"Bearer {WRONG}"),
    ]
    sent = 0
    for name, record in made.items():
        datas = requests(f"/hooks/{record['slug']}", more)
        with ThreadPoolExecutor(len(datas)) as pool:
            sent += len(list(pool.map(lambda data: knock(server, data, secured), datas)))
    return statuses, sent


def check_form(checks, folder, form, secured):
    """One gateway at its loudest."""
    folder.mkdir()
    Sink.count = 0
    sink = http.server.ThreadingHTTPServer((gateway.LOOPBACK, 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    (folder / "bearer").write_text(BEARER)
    (folder / "headers").write_text(f"x-own: {OWN_HEADER}\n")
    (folder / "sign").write_text(SIGN_OUT)
    files = f"bearer_file={folder}/bearer&headers_file={folder}/headers&sign_file={folder}/sign"
    target = f"http://{gateway.LOOPBACK}:{sink.server_port}/events?{files}"
    env = {"HOOKGATE_LOG__LEVEL": "trace", "HOOKGATE_LOG__FORMAT": form}
    env |= {"HOOKGATE_LIMITS__WRONG_KEYS_PER_MINUTE": "5", "HOOKGATE_LIMITS__WRONG_SLUGS_PER_MINUTE": "40"}
    context = ssl.create_default_context(cafile=TLS / "certificate.pem")
    if secured:
        env["HOOKGATE_SERVER__TLS_CERTIFICATE"] = str(TLS / "certificate.pem")
        env["HOOKGATE_SERVER__TLS_KEY"] = str(TLS / "key.pem")
    secrets = Secrets()
    for name, secret in [
        ("a password", PASSWORD),
        ("a signing secret", SIGNING),
        ("a basic secret", BASIC),
        ("a bearer", BEARER),
        ("a header", OWN_HEADER),
        ("a secret that signs", SIGN_OUT),
        ("what is redacted", REDACTED),
        ("a wrong key", WRONG),
    ]:
        secrets.add(name, secret)
    with gateway.Gateway(folder, forward=[target], env=env) as server:
        secrets.add("the first key", server.account["api_key"])
        if secured:
            server.connect = lambda **_: wrapped(server, context)
        server.start()
        statuses, sent = speak(server, secrets, secured)
        wrong = {name: status for name, status in statuses.items() if status >= 300}
        checks.equal(f"{form}: the API did what it was asked", wrong, {})
        checks.true(f"{form}: its destination was asked", gateway.until(lambda: Sink.count >= 4, 20), Sink.count)
        said = server.admin("/metrics").body.decode() + json.dumps(server.checks())
        server.stop()
        lines = server.log.read_text(errors="replace")
        ours, others = (lines.count(word) for word in ("hookgate::", "h2::"))
        counted = f"{sent} requests, {len(secrets.named)} secrets, {len(lines.splitlines())} lines, {ours} of them ours"
        print(f"{form}: {counted}", flush=True)
        checks.true(f"{form}: it speaks at its loudest", "TRACE" in lines or "DEBUG" in lines, lines[-500:])
        checks.equal(f"{form}: other crates say nothing of requests", others, 0)
        checks.equal(f"{form}: no secret is in the log", secrets.found(lines), [])
        checks.equal(f"{form}: nor in what it prints", secrets.found((folder / "gateway.out").read_text()), [])
        checks.equal(f"{form}: nor in metrics and readiness", secrets.found(said), [])
        checks.true(f"{form}: nothing panicked", "panicked" not in lines)
    sink.shutdown()


def wrapped(server, context):
    """A connection of HTTP/1 over TLS."""
    connection = gateway.Connection(server.port)
    context.set_alpn_protocols(["http/1.1"])
    connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
    return connection


def check(checks, folder):
    """The whole script."""
    secrets = Secrets()
    secrets.add("a word", "what-is-found")
    for how, form in forms("what-is-found"):
        checks.true(f"a secret is found {how}", secrets.found(f"a line with {form}."))
    checks.equal("and none where there is none", secrets.found("a line without"), [])
    check_form(checks, folder / "json", "json", False)
    check_form(checks, folder / "human", "human", True)


if __name__ == "__main__":
    gateway.perform(check, seconds=150)
