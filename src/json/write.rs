//! Strings in and out of their JSON form. In: text. Out: text. Never a fault: what is unescaped was scanned before.

/// Appends `text` as a JSON string, quotes included: escapes only what JSON demands, writes the rest as UTF-8.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (place, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..place]);
        copied = place + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// The text that a scanned string means, given what stands between its quotes.
#[must_use]
pub fn unescape(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(place) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..place]);
        let (meant, length) = meaning(&rest[place..]);
        out.push(meant);
        rest = &rest[place + length..];
    }
    out.push_str(rest);
    out
}

/// The character of the escape in front of `escape`, and the escape's length.
fn meaning(escape: &str) -> (char, usize) {
    let plain = match escape.as_bytes()[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = |at: usize| u32::from_str_radix(&escape[at..at + 4], 16).unwrap_or(0xFFFD);
            let first = unit(2);
            if (0xD800..0xDC00).contains(&first) {
                let low = unit(8).wrapping_sub(0xDC00);
                let code = 0x10000 + ((first - 0xD800) << 10) + low;
                return (char::from_u32(code).unwrap_or('\u{FFFD}'), 12);
            }
            return (char::from_u32(first).unwrap_or('\u{FFFD}'), 6);
        }
        same => char::from(same),
    };
    (plain, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_a_parser_reads_back() {
        for text in ["", "plain", "q\"b\\n\n\r\t\u{1}\u{1f}x", "ü😀\u{2028}", "\\u0041"] {
            let mut out = Vec::new();
            write_str(&mut out, text);
            let read: String = serde_json::from_slice(&out).expect("a JSON string");
            assert_eq!(read, text);
            let written = String::from_utf8(out).expect("UTF-8");
            assert_eq!(unescape(&written[1..written.len() - 1]), text);
        }
        assert_eq!(unescape(r"\b\f\/\u00e9\ud83d\ude00."), "\u{8}\u{c}/é😀.");
    }
}
