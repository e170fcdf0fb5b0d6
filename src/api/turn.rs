//! Turns at changes that somebody else was faster with. In: the account that is changed. Out: whether to begin once
//! more, behind those who were beaten before. Whoever is alone never waits; no turn outlives its call, and none is
//! taken on the way of a webhook.

use tokio::sync::{Mutex, MutexGuard};

use super::Api;
use crate::id::Uuid;

/// Most times a change is begun. From the second on it competes only with those that had begun before anybody waited.
const ATTEMPTS_MAX: usize = 10;
/// Queues; accounts share them by chance.
const QUEUES: usize = 64;

/// Where those wait who were beaten, first come, first served.
#[derive(Debug)]
pub(super) struct Turns([Mutex<()>; QUEUES]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Turns {
    /// Begins a change in an account.
    fn tries(&self, account: Uuid) -> Tries<'_> {
        let [.., last] = account.into_bytes();
        Tries { queue: &self.0[usize::from(last) % QUEUES], begun: 0, turn: None }
    }
}

/// How often a change was begun.
pub(super) struct Tries<'a> {
    queue: &'a Mutex<()>,
    begun: usize,
    turn: Option<MutexGuard<'a, ()>>,
}

impl Tries<'_> {
    /// Whether it may be begun, now that it is its turn. Nobody overtakes those who wait.
    pub(super) async fn again(&mut self) -> bool {
        let must_wait = self.begun > 0 || self.queue.try_lock().is_err();
        if must_wait && self.turn.is_none() {
            self.turn = Some(self.queue.lock().await);
        }
        self.begun += 1;
        self.begun <= ATTEMPTS_MAX
    }
}

impl Api {
    /// Begins a change in an account.
    pub(super) fn tries(&self, account: Uuid) -> Tries<'_> {
        self.turns.tries(account)
    }
}
