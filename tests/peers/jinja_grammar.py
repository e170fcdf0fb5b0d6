"""Templates and contexts at random, for jinja_fuzz.py: statements around expressions, all from one number."""

from jinja_expressions import Expressions
from jinja_literals import Piece
from jinja_words import BIGS, FILTERS, FLOATS, INTS, KEYS


class Grammar(Expressions):
    """One template and its context."""

    def json(self, depth):
        if depth == 0 or self.chance(0.4):
            return self.scalar()
        many = range(self.random.randrange(4))
        if self.chance(0.5):
            return [self.json(depth - 1) for _ in many]
        return {self.pick(KEYS): self.json(depth - 1) for _ in many}

    def row(self):
        row = {
            "name": self.text(),
            "n": self.pick(INTS),
            "a": {"b": self.scalar()},
            "tags": [self.text() for _ in range(2)],
        }
        if self.chance(0.15):
            row.pop(self.pick(list(row)))
        return row

    def context(self):
        many = lambda make: [make() for _ in range(self.random.randrange(5))]
        self.scope = {
            "i": "int",
            "j": "int",
            "big": "int",
            "f": "float",
            "g": "float",
            "s": "str",
            "t": "str",
            "html": "str",
            "l": "list",
            "nums": "nums",
            "strs": "strs",
            "d": "dict",
            "rows": "rows",
            "yes": "bool",
            "no": "bool",
            "nil": "none",
            "body": "dict",
            "headers": "headers",
            "method": "str",
        }
        return {
            "i": self.pick(INTS),
            "j": self.pick(INTS),
            "big": self.pick(BIGS),
            "f": self.pick(FLOATS),
            "g": self.pick(FLOATS),
            "s": self.text(),
            "t": self.text(),
            "html": self.pick(["<i>a</i>", "a & b", "'q'", "&lt;", '<a href="x">y</a> z']),
            "l": many(self.scalar),
            "nums": many(self.number),
            "strs": many(self.text),
            "d": {self.pick(KEYS): self.scalar() for _ in range(self.random.randrange(5))},
            "rows": many(self.row),
            "yes": True,
            "no": False,
            "nil": None,
            "body": {"d": self.json(2), "rows": many(self.row), "s": self.text(), "items": self.json(1)},
            "headers": {"Host": "example.com", "X-Event": self.text(), "content-type": "application/json"},
            "method": "POST",
        }

    def name(self):
        self.names += 1
        return self.pick(["v", "w", "x", "k"]) + (str(self.names) if self.chance(0.8) else "")

    def tag(self, *parts):
        return [
            "{%",
            self.pick(["", "", "", "", "-", "+"]),
            " ",
            *parts,
            " ",
            self.pick(["", "", "", "", "-", "+"]),
            "%}",
        ]

    def output(self, _depth=0):
        return Piece(
            "stmt", "{{", self.pick(["", "", "", "-"]), " ", self.expr(), " ", self.pick(["", "", "", "-"]), "}}"
        )

    def words(self, _depth=0):
        return Piece(
            "stmt",
            self.pick(
                [
                    " ",
                    "\n",
                    "text",
                    "  x  ",
                    "\n\n  ",
                    "{# note #}",
                    "{#- note -#}",
                    "<p>",
                    "\t",
                    "a{ ",
                    "}",
                    "%",
                    "#}",
                    "\r\n",
                ]
            ),
        )

    def block(self, depth):
        return Piece("body", *[self.statement(depth - 1) for _ in range(self.random.randrange(1, 4))])

    def scoped(self, added, depth):
        """Statements that see more names."""
        before, self.scope = self.scope, {**self.scope, **added}
        made = self.block(depth)
        self.scope = before
        return made

    def statement(self, depth):
        if depth <= 0 or self.chance(0.3):
            return self.output() if self.chance(0.7) else self.words()
        return self.pick(
            [
                self.output,
                self.output,
                self.loop,
                self.loop,
                self.choice,
                self.assignment,
                self.assignment,
                self.captured,
                self.with_,
                self.macro,
                self.filter_block,
                self.space,
                self.raw,
                self.escaping,
                self.rest,
            ]
        )(depth)

    def loop(self, depth):
        if self.inside >= (2 if not self.chance(0.02) else 3):
            return self.output()
        target, items, added = self.pick(
            [
                ("NAME", self.expr("list", 2), {"NAME": "any"}),
                ("NAME", self.expr("strs", 1), {"NAME": "str"}),
                ("NAME", self.expr("nums", 1), {"NAME": "num"}),
                ("NAME", self.expr("rows", 1), {"NAME": "dict"}),
                ("key, NAME", Piece("expr", self.operand("dict", 2), ".items()"), {"key": "str", "NAME": "any"}),
                ("key, NAME", Piece("expr", self.operand("dict", 2), "|dictsort"), {"key": "str", "NAME": "any"}),
                (
                    "key, NAME",
                    Piece("expr", self.operand("rows", 2), "|groupby('name')"),
                    {"key": "str", "NAME": "rows"},
                ),
                ("NAME", self.expr("any", 1), {"NAME": "any"}),
            ]
        )
        name = self.name()
        added = {key.replace("NAME", name): kind for key, kind in added.items()}
        before, self.scope = self.scope, {**self.scope, **added}
        condition = Piece("opt", " if ", self.expr("bool", 2)) if self.chance(0.25) else ""
        self.scope = before
        recursive = self.chance(0.06)
        self.inside += 1
        body = self.scoped(added, depth)
        if recursive:
            body.parts.append(
                Piece(
                    "stmt",
                    "{{ loop.depth }}{{ loop(",
                    self.pick([f"{name}.children", f"{name}[1:]", "[]", f"{name}.tags"]),
                    ") }}",
                )
            )
        self.inside -= 1
        otherwise = Piece("opt", *self.tag("else"), self.block(depth)) if self.chance(0.25) else ""
        return Piece(
            "stmt",
            *self.tag(
                "for ", target.replace("NAME", name), " in ", items, condition, " recursive" if recursive else ""
            ),
            body,
            otherwise,
            *self.tag("endfor"),
        )

    def choice(self, depth):
        parts = [*self.tag("if ", self.expr("bool", 3)), self.block(depth)]
        if self.chance(0.3):
            parts.append(Piece("opt", *self.tag("elif ", self.expr("any", 2)), self.block(depth)))
        if self.chance(0.5):
            parts.append(Piece("opt", *self.tag("else"), self.block(depth)))
        return Piece("stmt", *parts, *self.tag("endif"))

    def assignment(self, _depth):
        kind = self.pick(["any", "str", "num", "list", "dict"])
        if self.chance(0.1):
            name, other = self.name(), self.name()
            made = Piece(
                "stmt",
                *self.tag(
                    "set ",
                    name,
                    ", ",
                    other,
                    " = ",
                    self.pick([Piece("expr", self.expr(kind, 2), ", ", self.expr(kind, 2)), self.expr("list", 2)]),
                ),
            )
            self.scope = {**self.scope, name: "any", other: "any"}
            return made
        name = self.name() if self.chance(0.8) else self.pick(["i", "s", "l", "d"])
        made = Piece("stmt", *self.tag("set ", name, " = ", self.expr(kind, 3)))
        self.scope = {**self.scope, name: kind}
        return made

    def captured(self, depth):
        name = self.name()
        filters = (
            Piece(
                "opt",
                " | ",
                *self.filter_call(self.pick(["upper", "trim", "indent", "e", "title", "length", "list", "replace"]), 1),
            )
            if self.chance(0.3)
            else ""
        )
        made = Piece("stmt", *self.tag("set ", name, filters), self.block(depth), *self.tag("endset"))
        self.scope = {**self.scope, name: "str"}
        return made

    def with_(self, depth):
        name = self.name()
        head = self.tag(
            "with ",
            name,
            " = ",
            self.expr("any", 3),
            *([Piece("opt", ", ", self.name(), " = ", Piece("expr", name))] if self.chance(0.3) else []),
        )
        return Piece("stmt", *head, self.scoped({name: "any"}, depth), *self.tag("endwith"))

    def macro(self, depth):
        name, first, second = self.name() + "_m", self.name() + "_p", self.name() + "_q"
        inside, self.inside = self.inside, 0
        body = self.scoped({first: "any", second: "any"}, depth)
        self.inside = inside
        if self.chance(0.4):
            body.parts.append(
                Piece(
                    "stmt",
                    self.pick(
                        [
                            "{{ varargs }}",
                            "{{ kwargs }}",
                            "{{ caller() if caller }}",
                            "{{ caller(1) }}",
                            "{{ caller is defined }}",
                        ]
                    ),
                )
            )
        default = Piece("opt", "=", self.expr("any", 1)) if self.chance(0.5) else ""
        parts = [
            *self.tag("macro ", name, "(", first, Piece("opt", ", ", second, default), ")"),
            body,
            *self.tag("endmacro"),
        ]
        args = [piece for _ in range(self.random.randrange(3)) for piece in (", ", self.expr("any", 1))][1:]
        if self.chance(0.15):
            args += [", " if args else "", self.pick([f"{second}=1", f"{first}=s", "zzz=2", "*l", "**d"])]
        if self.chance(0.3):
            params = self.pick(["", "", "(z)", "(z=1)"])
            parts += [*self.tag("call", params, " ", name, "(", *args, ")"), self.block(depth), *self.tag("endcall")]
        else:
            after = self.pick(["", "", "", "|upper", "|length", " ~ 'x'"])
            parts += ["{{ ", name, "(", *args, ")", after, " }}"]
        return Piece("stmt", *parts)

    def filter_block(self, depth):
        name = self.pick(
            [
                name
                for name in FILTERS
                if FILTERS[name][0] == "str" and FILTERS[name][2] == "str" and "humanize" not in name
            ]
        )
        return Piece(
            "stmt", *self.tag("filter ", *self.filter_call(name, 1)), self.block(depth), *self.tag("endfilter")
        )

    def space(self, depth):
        """A namespace that statements write to."""
        name = self.name() + "_ns"
        inner = [
            *self.tag(
                "set ", name, ".a = ", self.pick([f"{name}.a + 1", f"{name}.a ~ 'x'", f"[{name}.a, 1]", f"{name}.b"])
            ),
            self.block(depth),
        ]
        parts = [*self.tag("set ", name, " = namespace(a=", self.expr("any", 1), ", b=", self.expr("any", 1), ")")]
        if self.inside < 2:
            self.inside += 1
            parts += [*self.tag("for q in range(", self.pick("0123"), ")"), Piece("body", *inner), *self.tag("endfor")]
            self.inside -= 1
        else:
            parts += inner
        return Piece("stmt", *parts, "{{ ", name, ".a }}{{ ", name, self.pick(["", ".b", ".c", "['a']"]), " }}")

    def raw(self, _depth):
        return Piece(
            "stmt",
            self.pick(["{% raw %}", "{%- raw -%}", "{%raw%}"]),
            self.pick(["{{ x }}", "{% if %}", " a ", "{# c #}", "\n"]),
            *self.tag("endraw"),
        )

    def escaping(self, depth):
        return Piece(
            "stmt",
            *self.tag("autoescape ", self.pick(["true", "false", "i", "yes"])),
            self.block(depth),
            *self.tag("endautoescape"),
        )

    def rest(self, depth):
        """What is rare, and what is refused."""
        return self.pick(
            [
                lambda: Piece("stmt", "{% block b", str(self.names), " %}", self.block(depth), "{% endblock %}"),
                lambda: (
                    Piece(
                        "stmt",
                        self.pick(
                            [
                                "{% include 'x' %}",
                                "{% do 1 %}",
                                "{% break %}",
                                "{% extends 'a' %}",
                                "{% if %}",
                                "{{ }}",
                                "{% nope %}",
                            ]
                        ),
                    )
                    if self.chance(0.05)
                    else self.words()
                ),
                lambda: (
                    Piece(
                        "stmt",
                        self.pick(
                            [
                                "{{ s",
                                "}}",
                                "{% endif %}",
                                "{{ 'a }}",
                                "{{ 1 2 }}",
                                "{{ [1 }}",
                                "{{ s|nope }}",
                                "{{ s is nope }}",
                            ]
                        ),
                    )
                    if self.chance(0.05)
                    else self.output()
                ),
                lambda: Piece("stmt", "{% set c = cycler('a', 'b', 'c') %}{{ c.next() }}{{ c.next() }}{{ c.current }}"),
                lambda: (
                    Piece("stmt", "{% set j2 = joiner(', ') %}{% for x in strs %}{{ j2() }}{{ x }}{% endfor %}")
                    if self.inside < 2
                    else self.output()
                ),
                self.words,
            ]
        )()

    def template(self):
        return Piece("body", *[self.statement(self.pick([1, 2, 3])) for _ in range(self.random.randrange(1, 3))])
