//! Methods of strings about their parts: finding, splitting, joining, replacing, translating. In: a string and
//! arguments. Out: what Python's method gives. Places are counted in characters. Never longer than the budget.

use minijinja::value::Tuple;
use minijinja::{Error, Value};

use super::super::args::{bind, split as split_args};
use super::super::budget;
use super::super::chars;
use super::super::filters::{escaped, tags_stripped, unescape};
use super::super::lookup::{collect, item, key_value};
use super::super::pyformat;
use super::super::value::{
    Kind, fault, flag, from_int, index, is_undefined, kind, marked, type_name,
};
use super::text::{own, string};
use super::{Member, Table};

pub(super) const TABLE: Table = &[
    ("count", Member::Method(count)),
    ("encode", Member::Method(encode)),
    ("endswith", Member::Method(|of, args| affix(of, args, "endswith", false))),
    ("find", Member::Method(|of, args| find(of, args, "find", false))),
    ("format", Member::Method(pyformat::format)),
    ("format_map", Member::Method(pyformat::format_map)),
    ("index", Member::Method(|of, args| find(of, args, "index", false))),
    ("join", Member::Method(join)),
    ("maketrans", Member::Method(make_translation)),
    ("partition", Member::Method(|of, args| partition(of, args, "partition", false))),
    ("removeprefix", Member::Method(|of, args| remove(of, args, "removeprefix", true))),
    ("removesuffix", Member::Method(|of, args| remove(of, args, "removesuffix", false))),
    ("replace", Member::Method(replace)),
    ("rfind", Member::Method(|of, args| find(of, args, "rfind", true))),
    ("rindex", Member::Method(|of, args| find(of, args, "rindex", true))),
    ("rpartition", Member::Method(|of, args| partition(of, args, "rpartition", true))),
    ("rsplit", Member::Method(|of, args| split(of, args, "rsplit", true))),
    ("split", Member::Method(|of, args| split(of, args, "split", false))),
    ("splitlines", Member::Method(split_lines)),
    ("startswith", Member::Method(|of, args| affix(of, args, "startswith", true))),
    ("striptags", Member::Method(|of, args| of_markup(of, args, "striptags", tags_stripped))),
    ("translate", Member::Method(translate)),
    ("unescape", Member::Method(|of, args| of_markup(of, args, "unescape", unescape))),
];

/// The part of a string between two places, and how many characters stand before it; `None` when the places are
/// crossed or beyond the end.
fn window<'t>(
    what: &str,
    text: &'t str,
    start: Option<&Value>,
    end: Option<&Value>,
) -> Result<Option<(&'t str, usize)>, Error> {
    let length = chars::length(text);
    let place = |value: Option<&Value>, default: i64| match value.filter(|value| !value.is_none()) {
        None => Ok(default),
        Some(value) => {
            let place = index(what, value)?;
            Ok::<_, Error>(if place < 0 { place.saturating_add(length).max(0) } else { place })
        }
    };
    let (start, end) = (place(start, 0)?, place(end, length)?.min(length));
    if start > end {
        return Ok(None);
    }
    let byte = |place: i64| {
        let place = usize::try_from(place).unwrap_or(0);
        text.char_indices().nth(place).map_or(text.len(), |(byte, _)| byte)
    };
    Ok(Some((&text[byte(start)..byte(end)], usize::try_from(start).unwrap_or(0))))
}

fn find(of: &Value, args: &[Value], name: &str, from_end: bool) -> Result<Value, Error> {
    let [wanted, start, end] = bind(name, ["", "", ""], 1, args)?;
    let wanted = wanted.unwrap_or_default();
    let wanted = string(name, &wanted)?;
    budget::spend(own(of).len() as u64 * 2)?;
    let found = window(name, own(of), start.as_ref(), end.as_ref())?.and_then(|(part, before)| {
        let byte = if from_end { part.rfind(wanted) } else { part.find(wanted) }?;
        Some(before + part[..byte].chars().count())
    });
    match found {
        Some(place) => Ok(Value::from(place)),
        None if name.ends_with("index") => Err(fault("the text is not in the string")),
        None => Ok(Value::from(-1)),
    }
}

fn count(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [wanted, start, end] = bind("count", ["", "", ""], 1, args)?;
    let wanted = wanted.unwrap_or_default();
    let wanted = string("count", &wanted)?;
    budget::spend(own(of).len() as u64 * 2)?;
    let part = window("count", own(of), start.as_ref(), end.as_ref())?;
    Ok(Value::from(part.map_or(0, |(part, _)| part.matches(wanted).count())))
}

fn affix(of: &Value, args: &[Value], name: &str, at_start: bool) -> Result<Value, Error> {
    let [wanted, start, end] = bind(name, ["", "", ""], 1, args)?;
    let wanted = wanted.unwrap_or_default();
    let choices = match kind(&wanted) {
        Kind::Tuple(tuple) => tuple.to_vec(),
        _ => vec![wanted.clone()],
    };
    let part = window(name, own(of), start.as_ref(), end.as_ref())?;
    for choice in &choices {
        let choice = string(name, choice)?;
        let holds = |part: &str| {
            if at_start { part.starts_with(choice) } else { part.ends_with(choice) }
        };
        if part.is_some_and(|(part, _)| holds(part)) {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

fn remove(of: &Value, args: &[Value], name: &str, at_start: bool) -> Result<Value, Error> {
    let [part] = bind(name, [""], 1, args)?;
    let part = part.unwrap_or_default();
    let (text, part) = (own(of), string(name, &part)?);
    budget::take(text.len())?;
    let rest = if at_start { text.strip_prefix(part) } else { text.strip_suffix(part) };
    Ok(marked(rest.unwrap_or(text).to_owned(), of.is_safe()))
}

fn partition(of: &Value, args: &[Value], name: &str, from_end: bool) -> Result<Value, Error> {
    let [between] = bind(name, [""], 1, args)?;
    let between = between.unwrap_or_default();
    let (text, between) = (own(of), string(name, &between)?);
    if between.is_empty() {
        return Err(fault(format!("{name} cannot split at nothing")));
    }
    budget::take(text.len())?;
    let found = if from_end { text.rsplit_once(between) } else { text.split_once(between) };
    let parts = match found {
        Some((head, tail)) => [head, between, tail],
        None if from_end => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Tuple::from(parts.map(|part| marked(part.to_owned(), of.is_safe()))).into())
}

fn split(of: &Value, args: &[Value], name: &str, from_end: bool) -> Result<Value, Error> {
    let [between, most] = bind(name, ["sep", "maxsplit"], 0, args)?;
    let most = most.map_or(Ok(-1), |most| index(name, &most))?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let text = own(of);
    budget::take(text.len())?;
    let between = between.filter(|between| !between.is_none());
    let mut parts: Vec<&str> = match &between {
        None => words(text, most, from_end)?,
        Some(between) => {
            let between = string(name, between)?;
            if between.is_empty() {
                return Err(fault(format!("{name} cannot split at nothing")));
            }
            let most = most.saturating_add(1);
            if from_end {
                budget::gather(text.rsplitn(most, between), PART_BYTES)?
            } else {
                budget::gather(text.splitn(most, between), PART_BYTES)?
            }
        }
    };
    if from_end {
        parts.reverse();
    }
    let parts = parts.into_iter().map(|part| marked(part.to_owned(), of.is_safe()));
    Ok(Value::from(parts.collect::<Vec<_>>()))
}

/// Memory that one part takes: its place among the parts, and the value it will be.
const PART_BYTES: usize = size_of::<&str>() + size_of::<Value>();

/// Words between white space, from either end; the last takes what is left, white space at the far end included.
fn words(text: &str, most: usize, from_end: bool) -> Result<Vec<&str>, Error> {
    let mut words = Vec::new();
    let trim = |rest: &'_ str| -> usize {
        if from_end {
            rest.trim_end_matches(chars::is_space).len()
        } else {
            rest.len() - rest.trim_start_matches(chars::is_space).len()
        }
    };
    let mut rest = text;
    loop {
        rest = if from_end { &rest[..trim(rest)] } else { &rest[trim(rest)..] };
        if rest.is_empty() {
            return Ok(words);
        }
        budget::take(PART_BYTES)?;
        if words.len() == most {
            words.push(rest);
            return Ok(words);
        }
        if from_end {
            let gap = rest.char_indices().rfind(|(_, c)| chars::is_space(*c));
            let start = gap.map_or(0, |(place, c)| place + c.len_utf8());
            words.push(&rest[start..]);
            rest = &rest[..start];
        } else {
            let end = rest.find(chars::is_space).unwrap_or(rest.len());
            words.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
}

fn split_lines(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [keep] = bind("splitlines", ["keepends"], 0, args)?;
    let keep = keep.map_or(Ok(false), |keep| flag("splitlines", &keep))?;
    budget::take(own(of).len())?;
    let lines = budget::gather(chars::lines(own(of), keep), PART_BYTES)?;
    let lines = lines.into_iter().map(|line| marked(line.to_owned(), of.is_safe()));
    Ok(Value::from(lines.collect::<Vec<_>>()))
}

fn join(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [items] = bind("join", [""], 1, args)?;
    let items = collect(&items.unwrap_or_default())?;
    let mut out = String::new();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            budget::take(own(of).len())?;
            out.push_str(own(of));
        }
        if of.is_safe() {
            out.push_str(&escaped(item)?);
            continue;
        }
        let part = string("join", item)?;
        budget::take(part.len())?;
        out.push_str(part);
    }
    Ok(marked(out, of.is_safe()))
}

/// A text with the first `count` of its `old` parts replaced; an empty part stands between all characters.
pub(in super::super) fn replaced(
    text: &str,
    old: &str,
    new: &str,
    count: usize,
) -> Result<String, Error> {
    let places = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    let count = places.min(count);
    budget::take(text.len().saturating_add(count.saturating_mul(new.len())))?;
    // Of the length it will have: a text that grows as it is written takes up to three times its room.
    let mut out = String::with_capacity(text.len() - count * old.len() + count * new.len());
    let mut rest = 0;
    for (place, _) in text.match_indices(old).take(count) {
        out.push_str(&text[rest..place]);
        out.push_str(new);
        rest = place + old.len();
    }
    out.push_str(&text[rest..]);
    Ok(out)
}

fn replace(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [old, new, count] = bind("replace", ["", "", ""], 2, args)?;
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let count = count.map_or(Ok(-1), |count| index("replace", &count))?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let old = string("replace", &old)?;
    let mut with = String::new();
    if of.is_safe() {
        with = escaped(&new)?;
    } else {
        with.push_str(string("replace", &new)?);
    }
    replaced(own(of), old, &with, count).map(|text| marked(text, of.is_safe()))
}

fn encode(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [encoding, errors] = bind("encode", ["encoding", "errors"], 0, args)?;
    let encoding = encoding.as_ref().map_or(Ok("utf-8"), |name| string("encode", name))?;
    let errors = errors.as_ref().map_or(Ok("strict"), |name| string("encode", name))?;
    let text = own(of);
    budget::take(text.len().saturating_mul(2))?;
    let wide = |order: fn(u16) -> [u8; 2]| {
        Ok(Value::from_bytes(text.encode_utf16().flat_map(order).collect()))
    };
    let last = match &*encoding.to_ascii_lowercase().replace('_', "-") {
        "utf-8" | "utf8" => return Ok(Value::from_bytes(text.as_bytes().to_vec())),
        // What has no order of its own begins with a mark that says which.
        "utf-16" | "utf16" => {
            let marked = std::iter::once(0xFEFF).chain(text.encode_utf16());
            return Ok(Value::from_bytes(marked.flat_map(u16::to_le_bytes).collect()));
        }
        "utf-16-le" => return wide(u16::to_le_bytes),
        "utf-16-be" => return wide(u16::to_be_bytes),
        "ascii" | "us-ascii" => '\u{7F}',
        "latin-1" | "latin1" | "iso-8859-1" => '\u{FF}',
        other => return Err(fault(format!("a string cannot be encoded as {other}"))),
    };
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match errors {
            _ if c <= last => bytes.push(c as u8),
            "ignore" => {}
            "replace" => bytes.push(b'?'),
            "xmlcharrefreplace" => bytes.extend(format!("&#{};", c as u32).bytes()),
            _ => return Err(fault(format!("'{c}' cannot be encoded as {encoding}"))),
        }
    }
    Ok(Value::from_bytes(bytes))
}

/// Methods that only safe strings have.
fn of_markup(
    of: &Value,
    args: &[Value],
    name: &str,
    change: fn(&str) -> Result<String, Error>,
) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    if !of.is_safe() {
        return Err(fault(format!("string has no method '{name}'")));
    }
    budget::take(own(of).len())?;
    change(own(of)).map(Value::from)
}

fn make_translation(_of: &Value, args: &[Value]) -> Result<Value, Error> {
    let [from, to, gone] = bind("maketrans", ["", "", ""], 1, args)?;
    let from = from.unwrap_or_default();
    let code = |c: char| from_int(i128::from(c as u32));
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    let Some(to) = to else {
        let Kind::Dict(dict) = kind(&from) else {
            return Err(fault(format!("maketrans needs a dict, not {}", type_name(&from))));
        };
        for (key, value) in super::super::repr::pairs(dict) {
            let key = match kind(&key) {
                Kind::Str(text) => match (text.chars().next(), text.chars().nth(1)) {
                    (Some(c), None) => code(c),
                    _ => return Err(fault("maketrans translates single characters")),
                },
                _ => key,
            };
            pairs.push((key, value));
        }
        return Ok(Value::from_pairs(pairs));
    };
    let (from, to) = (string("maketrans", &from)?, string("maketrans", &to)?);
    if from.chars().count() != to.chars().count() {
        return Err(fault("maketrans needs two strings of one length"));
    }
    pairs.extend(from.chars().zip(to.chars()).map(|(from, to)| (code(from), code(to))));
    if let Some(gone) = &gone {
        let gone = string("maketrans", gone)?.chars();
        pairs.extend(gone.map(|c| (code(c), Value::from(()))));
    }
    Ok(Value::from_pairs(pairs))
}

/// What a table has for a character; a row is one by the places of its items.
fn entry(table: &Value, c: char) -> Result<Value, Error> {
    let code = from_int(i128::from(c as u32));
    match kind(table) {
        Kind::Dict(dict) => Ok(key_value(dict, &code).unwrap_or_default()),
        Kind::Str(_) | Kind::List(_) | Kind::Tuple(_) | Kind::Range(_) | Kind::Bytes(_) => {
            item(table, &code)
        }
        _ => Err(fault(format!("translate needs a dict, not {}", type_name(table)))),
    }
}

fn translate(of: &Value, args: &[Value]) -> Result<Value, Error> {
    let (placed, _) = split_args(args);
    let [table] = bind("translate", [""], 1, placed)?;
    let table = table.unwrap_or_default();
    let mut out = String::with_capacity(own(of).len());
    for c in own(of).chars() {
        budget::look(1)?;
        let to = entry(&table, c)?;
        match kind(&to) {
            Kind::None => {}
            Kind::Str(text) => {
                budget::take(text.len())?;
                out.push_str(text);
            }
            Kind::Int(code) => {
                let c = u32::try_from(code).ok().and_then(char::from_u32);
                out.push(c.ok_or_else(|| fault(format!("{code} is no character")))?);
            }
            _ if is_undefined(&to) => out.push(c),
            _ => return Err(fault("translate gives strings, characters' numbers or none")),
        }
    }
    Ok(marked(out, of.is_safe()))
}
