#!/usr/bin/env python3
"""Renders every case of templates/ with the real Jinja2 and compares the event with the file beside it.

Independent of hookgate: what it says of a template, Python's own engine said. With HOOKGATE_BLESS=1 it writes
the expected events instead; an expected error is always written by hand. Ends with `N passed, N failed`.
"""

import base64
import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote

from jinja2 import ChainableUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2_humanize_extension import HumanizeExtension

ROOT = Path(__file__).resolve().parents[2]
BLESS = os.environ.get("HOOKGATE_BLESS") == "1"


class Headers(dict):
    """A mapping that knows no upper case."""

    def __init__(self, pairs):
        super().__init__({name.lower(): value for name, value in pairs.items()})

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def get(self, name, default=None):
        return super().get(name.lower(), default)


def from_cloud_event(body, headers):
    """The filter as contract and CloudEvents' HTTP binding describe it."""
    if isinstance(body, dict) and "specversion" in body:
        attributes = {k: v for k, v in body.items() if k not in ("data", "data_base64")}
        data = body.get("data")
        if "data_base64" in body:
            data = base64.b64decode(body["data_base64"]).decode()
    else:
        attributes = {k[3:]: unquote(v) for k, v in headers.items() if k.startswith("ce-")}
        if "content-type" in headers:
            attributes.setdefault("datacontenttype", headers["content-type"])
        data = body
    for name in ("specversion", "type", "source", "id"):
        if not attributes.get(name):
            raise TemplateError(f"missing CloudEvents attribute {name}")
    event = {
        "event": attributes["type"],
        "resource": {"prefect.resource.id": attributes.get("subject") or attributes["source"]},
        "payload": {"data": data, "cloudevents": attributes},
    }
    if "time" in attributes:
        event["occurred"] = attributes["time"]
    return json.dumps(event)


def environment():
    made = ImmutableSandboxedEnvironment(undefined=ChainableUndefined, extensions=[HumanizeExtension])
    made.filters["from_cloud_event"] = from_cloud_event
    made.policies["json.dumps_kwargs"] = {"sort_keys": True}
    return made


def context_of(request):
    """What a template sees of a request file: a body that is no JSON is text."""
    body = request.get("body_json", request.get("body", ""))
    if "body_json" not in request:
        try:
            body = json.loads(body)
        except ValueError:
            pass
    return {"method": request["method"], "headers": Headers(request["headers"]), "body": body}


def fault_of(event):
    """The first rule of events that the rendering breaks, or None."""
    if not isinstance(event, dict) or not event.get("event"):
        return "/event"
    for place, resource in [("/resource", event.get("resource")), *(
        (f"/related/{i}", one) for i, one in enumerate(event.get("related", []))
    )]:
        if not isinstance(resource, dict) or not resource.get("prefect.resource.id"):
            return place
        if not all(isinstance(value, str) for value in resource.values()):
            return place
        if place != "/resource" and not resource.get("prefect.resource.role"):
            return place
    if not isinstance(event.get("payload", {}), dict):
        return "/payload"
    return None


def outcome(source, request):
    """('event', it), or ('error', {error_type, line or pointer})."""
    try:
        text = environment().from_string(source).render(context_of(request))
    except (TemplateError, TypeError, ValueError) as fault:
        frames, trace = [], fault.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename == "<template>":
                frames.append(trace.tb_lineno)
            trace = trace.tb_next
        line = frames[-1] if frames else getattr(fault, "lineno", None)
        return "error", {"error_type": "template", "line": line}
    try:
        event = json.loads(text)
    except ValueError as fault:
        return "error", {"error_type": "json", "line": getattr(fault, "lineno", None)}
    pointer = fault_of(event)
    if pointer:
        return "error", {"error_type": "invalid-event", "pointer": pointer}
    return "event", event


def check(case):
    """None when the case holds, else what differs."""
    folder = case.parent.parent
    source = (folder / "template.j2").read_text()
    kind, got = outcome(source, json.loads(case.read_text()))
    stem = case.name.removesuffix(".request.json")
    event_file = case.with_name(f"{stem}.event.json")
    error_file = case.with_name(f"{stem}.error.json")
    if BLESS and kind == "event" and not error_file.exists():
        event_file.write_text(json.dumps(got, indent=2, ensure_ascii=False) + "\n")
        return None
    expected_file = event_file if event_file.exists() else error_file
    if not expected_file.exists():
        return f"no expected file beside it; got {kind} {got}"
    expected = json.loads(expected_file.read_text())
    expected_kind = "event" if expected_file == event_file else "error"
    if expected_kind == "error":
        expected.pop("note", None)
    if (kind, got) != (expected_kind, expected):
        return f"expected {expected_kind} {expected}\n  got {kind} {got}"
    return None


def main():
    passed = failed = 0
    for case in sorted(ROOT.glob("templates/*/cases/*.request.json")):
        fault = check(case)
        if fault:
            failed += 1
            print(f"FAILED {case.relative_to(ROOT)}\n  {fault}")
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
