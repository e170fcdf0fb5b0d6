//! What to do about a fault. In: our own words for it, and where it happened. Out: the way out in one sentence, when
//! one is known. One place for all of it, so that every message ends with something to do.

use super::chars::is_space;
use super::trace::Mark;
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
    ("cannot add undefined", "", "give a default: `|default(0)`"),
    ("cannot add", "", "join texts with '~'; make numbers of texts with `|int`"),
    ("division by zero", "", "ask first: `{{ a / b if b else 0 }}`"),
    ("a range has at most", "", "loop over a list of the request, or cut it: `body.items[:100]`"),
    ("", "is unknown", "it is no name of the template's: those are method, headers and body"),
    ("", "is no function", "leave the brackets out, or call one of its methods"),
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
        _ if fault.what.contains("end of the text") || fault.what.contains("nothing more") => {
            "one JSON object is all there can be: join the rest into it"
        }
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
        "/event" if what.contains("characters") => {
            "take the parts that tell events apart, not a whole text"
        }
        "/event" => "name what happened: \"event\": \"shop.order.paid\"",
        "/occurred" => "write it as 2026-01-31T12:00:00Z, or leave it out: then it is when it came",
        "/id" | "/follows" => "write a UUID, or leave it out: then one is made",
        "/payload" => "put the value under a name: \"payload\": {\"items\": …}",
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

/// Whether a place of a rendered text is inside a string, as far as the quotation marks before it tell.
fn is_in_string(text: &str, at: usize) -> bool {
    let (mut is_in, mut is_escaped) = (false, false);
    for byte in text.bytes().take(at) {
        match byte {
            b'"' if !is_escaped => is_in = !is_in,
            b'\\' if is_in && !is_escaped => {
                is_escaped = true;
                continue;
            }
            _ => {}
        }
        is_escaped = false;
    }
    is_in
}

/// What stands around a tag inside the quotation marks that it is in.
pub(super) enum Around {
    /// Nothing but the quotation marks, or none.
    Nothing,
    /// Text, on the left and on the right.
    Text(String, String),
    /// Other tags, too.
    Tags,
}

/// What stands around the tag of a mark that wrote the text from `at` on.
pub(super) fn around(text: &str, at: usize, source: &str, mark: Mark) -> Around {
    let (Some(before), Some(behind)) = (source.get(..mark.start), source.get(mark.end..)) else {
        return Around::Nothing;
    };
    if !is_in_string(text, at) {
        return Around::Nothing;
    }
    let left =
        before.trim_end_matches(is_space).trim_end_matches(['-', '+']).trim_end_matches("{{");
    let right = behind.find("}}").map_or("", |at| &behind[at + 2..]);
    let left = &left[left.rfind(['"', '}', '\n']).unwrap_or(0)..];
    let right = &right[..right.find(['"', '{', '\n']).map_or(right.len(), |at| at + 1)];
    match (left.strip_prefix('"'), right.strip_suffix('"')) {
        (Some(""), Some("")) => Around::Nothing,
        (Some(left), Some(right)) => Around::Text(left.to_owned(), right.to_owned()),
        _ if left.ends_with('}') || right.starts_with('{') => Around::Tags,
        (Some(_), None) | (None, Some(_)) => Around::Tags,
        (None, None) => Around::Nothing,
    }
}

/// For a value whose text broke the JSON.
pub(super) fn of_value(value: &str, around: &Around) -> String {
    match around {
        Around::Nothing => {
            format!("let `tojson` write the value, without quotes: `{{{{ {value}|tojson }}}}`")
        }
        Around::Text(left, right) => {
            let part = |text: &String| Some(format!("\"{text}\"")).filter(|_| !text.is_empty());
            let parts = [part(left), Some(value.to_owned()), part(right)];
            let whole: Vec<String> = parts.into_iter().flatten().collect();
            let whole = whole.join(" ~ ");
            format!(
                "let `tojson` write the whole string, without quotes: `{{{{ ({whole})|tojson }}}}`"
            )
        }
        Around::Tags => {
            "join the parts of the string with `~`, and let `tojson` write the whole".to_owned()
        }
    }
}

/// An expression that a filter can be put behind: in brackets when it is more than a path.
pub(super) fn plain(words: &str) -> String {
    let is_path = words.chars().all(|c| c.is_alphanumeric() || "_.['\"]-|".contains(c));
    if is_path { words.to_owned() } else { format!("({words})") }
}

/// A lookup as what is looked into and the name looked for.
pub(super) fn split(words: &str) -> Option<(&str, String)> {
    if let Some(inner) = words.strip_suffix(']') {
        let place = inner.rfind('[')?;
        let key = inner[place + 1..].trim_matches(is_space);
        let key = key.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
        return Some((inner[..place].trim_end_matches(is_space), key.to_owned()));
    }
    let place = words.rfind('.')?;
    let name = words[place + 1..].trim_matches(is_space);
    Some((words[..place].trim_end_matches(is_space), name.to_owned()))
}

/// The lookup of a key.
pub(super) fn joined(base: &str, key: &str) -> String {
    let is_name = !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if is_name { format!("{base}.{key}") } else { format!("{base}['{key}']") }
}
