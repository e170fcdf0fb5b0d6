//! What tells a webhook's requests apart, when those sent again are to be taken once. In: a rule, and what a template
//! sees of a request. Out: a digest. Remembers nothing.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};

use crate::render::{Context, KeyRule, Limits};
use crate::spool;
use crate::store::Dedup;

/// How a webhook's requests are told apart.
#[derive(Debug)]
pub struct Once {
    rule: Box<str>,
    compiled: OnceLock<Option<KeyRule>>,
    /// For how long a request is remembered.
    pub window_seconds: i64,
}

impl Once {
    pub(super) fn new(dedup: &Dedup) -> Self {
        let Dedup { key, window_seconds } = dedup;
        let compiled = OnceLock::new();
        Self { rule: key.as_str().into(), compiled, window_seconds: *window_seconds }
    }

    /// What tells a request apart, as a digest; another rule finds others.
    #[must_use]
    pub fn digest(&self, seen: &Context<'_>, limits: Limits) -> Option<spool::Digest> {
        let rule = self.compiled.get_or_init(|| KeyRule::compile(&self.rule, limits).ok());
        let key = rule.as_ref()?.key(seen)?;
        let whole = digest(&SHA256, &[self.rule.as_bytes(), b"\0", &key].concat());
        whole.as_ref().get(..16)?.try_into().ok()
    }
}
