"""Expressions at random, for jinja_grammar.py: trees of pieces that can be cut smaller.

Most are sound by type, so that they get far; some are not, so that refusals are compared, too. What one can cost is
bounded here: no large exponents, repeats or widths.
"""

from jinja_literals import Literals, Piece
from jinja_words import BIGS, CHOICES, FILTERS, FLOATS, INTS, KEYS, METHODS, ODD, STR_METHODS, SYMBOLS, TESTS, WORDS

# How often something of another type, or a wrong argument, stands where it should not.
WRONG = 0.03
DEPTH = 3


class Expressions(Literals):
    """Expressions over the names of a context."""

    def atom(self, kind):
        """Something of a kind without parts."""
        if kind in WORDS:
            return Piece("expr", self.literal(self.pick(WORDS[kind])))
        if kind in CHOICES:
            return Piece("expr", str(self.pick(CHOICES[kind])))
        if kind == "key":
            return Piece("expr", self.literal(self.pick([*KEYS, "name", "upper", "real", "d", "s", "missing"])))
        if kind in ("printf1", "strformat1"):
            return Piece(
                "expr",
                self.literal(self.printf_field("num") if kind == "printf1" else "{" + self.format_spec("num") + "}"),
            )
        if kind == "table":
            return Piece(
                "expr",
                self.pick(
                    ["{97: 'x', 98: none, 99: 0x41}", "'abc'.maketrans('ab', 'yz')", "{}", "strs", "{97: 'long'}"]
                ),
            )
        names = [name for name, held in self.scope.items() if held == kind or kind == "any"]
        names += {
            "num": ["i", "j", "f", "g", "big"],
            "numlike": ["i", "f", "s", "big", "g"],
            "list": ["nums", "strs", "rows"],
            "seconds": ["i", "f"],
        }.get(kind, [])
        if names and self.chance(0.6):
            return Piece("expr", self.pick(names))
        if kind == "any":
            kind = self.pick(["int", "float", "str", "list", "dict", "bool", "none", "undefined"])
        value = {
            "int": lambda: self.literal(self.pick(INTS) if self.chance(0.8) else self.pick(BIGS)),
            "float": lambda: self.literal(self.pick(FLOATS)),
            "num": lambda: self.literal(self.pick([self.pick(INTS), self.pick(FLOATS)])),
            "numlike": lambda: self.literal(self.pick([self.pick(INTS), self.pick(FLOATS), self.text()])),
            "seconds": lambda: self.literal(
                self.pick([0, 1, 30, 59.9, 60, 90, 3600, 5400, 86400, 90000, 604800, 2629800, 31536000, 1e8, 0.25])
            ),
            "str": lambda: self.literal(self.text()),
            "bool": lambda: self.literal(self.pick([True, False])),
            "none": lambda: "none",
            "undefined": lambda: self.pick(["missing", "missing.x", "d.nope", "missing['a'].b", "l[99]", "i.nope"]),
            "list": lambda: "[" + ", ".join(self.literal(self.scalar()) for _ in range(self.random.randrange(4))) + "]",
            "nums": lambda: self.pick(["[1, 2.5, 3]", "range(4)", "[3, 1, 2]", "range(5, 0, -2)", "(1, 2)"]),
            "strs": lambda: self.pick(["['b', 'A', 'c']", "'abc'", "('x', 'y')", "s.split()", "['<', '&']"]),
            "dict": lambda: (
                "{"
                + ", ".join(
                    f"{self.literal(self.pick(KEYS))}: {self.literal(self.scalar())}"
                    for _ in range(self.random.randrange(3))
                )
                + "}"
            ),
            "rows": lambda: "[{'name': 'b', 'n': 2, 'a': {'b': 1}}, {'name': 'A', 'n': 1, 'a': {'b': 2}}]",
            "units": lambda: self.pick(["['minutes']", "('days', 'hours')", "[]", "['seconds', 'nope']"]),
        }.get(kind, lambda: "missing")()
        return Piece("expr", value)

    def expr(self, kind="any", depth=DEPTH):
        """An expression that mostly gives a value of a kind."""
        if self.chance(WRONG):
            kind = self.pick(["int", "float", "str", "list", "dict", "bool", "none", "undefined", "any"])
        if depth <= 0 or self.chance(0.3) or kind in WORDS or (kind in CHOICES and self.chance(0.9)):
            return self.atom(kind)
        makers = {
            "int": [self.arithmetic, self.filtered, self.called, self.loop_variable],
            "float": [self.arithmetic, self.filtered, self.called],
            "num": [self.arithmetic, self.filtered, self.called],
            "str": [
                self.filtered,
                self.filtered,
                self.called,
                self.joined,
                self.formatted,
                self.formatted,
                self.sliced,
            ],
            "list": [self.filtered, self.listed, self.sliced, self.called, self.mapped, self.mapped, self.repeated],
            "dict": [self.dictionary, self.called, self.reached],
            "bool": [self.compared, self.compared, self.tested, self.logic, self.called],
            "any": [
                self.filtered,
                self.reached,
                self.reached,
                self.conditional,
                self.called,
                self.compared,
                self.listed,
                self.logic,
                self.arithmetic,
                self.mapped,
                self.tested,
                self.formatted,
                self.joined,
                self.sliced,
                self.dictionary,
                self.odd,
                self.loop_variable,
            ],
        }.get(kind)
        if makers is None:
            return self.atom(kind) if self.chance(0.8) else Piece("expr", "(", self.conditional(kind, depth), ")")
        if self.chance(0.05):
            return Piece("expr", "(", self.conditional(kind, depth), ")")
        made = self.pick(makers)(kind, depth)
        return Piece("expr", "(", made, ")") if self.chance(0.1) or made.parts[1:2] == [" if "] else made

    def operand(self, kind, depth):
        """An expression that binds tightly."""
        made = self.expr(kind, depth - 1)
        return made if self.chance(0.3) or " " not in str(made) else Piece("expr", "(", made, ")")

    def arithmetic(self, kind, depth):
        kind = kind if kind in ("int", "float") else "num"
        sign = self.pick(
            ["+", "-", "*", "/", "//", "%", "**", "neg", "pos"]
            if kind != "int"
            else ["+", "-", "*", "//", "%", "**", "neg"]
        )
        if sign in ("neg", "pos"):
            return Piece("expr", "-" if sign == "neg" else "+", self.operand(kind, depth))
        right = (
            Piece("expr", self.pick(["2", "0", "3", "-1", "0.5", "1", "-2", "2.0"]))
            if sign == "**"
            else self.operand(kind, depth)
        )
        return Piece("expr", self.operand(kind, depth), f" {sign} ", right)

    def repeated(self, _kind, depth):
        left = self.operand(self.pick(["list", "str", "nums"]), depth)
        if self.chance(0.5):
            return Piece("expr", left, " * ", self.atom("small"))
        return Piece("expr", left, " + ", self.operand("list", depth))

    def joined(self, _kind, depth):
        sign = self.pick([" ~ ", " ~ ", " + "])
        return Piece("expr", self.operand("any" if sign == " ~ " else "str", depth), sign, self.operand("str", depth))

    def logic(self, kind, depth):
        if self.chance(0.3):
            return Piece("expr", "not ", self.operand("any", depth))
        return Piece(
            "expr",
            self.operand("bool" if kind == "bool" else "any", depth),
            self.pick([" and ", " or "]),
            self.operand("any", depth),
        )

    def compared(self, _kind, depth):
        kind = self.pick(["num", "str", "list", "any", "int", "float"])
        signs = [" == ", " != ", " < ", " <= ", " > ", " >= "]
        if self.chance(0.25):
            return Piece(
                "expr",
                self.operand(self.pick(["str", "any"]), depth),
                self.pick([" in ", " not in "]),
                self.operand(self.pick(["str", "list", "dict", "strs"]), depth),
            )
        parts = [self.operand(kind, depth), self.pick(signs), self.operand(kind, depth)]
        if self.chance(0.2):
            parts += [self.pick(signs), self.operand(kind, depth)]
        return Piece("expr", *parts)

    def conditional(self, kind, depth):
        otherwise = Piece("opt", " else ", self.operand(kind, depth)) if self.chance(0.7) else ""
        return Piece("expr", self.operand(kind, depth), " if ", self.operand("bool", depth), otherwise)

    def tested(self, _kind, depth):
        name = self.pick(list(TESTS))
        kind = {"divisibleby": "int", "even": "int", "odd": "int", "lower": "str", "upper": "str", "in": "any"}.get(
            name
        )
        kind = kind or ("num" if TESTS[name] == ["num"] else "any")
        word = " is not " if self.chance(0.2) else " is "
        if name in ("filter", "test"):
            return Piece("expr", self.literal(self.pick(["upper", "odd", "nope", "tojson"])), word, name)
        if name in SYMBOLS:
            name = {"==": "eq", ">=": "ge", ">": "gt", "<=": "le", "<": "lt", "!=": "ne"}[name]
        args = TESTS[name]
        if not args:
            return Piece("expr", self.operand(kind, depth), word, name)
        arg = self.expr(args[0], 0)
        return Piece(
            "expr", self.operand(kind, depth), word, name, *(["(", arg, ")"] if self.chance(0.8) else [" ", arg])
        )

    def arguments(self, params, depth):
        """Arguments by place and by name, now and then wrong ones."""
        count = self.random.randrange(len(params) + 1)
        if self.chance(0.03):
            count = len(params)
        split = self.random.randrange(count + 1) if self.chance(0.4) else count
        parts = [self.expr(kind, depth) for _, kind in params[:split]]
        named = list(params[split:count])
        if self.chance(0.3):
            named = [self.pick(params[split:])] if params[split:] else []
        self.random.shuffle(named)
        parts += [Piece("arg", name, "=", self.expr(kind, depth)) for name, kind in named]
        if self.chance(0.02):
            parts.append(Piece("arg", self.pick(["1", "nope=1", "*[1]", "**{'a': 1}", "*s", "**d", "*l"])))
        return [piece for part in parts for piece in (", ", part)][1:]

    def filter_call(self, name, depth):
        params = FILTERS[name][1]
        if name == "replace" and not self.chance(0.05):
            return [
                name,
                "(",
                self.expr("str", 0),
                ", ",
                self.expr("str", 0),
                *([", ", self.atom("small")] if self.chance(0.2) else []),
                ")",
            ]
        needs = name in ("attr", "batch", "slice", "groupby", "sum", "humanize_metric") and params
        args = self.arguments(params, min(depth - 1, 1))
        if not args and needs and self.chance(0.9):
            args = [self.expr(params[0][1], 0)] if name != "sum" else []
        return [name, "(", *args, ")"] if args or self.chance(0.1) else [name]

    def filtered(self, kind, depth):
        fits = [
            name
            for name, spec in FILTERS.items()
            if kind == "any" or spec[2] in (kind, "any") or (kind == "list" and spec[2] == "gen")
        ]
        name = self.pick(fits or list(FILTERS))
        taken = FILTERS[name][0]
        made = Piece("expr", self.operand(taken, depth), self.pick(["|", " | "]), *self.filter_call(name, depth))
        if FILTERS[name][2] == "gen":
            return Piece(
                "expr",
                made,
                "|",
                self.pick(["list", "list", "join(',')", "first", "map('list')|list", "tojson", "length"]),
            )
        return made

    def mapped(self, _kind, depth):
        """The filters that take other filters, tests and attributes by name."""
        source = self.operand(self.pick(["list", "strs", "nums", "rows"]), depth)
        form = self.pick(["map", "map", "select", "selectattr", "attribute"])
        if form == "map":
            name = self.pick([name for name in FILTERS if FILTERS[name][0] in ("str", "num", "any", "numlike")])
            args = [
                piece for _, kind in FILTERS[name][1][: self.random.randrange(2)] for piece in (", ", self.atom(kind))
            ]
            made = Piece("expr", source, "|map(", f"'{name}'", *args, ")")
        elif form == "attribute":
            default = Piece("opt", ", default=", self.expr("any", 0)) if self.chance(0.3) else ""
            made = Piece("expr", source, "|map(attribute=", self.atom("column"), default, ")")
        else:
            name = self.pick(list(TESTS))
            args = [piece for kind in TESTS[name] for piece in (", ", self.atom(kind))]
            verb = self.pick(["select", "reject"]) + ("attr" if form == "selectattr" else "")
            column = [self.atom("column"), ", "] if form == "selectattr" else []
            if self.chance(0.15):
                made = Piece("expr", source, f"|{verb}(", *column[:1], ")")
            else:
                made = Piece("expr", source, f"|{verb}(", *column, f"'{name}'", *args, ")")
        return Piece(
            "expr",
            made,
            self.pick(["|list", "|list", "|join('-')", "|first", "|unique|list", "|sort", "|list|tojson", "|sum"]),
        )

    def called(self, kind, depth):
        owner = self.pick(list(METHODS)) if kind in ("any", "bool", "list") else {"num": "int"}.get(kind, kind)
        table = METHODS.get(owner, STR_METHODS)
        owner = owner if owner in METHODS else "str"
        fits = [name for name, spec in table.items() if kind in ("any", spec[2]) or self.chance(0.1)] or list(table)
        name = self.pick(fits)
        least, kinds, _ = table[name]
        count = self.random.randrange(least, len(kinds) + 1) if not self.chance(0.03) else self.random.randrange(4)
        args = [self.expr(one, min(depth - 1, 1)) for one in (kinds + ["any"] * 4)[:count]]
        args = [piece for arg in args for piece in (", ", arg)][1:]
        left = self.operand(owner, depth)
        left = (
            left if str(left).replace("_", "").isalnum() and not str(left).isdigit() else Piece("expr", "(", left, ")")
        )
        return Piece("expr", left, ".", name, "(", *args, ")")

    def listed(self, _kind, depth):
        opening, closing = self.pick(["[]", "[]", "()"])
        items = [self.expr("any", depth - 2) for _ in range(self.random.randrange(4))]
        parts = [piece for item in items for piece in (", ", item)][1:]
        return Piece("expr", opening, *parts, ("," if len(items) == 1 and opening == "(" else ""), closing)

    def dictionary(self, _kind, depth):
        if self.chance(0.2):
            return Piece("expr", "dict(", self.expr("dict", 0), ", ", Piece("arg", "k=", self.expr("any", 0)), ")")
        pairs = []
        for _ in range(self.random.randrange(4)):
            key = (
                Piece("expr", self.literal(self.pick([*KEYS, 1, 2.5, True, None])))
                if self.chance(0.9)
                else self.expr("any", 0)
            )
            pairs += [", ", Piece("arg", key, ": ", self.expr("any", depth - 2))]
        return Piece("expr", "{", *pairs[1:], "}")

    def reached(self, _kind, depth):
        """Attributes and items, there or not."""
        start = self.pick(
            [
                "d",
                "body",
                "body.d",
                "body.rows",
                "body.rows[0]",
                "rows",
                "headers",
                "missing",
                "l",
                "s",
                "body.items",
                "i",
                "f",
                "rows[0].a",
            ]
        )
        parts = [Piece("expr", start)]
        for _ in range(self.random.randrange(1, 4)):
            key = self.pick(
                [
                    *KEYS,
                    "d",
                    "rows",
                    "name",
                    "tags",
                    "Host",
                    "x-event",
                    "upper",
                    "real",
                    "imag",
                    "numerator",
                    "append",
                    "_x",
                ]
            )
            parts.append(
                self.pick(
                    [
                        Piece(
                            "opt", f".{key}" if key.replace("_", "a").isidentifier() and key.isascii() else f"['{key}']"
                        ),
                        Piece("opt", "[", self.literal(key), "]"),
                        Piece("opt", "[", self.pick(["0", "1", "-1", "99", "true", "1.0", "none"]), "]"),
                        Piece("opt", "[", self.expr("any", min(depth - 2, 1)), "]"),
                        Piece(
                            "opt",
                            self.pick(
                                [".0", ".get('a')", ".get('HOST', 1)", ".items()", ".copy()", ".values()"]
                                if start in ("d", "headers", "body") and len(parts) == 1
                                else [".0"]
                            ),
                        ),
                    ]
                )
            )
        return Piece("expr", *parts)

    def sliced(self, _kind, depth):
        ends = ["", "0", "1", "2", "-1", "-2", "99", "none", "i"]
        bounds = [
            self.pick(ends),
            ":",
            self.pick(ends),
            *([":", self.pick(["", "1", "2", "-1", "-2", "0"])] if self.chance(0.4) else []),
        ]
        of = self.operand(self.pick(["str", "list", "nums", "any"]), depth)
        return Piece("expr", "(", of, ")", "[", *bounds, "]")

    def loop_variable(self, kind, depth):
        if not self.inside:
            return self.atom(kind)
        names = [
            "index",
            "index0",
            "revindex",
            "revindex0",
            "first",
            "last",
            "length",
            "depth",
            "depth0",
            "previtem",
            "nextitem",
        ]
        return Piece(
            "expr",
            self.pick(
                [f"loop.{self.pick(names)}", "loop.cycle('a', 'b')", "loop.changed(i)", "loop.cycle(*strs)", "loop"]
            ),
        )

    def odd(self, _kind, _depth):
        return Piece("expr", self.pick(ODD))

    def formatted(self, _kind, depth):
        count = self.random.randrange(1, 4)
        kinds = [self.pick(["num", "num", "str", "any"]) for _ in range(count)]
        args = [piece for kind in kinds for piece in (", ", self.expr(kind, depth - 2))][1:]
        way = self.pick(["%", "format", "filter", "filter"])
        glue = lambda: self.pick(["", " ", "-", "a", "<", "%%" if way != "format" else "{{}}", "\u00e9"])
        if way == "format":
            named = self.chance(0.3)
            fields = []
            for place, kind in enumerate(kinds):
                name = self.pick(["", str(place)] if self.chance(0.05) else [""]) + self.pick(
                    ["", "", "", "[0]", ".real", "[a]", ".name"] if self.chance(0.1) else [""]
                )
                name = f"k{place}" + name if named else name
                fields.append(
                    glue()
                    + "{"
                    + name
                    + self.pick(["", "", "", "!r", "!s", "!a"])
                    + (self.format_spec(kind) if self.chance(0.7) else "")
                    + "}"
                )
            if named:
                args = [
                    piece
                    for place, kind in enumerate(kinds)
                    for piece in (", ", Piece("arg", f"k{place}=", self.expr(kind, depth - 2)))
                ][1:]
            return Piece("expr", self.literal("".join(fields) + glue()), ".format(", *args, ")")
        text = "".join(glue() + self.printf_field(kind) for kind in kinds) + glue()
        extra = [", ", Piece("expr", "5")] if "*" in text and self.chance(0.9) else []
        if "*" in text and self.chance(0.9):
            args = [Piece("expr", "4"), ", ", *args]
        if way == "%":
            if self.chance(0.1):
                return Piece(
                    "expr",
                    self.literal("%(a)s-%(b)5.1f"),
                    " % {'a': ",
                    self.expr("any", 0),
                    ", 'b': ",
                    self.expr("num", 0),
                    "}",
                )
            return Piece("expr", self.literal(text), " % (", *args, *extra[:0], ",)")
        return Piece("expr", self.literal(text), "|format(", *args, ")")
