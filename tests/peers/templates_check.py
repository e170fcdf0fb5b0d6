#!/usr/bin/env python3
"""Renders every case of templates/ with the real Jinja2 and compares the event with the file beside it.

Independent of hookgate: what it says of a template, Python's own engine said. It also holds the gallery to its
rules: two events and one failure a folder, every branch reached, every folder with a README and a row in the index.
With HOOKGATE_BLESS=1 it writes the expected events instead; an expected error is always written by hand.
Ends with `N passed, N failed`.
"""

import base64
import json
import os
import re
import sys
import uuid
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from jinja2 import ChainableUndefined, TemplateError, nodes
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from jinja2_humanize_extension import HumanizeExtension

ROOT = Path(__file__).resolve().parents[2]
BLESS = os.environ.get("HOOKGATE_BLESS") == "1"

EVENTS_LEAST, ERRORS_LEAST = 2, 1
CASE_MAX_BYTES = 15_000
# The limits of Prefect's validator (contract 2.6), and of an event a template may make (contract 1, 2.7).
LOOPS_MAX, LOOP_DEPTH_MAX, RANGE_MAX = 10, 2, 100
NAME_MAX_CHARS, RESOURCE_ID_MAX_BYTES, LABELS_MAX, RELATED_MAX = 1024, 1024, 500, 99
EVENT_MAX_BYTES = 1_400_000
RESERVED_PREFIXES = ("prefect-cloud.", "hookgate.")
# The gallery's own: a label is a word, a name or a title, never a text of any length.
LABEL_MAX_CHARS = 300
# What a rendering may end with; anything else is a fault of this script.
FAULTS = (TemplateError, TypeError, ValueError, OverflowError, ArithmeticError, AttributeError, LookupError)


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


def bounded_range(*args):
    made = range(*args)
    if len(made) > RANGE_MAX:
        raise OverflowError(f"a range of more than {RANGE_MAX} items")
    return made


def environment():
    made = ImmutableSandboxedEnvironment(undefined=ChainableUndefined, extensions=[HumanizeExtension])
    made.filters["from_cloud_event"] = from_cloud_event
    made.globals["range"] = bounded_range
    made.policies["json.dumps_kwargs"] = {"sort_keys": True}
    return made


def body_of(request):
    """What `body` is, by the media type (contract 2.3): a form is a flat object, a body that is no JSON is text."""
    if "body_json" in request:
        return request["body_json"]
    text = request.get("body", "")
    headers = {name.lower(): value for name, value in request["headers"].items()}
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(text, keep_blank_values=True))
    try:
        return json.loads(text)
    except ValueError:
        return text


def context_of(request):
    """What a template sees of a request file."""
    return {"method": request["method"], "headers": Headers(request["headers"]), "body": body_of(request)}


def fault_of_resource(resource, at):
    """The pointer of the first rule that a resource breaks, or None."""
    if not isinstance(resource, dict) or len(resource) > LABELS_MAX:
        return at
    for name, value in resource.items():
        if not isinstance(value, str):
            return f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
    if not resource.get("prefect.resource.id"):
        return at
    if len(resource["prefect.resource.id"].encode()) > RESOURCE_ID_MAX_BYTES:
        return f"{at}/prefect.resource.id"
    return None


def is_moment(value):
    """Whether a value is a moment of RFC 3339; Python knows no seventh digit of a second."""
    try:
        datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
    except (TypeError, ValueError):
        return False
    return True


def is_uuid(value):
    try:
        uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def fault_of(event):
    """The pointer of the first rule of events that the rendering breaks, or None."""
    if not isinstance(event, dict):
        return ""
    name = event.get("event")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_MAX_CHARS or name.lower().startswith(RESERVED_PREFIXES):
        return "/event"
    fault = fault_of_resource(event.get("resource"), "/resource")
    if fault:
        return fault
    for key, holds in (("occurred", is_moment), ("id", is_uuid), ("follows", is_uuid)):
        if key in event and not holds(event[key]) and (key, event[key]) != ("follows", None):
            return f"/{key}"
    related = event.get("related", [])
    if not isinstance(related, list) or len(related) > RELATED_MAX:
        return "/related"
    for place, one in enumerate(related):
        fault = fault_of_resource(one, f"/related/{place}")
        if fault or not one.get("prefect.resource.role"):
            return fault or f"/related/{place}"
    return None if isinstance(event.get("payload", {}), dict) else "/payload"


def refuse_constant(text):
    raise ValueError(f"{text} is no JSON")


def outcome(made, source, request):
    """('event', it), or ('error', {error_type, line or pointer})."""
    try:
        text = made.from_string(source).render(context_of(request))
    except FAULTS as fault:
        frames, trace = [], fault.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename == "<template>":
                frames.append(trace.tb_lineno)
            trace = trace.tb_next
        line = frames[-1] if frames else getattr(fault, "lineno", None)
        return "error", {"error_type": "template", "line": line}
    try:
        event = json.loads(text, parse_constant=refuse_constant)
    except ValueError as fault:
        return "error", {"error_type": "json", "line": getattr(fault, "lineno", None)}
    if len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()) > EVENT_MAX_BYTES:
        return "error", {"error_type": "too-large"}
    pointer = fault_of(event)
    if pointer is not None:
        return "error", {"error_type": "invalid-event", "pointer": pointer}
    return "event", event


def check(made, source, case):
    """None when the case holds, else what differs."""
    kind, got = outcome(made, source, json.loads(case.read_text()))
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


class Branches(NodeTransformer):
    """Wraps every decision of a template in a call that notes which way it went, and renders it so."""

    def __init__(self, made, source):
        self.wanted, self.seen = [], set()
        tree = self.visit(made.parse(source))
        self.template = made.template_class.from_code(made, made.compile(tree), {**made.globals, "watch": self.watch})

    def watch(self, place, value):
        """The value; a loop's items are drawn to see whether there are any."""
        what = self.wanted[place][1]
        if what == "for":
            value = list(value)
        self.seen.add((place, not isinstance(value, Undefined) if what == "default" else bool(value)))
        return value

    def wrap(self, node, field, what, ways=(True, False)):
        place = nodes.Const(len(self.wanted))
        self.wanted.append((node.lineno, what, ways))
        call = nodes.Call(nodes.Name("watch", "load"), [place, getattr(node, field)], [], None, None)
        setattr(node, field, call.set_lineno(node.lineno).set_environment(node.environment))

    def generic_visit(self, node):
        node = super().generic_visit(node)
        match node:
            case nodes.If() | nodes.CondExpr():
                self.wrap(node, "test", "condition")
            case nodes.Or() | nodes.And():
                self.wrap(node, "left", f"left of '{type(node).__name__.lower()}'")
            case nodes.Filter(name="default" | "d"):
                self.wrap(node, "node", "default")
            case nodes.For():
                self.wrap(node, "iter", "for", (True, False) if node.else_ else (True,))
                if node.test:
                    self.wrap(node, "test", "condition")
        return node

    def missed(self, requests):
        """What no request reached, in words."""
        for request in requests:
            try:
                self.template.render(context_of(request))
            except FAULTS:
                pass
        return [
            f"line {line}: no case in which the {what} is {str(way).lower()}"
            for place, (line, what, ways) in enumerate(self.wanted)
            for way in ways
            if (place, way) not in self.seen
        ]


def depth_of_loops(node):
    below = max(map(depth_of_loops, node.iter_child_nodes()), default=0)
    return below + isinstance(node, nodes.For)


def faults_of_template(made, source, cases):
    """What a template breaks of Prefect's validator and of the gallery's own rules."""
    tree = made.parse(source)
    if len(list(tree.find_all(nodes.For))) > LOOPS_MAX or depth_of_loops(tree) > LOOP_DEPTH_MAX:
        yield "too many or too deep loops"
    yield from Branches(made, source).missed(json.loads(case.read_text()) for case in cases)


def faults_of_folder(made, folder):
    """What a folder lacks, or has too much of."""
    requests = sorted(folder.glob("cases/*.request.json"))
    events, errors = (list(folder.glob(f"cases/*.{kind}.json")) for kind in ("event", "error"))
    source = (folder / "template.j2").read_text()
    # A template without braces is an event as it stands: nothing can go wrong with it.
    is_static = "{{" not in source and "{%" not in source
    readme = folder / "README.md"
    if not readme.exists() or not readme.read_text().startswith("# "):
        yield "no README.md that begins with a title"
    if len(events) < EVENTS_LEAST or (len(errors) < ERRORS_LEAST and not is_static):
        yield f"{len(events)} events and {len(errors)} failures, at least {EVENTS_LEAST} and {ERRORS_LEAST}"
    for one in events + errors:
        if not one.with_name(one.name.replace(".event.", ".request.").replace(".error.", ".request.")).exists():
            yield f"{one.name} has no request"
    for one in requests:
        if not json.loads(one.read_text()).get("note"):
            yield f"{one.name} has no note"
    for one in requests + events:
        if one.stat().st_size > CASE_MAX_BYTES:
            yield f"{one.name} has {one.stat().st_size} bytes, at most {CASE_MAX_BYTES}"
    for one in events:
        event = json.loads(one.read_text())
        for resource in [event["resource"], *event.get("related", [])]:
            for name, value in resource.items():
                if len(value) > LABEL_MAX_CHARS:
                    yield f"{one.name}: label {name} has {len(value)} characters, at most {LABEL_MAX_CHARS}"
    if not is_static:
        yield from faults_of_template(made, source, requests)


def faults_of_index(folders):
    """Where the table of templates/README.md and the folders disagree."""
    rows = re.findall(r"^\| \[`([^`]+)`\]\(([^)]+)\) \|", (ROOT / "templates/README.md").read_text(), re.MULTILINE)
    names = [folder.name for folder in folders]
    if [name for name, _ in rows] != names:
        yield f"rows {[name for name, _ in rows]}\n  folders {names}"
    yield from (f"the row of {name} leads to {link}" for name, link in rows if link != f"{name}/")


def main():
    made = environment()
    folders = sorted(path.parent for path in ROOT.glob("templates/*/template.j2"))
    passed = failed = 0

    def count(what, faults):
        nonlocal passed, failed
        failed, passed = (failed + 1, passed) if faults else (failed, passed + 1)
        for fault in faults:
            print(f"FAILED {what}\n  {fault}")

    for folder in folders:
        source = (folder / "template.j2").read_text()
        for case in sorted(folder.glob("cases/*.request.json")):
            fault = check(made, source, case)
            count(case.relative_to(ROOT), [fault] if fault else [])
        count(folder.relative_to(ROOT), list(faults_of_folder(made, folder)))
    count("templates/README.md", list(faults_of_index(folders)))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not folders else 0


if __name__ == "__main__":
    sys.exit(main())
