//! What is kept of a request whose webhook has rules for that. In: a submission. Out: the copy that goes to disk and
//! into events, with marks for those who read it later. The template has the request as it was sent.

use super::Submission;
use super::failure::Failure;
use crate::json::Limits;
use crate::parse;
use crate::parse::redact::Keep;
use crate::request::{Body, Content, HOPS, hops};
use crate::spool::Marks;

/// A request without what is not to be kept of it.
pub(super) struct Shown {
    pub(super) submission: Submission,
    pub(super) body: Body,
}

impl Shown {
    pub(super) fn new(submission: Submission, limits: Limits) -> Box<Self> {
        let Submission { method, headers, content, .. } = &submission;
        let body = parse::of_request(method, headers, content.decoded.clone(), limits);
        let body = body.unwrap_or(Body::Empty);
        Box::new(Self { submission, body })
    }
}

impl Submission {
    /// The copy that is kept, when that is another than the request: a rule found something.
    pub(super) fn redacted(&self, limits: Limits) -> Option<Self> {
        let rules = self.endpoint.redact.as_deref()?;
        let mut copy = self.clone();
        let mut is_cut = rules.cut_headers(&mut copy.headers);
        // Nothing but a count stays of it, and that is what ends a circle.
        let hops = hops(&self.headers);
        if hops > 0 {
            copy.headers.insert(HOPS.clone(), u16::from(hops).into());
        }
        if let Some(query) = rules.cut_query(&self.query) {
            (copy.query, is_cut) = (query, true);
        }
        let marks = self.sender.marks;
        let marks = match rules.cut_body(&self.method, &self.headers, &self.content.decoded, limits)
        {
            Keep::Same => marks,
            Keep::Cut(body) => {
                let is_encoded = self.content.raw != self.content.decoded;
                (copy.content, is_cut) = (Content { raw: body.clone(), decoded: body }, true);
                marks.with(Marks::DECODED, is_encoded)
            }
            Keep::Withheld => {
                (copy.content, is_cut) = (Content::default(), true);
                marks.with(Marks::WITHHELD, true)
            }
        };
        copy.sender.marks = marks.with(Marks::REDACTED, is_cut);
        is_cut.then_some(copy)
    }
}

impl Failure {
    /// The same without words that may quote the request.
    pub(super) fn without_quotes(&self, is_sealed: bool) -> Self {
        let what = if is_sealed { "sealed: `hookgate explain` says them" } else { "redacted" };
        let message = format!(
            "{}; the words of the fault are not kept, since they may quote what is {what}",
            self.kind.detail()
        );
        Self {
            kind: self.kind,
            message,
            line: self.line,
            pointer: None,
            rendered: None,
            draft: None,
            diagnostics: Vec::new(),
        }
    }
}
