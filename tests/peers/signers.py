#!/usr/bin/env python3
"""Requests signed by the vendors' own SDKs, judged by `hookgate verify`: those are verified, the same with another body,
secret or time are refused, and by the SDKs, too. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
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


SIGNERS = {
    "standard-webhooks": (*standard(StandardWebhook, "webhook"), BODY, BODY + " "),
    "svix": (*standard(SvixWebhook, "svix"), BODY, BODY + " "),
    "stripe": (sign_stripe, check_stripe, BODY, BODY + " "),
    "slack": (sign_slack, check_slack, BODY, BODY + " "),
    "twilio": (sign_twilio, check_twilio, FORM, FORM.replace("1234", "9", 1)),
}


def main():
    cases, faults = [], []
    for provider, (sign, check, body, spoilt) in SIGNERS.items():
        headers = sign(KEY, body)
        for name, secret, sent, valid in [("signed", KEY, body, True), ("body", KEY, spoilt, False), ("secret", OTHER, body, False)]:
            if check(secret, sent, headers) != valid:
                faults.append(f"the SDK of {provider} says otherwise: {name}")
            case = {"id": f"{provider}-{name}", "provider": provider, "secret": secret, "headers": headers, "body": sent}
            cases.append({**case, "url": URL, "now": NOW, "valid": valid})
        if provider != "twilio":
            late = {"id": f"{provider}-late", "provider": provider, "secret": KEY, "headers": headers, "body": body}
            cases += [{**late, "now": NOW + 300, "valid": True}, {**late, "now": NOW + 301, "valid": False}]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.jsonl"
        file.write_text("".join(json.dumps(case) + "\n" for case in cases))
        found = subprocess.run([gateway.BINARY, "verify", "--cases", file], capture_output=True, text=True)
    lines = found.stdout.splitlines()
    faults += [line for line in lines if line.startswith("FAIL")]
    if not lines or not lines[-1].startswith(f"{len(cases)} passed"):
        faults.append(f"not {len(cases)} cases passed: {lines[-1:]} {found.stderr}")
    for fault in faults:
        print(f"FAIL {fault}")
    print(f"{len(cases) + 3 * len(SIGNERS) - len(faults)} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
