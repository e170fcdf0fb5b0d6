//! Labels by pattern. In: `label: pattern or list of patterns`. Out: whether a resource is like that. A pattern has
//! `*`, `?` and `[…]` as shells do, and `!` in front denies it. Each match looks at most once at each pair of places.

use std::collections::BTreeMap;

use super::Resource;

/// What labels must be: each label named is there, is like one of its patterns that affirm, and like none that deny.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, Vec<Pattern>>);

impl Labels {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a resource is like that.
    #[must_use]
    pub fn matches(&self, resource: &Resource<'_>) -> bool {
        self.0.iter().all(|(label, patterns)| {
            resource.get(label).is_some_and(|value| is_one_of(patterns, &value))
        })
    }
}

fn is_one_of(patterns: &[Pattern], value: &str) -> bool {
    let (mut affirms, mut affirmed) = (false, false);
    for pattern in patterns {
        if pattern.denies {
            if pattern.is_like(value) {
                return false;
            }
        } else {
            affirms = true;
            affirmed = affirmed || pattern.is_like(value);
        }
    }
    affirmed || !affirms
}

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    denies: bool,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `*`
    Any,
    /// `?`
    One,
    Char(char),
    /// `[a-z_]`, or `[!a-z_]`.
    Set {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Part {
    fn takes(&self, char: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Char(own) => *own == char,
            Self::Set { not, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&char)) != *not
            }
        }
    }
}

impl Pattern {
    /// Reads a pattern; every text is one, an open `[` stands for itself.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let (denies, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let chars: Vec<char> = text.chars().collect();
        let mut parts = Vec::with_capacity(chars.len());
        let mut at = 0;
        while let Some(&char) = chars.get(at) {
            at += 1;
            match char {
                '*' if parts.last() == Some(&Part::Any) => {}
                '*' => parts.push(Part::Any),
                '?' => parts.push(Part::One),
                '[' => match set(&chars[at..]) {
                    Some((set, length)) => {
                        parts.push(set);
                        at += length;
                    }
                    None => parts.push(Part::Char('[')),
                },
                char => parts.push(Part::Char(char)),
            }
        }
        Self { denies, parts }
    }

    /// The one text that it is like, when it affirms and there is only one.
    #[must_use]
    pub fn exact(&self) -> Option<String> {
        let char = |part: &Part| match part {
            Part::Char(char) => Some(*char),
            _ => None,
        };
        (!self.denies).then(|| self.parts.iter().map(char).collect()).flatten()
    }

    /// Whether a text is like the pattern, denied or not. A later `*` takes back no more than the one before it.
    fn is_like(&self, text: &str) -> bool {
        let (mut rest, mut part) = (text.chars(), 0);
        let mut star: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            if self.parts.get(part) == Some(&Part::Any) {
                part += 1;
                star = Some((part, before));
                continue;
            }
            match rest.next() {
                None if part == self.parts.len() => return true,
                Some(char) if self.parts.get(part).is_some_and(|part| part.takes(char)) => {
                    part += 1;
                }
                next => match &mut star {
                    Some((after, from)) if next.is_some() => {
                        from.next();
                        rest = from.clone();
                        part = *after;
                    }
                    _ => return false,
                },
            }
        }
    }
}

/// A set from behind its `[`, and its length with the `]`.
fn set(chars: &[char]) -> Option<(Part, usize)> {
    let not = chars.first() == Some(&'!');
    let start = usize::from(not);
    // A `]` right at the start is one of the set.
    let end = start + 1 + chars.get(start + 1..)?.iter().position(|&char| char == ']')?;
    let mut ranges = Vec::new();
    let mut at = start;
    while at < end {
        if at + 2 < end && chars[at + 1] == '-' {
            ranges.push((chars[at], chars[at + 2]));
            at += 3;
        } else {
            ranges.push((chars[at], chars[at]));
            at += 1;
        }
    }
    Some((Part::Set { not, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, like, unlike) in [
            ("abc", &["abc"][..], &["", "ab", "abcd", "ABC"][..]),
            ("a*", &["a", "abc"], &["", "ba"]),
            ("*", &["", "x"], &[]),
            ("a*b*c", &["abc", "aXbYbZc", "abcbc"], &["ab", "acb", "abcd"]),
            ("?", &["x", "ü"], &["", "xy"]),
            ("a?c", &["abc", "aüc"], &["ac", "abbc"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x", "-x"]),
            ("[!a-c]x", &["dx"], &["ax", "x"]),
            ("[]]", &["]"], &["[", ""]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[abc", &["[abc"], &["a"]),
            ("[", &["["], &["", "x"]),
            ("[!", &["[!"], &[""]),
            ("a**b", &["ab", "axxb"], &["a"]),
        ] {
            let read = Pattern::read(pattern);
            for text in like {
                assert!(read.is_like(text), "{pattern} is like {text}");
            }
            for text in unlike {
                assert!(!read.is_like(text), "{pattern} is unlike {text}");
            }
        }
    }

    #[test]
    fn some_affirm_and_all_that_deny_hold() {
        let patterns = |list: &[&str]| list.iter().map(|p| Pattern::read(p)).collect::<Vec<_>>();
        for (list, value, expected) in [
            (&["a*", "!ab"][..], "ax", true),
            (&["a*", "!ab"], "ab", false),
            (&["!a", "!b"], "c", true),
            (&["!a", "!b"], "b", false),
            (&["x", "y"], "y", true),
            (&["x", "y"], "z", false),
            (&[], "z", true),
        ] {
            assert_eq!(is_one_of(&patterns(list), value), expected, "{list:?} {value}");
        }
        assert_eq!(Pattern::read("a.b").exact().as_deref(), Some("a.b"));
        assert_eq!(Pattern::read("!a").exact(), None);
        assert_eq!(Pattern::read("a*").exact(), None);
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = Pattern::read(&"*a".repeat(500));
        assert!(!pattern.is_like(&"a".repeat(499)));
        assert!(!pattern.is_like(&format!("{}b", "a".repeat(20_000))));
    }
}
