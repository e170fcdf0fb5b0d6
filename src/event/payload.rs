//! Free JSON inside an event: the payload, and values copied beside it. In: values that were scanned. Out: their text,
//! appended as it was written, rewritten only where it must be: line breaks between values, U+0000, or too long as
//! written. Never a number that is not finite, never U+0000.

use std::borrow::Cow;

use crate::json::{self, Kind, Node, Value, write_str};

use super::draft::{DraftError, LIMITS, noun, step};

/// Most digits of an integer.
const INTEGER_MAX_BYTES: usize = 400;
/// A number without exponent that is shorter is finite.
const FINITE_BYTES: usize = 300;
/// The longest text another program writes for a finite number with an exponent.
const FLOAT_MAX_BYTES: usize = 24;

/// A payload whose numbers are sound.
pub(super) struct Payload<'a> {
    value: Value<'a>,
    /// By how many bytes its numbers may grow when somebody downstream writes them anew.
    growth: usize,
}

impl<'a> Payload<'a> {
    /// Checks a payload, given the whole index it lies in.
    ///
    /// # Errors
    /// When it is no object, or a number in it is not finite or too long.
    pub(super) fn check(value: Value<'a>, nodes: &[Node]) -> Result<Self, DraftError> {
        if value.kind() != Kind::Object {
            let what = format!("payload must be an object, not {}", noun(value.kind()));
            return Err(DraftError::invalid("/payload", what));
        }
        let growth = check_numbers(value, nodes)
            .map_err(|(what, at)| DraftError::invalid(find(value, at), what))?;
        Ok(Self { value, growth })
    }

    /// Appends the payload; compacts it if it is over `max_bytes` as written.
    ///
    /// # Errors
    /// The bytes that `out` would have, when they are over `max_bytes` even so.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        has_nul: bool,
        max_bytes: usize,
    ) -> Result<(), usize> {
        let start = out.len();
        if start + self.value.raw().len() <= max_bytes {
            write_value(out, self.value, has_nul);
        } else {
            rewrite(out, self.value);
        }
        if out.len() + self.growth <= max_bytes {
            return Ok(());
        }
        out.truncate(start);
        rewrite(out, self.value);
        let bytes = out.len() + self.growth;
        if bytes <= max_bytes { Ok(()) } else { Err(bytes) }
    }
}

/// Appends a JSON text that somebody else wrote, under the rules of a payload's values.
///
/// # Errors
/// When it is not JSON, too deep or too much, or holds a number that is not finite.
pub fn write_json(out: &mut Vec<u8>, text: &str) -> Result<(), DraftError> {
    let mut nodes = Vec::new();
    json::scan(text, LIMITS, &mut nodes).map_err(|fault| DraftError::scanning(text, &fault))?;
    let value = Value::root(text, &nodes);
    check_numbers(value, &nodes)
        .map_err(|(what, at)| DraftError::invalid(find(value, at), what))?;
    write_value(out, value, holds_nul(text));
    Ok(())
}

/// Whether some string of a JSON text holds U+0000, or may: `\\u0000` looks alike.
pub(super) fn holds_nul(text: &str) -> bool {
    // Most texts have no escape at all, and need no search for this one.
    let first = memchr::memchr(b'\\', text.as_bytes());
    first.is_some_and(|at| memchr::memmem::find(&text.as_bytes()[at..], b"\\u0000").is_some())
}

/// Appends a scanned value: as it was written, unless that holds a line break or U+0000.
pub(super) fn write_value(out: &mut Vec<u8>, value: Value<'_>, has_nul: bool) {
    let raw = value.raw();
    if has_nul || memchr::memchr2(b'\n', b'\r', raw.as_bytes()).is_some() {
        rewrite(out, value);
    } else {
        out.extend_from_slice(raw.as_bytes());
    }
}

/// Text without U+0000, which the downstream database cannot keep.
pub(super) fn replace_nul(text: &str) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Appends a value compactly, strings in their shortest form. As deep as the scan allowed.
fn rewrite(out: &mut Vec<u8>, value: Value<'_>) {
    match value.kind() {
        Kind::Object => {
            out.push(b'{');
            for (place, (name, member)) in value.members().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_str(out, &replace_nul(&name));
                out.push(b':');
                rewrite(out, member);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (place, item) in value.items().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                rewrite(out, item);
            }
            out.push(b']');
        }
        _ => match value.text() {
            Some(text) => write_str(out, &replace_nul(&text)),
            None => out.extend_from_slice(value.raw().as_bytes()),
        },
    }
}

/// The growth of [`Payload`], or what is wrong with a number and where it starts.
fn check_numbers(value: Value<'_>, nodes: &[Node]) -> Result<usize, (String, usize)> {
    let (first, own) = (value.node() as usize, value.start());
    let mut growth = 0;
    for node in &nodes[first..nodes[first].next as usize] {
        let start = node.start as usize;
        let bytes = node.end as usize - start;
        match node.kind {
            Kind::Integer if bytes > INTEGER_MAX_BYTES => {
                let what = format!("a number of {bytes} digits, at most {INTEGER_MAX_BYTES}");
                return Err((what, start));
            }
            Kind::Float => {
                let text = &value.raw()[start - own..node.end as usize - own];
                let exponent = memchr::memchr2(b'e', b'E', text.as_bytes()).is_some();
                if exponent {
                    growth += FLOAT_MAX_BYTES.saturating_sub(bytes);
                }
                let finite = || text.parse().is_ok_and(f64::is_finite);
                if (exponent || bytes > FINITE_BYTES) && !finite() {
                    return Err(("a number too large to be finite".to_owned(), start));
                }
            }
            _ => {}
        }
    }
    Ok(growth)
}

/// The JSON pointer of the value that starts at byte `at` of the text `payload` lies in.
fn find(payload: Value<'_>, at: usize) -> String {
    let mut pointer = "/payload".to_owned();
    let mut value = payload;
    let holds =
        |inner: &Value<'_>| (inner.start()..inner.start() + inner.raw().len()).contains(&at);
    while value.start() != at {
        let member = value.members().find(|(_, inner)| holds(inner));
        let item = value.items().enumerate().find(|(_, inner)| holds(inner));
        if let Some((name, inner)) = member {
            step(&mut pointer, &name);
            value = inner;
        } else if let Some((place, inner)) = item {
            step(&mut pointer, &place.to_string());
            value = inner;
        } else {
            break;
        }
    }
    pointer
}
