//! The lints' part of the table of codes: what each means, and an example before and after. The examples are the
//! tests: the first must raise its code and nothing else, the second nothing, and the fix of the first give the second.

use super::super::code::{Code, Entry, Example, Part};

const fn entry(
    code: Code,
    name: &'static str,
    title: &'static str,
    explanation: &'static str,
    example: Example,
) -> Entry {
    Entry { code, name, title, explanation, example: Some(example) }
}

const fn example(part: Part, bad: &'static str, good: &'static str) -> Example {
    Example { part, bad, good }
}

/// All lints, by name.
pub(in super::super) static RULES: &[Entry] = &[
    entry(
        Code::Constant,
        "J120",
        "a condition that is the same for every request",
        "What stands under a condition that never holds is never written, and one that always holds is none. \
         Usually a remainder of trying something out.",
        example(
            Part::Payload,
            "{% if false %}\"debug\": {{ body.debug|tojson }},{% endif %} \"n\": 1",
            "\"n\": 1",
        ),
    ),
    entry(
        Code::Unused,
        "J121",
        "a name that nobody reads",
        "A `set` or macro that nothing uses costs time in every rendering, and is often the sign of a name that was \
         changed in one place only.",
        example(Part::Whole, "{% set kind = body.type %}{{ body|tojson }}", "{{ body|tojson }}"),
    ),
    entry(
        Code::Hides,
        "J122",
        "a loop's name that hides another",
        "Inside the loop the name means the item; `body`, or what was set before, cannot be read there.",
        example(
            Part::Payload,
            "\"a\": [{% for body in body.commits %}{{ body.id|tojson }}{{ \"\" if loop.last else \",\" }}{% endfor %}]",
            "\"a\": [{% for one in body.commits %}{{ one.id|tojson }}{{ \"\" if loop.last else \",\" }}{% endfor %}]",
        ),
    ),
    entry(
        Code::LostInLoop,
        "J123",
        "a name set inside a loop is gone behind it",
        "In Jinja a `set` inside a `for` ends with that turn of the loop: behind it, the name has its old value. A \
         namespace outlives the loop.",
        example(
            Part::Payload,
            "{% set bad = 0 %}{% for run in body.runs %}{% if run.failed %}{% set bad = bad + 1 %}{% endif %}\
             {% endfor %}\"bad\": {{ bad|tojson }}",
            "{% set ns = namespace(bad=0) %}{% for run in body.runs %}{% if run.failed %}\
             {% set ns.bad = ns.bad + 1 %}{% endif %}{% endfor %}\"bad\": {{ ns.bad|tojson }}",
        ),
    ),
    entry(
        Code::WrittenComment,
        "J124",
        "a comment that is written into the event",
        "A source without `{{` and `{%` is no template for Prefect Cloud, nor here: it is the event itself, and what \
         looks like a comment stands in it.",
        example(
            Part::Whole,
            "{# the door #}{\"event\": \"door.opened\", \"resource\": {\"prefect.resource.id\": \"door.1\"}}",
            "{\"event\": \"door.opened\", \"resource\": {\"prefect.resource.id\": \"door.1\"}}",
        ),
    ),
    entry(
        Code::IdleAllow,
        "J125",
        "an allowance that allows nothing",
        "`{# hookgate: allow J302 #}` silences J302 in its own line and the next one. Nothing is found there any \
         more, so the comment would only hide what comes later.",
        example(
            Part::Payload,
            "{# hookgate: allow J302 #}\"title\": {{ body.title|tojson }}",
            "\"title\": {{ body.title|tojson }}",
        ),
    ),
    entry(
        Code::UnknownName,
        "J202",
        "a name that nothing gives",
        "A template has `body`, `headers` and `method`, Jinja's own functions, and what it sets itself. Any other name \
         is empty for every request, and no error.",
        example(
            Part::Payload,
            "\"title\": {{ bdy.title|tojson }}",
            "\"title\": {{ body.title|tojson }}",
        ),
    ),
    entry(
        Code::MethodAsData,
        "J203",
        "a method read as if it were data",
        "A dot finds the methods of an object before its keys: `body.items` is the function that lists the members, \
         whatever the request says, and so are `.keys`, `.values`, `.get`, `.copy`, `.update` and `.pop`. Brackets \
         look for the key first.",
        example(
            Part::Payload,
            "\"pieces\": {{ body.items|tojson }}",
            "\"pieces\": {{ body['items']|tojson }}",
        ),
    ),
    entry(
        Code::UnknownHeader,
        "J204",
        "a header that nobody sends",
        "The name is one slip away from a header of a well-known sender, or has underscores where that has hyphens. \
         Capital letters do not matter; everything else does.",
        example(
            Part::Payload,
            "\"kind\": {{ headers.x_github_event|tojson }}",
            "\"kind\": {{ headers['x-github-event']|tojson }}",
        ),
    ),
    entry(
        Code::HiddenHeader,
        "J205",
        "a header that no template sees",
        "`Authorization`, `Proxy-Authorization` and `Cookie` are taken away before a template runs, so that no event \
         can hold them. Reading them gives nothing.",
        example(
            Part::Payload,
            "\"by\": {{ headers['authorization']|default(none)|tojson }}",
            "\"by\": {{ headers['user-agent']|default(none)|tojson }}",
        ),
    ),
    entry(
        Code::QuotedValue,
        "J302",
        "a value inside quotes that can break the JSON",
        "`\"{{ x }}\"` works until the first title with a quotation mark, backslash or line break in it: then the text \
         is no JSON, and the event is lost. `tojson` quotes and escapes. A part of a string is joined with `~` first.",
        example(
            Part::Event,
            "\"event\": \"gh.{{ body.action }}\"",
            "\"event\": {{ (\"gh.\" ~ body.action)|tojson }}",
        ),
    ),
    entry(
        Code::QuotedJson,
        "J303",
        "tojson inside quotes",
        "`tojson` writes the quotation marks of a string itself. A second pair around them ends the string before it \
         begins. Where a number shall be written as a string, say `|string|tojson`.",
        example(
            Part::Payload,
            "\"title\": \"{{ body.title|tojson }}\"",
            "\"title\": {{ body.title|tojson }}",
        ),
    ),
    entry(
        Code::BareValue,
        "J304",
        "a value that is not written as JSON",
        "Without `tojson` a value is written as Python prints it: a string without quotes, `None`, `True`, `False`, \
         `{'key': 1}`. Only plain numbers are JSON by chance.",
        example(Part::Payload, "\"all\": {{ body }}", "\"all\": {{ body|tojson }}"),
    ),
    entry(
        Code::LoopComma,
        "J305",
        "a comma behind the last item of a loop",
        "JSON has commas between items, and none behind the last. `loop.last` tells which one it is.",
        example(
            Part::Payload,
            "\"ids\": [{% for one in body.commits %}{{ one.id|tojson }},{% endfor %}]",
            "\"ids\": [{% for one in body.commits %}{{ one.id|tojson }}{% if not loop.last %},{% endif %}{% endfor %}]",
        ),
    ),
    entry(
        Code::NeverJson,
        "J306",
        "text of the template that can never be JSON",
        "Whatever the request says, what is rendered cannot be read: a comma too many or too few, single quotes, a \
         bracket that is not closed.",
        example(
            Part::Payload,
            "\"title\": {{ body.title|tojson }}, \"n\": 1,",
            "\"title\": {{ body.title|tojson }}, \"n\": 1",
        ),
    ),
    entry(
        Code::LoopItems,
        "J307",
        "no comma between the items of a loop",
        "A loop writes its items one behind the other; JSON wants a comma between them. It works for one item, and \
         fails on the first request with two.",
        example(
            Part::Payload,
            "\"ids\": [{% for one in body.commits %}{{ one.id|tojson }} {% endfor %}]",
            "\"ids\": [{% for one in body.commits %}{{ one.id|tojson }}{% if not loop.last %},{% endif %}{% endfor %}]",
        ),
    ),
    entry(
        Code::LabelKind,
        "E403",
        "a label that is no string",
        "All labels of a resource are strings. `tojson` writes a number as a number; `string` in front of it makes it \
         a string.",
        example(
            Part::Resource,
            "\"runs\": {{ body.runs|length|tojson }}",
            "\"runs\": {{ body.runs|length|string|tojson }}",
        ),
    ),
    entry(
        Code::BareName,
        "E404",
        "an event's name that begins with what the sender says",
        "A name that begins with a text of your own can be matched by one pattern (`github.*`), and no sender can name \
         an event at will, or by mistake as another webhook does.",
        example(
            Part::Event,
            "\"event\": {{ body.type|tojson }}",
            "\"event\": {{ (\"stripe.\" + body.type)|tojson }}",
        ),
    ),
    entry(
        Code::LongLabel,
        "E405",
        "a label without a bound",
        "Labels name and sort resources, and downstream keeps them in an index. Long texts and whole bodies belong \
         into `payload`; a title is cut.",
        example(
            Part::Resource,
            "\"prefect.resource.name\": {{ body.message|tojson }}",
            "\"prefect.resource.name\": {{ body.message[:200]|tojson }}",
        ),
    ),
    entry(
        Code::ReservedName,
        "E406",
        "a name of the gateway's own",
        "Names that begin with `prefect-cloud.` are for what the gateway says about itself. An event of that name is \
         refused.",
        example(Part::Event, "\"event\": \"prefect-cloud.push\"", "\"event\": \"github.push\""),
    ),
    entry(
        Code::EventParts,
        "E407",
        "an event without what it needs",
        "An event has `event` and `resource`; a resource has `prefect.resource.id`, and a related one a \
         `prefect.resource.role` as well.",
        example(
            Part::Related,
            "{\"prefect.resource.id\": \"github.user.1\"}",
            "{\"prefect.resource.id\": \"github.user.1\", \"prefect.resource.role\": \"sender\"}",
        ),
    ),
    entry(
        Code::FreshName,
        "E408",
        "an event's name that is new each time",
        "Automations wait for names. A name with an id or a moment in it never comes twice, and the list of names \
         downstream grows without end.",
        example(
            Part::Event,
            "\"event\": {{ (\"order.\" ~ body.order_id)|tojson }}",
            "\"event\": {{ (\"order.\" + body.status)|tojson }}",
        ),
    ),
    entry(
        Code::RelatedCut,
        "E409",
        "related resources without a bound",
        "An event holds 99 related resources, and one too many loses the event. Cut the list that is looped over; the \
         whole of it may stand in `payload`.",
        example(
            Part::Related,
            "{% for one in body.commits %}{\"prefect.resource.id\": {{ (\"c.\" + one.sha)|tojson }}, \
             \"prefect.resource.role\": \"commit\"}{{ \"\" if loop.last else \",\" }}{% endfor %}",
            "{% for one in body.commits[:90] %}{\"prefect.resource.id\": {{ (\"c.\" + one.sha)|tojson }}, \
             \"prefect.resource.role\": \"commit\"}{{ \"\" if loop.last else \",\" }}{% endfor %}",
        ),
    ),
    entry(
        Code::SecretHeader,
        "W501",
        "a signature or token of the request in the event",
        "Signatures and tokens prove who sent a request. In an event they are kept, forwarded and shown.",
        example(
            Part::Payload,
            "\"by\": {{ headers['x-gitlab-token']|tojson }}",
            "\"by\": {{ headers['x-gitlab-instance']|tojson }}",
        ),
    ),
    entry(
        Code::Key,
        "W502",
        "a key of a service in the template",
        "Templates are shown to everybody who may read a webhook, and are kept in its history. A key that was in one \
         is known.",
        example(Part::Payload, "\"key\": \"whsec_0a1b2c3d4e5f6g7h8i9j0k\"", "\"key\": \"whsec_…\""),
    ),
    entry(
        Code::AllHeaders,
        "W503",
        "all headers in the event",
        "Among the headers are signatures, tokens and addresses of proxies. Write the ones that somebody reads.",
        example(
            Part::Payload,
            "\"headers\": {{ headers|tojson }}",
            "\"agent\": {{ headers['user-agent']|tojson }}",
        ),
    ),
    entry(
        Code::SecretField,
        "W504",
        "a field that reads like a secret",
        "Some senders put tokens or passwords into their bodies. In an event they are kept, forwarded and shown.",
        example(
            Part::Payload,
            "\"token\": {{ body.token|tojson }}",
            "\"team\": {{ body.team_id|tojson }}",
        ),
    ),
    entry(
        Code::Chance,
        "W601",
        "something that is different each time",
        "The same request should give the same event: then it can be tested, compared, and sent again without a second \
         event.",
        example(
            Part::Payload,
            "\"pick\": {{ body.names|random|tojson }}",
            "\"pick\": {{ body.names|first|tojson }}",
        ),
    ),
    entry(
        Code::NotPortable,
        "W602",
        "a name that Prefect does not have",
        "`query`, `path`, `webhook` and `now` are there only on servers with `render.extensions`. On Prefect Cloud \
         they are undefined, and print nothing.",
        example(
            Part::Payload,
            "\"page\": {{ query.page|default(none)|tojson }}",
            "\"page\": {{ body.page|default(none)|tojson }}",
        ),
    ),
    entry(
        Code::BodyTwice,
        "W701",
        "the whole body twice",
        "Writing a body is most of the work of a rendering, and an event has 1.4 MB. One of the two is enough.",
        example(
            Part::Payload,
            "\"body\": {{ body|tojson }}, \"raw\": {{ body|tojson|tojson }}",
            "\"body\": {{ body|tojson }}",
        ),
    ),
];
