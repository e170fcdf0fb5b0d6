//! How programs write the characters of JSON's strings. In: a text of JSON. Out: the same with its strings written
//! another way, all else as it was; escapes that are none stay.

use std::fmt::Write as _;

/// How the characters of strings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    Same,
    /// Slashes as they are.
    Slash,
    /// Slashes behind a backslash.
    Slashed,
    /// Nothing escaped that need not be.
    Plain,
    /// The same, of ASCII alone.
    PlainAscii,
    /// The same, of what is beyond ASCII.
    PlainBeyond,
    /// What is beyond ASCII escaped, in hex of either case.
    Ascii,
    AsciiUpper,
    /// As PHP does when nothing is said.
    Php,
    /// What HTML knows escaped: as Go and Rails do, and as .NET does.
    Html,
    Net,
    /// Escapes as they are, in hex of the other case.
    Lower,
    Upper,
}

impl Spelling {
    pub(super) const ALL: [Self; 12] = [
        Self::Slash,
        Self::Slashed,
        Self::PlainAscii,
        Self::PlainBeyond,
        Self::Plain,
        Self::Ascii,
        Self::AsciiUpper,
        Self::Html,
        Self::Php,
        Self::Net,
        Self::Lower,
        Self::Upper,
    ];

    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Slash => "with `/` for `\\/`",
            Self::Slashed => "with `\\/` for `/`",
            Self::Plain => "with characters in place of their escapes",
            Self::PlainAscii => {
                "with characters of ASCII (`<`) in place of their escapes (`\\u003c`)"
            }
            Self::PlainBeyond => "with characters beyond ASCII in place of their escapes",
            Self::Ascii => "in ASCII (`\\u00e9`)",
            Self::AsciiUpper => "in ASCII (`\\u00E9`)",
            Self::Php => "in ASCII (`\\u00e9`), with `\\/` for `/`",
            Self::Html => "with `\\u003c`, `\\u003e` and `\\u0026` for `<`, `>` and `&`",
            Self::Net => "as .NET escapes it (`\\u003C`, `\\u0022`, `\\u00E9`)",
            Self::Lower => "with escapes in lower case",
            Self::Upper => "with escapes in upper case",
        }
    }

    /// A text of JSON with its strings written so.
    pub(super) fn apply(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('"') {
            let Some(bytes) = string(&rest[start..]) else { break };
            out.push_str(&rest[..=start]);
            self.respell(&rest[start + 1..start + bytes - 1], &mut out);
            out.push('"');
            rest = &rest[start + bytes..];
        }
        out.push_str(rest);
        out
    }

    fn respell(self, mut inside: &str, out: &mut String) {
        while let Some((c, bytes)) = first(inside) {
            self.spell(c, &inside[..bytes], out);
            inside = &inside[bytes..];
        }
    }

    /// A character as this way writes it; `raw` is how it came.
    fn spell(self, c: Option<char>, raw: &str, out: &mut String) {
        let Some(c) = c else { return out.push_str(raw) };
        let must = c < ' ' || matches!(c, '"' | '\\');
        let is_html = matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        match self {
            Self::Slash if c == '/' => out.push('/'),
            Self::Slashed | Self::Php if c == '/' => out.push_str("\\/"),
            Self::Plain if !must => out.push(c),
            Self::PlainAscii if !must && c.is_ascii() => out.push(c),
            Self::PlainBeyond if !c.is_ascii() => out.push(c),
            Self::Ascii | Self::Php if !c.is_ascii() => escape(c, false, out),
            Self::AsciiUpper if !c.is_ascii() => escape(c, true, out),
            Self::Html if is_html => escape(c, false, out),
            Self::Net if is_html || !c.is_ascii() || matches!(c, '\'' | '+' | '`' | '"') => {
                escape(c, true, out);
            }
            Self::Lower if raw.starts_with("\\u") => escape(c, false, out),
            Self::Upper if raw.starts_with("\\u") => escape(c, true, out),
            _ => out.push_str(raw),
        }
    }
}

fn escape(c: char, upper: bool, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = if upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
    }
}

/// The first character of what is inside a string, when it is one, and how many bytes it is written with.
fn first(inside: &str) -> Option<(Option<char>, usize)> {
    let c = inside.chars().next()?;
    if c != '\\' {
        return Some((Some(c), c.len_utf8()));
    }
    let unit = |at: usize| {
        let digits = inside.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    if let Some(high) = unit(0) {
        let alone = || (char::from_u32(u32::from(high)), 6);
        let pair = unit(6).and_then(|low| char::decode_utf16([high, low]).next()?.ok());
        let pair = pair.filter(|c| c.len_utf16() == 2);
        return Some(pair.map_or_else(alone, |c| (Some(c), 12)));
    }
    let escaped = inside[1..].chars().next()?;
    let c = match escaped {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        other => other,
    };
    Some((Some(c), 1 + escaped.len_utf8()))
}

/// How many bytes a string has, its quotes with it.
pub(super) fn string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}
