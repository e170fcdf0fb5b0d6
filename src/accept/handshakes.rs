//! Turns of TLS handshakes: so many at once, each from its beginning to its end. One more than that ends the one that
//! began first, so that those who begin and never go on keep nobody out who does. In: beginnings. Out: a turn, and word
//! when it is over before its time. Waits for nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The handshakes that run.
#[derive(Debug)]
pub(super) struct Handshakes {
    max: usize,
    running: Mutex<Running>,
}

/// By number, so that the first is the oldest.
#[derive(Debug, Default)]
struct Running {
    next: u64,
    turns: BTreeMap<u64, Arc<Notify>>,
}

/// One handshake's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    handshakes: &'a Handshakes,
    number: u64,
    over: Arc<Notify>,
}

impl Handshakes {
    /// So many at once, at least one.
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), running: Mutex::default() }
    }

    /// A turn for one that begins now.
    pub(super) fn begin(&self) -> Turn<'_> {
        let over = Arc::new(Notify::new());
        let mut running = self.running();
        while running.turns.len() >= self.max {
            let Some((_, oldest)) = running.turns.pop_first() else { break };
            // It may look only later: the word waits for it.
            oldest.notify_one();
        }
        let number = running.next;
        running.next += 1;
        running.turns.insert(number, Arc::clone(&over));
        Turn { handshakes: self, number, over }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits until a newer one needs the room.
    pub(super) async fn over(&self) {
        self.over.notified().await;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.handshakes.running().turns.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_more_ends_the_oldest_and_no_other() {
        let handshakes = Handshakes::new(2);
        let is_over = |turn: &Turn<'_>| turn.over().now_or_never().is_some();
        let [first, second] = [handshakes.begin(), handshakes.begin()];
        assert!(!is_over(&first) && !is_over(&second));
        let third = handshakes.begin();
        assert!(is_over(&first) && !is_over(&second) && !is_over(&third));
        drop(second);
        let fourth = handshakes.begin();
        assert!(!is_over(&third) && !is_over(&fourth), "who ended made room");
        drop((first, third, fourth));
        assert_eq!(handshakes.running().turns.len(), 0);
        assert!(!is_over(&Handshakes::new(0).begin()), "one at least");
    }
}
