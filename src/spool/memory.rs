//! A bounded memory. In: things and what is known of each. Out: that again, until the thing is forgotten: the oldest
//! first. Knows nothing of what it holds.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// The newest things and what is known of each.
#[derive(Debug)]
pub(super) struct Memory<K, V = u64> {
    /// With its place in the order.
    known: HashMap<K, (i64, V)>,
    /// The oldest first.
    order: BTreeMap<i64, K>,
    most: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> Memory<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { known: HashMap::new(), order: BTreeMap::new(), most }
    }

    /// What is known of it.
    pub(super) fn find(&self, key: &K) -> Option<V> {
        self.known.get(key).map(|(_, value)| *value)
    }

    /// What is known of the newest.
    pub(super) fn newest(&self) -> Option<V> {
        let (_, key) = self.order.last_key_value()?;
        self.find(key)
    }

    /// Puts it there as the newest, also when something else was known of it.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let place = self.order.last_key_value().map_or(0, |(last, _)| last + 1);
        if let Some((earlier, _)) = self.known.insert(key, (place, value)) {
            self.order.remove(&earlier);
        }
        self.order.insert(place, key);
        if self.order.len() > self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    /// Forgets the oldest as long as they are over.
    pub(super) fn forget(&mut self, is_over: impl Fn(&V) -> bool) {
        while let Some(oldest) = self.order.first_entry()
            && self.known.get(oldest.get()).is_none_or(|(_, value)| is_over(value))
        {
            self.known.remove(&oldest.remove());
        }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Memory<K, V> {
    /// Puts it there as the oldest, unless it is known or there is no room; whether it did.
    pub(super) fn insert_oldest(&mut self, key: K, value: V) -> bool {
        let has_room = self.order.len() < self.most && !self.known.contains_key(&key);
        if has_room {
            let place = self.order.first_key_value().map_or(0, |(first, _)| first - 1);
            self.known.insert(key, (place, value));
            self.order.insert(place, key);
        }
        has_room
    }
}

impl<K: Copy + Eq + Hash> Memory<K, u64> {
    /// Remembers an id with a digest; `false`: it is known with another one.
    pub(super) fn agree(&mut self, id: K, digest: u64) -> bool {
        if let Some(known) = self.find(&id) {
            return known == digest;
        }
        self.insert(id, digest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::once::IDS_MAX;
    use super::*;
    use crate::id::Uuid;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut memory = Memory::new(IDS_MAX);
        let id = |number: u64| (Uuid::nil(), None::<Uuid>, Uuid::from_u128(number.into()));
        for number in 0..=IDS_MAX as u64 {
            assert!(memory.agree(id(number), number));
        }
        assert_eq!(memory.find(&id(0)), None);
        assert_eq!(memory.find(&id(1)), Some(1));
        assert!(memory.agree(id(5), 5));
        assert!(!memory.agree(id(5), 6));
        assert_eq!(memory.known.len(), memory.order.len());
    }

    #[test]
    fn what_is_over_goes() {
        let mut memory: Memory<u8, u64> = Memory::new(3);
        (1..=4).for_each(|key| memory.insert(key, 10 * u64::from(key)));
        assert_eq!(memory.find(&1), None, "the oldest");
        memory.insert(2, 50);
        assert!(!memory.insert_oldest(5, 5), "there is no room");
        memory.insert(6, 60);
        assert_eq!((memory.find(&2), memory.find(&3)), (Some(50), None), "2 is newer by now");
        memory.forget(|&value| value < 45);
        assert_eq!((memory.find(&4), memory.find(&2)), (None, Some(50)));
        assert!(memory.insert_oldest(5, 55));
        memory.forget(|&value| value < 55);
        assert_eq!(memory.find(&2), Some(50), "behind one that is not over");
        memory.forget(|&value| value < 65);
        assert_eq!((memory.known.len(), memory.order.len()), (0, 0));
    }
}
