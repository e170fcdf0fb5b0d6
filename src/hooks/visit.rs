//! Addresses that a provider wants visited before it sends: its question was proven, kept and answered, and a GET to
//! the host that its row pins says that its events are wanted. Off the request's way, a bounded number of times; an
//! event says how it went. The address is a secret of sorts: it stands in no event and in no log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Hooks;
use super::events;
use super::routes::Endpoint;
use crate::clock::Clock;
use crate::fetch::Fetcher;
use crate::id;
use crate::spool::{Frame, Spool};
use crate::verify::signature::Answer;

/// Pauses before each further try.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
];
/// Visits that wait or run at once.
const VISITS_MAX: usize = 64;
/// Addresses that are remembered, so that none is visited twice.
const SEEN_MAX: usize = 1024;

/// An address, without itself.
type Mark = [u8; 32];

/// What is visited, and what was.
#[derive(Clone, Debug)]
pub(super) struct Visits(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    turns: Arc<Semaphore>,
    seen: Mutex<VecDeque<Mark>>,
}

impl Default for Visits {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(VISITS_MAX));
        Self(Arc::new(Inside { turns, seen: Mutex::default() }))
    }
}

impl Visits {
    /// Remembers an address; `false`: it was visited, or is just now.
    fn begin(&self, mark: Mark) -> bool {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(&mark) {
            return false;
        }
        if seen.len() == SEEN_MAX {
            seen.pop_front();
        }
        seen.push_back(mark);
        true
    }

    /// One that was not to be reached may be asked for again.
    fn forget(&self, mark: Mark) {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|known| *known != mark);
    }
}

/// What tells of a visit.
struct Voice {
    endpoint: Arc<Endpoint>,
    spool: Spool,
    clock: Arc<Clock>,
}

impl Voice {
    async fn tell(&self, fault: Option<&str>, tries: usize) {
        let (webhook, now) = (self.endpoint.id, self.clock.now());
        match fault {
            None => tracing::info!(%webhook, tries, "confirmed a subscription"),
            Some(fault) => {
                tracing::warn!(%webhook, tries, fault, "a subscription could not be confirmed");
            }
        }
        let event = events::visited(&self.endpoint, now, id::now(&self.clock), fault, tries);
        let (account, workspace) = (self.endpoint.account, Some(self.endpoint.workspace));
        let frame = Frame::encode(account, workspace, now, &[event], None);
        if let Err(fault) = self.spool.append(frame).await {
            tracing::debug!(%webhook, %fault, "no event tells of a subscription");
        }
    }
}

impl Hooks {
    /// Visits what an answer says is to be visited, after that was kept.
    pub(super) fn visit(&self, endpoint: &Arc<Endpoint>, answer: &Answer) {
        let (Some(address), Some(fetcher)) = (&answer.visit, &self.fetcher) else { return };
        let voice = Voice {
            endpoint: Arc::clone(endpoint),
            spool: self.spool.clone(),
            clock: Arc::clone(&self.clock),
        };
        let Ok(turn) = Arc::clone(&self.visits.0.turns).try_acquire_owned() else {
            let (webhook, most) = (endpoint.id, VISITS_MAX);
            return tracing::warn!(%webhook, most, "a subscription is not confirmed: too many at once");
        };
        let mut mark = [0; 32];
        mark.copy_from_slice(digest(&SHA256, address.as_bytes()).as_ref());
        if !self.visits.begin(mark) {
            return;
        }
        let (address, fetcher, visits) = (address.clone(), fetcher.clone(), self.visits.clone());
        tokio::spawn(async move {
            let fault = tries(&address, &fetcher, &voice).await;
            if fault {
                visits.forget(mark);
            }
            drop(turn);
        });
    }
}

/// Visits until it goes well or was tried often enough; whether it failed.
async fn tries(address: &str, fetcher: &Fetcher, voice: &Voice) -> bool {
    let mut pauses = PAUSES.iter();
    for tries in 1.. {
        let Err(fault) = fetcher.visit(address).await else {
            voice.tell(None, tries).await;
            return false;
        };
        let Some(pause) = pauses.next() else {
            voice.tell(Some(&fault.to_string()), tries).await;
            break;
        };
        tracing::debug!(webhook = %voice.endpoint.id, %fault, "a subscription is confirmed later");
        sleep(*pause).await;
    }
    true
}
