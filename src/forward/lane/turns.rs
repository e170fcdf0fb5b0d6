//! Whose turn it is among events that wait: accounts in turn, one event each; in each account its webhooks in turn, as
//! many events each as its webhook's weight says, one if it says nothing; in each webhook the oldest first, and of one
//! key never a later one before an earlier one. In: events with their webhook and key. Out: the next ones to go. A key
//! that is given out may be held until it is given back: then nothing of it goes meanwhile. Holds as much as the lane's
//! window does.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use crate::forward::load::Item;
use crate::id::Uuid;
use crate::shelf::Key;

/// An account and its webhook, or what else events came from.
pub(super) type Flow = (Uuid, Uuid);

/// How many events a webhook has in one turn, of those that have more than one.
#[derive(Debug, Default)]
pub(in crate::forward) struct Weights(RwLock<HashMap<Uuid, u32>>);

impl Weights {
    /// A webhook has so many from now on.
    pub(in crate::forward) fn set(&self, webhook: Uuid, weight: u32) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if weight > 1 {
            all.insert(webhook, weight);
        } else {
            all.remove(&webhook);
        }
    }

    fn of(&self, webhook: Uuid) -> u32 {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&webhook).copied().unwrap_or(1)
    }
}

/// The flows of one account in the order of their turns.
#[derive(Debug, Default)]
struct Ring {
    flows: VecDeque<Flow>,
    /// Events that the first still has in its turn; none: it has not begun.
    left: u32,
}

/// Events of one key, in order.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<(Flow, Item)>,
    /// Something of it is on its way.
    is_held: bool,
}

impl Line {
    /// Where its first event waits, if that may go.
    fn head(&self) -> Option<(Flow, u64)> {
        let (flow, item) = self.waiting.front().filter(|_| !self.is_held)?;
        Some((*flow, item.number()))
    }
}

/// Events that wait, and who is next.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lines: HashMap<Key, Line>,
    /// Of each flow the keys whose first event may go, by that event's number.
    ready: HashMap<Flow, BTreeSet<(u64, Key)>>,
    /// Accounts in the order of their turns, and in each its flows.
    accounts: VecDeque<Uuid>,
    rings: HashMap<Uuid, Ring>,
    waiting: usize,
    weights: Arc<Weights>,
}

impl Turns {
    pub(super) fn new(weights: &Arc<Weights>) -> Self {
        Self { weights: Arc::clone(weights), ..Self::default() }
    }

    /// Events that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// An event came, after all that came before.
    pub(super) fn push(&mut self, flow: Flow, key: Key, item: Item) {
        self.change(key, |line| line.waiting.push_back((flow, item)));
        self.waiting += 1;
    }

    /// Puts an event back that did not go: in front of all of its key.
    pub(super) fn put_back(&mut self, flow: Flow, key: Key, item: Item) {
        self.change(key, |line| line.waiting.push_front((flow, item)));
        self.waiting += 1;
    }

    /// Lets nothing of a key go before it is given back.
    pub(super) fn hold(&mut self, key: Key) {
        self.change(key, |line| line.is_held = true);
    }

    /// Gives a key back.
    pub(super) fn give_back(&mut self, key: Key) {
        self.change(key, |line| line.is_held = false);
    }

    /// Changes a line; who waits for a turn then is as the line's first event says.
    fn change(&mut self, key: Key, change: impl FnOnce(&mut Line)) {
        let line = self.lines.entry(key).or_default();
        let before = line.head();
        change(line);
        let after = line.head();
        if line.waiting.is_empty() && !line.is_held {
            self.lines.remove(&key);
        }
        if before == after {
            return;
        }
        if let Some((flow, number)) = before
            && let Some(ready) = self.ready.get_mut(&flow)
        {
            // A flow that has none left is taken off when its turn comes.
            ready.remove(&(number, key));
        }
        if let Some((flow, number)) = after {
            let is_new = !self.ready.contains_key(&flow);
            self.ready.entry(flow).or_default().insert((number, key));
            if is_new {
                let ring = self.rings.entry(flow.0).or_default();
                if ring.flows.is_empty() {
                    self.accounts.push_back(flow.0);
                }
                ring.flows.push_back(flow);
            }
        }
    }

    /// The next event, if its size is not too much for who asks.
    pub(super) fn next(&mut self, fits: impl Fn(usize) -> bool) -> Option<(Key, Item)> {
        loop {
            let account = *self.accounts.front()?;
            let ring = self.rings.get_mut(&account)?;
            let flow = *ring.flows.front()?;
            let first = self.ready.get(&flow).and_then(|ready| ready.first());
            let Some((_, key)) = first.copied() else {
                self.ready.remove(&flow);
                // What it had left of its turn is over.
                ring.left = 0;
                ring.flows.pop_front();
                if ring.flows.is_empty() {
                    self.rings.remove(&account);
                    self.accounts.pop_front();
                }
                continue;
            };
            if !fits(self.lines.get(&key)?.waiting.front()?.1.bytes()) {
                return None;
            }
            if ring.left == 0 {
                ring.left = self.weights.of(flow.1);
            }
            ring.left -= 1;
            if ring.left == 0 {
                ring.flows.rotate_left(1);
            }
            self.accounts.rotate_left(1);
            let mut taken = None;
            self.change(key, |line| taken = line.waiting.pop_front());
            self.waiting -= 1;
            return taken.map(|(_, item)| (key, item));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::clock::Time;
    use crate::event::Event;
    use crate::spool::Kept;

    fn item(number: u64) -> Item {
        let kept = Kept {
            sequence: number,
            account: Uuid::nil(),
            workspace: None,
            received: Time::default(),
            events: vec![Event { id: Uuid::nil(), json: Bytes::from_static(b"{}") }],
            capture: None,
        };
        Item::new(&Arc::new(vec![kept]), (0, 0), number)
    }

    fn key(text: &str) -> Key {
        Key::new(Uuid::nil(), None, text)
    }

    fn flow(account: u128, webhook: u128) -> Flow {
        (Uuid::from_u128(account), Uuid::from_u128(webhook))
    }

    fn take(turns: &mut Turns, count: usize) -> Vec<u64> {
        let next = std::iter::from_fn(|| turns.next(|_| true));
        next.take(count).map(|(_, item)| item.number()).collect()
    }

    #[test]
    fn one_that_is_noisy_waits_for_its_turn() {
        let mut turns = Turns::default();
        for number in 0..1000 {
            turns.push(flow(1, 1), key(&number.to_string()), item(number));
        }
        assert_eq!(take(&mut turns, 3), [0, 1, 2]);
        turns.push(flow(1, 2), key("a"), item(1000));
        turns.push(flow(2, 3), key("b"), item(1001));
        turns.push(flow(2, 4), key("c"), item(1002));
        turns.push(flow(2, 4), key("d"), item(1003));
        // Accounts in turn, and in each its webhooks.
        assert_eq!(take(&mut turns, 7), [3, 1001, 1000, 1002, 4, 1003, 5]);
        assert_eq!(turns.waiting(), 994);
        assert_eq!(take(&mut turns, 2000).len(), 994);
        assert!(turns.lines.is_empty() && turns.ready.is_empty() && turns.rings.is_empty());
    }

    #[test]
    fn one_of_three_times_the_weight_has_three_times_as_many() {
        let weights = Arc::new(Weights::default());
        weights.set(Uuid::from_u128(2), 3);
        let mut turns = Turns::new(&weights);
        for number in 0..300 {
            let webhook = u128::from(number / 100);
            turns.push(flow(1, webhook), key(&number.to_string()), item(number));
        }
        for number in 300..400 {
            turns.push(flow(2, 9), key(&number.to_string()), item(number));
        }
        let taken = take(&mut turns, 100);
        let share = |webhook: u64| taken.iter().filter(|number| *number / 100 == webhook).count();
        assert_eq!([0, 1, 2, 3].map(share), [10, 10, 30, 50], "accounts have equal shares");
        // Changed while it waits, and none left of its turn when it has nothing more.
        weights.set(Uuid::from_u128(2), 1);
        weights.set(Uuid::from_u128(0), 2);
        let taken = take(&mut turns, 80);
        let share = |webhook: u64| taken.iter().filter(|number| *number / 100 == webhook).count();
        assert_eq!([0, 1, 2, 3].map(share), [20, 10, 10, 40]);
        assert_eq!(take(&mut turns, 400).len(), 220);
        assert!(turns.rings.is_empty() && turns.accounts.is_empty());
    }

    #[test]
    fn of_one_key_nothing_overtakes_whatever_its_webhook() {
        let mut turns = Turns::default();
        for (number, webhook, text) in
            [(0, 1, "x"), (1, 1, "y"), (2, 2, "x"), (3, 2, "z"), (4, 1, "x"), (5, 2, "y")]
        {
            turns.push(flow(1, webhook), key(text), item(number));
        }
        let all = take(&mut turns, 9);
        let place = |number: u64| all.iter().position(|one| *one == number);
        assert!(place(0) < place(2) && place(2) < place(4) && place(1) < place(5), "{all:?}");
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn nothing_of_a_key_goes_while_it_is_held() {
        let mut turns = Turns::default();
        for number in 0..4 {
            turns.push(flow(1, 1), key(if number % 2 == 0 { "even" } else { "odd" }), item(number));
        }
        let (first, taken) = turns.next(|_| true).expect("an event");
        turns.hold(first);
        assert_eq!(take(&mut turns, 9), [1, 3]);
        turns.put_back(flow(1, 1), first, taken);
        assert_eq!((take(&mut turns, 9), turns.waiting()), (Vec::new(), 2));
        turns.give_back(first);
        assert!(turns.next(|bytes| bytes < 100).is_none(), "too large");
        assert_eq!(take(&mut turns, 9), [0, 2]);
        turns.give_back(first);
        assert!(turns.lines.is_empty());
    }
}
