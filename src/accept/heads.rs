//! What the heads of one connection take of the room that all heads share. In: a head, when it is handed over. Out:
//! whether there is room for it, until its request ends. The usual head is free: nothing shared is touched for it.

use std::sync::{Mutex, MutexGuard};

use http::request::Parts;

use super::budget::{Full, Room};

/// Bytes of heads that each connection has without asking: the usual head, several times over.
pub(super) const FREE_BYTES: u64 = 8 << 10;
/// The same over HTTP/2, with the streams that brought them: three usual ones.
pub(super) const FREE_STREAMS_BYTES: u64 = 32 << 10;
/// Beyond, room is taken in steps of this size.
pub(super) const STEP_BYTES: u64 = 16 << 10;
/// What a header takes beside its name and value: its place in a table that is up to half empty.
pub(super) const HEADER_BYTES: u64 = 128;
/// What an open stream of HTTP/2 takes beside its head, as measured: its task, its state, its place among the others.
pub(super) const STREAM_BYTES: u64 = 8 << 10;

/// Heads of one connection whose requests run.
#[derive(Debug)]
pub(super) struct Heads(Mutex<Tally>);

#[derive(Debug)]
struct Tally {
    bytes: u64,
    free_bytes: u64,
    room: Room,
}

impl Heads {
    /// None yet; what is beyond `free_bytes` takes `room`.
    pub(super) fn new(free_bytes: u64, room: Room) -> Self {
        Self(Mutex::new(Tally { bytes: 0, free_bytes, room }))
    }

    /// One more.
    ///
    /// # Errors
    /// [`Full`]; it counts nothing then.
    pub(super) fn add(&self, bytes: u64) -> Result<(), Full> {
        let mut tally = self.tally();
        let all = tally.bytes + bytes;
        let beyond = all.saturating_sub(tally.free_bytes);
        tally.room.hold(beyond)?;
        tally.bytes = all;
        Ok(())
    }

    /// One less.
    pub(super) fn remove(&self, bytes: u64) {
        let mut tally = self.tally();
        tally.bytes -= bytes;
        match tally.bytes.saturating_sub(tally.free_bytes) {
            0 => tally.room.leave(),
            beyond => tally.room.shrink(beyond),
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

/// What a head takes in memory.
pub(super) fn head_bytes(parts: &Parts) -> u64 {
    let of_one = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() as u64 + value.len() as u64 + HEADER_BYTES
    };
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    target as u64 + parts.headers.iter().map(of_one).sum::<u64>()
}

/// The same with the stream of HTTP/2 that brought it.
pub(super) fn stream_bytes(parts: &Parts) -> u64 {
    head_bytes(parts) + STREAM_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::*;

    #[test]
    fn what_is_beyond_a_connections_own_share_takes_room_until_little_is_left() {
        let budget = Budget::new(2 * STEP_BYTES, STEP_BYTES);
        let heads = || Heads::new(FREE_BYTES, Room::new(&budget));
        let (one, other) = (heads(), heads());
        let taken = |heads: &Heads| heads.tally().room.bytes();
        assert_eq!((one.add(FREE_BYTES), taken(&one)), (Ok(()), 0), "its own");
        assert_eq!((one.add(1), taken(&one)), (Ok(()), STEP_BYTES));
        assert_eq!((one.add(STEP_BYTES - 1), taken(&one)), (Ok(()), STEP_BYTES));
        assert_eq!(other.add(FREE_BYTES + STEP_BYTES), Ok(()));
        let full = Err(Full { max_bytes: 2 * STEP_BYTES });
        assert_eq!((one.add(1), other.add(1)), (full, full));
        one.remove(STEP_BYTES - 1);
        assert_eq!(taken(&one), STEP_BYTES, "there is more than its own");
        one.remove(1);
        assert_eq!((taken(&one), other.add(STEP_BYTES)), (0, Ok(())));
    }

    #[test]
    fn room_of_heads_that_ended_is_given_back_while_others_run() {
        let budget = Budget::new(8 * STEP_BYTES, STEP_BYTES);
        let heads = || Heads::new(FREE_BYTES, Room::new(&budget));
        let (one, other) = (heads(), heads());
        assert_eq!(one.add(FREE_BYTES + 1), Ok(()), "it goes on");
        assert_eq!(one.add(7 * STEP_BYTES), Ok(()));
        assert!(other.add(FREE_BYTES + 1).is_err());
        one.remove(7 * STEP_BYTES);
        assert_eq!(one.tally().room.bytes(), 2 * STEP_BYTES, "a step for the next one");
        assert_eq!(other.add(FREE_BYTES + 6 * STEP_BYTES), Ok(()));
    }
}
