//! Where requests lie in the spool. In: frames of requests, in the batches of their events. Out: one request by its
//! id, and pages of them in the order in which they were kept. Holds a row of numbers for each, never a body; a row
//! goes once the spool has let its frame go.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::FeedError;
use crate::clock::Time;
use crate::event::Event;
use crate::filter::Order;
use crate::id::Uuid;
use crate::spool::Kept;

/// Most rows that one page looks at.
const LOOKS_MAX: usize = 100_000;
/// Most rows that go at once.
const SLICE_ROWS: u32 = 2000;
/// How an event says, behind its moment, that a template made none.
const FAILED: &[u8] = b",\"event\":\"prefect-cloud.webhook.failed\"";

pub(super) const TABLE: &str = "
    CREATE TABLE request (
        place INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        id BLOB NOT NULL,
        webhook BLOB NOT NULL,
        version INTEGER NOT NULL,
        received INTEGER NOT NULL,
        outcome INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (place, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX request_id ON request (id);
";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An event of its template.
    Event,
    /// A failed event: its template made none.
    Failed,
    /// An answer to a handshake.
    Handshake,
}

impl Outcome {
    /// Every one, with its word and its number in the table.
    const ALL: [(Self, &'static str); 3] =
        [(Self::Event, "event"), (Self::Failed, "failed"), (Self::Handshake, "handshake")];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The one of that word.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(outcome, _)| *outcome)
    }

    /// What a kept request's events say.
    #[must_use]
    pub fn read(events: &[Event]) -> Self {
        let Some(event) = events.get(1) else { return Self::Handshake };
        // The name follows the moment, whose text is short.
        let head = &event.json[..event.json.len().min(64 + FAILED.len())];
        if memchr::memmem::find(head, FAILED).is_some() { Self::Failed } else { Self::Event }
    }
}

/// A request and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The received event's id.
    pub id: Uuid,
    /// Its frame in the spool.
    pub sequence: u64,
    /// The webhook that received it.
    pub webhook: Uuid,
    /// Which version of the template it met; 0: not known.
    pub version: u64,
    /// When its head was complete.
    pub received: Time,
    /// What became of it.
    pub outcome: Outcome,
    /// Bytes of its body.
    pub bytes: u64,
}

/// Which requests of a workspace are meant.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose.
    pub account: Uuid,
    /// Of which workspace.
    pub workspace: Uuid,
    /// Only those of this webhook.
    pub webhook: Option<Uuid>,
    /// Only those with one of these outcomes.
    pub outcomes: Vec<Outcome>,
    /// Not before this moment.
    pub since: Option<Time>,
    /// Not after this moment.
    pub until: Option<Time>,
    /// Not before this frame.
    pub first: u64,
    /// In which order they come.
    pub order: Order,
    /// How many at most.
    pub limit: usize,
    /// Behind the request of that id.
    pub after: Option<Uuid>,
}

impl Wanted {
    fn is_wanted(&self, request: &Request) -> bool {
        self.webhook.is_none_or(|webhook| webhook == request.webhook)
            && self.outcomes.contains(&request.outcome)
            && self.since.is_none_or(|since| request.received >= since)
            && self.until.is_none_or(|until| request.received <= until)
    }
}

/// Some of the requests that are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// In order.
    pub found: Vec<Request>,
    /// The last that was looked at, when there may be more behind it.
    pub after: Option<Uuid>,
}

/// Adds the requests among frames.
pub(super) fn add(
    transaction: &Transaction<'_>,
    frames: &[Kept],
    cursor: u64,
    mut place: impl FnMut(&Kept) -> Result<i64, FeedError>,
) -> Result<(), FeedError> {
    let mut row = transaction.prepare(
        "INSERT OR REPLACE INTO request
             (place, sequence, id, webhook, version, received, outcome, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for frame in frames.iter().filter(|frame| frame.sequence > cursor) {
        let (Some(capture), Some(received)) = (&frame.capture, frame.events.first()) else {
            continue;
        };
        row.execute(params![
            place(frame)?,
            frame.sequence.cast_signed(),
            received.id.as_bytes(),
            capture.webhook.as_bytes(),
            capture.version.cast_signed(),
            frame.received.micros(),
            Outcome::read(&frame.events) as i64,
            capture.body_bytes().cast_signed(),
        ])?;
    }
    Ok(())
}

/// Forgets all requests.
pub(super) fn forget_all(connection: &Connection) -> Result<(), FeedError> {
    connection.execute("DELETE FROM request", [])?;
    Ok(())
}

/// Forgets requests whose frames are gone; whether there may be more of them.
pub(super) fn forget(connection: &Connection, oldest: u64) -> Result<bool, FeedError> {
    let places: Vec<i64> = connection
        .prepare("SELECT number FROM place")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let sql = "DELETE FROM request WHERE place = ?1 AND sequence IN
                   (SELECT sequence FROM request WHERE place = ?1 AND sequence < ?2
                    ORDER BY sequence LIMIT ?3)";
    let mut statement = connection.prepare(sql)?;
    for place in places {
        let gone = statement.execute(params![place, oldest.cast_signed(), SLICE_ROWS])?;
        if gone == SLICE_ROWS as usize {
            return Ok(true);
        }
    }
    Ok(false)
}

const COLUMNS: &str = "sequence, id, webhook, version, received, outcome, bytes";

fn read(row: &Row<'_>) -> rusqlite::Result<Request> {
    let outcome: u16 = row.get(5)?;
    Ok(Request {
        sequence: row.get::<_, i64>(0)?.cast_unsigned(),
        id: Uuid::from_bytes(row.get(1)?),
        webhook: Uuid::from_bytes(row.get(2)?),
        version: row.get::<_, i64>(3)?.cast_unsigned(),
        received: Time::from_micros(row.get(4)?),
        outcome: Outcome::ALL
            .get(usize::from(outcome))
            .map_or(Outcome::Event, |(outcome, _)| *outcome),
        bytes: row.get::<_, i64>(6)?.unsigned_abs(),
    })
}

fn number(
    connection: &Connection,
    account: Uuid,
    workspace: Uuid,
) -> Result<Option<i64>, FeedError> {
    let sql = "SELECT number FROM place WHERE account = ?1 AND workspace = ?2";
    let ids = [account.into_bytes(), workspace.into_bytes()];
    Ok(connection.query_row(sql, ids, |row| row.get(0)).optional()?)
}

/// The request of an id, if it is one of that workspace.
pub(super) fn find(
    connection: &Connection,
    (account, workspace): (Uuid, Uuid),
    id: Uuid,
) -> Result<Option<Request>, FeedError> {
    let Some(place) = number(connection, account, workspace)? else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM request WHERE id = ?1 AND place = ?2");
    let mut statement = connection.prepare(&sql)?;
    Ok(statement.query_row(params![id.as_bytes(), place], read).optional()?)
}

/// The requests that are meant; nothing when there is none of the id they should stand behind.
pub(super) fn page(
    connection: &Connection,
    wanted: &Wanted,
) -> Result<Option<Requests>, FeedError> {
    let _moment = connection.unchecked_transaction()?;
    let whose = (wanted.account, wanted.workspace);
    let after = match wanted.after {
        Some(after) => match find(connection, whose, after)? {
            Some(after) => Some(after.sequence.cast_signed()),
            None => return Ok(None),
        },
        None => None,
    };
    let Some(place) = number(connection, whose.0, whose.1)? else {
        return Ok(Some(Requests::default()));
    };
    let first = wanted.first.cast_signed();
    let (low, high, direction) = match wanted.order {
        Order::Ascending => (after.map_or(first, |after| first.max(after + 1)), i64::MAX, "ASC"),
        Order::Descending => (first, after.map_or(i64::MAX, |after| after - 1), "DESC"),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM request WHERE place = ?1 AND sequence BETWEEN ?2 AND ?3
         ORDER BY sequence {direction}"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query_map(params![place, low, high], read)?;
    let (mut page, mut last) = (Requests::default(), None);
    for _ in 0..LOOKS_MAX {
        if page.found.len() >= wanted.limit {
            break;
        }
        let Some(request) = rows.next().transpose()? else { return Ok(Some(page)) };
        last = Some(request.id);
        if wanted.is_wanted(&request) {
            page.found.push(request);
        }
    }
    page.after = last;
    Ok(Some(page))
}

/// Which of these ids are known events of a workspace.
pub(super) fn known(
    connection: &Connection,
    (account, workspace): (Uuid, Uuid),
    ids: &[Uuid],
) -> Result<HashSet<Uuid>, FeedError> {
    let mut found = HashSet::new();
    let Some(place) = number(connection, account, workspace)? else { return Ok(found) };
    let sql = "SELECT 1 FROM event WHERE id = ?1 AND place = ?2";
    let mut statement = connection.prepare(sql)?;
    for id in ids {
        if statement.exists(params![id.as_bytes(), place])? {
            found.insert(*id);
        }
    }
    Ok(found)
}

/// The frame that an event of a place came in, whether that is kept or not.
pub(super) fn frame_of(
    connection: &Connection,
    (account, workspace): (Uuid, Uuid),
    id: Uuid,
) -> Result<Option<u64>, FeedError> {
    let Some(place) = number(connection, account, workspace)? else { return Ok(None) };
    let sql = "SELECT frame FROM event WHERE id = ?1 AND place = ?2";
    let read = |row: &Row<'_>| row.get::<_, Option<i64>>(0);
    let found = connection.query_row(sql, params![id.as_bytes(), place], read).optional()?;
    Ok(found.flatten().map(i64::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;

    use super::super::index::Index;
    use super::*;
    use crate::event::compose;
    use crate::spool::Capture;

    const PLACE: (Uuid, Uuid) = (Uuid::from_u128(1), Uuid::from_u128(2));

    /// Every third fails, every fifth is another workspace's, every seventh is no request.
    fn frame(sequence: u64) -> Kept {
        let received = Time::from_micros(1_700_000_000_000_000 + sequence.cast_signed());
        let event = |name: &str, id: u64| {
            let (id, labels) = (Uuid::from_u128(id.into()), [("prefect.resource.id", "r")]);
            compose(received, name, &labels, &[], "{}", id, None)
        };
        let is_failed = sequence.is_multiple_of(3);
        let second = if is_failed { "prefect-cloud.webhook.failed" } else { "shop.paid" };
        let capture = Capture {
            webhook: Uuid::from_u128((sequence % 2).into()),
            version: u64::MAX - sequence,
            body: Bytes::from(vec![b' '; sequence as usize]),
            ..Capture::default()
        };
        Kept {
            sequence,
            account: PLACE.0,
            workspace: Some(Uuid::from_u128(if sequence.is_multiple_of(5) { 3 } else { 2 })),
            received,
            events: vec![event("w.received", 1000 + sequence), event(second, 5000 + sequence)],
            capture: Some(capture).filter(|_| !sequence.is_multiple_of(7)),
        }
    }

    fn wanted(order: Order, limit: usize) -> Wanted {
        Wanted {
            account: PLACE.0,
            workspace: PLACE.1,
            webhook: None,
            outcomes: vec![Outcome::Event, Outcome::Failed],
            since: None,
            until: None,
            first: 0,
            order,
            limit,
            after: None,
        }
    }

    fn all(index: &Index, mut wanted: Wanted) -> Vec<u64> {
        let mut found = Vec::new();
        loop {
            let page = page(index.connection(), &wanted).expect("a page").expect("a known place");
            found.extend(page.found.iter().map(|request| request.sequence));
            match page.after {
                Some(after) => wanted.after = Some(after),
                None => return found,
            }
        }
    }

    #[test]
    fn requests_are_found_by_what_narrows_them_and_forgotten_with_their_frames() {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hookgate-requests-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let (mut index, _) = Index::open(&folder).expect("an index");
        let frames: Vec<Kept> = (1..=100).map(frame).collect();
        for batch in frames.chunks(30) {
            index.add(batch).expect("a batch");
        }
        let plain = |is: &dyn Fn(u64) -> bool| -> Vec<u64> {
            (1..=100_u64)
                .filter(|n| !n.is_multiple_of(5) && !n.is_multiple_of(7) && is(*n))
                .collect()
        };
        assert_eq!(all(&index, wanted(Order::Ascending, 7)), plain(&|_| true));
        let mut newest_first = all(&index, wanted(Order::Descending, 7));
        newest_first.reverse();
        assert_eq!(newest_first, plain(&|_| true));
        let failed = Wanted {
            outcomes: vec![Outcome::Failed],
            webhook: Some(Uuid::from_u128(1)),
            since: Some(frame(20).received),
            until: Some(frame(90).received),
            first: 40,
            ..wanted(Order::Ascending, 3)
        };
        let is = |n: u64| n.is_multiple_of(3) && !n.is_multiple_of(2) && (40..=90).contains(&n);
        assert_eq!(all(&index, failed), plain(&is));
        let id = |sequence: u64| Uuid::from_u128(u128::from(1000 + sequence));
        let found = find(index.connection(), PLACE, id(9)).expect("a look").expect("it is there");
        let told = (found.sequence, found.outcome, found.version, found.bytes);
        assert_eq!(told, (9, Outcome::Failed, u64::MAX - 9, 9));
        assert_eq!(find(index.connection(), PLACE, id(5)).expect("a look"), None, "another's");
        let nobody = Wanted { after: Some(id(5)), ..wanted(Order::Ascending, 3) };
        assert_eq!(page(index.connection(), &nobody).expect("a look"), None);
        let ids = [5001, 5005, 4].map(Uuid::from_u128);
        let known = known(index.connection(), PLACE, &ids).expect("a look");
        assert_eq!(known, HashSet::from([ids[0]]));
        while index.forget_requests(60).expect("a slice") {}
        assert_eq!(all(&index, wanted(Order::Ascending, 100)), plain(&|n| n >= 60));
        std::fs::remove_dir_all(&folder).expect("a folder to remove");
    }
}
