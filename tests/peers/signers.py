#!/usr/bin/env python3
"""Requests signed by the vendors' own SDKs (PyPI and npm), judged by `hookgate verify`: those are verified, the same with
another body, secret or time are refused, and by the SDKs, too. And the way back: what `hookgate sign` signs is taken by the
SDKs, and nothing of it that was changed. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import base64
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook as StandardWebhook
from stripe import WebhookSignature
from svix.webhooks import Webhook as SvixWebhook
from twilio.request_validator import RequestValidator

import gateway

BODY = '{"id": "evt_1", "note": "naïve ☃ \\"q\\"", "n": 12345678901234567890}'
KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
URL = "https://hooks.example.com/hooks/twilio?foo=1"
FORM = "Digits=1234&From=%2B14158675309&To=%2B18005551212"
# The SDK of WorkOS writes the body again before it judges: one that is written the same.
PLAIN = '{"id":"evt_1","note":"naïve ☃"}'
ADYEN = json.dumps({"notificationItems": [{"NotificationRequestItem": {
    "pspReference": "7914073381342284", "merchantAccountCode": "Shop", "merchantReference": "T-1",
    "amount": {"value": 1130, "currency": "EUR"}, "eventCode": "AUTHORISATION", "success": "true", "additionalData": {}}}]})
HEX = bytes(range(32)).hex()
FIELDS = {"Digits": "1234", "From": "+14158675309", "To": "+18005551212"}
NOW = int(time.time())


def accepts(check):
    try:
        return check() is not False
    except Exception:
        return False


def standard(kind, prefix):
    def sign(secret, body):
        tag = kind(secret).sign("msg_1", datetime.fromtimestamp(NOW, timezone.utc), body)
        return {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": str(NOW), f"{prefix}-signature": tag}

    return sign, lambda secret, body, headers: accepts(lambda: kind(secret).verify(body, headers))


def sign_stripe(secret, body):
    return {"Stripe-Signature": f"t={NOW},v1={WebhookSignature._compute_signature(f'{NOW}.{body}', secret)}"}


def check_stripe(secret, body, headers):
    return accepts(lambda: WebhookSignature.verify_header(body, headers["Stripe-Signature"], secret, 300))


def sign_slack(secret, body):
    tag = SignatureVerifier(secret).generate_signature(timestamp=str(NOW), body=body)
    return {"X-Slack-Request-Timestamp": str(NOW), "X-Slack-Signature": tag}


def check_slack(secret, body, headers):
    return SignatureVerifier(secret).is_valid_request(body, headers)


def sign_twilio(secret, body):
    fields = FIELDS if body == FORM else {**FIELDS, "Digits": "9"}
    return {"X-Twilio-Signature": RequestValidator(secret).compute_signature(URL, fields)}


def check_twilio(secret, body, headers):
    fields = FIELDS if body == FORM else {**FIELDS, "Digits": "9"}
    return RequestValidator(secret).validate(URL, fields, headers["X-Twilio-Signature"])


class Npm:
    """The SDKs of npm, asked line by line."""

    def __init__(self):
        folder = gateway.installed("sdks")
        script = gateway.ROOT / "tests/peers/sdks/ask.cjs"
        self.process = subprocess.Popen(
            ["node", script, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        return json.loads(self.process.stdout.readline())

    def sdk(self, name, verbs):
        """How an SDK signs, if it can, and how it checks."""
        asked = lambda ask, secret, body, **more: self.ask(
            sdk=name, ask=ask, secret=secret, body=body, url=URL, now=NOW, **more
        )
        sign = (lambda secret, body: asked("sign", secret, body)) if "sign" in verbs else None
        return sign, lambda secret, body, headers: asked("check", secret, body, headers=headers)


SIGNERS = {
    "standard-webhooks": standard(StandardWebhook, "webhook"),
    "svix": standard(SvixWebhook, "svix"),
    "stripe": (sign_stripe, check_stripe),
    "slack": (sign_slack, check_slack),
    "twilio": (sign_twilio, check_twilio),
}
# Body and secrets, where they are not the usual ones: a body, the same spoilt.
BODIES = {"twilio": (FORM, FORM.replace("1234", "9", 1)), "adyen": (ADYEN, ADYEN.replace("1130", "1131")), "workos": (PLAIN, PLAIN.replace("evt_1", "evt_2"))}
SECRETS = {"contentful": (HEX, HEX[::-1]), "adyen": (HEX, HEX[::-1])}
# Whose secret is a key pair, and of which kind.
PAIRS = {"discord": "ed25519", "sendgrid": "p256"}
# Which way of signing, where the first is not the one that the SDK knows.
WAYS = {"adyen": "2"}
TIMELESS = {"twilio", "github", "shopify", "square", "razorpay", "line", "adyen"}


def sign_here(provider, secret, body, folder):
    """What `hookgate sign` makes of a request: its headers and its body."""
    (folder / "secret").write_text(secret)
    (folder / "body").write_bytes(body.encode())
    form = "request" if provider == "adyen" else "headers"
    words = ["sign", "--provider", provider, "--secret-file", folder / "secret", "--url", URL, "-o", form, folder / "body"]
    words += ["--way", WAYS[provider]] if provider in WAYS else []
    made = subprocess.run([gateway.BINARY, *words], capture_output=True, text=True)
    if made.returncode != 0:
        raise SystemExit(f"hookgate sign --provider {provider}: {made.stderr}")
    if form == "request":
        made = json.loads(made.stdout)
        return made["headers"], json.dumps(made["body_json"])
    return dict(line.split(": ", 1) for line in made.stdout.splitlines()), body


class Cased(dict):
    """Headers that are found in either case, as SDKs of Python look for them."""

    def __missing__(self, name):
        found = [value for key, value in self.items() if key.lower() == name.lower()]
        if not found:
            raise KeyError(name)
        return found[0]

    def get(self, name, default=None):
        return next((value for key, value in self.items() if key.lower() == name.lower()), default)


def check_both(sdk, provider, sign, check, pairs, folder, faults):
    """One SDK in both directions; returns the cases for `hookgate verify`, and how often the SDK was asked."""
    body, spoilt = BODIES.get(provider, (BODY, BODY.replace("evt_1", "evt_2")))
    private, secret, other = pairs.get(provider) or (SECRETS.get(provider) or (KEY, OTHER))[:1] + (SECRETS.get(provider) or (KEY, OTHER))
    ours, sent = sign_here(provider, private, body, folder)
    changed = sent.replace("1130", "1131") if provider == "adyen" else spoilt
    rows = [(f"{sdk}: signed by hookgate", Cased(ours), sent, changed)]
    if sign:
        rows.append((f"{sdk}: signed by it", Cased(sign(secret, body)), body, spoilt))
    cases, asked = [], 0
    for what, headers, whole, other_body in rows:
        for name, key, shown, valid in [("signed", secret, whole, True), ("body", secret, other_body, False), ("secret", other, whole, False)]:
            asked += 1
            if check(key, shown, headers) != valid:
                faults.append(f"{what}: the SDK says otherwise: {name}")
            case = {"id": f"{what}: {name}", "provider": provider, "secret": key, "headers": headers, "body": shown}
            cases.append({**case, "url": URL, "now": NOW + 5, "valid": valid})
        if provider not in TIMELESS and provider != "sendgrid":
            late = {"id": f"{what}: late", "provider": provider, "secret": secret, "headers": headers, "body": whole, "url": URL}
            cases.append({**late, "now": NOW + 1000, "valid": False})
    return cases, asked


def main():
    cases, faults, asked = [], [], 0
    npm = Npm()
    sdks = [(f"PyPI {name}", name, *found) for name, found in SIGNERS.items()]
    sdks += [(f"npm {name}", name, *npm.sdk(name, verbs)) for name, verbs in npm.ask(ask="sdks")]
    pairs = {}
    for provider, kind in PAIRS.items():
        private, public = npm.ask(ask="keys", kind=kind)
        pairs[provider] = (private, public, npm.ask(ask="keys", kind=kind)[1])
    with tempfile.TemporaryDirectory() as folder:
        for sdk in sdks:
            more, count = check_both(*sdk, pairs, Path(folder), faults)
            cases += more
            asked += count
        file = Path(folder) / "cases.jsonl"
        file.write_text("".join(json.dumps(case) + "\n" for case in cases))
        found = subprocess.run([gateway.BINARY, "verify", "--cases", file], capture_output=True, text=True)
    npm.process.stdin.close()
    lines = found.stdout.splitlines()
    faults += [line for line in lines if line.startswith("FAIL")]
    if not lines or not lines[-1].startswith(f"{len(cases)} passed"):
        faults.append(f"not {len(cases)} cases passed: {lines[-1:]} {found.stderr}")
    for fault in faults:
        print(f"FAIL {fault}")
    print(f"{len(cases) + asked - len(faults)} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
