//! The place of an event in the index. In: when it happened. Out: a number that rises with the moment, and with the
//! order of arrival within one moment: the table's own key, so events lie on disk, are read and are paged in the order
//! of time, and later ones never shift a page. Never two events in one slot.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Statement};

use super::FeedError;
use crate::clock::Time;

/// Slots of one microsecond. What finds them all taken goes on in the next one.
const PER_MICRO: i64 = 256;
/// The last moment with slots of its own, in the year 3112; earlier than 1970 and later than this are as if then.
const LAST_MICRO: i64 = i64::MAX / PER_MICRO - 1_000_000_000_000;
/// Most moments whose next slot is remembered.
const REMEMBERED_MAX: usize = 10_000;

/// The first slot of a moment.
pub(super) fn first(time: Time) -> i64 {
    time.micros().clamp(0, LAST_MICRO) * PER_MICRO
}

/// The last slot of a moment.
pub(super) fn last(time: Time) -> i64 {
    first(time) + PER_MICRO - 1
}

/// The microsecond a slot stands in.
pub(super) fn micro(slot: i64) -> i64 {
    slot / PER_MICRO
}

/// The slots of so many microseconds.
pub(super) fn of_micros(micros: i64) -> i64 {
    micros.saturating_mul(PER_MICRO)
}

/// The highest slot taken between two.
pub(super) const TAKEN: &str =
    "SELECT slot FROM event WHERE slot BETWEEN ?1 AND ?2 ORDER BY slot DESC LIMIT 1";

/// Gives slots out.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The highest slot taken; everything behind it is free.
    highest: i64,
    /// The next slot that may be free, by first slot of a moment.
    next: HashMap<i64, i64>,
    /// The farthest that an event went on behind its own moment, in microseconds.
    pub(super) spill_micros: i64,
}

impl Slots {
    /// What a table has taken.
    pub(super) fn open(connection: &Connection, spill_micros: i64) -> Result<Self, FeedError> {
        let sql = "SELECT slot FROM event ORDER BY slot DESC LIMIT 1";
        let highest = connection.query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(Self { highest: highest.unwrap_or(-1), next: HashMap::new(), spill_micros })
    }

    /// A free slot for an event of that moment; `taken` is [`TAKEN`].
    pub(super) fn take(&mut self, taken: &mut Statement<'_>, time: Time) -> Result<i64, FeedError> {
        let own = first(time);
        let slot = match self.next.get(&own) {
            Some(&next) => free(taken, next)?,
            None if own > self.highest => own,
            None => free(taken, own)?,
        };
        if self.next.len() >= REMEMBERED_MAX {
            self.next.clear();
        }
        self.next.insert(own, slot + 1);
        self.highest = self.highest.max(slot);
        self.spill_micros = self.spill_micros.max(micro(slot) - micro(own));
        Ok(slot)
    }
}

/// The first slot from `from` on behind which its microsecond has none taken.
fn free(taken: &mut Statement<'_>, mut from: i64) -> Result<i64, FeedError> {
    loop {
        let end = micro(from) * PER_MICRO + PER_MICRO - 1;
        let highest: Option<i64> = taken.query_row([from, end], |row| row.get(0)).optional()?;
        match highest {
            None => return Ok(from),
            Some(taken) if taken < end => return Ok(taken + 1),
            Some(_) => from = end + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_rise_with_time_and_none_is_given_twice() {
        let connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch("CREATE TABLE event (slot INTEGER PRIMARY KEY)").expect("a table");
        let mut slots = Slots::open(&connection, 0).expect("no slots");
        let mut looks = connection.prepare(TAKEN).expect("a statement");
        let mut taken = Vec::new();
        for round in 0..2 {
            for micros in [1_000, 1_001, 999, 1_000, -5, i64::MAX] {
                for _ in 0..300 {
                    let slot = slots.take(&mut looks, Time::from_micros(micros)).expect("a slot");
                    connection.execute("INSERT INTO event VALUES (?1)", [slot]).expect("free");
                    assert!(slot >= first(Time::from_micros(micros)));
                    taken.push(slot);
                }
            }
            assert_eq!(taken.len(), (round + 1) * 1800);
            // What was taken is found again without what was remembered.
            slots = Slots::open(&connection, slots.spill_micros).expect("slots");
        }
        let spill = slots.spill_micros;
        assert!((1..=9).contains(&spill), "2,400 of three moments in a row: {spill}");
    }
}
