//! Drafts that render beside what is live, and what they would have made another way. In: drafts as they are kept, and
//! pairs of what both made of one request. Out: counts, and the last few differences. Bounded for each draft; gone with
//! the draft, with the version it was compared with, and with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Diagnostic, Limits, Template};
use crate::clock::Time;
use crate::id::Uuid;

/// Most differences that are kept of one draft.
pub const DIFFERENCES_MAX: usize = 5;
/// Largest event that a difference shows.
pub const SHOWN_MAX_BYTES: usize = 16 << 10;

/// How a draft's outcome stands to that of what is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both make the same event.
    Identical,
    /// Both make an event, and not the same.
    Changed,
    /// Only what is live makes one.
    NewlyFailing,
    /// Only the draft makes one.
    NewlyPassing,
    /// Neither makes one.
    StillFailing,
}

impl Verdict {
    /// Every one with its word.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Identical, "identical"),
        (Self::Changed, "changed"),
        (Self::NewlyFailing, "newly_failing"),
        (Self::NewlyPassing, "newly_passing"),
        (Self::StillFailing, "still_failing"),
    ];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// What a template made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// This event; nothing when it is too large to be shown, or made of what is not to be.
    Event(Option<Box<str>>),
    /// None, and why.
    Fault(Box<str>),
}

/// A request of which both made something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The request's receipt.
    pub receipt: Uuid,
    /// When it came.
    pub received: Time,
    /// How they differ.
    pub verdict: Verdict,
    /// Where, as JSON pointers into the events as they are shown.
    pub places: Vec<String>,
    /// What the live template made.
    pub live: Made,
    /// What the draft made.
    pub draft: Made,
}

/// What is known of a draft.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many requests there were of each verdict, in the order of [`Verdict::ALL`].
    pub counts: [u64; Verdict::ALL.len()],
    /// Requests that were let go, for want of time or room.
    pub skipped: u64,
    /// The last that differ.
    pub last: VecDeque<Difference>,
}

/// A draft that renders beside what is live.
#[derive(Debug)]
pub struct Shadow {
    source: Box<str>,
    beside: u64,
    compiled: OnceLock<Result<Template, Diagnostic>>,
    tally: Mutex<Tally>,
}

impl Shadow {
    /// The draft, compiled at its first use.
    ///
    /// # Errors
    /// Why it does not compile.
    pub fn template(&self, limits: Limits) -> Result<&Template, &Diagnostic> {
        self.compiled.get_or_init(|| Template::compile(&self.source, limits)).as_ref()
    }

    /// Notes a request that both rendered to the same.
    pub fn agree(&self, verdict: Verdict) {
        self.change(|tally| tally.counts[verdict as usize] += 1);
    }

    /// Notes a request that they did not.
    pub fn differ(&self, difference: Difference) {
        self.change(|tally| {
            tally.counts[difference.verdict as usize] += 1;
            if tally.last.len() == DIFFERENCES_MAX {
                tally.last.pop_front();
            }
            tally.last.push_back(difference);
        });
    }

    /// Notes a request that was let go.
    pub fn skip(&self) {
        self.change(|tally| tally.skipped += 1);
    }

    /// What is known until now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, with: impl FnOnce(&mut Tally)) {
        with(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// All of them, by webhook.
#[derive(Debug, Default)]
pub struct Shadows {
    all: Mutex<HashMap<Uuid, Arc<Shadow>>>,
}

impl Shadows {
    /// What is to render beside that version of a webhook's template from now on, if anything. The same as before goes
    /// on counting.
    pub fn set(&self, webhook: Uuid, beside: u64, draft: Option<&str>) -> Option<Arc<Shadow>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(draft) = draft else {
            all.remove(&webhook);
            return None;
        };
        let is_same = |shadow: &&Arc<Shadow>| shadow.beside == beside && *shadow.source == *draft;
        if let Some(shadow) = all.get(&webhook).filter(is_same) {
            return Some(Arc::clone(shadow));
        }
        let (compiled, tally) = (OnceLock::new(), Mutex::default());
        let shadow = Arc::new(Shadow { source: draft.into(), beside, compiled, tally });
        all.insert(webhook, Arc::clone(&shadow));
        Some(shadow)
    }

    /// That of a webhook.
    #[must_use]
    pub fn find(&self, webhook: Uuid) -> Option<Arc<Shadow>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(&webhook).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_goes_on_counting_until_it_or_what_is_live_changes() {
        let (shadows, id) = (Shadows::default(), Uuid::from_u128(1));
        let one = shadows.set(id, 1, Some("a")).expect("one");
        one.agree(Verdict::Identical);
        for number in 0..7 {
            let made = || Made::Event(None);
            one.differ(Difference {
                receipt: Uuid::from_u128(number),
                received: Time::default(),
                verdict: Verdict::Changed,
                places: Vec::new(),
                live: made(),
                draft: made(),
            });
        }
        let tally = shadows.set(id, 1, Some("a")).expect("the same").tally();
        assert_eq!((tally.counts, tally.skipped), ([1, 7, 0, 0, 0], 0));
        let last: Vec<_> = tally.last.iter().map(|one| one.receipt.as_u128()).collect();
        assert_eq!(last, [2, 3, 4, 5, 6]);
        for (beside, draft) in [(1, "b"), (2, "b")] {
            let fresh = shadows.set(id, beside, Some(draft)).expect("another");
            assert_eq!(fresh.tally().counts, [0; 5]);
            fresh.agree(Verdict::Identical);
        }
        assert!(shadows.set(id, 2, None).is_none() && shadows.find(id).is_none());
    }

    #[test]
    fn verdicts_stand_in_their_order() {
        for (place, (verdict, name)) in Verdict::ALL.iter().enumerate() {
            assert_eq!((*verdict as usize, verdict.name()), (place, *name));
        }
    }
}
