//! Words in events. In: `one other` (either), `+one` (must), `-one` or `!one` (must not), `"one phrase"`. Out: whether
//! a text has them, anywhere in it and whatever the size of letters. Every text is a question; an empty one asks
//! nothing.

use memchr::memmem;

/// Longest question.
pub const QUERY_MAX_CHARS: usize = 200;

/// A question for words, in small letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// One of these is there, when there are any.
    either: Vec<String>,
    /// All of these are.
    must: Vec<String>,
    /// None of these is.
    must_not: Vec<String>,
}

impl Text {
    /// Reads a question.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let mut read = Self::default();
        let mut rest = query.trim_start();
        while let Some(first) = rest.chars().next() {
            let into = match first {
                '+' => &mut read.must,
                '-' | '!' => &mut read.must_not,
                _ => &mut read.either,
            };
            if matches!(first, '+' | '-' | '!') {
                rest = &rest[1..];
            }
            let (term, behind) = term(rest);
            if !term.is_empty() {
                into.push(term.to_lowercase());
            }
            rest = behind.trim_start();
        }
        read
    }

    /// Terms of which one must be there, when there are any.
    #[must_use]
    pub fn either(&self) -> &[String] {
        &self.either
    }

    /// Terms that must all be there.
    #[must_use]
    pub fn must(&self) -> &[String] {
        &self.must
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.either.is_empty() && self.must.is_empty() && self.must_not.is_empty()
    }

    /// Whether an event may have such words, by its bytes alone: never no in vain, so that few need be read. `small`
    /// is memory that is used again.
    #[must_use]
    pub fn may_be_in(&self, json: &[u8], small: &mut Vec<u8>) -> bool {
        // Escapes and other alphabets are not the words they stand for.
        if !json.is_ascii() || memchr::memchr(b'\\', json).is_some() {
            return true;
        }
        small.clear();
        small.extend_from_slice(json);
        small.make_ascii_lowercase();
        let is_in =
            |term: &String| term.contains('\0') || memmem::find(small, term.as_bytes()).is_some();
        (self.either.is_empty() || self.either.iter().any(is_in)) && self.must.iter().all(is_in)
    }

    /// Whether words in small letters are like that.
    #[must_use]
    pub fn matches(&self, words: &str) -> bool {
        (self.either.is_empty() || self.either.iter().any(|term| words.contains(&**term)))
            && self.must.iter().all(|term| words.contains(&**term))
            && !self.must_not.iter().any(|term| words.contains(&**term))
    }
}

/// One term and what stands behind it. A backslash before a quote makes it one of the phrase; a phrase nobody closes
/// goes to the end.
fn term(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut term = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (term, &quoted[at + 1..]),
            '\\' if quoted[at + 1..].starts_with('"') => {
                chars.next();
                term.push('"');
            }
            char => term.push(char),
        }
    }
    (term, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_alone_never_deny_what_words_have() {
        let mut small = Vec::new();
        for (query, json, expected) in [
            ("PAID", r#"{"event":"Shop.Paid"}"#, true),
            ("+shop +paid", r#"{"event":"Shop.Paid"}"#, true),
            ("+shop +gone", r#"{"event":"Shop.Paid"}"#, false),
            ("gone nowhere", r#"{"event":"Shop.Paid"}"#, false),
            ("gone -paid", r#"{"event":"Shop.Paid gone"}"#, true),
            ("-paid", r#"{"event":"Shop.Paid"}"#, true),
            ("a\"b", r#"{"event":"a\"b"}"#, true),
            ("anything", r#"{"event":"a\u0062"}"#, true),
            ("anything", r#"{"event":"münchen"}"#, true),
            ("", r#"{"event":"Shop.Paid"}"#, true),
        ] {
            assert_eq!(
                Text::read(query).may_be_in(json.as_bytes(), &mut small),
                expected,
                "{query}"
            );
        }
    }

    #[test]
    fn questions() {
        let words = "shop.order.paid\0order 1001\0{\"city\":\"münchen\",\"said\":\"oh, hi\"}";
        for (query, expected) in [
            ("", true),
            ("paid", true),
            ("PAID", true),
            ("der.pa", true),
            ("nothing", false),
            ("nothing paid", true),
            ("-nothing", true),
            ("-paid", false),
            ("!paid", false),
            ("order -1001", false),
            ("+order +paid", true),
            ("+order +nothing", false),
            ("+order nothing", false),
            ("\"order 1001\"", true),
            ("\"order 1002\"", false),
            ("-\"order 1002\" +\"order 1001\"", true),
            ("MÜNCHEN", true),
            ("\"oh, hi\"", true),
            ("\"said\\\":\\\"oh\"", true),
            ("\"order 1001", true),
            ("+ - !", true),
            ("paidorder", false),
        ] {
            assert_eq!(Text::read(query).matches(words), expected, "{query}");
        }
        assert!(Text::read(" + \"\" ").is_empty());
    }
}
