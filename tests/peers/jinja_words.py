"""What the templates of jinja_grammar.py are made of: texts and numbers with edges, and what filters, tests and methods
take.
"""

from pathlib import Path

# fmt: off
TEXTS = [
    "", "a", "b", "abc", "Hello World", "it's", 'say "hi"', "a'b\"c", "<b>&amp; x</b>", "  pad  ", "a\nb\n\nc",
    "a\tb", "42", "-7", "3.7", "1e3", " 5 ", "1_000", "0x1f", "inf", "nan", "-0", "0b11", "1e400", "\u0663", "1.",
    ".5", "1,234.5", "stra\u00dfe", "\u0130stanbul", "\u0391\u03a3 \u03a3", "h\u00e9llo", "\u2028x", "\u00a0",
    "\U0001f600", "e\u0301", "a\u200bb", "\u01c6", "\ufb01n", "\u00b2\u00bd", "http://example.com/a?b=c&d",
    "www.example.org/x", "a.b@example.co", "see https://x.org/(a), or mailto:a@b.com!", "%s", "%d%%", "{}",
    "{0!r:>8}", "the quick brown fox jumps over the dog", "a,b,,c", "well-known-name", "UPPER", "lower", "Title Case",
    "\x7f", "\x00", "\x1b[0m", "dir/sub/file.txt", "2024-01-05", "True", "None", "none", "0", "00", "007", "a\\b",
    "x\r\ny", "a\x0bb\x0cc\x1cd\x85e", "x" * 50, "word " * 20, "k", "n", "a=b", "key", "Name", "UPPER lower", "e",
    "-", "--", "'", '"', "\u00ad", "\ud7ff", "\ue000", "\u3000", "\u0378", "{{", "%}",
]
CHARS = (
    "aAbBzZ019 _-.,:;!?/\\'\"<>&%{}()[]#|~^@$*+=\t\n"
    "\u00e9\u00df\u0130\u03a3\u03c3\u03c2\u20ac\U0001f600\u200d\u0300\u01c5\x01\x1f\x80\xa0"
)
INTS = [0, 1, 2, 3, 4, 5, 7, 10, 12, 42, 99, 100, 255, 1000, 1023, 1024, 999999, -1, -2, -3, -7, -100]
BIGS = [
    2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 2**127, -(2**128), 10**30,
    123456789012345678901234567890,
]
FLOATS = [
    0.0, -0.0, 0.5, 1.0, 1.5, 2.5, -1.5, 2.675, 0.1, 1 / 3, 3.14159, 1e15, 1e16, 1e22, 1e-4, 1e-5, 1e-7, 5e-324,
    1e300, 123456.789, -7.25, 99.995, 1e100, 0.05, 100.0, 1234567.891,
]
WIDTHS = [0, 1, 2, 3, 5, 8, 10, 20, 40, 80, -1]
KEYS = [
    "a", "b", "c", "k", "n", "name", "x y", "items", "keys", "get", "_id", "Z", "9", "\u00e9", "values", "update",
    "count",
]

# name: (input, parameters, output)
FILTERS = {
    "abs": ("num", [], "num"),
    "attr": ("any", [("name", "key")], "any"),
    "batch": ("list", [("linecount", "size"), ("fill_with", "any")], "gen"),
    "capitalize": ("str", [], "str"),
    "center": ("str", [("width", "width")], "str"),
    "count": ("list", [], "int"),
    "d": ("any", [("default_value", "any"), ("boolean", "bool")], "any"),
    "default": ("any", [("default_value", "any"), ("boolean", "bool")], "any"),
    "dictsort": ("dict", [("case_sensitive", "bool"), ("by", "by"), ("reverse", "bool")], "list"),
    "e": ("any", [], "str"),
    "escape": ("str", [], "str"),
    "filesizeformat": ("num", [("binary", "bool")], "str"),
    "first": ("list", [], "any"),
    "float": ("numlike", [("default", "any")], "float"),
    "forceescape": ("str", [], "str"),
    "groupby": ("rows", [("attribute", "column"), ("default", "any"), ("case_sensitive", "bool")], "list"),
    "indent": ("str", [("width", "indent"), ("first", "bool"), ("blank", "bool")], "str"),
    "int": ("numlike", [("default", "any"), ("base", "radix")], "int"),
    "items": ("dict", [], "gen"),
    "join": ("list", [("d", "str"), ("attribute", "column")], "str"),
    "last": ("list", [], "any"),
    "length": ("list", [], "int"),
    "list": ("any", [], "list"),
    "lower": ("str", [], "str"),
    "max": ("list", [("case_sensitive", "bool"), ("attribute", "column")], "any"),
    "min": ("list", [("case_sensitive", "bool"), ("attribute", "column")], "any"),
    "pprint": ("any", [], "str"),
    "replace": ("str", [("old", "str"), ("new", "str"), ("count", "small")], "str"),
    "reverse": ("list", [], "gen"),
    "round": ("num", [("precision", "digits"), ("method", "rounding")], "num"),
    "safe": ("str", [], "str"),
    "slice": ("list", [("slices", "size"), ("fill_with", "any")], "gen"),
    "sort": ("list", [("reverse", "bool"), ("case_sensitive", "bool"), ("attribute", "column")], "list"),
    "string": ("any", [], "str"),
    "striptags": ("str", [], "str"),
    "sum": ("nums", [("attribute", "column"), ("start", "num")], "num"),
    "title": ("str", [], "str"),
    "tojson": ("any", [("indent", "jsonindent")], "str"),
    "trim": ("str", [("chars", "str")], "str"),
    "truncate": ("str", [("length", "width"), ("killwords", "bool"), ("end", "str"), ("leeway", "small")], "str"),
    "unique": ("list", [("case_sensitive", "bool"), ("attribute", "column")], "gen"),
    "upper": ("str", [], "str"),
    "urlencode": ("any", [], "str"),
    "urlize": ("str", [("trim_url_limit", "width"), ("nofollow", "bool"), ("target", "str"), ("rel", "str")], "str"),
    "wordcount": ("str", [], "int"),
    "wordwrap": (
        "str",
        [("width", "width"), ("break_long_words", "bool"), ("wrapstring", "str"), ("break_on_hyphens", "bool")],
        "str",
    ),
    "xmlattr": ("dict", [("autospace", "bool")], "str"),
    "humanize_naturalsize": ("numlike", [("binary", "bool"), ("gnu", "bool"), ("format", "printf1")], "str"),
    "humanize_intcomma": ("numlike", [("ndigits", "digits")], "str"),
    "humanize_intword": ("numlike", [("format", "printf1")], "str"),
    "humanize_ordinal": ("numlike", [("gender", "gender")], "str"),
    "humanize_apnumber": ("numlike", [], "str"),
    "humanize_fractional": ("numlike", [], "str"),
    "humanize_scientific": ("numlike", [("precision", "digits")], "str"),
    "humanize_clamp": (
        "num",
        [("floor", "num"), ("ceil", "num"), ("format", "strformat1"), ("floor_token", "str"), ("ceil_token", "str")],
        "str",
    ),
    "humanize_metric": ("num", [("unit", "str"), ("precision", "digits")], "str"),
    "humanize_naturaldelta": ("seconds", [("months", "bool"), ("minimum_unit", "unit")], "str"),
    "humanize_naturaltime": ("seconds", [("future", "bool"), ("months", "bool"), ("minimum_unit", "unit")], "str"),
    "humanize_precisedelta": (
        "seconds",
        [("minimum_unit", "unit"), ("suppress", "units"), ("format", "printf1")],
        "str",
    ),
    "humanize_naturalday": ("str", [("format", "str")], "any"),
    "humanize_naturaldate": ("str", [], "any"),
    "humanize_abs_timedelta": ("num", [], "num"),
    "humanize_thousands_separator": ("any", [], "str"),
    "humanize_decimal_separator": ("any", [], "str"),
}
TESTS = {
    "boolean": [], "callable": [], "defined": [], "divisibleby": ["small"], "eq": ["any"], "==": ["any"],
    "equalto": ["any"], "escaped": [], "even": [], "false": [], "filter": [], "float": [], "ge": ["num"],
    ">=": ["num"], "gt": ["num"], ">": ["num"], "greaterthan": ["num"], "in": ["list"], "integer": [], "iterable": [],
    "le": ["num"], "<=": ["num"], "lt": ["num"], "<": ["num"], "lessthan": ["num"], "lower": [], "mapping": [],
    "ne": ["any"], "!=": ["any"], "none": [], "number": [], "odd": [], "sequence": [], "string": [], "test": [],
    "true": [], "undefined": [], "upper": [],
}
SYMBOLS = {"==", ">=", ">", "<=", "<", "!="}
# Numbers of arguments that are needed, their types, the result.
STR_METHODS = {
    "capitalize": (0, [], "str"), "casefold": (0, [], "str"), "center": (1, ["width", "fill"], "str"),
    "count": (1, ["str", "small", "small"], "int"), "encode": (0, ["codec"], "any"),
    "endswith": (1, ["strs", "small"], "bool"), "expandtabs": (0, ["width"], "str"),
    "find": (1, ["str", "small", "small"], "int"), "index": (1, ["str", "small"], "int"), "isalnum": (0, [], "bool"),
    "isalpha": (0, [], "bool"), "isascii": (0, [], "bool"), "isdecimal": (0, [], "bool"), "isdigit": (0, [], "bool"),
    "isidentifier": (0, [], "bool"), "islower": (0, [], "bool"), "isnumeric": (0, [], "bool"),
    "isprintable": (0, [], "bool"), "isspace": (0, [], "bool"), "istitle": (0, [], "bool"),
    "isupper": (0, [], "bool"), "join": (1, ["strs"], "str"), "ljust": (1, ["width", "fill"], "str"),
    "lower": (0, [], "str"), "lstrip": (0, ["str"], "str"), "partition": (1, ["str"], "list"),
    "removeprefix": (1, ["str"], "str"), "removesuffix": (1, ["str"], "str"),
    "replace": (2, ["str", "str", "small"], "str"), "rfind": (1, ["str", "small"], "int"),
    "rindex": (1, ["str"], "int"), "rjust": (1, ["width", "fill"], "str"), "rpartition": (1, ["str"], "list"),
    "rsplit": (0, ["str", "small"], "list"), "rstrip": (0, ["str"], "str"), "split": (0, ["str", "small"], "list"),
    "splitlines": (0, ["bool"], "list"), "startswith": (1, ["str", "small"], "bool"), "strip": (0, ["str"], "str"),
    "swapcase": (0, [], "str"), "title": (0, [], "str"), "translate": (1, ["table"], "str"), "upper": (0, [], "str"),
    "zfill": (1, ["width"], "str"),
}
METHODS = {
    "str": STR_METHODS,
    "dict": {
        "get": (1, ["key", "any"], "any"), "keys": (0, [], "list"), "values": (0, [], "list"),
        "items": (0, [], "list"), "copy": (0, [], "dict"), "pop": (1, ["key"], "any"), "update": (1, ["dict"], "any"),
        "fromkeys": (1, ["strs", "any"], "dict"), "setdefault": (1, ["key", "any"], "any"),
    },
    "list": {
        "index": (1, ["any", "small"], "int"), "count": (1, ["any"], "int"), "copy": (0, [], "list"),
        "append": (1, ["any"], "none"), "sort": (0, [], "none"),
    },
    "int": {
        "bit_length": (0, [], "int"), "bit_count": (0, [], "int"), "conjugate": (0, [], "int"),
        "as_integer_ratio": (0, [], "list"), "to_bytes": (2, ["width", "endian"], "any"),
    },
    "float": {
        "is_integer": (0, [], "bool"), "hex": (0, [], "str"), "as_integer_ratio": (0, [], "list"),
        "conjugate": (0, [], "float"), "fromhex": (1, ["str"], "float"),
    },
}
WORDS = {
    "by": ["key", "value"], "rounding": ["common", "ceil", "floor"], "gender": ["male", "female"],
    "endian": ["big", "little"], "codec": ["utf-8", "ascii", "latin-1", "utf-16", "nope"],
    "unit": ["seconds", "minutes", "hours", "days", "months", "years", "milliseconds", "microseconds"],
    "column": ["name", "n", "tags", "a.b", "0", "name,n", "nope", "a"], "fill": ["*", " ", "\u00e9", "<", "ab"],
}
CHOICES = {
    "small": [0, 1, 2, 3, 5, -1, -2], "width": WIDTHS, "size": [1, 2, 3, 4, 0], "radix": [10, 16, 2, 8, 0, 36],
    "digits": [0, 1, 2, 3, 5, -1, -2], "indent": [0, 1, 2, 4, "'> '", "''"],
    "jsonindent": [1, 2, 4, 0, "none", "'--'"],
}
# fmt: on
# Whole expressions that no rule makes, one a line.
ODD = Path(__file__).with_name("jinja_odd.txt").read_text().splitlines()
