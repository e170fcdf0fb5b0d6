//! What proxies and frameworks make of a body, undone. In: a body as it came, and whether another one would have been
//! right. Out: in words, how that one is written. JSON is laid out anew over its own text: no number, no escape and no
//! name that is there twice is read and written again, unless that is what is tried.

use std::borrow::Cow;

use super::spelling::{Spelling, string};

/// Beyond so many bytes JSON is tried in fewer ways: each is work on all of it.
const THOROUGH_MAX_BYTES: usize = 1 << 20;
/// Most names that are tried in every order; more that are sorted are hardly so by chance.
const ORDERED_MAX: usize = 5;
/// JSON that is deeper is not laid out anew.
const DEPTH_MAX: usize = 128;
const BOM: &str = "\u{feff}";

/// How the body that is right is written; `None` when none of those tried is.
pub(super) fn find(body: &[u8], fits: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    lines(body, fits).or_else(|| {
        let text = std::str::from_utf8(body).ok()?;
        form(text, fits).or_else(|| json(text.trim_start_matches(BOM), fits))
    })
}

/// Line ends, and what stands before and behind all.
fn lines(body: &[u8], fits: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let bare = body.trim_ascii_end();
    let unmarked = body.strip_prefix(BOM.as_bytes());
    let feeds = replaced(body, b"\r\n", b"\n");
    let returns = replaced(&feeds, b"\n", b"\r\n");
    let tried: [(&str, Cow<'_, [u8]>); 8] = [
        ("without what ends its last line", bare.into()),
        ("with a line feed at its end", [bare, b"\n"].concat().into()),
        ("with a carriage return and a line feed at its end", [bare, b"\r\n"].concat().into()),
        ("without white space around it", body.trim_ascii().into()),
        ("without a byte order mark", unmarked.unwrap_or_default().into()),
        ("with a byte order mark", [BOM.as_bytes(), body].concat().into()),
        ("with line feeds alone", feeds.into()),
        ("with carriage returns before its line feeds", returns.into()),
    ];
    // An empty body is none of these: it would be right for whoever signs nothing.
    let found =
        tried.iter().find(|(_, other)| !other.is_empty() && **other != *body && fits(other));
    found.map(|(what, _)| (*what).to_owned())
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut start = 0;
    for place in memchr::memmem::find_iter(body, from) {
        out.extend_from_slice(&body[start..place]);
        out.extend_from_slice(to);
        start = place + from.len();
    }
    out.extend_from_slice(&body[start..]);
    out
}

/// Blanks of a form.
fn form(text: &str, fits: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let tried = [
        ("with `+` for blanks, not `%20`", text.replace("%20", "+")),
        ("with `%20` for blanks, not `+`", text.replace('+', "%20")),
    ];
    let found = tried.iter().find(|(_, other)| other != text && fits(other.as_bytes()));
    found.map(|(what, _)| (*what).to_owned())
}

/// JSON in other clothes: one thing changed at first, then each layout with each way of writing strings.
fn json(text: &str, fits: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let bare = text.trim_matches([' ', '\t', '\r', '\n']);
    if !bare.starts_with(['{', '[']) || Node::read(bare).is_none() {
        return None;
    }
    // What is behind it is no part of a layout.
    let tails = if text.ends_with('\n') { ["\n", ""] } else { ["", "\n"] };
    let tried = |layouts: &[Layout], spellings: &[Spelling]| {
        for (spelling, layout) in
            spellings.iter().flat_map(|one| layouts.iter().map(move |layout| (one, layout)))
        {
            let spelled = spelling.apply(bare);
            if spelled == bare && *spelling != Spelling::Same {
                continue;
            }
            let laid = layout.apply(&spelled)?;
            let is_right = |tail: &&str| fits(format!("{laid}{tail}").as_bytes());
            if let Some(tail) = tails.iter().find(|tail| is_right(tail)) {
                let mut parts = vec![layout.name(), spelling.name()];
                if *tail != tails[0] {
                    parts.push(if tail.is_empty() {
                        "no line feed at its end"
                    } else {
                        "a line feed at its end"
                    });
                }
                parts.retain(|part| !part.is_empty());
                return Some(format!("as JSON {}", parts.join(", ")));
            }
        }
        None
    };
    let layouts = &Layout::ALL;
    let first =
        tried(layouts, &[Spelling::Same]).or_else(|| tried(&[Layout::Same], &Spelling::ALL));
    let is_small = text.len() <= THOROUGH_MAX_BYTES;
    let thorough = || if is_small { tried(layouts, &Spelling::ALL) } else { None };
    first.or_else(thorough).or_else(|| unsorted(bare, fits))
}

/// JSON whose few names something has sorted, in another order.
fn unsorted(text: &str, fits: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let Node::Object(fields) = Node::read(text)? else { return None };
    if !(2..=ORDERED_MAX).contains(&fields.len()) || text.len() > THOROUGH_MAX_BYTES {
        return None;
    }
    let mut order: Vec<usize> = (0..fields.len()).collect();
    // Each order but the one that there is, the next one in the order of numbers.
    while let Some(last) = (1..order.len()).rev().find(|at| order[at - 1] < order[*at]) {
        let next = (last..order.len()).rev().find(|at| order[*at] > order[last - 1])?;
        order.swap(last - 1, next);
        order[last..].reverse();
        for layout in [Layout::Compact, Layout::Spaced] {
            let mut out = String::with_capacity(text.len());
            layout.write_fields(&fields, &order, &mut out);
            if fits(out.as_bytes()) {
                return Some(format!("as JSON {}, its names in another order", layout.name()));
            }
        }
    }
    None
}

/// Whether some object has several names, and all of them are in order: as those leave them that sort them.
pub(super) fn is_sorted(body: &[u8]) -> bool {
    fn look(node: &Node<'_>) -> Option<bool> {
        let (own, inside): (Option<bool>, Vec<&Node<'_>>) = match node {
            Node::Leaf(_) => return None,
            Node::Array(items) => (None, items.iter().collect()),
            Node::Object(fields) => {
                let are_sorted = fields.is_sorted_by_key(|(name, _)| *name);
                let is_told = fields.len() > ORDERED_MAX || !are_sorted;
                (is_told.then_some(are_sorted), fields.iter().map(|(_, value)| value).collect())
            }
        };
        inside.into_iter().filter_map(look).chain(own).reduce(|one, other| one && other)
    }
    let text = std::str::from_utf8(body).ok();
    text.and_then(Node::read).as_ref().and_then(look) == Some(true)
}

/// A value, as slices of its text.
enum Node<'a> {
    /// No array and no object.
    Leaf(&'a str),
    Array(Vec<Node<'a>>),
    Object(Vec<(&'a str, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads a whole text; `None` when it is no JSON, as far as its layout tells.
    fn read(text: &'a str) -> Option<Self> {
        let (node, rest) = read(skip(text), 0)?;
        skip(rest).is_empty().then_some(node)
    }

    fn sort(&mut self) {
        match self {
            Self::Leaf(_) => {}
            Self::Array(items) => items.iter_mut().for_each(Self::sort),
            Self::Object(fields) => {
                fields.sort_by_key(|(name, _)| *name);
                for (_, value) in fields {
                    value.sort();
                }
            }
        }
    }
}

fn skip(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}

/// One value, and what is behind it.
fn read(text: &str, depth: usize) -> Option<(Node<'_>, &str)> {
    if depth > DEPTH_MAX {
        return None;
    }
    let (is_object, end) = match text.as_bytes().first()? {
        b'{' => (true, '}'),
        b'[' => (false, ']'),
        _ => {
            let bytes = leaf(text)?;
            return Some((Node::Leaf(&text[..bytes]), &text[bytes..]));
        }
    };
    let (mut items, mut fields) = (Vec::new(), Vec::new());
    let mut rest = skip(&text[1..]);
    if let Some(rest) = rest.strip_prefix(end) {
        let empty = if is_object { Node::Object(fields) } else { Node::Array(items) };
        return Some((empty, rest));
    }
    loop {
        let mut name = "";
        if is_object {
            let bytes = leaf(rest).filter(|_| rest.starts_with('"'))?;
            name = &rest[..bytes];
            rest = skip(skip(&rest[bytes..]).strip_prefix(':')?);
        }
        let (value, behind) = read(rest, depth + 1)?;
        if is_object {
            fields.push((name, value));
        } else {
            items.push(value);
        }
        rest = skip(behind);
        if let Some(rest) = rest.strip_prefix(end) {
            let whole = if is_object { Node::Object(fields) } else { Node::Array(items) };
            return Some((whole, rest));
        }
        rest = skip(rest.strip_prefix(',')?);
    }
}

/// How many bytes a string, a number or a word has.
fn leaf(text: &str) -> Option<usize> {
    let bytes = if text.starts_with('"') {
        string(text)?
    } else {
        text.find([',', ':', '{', '}', '[', ']', '"', ' ', '\t', '\r', '\n']).unwrap_or(text.len())
    };
    (bytes > 0).then_some(bytes)
}

/// Where white space stands, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Same,
    Compact,
    Spaced,
    Indented(&'static str, &'static str),
    Sorted,
    SortedSpaced,
}

impl Layout {
    const ALL: [Self; 10] = [
        Self::Same,
        Self::Compact,
        Self::Spaced,
        Self::Indented("  ", "\n"),
        Self::Indented("    ", "\n"),
        Self::Indented("\t", "\n"),
        Self::Indented("  ", "\r\n"),
        Self::Indented("    ", "\r\n"),
        Self::Sorted,
        Self::SortedSpaced,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Compact => "without spaces",
            Self::Spaced => "with spaces behind `:` and `,`",
            Self::Indented("  ", "\n") => "indented by two",
            Self::Indented("    ", "\n") => "indented by four",
            Self::Indented("  ", _) => {
                "indented by two, its lines ended by carriage returns and line feeds"
            }
            Self::Indented("    ", _) => {
                "indented by four, its lines ended by carriage returns and line feeds"
            }
            Self::Indented(..) => "indented by tabs",
            Self::Sorted => "with its names sorted, without spaces",
            Self::SortedSpaced => "with its names sorted, with spaces behind `:` and `,`",
        }
    }

    fn apply(self, text: &str) -> Option<Cow<'_, str>> {
        if self == Self::Same {
            return Some(text.into());
        }
        let mut node = Node::read(text)?;
        if matches!(self, Self::Sorted | Self::SortedSpaced) {
            node.sort();
        }
        let mut out = String::with_capacity(text.len());
        self.write(&node, 0, &mut out);
        Some(out.into())
    }

    /// An object without white space but what stands behind `:` and `,`, its fields in that order.
    fn write_fields(self, fields: &[(&str, Node<'_>)], order: &[usize], out: &mut String) {
        let blank = if self == Self::Spaced { " " } else { "" };
        for (place, (name, value)) in order.iter().map(|at| &fields[*at]).enumerate() {
            out.push_str(if place == 0 { "{" } else { "," });
            out.push_str(if place == 0 { "" } else { blank });
            out.push_str(name);
            out.push(':');
            out.push_str(blank);
            self.write(value, 1, out);
        }
        out.push('}');
    }

    fn write(self, node: &Node<'_>, depth: usize, out: &mut String) {
        let (open, close, count) = match node {
            Node::Leaf(text) => return out.push_str(text),
            Node::Array(items) => ('[', ']', items.len()),
            Node::Object(fields) => ('{', '}', fields.len()),
        };
        let line = |depth: usize, out: &mut String| {
            if let Self::Indented(step, end) = self {
                out.push_str(end);
                (0..depth).for_each(|_| out.push_str(step));
            }
        };
        out.push(open);
        for place in 0..count {
            if place > 0 {
                out.push(',');
                if matches!(self, Self::Spaced | Self::SortedSpaced) {
                    out.push(' ');
                }
            }
            line(depth + 1, out);
            match node {
                Node::Leaf(_) => {}
                Node::Array(items) => self.write(&items[place], depth + 1, out),
                Node::Object(fields) => {
                    out.push_str(fields[place].0);
                    out.push_str(if matches!(self, Self::Compact | Self::Sorted) {
                        ":"
                    } else {
                        ": "
                    });
                    self.write(&fields[place].1, depth + 1, out);
                }
            }
        }
        if count > 0 {
            line(depth, out);
        }
        out.push(close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[(&str, &str, &str)]) {
        for (signed, came, how) in rows {
            let found = find(came.as_bytes(), &|other| other == signed.as_bytes());
            let said = found.unwrap_or_default();
            assert!(said.contains(how), "{came} for {signed}: {said:?} has not {how}");
        }
    }

    #[test]
    fn what_was_signed_is_found_behind_what_was_laid_out_anew() {
        check(&[
            (r#"{"price": 2.50}"#, r#"{"price":2.50}"#, "with spaces behind `:` and `,`"),
            (r#"{"x": 1e2, "y": 1.5E+3}"#, r#"{"x":1e2,"y":1.5E+3}"#, "with spaces"),
            (
                r#"{"x":12345678901234567890123}"#,
                r#"{ "x": 12345678901234567890123 }"#,
                "without spaces",
            ),
            (r#"{"x": 0.12345678901234567890}"#, r#"{"x":0.12345678901234567890}"#, "with spaces"),
            (r#"{"u": 1, "u": 2}"#, r#"{"u":1,"u":2}"#, "with spaces"),
            (
                "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}",
                r#"{"a":[1,{}],"b":[]}"#,
                "indented by two",
            ),
            ("{\n    \"b\": 1\n}", r#"{"b":1}"#, "indented by four"),
            ("{\n    \"b\": 1\n}\n", r#"{"b":1}"#, "indented by four, a line feed at its end"),
            ("{\n\t\"b\": 1\n}", r#"{"b":1}"#, "indented by tabs"),
            ("{\r\n  \"b\": 1\r\n}", r#"{"b":1}"#, "indented by two, its lines ended by carriage"),
            (
                r#"{"a":2,"b":{"c":1,"d":0}}"#,
                r#"{"b":{"d":0,"c":1},"a":2}"#,
                "names sorted, without",
            ),
            (r#"{"a": 2, "b": 1}"#, r#"{"b":1,"a":2}"#, "names sorted, with spaces"),
            (
                r#"{"b":1,"a":{"d":1,"c":2}}"#,
                r#"{"a":{"d":1,"c":2},"b":1}"#,
                "without spaces, its names in",
            ),
            (
                r#"{"e": 1, "a": 2, "d": 3, "b": 4, "c": 5}"#,
                r#"{"a":2,"b":4,"c":5,"d":3,"e":1}"#,
                "another order",
            ),
        ]);
    }

    #[test]
    fn what_was_signed_is_found_behind_what_was_spelled_anew() {
        check(&[
            (r#"{"u":"https:\/\/x"}"#, r#"{"u":"https://x"}"#, "with `\\/` for `/`"),
            (r#"{"u":"https://x"}"#, r#"{"u":"https:\/\/x"}"#, "with `/` for `\\/`"),
            (r#"{"u":"<a>&"}"#, r#"{"u":"\u003ca\u003E\u0026"}"#, "characters of ASCII"),
            (r#"{"u":"\u003ca\u003e\u0026é"}"#, r#"{"u":"<a>&é"}"#, "with `\\u003c`"),
            (r#"{"u":"<é"}"#, r#"{"u":"\u003c\u00e9"}"#, "characters in place"),
            (
                r#"{"u":"\u003cé😀"}"#,
                r#"{"u":"\u003c\u00e9\ud83d\ude00"}"#,
                "beyond ASCII in place",
            ),
            (r#"{"u":"\u00e9\ud83d\ude00"}"#, r#"{"u":"é😀"}"#, "in ASCII (`\\u00e9`)"),
            (r#"{"u":"\u00E9"}"#, r#"{"u":"é"}"#, "in ASCII (`\\u00E9`)"),
            (r#"{"u":"\u00E9"}"#, r#"{"u":"\u00e9"}"#, "in ASCII (`\\u00E9`)"),
            (r#"{"u":"\u003c"}"#, r#"{"u":"\u003C"}"#, "`\\u003c`"),
            (r#"{"u":"\u007F"}"#, r#"{"u":"\u007f"}"#, "escapes in upper case"),
            (r#"{"u":"\u007f"}"#, r#"{"u":"\u007F"}"#, "escapes in lower case"),
            (r#"{"u":"\u003C\u0027\u0022\u00E9"}"#, r#"{"u":"<'\"é"}"#, "as .NET escapes it"),
            (r#"{"u":"a\/b\u00e9"}"#, r#"{"u":"a/bé"}"#, "in ASCII (`\\u00e9`), with `\\/`"),
            (
                r#"{"u": "a\/b\u00e9"}"#,
                r#"{"u":"a/bé"}"#,
                "with spaces behind `:` and `,`, in ASCII",
            ),
            (r#"{"n":"a\nb\u0001\ud800"}"#, "{ \"n\": \"a\\nb\\u0001\\ud800\" }", "without spaces"),
        ]);
    }

    #[test]
    fn what_was_signed_is_found_behind_other_lines_and_marks() {
        check(&[
            ("{\"a\":1}", "{\"a\":1}\n", "without what ends its last line"),
            ("{\"a\":1}\n", "{\"a\":1}", "with a line feed at its end"),
            ("{\"a\":1}\r\n", "{\"a\":1}", "with a carriage return and a line feed at its end"),
            ("{\"a\":1}", " {\"a\":1} ", "without white space around it"),
            ("a", "\u{feff}a", "without a byte order mark"),
            ("\u{feff}a", "a", "with a byte order mark"),
            ("a\nb", "a\r\nb", "with line feeds alone"),
            ("a\r\nb", "a\nb", "with carriage returns before its line feeds"),
            ("a=b+c", "a=b%20c", "with `+` for blanks"),
            ("a=b%20c", "a=b+c", "with `%20` for blanks"),
        ]);
    }

    #[test]
    fn what_is_another_body_or_no_json_is_not_told_as_the_same() {
        for (signed, came) in [
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":1}"#, r#"{"a" 1}"#),
            ("{\"a\":1", "{\"a\": 1"),
            ("", "\n"),
            ("x", ""),
            (r#"{"a":"b c"}"#, r#"{"a":"bc"}"#),
        ] {
            assert_eq!(find(came.as_bytes(), &|other| other == signed.as_bytes()), None, "{came}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(find(deep.as_bytes(), &|_| false), None);
        assert_eq!(find(b"\xff\xfe", &|_| false), None);
    }

    #[test]
    fn names_in_order_are_told_where_they_are_hardly_so_by_chance() {
        let sorted = r#"[{"a":1,"b":2,"c":{"y":0,"z":1},"d":4,"e":5,"f":6}]"#;
        for (body, is) in [
            (sorted.to_owned(), true),
            (sorted.replace(r#""y":0,"z":1"#, r#""z":0,"y":1"#), false),
            (sorted.replace(r#","f":6"#, ""), false),
            (sorted.replace(r#""f""#, r#""A""#), false),
            ("[1, 2]".to_owned(), false),
            ("{".to_owned(), false),
        ] {
            assert_eq!(is_sorted(body.as_bytes()), is, "{body}");
        }
    }

    #[test]
    fn tries_are_bounded() {
        let tries = |body: &str| {
            let count = std::cell::Cell::new(0);
            let _ = find(body.as_bytes(), &|_| {
                count.set(count.get() + 1);
                false
            });
            count.get()
        };
        let whole = r#"{"a": "\u003c/é", "b+": ["%20"]}"#;
        assert!((100..=700).contains(&tries(whole)), "{}", tries(whole));
        let large = format!(r#"{{"a": "{}"}}"#, "\\u003c/é".repeat(200_000));
        assert!((20..=60).contains(&tries(&large)), "{}", tries(&large));
    }
}
