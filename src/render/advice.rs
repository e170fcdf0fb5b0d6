//! What to do about a fault. In: our own words for it, and where it happened. Out: the way out in one sentence, when
//! one is known. One place for all of it, so that every message ends with something to do.

use crate::event::{DraftError, Reject};

/// Ways out by the beginning and the end of a message about a source.
const SOURCE: &[(&str, &str, &str)] = &[
    ("this comment has no end", "", "close it with '#}'"),
    ("this raw block has no end", "", "close it with {% endraw %}"),
    ("this tag has no end, '}}'", "", "close it with '}}'"),
    ("this tag has no end, '%}'", "", "close it with '%}'"),
    (
        "this string has no end",
        "",
        "close it with the same quotation mark, or its tag in front of it",
    ),
    ("this '", "is never closed", "close it before the tag ends"),
    ("'", "does not close '['", "close the '[' with ']' first"),
    ("'", "does not close '('", "close the '(' with ')' first"),
    ("'", "does not close '{'", "close the '{' with '}' first"),
    ("'", "is still open", "close that one first"),
    ("'", "closes nothing", "remove it, or open what it closes"),
    ("unexpected character '&'", "", "write `and`"),
    ("unexpected character '!'", "", "write `not`"),
    ("unexpected character '?'", "", "write `a if condition else b`"),
    ("unexpected character '$'", "", "names have no '$': `body.name`"),
    ("unexpected character", "", "put text in quotation marks"),
    ("there is no tag 'do'", "", "`{% set ignored = … %}` evaluates something and writes nothing"),
    (
        "there is no tag",
        "",
        "tags are if, for, set, with, macro, call, filter, block, raw, autoescape, print",
    ),
    ("there is no filter", "", "filters are those of Jinja2 and of its humanize extension"),
    (
        "there is no test",
        "",
        "tests are those of Jinja2, such as defined, none, string, number, in",
    ),
    ("expected", "found '='", "compare with '=='"),
    ("expected", "found '|'", "write `or`; a filter's name stands behind one '|'"),
    (
        "expected an expression",
        "",
        "a name, number, string or bracket is missing here: `body.name`",
    ),
    ("expected 'in'", "", "a loop is written as {% for item in body.items %}"),
    ("expected a name to assign to", "", "`{% set name = body.name %}` sets a name"),
    ("expected a name or number", "", "a key that is no name is read as body['the key']"),
    ("expected '}}'", "", "read a key with '.', join texts with '~', or close the tag with '}}'"),
    ("expected '%}'", "", "close the tag with '%}'"),
    ("expected a name", "", "put a name here"),
    ("expected '", "", "put it here, or close what is open before"),
    ("'", "a webhook has only its own", "write what it would bring into this template"),
    (
        "a template has at most",
        "loops",
        "join loops that go through the same list, or use filters such as `map`",
    ),
    (
        "loops are nested at most",
        "",
        "loop over less: `map(attribute=…)` and `join` make lists without a loop",
    ),
    ("'loop' cannot be set", "", "give it another name"),
    ("the block '", "is there already", "give one of them another name"),
    ("a positional argument", "", "put arguments with names last"),
    ("brackets are nested", "", "give a part a name with `{% set part = … %}`"),
    ("one expression chains", "", "give a part a name with `{% set part = … %}`"),
    ("tags are nested", "", "close some, or join conditions with `and`"),
    ("the template has", "", "send less of the text, or split the work over several webhooks"),
];

/// Ways out of what Python refuses, by the beginning and the end of the message.
const REFUSAL: &[(&str, &str, &str)] = &[
    (
        "only a namespace can be assigned to",
        "",
        "make one: `{% set ns = namespace(x=1) %}`, then `{% set ns.x = 2 %}`",
    ),
    ("undefined cannot be written as JSON", "", "`|default(none)|tojson` writes null for it"),
    ("cannot add", "", "join texts with '~'; make numbers of texts with `|int`"),
    ("cannot compare", "", "make both of one kind: `|int`, `|string`"),
    ("a list or dict cannot be the key", "", "take a string or a number as the key"),
    ("", "cannot be the key of a dict", "take a string or a number as the key"),
    ("", "cannot be iterated over", "loop over a list, or over body.items() of an object"),
];

fn look(table: &[(&str, &str, &'static str)], message: &str) -> Option<&'static str> {
    let fits =
        |row: &&(&str, &str, &'static str)| message.starts_with(row.0) && message.ends_with(row.1);
    table.iter().find(fits).map(|row| row.2)
}

/// For a source that breaks a rule.
pub(super) fn of_source(message: &str) -> Option<String> {
    look(SOURCE, message).map(str::to_owned)
}

/// For what a rendering was refused for.
pub(super) fn of_refusal(message: &str) -> Option<String> {
    look(REFUSAL, message).map(str::to_owned)
}

/// For a text that is no event, when no expression is to blame.
pub(super) fn of_text(text: &str, fault: &DraftError) -> Option<String> {
    let Some(at) = fault.at else { return of_event(fault) };
    let (head, tail) = text.split_at_checked(at)?;
    let (before, here) = (head.trim_end().chars().next_back(), tail.chars().next());
    let words = match (before, here) {
        _ if fault.reject == Reject::TooLarge => return None,
        (None, Some(_)) => "the text begins with '{', and holds nothing but one JSON object",
        (_, None) => "the text ends too early: close every bracket and quotation mark",
        (Some(','), Some(']' | '}')) => {
            "no comma stands behind the last one: {% if not loop.last %},{% endif %}"
        }
        _ if fault.what.contains("expected ','") => {
            "put a comma between the two, or close the bracket: {% if not loop.last %},{% endif %}"
        }
        _ if fault.what.contains("double quotes") => "names stand in double quotes",
        _ => return None,
    };
    Some(words.to_owned())
}

/// For JSON that breaks a rule of events.
pub(super) fn of_event(fault: &DraftError) -> Option<String> {
    let (what, pointer) = (&*fault.what, fault.pointer.as_deref().unwrap_or_default());
    let words = match pointer {
        "/event" if what.contains("gateway's own") => {
            "begin with a name of your own: \"event\": \"shop.order.paid\""
        }
        "/event" => "name what happened: \"event\": \"shop.order.paid\"",
        "/occurred" => "write it as 2026-01-31T12:00:00Z, or leave it out: then it is when it came",
        "/id" | "/follows" => "write a UUID, or leave it out: then one is made",
        _ if what.contains("must be a JSON object") => {
            "write {\"event\": \"…\", \"resource\": {\"prefect.resource.id\": \"…\"}}"
        }
        _ if what.contains("prefect.resource.role") => {
            "say what it has to do with the event: \"prefect.resource.role\": \"sender\""
        }
        _ if what.contains("prefect.resource.id") || pointer == "/resource" => {
            "say what it happened to: \"resource\": {\"prefect.resource.id\": \"shop.order.17\"}"
        }
        _ => return None,
    };
    Some(words.to_owned())
}
