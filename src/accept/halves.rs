//! Room for what is half here: heads of HTTP/1, header blocks of HTTP/2, that began and did not end. In: bytes as they
//! come. Out: room for them; where all is taken, the one that began first gives way. Only what is beyond a connection's
//! own share comes here: the usual head never meets the lock.
//!
//! An honest head ends in the moment it began, a hostile one waits for its deadline: the oldest is the likeliest to be
//! hostile. Whoever would drive an honest one out must begin more of them, while it is on its way, than there is room
//! for. A sender's address decides nothing: behind a proxy all have one, and whoever attacks has many.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use super::budget::Full;
use super::heads::STEP_BYTES;
use super::link::Link;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Halves {
    max_bytes: u64,
    /// Tells a connection that it gave way, beside the mark it looks at.
    tell: fn(&Link),
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    /// The next one's number: all are in the order they began.
    next: u64,
    all: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    bytes: u64,
    is_lost: Arc<AtomicBool>,
    link: Arc<Link>,
}

impl Halves {
    /// Of so many bytes; who gives way is told by `tell`.
    pub(super) fn new(max_bytes: u64, tell: fn(&Link)) -> Arc<Self> {
        Arc::new(Self { max_bytes, tell, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("nothing panics under this lock")
    }
}

/// What one connection takes for its present half.
#[derive(Debug)]
pub(super) struct Half {
    halves: Arc<Halves>,
    link: Arc<Link>,
    place: Option<Place>,
    bytes: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    is_lost: Arc<AtomicBool>,
}

impl Half {
    /// None yet, of the connection with this link.
    pub(super) fn new(halves: &Arc<Halves>, link: &Arc<Link>) -> Self {
        Self { halves: halves.clone(), link: link.clone(), place: None, bytes: 0 }
    }

    /// Bytes that are taken.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// It gave way to a newer one.
    pub(super) fn is_lost(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.is_lost.load(Relaxed))
    }

    /// Takes what is lacking for so many bytes, if need be of those that began before.
    ///
    /// # Errors
    /// [`Full`] when it is the oldest itself, or gave way already; it has no room then.
    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), Full> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let max_bytes = self.halves.max_bytes;
        let more = (bytes - self.bytes).next_multiple_of(STEP_BYTES);
        let halves = self.halves.clone();
        let mut taken = halves.taken();
        let number = self.place(&mut taken);
        // Whatever gives way, there is no room for so much.
        let mut is_full = self.bytes + more > max_bytes || self.is_lost();
        while !is_full && taken.bytes + more > max_bytes {
            let Some((oldest, holder)) = taken.all.pop_first() else { break };
            taken.bytes -= holder.bytes;
            holder.is_lost.store(true, Relaxed);
            is_full = oldest == number;
            if !is_full {
                (halves.tell)(&holder.link);
            }
        }
        if let Some(own) = taken.all.get_mut(&number).filter(|_| !is_full) {
            own.bytes += more;
            taken.bytes += more;
            self.bytes += more;
            return Ok(());
        }
        drop(taken);
        self.leave();
        Err(Full { max_bytes })
    }

    /// Its number, behind all that began before.
    fn place(&mut self, taken: &mut Taken) -> u64 {
        let place = self.place.get_or_insert_with(|| {
            let (number, is_lost) = (taken.next, Arc::new(AtomicBool::new(false)));
            taken.next += 1;
            let holder = Holder { bytes: 0, is_lost: is_lost.clone(), link: self.link.clone() };
            taken.all.insert(number, holder);
            Place { number, is_lost }
        });
        place.number
    }

    /// Gives back what is taken.
    pub(super) fn leave(&mut self) {
        self.bytes = 0;
        if let Some(place) = self.place.take() {
            let mut taken = self.halves.taken();
            // Who gave way has nothing any more.
            let bytes = taken.all.remove(&place.number).map_or(0, |holder| holder.bytes);
            taken.bytes -= bytes;
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::telemetry::accept::Reason;

    fn halves(steps: u64) -> (Arc<Halves>, impl Fn() -> Half) {
        let halves = Halves::new(steps * STEP_BYTES, |link| link.give_up(Reason::HeadsCrowded));
        let of = halves.clone();
        (halves, move || Half::new(&of, &Arc::new(Link::new(Instant::now()))))
    }

    /// Bytes that are taken, and by how many.
    fn taken(halves: &Halves) -> (u64, usize) {
        let taken = halves.taken();
        (taken.bytes, taken.all.len())
    }

    #[test]
    fn the_oldest_gives_way_and_is_told() {
        let (halves, half) = halves(3);
        let (mut first, mut second, mut third) = (half(), half(), half());
        assert_eq!((first.hold(1), second.hold(STEP_BYTES)), (Ok(()), Ok(())));
        assert_eq!((third.hold(1), third.bytes()), (Ok(()), STEP_BYTES));
        assert_eq!(third.hold(STEP_BYTES + 1), Ok(()), "it takes the room of the first");
        assert_eq!((first.is_lost(), second.is_lost(), third.is_lost()), (true, false, false));
        assert!(first.link.is_given_up() && !second.link.is_given_up());
        let full = Err(Full { max_bytes: 3 * STEP_BYTES });
        assert_eq!((first.hold(STEP_BYTES * 2), first.bytes()), (full, 0), "it has none");
        assert_eq!(taken(&halves), (3 * STEP_BYTES, 2));
        assert_eq!(second.hold(STEP_BYTES + 1), full, "it is the oldest itself");
        assert!(!second.is_lost() && !second.link.is_given_up(), "it knows by its answer");
        assert_eq!(taken(&halves), (2 * STEP_BYTES, 1));
    }

    #[test]
    fn what_ended_leaves_its_room_and_begins_anew_behind_the_others() {
        let (halves, half) = halves(2);
        let (mut first, mut second, mut third) = (half(), half(), half());
        assert_eq!((first.hold(1), second.hold(1)), (Ok(()), Ok(())));
        first.leave();
        assert_eq!((first.hold(1), third.hold(1)), (Ok(()), Ok(())));
        assert_eq!((first.is_lost(), second.is_lost()), (false, true));
        second.leave();
        assert!(!second.is_lost(), "that one is over");
        drop((first, third));
        assert_eq!(taken(&halves), (0, 0));
    }

    #[test]
    fn what_no_room_is_enough_for_drives_nobody_out() {
        let (halves, half) = halves(2);
        let (mut first, mut second) = (half(), half());
        assert_eq!(first.hold(1), Ok(()));
        assert!(second.hold(2 * STEP_BYTES + 1).is_err());
        assert_eq!((first.is_lost(), taken(&halves)), (false, (STEP_BYTES, 1)));
    }
}
