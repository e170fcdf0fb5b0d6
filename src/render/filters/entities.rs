//! HTML's character references to characters, by the rules of HTML 5. In: text. Out: text. The names are in
//! `entities.txt`: each with its code points, sorted.

use std::sync::OnceLock;

use minijinja::Error;

use super::super::budget;

/// What looking for one name costs, in bytes touched.
const REFERENCE_UNITS: u64 = 32;

static NAMES: OnceLock<Vec<(&str, String)>> = OnceLock::new();

/// Longest name that is looked for behind `&`.
const NAME_MAX_CHARS: usize = 32;

/// What Windows put where HTML has control characters.
const LEGACY: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

fn names() -> &'static [(&'static str, String)] {
    NAMES.get_or_init(|| {
        let lines = include_str!("entities.txt").lines();
        let row = |line: &'static str| {
            let (name, codes) = line.split_once(' ')?;
            let codes = codes.split(' ').filter_map(|code| u32::from_str_radix(code, 16).ok());
            Some((name, codes.filter_map(char::from_u32).collect()))
        };
        lines.filter_map(row).collect()
    })
}

fn find(name: &str) -> Option<&'static str> {
    let names = names();
    let place = names.binary_search_by(|row| row.0.cmp(name)).ok()?;
    Some(&names[place].1)
}

/// All references of a text replaced.
pub(in super::super) fn unescape(text: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('&') {
        out.push_str(&rest[..place]);
        let behind = &rest[place + 1..];
        budget::spend(REFERENCE_UNITS)?;
        let taken = match behind.strip_prefix('#') {
            Some(number) => numeric(&mut out, number).map(|taken| taken + 1),
            None => named(&mut out, behind)?,
        };
        if taken.is_none() {
            out.push('&');
        }
        rest = &behind[taken.unwrap_or(0)..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Appends what a number means; the length of the number with its semicolon.
fn numeric(out: &mut String, text: &str) -> Option<usize> {
    let hex = text.strip_prefix(['x', 'X']);
    let (digits, radix, lead) = hex.map_or((text, 10, 0), |digits| (digits, 16, 1));
    let length = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    if length == 0 {
        return None;
    }
    let code = u32::from_str_radix(&digits[..length], radix).unwrap_or(u32::MAX);
    match code {
        0 => out.push('\u{FFFD}'),
        0x80..=0x9F => out.push(LEGACY[code as usize - 0x80]),
        0x1..=0x8 | 0xB | 0xE..=0x1F | 0x7F | 0xFDD0..=0xFDEF => {}
        _ if code & 0xFFFE == 0xFFFE && code <= 0x0010_FFFF => {}
        _ => out.push(char::from_u32(code).unwrap_or('\u{FFFD}')),
    }
    Some(lead + length + usize::from(digits[length..].starts_with(';')))
}

/// Appends what a name means, or the longest name it begins with; the length of what was looked at.
fn named(out: &mut String, text: &str) -> Result<Option<usize>, Error> {
    let ends = |c: char| matches!(c, '\t' | '\n' | '\u{C}' | ' ' | '<' | '&' | '#' | ';');
    let mut length = 0;
    for c in text.chars().take(NAME_MAX_CHARS) {
        if ends(c) {
            break;
        }
        length += c.len_utf8();
    }
    if length == 0 {
        return Ok(None);
    }
    let whole = length + usize::from(text[length..].starts_with(';'));
    let name = &text[..whole];
    if let Some(found) = find(name) {
        out.push_str(found);
        return Ok(Some(whole));
    }
    let shorter = name.char_indices().rev().map(|(place, _)| place).filter(|place| *place > 1);
    for place in shorter {
        budget::spend(REFERENCE_UNITS)?;
        if let Some(found) = find(&name[..place]) {
            out.push_str(found);
            out.push_str(&name[place..]);
            return Ok(Some(whole));
        }
    }
    out.push('&');
    out.push_str(name);
    Ok(Some(whole))
}
