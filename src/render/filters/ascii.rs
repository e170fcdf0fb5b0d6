//! Strings as JSON in ASCII, the way Python's `json` writes them and Jinja makes them safe in HTML. In: text. Out: a
//! string with its quotes. Never a byte looked at alone while sixteen can be.

use std::fmt::Write as _;

/// How many bytes are looked at together.
const LANES: usize = 16;

/// Whether a byte stands for itself.
fn is_plain(byte: u8) -> bool {
    (0x20..0x7F).contains(&byte) && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | b'\'')
}

/// Whether every string of a JSON text that has no escapes stands for itself.
pub(super) fn is_clean(json: &[u8]) -> bool {
    let is_kept = |byte: &u8| *byte < 0x7F && !matches!(*byte, b'<' | b'>' | b'&' | b'\'');
    let (chunks, rest) = json.as_chunks::<LANES>();
    let kept = |bytes: &[u8]| bytes.iter().fold(true, |kept, byte| kept & is_kept(byte));
    chunks.iter().all(|chunk| kept(chunk)) && kept(rest)
}

/// How many bytes from the start stand for themselves.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<LANES>();
    for (place, chunk) in chunks.iter().enumerate() {
        // No early end inside: so it becomes a few vector instructions.
        if !chunk.iter().fold(true, |plain, byte| plain & is_plain(*byte)) {
            let within = chunk.iter().position(|byte| !is_plain(*byte));
            return place * LANES + within.unwrap_or(0);
        }
    }
    let within = rest.iter().position(|byte| !is_plain(*byte));
    bytes.len() - rest.len() + within.unwrap_or(rest.len())
}

/// Appends a string: what is not ASCII, and what HTML could take for its own, is escaped.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    push_inner(out, text);
    out.push('"');
}

/// The same without its quotes.
pub(super) fn push_inner(out: &mut String, text: &str) {
    let mut rest = text;
    loop {
        let length = plain_length(rest.as_bytes());
        out.push_str(&rest[..length]);
        let Some(c) = rest[length..].chars().next() else { break };
        push_escape(out, c);
        rest = &rest[length + c.len_utf8()..];
    }
}

fn push_escape(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}
