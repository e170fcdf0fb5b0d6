//! Where words can be at all. In: runs of neighbouring events, once they are a while old. Out: for each run a set of
//! the bytes, four by four, that occur in its words, so that a question for words passes over the runs that cannot have
//! them. A set may say yes in vain, never no; what is in no run yet is always looked at.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::FeedError;
use crate::filter::{Order, Seen, Text};

/// Most events of a run, and bytes of words after which it ends.
const RUN_EVENTS: u32 = 128;
const RUN_WORDS_BYTES: usize = 128 << 10;
/// Bytes of a set: with its key it fits into one page.
const SET_BYTES: usize = 4032;

pub(super) const TABLE: &str = "
    CREATE TABLE run (low INTEGER PRIMARY KEY, high INTEGER NOT NULL, fours BLOB NOT NULL) STRICT;
";

/// The bits of a text's bytes, four by four.
fn bits(text: &str) -> impl Iterator<Item = usize> {
    text.as_bytes().windows(4).map(|four| {
        let number = u32::from_be_bytes([four[0], four[1], four[2], four[3]]);
        let mixed = number.wrapping_mul(0x9E37_79B1) ^ (number.wrapping_mul(0x85EB_CA77) >> 15);
        ((u64::from(mixed) * (SET_BYTES as u64 * 8)) >> 32) as usize
    })
}

fn add(set: &mut [u8], words: &str) {
    for bit in bits(words) {
        set[bit / 8] |= 1 << (bit % 8);
    }
}

/// The bits of a question for words.
struct Wanted {
    either: Vec<Vec<usize>>,
    must: Vec<Vec<usize>>,
}

impl Wanted {
    fn new(text: &Text) -> Self {
        let all = |terms: &[String]| terms.iter().map(|term| bits(term).collect()).collect();
        Self { either: all(text.either()), must: all(text.must()) }
    }

    fn may_be_in(&self, set: &[u8]) -> bool {
        let is_in = |term: &Vec<usize>| {
            term.iter().all(|bit| set.get(bit / 8).is_none_or(|byte| byte & 1 << (bit % 8) != 0))
        };
        self.must.iter().all(is_in) && (self.either.is_empty() || self.either.iter().any(is_in))
    }
}

/// Closes the next run behind `closed`, of events up to a slot; the end of the run, when there were enough of them.
pub(super) fn close(
    transaction: &Transaction<'_>,
    closed: Option<i64>,
    until: i64,
) -> Result<Option<i64>, FeedError> {
    let mut statement = transaction.prepare(
        "SELECT slot, json FROM event WHERE slot > ?1 AND slot <= ?2 ORDER BY slot LIMIT ?3",
    )?;
    let mut rows = statement.query(params![closed.unwrap_or(-1), until, RUN_EVENTS])?;
    let (mut set, mut first, mut last) = (vec![0; SET_BYTES], None, 0);
    let (mut events, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        first = first.or(Some(last));
        if let Some(seen) = Seen::read(row.get_ref(1)?.as_blob()?) {
            let words = seen.words();
            bytes += words.len();
            add(&mut set, &words);
        }
        events += 1;
        if bytes >= RUN_WORDS_BYTES {
            break;
        }
    }
    // Runs follow each other without a gap, but for the first: what comes before it later is looked at.
    let Some(low) = closed.map(|closed| closed + 1).or(first) else { return Ok(None) };
    if events < RUN_EVENTS && bytes < RUN_WORDS_BYTES {
        return Ok(None);
    }
    let sql = "INSERT INTO run (low, high, fours) VALUES (?1, ?2, ?3)";
    transaction.execute(sql, params![low, last, set])?;
    Ok(Some(last))
}

/// Adds an event that came late to the run it falls into.
pub(super) fn amend(
    transaction: &Transaction<'_>,
    slot: i64,
    seen: &Seen<'_>,
) -> Result<(), FeedError> {
    let sql = "SELECT low, fours FROM run WHERE low <= ?1 AND high >= ?1
               ORDER BY low DESC LIMIT 1";
    let run: Option<(i64, Vec<u8>)> = transaction
        .prepare(sql)?
        .query_row([slot], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((low, mut set)) = run.filter(|(_, set)| set.len() == SET_BYTES) {
        add(&mut set, &seen.words());
        transaction.execute("UPDATE run SET fours = ?2 WHERE low = ?1", params![low, set])?;
    }
    Ok(())
}

/// Forgets the runs before a slot.
pub(super) fn forget(transaction: &Transaction<'_>, before: i64) -> Result<(), FeedError> {
    transaction.execute("DELETE FROM run WHERE high < ?1", [before])?;
    Ok(())
}

/// Hands on the parts of a range that may have the words, in an order; `take` says whether to go on.
pub(super) fn each_part(
    connection: &Connection,
    text: &Text,
    (low, high): (i64, i64),
    order: Order,
    mut take: impl FnMut((i64, i64)) -> Result<bool, FeedError>,
) -> Result<(), FeedError> {
    let wanted = Wanted::new(text);
    let is_up = order == Order::Ascending;
    let direction = if is_up { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT low, high, fours FROM run WHERE high >= ?1 AND low <= ?2 ORDER BY low {direction}"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([low, high])?;
    // The near end of what was not handed on yet.
    let mut open = if is_up { low } else { high };
    while let Some(row) = rows.next()? {
        if wanted.may_be_in(row.get_ref(2)?.as_blob()?) {
            continue;
        }
        let (run_low, run_high): (i64, i64) = (row.get(0)?, row.get(1)?);
        let part = if is_up { (open, run_low - 1) } else { (run_high + 1, open) };
        if part.0 <= part.1 && !take(part)? {
            return Ok(());
        }
        open = if is_up { run_high + 1 } else { run_low - 1 };
    }
    let rest = if is_up { (open, high) } else { (low, open) };
    if rest.0 <= rest.1 {
        take(rest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_never_denies_what_it_has() {
        let words = "shop.order.paid\0münchen\0{\"number\":12345}";
        let mut set = vec![0; SET_BYTES];
        add(&mut set, words);
        for (query, expected) in [
            ("order", true),
            ("MÜNCHEN", true),
            ("or", true),
            ("+paid +12345", true),
            ("+paid +nowhere", false),
            ("nowhere elsewhere", false),
            ("nowhere paid", true),
            ("-paid", true),
            ("+nowhere paid", false),
        ] {
            assert_eq!(Wanted::new(&Text::read(query)).may_be_in(&set), expected, "{query}");
        }
        let bits: std::collections::BTreeSet<usize> =
            (0..20_000_u32).flat_map(|n| bits(&format!("{n:05}")).collect::<Vec<_>>()).collect();
        assert!(bits.len() > 7000, "{} bits for 10,000 fours", bits.len());
    }
}
