//! Addresses that a provider wants visited before it sends: its question was proven, and a GET to the host that its row
//! pins says that its events are wanted. The question is answered with success only behind that, so whoever asks asks
//! again when it failed, or when the gateway ended meanwhile. An event says how it went. The address is a secret of
//! sorts: it stands in no event and in no log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Hooks;
use super::events;
use super::refusal::Refusal;
use super::routes::Endpoint;
use crate::fetch::{FetchFault, Fetcher};
use crate::id;
use crate::spool::Frame;
use crate::verify::signature::Answer;

/// Tries for one question, and the pause between them: with what is fetched to prove it, they end well within the 15 s
/// that SNS waits for an answer. It asks again by itself.
const TRIES_MAX: usize = 2;
const PAUSE: Duration = Duration::from_secs(1);
/// Seconds after which a question may be asked again.
const RETRY_SECONDS: u64 = 5;
/// Visits at once.
const VISITS_MAX: usize = 64;
/// Addresses that are remembered, so that none is visited twice.
const SEEN_MAX: usize = 1024;

/// An address, without itself.
type Mark = [u8; 32];

/// What is visited, and what was.
#[derive(Debug)]
pub(super) struct Visits {
    turns: Semaphore,
    seen: Mutex<VecDeque<(Mark, Stage)>>,
}

/// How far a visit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Under,
    Done,
}

impl Default for Visits {
    fn default() -> Self {
        Self { turns: Semaphore::new(VISITS_MAX), seen: Mutex::default() }
    }
}

impl Visits {
    fn seen(&self) -> MutexGuard<'_, VecDeque<(Mark, Stage)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a visit; or how far that of the same address is.
    fn begin(&self, mark: Mark) -> Result<Way<'_>, Stage> {
        let mut seen = self.seen();
        if let Some((_, stage)) = seen.iter().find(|(known, _)| *known == mark) {
            return Err(*stage);
        }
        make_room(&mut seen);
        seen.push_back((mark, Stage::Under));
        Ok(Way { visits: self, mark, is_done: false })
    }
}

/// Forgets the oldest until there is room for one more.
fn make_room(seen: &mut VecDeque<(Mark, Stage)>) {
    while seen.len() >= SEEN_MAX {
        seen.pop_front();
    }
}

/// A visit. One that did not go well, or whose question nobody waits for any more, may be asked for again.
struct Way<'a> {
    visits: &'a Visits,
    mark: Mark,
    is_done: bool,
}

impl Drop for Way<'_> {
    fn drop(&mut self) {
        let mut seen = self.visits.seen();
        seen.retain(|(known, _)| *known != self.mark);
        if self.is_done {
            // What ran meanwhile may have taken its place.
            make_room(&mut seen);
            seen.push_back((self.mark, Stage::Done));
        }
    }
}

/// A visit that went well, to be told once its question is kept.
pub(super) struct Visited<'a> {
    hooks: &'a Hooks,
    endpoint: Arc<Endpoint>,
    way: Way<'a>,
    tries: usize,
}

impl Visited<'_> {
    /// Tells of it.
    pub(super) async fn tell(mut self) {
        self.hooks.tell_visit(&self.endpoint, None, self.tries).await;
        self.way.is_done = true;
    }
}

impl Hooks {
    /// Visits what an answer says is to be visited; nothing when there is none, or when that was done.
    ///
    /// # Errors
    /// [`Refusal::Unconfirmed`]: it was not to be reached now, or somebody else's visit is on its way.
    pub(super) async fn visit(
        &self,
        endpoint: &Arc<Endpoint>,
        answer: &Answer,
    ) -> Result<Option<Visited<'_>>, Refusal> {
        let (Some(address), Some(fetcher)) = (&answer.visit, &self.fetcher) else {
            return Ok(None);
        };
        let webhook = endpoint.id;
        let refused = Refusal::Unconfirmed { retry_after_seconds: RETRY_SECONDS };
        let Ok(_turn) = self.visits.turns.try_acquire() else {
            tracing::warn!(%webhook, most = VISITS_MAX, "a subscription is not confirmed: too many at once");
            return Err(refused);
        };
        let mut mark = [0; 32];
        mark.copy_from_slice(digest(&SHA256, address.as_bytes()).as_ref());
        let way = match self.visits.begin(mark) {
            Ok(way) => way,
            Err(Stage::Done) => return Ok(None),
            Err(Stage::Under) => return Err(refused),
        };
        match tries(address, fetcher).await {
            Ok(tries) => {
                let endpoint = Arc::clone(endpoint);
                Ok(Some(Visited { hooks: self, endpoint, way, tries }))
            }
            Err(fault) => {
                self.tell_visit(endpoint, Some(&fault.to_string()), TRIES_MAX).await;
                Err(refused)
            }
        }
    }

    /// How a visit went, as an event.
    async fn tell_visit(&self, endpoint: &Endpoint, fault: Option<&str>, tries: usize) {
        let (webhook, now) = (endpoint.id, self.clock.now());
        match fault {
            None => tracing::info!(%webhook, tries, "confirmed a subscription"),
            Some(fault) => {
                tracing::warn!(%webhook, tries, fault, "a subscription could not be confirmed");
            }
        }
        let event = events::visited(endpoint, now, id::now(&self.clock), fault, tries);
        let (account, workspace) = (endpoint.account, Some(endpoint.workspace));
        let frame = Frame::encode(account, workspace, now, &[event], None);
        if let Err(fault) = self.spool.append(frame).await {
            tracing::debug!(%webhook, %fault, "no event tells of a subscription");
        }
    }
}

/// Visits until it goes well or was tried often enough: by which try.
async fn tries(address: &str, fetcher: &Fetcher) -> Result<usize, FetchFault> {
    for tries in 1..TRIES_MAX {
        match fetcher.visit(address).await {
            Ok(()) => return Ok(tries),
            Err(fault) => tracing::debug!(%fault, "a subscription is confirmed a moment later"),
        }
        sleep(PAUSE).await;
    }
    fetcher.visit(address).await.map(|()| TRIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: usize) -> Mark {
        let mut mark = [0; 32];
        mark[..8].copy_from_slice(&number.to_le_bytes());
        mark
    }

    #[test]
    fn no_more_addresses_are_remembered_than_so_many() {
        let visits = Visits::default();
        for round in 0..3 {
            let from = round * 2 * SEEN_MAX;
            let mut ways: Vec<_> = (from..from + SEEN_MAX + 7)
                .map(|number| visits.begin(mark(number)).expect("a new one"))
                .collect();
            for way in &mut ways {
                way.is_done = true;
            }
            drop(ways);
            assert_eq!(visits.seen().len(), SEEN_MAX, "round {round}");
        }
        let newest = mark(4 * SEEN_MAX + SEEN_MAX + 6);
        assert!(matches!(visits.begin(newest), Err(Stage::Done)));
    }
}
