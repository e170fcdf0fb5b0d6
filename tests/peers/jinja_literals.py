"""Literals and formats at random, and the pieces that templates are made of."""

import random

from jinja_words import BIGS, CHARS, FLOATS, INTS, TEXTS


class Piece:
    """A part of a template: its kind says what may stand in its place, its parts are texts and pieces."""

    def __init__(self, kind, *parts):
        self.kind, self.parts = kind, list(parts)

    def __str__(self):
        return "".join(map(str, self.parts))


class Literals:
    """What has no parts; `scope` knows the kinds of a context's names."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = self.inside = 0
        self.scope = {}

    def chance(self, of):
        return self.random.random() < of

    def pick(self, of):
        return self.random.choice(of)

    def text(self):
        if self.chance(0.8):
            return self.pick(TEXTS)
        return "".join(self.pick(CHARS) for _ in range(self.random.randrange(1, 12)))

    def scalar(self):
        return self.pick([self.text, self.number, lambda: self.pick([True, False, None])])()

    def number(self):
        return self.pick(
            [self.pick(INTS), self.pick(FLOATS), self.pick(INTS), self.pick(BIGS) if self.chance(0.3) else 3]
        )

    def literal(self, value):
        if isinstance(value, bool) or value is None:
            return self.pick([str(value), str(value).lower()])
        if isinstance(value, float):
            return repr(abs(value)) if "inf" not in repr(value) else "1e308"
        if isinstance(value, int):
            if value > 999 and self.chance(0.2):
                return f"{value:_}"
            return self.pick([str, str, hex, bin, oct])(value) if 0 <= value < 5000 and self.chance(0.1) else str(value)
        quote = self.pick("'\"")
        out = []
        for c in value:
            if c in ("\\", quote):
                out.append("\\" + c)
            elif c in "\n\t\r" and self.chance(0.7):
                out.append({"\n": "\\n", "\t": "\\t", "\r": "\\r"}[c])
            elif ord(c) > 126 and self.chance(0.3):
                out.append(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}")
            elif ord(c) < 256 and self.chance(0.02):
                out.append(self.pick([f"\\x{ord(c):02x}", f"\\{ord(c):03o}"]))
            else:
                out.append(c)
        return quote + "".join(out) + quote

    def printf_field(self, kind):
        flags = "".join(flag for flag in "-+ #0" if self.chance(0.15))
        width = self.pick(["", "", "", "5", "10", "*", "1"]) if self.chance(0.5) else ""
        precision = self.pick(["", ".0", ".2", ".5", ".", ".*"]) if self.chance(0.5) else ""
        letter = self.pick("dduixXoeEfFgGfcrsa%" if kind == "num" else "ssssrrac%")
        return f"%{flags}{width}{precision}{self.pick(['', '', '', '', 'l'])}{letter}"

    def format_spec(self, kind):
        align = self.pick(["", "", "<", ">", "^", "=", "*<", "\u00e9^", "0="])
        sign, other, zero = self.pick(["", "", "+", "-", " "]), self.pick(["", "", "", "#"]), self.pick(["", "", "0"])
        width, group = self.pick(["", "", "5", "12", "1"]), self.pick(["", "", "", ",", "_"])
        precision = self.pick(["", "", ".0", ".2", ".5"])
        letter = self.pick(["", "", *"bcdeEfFgGnoxX%s"]) if kind == "num" else self.pick(["", "", "s", "s", "d"])
        if self.chance(0.5):
            sign = other = group = ""
        spec = f"{align}{sign}{other}{zero}{width}{group}{precision}{letter}"
        return f":{spec}" if spec else ""
