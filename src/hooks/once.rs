//! What tells a webhook's requests apart, when those sent again are to be taken once. In: a rule and what a template
//! sees of a request, or what of it was signed. Out: digests, and the first request that had one. Remembers nothing
//! itself: the spool does, on stable storage.

use std::sync::OnceLock;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};

use super::refusal::Refusal;
use super::rendering::Rendering;
use super::{Admission, Hooks, Kept, Submission, Verdict};
use crate::event::Event;
use crate::render::{Context, KeyRule, Limits};
use crate::spool::{self, Again, First, Taken};
use crate::store::Dedup;
use crate::verify::signature::Signed;

/// How long what was signed is remembered where nothing bounds for how long it counts.
const DAY_SECONDS: i64 = 86_400;

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

/// How one request is known again.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    /// By what its webhook's rule finds.
    key: Option<Again>,
    /// By what was signed.
    signed: Option<Again>,
}

impl Known {
    /// By what was signed: for as long as it counts, whichever of the two clocks is ahead.
    pub(super) fn signed(admission: &Admission, signed: Option<Signed>) -> Self {
        let Some(Signed { digest, window }) = signed else { return Self::default() };
        let seconds = window.map_or(DAY_SECONDS, |window| 2 * i64::from(window) + 1);
        let since = admission.arrival.received.plus_seconds(-seconds);
        Self { key: None, signed: Some(Again { key: (admission.endpoint.id, digest), since }) }
    }

    pub(super) fn is_any(&self) -> bool {
        self.key.is_some() || self.signed.is_some()
    }

    /// As frames hold them: that of the rule, and that of what was signed.
    pub(super) fn digests(&self) -> [Option<spool::Digest>; 2] {
        [self.key, self.signed].map(|again| again.map(|again| again.key.1))
    }

    /// The same for a request that came to no event.
    fn of_failed(self) -> Self {
        let [key, signed] = [self.key, self.signed].map(|again| again.map(|one| one.of_failed()));
        Self { key, signed }
    }

    fn list(self) -> Vec<Again> {
        [self.key, self.signed].into_iter().flatten().collect()
    }
}

impl Kept {
    /// What was kept when the same request came before.
    pub(super) fn before(first: First) -> Self {
        Self { receipt: first.receipt, id: first.id, verdict: Verdict::Duplicate }
    }
}

impl Hooks {
    /// How a request is known again, when its webhook takes those sent again once.
    pub(super) fn known(&self, rendering: &Rendering) -> Known {
        let Submission { endpoint, received, known, .. } = &rendering.submission;
        let Some(once) = endpoint.once.as_ref() else { return *known };
        let Some(digest) = rendering.key else {
            self.facts.missed_key();
            return *known;
        };
        let since = received.plus_seconds(-once.window_seconds);
        Known { key: Some(Again { key: (endpoint.id, digest), since }), ..*known }
    }

    /// The request that this one repeats.
    pub(super) async fn first(&self, known: Known) -> Result<Option<First>, Refusal> {
        if !known.is_any() {
            return Ok(None);
        }
        // Apart: what few webhooks ask must not weigh on every request.
        Ok(Box::pin(async move { self.spool.first(&known.list()).await }).await?)
    }

    /// As [`Hooks::append`]; but when the same request came a moment ago, that one's receipt. What came to no event is
    /// kept once, too, as long as all that are sent again come to none: the first that does is taken.
    pub(super) async fn append_once(
        &self,
        submission: Submission,
        events: &[Event],
        known: Known,
        verdict: Verdict,
    ) -> Result<Kept, Refusal> {
        let named @ (id, _) = (events[0].id, submission.received);
        let list = known.list();
        let taken = if let Verdict::Failed(_) = verdict {
            let frame = self.frame(submission, events, known.of_failed());
            let started = Instant::now();
            let taken = self.spool.append_failed(&list, named, frame).await?;
            self.facts.appended(started.elapsed());
            taken
        } else {
            let frame = self.frame(submission, events, known);
            let started = Instant::now();
            let taken = self.spool.append_first(&list, named, frame).await?;
            self.facts.appended(started.elapsed());
            taken
        };
        Ok(match (taken, verdict) {
            (Taken::New(receipt), verdict) => Kept { receipt, id, verdict },
            (Taken::Failed(First { id, receipt, .. }), Verdict::Failed(kind)) => {
                Kept { receipt, id, verdict: Verdict::FailedAgain(kind) }
            }
            (Taken::Known(first) | Taken::Failed(first), _) => Kept::before(first),
        })
    }
}
