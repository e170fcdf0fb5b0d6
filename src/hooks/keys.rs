//! Keys that a request is judged with, and that are at its provider's. In: a request that was read. Out: what is known
//! of its sender, after what was missing was fetched. Waits for a bounded time, and only for a request that nothing
//! else speaks against; whoever signed with a key that is not to be had now is asked to come again.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::check::{self, Checked, Halt};
use super::refusal::Refusal;
use super::{Admission, Hooks};
use crate::apart::Apart;
use crate::fetch::Fetcher;
use crate::limit::Asker;
use crate::request::Content;
use crate::spool::SpoolError;
use crate::verify::signature::{Fault, Kept, Known, SECRETS_MAX, Wanted};

/// Most things that are fetched for one request: what it names, for each secret, and something newer.
const ROUNDS_MAX: usize = SECRETS_MAX + 2;

/// Longest wait for all of them before one that is not to be had is the last: senders do not wait much longer.
const WAIT_MAX: Duration = Duration::from_secs(6);

/// What is at hand, without what was just asked for in vain: who signed with another secret does not wait for it.
struct Rest<F> {
    known: Option<F>,
    gone: Vec<Wanted>,
}

impl<F: Borrow<Fetcher>> Known for Rest<F> {
    fn find(&self, wanted: &Wanted) -> Result<Arc<Kept>, Fault> {
        if self.gone.contains(wanted) {
            return Err(Fault::Key);
        }
        match &self.known {
            Some(fetcher) => fetcher.borrow().find(wanted),
            None => None::<&[u8]>.find(wanted),
        }
    }
}

/// What becomes of a request whose key is not at hand.
enum Brought {
    /// It is now.
    Here,
    /// It is not, and no such key is known.
    Unknown,
    /// It is not, and may be in so many seconds.
    Later(u64),
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl Hooks {
    /// The same, which fetches what it judges with.
    #[must_use]
    pub fn fetching(self, fetcher: Option<Fetcher>) -> Self {
        Self { fetcher, ..self }
    }

    /// Judges a request by what its webhook demands.
    pub(super) async fn check(
        &self,
        admission: &Admission,
        content: &Content,
    ) -> Result<Checked, Refusal> {
        let mut rest = Rest { known: self.fetcher.as_ref(), gone: Vec::new() };
        let mut later: Option<u64> = None;
        let began = Instant::now();
        for _ in 0..ROUNDS_MAX {
            let judged = match check::turn(admission, content) {
                None => check::run(admission, content, &rest),
                Some(turn) => Box::pin(self.judge_apart(turn, admission, content, &rest)).await,
            };
            let wanted = match (judged, later) {
                (Err(Halt::Wanted(wanted)), _) => wanted,
                (Ok(checked), None) => return Ok(checked),
                (Ok(checked), _) if checked.is_proven() => return Ok(checked),
                (Err(Halt::Refused(refusal)), None) => return Err(refusal),
                // The key that is not to be had might have been the one.
                (Ok(_) | Err(Halt::Refused(_)), Some(_)) => break,
            };
            // Apart: what few webhooks ask must not weigh on every request.
            match Box::pin(self.bring(admission, &wanted)).await {
                Brought::Here => {}
                Brought::Unknown => return check::unknown_key(admission),
                Brought::Later(seconds) => {
                    later = Some(later.map_or(seconds, |before| before.min(seconds)));
                    if wanted.newer || began.elapsed() > WAIT_MAX {
                        break;
                    }
                    rest.gone.push(*wanted);
                }
            }
        }
        check::no_key(admission, later.unwrap_or(1))
    }

    /// Judges what is much work, on a thread apart: whoever cannot sign holds up nobody with it.
    async fn judge_apart(
        &self,
        turn: &Apart,
        admission: &Admission,
        content: &Content,
        rest: &Rest<&Fetcher>,
    ) -> Result<Checked, Halt> {
        let (admission, content) = (admission.clone(), content.clone());
        let rest = Rest { known: rest.known.cloned(), gone: rest.gone.clone() };
        let work = move || check::run(&admission, &content, &rest);
        let judged = self.judges.run_within(turn, work).await;
        let stopping = || Refusal::from(SpoolError::Failed("stopping".to_owned()));
        judged.unwrap_or_else(|| Err(stopping().into()))
    }

    async fn bring(&self, admission: &Admission, wanted: &Wanted) -> Brought {
        let (webhook, account) = (admission.endpoint.id, admission.endpoint.account);
        let asker = Asker { webhook, account, peer: admission.arrival.peer };
        let Some(fetcher) = &self.fetcher else { return Brought::Unknown };
        match fetcher.fetch(asker, wanted).await {
            Ok(true) => Brought::Here,
            Ok(false) => Brought::Unknown,
            Err(fault) => {
                tracing::debug!(%webhook, %fault, "a key was not to be had");
                Brought::Later(fault.retry_after())
            }
        }
    }
}
