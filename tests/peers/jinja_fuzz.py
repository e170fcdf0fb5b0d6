#!/usr/bin/env python3
"""Renders templates made at random with the real Jinja2 and with hookgate, and compares the texts.

Each template and its context come from one number, so that a difference can be made again. Python is always right; what
may differ is in KNOWN, each with its reason, and in templates/DIFFERENCES.md. A difference is cut smaller before it is
shown. Usage: jinja_fuzz.py [--renders N] [--seconds N] [--seed N]. Takes HOOKGATE_BIN. Ends with `N passed, N failed`.
"""

import argparse
import collections
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

from humanize import deactivate
from jinja2 import TemplateSyntaxError, nodes
from jinja_grammar import Grammar
from jinja_literals import Piece
from templates_check import LOOP_DEPTH_MAX, LOOPS_MAX, Headers, depth_of_loops, environment

ROOT = Path(__file__).resolve().parents[2]
# What the examples of templates/DIFFERENCES.md see.
EXAMPLE = {"body": {"n": -8, "s": "nan", "l": [1, 2]}}
# One rendering of Python's; what takes longer is no comparison.
PYTHON_SECONDS = 2
PYTHON_MEMORY_BYTES = 4 << 30
SHRINK_SECONDS = 6
# A budget of hookgate's that ends more of these small templates is a fault.
BUDGET_MAX_SHARE = 0.005


# What Python prints of generators, methods and functions: its address in memory, whatever filters made of it.
ADDRESS = re.compile(r"at(20)?0x[0-9a-f]{6}|builtin(20)?method|boundmethod", re.IGNORECASE)


class Late(BaseException):
    """Python took too long."""


class Folded(Headers):
    """As templates see them: no case in `in` and `copy`, either; a secret is not there."""

    def __init__(self, pairs):
        super().__init__({name: value for name, value in pairs.items() if name.lower() != "authorization"})

    def __contains__(self, name):
        return super().__contains__(name.lower() if isinstance(name, str) else name)

    def __getitem__(self, name):
        return dict.__getitem__(self, name.lower() if isinstance(name, str) else name)

    def get(self, name, default=None):
        return dict.get(self, name.lower() if isinstance(name, str) else name, default)

    def copy(self):
        return Folded(self)


class Oracle:
    """Python's Jinja2 as Prefect sets it up."""

    def __init__(self):
        self.made = environment()
        signal.signal(signal.SIGALRM, self.late)
        resource.setrlimit(resource.RLIMIT_AS, (PYTHON_MEMORY_BYTES, PYTHON_MEMORY_BYTES))
        warnings.simplefilter("ignore")

    @staticmethod
    def late(_signal, _frame):
        raise Late

    def render(self, source, context):
        """("text", it), ("error", its words) or ("skip", why there is nothing to compare)."""
        signal.setitimer(signal.ITIMER_REAL, PYTHON_SECONDS)
        try:
            return self.render_in_time(source, json.loads(json.dumps(context)))
        except (Late, MemoryError):
            return "skip", "too much for Python"
        except RecursionError:
            return "skip", "too deep for Python"
        except TemplateSyntaxError as fault:
            return "error", f"{type(fault).__name__}: {fault}"
        except (NameError, SyntaxError) as fault:
            return "skip", f"the code that Jinja makes is broken: {fault}"
        except AssertionError as fault:
            # A block set's filter that reads a name.
            return ("skip", "a name that Jinja forgets") if "to a reference" in str(fault) else ("error", str(fault))
        except Exception as fault:
            return "error", f"{type(fault).__name__}: {fault}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            # A template may have changed the language of the process.
            deactivate()

    def render_in_time(self, source, context):
        if "{{" not in source and "{%" not in source:
            return "text", source
        tree = self.made.parse(source)
        if len(list(tree.find_all(nodes.For))) > LOOPS_MAX or depth_of_loops(tree) > LOOP_DEPTH_MAX:
            raise TemplateSyntaxError("too many or too deep loops", 1)
        if "headers" in context:
            context["headers"] = Folded(context["headers"])
        code = self.made.compile(tree)
        text = self.made.template_class.from_code(self.made, code, self.made.make_globals(None)).render(context)
        if ADDRESS.search(re.sub(r"[^A-Za-z0-9]", "", text)):
            return "skip", "an address"
        return "text", text


class Hookgate:
    """The binary, asked case by case."""

    def __init__(self, binary):
        command = [binary, "render", "--cases", "-", "-o", "json"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1
        )

    def render(self, source, context):
        """As the oracle's, and ("budget", words)."""
        self.process.stdin.write(json.dumps({"id": 0, "template": source, "context": context}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"hookgate ended with {self.process.wait()} at {source!r} {context!r}")
        answer = json.loads(answer)
        if "text" in answer:
            return "text", answer["text"]
        fault = answer["error"]
        return ("budget" if fault["budget"] else "error"), fault["message"]


# What is known to differ: a name, its reason, and whether a case is one, by the source and both outcomes.
KNOWN = [
    (
        "complex numbers",
        "a negative number to a fractional power is refused",
        lambda source, python, ours: "complex number" in ours[1],
    ),
    (
        "what Jinja evaluates when it compiles",
        "a constant that cannot be sliced is undefined there; here only where all of it is constant at a glance",
        lambda source, python, ours: "cannot be sliced" in ours[1]
        or re.search("not subscriptable|unhashable type: 'slice'", python[1]) is not None
        or "cannot be the key of a dict" in ours[1],
    ),
    (
        "names set behind a block that reads them",
        "Jinja then hides the context's value from the block; here the block sees it",
        lambda source, python, ours: sets_a_global(source),
    ),
    (
        "widths over 10,000",
        "a format may not write more than that",
        lambda source, python, ours: re.search("too much: at most 10000|too large for a width", ours[1]) is not None,
    ),
    (
        "other templates",
        "`include`, `import` and `extends` are refused at once, by Jinja only when they are reached",
        lambda source, python, ours: "needs another template" in ours[1],
    ),
    (
        "characters by name",
        "a table of 34,000 names for one escape is more than it is worth",
        lambda source, python, ours: "not known by name" in ours[1],
    ),
    (
        "bytes",
        "they have `decode` and `hex` only, and no `%`",
        lambda source, python, ours: re.search("bytes has no method|remainder of bytes", ours[1]) is not None,
    ),
    (
        "the loop as a row",
        "`loop` cannot be looped over; in Python that takes the items that are left",
        lambda source, python, ours: re.search(r"\bloop\b(?!\.)", source) and "object cannot be" in ours[1],
    ),
    (
        "recursive loops in each other",
        "`loop.depth` counts the loop around, too",
        lambda source, python, ours: " recursive" in source
        and source.count(" for ") > 1
        and "loop.depth" in source,
    ),
    (
        "addresses",
        "what has an address in Python is shown without it, and is shorter",
        lambda source, python, ours: re.search("<(buil|gene|func)", ours[1], re.IGNORECASE) is not None
        or (METHOD.search(source) and "|length" in source and NUMBER.sub("0", python[1]) == NUMBER.sub("0", ours[1])),
    ),
]

# A method of a text or a row that is printed and not called.
METHOD = re.compile(r"""(\.|\[')(get|format|count|index|items|keys|values|title|join)('\])? *-?\}\}""")
NUMBER = re.compile(r"\d+")
GLOBAL_SET = re.compile(r"\{%[-+]?\s*set\s+(i|s|l|d)\b")


def sets_a_global(source):
    return GLOBAL_SET.search(source) is not None


def compare(python, ours, source):
    """None when they agree, the name of what is known, or "differs"."""
    if python[0] == "skip":
        return python[1].split(":")[0]
    if ours[0] == "budget":
        return None if python[0] == "error" else "over budget"
    if python[0] == ours[0] and (python[0] == "error" or python[1] == ours[1]):
        return None
    for name, _, holds in KNOWN:
        if holds(source, python, ours):
            return name
    return "differs"


def pieces(piece):
    """A tree's pieces with the places they stand at."""
    for place, part in enumerate(piece.parts):
        if isinstance(part, Piece):
            yield piece, place, part
            yield from pieces(part)


def smaller(part):
    """What may stand in a piece's place, the smallest first."""
    if part.kind in ("stmt", "opt", "body"):
        yield ""
    if part.kind in ("stmt", "body"):
        yield from (below for _, _, below in pieces(part) if below.kind in ("stmt", "body"))
    if part.kind == "expr":
        if len(str(part)) > 2:
            yield from (Piece("expr", text) for text in ("1", "''", "[]", "s"))
        yield from (below for _, _, below in pieces(part) if below.kind == "expr")


def shrunk(tree, context, differs):
    """The same difference with less."""
    end, again = time.monotonic() + SHRINK_SECONDS, True
    while again and time.monotonic() < end:
        again = False
        for owner, place, part in list(pieces(Piece("body", tree))):
            before = len(str(tree))
            for instead in smaller(part):
                if time.monotonic() > end:
                    break
                if len(str(instead)) >= len(str(part)):
                    continue
                owner.parts[place] = instead
                if len(str(tree)) < before and differs(str(tree), context):
                    again = True
                    break
                owner.parts[place] = part
    for key in list(context):
        less = {name: value for name, value in context.items() if name != key}
        if differs(str(tree), less):
            context = less
    return str(tree), context


def documented():
    """The examples of templates/DIFFERENCES.md, each with whether it is said to be refused."""
    refused = False
    for line in (ROOT / "templates/DIFFERENCES.md").read_text().splitlines():
        refused = line == "## Refused here" if line.startswith("## ") else refused
        if line.startswith("| `{"):
            cell = re.split(r"(?<!\\)\|", line)[1].replace("\\|", "|")
            yield from ((source, refused) for source in re.findall(r"`([^`]+)`", cell) if "{" in source)


class Run:
    """Cases one after the other, and what became of them."""

    def __init__(self, binary):
        self.oracle, self.hookgate = Oracle(), Hookgate(binary)
        self.passed = self.failed = self.texts = 0
        self.others = collections.Counter()

    def outcome(self, source, context):
        python = self.oracle.render(source, context)
        ours = self.hookgate.render(source, context) if python[0] != "skip" else None
        return python, ours

    def differs(self, source, context):
        python, ours = self.outcome(source, context)
        return compare(python, ours, source) == "differs"

    def check_document(self):
        """What is said to differ does."""
        for source, refused in documented():
            python, ours = self.oracle.render(source, EXAMPLE), self.hookgate.render(source, EXAMPLE)
            holds = python[:2] != ours and python[0] != "error" and (ours[0] == "error") == refused
            self.passed, self.failed = self.passed + holds, self.failed + (not holds)
            if not holds:
                print(f"templates/DIFFERENCES.md is wrong about {source}\n  {python}\n  {ours}")

    def case(self, seed):
        grammar = Grammar(seed)
        context = grammar.context()
        tree = grammar.template()
        source = str(tree)
        python, ours = self.outcome(source, context)
        found = compare(python, ours, source)
        if found == "differs":
            self.failed += 1
            self.show(seed, tree, context)
        elif found is None:
            self.passed += 1
            self.texts += python[0] == "text"
        else:
            self.others[found] += 1

    def show(self, seed, tree, context):
        source, context = shrunk(tree, context, self.differs)
        python, ours = self.outcome(source, context)
        print(f"DIFFERS at --seed {seed}")
        print(f"  template  {source!r}")
        print(f"  context   {json.dumps(context)}")
        print(f"  Python    {python[0]}: {python[1]!r}")
        print(f"  hookgate  {ours[0]}: {ours[1]!r}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renders", type=int, default=1 << 62)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=20, help="differences to show before ending")
    args = parser.parse_args()
    run, end = Run(os.environ.get("HOOKGATE_BIN", ROOT / "target/release/hookgate")), time.monotonic() + args.seconds
    run.check_document()
    for seed in range(args.seed, args.seed + args.renders):
        if time.monotonic() > end or run.failed >= args.most:
            break
        run.case(seed)
    compared = run.passed + run.failed
    print(f"seeds {args.seed} to {seed}: {run.texts} texts are the same, {run.passed - run.texts} fail on both sides")
    for name, count in run.others.most_common():
        print(f"not compared: {count} ({name})")
    if run.others["over budget"] > BUDGET_MAX_SHARE * compared:
        run.failed += 1
        print("too many are over budget")
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
