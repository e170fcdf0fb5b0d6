//! Characters and letter cases as Python's `str` knows them. In: characters and texts. Out: yes or no, and texts in
//! another case. Never the compiler's Unicode where Python 3.11 says otherwise.

mod digits;
mod tables;

use digits::{DECIMAL, DIGIT, FOLDED, NUMERIC, TITLE};
use tables::{ALPHABETIC, HIDDEN};

fn is_in(ranges: &[(u32, u32)], c: char) -> bool {
    let code = c as u32;
    let after = ranges.partition_point(|&(first, _)| first <= code);
    ranges[..after].last().is_some_and(|&(_, last)| code <= last)
}

/// `len` of a string: its characters.
pub(super) fn length(text: &str) -> i64 {
    text.chars().count().cast_signed() as i64
}

/// Whether `repr` shows the character itself.
pub(super) fn is_printable(c: char) -> bool {
    match c {
        '\0'..'\u{7F}' => c >= ' ',
        _ => !is_in(HIDDEN, c),
    }
}

/// White space: `str.isspace`, and `\s`.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c)
}

pub(super) fn is_alphabetic(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() } else { is_in(ALPHABETIC, c) }
}

pub(super) fn is_decimal(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_digit() } else { is_in(DECIMAL, c) }
}

pub(super) fn is_digit(c: char) -> bool {
    is_decimal(c) || is_in(DIGIT, c)
}

pub(super) fn is_numeric(c: char) -> bool {
    is_digit(c) || is_in(NUMERIC, c)
}

/// `str.isalnum`.
pub(super) fn is_alphanumeric(c: char) -> bool {
    is_alphabetic(c) || is_numeric(c)
}

/// `\w`.
pub(super) fn is_word(c: char) -> bool {
    c == '_' || is_alphanumeric(c)
}

/// The value of a decimal digit of any script.
pub(super) fn decimal_value(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    let code = c as u32;
    let after = DECIMAL.partition_point(|&(first, _)| first <= code);
    let &(first, last) = DECIMAL[..after].last()?;
    (code <= last).then_some((code - first) % 10)
}

/// Whether a letter has a case: what `title` and its kin look at.
pub(super) fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || is_titlecase(c)
}

/// The few letters that are neither upper nor lower case.
pub(super) fn is_titlecase(c: char) -> bool {
    matches!(c, '\u{1C5}' | '\u{1C8}' | '\u{1CB}' | '\u{1F2}' | '\u{1F88}'..='\u{1F8F}')
        || matches!(c, '\u{1F98}'..='\u{1F9F}' | '\u{1FA8}'..='\u{1FAF}')
        || matches!(c, '\u{1FBC}' | '\u{1FCC}' | '\u{1FFC}')
}

/// Appends a character in title case.
pub(super) fn push_title(out: &mut String, c: char) {
    match c {
        '\u{10D0}'..='\u{10FF}' => out.push(c),
        _ => match TITLE.iter().find(|row| row.0 == c) {
            Some((_, title)) => out.push_str(title),
            None => out.extend(c.to_uppercase()),
        },
    }
}

/// `str.casefold`.
pub(super) fn casefold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{13A0}'..='\u{13F5}' => out.push(c),
            '\u{13F8}'..='\u{13FD}' | '\u{AB70}'..='\u{ABBF}' => out.extend(c.to_uppercase()),
            _ => match FOLDED.binary_search_by_key(&c, |row| row.0) {
                Ok(place) => out.push_str(FOLDED[place].1),
                Err(_) => out.extend(c.to_lowercase()),
            },
        }
    }
    out
}

/// `str.capitalize`: the first character in title case, the rest in lower case.
pub(super) fn capitalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    if let Some(first) = chars.next() {
        push_title(&mut out, first);
        push_lower_after(&mut out, text, first.len_utf8());
    }
    out
}

/// Appends the lower case of what follows `start`: a final sigma depends on what stands before it.
fn push_lower_after(out: &mut String, text: &str, start: usize) {
    if text[start..].contains('Σ') {
        let head: String = text[..start].to_lowercase();
        out.push_str(&text.to_lowercase()[head.len()..]);
    } else {
        out.push_str(&text[start..].to_lowercase());
    }
}

/// `str.title`: each letter behind a letter in lower case, each other in title case.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for (place, c) in text.char_indices() {
        if inside && c == 'Σ' {
            out.push(if is_final_sigma(text, place) { 'ς' } else { 'σ' });
        } else if inside {
            out.extend(c.to_lowercase());
        } else {
            push_title(&mut out, c);
        }
        inside = is_cased(c);
    }
    out
}

fn is_final_sigma(text: &str, place: usize) -> bool {
    let before = text[..place].chars().next_back().is_some_and(is_cased);
    let after = text[place + 'Σ'.len_utf8()..].chars().next().is_some_and(is_cased);
    before && !after
}

/// `str.swapcase`.
pub(super) fn swapcase(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (place, c) in text.char_indices() {
        match c {
            'Σ' => out.push(if is_final_sigma(text, place) { 'ς' } else { 'σ' }),
            _ if c.is_uppercase() => out.extend(c.to_lowercase()),
            _ if c.is_lowercase() => out.extend(c.to_uppercase()),
            _ => out.push(c),
        }
    }
    out
}

/// Whether a character ends a line for `str.splitlines`.
fn is_line_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// `str.splitlines`: the lines, with their ends when `keep_ends`.
pub(super) fn lines(text: &str, keep_ends: bool) -> impl Iterator<Item = &str> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let line = &text[start..];
        if line.is_empty() {
            return None;
        }
        let Some(length) = line.find(is_line_break) else {
            start = text.len();
            return Some(line);
        };
        let rest = &line[length..];
        let width = match rest.chars().next() {
            Some('\r') if rest.starts_with("\r\n") => 2,
            first => first.map_or(1, char::len_utf8),
        };
        start += length + width;
        Some(&line[..if keep_ends { length + width } else { length }])
    })
}
