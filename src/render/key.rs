//! What tells a request from others of its webhook, so that one sent twice is taken once. In: a rule, which is a
//! header's name or a template, and what a template sees. Out: the request's key, or none. Pure, as templates are.

use http::HeaderName;

use super::{Code, Context, Diagnostic, Limits, Template};

/// How the key of a request is found.
#[derive(Debug)]
pub enum KeyRule {
    /// It is the value of this header; of several all of them, so that none can be hidden behind another.
    Header(HeaderName),
    /// It is what this template renders to, without the blanks around it.
    Template(Box<Template>),
}

impl KeyRule {
    /// Reads a rule: what has tags of a template is one, anything else must name a header.
    ///
    /// # Errors
    /// Why it is neither.
    pub fn compile(text: &str, limits: Limits) -> Result<Self, Diagnostic> {
        if text.contains("{{") || text.contains("{%") {
            return Template::compile(text, limits).map(Box::new).map(Self::Template);
        }
        text.trim().parse().map(Self::Header).map_err(|_| {
            let what = "neither the name of a header nor a template, such as {{ body.id }}";
            Diagnostic::error(Code::Syntax, what)
        })
    }

    /// The key of a request; none when its header is not there, its template fails, or there is nothing in it.
    #[must_use]
    pub fn key(&self, seen: &Context<'_>) -> Option<Vec<u8>> {
        let key = match self {
            Self::Header(name) => {
                let values: Vec<&[u8]> = seen
                    .headers
                    .get_all(name)
                    .iter()
                    .map(|one| one.as_bytes().trim_ascii())
                    .collect();
                values.join(&b", "[..])
            }
            Self::Template(template) => template.render(seen).ok()?.trim().as_bytes().to_vec(),
        };
        Some(key).filter(|key| !key.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::request::Body;

    fn key(rule: &str, headers: &HeaderMap) -> Option<String> {
        let rule = KeyRule::compile(rule, Limits::default()).expect("a rule");
        let body = Body::Form(vec![("id".to_owned(), "7".to_owned())]);
        let key = rule.key(&Context::new(&Method::POST, headers, &body))?;
        Some(String::from_utf8(key).expect("text"))
    }

    #[test]
    fn a_key_is_a_header_or_what_a_template_makes() {
        let mut headers = HeaderMap::new();
        headers.insert("x-delivery", HeaderValue::from_static("a1"));
        headers.insert("x-empty", HeaderValue::from_static(" "));
        for (rule, found) in [
            ("X-Delivery", Some("a1")),
            ("X-Other", None),
            ("X-Empty", None),
            ("{{ body.id }}", Some("7")),
            (" {{ headers['X-Delivery'] }}/{{ body.id }}\n", Some("a1/7")),
            ("{{ body.other }}", None),
            ("{{ 1 // 0 }}", None),
        ] {
            assert_eq!(key(rule, &headers).as_deref(), found, "{rule}");
        }
        headers.append("x-delivery", HeaderValue::from_static("b2"));
        assert_eq!(key("X-Delivery", &headers).as_deref(), Some("a1, b2"), "as a list");
        for wrong in ["", "two words", "body.id!{", "{{ body", "{{ x|nofilter }}"] {
            assert!(KeyRule::compile(wrong, Limits::default()).is_err(), "{wrong}");
        }
    }
}
