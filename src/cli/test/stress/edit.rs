//! What can be wrong with a real request: one edit at one place. In: a request and edits. Out: the request as it would
//! have come. An edit whose place is gone changes nothing.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, HeaderValue};

use super::super::super::case::Request;
use super::super::super::form;
use super::super::super::splice::{self, Deed, Path, Step};
use crate::json::{Kind, Value, write_str};

/// Texts that templates trip over, each with its name, as JSON.
pub(super) const TEXTS: &[(&str, &str)] = &[
    ("a quotation mark", r#""say \"hi\"""#),
    ("a backslash at the end", r#""C:\\""#),
    ("line breaks", r#""a\r\nb\u2028c""#),
    ("emoji", r#""👩‍👩‍👧 🇩🇪""#),
    ("control characters", r#""\u0001\u001b[31m\u007f""#),
    ("U+0000", r#""a\u0000b""#),
    ("JSON", r#""\", \"x\": {\"""#),
    ("tags", r#""{{ 7 * 7 }}{% endfor %}{#""#),
    ("blanks", r#""  ""#),
    ("digits", r#""12""#),
    ("markup", r#""<b>&amp;'""#),
    ("a text from right to left", r#""\u202eabc\u202c שלום""#),
];
/// Numbers that templates trip over, as JSON.
pub(super) const NUMBERS: &[&str] =
    &["0", "-1", "-0.0", "0.1", "1e20", "9007199254740993", "123456789012345678901234567890"];
/// A text that is longer than a label may be.
const LONG_CHARS: usize = 10_000;
/// Levels of a deep value; under what a body may have.
const DEEP_LEVELS: usize = 60;

/// Where an edit is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// The body as a whole.
    Body,
    /// A value in a JSON body.
    Value(Path),
    /// A field of a form.
    Field(String),
    Header(HeaderName),
}

/// What is done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Drop,
    Null,
    /// The empty value of the same type.
    Empty,
    /// A number becomes a text, a list an object, and the other way round.
    OtherType,
    /// One of [`TEXTS`].
    Text(usize),
    /// A text of 10,000 characters.
    Long,
    /// A value many levels deep.
    Deep,
    /// One of [`NUMBERS`].
    Number(usize),
    /// The name comes twice; the second time it is null.
    Double,
    /// The body ends in its middle.
    Cut,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Edit {
    pub(super) target: Target,
    pub(super) change: Change,
}

impl Change {
    /// Whether what comes of it may be over a bound of events, whatever the template does.
    pub(super) fn is_oversized(self) -> bool {
        matches!(self, Self::Long | Self::Deep)
    }
}

/// The request with all edits made, one after the other.
pub(super) fn edited(request: &Request, edits: &[Edit]) -> Request {
    let mut request = request.clone();
    for edit in edits {
        edit.make(&mut request);
    }
    request
}

impl Edit {
    fn make(&self, request: &mut Request) {
        match &self.target {
            Target::Body => {
                let body = &request.body;
                request.body = match self.change {
                    Change::Cut => body.slice(..body.len() / 2),
                    Change::Text(place) => plain(TEXTS[place].1).into(),
                    _ => bytes::Bytes::new(),
                };
            }
            Target::Value(path) => {
                if let Some(body) = edit_value(&request.body, path, self.change) {
                    request.body = body.into();
                }
            }
            Target::Field(name) => {
                request.body = edit_field(&request.body, name, self.change).into();
            }
            Target::Header(name) => {
                let value = match self.change {
                    Change::Empty => Some(HeaderValue::from_static("")),
                    Change::Text(place) => {
                        HeaderValue::from_bytes(plain(TEXTS[place].1).as_bytes()).ok()
                    }
                    Change::Drop => None,
                    _ => return,
                };
                match value {
                    Some(value) => drop(request.headers.insert(name, value)),
                    None => drop(request.headers.remove(name)),
                }
            }
        }
    }
}

fn edit_value(body: &[u8], path: &Path, change: Change) -> Option<Vec<u8>> {
    let deed = match change {
        Change::Drop => return splice::edit(body, path, &Deed::Drop),
        Change::Double => return splice::edit(body, path, &Deed::Double("null")),
        change => move |value: Value<'_>| replaced(value, change),
    };
    splice::edit(body, path, &Deed::Replace(&deed))
}

/// The JSON that stands in a value's place.
fn replaced(value: Value<'_>, change: Change) -> String {
    let json = |text: &str| {
        let mut out = Vec::new();
        write_str(&mut out, text);
        String::from_utf8_lossy(&out).into_owned()
    };
    match change {
        Change::Empty => match value.kind() {
            Kind::Object => "{}".to_owned(),
            Kind::Array => "[]".to_owned(),
            Kind::Integer | Kind::Float => "0".to_owned(),
            _ => "\"\"".to_owned(),
        },
        Change::OtherType => match value.kind() {
            Kind::Object => format!("[{}]", value.raw()),
            Kind::Array => format!("{{\"0\": {}}}", value.raw()),
            Kind::Integer | Kind::Float | Kind::True | Kind::False => json(value.raw()),
            Kind::Null => "\"null\"".to_owned(),
            _ => {
                let text = value.text().unwrap_or_default();
                let is_number = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
                if is_number { text.into_owned() } else { "17".to_owned() }
            }
        },
        Change::Text(place) => TEXTS[place].1.to_owned(),
        Change::Long => json(&long()),
        Change::Deep => format!("{}1{}", "[".repeat(DEEP_LEVELS), "]".repeat(DEEP_LEVELS)),
        Change::Number(place) => NUMBERS[place].to_owned(),
        Change::Null | Change::Drop | Change::Double | Change::Cut => "null".to_owned(),
    }
}

/// The form with the field edited wherever it stands.
fn edit_field(body: &[u8], name: &str, change: Change) -> String {
    form::edit(body, name, &|part| match change {
        Change::Drop => Vec::new(),
        Change::Double => vec![part.to_owned(), form::field(name, "")],
        Change::Text(place) => vec![form::field(name, &plain(TEXTS[place].1))],
        Change::Long => vec![form::field(name, &long())],
        _ => vec![form::field(name, "")],
    })
}

/// What a JSON string of [`TEXTS`] means.
fn plain(json: &str) -> String {
    let document = splice::document(json.as_bytes());
    document.and_then(|own| own.root().text().map(Cow::into_owned)).unwrap_or_default()
}

fn long() -> String {
    "long ".repeat(LONG_CHARS / 5)
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Body => write!(f, "the body")?,
            Target::Value(path) => {
                write!(f, "body")?;
                for step in path {
                    match step {
                        Step::Name(name)
                            if name.chars().all(|c| c.is_alphanumeric() || c == '_') =>
                        {
                            write!(f, ".{name}")?;
                        }
                        Step::Name(name) => write!(f, "[{name:?}]")?,
                        Step::Item(place) => write!(f, "[{place}]")?,
                    }
                }
            }
            Target::Field(name) => write!(f, "the field {name}")?,
            Target::Header(name) => write!(f, "the header {name}")?,
        }
        match self.change {
            Change::Drop => write!(f, " is missing"),
            Change::Null => write!(f, " is null"),
            Change::Empty => write!(f, " is empty"),
            Change::OtherType => write!(f, " has another type"),
            Change::Text(place) => write!(f, " holds {}", TEXTS[place].0),
            Change::Long => write!(f, " is a long text"),
            Change::Deep => write!(f, " is nested {DEEP_LEVELS} levels deep"),
            Change::Number(place) => write!(f, " is {}", NUMBERS[place]),
            Change::Double => write!(f, " comes twice, the second time null"),
            Change::Cut => write!(f, " ends in its middle"),
        }
    }
}
