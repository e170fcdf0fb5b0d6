//! Filters over text. In: any value, taken as its text, though some want a string. Out: text, safe when the first was
//! and Python keeps it so. Never longer than the budget.

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::chars;
use super::super::compare::{How, holds};
use super::super::engine::Scope;
use super::super::methods::{parts, text as methods};
use super::super::number::Reckon;
use super::super::ops::{arithmetic, escape};
use super::super::repr::text;
use super::super::value::{Kind, fault, index, kind, marked, type_name};
use super::Table;

pub(super) const TABLE: Table = &[
    ("capitalize", |_, value, args| change("capitalize", value, args, chars::capitalize)),
    ("center", center),
    ("indent", indent),
    ("lower", |_, value, args| change("lower", value, args, str::to_lowercase)),
    ("replace", replace),
    ("string", string),
    ("title", |_, value, args| change("title", value, args, title)),
    ("trim", trim),
    ("truncate", truncate),
    ("upper", |_, value, args| change("upper", value, args, str::to_uppercase)),
    ("wordcount", word_count),
];

/// A value as text; a string stays what it is.
pub(in super::super) fn soft(value: &Value) -> Result<Value, Error> {
    match kind(value) {
        Kind::Str(_) => Ok(value.clone()),
        _ => text(value).map(Value::from),
    }
}

/// A value that must be a string.
pub(in super::super) fn demanded<'v>(what: &str, value: &'v Value) -> Result<&'v str, Error> {
    match kind(value) {
        Kind::Str(text) => Ok(text),
        _ => Err(fault(format!("{what} needs a string, not {}", type_name(value)))),
    }
}

/// A filter without arguments that gives a string.
fn change(
    name: &str,
    value: &Value,
    args: &[Value],
    how: impl FnOnce(&str) -> String,
) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    let whole = soft(value)?;
    let whole = whole.as_str().unwrap_or_default();
    // Some characters grow to three times their bytes in another case.
    budget::take(whole.len() * 3)?;
    Ok(marked(how(whole), value.is_safe()))
}

fn string(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("string", [], 0, args)?;
    soft(value)
}

/// Each word in title case: a word begins behind white space, a hyphen or an opening bracket.
fn title(text: &str) -> String {
    let splits = |c: char| chars::is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(splits).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        let first = word.chars().next();
        out.extend(first.into_iter().flat_map(char::to_uppercase));
        out.push_str(&word[first.map_or(0, char::len_utf8)..].to_lowercase());
        let gap = after.find(|c| !splits(c)).unwrap_or(after.len());
        out.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    out
}

fn center(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [width] = bind("center", ["width"], 0, args)?;
    let width = width.map_or(Ok(80), |width| index("center", &width))?;
    let whole = soft(value)?;
    methods::pad(&whole, width, ' ', methods::Side::Both)
}

fn indent(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [width, first, blank] = bind("indent", ["width", "first", "blank"], 0, args)?;
    let width = width.unwrap_or_else(|| Value::from(4));
    let indention = if let Kind::Str(text) = kind(&width) {
        text.to_owned()
    } else {
        let count = usize::try_from(index("indent", &width)?.max(0)).unwrap_or(usize::MAX);
        budget::take(count)?;
        " ".repeat(count)
    };
    let mut whole = demanded("indent", value)?.to_owned();
    whole.push('\n');
    let lines = budget::gather(chars::lines(&whole, false), size_of::<&str>())?;
    let grown = lines.len().saturating_mul(indention.len() + 1);
    budget::take(whole.len().saturating_add(grown))?;
    let mut out = String::with_capacity(whole.len() + lines.len() * indention.len());
    if first.is_some_and(|first| first.is_true()) {
        out.push_str(&indention);
    }
    let blank = blank.is_some_and(|blank| blank.is_true());
    for (place, line) in lines.iter().enumerate() {
        if place > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&indention);
            }
        }
        out.push_str(line);
    }
    Ok(marked(out, value.is_safe()))
}

fn replace(scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [old, new, count] = bind("replace", ["old", "new", "count"], 2, args)?;
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let count = match count.filter(|count| !count.is_none()) {
        Some(count) => usize::try_from(index("replace", &count)?).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    if !scope.escaping {
        let (whole, old, new) = (text(value)?, text(&old)?, text(&new)?);
        return parts::replaced(&whole, &old, &new, count).map(Value::from);
    }
    let whole = soft(value)?;
    let has_html = |value: &Value| value.is_safe() || value.is_undefined();
    let escapes = has_html(&old) || (has_html(&new) && !has_html(value));
    let (old, new) = (soft(&old)?, soft(&new)?);
    let is_safe = escapes || whole.is_safe();
    let mut subject = String::new();
    if escapes && !whole.is_safe() {
        escape(&mut subject, whole.as_str().unwrap_or_default())?;
    } else {
        subject.push_str(whole.as_str().unwrap_or_default());
    }
    let mut with = String::new();
    if is_safe && !new.is_safe() {
        escape(&mut with, new.as_str().unwrap_or_default())?;
    } else {
        with.push_str(new.as_str().unwrap_or_default());
    }
    let made = parts::replaced(&subject, old.as_str().unwrap_or_default(), &with, count)?;
    Ok(marked(made, is_safe))
}

fn trim(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [set] = bind("trim", ["chars"], 0, args)?;
    let whole = soft(value)?;
    let set = set.filter(|set| !set.is_none());
    let set = set.as_ref().map(|set| demanded("trim", set)).transpose()?;
    let trimmed = methods::strip(whole.as_str().unwrap_or_default(), set, true, true);
    budget::take(trimmed.len())?;
    Ok(marked(trimmed.to_owned(), whole.is_safe()))
}

fn truncate(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["length", "killwords", "end", "leeway"];
    let [length, kill, end, leeway] = bind("truncate", names, 0, args)?;
    let length = length.unwrap_or_else(|| Value::from(255));
    let end = end.unwrap_or_else(|| Value::from("..."));
    let leeway = leeway.filter(|leeway| !leeway.is_none());
    let leeway = leeway.unwrap_or_else(|| Value::from(5));
    let Some(end_length) = super::super::lookup::length(&end) else {
        return Err(fault(format!("truncate needs a string as its end, not {}", type_name(&end))));
    };
    if holds(How::Less, &length, &Value::from(end_length))? {
        let length = text(&length)?;
        let what = format!("truncate needs a length of at least {end_length}, not {length}");
        return Err(fault(what));
    }
    if holds(How::Less, &leeway, &Value::from(0))? {
        return Err(fault("truncate needs a leeway that is not negative"));
    }
    // Python only measures what is short enough, string or not, and whatever kind of number the length is.
    if let Some(own) = super::super::lookup::length(value) {
        let most = arithmetic(Reckon::Add, &length, &leeway)?;
        if holds(How::AtMost, &Value::from(own), &most)? {
            return Ok(value.clone());
        }
    }
    let (whole, end) = (demanded("truncate", value)?, demanded("truncate", &end)?);
    let length = index("truncate", &length)?;
    let kept = usize::try_from(length).unwrap_or(0).saturating_sub(end_length);
    let cut = whole.char_indices().nth(kept).map_or(whole.len(), |(place, _)| place);
    let mut head = &whole[..cut];
    if !kill.is_some_and(|kill| kill.is_true()) {
        head = head.rsplit_once(' ').map_or(head, |(head, _)| head);
    }
    budget::take(head.len() + end.len())?;
    let mut out = head.to_owned();
    if value.is_safe() {
        escape(&mut out, end)?;
    } else {
        out.push_str(end);
    }
    Ok(marked(out, value.is_safe()))
}

fn word_count(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("wordcount", [], 0, args)?;
    let whole = soft(value)?;
    let words = whole.as_str().unwrap_or_default().split(|c| !chars::is_word(c));
    Ok(Value::from(words.filter(|word| !word.is_empty()).count()))
}
