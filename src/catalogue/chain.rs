//! The chain of audit events: each is bound to the one before it in its account by a hash. In: rows, by account and
//! then by number, and before those of an account whose oldest were ended the anchor that stands for these. Out: the
//! hash a row must have, the head of every chain, or the first place where one breaks. Store, export and verification
//! all ask here.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use memchr::memmem;

use crate::clock::Time;
use crate::id::Uuid;

/// What is hashed first, so that no hash made for another purpose is one of a chain.
const DOMAIN: &[u8] = b"hookgate audit chain 1";
/// What the first event of an account says when the account was made with it.
const MADE: &[u8] = b"\"event\":\"prefect-cloud.account.created\",";

/// SHA-256 of one row and, through it, of all rows before it in its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first row of an account has before it.
    pub const START: Self = Self([0; 32]);

    /// A hash that was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 digits of lower-case hexadecimal")]
pub struct NoHash;

impl FromStr for Hash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NoHash),
        };
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(NoHash);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = (digit(digits[0])? << 4) | digit(digits[1])?;
        }
        Ok(Self(bytes))
    }
}

/// What a hash is taken of, besides the hash before.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Whose chain it is.
    pub account: Uuid,
    /// Its place in the chain; the first is 1, and there is no gap.
    pub number: u64,
    /// The event's id.
    pub id: Uuid,
    /// When it happened.
    pub occurred: Time,
    /// The event's canonical JSON.
    pub json: &'a [u8],
}

impl Link<'_> {
    /// Its hash: SHA-256 of domain, hash before, number, account, id, occurred (microseconds since 1970) and JSON, each
    /// with its length in front. All numbers are 8 bytes, the highest first.
    #[must_use]
    pub fn hash(&self, previous: &Hash) -> Hash {
        let mut context = Context::new(&SHA256);
        for part in [
            DOMAIN,
            &previous.0,
            &self.number.to_be_bytes(),
            self.account.as_bytes(),
            self.id.as_bytes(),
            &self.occurred.micros().to_be_bytes(),
            self.json,
        ] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut hash = Hash::START;
        hash.0.copy_from_slice(context.finish().as_ref());
        hash
    }
}

/// A row as it was kept or exported: what it says, and what is to be held against it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What its hash is taken of.
    pub link: Link<'a>,
    /// The hash it says is before it.
    pub previous: Hash,
    /// The hash it says it has.
    pub hash: Hash,
}

/// Where a chain goes on: the last row of those that were ended, or the last that was walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Whose chain it is.
    pub account: Uuid,
    /// The row's number.
    pub number: u64,
    /// The row's hash.
    pub hash: Hash,
}

impl Anchor {
    /// Where a chain begins of which nothing was ended.
    #[must_use]
    pub const fn start(account: Uuid) -> Self {
        Self { account, number: 0, hash: Hash::START }
    }

    /// Whether a row is what its hash was taken of, and the next.
    #[must_use]
    pub fn leads_to(&self, row: &Row<'_>) -> bool {
        self.account == row.link.account
            && self.number.checked_add(1) == Some(row.link.number)
            && self.hash == row.previous
            && row.is_intact()
    }
}

impl Row<'_> {
    /// Whether it is what its hash was taken of.
    fn is_intact(&self) -> bool {
        self.link.hash(&self.previous) == self.hash
    }
}

/// What stands in the order of the chains.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// Before the rows of an account whose oldest were ended.
    Anchor(Anchor),
    /// A row.
    Row(Row<'a>),
}

impl Entry<'_> {
    /// The hash it says is the chain's up to here.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match self {
            Self::Anchor(anchor) => anchor.hash,
            Self::Row(row) => row.hash,
        }
    }
}

/// A chain that holds from its first row to its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whose it is.
    pub account: Uuid,
    /// The number of its first row: 1, unless older ones were ended.
    pub from: u64,
    /// How many rows.
    pub events: u64,
    /// When its first event happened.
    pub first: Time,
    /// When its last event happened.
    pub last: Time,
    /// The hash of its last row.
    pub head: Hash,
    /// Whether it begins with the account itself. A folder that is older than the chain has events from before it.
    pub whole: bool,
}

/// What is wrong where a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The row is not what its hash was taken of.
    Changed,
    /// No row has the number.
    Missing,
    /// The row stands behind one with a higher number, or its account behind another.
    OutOfOrder,
    /// Two rows have the number.
    Inserted,
    /// The row is whole, but was made behind another row than the one before it.
    Predecessor,
}

/// The first place where a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("account {account}, number {number}: {what}")]
pub struct Break {
    /// Whose chain.
    pub account: Uuid,
    /// The place in it.
    pub number: u64,
    /// What is wrong.
    pub what: What,
    /// Which of all entries gave it away, from 1; when nothing came after, the last one.
    pub row: u64,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "changed: the event is not the one its hash was taken of",
            Self::Missing => "missing: no event has this number",
            Self::OutOfOrder => "out of order: the event stands behind later ones",
            Self::Inserted => "inserted: there are two events with this number",
            Self::Predecessor => "hash of predecessor differs: it was made behind another event",
        })
    }
}

/// A walk along all chains, entry by entry; keeps none.
#[derive(Debug, Default)]
pub struct Walk {
    chain: Option<Chain>,
    entries: u64,
}

impl Walk {
    /// Takes the next entry; a chain that ended before it, when it is of the next account.
    ///
    /// # Errors
    /// The first [`Break`]; the walk is over then.
    pub fn step(&mut self, entry: &Entry<'_>) -> Result<Option<Summary>, Break> {
        self.entries += 1;
        let (account, number) = match entry {
            Entry::Anchor(anchor) => (anchor.account, anchor.number),
            Entry::Row(row) => (row.link.account, row.link.number),
        };
        let out_of_order = Break { account, number, what: What::OutOfOrder, row: self.entries };
        let mut done = None;
        if let Some(chain) = self.chain.take_if(|chain| chain.told.account != account) {
            let before = chain.told.account;
            done = Some(chain.end()?);
            if account < before {
                return Err(out_of_order);
            }
        }
        match (entry, self.chain.take()) {
            (Entry::Anchor(anchor), None) => self.chain = Some(Chain::new(*anchor, self.entries)),
            (Entry::Anchor(_), Some(chain)) => {
                chain.end()?;
                return Err(out_of_order);
            }
            (Entry::Row(row), chain) => {
                let start = || Chain::new(Anchor::start(account), self.entries);
                let mut chain = chain.unwrap_or_else(start);
                chain.take(row, self.entries)?;
                self.chain = Some(chain);
            }
        }
        Ok(done)
    }

    /// Ends the walk; the last chain, unless there was no row.
    ///
    /// # Errors
    /// A [`Break`] that only the end could tell.
    pub fn end(self) -> Result<Option<Summary>, Break> {
        self.chain.map(Chain::end).transpose()
    }
}

/// One account's chain, as far as it was walked.
#[derive(Debug)]
struct Chain {
    told: Summary,
    end: Anchor,
    /// The entry it began with.
    began: u64,
    /// A break whose cause only later rows can tell.
    suspect: Option<Break>,
}

impl Chain {
    fn new(anchor: Anchor, began: u64) -> Self {
        let Anchor { account, number, hash: head } = anchor;
        let from = number.saturating_add(1);
        let (first, last) = (Time::default(), Time::default());
        let told = Summary { account, from, events: 0, first, last, head, whole: false };
        Self { told, end: anchor, began, suspect: None }
    }

    fn take(&mut self, row: &Row<'_>, place: u64) -> Result<(), Break> {
        let link = &row.link;
        let expected = self.end.number.saturating_add(1);
        let is_next = self.end.leads_to(row);
        if let Some(suspect) = self.suspect {
            if !is_next {
                return Ok(());
            }
            // The row that was looked for comes late: others were put before it.
            let what = match suspect.what {
                What::Missing => What::OutOfOrder,
                _ => What::Inserted,
            };
            return Err(Break { what, row: place, ..suspect });
        }
        if is_next {
            let told = &mut self.told;
            if told.events == 0 {
                told.first = link.occurred;
                told.whole = expected == 1 && memmem::find(link.json, MADE).is_some();
            }
            (told.events, told.last, told.head) = (told.events + 1, link.occurred, row.hash);
            (self.end.number, self.end.hash) = (expected, row.hash);
            return Ok(());
        }
        let found =
            Break { account: link.account, number: expected, what: What::Changed, row: place };
        let what = match link.number {
            _ if !row.is_intact() => What::Changed,
            number if number < expected => {
                return Err(Break { what: What::Inserted, number, ..found });
            }
            number if number > expected => What::Missing,
            _ => What::Predecessor,
        };
        self.suspect = Some(Break { what, ..found });
        Ok(())
    }

    fn end(self) -> Result<Summary, Break> {
        let Summary { account, from: number, events, .. } = self.told;
        match self.suspect {
            Some(found) => Err(found),
            // The last event of a chain is never ended: one at least stands behind an anchor.
            None if events == 0 => {
                Err(Break { account, number, what: What::Missing, row: self.began })
            }
            None => Ok(self.told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_a_second_program_makes() {
        // Taken with Python's hashlib, as `Link::hash` says it.
        let account = Uuid::from_bytes([1; 16]);
        let link = |number, id, json| Link {
            account,
            number,
            id: Uuid::from_bytes([id; 16]),
            occurred: Time::from_micros(1_000_000 * number.cast_signed()),
            json,
        };
        let first = link(1, 2, br#"{"event":"a"}"#).hash(&Hash::START);
        let second = link(2, 3, br#"{"event":"b"}"#).hash(&first);
        let told = "b7864aa137476e2b20378db02dec988769d99126e1fdabf9128855ce831e902e";
        assert_eq!(first.to_string(), told);
        assert_eq!(told.parse(), Ok(first));
        let told = "3eb95d1d8605325a13a388de0c477a735eae2e0c6bd15c18b9246d1c70267f14";
        assert_eq!(second.to_string(), told);
        for wrong in ["", &told[1..], &told.to_uppercase(), &format!("g{}", &told[1..])] {
            assert_eq!(wrong.parse::<Hash>(), Err(NoHash), "{wrong}");
        }
    }
}
