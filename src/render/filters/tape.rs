//! A request's own JSON written as Python writes it, straight from its index. In: a node. Out: text in the writer.
//! Never a value built: members are sorted by the first bytes of their names, which mostly decide.

use minijinja::Error;

use super::ascii::{is_clean, plain_length, push_string};
use super::json::Writer;
use crate::json::{Document, Kind, Value};

/// Most digits of a decimal that reads back as the same float's shortest text.
const DIGITS_MAX: usize = 15;

/// A member: its name's first bytes, as a number that sorts as they do, and its value's node.
type Member = (u64, u32);

struct Tape<'w, 'd> {
    writer: &'w mut Writer,
    document: &'d Document,
    /// No string without escapes needs any.
    clean: bool,
    /// The members of all objects that are open, the innermost last.
    members: Vec<Member>,
}

/// Writes a node and all below it.
pub(super) fn write(
    writer: &mut Writer,
    document: &Document,
    json: Value<'_>,
    depth: usize,
) -> Result<(), Error> {
    let clean = is_clean(json.raw().as_bytes());
    Tape { writer, document, clean, members: Vec::new() }.node(json, depth)
}

impl Tape<'_, '_> {
    fn node(&mut self, json: Value<'_>, depth: usize) -> Result<(), Error> {
        self.writer.pay()?;
        let out = &mut self.writer.out;
        match json.kind() {
            Kind::Integer if json.raw() == "-0" => out.push('0'),
            Kind::Null | Kind::True | Kind::False | Kind::Integer => out.push_str(json.raw()),
            Kind::Float if is_shortest(json.raw()) => out.push_str(json.raw()),
            Kind::Float => self.writer.float(json.raw().parse().unwrap_or(f64::NAN))?,
            Kind::Plain => self.plain(json.raw()),
            Kind::Array => {
                out.push('[');
                for (place, item) in json.items().enumerate() {
                    self.writer.separate(place == 0, depth + 1);
                    self.node(item, depth + 1)?;
                }
                self.writer.close(json.is_empty(), depth, ']');
            }
            Kind::Object => self.object(json, depth)?,
            _ => push_string(out, &json.text().unwrap_or_default()),
        }
        Ok(())
    }

    fn object(&mut self, json: Value<'_>, depth: usize) -> Result<(), Error> {
        let start = self.members.len();
        self.members.extend(json.members().map(|(name, value)| (prefix(&name), value.node())));
        let document = self.document;
        self.members[start..].sort_unstable_by(|a, b| {
            let name = |member: &Member| document.at(member.1).name();
            // Of a doubled name the last written comes last.
            a.0.cmp(&b.0).then_with(|| name(a).cmp(&name(b)).then(a.1.cmp(&b.1)))
        });
        self.writer.out.push('{');
        let end = self.members.len();
        let mut is_first = true;
        for place in start..end {
            let (own, value) = (self.members[place].0, document.at(self.members[place].1));
            let next = self.members.get(place + 1).filter(|next| place + 1 < end && next.0 == own);
            if next.is_some_and(|next| document.at(next.1).name() == value.name()) {
                continue;
            }
            self.writer.separate(is_first, depth + 1);
            is_first = false;
            match value.raw_name() {
                Some(raw) => self.plain(raw),
                None => push_string(&mut self.writer.out, &value.name()),
            }
            self.writer.out.push_str(": ");
            self.node(value, depth + 1)?;
        }
        self.members.truncate(start);
        self.writer.close(is_first, depth, '}');
        Ok(())
    }

    /// Appends a string that has no escapes, given with its quotes.
    fn plain(&mut self, raw: &str) {
        let inner = &raw.as_bytes()[1..raw.len() - 1];
        if self.clean || plain_length(inner) == inner.len() {
            self.writer.out.push_str(raw);
        } else {
            push_string(&mut self.writer.out, &raw[1..raw.len() - 1]);
        }
    }
}

/// The first bytes of a name, which sort as the name does.
fn prefix(name: &str) -> u64 {
    let mut first = [0; 8];
    let length = name.len().min(first.len());
    first[..length].copy_from_slice(&name.as_bytes()[..length]);
    u64::from_be_bytes(first)
}

/// Whether a float's text is the one Python writes: no exponent, few digits, no zero at the end but a single one.
fn is_shortest(raw: &str) -> bool {
    let Some((whole, fraction)) = raw.split_once('.') else { return false };
    raw.len() <= DIGITS_MAX
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && (fraction == "0" || !fraction.ends_with('0'))
        && !(whole.ends_with('0') && whole.len() <= 2 && fraction.starts_with("0000"))
}
