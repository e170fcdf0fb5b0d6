//! `wordwrap`: text in lines no wider than asked for, as Python's `textwrap.wrap` breaks them. In: text and a width.
//! Out: the lines, joined. Never a line that is read twice.

use minijinja::{Error, Value};

use super::args::bind;
use super::budget;
use super::chars::{self, is_decimal, is_space, is_word};

use super::filters::{Table, demanded, escaped};
use super::number::{Number, number};
use super::value::{Kind, fault, kind, marked, type_name};

pub(super) const TABLE: Table = &[("wordwrap", |_, value, args| word_wrap(value, args))];

/// How lines are broken.
struct Wrap {
    width: f64,
    /// The width is a float: Python takes it until it has to cut a word there.
    is_float: bool,
    breaks_words: bool,
    /// Words are broken behind hyphens: where they wrap, and where they are cut.
    at_hyphens: (bool, bool),
}

fn word_wrap(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let [width, breaks_words, between, at_hyphens] = bind("wordwrap", names, 0, args)?;
    let text = demanded("wordwrap", value)?;
    let between = between.filter(|between| !between.is_none()).unwrap_or_else(|| "\n".into());
    demanded("wordwrap", &between)?;
    let is_safe = between.is_safe();
    let at_hyphens = at_hyphens.unwrap_or_else(|| Value::from(true));
    let hyphens = (matches!(kind(&at_hyphens), Kind::Bool(true)), at_hyphens.is_true());
    let breaks_words = breaks_words.is_none_or(|breaks| breaks.is_true());
    let width = width.unwrap_or_else(|| Value::from(79));
    let mut out = String::new();
    for (place, paragraph) in chars::lines(text, false).enumerate() {
        let wrap = Wrap::of(&width, breaks_words, hyphens)?;
        budget::take(paragraph.len() * size_of::<char>())?;
        let all: Vec<char> = paragraph.chars().collect();
        let lines = wrap.lines(&all, |number, line| {
            if place > 0 || number > 0 {
                push(&mut out, &between)?;
            }
            let line: String = line.iter().copied().flatten().collect();
            push(&mut out, &Value::from(if is_safe { escaped(&line.into())? } else { line }))
        })?;
        if lines == 0 && place > 0 {
            push(&mut out, &between)?;
        }
    }
    Ok(marked(out, is_safe))
}

fn push(out: &mut String, text: &Value) -> Result<(), Error> {
    let text = text.as_str().unwrap_or_default();
    budget::take(text.len())?;
    out.push_str(text);
    Ok(())
}

/// The white space that lines are broken at.
fn is_gap(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{B}' | '\u{C}' | '\r' | ' ')
}

fn is_letter(c: char) -> bool {
    is_word(c) && !is_decimal(c)
}

/// What stands before a dash of two hyphens or more.
fn is_before_dash(c: char) -> bool {
    is_word(c) || matches!(c, '!' | '"' | '\'' | '&' | '.' | ',' | '?')
}

/// Length of the dash at `place` that has a word behind it.
fn dash(text: &[char], place: usize) -> Option<usize> {
    let length = text[place..].iter().take_while(|c| **c == '-').count();
    let joins = text.get(place + length).is_some_and(|c| is_word(*c));
    (length >= 2 && joins).then_some(length)
}

/// Whether a word may be broken behind the hyphen at `place`: letters stand on both of its sides, two of them or with a
/// hyphen between.
fn is_hyphenated(text: &[char], place: usize) -> bool {
    let letter = |place: Option<usize>| {
        place.and_then(|place| text.get(place)).is_some_and(|c| is_letter(*c))
    };
    let back = |by: usize| place.checked_sub(by);
    let before = letter(back(1))
        && (letter(back(2)) || back(2).is_some_and(|place| text[place] == '-') && letter(back(3)));
    let second = if text.get(place + 2) == Some(&'-') { place + 3 } else { place + 2 };
    text[place] == '-' && before && letter(Some(place + 1)) && letter(Some(second))
}

/// Length of the chunk at `place`: white space, a dash, or a word or part of one.
fn chunk(text: &[char], place: usize, at_hyphens: bool) -> usize {
    let gap = text[place..].iter().take_while(|c| is_gap(**c)).count();
    if gap > 0 {
        return gap;
    }
    let follows = |place: usize| place > 0 && is_before_dash(text[place - 1]);
    if at_hyphens
        && follows(place)
        && let Some(length) = dash(text, place)
    {
        return length;
    }
    let mut end = place + 1;
    while end < text.len() && !is_gap(text[end]) {
        if at_hyphens && text[end] == '-' {
            if is_hyphenated(text, end) {
                return end + 1 - place;
            }
            if follows(end) && dash(text, end).is_some() {
                break;
            }
        }
        end += 1;
    }
    end - place
}

impl Wrap {
    fn of(width: &Value, breaks_words: bool, at_hyphens: (bool, bool)) -> Result<Self, Error> {
        let Some(given) = number(width) else {
            return Err(fault(format!("a width is a number, not {}", type_name(width))));
        };
        let width = given.float()?;
        if width.is_nan() || width <= 0.0 {
            return Err(fault(format!("wordwrap needs a width of 1 or more, not {width}")));
        }
        let is_float = matches!(given, Number::Float(_));
        Ok(Self { width, is_float, breaks_words, at_hyphens })
    }

    fn fits(&self, length: usize) -> bool {
        length as f64 <= self.width
    }

    /// Gives the lines of a paragraph one by one, each with its number and as the chunks on it; how many there were.
    fn lines(
        &self,
        text: &[char],
        mut give: impl FnMut(usize, &[&[char]]) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let is_blank = |chunk: &[char]| chunk.iter().all(|c| is_space(*c));
        let mut lines = 0;
        let mut line: Vec<&[char]> = Vec::new();
        let mut place = 0;
        // The chunk at `place`: read anew only when the last one is used up.
        let mut next = self.chunk(text, place);
        while place < text.len() {
            budget::look(1)?;
            line.clear();
            let mut length = 0;
            if is_blank(&text[place..place + next]) && lines > 0 {
                place += next;
                next = self.chunk(text, place);
            }
            while place < text.len() && self.fits(length + next) {
                budget::take(size_of::<&[char]>())?;
                line.push(&text[place..place + next]);
                length += next;
                place += next;
                next = self.chunk(text, place);
            }
            if place < text.len() && !self.fits(next) {
                let taken = self.cut(&text[place..place + next], length, line.is_empty())?;
                if let Some(taken) = taken {
                    line.push(&text[place..place + taken]);
                    place += taken;
                    next -= taken;
                    if next == 0 {
                        next = self.chunk(text, place);
                    }
                }
            }
            if line.last().is_some_and(|last| is_blank(last)) {
                line.pop();
            }
            if !line.is_empty() {
                give(lines, &line)?;
                lines += 1;
            }
        }
        Ok(lines)
    }

    fn chunk(&self, text: &[char], place: usize) -> usize {
        if place < text.len() { chunk(text, place, self.at_hyphens.0) } else { 0 }
    }

    /// How much of a word that is too long for any line goes on this one; `None` for none, not even an empty part.
    fn cut(&self, word: &[char], length: usize, is_first: bool) -> Result<Option<usize>, Error> {
        if !self.breaks_words {
            return Ok(is_first.then_some(word.len()));
        }
        let room = if self.width < 1.0 {
            // Python makes room for one character where there is not even that.
            1
        } else if self.is_float {
            return Err(fault("a word is cut at a width that is an integer"));
        } else {
            self.width as usize - length
        };
        let hyphen = word[..room].iter().rposition(|c| *c == '-');
        Ok(Some(match hyphen {
            Some(place) if self.at_hyphens.1 && word[..place].iter().any(|c| *c != '-') => {
                place + 1
            }
            _ => room,
        }))
    }
}
