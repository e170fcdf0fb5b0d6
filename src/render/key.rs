//! What tells a request from others of its webhook, so that one sent twice is taken once. In: a rule, which is a
//! header's name or a template, and what a template sees. Out: the request's key, or none. Pure, as templates are.

use http::HeaderName;

use super::budget::Running;
use super::diagnostic::Lines;
use super::error::nearest;
use super::{Code, Context, Diagnostic, Limits, Template, lint};

/// How the key of a request is found.
#[derive(Debug)]
pub enum KeyRule {
    /// It is the value of this header; of several all of them, so that none can be hidden behind another.
    Header(HeaderName),
    /// It is what this template renders to, without the blanks around it.
    Template {
        template: Box<Template>,
        /// It shows what expressions give: where none gives anything, what stands around them tells nothing.
        shows: bool,
    },
}

impl KeyRule {
    /// Reads a rule: what has tags of a template is one, anything else must name a header.
    ///
    /// # Errors
    /// Why it is neither.
    pub fn compile(text: &str, limits: Limits) -> Result<Self, Diagnostic> {
        if text.contains("{{") || text.contains("{%") {
            let template = Template::compile(text, limits).map(Box::new)?;
            return Ok(Self::Template { template, shows: text.contains("{{") });
        }
        text.trim().parse().map(Self::Header).map_err(|_| {
            let what = "neither the name of a header nor a template, such as {{ body.id }}";
            Diagnostic::error(Code::Syntax, what)
        })
    }

    /// The key of a request; none when its header is not there, its template fails, or there is nothing in it: all that
    /// its expressions give is undefined, null or empty. Else all requests without what tells them apart were the same.
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
            Self::Template { template, shows } => {
                let text = template.render(seen).ok()?;
                if *shows && !Running::gave() {
                    return None;
                }
                text.trim().as_bytes().to_vec()
            }
        };
        Some(key).filter(|key| !key.is_empty())
    }
}

/// Warnings of a rule that can be one: of names that nothing gives, and of a key that is the same for every request.
#[must_use]
pub fn doubts(rule: &str) -> Vec<Diagnostic> {
    let (text, lines) = Lines::read(rule);
    let Some(names) = lint::names(&text) else { return Vec::new() };
    let given: Vec<&str> = lint::REQUEST.into_iter().chain(lint::EXTENSIONS).collect();
    if !given.iter().any(|name| names.reads(name)) {
        let what = "nothing of the request is in this key: it is the same for every one";
        let help = "say what tells requests apart, such as {{ body.id }}: of all within the window one is taken";
        return vec![Diagnostic::warning(Code::Constant, what).with_help(help.to_owned())];
    }
    let told = |(name, start): (&str, usize)| {
        let what = format!("nothing gives the name '{name}': it is undefined for every request");
        let told = Diagnostic::warning(Code::UnknownName, what);
        let told = told.at(lines.place(&text, start, start + name.len()));
        let meant = nearest(name, given.iter().copied());
        let meant = meant.map_or_else(|| format!("body.{name}"), str::to_owned);
        told.with_help(format!("did you mean '{meant}'?"))
    };
    names.strangers.into_iter().map(told).collect()
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
            ("{{ body.other }}-{{ body.more }}", None),
            (
                "order {{ body.other }}: {{ none }}, {{ '' }}, {{ none|string }}, {{ none|tojson }}",
                None,
            ),
            ("{{ body.other }}-{{ body.id }}", Some("-7")),
            ("{{ 0 }}", Some("0")),
            ("{% if body.other %}{{ body.other }}{% else %}unknown{% endif %}", None),
            ("{% if body.id == '7' %}seven{% endif %}", Some("seven")),
        ] {
            assert_eq!(key(rule, &headers).as_deref(), found, "{rule}");
        }
        headers.append("x-delivery", HeaderValue::from_static("b2"));
        assert_eq!(key("X-Delivery", &headers).as_deref(), Some("a1, b2"), "as a list");
        for wrong in ["", "two words", "body.id!{", "{{ body", "{{ x|nofilter }}"] {
            assert!(KeyRule::compile(wrong, Limits::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rule_is_doubted_that_tells_no_requests_apart() {
        for (rule, column, words) in [
            ("X-Delivery", 0, ""),
            ("{{ body.id }}-{{ headers['X-A'] }}", 0, ""),
            ("{% set id = body.id %}{{ id }}", 0, ""),
            ("{{ boddy.id }}{{ body.id }}", 4, "did you mean 'body'?"),
            ("{{ body.id }}{{ order }}", 17, "did you mean 'body.order'?"),
            ("{{ 'a' }}", 0, "the same for every one"),
            ("{% if true %}a{% endif %}", 0, "the same for every one"),
        ] {
            let told = doubts(rule);
            let says = told.first().map(Diagnostic::sentence).unwrap_or_default();
            let found = told.first().and_then(Diagnostic::column).unwrap_or(0);
            assert_eq!(found, column, "{rule}: {says}");
            assert!(says.contains(words) && says.is_empty() == words.is_empty(), "{rule}: {says}");
        }
    }
}
