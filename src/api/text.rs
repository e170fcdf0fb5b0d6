//! Bodies and queries as values. In: bytes that were read within their limit. Out: JSON of bounded depth and size, or
//! one value of a query. Never more memory than the bounds allow, whatever was sent.

use serde_json::Value;

use super::problem::Problem;
use crate::catalogue::Fault;
use crate::json::{self, FaultKind};
use crate::request::Content;

/// Bounds of a management body: far more than any field needs.
const LIMITS: json::Limits = json::Limits { depth_max: 32, nodes_max: 10_000 };

/// The body as JSON; nothing when it is empty.
pub(super) fn read(content: &Content) -> Result<Option<Value>, Problem> {
    let fault = |at: usize, says: String| {
        let at = at.to_string();
        Err(Problem::Invalid(vec![Fault::new("json_invalid", &["body", &at], says)]))
    };
    let text = match std::str::from_utf8(&content.decoded) {
        Ok(text) => text,
        Err(error) => return fault(error.valid_up_to(), "JSON decode error".to_owned()),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    if let Err(found) = json::scan(text, LIMITS, &mut Vec::new()) {
        return fault(
            found.at,
            match found.what {
                FaultKind::Expected(_) => "JSON decode error".to_owned(),
                bound => format!("JSON decode error: {bound}"),
            },
        );
    }
    match serde_json::from_str(text) {
        Ok(value) => Ok(Some(value)),
        // A number or an escape that no value can hold.
        Err(error) => fault(error.column(), "JSON decode error".to_owned()),
    }
}

/// The first value of a name in a query, decoded.
pub(super) fn find(query: &str, name: &str) -> Option<String> {
    find_all(query, name).next()
}

/// Every value of a name in a query, decoded.
pub(super) fn find_all(query: &str, name: &str) -> impl Iterator<Item = String> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(move |(key, _)| decode(key) == name).map(|(_, value)| decode(value))
}

/// Form decoding: `+` is a space, `%` and two digits a byte; what is no UTF-8 is replaced.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digit = |place: usize| char::from(*bytes.get(place)?).to_digit(16);
        let byte = digit(at + 1).zip(digit(at + 2)).map(|(high, low)| high * 16 + low);
        match (bytes[at], byte) {
            (b'%', Some(byte)) => {
                out.push(byte as u8);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (plain, _) => out.push(plain),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn content(text: &[u8]) -> Content {
        let raw = Bytes::copy_from_slice(text);
        Content { decoded: raw.clone(), raw }
    }

    #[test]
    fn bodies_are_json_within_bounds_or_nothing() {
        for empty in ["", "  \r\n"] {
            assert_eq!(read(&content(empty.as_bytes())), Ok(None));
        }
        assert_eq!(read(&content(b" null ")), Ok(Some(Value::Null)));
        let (deep, wide) = ("[".repeat(100_000), format!("[{}1]", "1,".repeat(20_000)));
        let bad: [&[u8]; 8] = [
            b"{",
            b"NaN",
            b"\"\xff\"",
            b"{\"a\":1}x",
            b"1e999",
            b"\"\\ud800\"",
            deep.as_bytes(),
            wide.as_bytes(),
        ];
        for text in bad {
            let fault = read(&content(text)).expect_err("no JSON");
            let Problem::Invalid(faults) = fault else { panic!("{fault:?}") };
            assert_eq!((faults[0].rule, faults[0].at[0].as_str()), ("json_invalid", "body"));
        }
    }

    #[test]
    fn a_name_may_be_said_again() {
        let all: Vec<_> = find_all("k=a&x=1&k=b%20c&k", "k").collect();
        assert_eq!(all, ["a", "b c", ""]);
    }

    #[test]
    fn queries_are_decoded() {
        for (query, found) in [
            ("name=a+b%20c%C3%A9", Some("a b cé")),
            ("x=1&name=&name=2", Some("")),
            ("name", Some("")),
            ("na%6De=%zz%4", Some("%zz%4")),
            ("name=%+1", Some("% 1")),
            ("", None),
            ("names=1", None),
        ] {
            assert_eq!(find(query, "name").as_deref(), found, "{query}");
        }
    }
}
