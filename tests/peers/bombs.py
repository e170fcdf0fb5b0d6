"""Template bombs for hostile.py: each as name, source, the request's body, and when it is stopped.

`saved`: the API refuses it. `stopped`: that, or it saves and each request fails as `template`. `any`: it may do what it
says, but quickly.
"""

# Characters: just below the limit of a template's source.
LONG = 29_000


def repeated(opening, piece, closing):
    """As many pieces as a source takes."""
    return opening + piece * ((LONG - len(opening) - len(closing)) // len(piece)) + closing


def grown(start, step, times, shown):
    """A value that a loop makes larger."""
    return (
        f"{{% set ns = namespace(s={start}) %}}{{% for i in range({times}) %}}"
        f"{{% set ns.s = {step} %}}{{% endfor %}}{shown}"
    )


LOOPS = "{% for a in range(100) %}{% for b in range(100) %}"
ENDS = "{% endfor %}{% endfor %}"
SHARED = ("[1]", "[ns.s, ns.s]", 60)

BOMBS = [
    ("loops in each other", "{% for z in range(100) %}" + LOOPS + "x" + ENDS + "{% endfor %}", {}, "saved"),
    ("eleven loops", "{% for z in range(2) %}x{% endfor %}" * 11, {}, "saved"),
    ("loops that fill", LOOPS + "{{ body.s }}" + ENDS, {"s": "x" * 1000}, "stopped"),
    ("a string a billion times", "{{ 'a' * 10**9 }}", {}, "stopped"),
    ("a string 10^18 times", "{{ 'a' * 10**18 }}", {}, "stopped"),
    ("a list 10^8 times", "{{ ([0] * 10**8)|length }}", {}, "stopped"),
    ("a list 10^8 times, shown", "{{ [0] * 10**8 }}", {}, "stopped"),
    ("a width of a billion", "{{ '%1000000000d'|format(1) }}", {}, "stopped"),
    ("a precision of a billion", "{{ '%.1000000000f'|format(1) }}", {}, "stopped"),
    ("a width of a billion by %", "{{ '%1000000000d' % 1 }}", {}, "stopped"),
    ("a width of a billion by format", "{{ '{:>1000000000}'.format(1) }}", {}, "stopped"),
    ("center of a billion", "{{ 'a'|center(10**9) }}", {}, "stopped"),
    ("zfill of a billion", "{{ 'a'.zfill(10**9) }}", {}, "stopped"),
    ("tojson by a billion", "{{ [[1]]|tojson(indent=10**9) }}", {}, "stopped"),
    ("tojson by the body", "{{ [[1]]|tojson(indent=body.n) }}", {"n": 2 * 10**10}, "stopped"),
    ("indent by a billion", "{{ 'a\nb'|indent(10**9) }}", {}, "stopped"),
    ("batch of a billion", "{{ [1]|batch(10**9, 'x')|list }}", {}, "stopped"),
    ("slice of a billion", "{{ [1]|slice(10**9)|list }}", {}, "stopped"),
    ("range of a billion", "{{ range(10**9)|list }}", {}, "stopped"),
    ("a million paragraphs", "{{ lipsum(n=1000000) }}", {}, "stopped"),
    ("a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", {}, "stopped"),
    ("a macro that calls itself twice", "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", {}, "stopped"),
    (
        "macros that double",
        "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(40) }}",
        {},
        "stopped",
    ),
    (
        "a loop that calls itself twice",
        "{% for x in [1] recursive %}{{ loop([1]) }}{{ loop([1]) }}{% endfor %}",
        {},
        "stopped",
    ),
    ("a string doubled", grown("'a'", "ns.s ~ ns.s", 60, "{{ ns.s|length }}"), {}, "stopped"),
    ("a string doubled by +", grown("'a'", "ns.s + ns.s", 60, "{{ ns.s|length }}"), {}, "stopped"),
    ("a list doubled", grown("[1]", "ns.s + ns.s", 60, "{{ ns.s|length }}"), {}, "stopped"),
    ("a string replaced to growth", grown("'a'", "ns.s|replace('a', 'aa')", 60, "{{ ns.s }}"), {}, "stopped"),
    ("a shared tree, printed", grown(*SHARED, "{{ ns.s }}"), {}, "stopped"),
    ("a shared tree, as JSON", grown(*SHARED, "{{ ns.s|tojson }}"), {}, "stopped"),
    ("a shared tree, as text", grown(*SHARED, "{{ (ns.s ~ '')|length }}"), {}, "stopped"),
    ("a shared tree, joined", grown(*SHARED, "{{ ns.s|join('') }}"), {}, "stopped"),
    ("a shared tree, pretty", grown(*SHARED, "{{ ns.s|pprint }}"), {}, "stopped"),
    ("a shared tree, as string", grown(*SHARED, "{{ ns.s|string|length }}"), {}, "stopped"),
    ("a shared tree, formatted", grown(*SHARED, "{{ '%s'|format(ns.s)|length }}"), {}, "stopped"),
    (
        "two shared trees, compared",
        grown(*SHARED, "{% set a = ns.s %}") + grown(*SHARED, "{{ a == ns.s }}"),
        {},
        "stopped",
    ),
    (
        "a value nested 10,000 deep",
        "{% set ns = namespace(s=[]) %}" + LOOPS + "{% set ns.s = [ns.s] %}" + ENDS + "{{ ns.s }}",
        {},
        "stopped",
    ),
    ("parentheses", "{{ " + "(" * 14_000 + "1" + ")" * 14_000 + " }}", {}, "saved"),
    ("brackets", "{{ " + "[" * 14_000 + "]" * 14_000 + " }}", {}, "saved"),
    ("ifs in each other", "{% if 1 %}" * 1_200 + "{% endif %}" * 1_200, {}, "saved"),
    ("a chain of not", repeated("{{ ", "not ", "1 }}"), {}, "saved"),
    ("a chain of minus", repeated("{{ ", "-", "1 }}"), {}, "saved"),
    ("a chain of plus", repeated("{{ ", "1+", "1 }}"), {}, "saved"),
    ("a chain of ~", repeated("{{ ", "1~", "1 }}"), {}, "saved"),
    ("a chain of powers", repeated("{{ ", "1**", "1 }}"), {}, "saved"),
    ("a chain of and", repeated("{{ ", "1 and ", "1 }}"), {}, "saved"),
    ("a chain of comparisons", repeated("{{ ", "1<", "1 }}"), {}, "saved"),
    ("a chain of filters", repeated("{{ 1", "|e", " }}"), {}, "saved"),
    ("a chain of attributes", repeated("{{ a", ".b", " }}"), {}, "saved"),
    ("a chain of subscripts", repeated("{{ a", "[0]", " }}"), {}, "saved"),
    ("a chain of calls", repeated("{{ a", "()", " }}"), {}, "saved"),
    ("a chain of else", repeated("{{ ", "1 if 0 else ", "1 }}"), {}, "saved"),
    ("a chain of elif", repeated("{% if 0 %}", "{% elif 0 %}", "{% endif %}"), {}, "saved"),
    ("a source of 500 kB", "{{1}}" * 100_000, {}, "saved"),
    ("many small tags", repeated("", "{{1}}", ""), {}, "any"),
    ("a power of a billion", "{{ 2 ** 1000000000 }}", {}, "stopped"),
    ("a power of a power", "{{ 10 ** (10 ** 10) }}", {}, "stopped"),
    ("a cycle of nothing", "{% for x in [1] %}{{ loop.cycle() }}{% endfor %}", {}, "stopped"),
    (
        "1 MB through filters",
        "{{ body.s|upper|urlencode|replace('A', 'BBBB')|e|tojson }}",
        {"s": "a%" * (1 << 19)},
        "stopped",
    ),
    ("1 MB through pprint", "{{ body|pprint|urlize|wordwrap(1)|length }}", {"s": "a " * (1 << 19)}, "any"),
]
