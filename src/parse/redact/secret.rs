//! A secret that a request shows as it is. In: the places where its sender puts it, and the parts of a request. Out:
//! the parts without it. Read as the secret is: JSON and forms whatever their media type says.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::path::Path;
use super::{Keep, cut_fields, splice};
use crate::json::{Document, Limits};

/// Bounds of a body in which a secret is looked for: no less than those of whoever looked whether it is right.
const LIMITS: Limits = Limits { depth_max: 64, nodes_max: 100_000 };

/// Where a secret stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// In these headers.
    pub headers: Vec<HeaderName>,
    /// In headers that begin so.
    pub stems: Vec<String>,
    /// In these fields of the query.
    pub query: Vec<String>,
    /// In these fields of a form.
    pub form: Vec<String>,
    /// At these pointers of a JSON body; `*` is each item.
    pub json: Vec<String>,
    /// It is the whole body.
    pub is_body: bool,
}

impl Secrets {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes away headers that hold it.
    pub fn strip(&self, headers: &mut HeaderMap) {
        for name in &self.headers {
            headers.remove(name);
        }
        let begins =
            |name: &HeaderName| self.stems.iter().any(|stem| name.as_str().starts_with(&**stem));
        let named: Vec<HeaderName> = headers.keys().filter(|name| begins(name)).cloned().collect();
        for name in named {
            headers.remove(name);
        }
    }

    /// The query without it; nothing when it is not there.
    #[must_use]
    pub fn cut_query(&self, query: &str) -> Option<String> {
        let cut = cut_fields(query.as_bytes(), |name| self.query.iter().any(|one| one == name));
        cut.and_then(|cut| String::from_utf8(cut).ok())
    }

    /// An address that a header repeats, or its query alone, without it; nothing when it is not there.
    #[must_use]
    pub fn cut_address(&self, text: &str) -> Option<String> {
        if self.query.is_empty() {
            return None;
        }
        let (front, query) = text.split_at(text.find('?').map_or(0, |at| at + 1));
        self.cut_query(query).map(|cut| format!("{front}{cut}"))
    }

    /// A decoded body without it. What cannot be read is withheld if `shows` says that it is in there.
    #[must_use]
    pub fn cut_body(&self, body: &Bytes, shows: impl Fn(&[u8]) -> bool) -> Keep {
        if body.is_empty() {
            return Keep::Same;
        }
        if self.is_body {
            return Keep::Withheld;
        }
        let mut kept = body.clone();
        if !self.form.is_empty() {
            let is_meant = |name: &str| self.form.iter().any(|one| one == name);
            kept = cut_fields(&kept, is_meant).map_or(kept, Bytes::from);
        }
        if !self.json.is_empty() {
            let Ok(document) = Document::parse(kept.clone(), LIMITS) else {
                return if shows(body) { Keep::Withheld } else { changed(body, kept) };
            };
            let mut found = Vec::new();
            for pointer in &self.json {
                Path::of_pointer(pointer).find(document.root(), &mut found);
            }
            kept = splice(&kept, found).unwrap_or(kept);
        }
        changed(body, kept)
    }
}

fn changed(body: &Bytes, kept: Bytes) -> Keep {
    if *body == kept { Keep::Same } else { Keep::Cut(kept) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn kept(secrets: &Secrets, body: &'static str) -> Keep {
        let shows = |body: &[u8]| memchr::memmem::find(body, b"word").is_some();
        secrets.cut_body(&Bytes::from_static(body.as_bytes()), shows)
    }

    fn cut(text: &'static str) -> Keep {
        Keep::Cut(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_secret_is_cut_wherever_its_sender_puts_it() {
        let pointers = Secrets {
            json: vec!["/value/*/state".to_owned(), "/0/token".to_owned(), "/n/0".to_owned()],
            ..Secrets::default()
        };
        for (body, wanted) in [
            (
                r#"{"value": [{"state":"word","a":1}, {"st\u0061te": "w"}, {}]}"#,
                cut(
                    r#"{"value": [{"state":"[redacted]","a":1}, {"st\u0061te": "[redacted]"}, {}]}"#,
                ),
            ),
            (r#"[{"token":"word"},{"token":1}]"#, cut(r#"[{"token":"[redacted]"},{"token":1}]"#)),
            (r#"{"n":{"0":"word","1":2}}"#, cut(r#"{"n":{"0":"[redacted]","1":2}}"#)),
            (r#"{"state":"w"}"#, Keep::Same),
            (r#"{"value": [{"state":"word""#, Keep::Withheld),
            ("some text", Keep::Same),
            ("", Keep::Same),
        ] {
            assert_eq!(kept(&pointers, body), wanted, "{body}");
        }
        let form = Secrets { form: vec!["to ken".to_owned()], ..Secrets::default() };
        assert_eq!(kept(&form, "a=1&to+ken=word"), cut("a=1&to+ken=%5Bredacted%5D"));
        assert_eq!(kept(&form, r#"{"a":1}"#), Keep::Same);
        let whole = Secrets { is_body: true, ..Secrets::default() };
        assert_eq!(kept(&whole, "word"), Keep::Withheld);
        let query = Secrets { query: vec!["token".to_owned()], ..Secrets::default() };
        let cut = query.cut_query("tok%65n=word&a=1").expect("it is there");
        assert_eq!(cut, "tok%65n=%5Bredacted%5D&a=1");
        assert_eq!(query.cut_query("a=1"), None);
        for (text, wanted) in [
            ("/hooks/x?a=1&token=word", Some("/hooks/x?a=1&token=%5Bredacted%5D")),
            (
                "https://h.example/hooks/x?token=word",
                Some("https://h.example/hooks/x?token=%5Bredacted%5D"),
            ),
            ("token=word", Some("token=%5Bredacted%5D")),
            ("/hooks/x?a=1", None),
            ("text", None),
        ] {
            assert_eq!(query.cut_address(text).as_deref(), wanted, "{text}");
        }
        let in_headers = Secrets {
            headers: vec![HeaderName::from_static("x-token")],
            stems: vec!["x-key-".to_owned()],
            ..Secrets::default()
        };
        let names = ["x-token", "x-key-1", "x-key-2", "x-keys"];
        let mut headers: HeaderMap = names
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("word")))
            .into_iter()
            .collect();
        in_headers.strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-keys"]);
    }
}
