//! Where in the event's JSON a piece of a template stands. In: the template's own text, byte by byte, and the
//! expressions between. Out: the places an expression can stand at, and what is finished: strings, values, objects.
//! Never a guess: what does not fit one reading is given up.

use std::ops::Range;

use minijinja::machinery::ast::Expr;

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 64;
/// Most parts of one string that are kept.
const PIECES_MAX: usize = 64;
/// The keys that rules ask for, each one bit of a frame.
const ASKED: [&str; 4] = ["event", "resource", "prefect.resource.id", "prefect.resource.role"];

/// What may come next; several at once where the ways to a place differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next(u8);

impl Next {
    /// A value, and nothing else.
    pub(super) const VALUE: Self = Self(1);
    /// A value, or the end of an array.
    const FIRST_ITEM: Self = Self(2);
    /// A key, or the end of an object.
    const FIRST_KEY: Self = Self(4);
    /// A key, and nothing else.
    const KEY: Self = Self(8);
    const COLON: Self = Self(16);
    /// A comma, or the end of what is open.
    pub(super) const AFTER: Self = Self(32);

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn may_be(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// A value can stand here.
    pub(super) fn takes_value(self) -> bool {
        self.may_be(Self(Self::VALUE.0 | Self::FIRST_ITEM.0))
    }

    fn takes_key(self) -> bool {
        self.may_be(Self(Self::FIRST_KEY.0 | Self::KEY.0))
    }
}

/// An open object or array.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) is_object: bool,
    /// Offset of its bracket.
    pub(super) start: usize,
    /// The key at hand; `None` when an expression makes it.
    pub(super) key: Option<String>,
    /// Which of the keys that rules ask for are there, on any way.
    asked: u8,
    /// All keys are known.
    pub(super) complete: bool,
}

impl Frame {
    /// Whether a key that rules ask for may be there.
    pub(super) fn may_have(&self, key: &str) -> bool {
        ASKED.iter().position(|asked| *asked == key).is_some_and(|bit| self.asked & (1 << bit) != 0)
    }
}

/// A part of a string.
#[derive(Clone, Copy)]
pub(super) enum Piece<'s, 'a> {
    Literal(&'a str),
    /// An expression, with where it starts and ends inside its tag.
    Shown(&'s Expr<'a>, usize, usize),
}

impl Piece<'_, '_> {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(own), Self::Literal(other)) => std::ptr::eq(*own, *other),
            (Self::Shown(_, own, _), Self::Shown(_, other, _)) => own == other,
            _ => false,
        }
    }
}

/// An open string.
#[derive(Clone)]
pub(super) struct Text<'s, 'a> {
    /// Offset of its first quote.
    pub(super) start: usize,
    is_key: bool,
    escaped: bool,
    pub(super) pieces: Vec<Piece<'s, 'a>>,
    /// Its parts depend on the way.
    pub(super) is_mixed: bool,
}

/// A place in the JSON.
#[derive(Clone)]
pub(super) struct Skeleton<'s, 'a> {
    pub(super) stack: Vec<Frame>,
    pub(super) next: Next,
    pub(super) text: Option<Text<'s, 'a>>,
    /// Every expression so far writes what is known, so what cannot be read here can never be read.
    pub(super) certain: bool,
    /// The comma at which a loop's body ends, as long as nothing came behind it.
    pub(super) loop_comma: Option<usize>,
    /// The last character that counts was this comma.
    pub(super) last_comma: Option<usize>,
}

/// What a step finished.
pub(super) enum Done<'s, 'a> {
    /// A string that is a key or, `is_value`, a value; its range with the quotes.
    Text { text: Text<'s, 'a>, is_value: bool, range: Range<usize> },
    /// A number or word of the template's own.
    Literal(Range<usize>),
    /// A bracket closes this, right behind the last comma of a loop when there is one.
    Closed { frame: Frame, end: usize, loop_comma: Option<usize> },
}

/// Why the text cannot go on.
pub(super) enum Broken {
    /// It can never be JSON; the offset of what does not fit.
    Never(usize),
    /// There are too many readings.
    Unsure,
}

/// Where a value belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    Event,
    /// A label of the resource or of a related one.
    Label,
    Other,
}

impl<'s, 'a> Skeleton<'s, 'a> {
    pub(super) fn new() -> Self {
        Self {
            stack: Vec::new(),
            next: Next::VALUE,
            text: None,
            certain: true,
            loop_comma: None,
            last_comma: None,
        }
    }

    /// Where the value at hand belongs.
    pub(super) fn spot(&self) -> Spot {
        let key = |place: usize| self.stack.get(place).and_then(|frame| frame.key.as_deref());
        match (self.stack.len(), key(0)) {
            (1, Some("event")) => Spot::Event,
            (2, Some("resource")) if self.stack[1].is_object => Spot::Label,
            (3, Some("related")) if self.stack[2].is_object => Spot::Label,
            _ => Spot::Other,
        }
    }

    /// Whether this is directly inside the array `related`.
    pub(super) fn is_in_related(&self) -> bool {
        self.text.is_none()
            && self.stack.len() == 2
            && !self.stack[1].is_object
            && self.stack[0].key.as_deref() == Some("related")
    }

    /// Nothing is open any more.
    pub(super) fn is_whole(&self) -> bool {
        self.text.is_none() && self.stack.is_empty() && self.next == Next::AFTER
    }

    /// Reads text of the template that starts at an offset, up to the first thing it finishes. Returns how much was
    /// read.
    pub(super) fn read(
        &mut self,
        given: &'a str,
        start: usize,
    ) -> Result<(usize, Option<Done<'s, 'a>>), Broken> {
        let mut at = 0;
        while at < given.len() {
            if let Some(open) = &mut self.text {
                let Ok((length, ends)) = open.take(&given[at..]) else {
                    return Err(self.broken(self.text.as_ref().map_or(start, |text| text.start)));
                };
                at += length;
                if ends {
                    return Ok((at, self.close_text(start + at)));
                }
                continue;
            }
            let byte = given.as_bytes()[at];
            if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                at += 1;
                continue;
            }
            // An expression may write the other part of a number.
            let is_number_part = matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-');
            let broken = if is_number_part { Broken::Unsure } else { self.broken(start + at) };
            self.last_comma = None;
            let mut done = None;
            let fits = match byte {
                b'"' => self.open_text(start + at),
                b'{' | b'[' => self.open(byte == b'{', start + at),
                b'}' | b']' => {
                    done = self.close(byte == b'}', start + at);
                    done.is_some()
                }
                b',' => self.comma(start + at),
                b':' => self.colon(),
                b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                    let length = literal_length(&given[at..]);
                    let is_known = is_literal(&given[at..at + length]);
                    done = Some(Done::Literal(start + at..start + at + length));
                    at += length - 1;
                    is_known && self.value()
                }
                _ => false,
            };
            self.loop_comma = None;
            at += 1;
            if !fits {
                return Err(broken);
            }
            if done.is_some() {
                return Ok((at, done));
            }
        }
        Ok((at, None))
    }

    fn broken(&self, at: usize) -> Broken {
        if self.certain { Broken::Never(at) } else { Broken::Unsure }
    }

    /// Takes a value of an expression; `false` when none can stand here.
    pub(super) fn value(&mut self) -> bool {
        let fits = self.next.takes_value();
        self.next = Next::AFTER;
        self.last_comma = None;
        self.loop_comma = None;
        fits
    }

    /// An expression in the place of a key.
    pub(super) fn key(&mut self) -> bool {
        if !self.next.takes_key() || self.next.takes_value() {
            return false;
        }
        self.next = Next::COLON;
        if let Some(frame) = self.stack.last_mut() {
            frame.key = None;
            frame.complete = false;
        }
        true
    }

    fn open_text(&mut self, at: usize) -> bool {
        let (is_key, is_value) = (self.next.takes_key(), self.next.takes_value());
        if is_key == is_value {
            return false;
        }
        self.text =
            Some(Text { start: at, is_key, escaped: false, pieces: Vec::new(), is_mixed: false });
        true
    }

    fn close_text(&mut self, end: usize) -> Option<Done<'s, 'a>> {
        let text = self.text.take()?;
        let is_value = !text.is_key;
        let range = text.start..end;
        if is_value {
            self.next = Next::AFTER;
        } else {
            self.next = Next::COLON;
            let key = text.literal();
            if let Some(frame) = self.stack.last_mut() {
                frame.complete &= key.is_some();
                let bit = ASKED.iter().position(|asked| key.as_deref() == Some(*asked));
                frame.asked |= bit.map_or(0, |bit| 1 << bit);
                frame.key = key;
            }
        }
        Some(Done::Text { text, is_value, range })
    }

    fn open(&mut self, is_object: bool, start: usize) -> bool {
        if !self.next.takes_value() || self.stack.len() >= DEPTH_MAX {
            return false;
        }
        // One more could not be followed: what is refused then may well be JSON.
        self.certain &= self.stack.len() + 1 < DEPTH_MAX;
        self.next = if is_object { Next::FIRST_KEY } else { Next::FIRST_ITEM };
        self.stack.push(Frame { is_object, start, key: None, asked: 0, complete: true });
        true
    }

    fn close(&mut self, is_object: bool, at: usize) -> Option<Done<'s, 'a>> {
        let first = if is_object { Next::FIRST_KEY } else { Next::FIRST_ITEM };
        let fits = self.next.may_be(first.and(Next::AFTER));
        if !fits || self.stack.last()?.is_object != is_object {
            return None;
        }
        self.next = Next::AFTER;
        let (frame, loop_comma) = (self.stack.pop()?, self.loop_comma);
        Some(Done::Closed { frame, end: at + 1, loop_comma })
    }

    fn comma(&mut self, at: usize) -> bool {
        let Some(frame) = self.stack.last() else { return false };
        if !self.next.may_be(Next::AFTER) {
            return false;
        }
        self.next = if frame.is_object { Next::KEY } else { Next::VALUE };
        self.last_comma = Some(at);
        true
    }

    fn colon(&mut self) -> bool {
        let fits = self.next.may_be(Next::COLON);
        self.next = Next::VALUE;
        fits
    }

    /// Two ways meet. `None` when they do not stand at one place.
    pub(super) fn joined(mut self, other: Self) -> Option<Self> {
        if self.stack.len() != other.stack.len() {
            return None;
        }
        for (own, others) in self.stack.iter_mut().zip(other.stack) {
            if (own.start, own.is_object) != (others.start, others.is_object) {
                return None;
            }
            if own.key != others.key {
                own.key = None;
            }
            own.complete &= others.complete;
            own.asked |= others.asked;
        }
        match (&mut self.text, &other.text) {
            (None, None) => {}
            (Some(own), Some(others)) if own.start == others.start => {
                if own.escaped != others.escaped {
                    return None;
                }
                own.join(others);
            }
            _ => return None,
        }
        self.next = self.next.and(other.next);
        self.certain &= other.certain;
        self.loop_comma = self.loop_comma.or(other.loop_comma);
        self.last_comma = None;
        Some(self)
    }
}

impl<'s, 'a> Text<'s, 'a> {
    /// Takes text up to the end of the string or of what is given; control characters are not taken.
    fn take(&mut self, given: &'a str) -> Result<(usize, bool), ()> {
        let mut length = 0;
        for &byte in given.as_bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.push(&given[..length]);
                    return Ok((length + 1, true));
                }
                0..0x20 => return Err(()),
                _ => {}
            }
            length += 1;
        }
        self.push(given);
        Ok((length, false))
    }

    fn push(&mut self, literal: &'a str) {
        if !literal.is_empty() {
            self.add(Piece::Literal(literal));
        }
    }

    pub(super) fn add(&mut self, piece: Piece<'s, 'a>) {
        if self.pieces.len() < PIECES_MAX {
            self.pieces.push(piece);
        } else {
            self.is_mixed = true;
        }
    }

    /// Keeps the parts of both ways.
    fn join(&mut self, other: &Self) {
        let same = self.pieces.iter().zip(&other.pieces).take_while(|(a, b)| a.is(b)).count();
        if same == self.pieces.len() && same == other.pieces.len() && !other.is_mixed {
            return;
        }
        self.is_mixed = true;
        for piece in &other.pieces[same..] {
            self.add(*piece);
        }
    }

    /// Its text, when nothing else is in it.
    fn literal(&self) -> Option<String> {
        if self.is_mixed {
            return None;
        }
        let part = |piece: &Piece<'s, 'a>| match piece {
            Piece::Literal(text) => Some(*text),
            Piece::Shown(..) => None,
        };
        self.pieces.iter().map(part).collect()
    }
}

fn literal_length(text: &str) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    text.bytes().take_while(|byte| is_part(byte)).count()
}

fn is_literal(text: &str) -> bool {
    matches!(text, "true" | "false" | "null" | "NaN" | "Infinity" | "-Infinity")
        || (text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            && text.parse::<f64>().is_ok())
}
