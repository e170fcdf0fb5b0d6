//! `urlize`: what looks like a link or an address in a text becomes one. In: text. Out: HTML. Never a link to a
//! scheme that was not asked for.

use std::borrow::Cow;

use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::chars::{self, is_decimal, is_space, is_word};
use super::super::compare::{How, holds};
use super::super::engine::Scope;
use super::super::lookup::collect;
use super::super::ops;
use super::super::value::{fault, index, marked};
use super::Table;
use super::html::escaped;
use super::text::demanded;

pub(super) const TABLE: Table = &[("urlize", urlize)];

/// The domains that are links without a scheme.
const DOMAINS: [&str; 8] = ["com", "net", "int", "edu", "gov", "org", "info", "mil"];

/// How links are written.
struct Style {
    /// Looked at only when a link is long enough to ask.
    shown_max: Option<Value>,
    attributes: String,
    schemes: Vec<String>,
}

fn urlize(scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["trim_url_limit", "nofollow", "target", "rel", "extra_schemes"];
    let bound = bind("urlize", names, 0, args)?;
    let [limit, nofollow, target, rel, schemes] =
        bound.map(|value| value.filter(|value| !value.is_none()));
    let rel = rel.filter(Value::is_true);
    let rel = rel.as_ref().map_or(Ok(""), |rel| demanded("urlize", rel))?;
    let mut rels: Vec<&str> = rel.split(is_space).filter(|part| !part.is_empty()).collect();
    rels.push("noopener");
    if nofollow.is_some_and(|nofollow| nofollow.is_true()) {
        rels.push("nofollow");
    }
    rels.sort_unstable();
    rels.dedup();
    let mut attributes = String::from(" rel=\"");
    ops::escape(&mut attributes, &rels.join(" "))?;
    attributes.push('"');
    if let Some(target) = target.filter(Value::is_true) {
        attributes.push_str(" target=\"");
        attributes.push_str(&escaped(&target)?);
        attributes.push('"');
    }
    let schemes = schemes.map_or(Ok(Vec::new()), |schemes| collect(&schemes))?;
    let schemes: Result<Vec<String>, Error> = schemes.iter().map(scheme).collect();
    let style = Style { shown_max: limit, attributes, schemes: schemes? };
    let text = escaped(value)?;
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while !rest.is_empty() {
        let length = rest.find(is_space).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        budget::take(word.len() * 2 + style.attributes.len())?;
        style.word(&mut out, word)?;
        let gap = after.find(|c| !is_space(c)).unwrap_or(after.len());
        out.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    Ok(marked(out, scope.escaping))
}

/// A scheme with its colon, and up to two slashes.
fn scheme(value: &Value) -> Result<String, Error> {
    let text = demanded("urlize", value)?;
    let (name, slashes) = text.split_once(':').unwrap_or_default();
    let is_name = name.chars().count() >= 2
        && name.chars().all(|c| is_word(c) || matches!(c, '.' | '+' | '-'));
    if is_name && ["", "/", "//"].contains(&slashes) {
        return Ok(text.to_owned());
    }
    Err(fault(format!("'{text}' is no scheme of a link")))
}

impl Style {
    /// Writes one word, as a link if it is one.
    fn word(&self, out: &mut String, word: &str) -> Result<(), Error> {
        let (head, mut middle, mut tail) = split(word);
        for (open, close) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
            let opened = middle.matches(open).count();
            if opened <= middle.matches(close).count() {
                continue;
            }
            for _ in 0..opened.min(tail.matches(close).count()) {
                let end = tail.find(close).map_or(0, |place| place + close.len());
                let moved = head.len() + middle.len() + end;
                middle = &word[head.len()..moved];
                tail = &word[moved..];
            }
        }
        out.push_str(head);
        self.link(out, middle)?;
        out.push_str(tail);
        Ok(())
    }

    fn link(&self, out: &mut String, middle: &str) -> Result<(), Error> {
        let mail = |text: &str| is_address(text);
        if is_link(middle) {
            let scheme = middle.starts_with("https://") || middle.starts_with("http://");
            let shown = self.shown(middle)?;
            let lead = if scheme { "" } else { "https://" };
            anchor(out, lead, middle, &self.attributes, &shown);
        } else if let Some(address) = middle.strip_prefix("mailto:").filter(|text| mail(text)) {
            anchor(out, "mailto:", address, "", address);
        } else if middle.contains('@')
            && !middle.starts_with("www.")
            && !middle.starts_with('@')
            && !middle.contains(':')
            && mail(middle)
        {
            anchor(out, "mailto:", middle, "", middle);
        } else if self
            .schemes
            .iter()
            .any(|scheme| middle != scheme && middle.starts_with(&**scheme))
        {
            anchor(out, "", middle, &self.attributes, middle);
        } else {
            out.push_str(middle);
        }
        Ok(())
    }

    /// What is shown of a link.
    fn shown<'t>(&self, link: &'t str) -> Result<Cow<'t, str>, Error> {
        let Some(most) = &self.shown_max else { return Ok(Cow::Borrowed(link)) };
        if !holds(How::Greater, &Value::from(chars::length(link)), most)? {
            return Ok(Cow::Borrowed(link));
        }
        let most = index("urlize", most)?;
        // Python counts a negative limit from the end.
        let kept = if most < 0 { most.saturating_add(chars::length(link)) } else { most };
        let mut shown: String = link.chars().take(usize::try_from(kept).unwrap_or(0)).collect();
        shown.push_str("...");
        Ok(Cow::Owned(shown))
    }
}

fn anchor(out: &mut String, scheme: &str, to: &str, attributes: &str, shown: &str) {
    for part in ["<a href=\"", scheme, to, "\"", attributes, ">", shown, "</a>"] {
        out.push_str(part);
    }
}

/// A word without the brackets in front of it and the punctuation behind it.
fn split(word: &str) -> (&str, &str, &str) {
    let mut start = 0;
    while let Some(length) = first_of(&word[start..], &["(", "<", "&lt;"]) {
        start += length;
    }
    let mut end = word.len();
    while let Some(length) = last_of(&word[start..end], &[")", ">", ".", ",", "&gt;"]) {
        end -= length;
    }
    (&word[..start], &word[start..end], &word[end..])
}

fn first_of(text: &str, parts: &[&str]) -> Option<usize> {
    parts.iter().find(|part| text.starts_with(**part)).map(|part| part.len())
}

fn last_of(text: &str, parts: &[&str]) -> Option<usize> {
    parts.iter().find(|part| text.ends_with(**part)).map(|part| part.len())
}

fn without_scheme(text: &str) -> Option<&str> {
    let lead = |scheme: &str| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    };
    lead("http://").or_else(|| lead("https://"))
}

/// Whether a word is a link: a host behind `http`, `https` or `www.`, or a host of a well-known domain.
fn is_link(text: &str) -> bool {
    let behind_www =
        || text.get(..4).filter(|head| head.eq_ignore_ascii_case("www.")).map(|_| &text[4..]);
    if let Some(rest) = without_scheme(text) {
        if rest.starts_with('[') {
            return rest
                .find(']')
                .is_some_and(|end| is_ip6(&rest[1..end]) && is_path(&rest[end + 1..]));
        }
        let (host, path) = split_host(rest);
        if is_path(path) && (is_host(host) || is_ip4(host)) {
            return true;
        }
    }
    if let Some(rest) = behind_www() {
        let (host, path) = split_host(rest);
        if is_path(path) && is_host(host) {
            return true;
        }
    }
    let (host, path) = split_host(text);
    is_path(path) && is_known_host(host)
}

fn split_host(text: &str) -> (&str, &str) {
    text.split_at(text.find([':', '/', '?', '#']).unwrap_or(text.len()))
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_word(c) || matches!(c, '%' | '-'))
}

fn is_host(host: &str) -> bool {
    let (labels, top) = host.rsplit_once('.').map_or((None, host), |(head, top)| (Some(head), top));
    let is_top =
        (2..=63).contains(&top.len()) && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_foreign = || {
        let name = top.get(..4).filter(|head| head.eq_ignore_ascii_case("xn--")).map(|_| &top[4..]);
        name.is_some_and(|name| {
            (2..=59).contains(&name.chars().count()) && name.chars().all(|c| is_word(c) || c == '%')
        })
    };
    (is_top || is_foreign()) && labels.is_none_or(|labels| labels.split('.').all(is_label))
}

fn is_known_host(host: &str) -> bool {
    let Some((labels, top)) = host.rsplit_once('.') else { return false };
    DOMAINS.iter().any(|known| top.eq_ignore_ascii_case(known))
        && labels
            .split('.')
            .all(|label| is_label(label) && (2..=63).contains(&label.chars().count()))
}

fn is_ip4(host: &str) -> bool {
    let is_part =
        |part: &str| (1..=3).contains(&part.chars().count()) && part.chars().all(is_decimal);
    host.split('.').count() == 4 && host.split('.').all(is_part)
}

fn is_ip6(text: &str) -> bool {
    let mut rest = text;
    let mut groups = 0;
    while !rest.is_empty() || groups < 2 {
        let hex = rest.bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
        let colon = rest[hex..].starts_with(':');
        if !colon && (groups < 2 || hex == 0) {
            return false;
        }
        rest = &rest[hex + usize::from(colon)..];
        groups += 1;
        if groups > 8 {
            return false;
        }
    }
    true
}

/// Whether what follows a host is a port, a path, both or nothing.
fn is_path(text: &str) -> bool {
    let rest = match text.strip_prefix(':') {
        Some(port) => {
            let digits = port.chars().take_while(|c| is_decimal(*c)).count();
            if !(1..=5).contains(&digits) {
                return false;
            }
            port.trim_start_matches(is_decimal)
        }
        None => text,
    };
    rest.is_empty() || rest.starts_with(['/', '?', '#'])
}

/// Whether a word is the address of a mailbox.
fn is_address(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let Some((domain, top)) = host.rsplit_once('.') else { return false };
    !name.is_empty()
        && domain.chars().next().is_some_and(is_word)
        && domain.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
        && !top.is_empty()
        && top.chars().all(is_word)
}
