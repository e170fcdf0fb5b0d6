#!/usr/bin/env python3
"""Posts every example payload of @octokit/webhooks-examples (GitHub and GitHub Enterprise) to a webhook, and finds each
at the destination once, in order, equal to what was sent, right behind its received event.

Two webhooks: one with the body as payload and nothing else, one with the template of templates/github. Takes
HOOKGATE_BIN; asks npm for the examples once. Ends with `N passed, N failed`.
"""

import json

import gateway

BARE = """{
  "event": "github.{{ headers['x-github-event'] }}",
  "resource": {"prefect.resource.id": "github.delivery.{{ headers['x-github-delivery'] }}"},
  "payload": {{ body|tojson }}
}"""
MEMBERS = ["occurred", "event", "resource", "related", "payload", "id", "follows", "received", "account", "workspace"]


def examples():
    """Every example as (edition, event, payload)."""
    found = []
    for index in sorted(gateway.installed("node_modules/@octokit/webhooks-examples").glob("*/index.json")):
        for hook in json.loads(index.read_text()):
            found += [(index.parent.name, hook["name"], example) for example in hook["examples"]]
    return found


def post_all(checks, server, path, sent):
    """Posts each example on one connection; returns the receipts."""
    connection, receipts = server.connect(), []
    for number, (edition, event, payload) in enumerate(sent):
        headers = {"x-github-event": event, "x-github-delivery": number, "user-agent": "GitHub-Hookshot/044aadd"}
        answer = connection.post(path, payload, headers)
        checks.equal(f"{edition} {event} ({number}) is accepted", (answer.status, answer.body), (204, b""))
        receipts.append(answer.headers.get("hookgate-receipt"))
    return receipts


def fault_of(pair, webhook, receipt, payload):
    """What is wrong with a received event and the user's event behind it, or None."""
    received, event = pair
    related = {"prefect.resource.id": f"prefect-cloud.webhook.{webhook.id}", "prefect.resource.role": "webhook"}
    rules = [
        ("the first is the received event", received["event"] == "prefect-cloud.webhook.received"),
        ("the receipt is its id", received["id"] == receipt),
        ("it names the user's event", received["payload"]["event_id"] == event["id"]),
        ("the user's event follows it", event["follows"] == received["id"]),
        ("the webhook is related", any(related.items() <= one.items() for one in event["related"])),
        ("the members stand in their order", list(received) == list(event) == MEMBERS),
        ("the payload is what was sent", gateway.strict(event["payload"]) == gateway.strict(payload)),
    ]
    return next((name for name, holds in rules if not holds), None)


def check_template(checks, server, name, template, event_of):
    """Posts everything to one template and looks at what arrived since."""
    sent = examples()
    before = len(server.drained_events())
    webhook = server.webhook(name, template)
    receipts = post_all(checks, server, webhook.path, sent)
    arrived = [one for one in server.drained_events()[before:] if one["event"] != "prefect-cloud.webhook.created"]
    checks.equal(f"{name}: two events for each request arrive", len(arrived), 2 * len(sent))
    checks.equal(f"{name}: no id comes twice", len({one["id"] for one in arrived}), len(arrived))
    pairs = zip(arrived[::2], arrived[1::2])
    for number, ((_, event, payload), receipt, pair) in enumerate(zip(sent, receipts, pairs)):
        checks.equal(f"{name}: {event} ({number})", fault_of(pair, webhook, receipt, payload), None)
        checks.equal(f"{name}: {event} ({number}) has its name", pair[1]["event"], event_of(event, payload))


def check(checks, folder):
    """The whole script."""
    with gateway.Gateway(folder) as server:
        server.start()
        check_template(checks, server, "the body as payload", BARE, lambda event, _: f"github.{event}")
        template = (gateway.ROOT / "templates/github/template.j2").read_text()
        action = lambda payload: f".{payload['action']}" if payload.get("action") else ""
        check_template(
            checks, server, "templates/github", template, lambda event, payload: f"github.{event}{action(payload)}"
        )
        checks.equal("it ends cleanly", server.stop(), 0)


if __name__ == "__main__":
    gateway.perform(check, seconds=180)
