//! A request without its secrets. In: what was admitted, verified and read. Out: the same as the template sees it and
//! as it is kept: without login headers, the slug, and the secret of whoever shows it as it is, wherever that stands.

use http::{HeaderMap, HeaderValue};

use super::Submission;
use super::check::Check;
use crate::parse::redact::{Keep, REDACTED, Secrets};
use crate::request::{Content, SECRET_HEADERS};
use crate::spool::Marks;

impl Submission {
    /// The same without them.
    pub(super) fn bare(mut self, slug: &str) -> Self {
        for name in SECRET_HEADERS {
            self.headers.remove(name);
        }
        let endpoint = std::sync::Arc::clone(&self.endpoint);
        if let Some(check) = &endpoint.check {
            self.strip(check);
        }
        hide(&mut self.headers, slug);
        self
    }

    fn strip(&mut self, check: &Check) {
        let Some(secrets) = check.secrets() else { return };
        secrets.strip(&mut self.headers);
        let mut marks = self.sender.marks;
        marks = marks.with(Marks::REDACTED, cut_headers(&mut self.headers, secrets, check));
        if let Some(query) = secrets.cut_query(&self.query) {
            self.query = query;
            marks = marks.with(Marks::REDACTED, true);
        }
        match secrets.cut_body(&self.content.decoded, |body| check.shows(body)) {
            Keep::Same => {}
            Keep::Cut(body) => {
                let is_encoded = self.content.raw != self.content.decoded;
                self.content = Content { raw: body.clone(), decoded: body };
                marks = marks.with(Marks::REDACTED, true).with(Marks::DECODED, is_encoded);
            }
            Keep::Withheld => {
                self.content = Content::default();
                marks = marks.with(Marks::REDACTED, true).with(Marks::WITHHELD, true);
            }
        }
        self.sender.marks = marks;
    }
}

/// Proxies like to repeat the address in a header, and with it what is a secret of its query. Whether there was one.
fn cut_headers(headers: &mut HeaderMap, secrets: &Secrets, check: &Check) -> bool {
    let mut is_cut = false;
    for value in headers.values_mut() {
        let text = String::from_utf8_lossy(value.as_bytes());
        let cut = secrets.cut_address(&text);
        let cut = cut.or_else(|| check.shows(value.as_bytes()).then(|| REDACTED.to_owned()));
        if let Some(cut) = cut {
            *value = HeaderValue::try_from(cut).unwrap_or(HeaderValue::from_static(REDACTED));
            is_cut = true;
        }
    }
    is_cut
}

/// Proxies like to repeat the path in a header; the slug is a secret there, too.
fn hide(headers: &mut HeaderMap, slug: &str) {
    let mut finder = None;
    for value in headers.values_mut().filter(|value| value.len() >= slug.len()) {
        let finder = finder.get_or_insert_with(|| memchr::memmem::Finder::new(slug));
        if finder.find(value.as_bytes()).is_some() {
            let text = String::from_utf8_lossy(value.as_bytes()).replace(slug, "***");
            *value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("***"));
        }
    }
}
