//! One pass over the text: grammar, bounds, index. In: text. Out: nodes. Never recursion: an open container keeps its
//! parent in its own `next` until it closes.

use super::{Fault, FaultKind, Kind, Limits, Node};

const NONE: u32 = u32::MAX;

/// Scans the whole text into `nodes` (cleared first): one value, white space around it allowed.
///
/// # Errors
/// The first [`Fault`]: grammar (strict RFC 8259; a lone surrogate escape is a fault), depth or number of values.
pub fn scan(text: &str, limits: Limits, nodes: &mut Vec<Node>) -> Result<(), Fault> {
    nodes.clear();
    if u32::try_from(text.len()).is_err() {
        return Err(Fault { at: 0, what: FaultKind::Expected("less than 4 GiB") });
    }
    let bytes = text.as_bytes();
    let has_controls = has_controls(bytes);
    let mut scan = Scan {
        bytes,
        at: 0,
        nodes,
        limits,
        open: NONE,
        depth: 0,
        values: 0,
        has_controls,
        fault: None,
    };
    match scan.run() {
        Ok(()) => Ok(()),
        Err(Stopped) => {
            Err(scan.fault.take().unwrap_or_else(|| scan.blame(FaultKind::Expected("JSON"))))
        }
    }
}

struct Scan<'a, 'n> {
    bytes: &'a [u8],
    at: usize,
    nodes: &'n mut Vec<Node>,
    limits: Limits,
    /// The innermost open container.
    open: u32,
    depth: u32,
    values: u32,
    /// There is a byte below U+0020 somewhere: each string must be looked at for one.
    has_controls: bool,
    /// Why it stopped.
    fault: Option<Fault>,
}

/// It stopped, and says why elsewhere: what is returned from step to step stays in a register.
struct Stopped;

impl Scan<'_, '_> {
    fn run(&mut self) -> Result<(), Stopped> {
        self.space();
        loop {
            if self.value()? {
                continue;
            }
            if self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Reads one value; `true` when it opened a container whose first value comes next.
    #[inline]
    fn value(&mut self) -> Result<bool, Stopped> {
        self.values += 1;
        if self.values > self.limits.nodes_max {
            return Err(self.stop(FaultKind::TooMany(self.limits.nodes_max)));
        }
        let start = self.at;
        match self.bytes.get(self.at) {
            Some(b'"') => {
                let escaped = self.string()?;
                self.push(start, if escaped { Kind::Escaped } else { Kind::Plain });
            }
            Some(b'{') => return self.open(Kind::Object, b'}'),
            Some(b'[') => return self.open(Kind::Array, b']'),
            Some(b'-' | b'0'..=b'9') => {
                let kind = self.number()?;
                self.push(start, kind);
            }
            Some(b't') => self.word(b"true", Kind::True)?,
            Some(b'f') => self.word(b"false", Kind::False)?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            _ => return Err(self.expected("a value")),
        }
        Ok(false)
    }

    /// Opens a container; an empty one is closed at once and counts as read.
    #[inline]
    fn open(&mut self, kind: Kind, close: u8) -> Result<bool, Stopped> {
        if self.depth == self.limits.depth_max {
            return Err(self.stop(FaultKind::TooDeep(self.limits.depth_max)));
        }
        self.depth += 1;
        let node = self.nodes.len() as u32;
        let start = self.at as u32;
        self.nodes.push(Node { start, end: start, next: self.open, count: 0, kind });
        self.open = node;
        self.at += 1;
        self.space();
        if self.bytes.get(self.at) == Some(&close) {
            self.close();
            return Ok(false);
        }
        if kind == Kind::Object {
            self.name()?;
        }
        self.nodes[node as usize].count = 1;
        Ok(true)
    }

    /// Closes the innermost container at its closing byte.
    #[inline]
    fn close(&mut self) {
        self.at += 1;
        let after = self.nodes.len() as u32;
        let container = &mut self.nodes[self.open as usize];
        self.open = container.next;
        container.next = after;
        container.end = self.at as u32;
        self.depth -= 1;
    }

    /// Goes from the end of a value to the start of the next; `true` at the end of the text.
    #[inline]
    fn after_value(&mut self) -> Result<bool, Stopped> {
        loop {
            self.space();
            if self.open == NONE {
                let ended = self.at == self.bytes.len();
                return if ended { Ok(true) } else { Err(self.expected("the end of the text")) };
            }
            let kind = self.nodes[self.open as usize].kind;
            match (self.bytes.get(self.at), kind) {
                (Some(b','), _) => {
                    self.at += 1;
                    self.space();
                    if kind == Kind::Object {
                        self.name()?;
                    }
                    self.nodes[self.open as usize].count += 1;
                    return Ok(false);
                }
                (Some(b'}'), Kind::Object) | (Some(b']'), Kind::Array) => self.close(),
                (_, Kind::Object) => return Err(self.expected("',' or '}'")),
                _ => return Err(self.expected("',' or ']'")),
            }
        }
    }

    /// Reads a member's name and its colon.
    #[inline]
    fn name(&mut self) -> Result<(), Stopped> {
        let start = self.at;
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(self.expected("a name in double quotes"));
        }
        let escaped = self.string()?;
        self.push(start, if escaped { Kind::EscapedName } else { Kind::Name });
        self.space();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(self.expected("':'"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Reads a string with its quotes; `true` when it has escapes. Most have none, and end where the first stop is.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "there are two places, and a call costs half as much as most strings"
    )]
    fn string(&mut self) -> Result<bool, Stopped> {
        let first = self.at + 1;
        if !self.has_controls {
            let end = first + stop(&self.bytes[first..]);
            if self.bytes.get(end) == Some(&b'"') {
                self.at = end + 1;
                return Ok(false);
            }
        }
        self.string_with_care()
    }

    /// The same, run by run and escape by escape.
    #[inline(never)]
    fn string_with_care(&mut self) -> Result<bool, Stopped> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = &self.bytes[self.at..];
            let length = stop(rest);
            if self.has_controls
                && let Some(control) = rest[..length].iter().position(|byte| *byte < 0x20)
            {
                self.at += control;
                return Err(self.expected("no control character in a string"));
            }
            self.at += length;
            match rest.get(length) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(_) => {
                    escaped = true;
                    self.escape()?;
                }
                None => return Err(self.expected("a closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Stopped> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let first = self.unit(self.at)?;
                self.at += 6;
                match first {
                    0xD800..=0xDBFF => {
                        if self.bytes.get(self.at..self.at + 2) != Some(b"\\u")
                            || !matches!(self.unit(self.at)?, 0xDC00..=0xDFFF)
                        {
                            return Err(self.expected("the second half of a surrogate pair"));
                        }
                        self.at += 6;
                    }
                    0xDC00..=0xDFFF => {
                        return Err(self.expected("the first half of a surrogate pair"));
                    }
                    _ => {}
                }
            }
            _ => return Err(self.expected("an escape")),
        }
        Ok(())
    }

    /// The UTF-16 unit of the `\uXXXX` at `at`.
    fn unit(&mut self, at: usize) -> Result<u32, Stopped> {
        let digits =
            self.bytes.get(at + 2..at + 6).filter(|four| four.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|four| std::str::from_utf8(four).ok());
        digits
            .and_then(|four| u32::from_str_radix(four, 16).ok())
            .ok_or_else(|| self.expected("four hex digits"))
    }

    #[inline]
    fn number(&mut self) -> Result<Kind, Stopped> {
        let mut kind = Kind::Integer;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            kind = Kind::Float;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            kind = Kind::Float;
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(kind)
    }

    /// Reads one digit or more.
    fn digits(&mut self) -> Result<(), Stopped> {
        let first = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == first { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static [u8], kind: Kind) -> Result<(), Stopped> {
        let start = self.at;
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        self.push(start, kind);
        Ok(())
    }

    #[inline]
    fn push(&mut self, start: usize, kind: Kind) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { start: start as u32, end: self.at as u32, next, count: 0, kind });
    }

    #[inline]
    fn space(&mut self) {
        // Most places have none, and all of it is below what else may stand there.
        while let Some(byte) = self.bytes.get(self.at).filter(|byte| **byte <= b' ') {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return;
            }
            self.at += 1;
        }
    }

    #[cold]
    fn expected(&mut self, what: &'static str) -> Stopped {
        self.stop(FaultKind::Expected(what))
    }

    #[cold]
    fn stop(&mut self, what: FaultKind) -> Stopped {
        self.fault = Some(self.blame(what));
        Stopped
    }

    fn blame(&self, what: FaultKind) -> Fault {
        Fault { at: self.at, what }
    }
}

/// Eights of bytes that are looked at before a longer search is worth its beginning.
const EIGHTS_MAX: usize = 12;

/// Length of the run in front without a quote or a backslash. Most names end within the first eight bytes.
#[inline]
fn stop(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let (eights, _) = bytes.as_chunks::<8>();
    let mut passed = 0;
    for eight in &eights[..eights.len().min(EIGHTS_MAX)] {
        let word = u64::from_le_bytes(*eight);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let stops = (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash);
        if stops & HIGHS != 0 {
            // A borrow can mark a byte behind a true stop, never one in front of it.
            return passed + ((stops & HIGHS).trailing_zeros() / 8) as usize;
        }
        passed += 8;
    }
    passed + find(&bytes[passed..])
}

fn find(bytes: &[u8]) -> usize {
    memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len())
}

/// Whether any byte is below U+0020; compact JSON has none.
fn has_controls(bytes: &[u8]) -> bool {
    let any = |part: &[u8]| part.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < 0x20;
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks.iter().any(|block| any(block)) || any(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth_max: 100, nodes_max: 1000 };

    #[test]
    fn agrees_with_a_known_parser() {
        let texts = [
            "",
            " ",
            "1",
            "-",
            "-0",
            "01",
            "1.",
            "1.5",
            ".5",
            "1e",
            "1e5",
            "1E+05",
            "1e-",
            "--1",
            "true",
            "tru",
            "nul",
            "null",
            "\"\"",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\ud800\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud83d\\ude00\"",
            "\"\t\"",
            "\"12345678\u{1}\"",
            "\"aaaaaaaaaaaaaaaaaa\\\"b\"",
            "[]",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{}",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1 \"b\":2}",
            "]",
            "[}",
            "{]",
            "[1]]",
            "NaN",
            "Infinity",
            "+1",
            "/*x*/1",
            "1 1",
            "[[],{},[{}]]",
            "\u{feff}1",
            "\"ü€😀12345\"",
            "\"éééé\\n\"",
            "{\"a\":{\"b\":[{}]}}",
            "[1,[2,[3]]] x",
        ];
        let mut nodes = Vec::new();
        for text in texts {
            let ours = scan(text, LIMITS, &mut nodes);
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text)
                .and_then(|_| serde_json::from_str::<serde_json::Value>(text));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}: {ours:?} {theirs:?}");
        }
    }

    #[test]
    fn finds_the_end_of_a_string_of_any_length() {
        let mut nodes = Vec::new();
        for length in 0..140 {
            let run = "#".repeat(length);
            for text in [format!("[\"{run}\"]"), format!("[\"{run}\\\"{run}\", \"{run}\\\\\"]")] {
                scan(&text, LIMITS, &mut nodes).expect("JSON");
                let known: Vec<String> = serde_json::from_str(&text).expect("JSON");
                let ours = super::super::Value::root(&text, &nodes).items();
                let ours: Vec<String> = ours.filter_map(|item| Some(item.text()?.into())).collect();
                assert_eq!(ours, known, "{text}");
            }
            for text in [format!("\"{run}"), format!("\"{run}\\"), format!("\"{run}\u{1}\"")] {
                assert!(scan(&text, LIMITS, &mut nodes).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn names_the_place_of_a_fault() {
        let mut nodes = Vec::new();
        let fault = scan("{\"a\": 1,}", LIMITS, &mut nodes).expect_err("a trailing comma");
        assert_eq!(fault.to_string(), "expected a name in double quotes at byte 8");
    }
}
