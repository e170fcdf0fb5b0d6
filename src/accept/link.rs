//! What is known of one connection: what it waits for since when, and whether it was told to end. In: facts of its
//! wire and its requests. Out: the next deadline. Atomics only on the way of a request; never a timer of its own.

use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::Options;
use crate::telemetry::accept::Reason;

/// What a connection was told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Signal {
    /// Nothing.
    None,
    /// Finish what runs, take nothing new.
    Drain,
    /// End now: another one needs the room.
    Evict,
    /// End now.
    Cut,
}

/// Why a connection's time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It was idle for a while: it can do with less.
    Quiet,
    /// It was idle: an end without fault.
    Idle,
    /// What it still sends after the last answer is of no interest any more.
    Linger,
    /// A fault.
    Fault(Reason),
}

/// One connection, shared between its task and the registry.
#[derive(Debug)]
pub(super) struct Link {
    /// Moments are milliseconds since then, and one: 0 is "not".
    epoch: Instant,
    signal: AtomicU8,
    waker: Mutex<Option<Waker>>,
    /// Requests whose head came and whose answer is not yet made.
    running: AtomicU32,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    block_since: AtomicU64,
    write_since: AtomicU64,
    linger_since: AtomicU64,
    /// The head that was refused: its number, counted from 0, above its reason's code and one.
    refused: AtomicU64,
    /// Why it must end: the reason's code and one.
    fault: AtomicU8,
    /// Why it drains, where it is alone in that: the reason's code and one.
    drain: AtomicU8,
    drain_since: AtomicU64,
    /// A body was left unread.
    body_left: AtomicBool,
}

impl Link {
    pub(super) fn new(epoch: Instant) -> Self {
        let link = Self {
            epoch,
            signal: AtomicU8::new(Signal::None as u8),
            waker: Mutex::new(None),
            running: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            block_since: AtomicU64::new(0),
            write_since: AtomicU64::new(0),
            linger_since: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            fault: AtomicU8::new(0),
            drain: AtomicU8::new(0),
            drain_since: AtomicU64::new(0),
            body_left: AtomicBool::new(false),
        };
        link.idle_since.store(link.now(), Relaxed);
        link
    }

    /// A request's body was left, wholly or in part: over HTTP/1 nothing can follow.
    pub(super) fn body_left(&self) {
        self.body_left.store(true, Relaxed);
    }

    /// Whether one was.
    pub(super) fn is_body_left(&self) -> bool {
        self.body_left.load(Relaxed)
    }

    /// The present moment.
    pub(super) fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64 + 1
    }

    /// The instant of a moment.
    pub(super) fn instant(&self, moment: u64) -> Instant {
        self.epoch + Duration::from_millis(moment)
    }

    /// So many heads came whole; each will be answered.
    pub(super) fn heads_came(&self, count: u32) {
        self.running.fetch_add(count, Relaxed);
        self.head_since.store(0, Relaxed);
    }

    /// A head began, and is not whole.
    pub(super) fn head_began(&self) {
        if self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    /// A header block of HTTP/2 is on its way: nothing else comes before its end.
    pub(super) fn block_began(&self) {
        if self.block_since.load(Relaxed) == 0 {
            self.block_since.store(self.now(), Relaxed);
        }
    }

    /// No header block is on its way.
    pub(super) fn block_ended(&self) {
        if self.block_since.load(Relaxed) != 0 {
            self.block_since.store(0, Relaxed);
        }
    }

    /// One of the requests was answered, or given up.
    pub(super) fn answered(&self) {
        self.idle_since.store(self.now(), Relaxed);
        self.running.fetch_sub(1, Relaxed);
    }

    /// The peer takes no more bytes at the moment.
    pub(super) fn write_blocked(&self) {
        if self.write_since.load(Relaxed) == 0 {
            self.write_since.store(self.now(), Relaxed);
        }
    }

    /// All was written.
    pub(super) fn write_done(&self) {
        if self.write_since.load(Relaxed) != 0 {
            self.write_since.store(0, Relaxed);
        }
    }

    /// The last answer is written; input is only thrown away.
    pub(super) fn linger_began(&self) {
        if self.linger_since.load(Relaxed) == 0 {
            self.linger_since.store(self.now(), Relaxed);
        }
    }

    /// The head of that number was refused: the request with its number is answered by that.
    pub(super) fn refuse(&self, number: u64, code: u8) {
        self.refused.store((number << 8) | (u64::from(code) + 1), Relaxed);
    }

    /// The reason's code when the request of that number stands for a refused one.
    pub(super) fn refusal_of(&self, number: u64) -> Option<u8> {
        let refused = self.refused.load(Relaxed);
        (refused != 0 && refused >> 8 == number).then(|| (refused as u8).wrapping_sub(1))
    }

    /// It cannot go on, and its version has no answer that would say so.
    pub(super) fn give_up(&self, reason: Reason) {
        self.fault.store(reason as u8 + 1, Relaxed);
    }

    /// The same from outside: its task is told.
    pub(super) fn give_way(&self, reason: Reason) {
        self.give_up(reason);
        self.wake();
    }

    /// It takes no new requests, and what runs finishes.
    pub(super) fn drain_for(&self, reason: Reason) {
        self.drain.store(reason as u8 + 1, Relaxed);
        self.drain_since.store(self.now(), Relaxed);
        self.tell(Signal::Drain);
    }

    /// Why it drains, when it was not told to from outside.
    pub(super) fn drained_for(&self) -> Option<Reason> {
        self.drain.load(Relaxed).checked_sub(1).map(Reason::from_code)
    }

    /// Whether it must end.
    pub(super) fn is_given_up(&self) -> bool {
        self.fault.load(Relaxed) != 0
    }

    /// Nothing is lost when it ends: no request runs, no head or answer is half-way.
    pub(super) fn is_idle(&self) -> bool {
        self.signal() == Signal::None
            && self.running.load(Relaxed) == 0
            && (self.linger_since.load(Relaxed) != 0
                || [&self.head_since, &self.block_since, &self.write_since]
                    .iter()
                    .all(|since| since.load(Relaxed) == 0))
    }

    /// The moment its time is up, and why; idle for `quiet` comes before idle for good.
    pub(super) fn due(&self, options: &Options, quiet: Option<Duration>) -> Option<(u64, Due)> {
        let after = |since: u64, limit: Duration| since.saturating_add(limit.as_millis() as u64);
        if let Some(code) = self.fault.load(Relaxed).checked_sub(1) {
            return Some((0, Due::Fault(Reason::from_code(code))));
        }
        let linger = self.linger_since.load(Relaxed);
        if linger != 0 {
            return Some((after(linger, options.linger), Due::Linger));
        }
        let write = self.write_since.load(Relaxed);
        let head = self.head_since.load(Relaxed);
        let mut due = None;
        if write != 0 {
            due = Some((after(write, options.write), Due::Fault(Reason::WriteSlow)));
        }
        let block = self.block_since.load(Relaxed);
        if block != 0 {
            let block = after(block, options.head);
            if due.is_none_or(|(moment, _)| block < moment) {
                due = Some((block, Due::Fault(Reason::HeadSlow)));
            }
        }
        if head != 0 && self.running.load(Relaxed) == 0 {
            // A head behind another request has its time from that one's answer.
            let head = after(head.max(self.idle_since.load(Relaxed)), options.head);
            if due.is_none_or(|(moment, _)| head < moment) {
                due = Some((head, Due::Fault(Reason::HeadSlow)));
            }
        }
        let drain = self.drain_since.load(Relaxed);
        if drain != 0 {
            // A peer that does not go is not waited for: not without a request, nor longer than one may take.
            let longest = after(drain, options.body_total + options.linger);
            let last = match self.running.load(Relaxed) {
                0 => after(drain.max(self.idle_since.load(Relaxed)), options.linger).min(longest),
                _ => longest,
            };
            if due.is_none_or(|(moment, _)| last < moment) {
                due = Some((last, Due::Linger));
            }
        }
        if due.is_none() && self.running.load(Relaxed) == 0 {
            let since = self.idle_since.load(Relaxed);
            due = Some(match quiet.filter(|quiet| *quiet < options.idle) {
                Some(quiet) => (after(since, quiet), Due::Quiet),
                None => (after(since, options.idle), Due::Idle),
            });
        }
        due
    }

    pub(super) fn signal(&self) -> Signal {
        match self.signal.load(Relaxed) {
            0 => Signal::None,
            1 => Signal::Drain,
            2 => Signal::Evict,
            _ => Signal::Cut,
        }
    }

    /// Tells the connection, unless it was told more already.
    pub(super) fn tell(&self, signal: Signal) {
        self.signal.fetch_max(signal as u8, Relaxed);
        self.wake();
    }

    /// Lets its task look again.
    pub(super) fn wake(&self) {
        let waker = self.waker.lock().expect("nothing panics under this lock").clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Remembers how to wake the connection's task; once is enough, since a task keeps its waker's meaning.
    pub(super) fn watch(&self, waker: &Waker) {
        let mut known = self.waker.lock().expect("nothing panics under this lock");
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Waits until the connection is told to end at once.
    pub(super) async fn cut(&self) {
        poll_fn(|cx| {
            self.watch(cx.waker());
            if self.signal() >= Signal::Evict { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until the connection is told something.
    pub(super) async fn told(&self) -> Signal {
        poll_fn(|cx| {
            self.watch(cx.waker());
            match self.signal() {
                Signal::None => Poll::Pending,
                signal => Poll::Ready(signal),
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_follows_what_is_awaited() {
        let (options, link) = (Options::default(), Link::new(Instant::now()));
        assert_eq!(link.due(&options, None).map(|due| due.1), Some(Due::Idle));
        let quiet = Duration::from_secs(1);
        let (moment, why) = link.due(&options, Some(quiet)).expect("idle ends");
        assert_eq!((moment, why), (link.idle_since.load(Relaxed) + 1000, Due::Quiet));
        assert!(link.is_idle());
        link.head_began();
        assert_eq!(link.due(&options, None).map(|due| due.1), Some(Due::Fault(Reason::HeadSlow)));
        link.heads_came(1);
        assert!(!link.is_idle());
        assert_eq!(link.due(&options, None), None);
        link.block_began();
        assert_eq!(link.due(&options, None).map(|due| due.1), Some(Due::Fault(Reason::HeadSlow)));
        link.block_ended();
        assert_eq!(link.due(&options, None), None);
        link.write_blocked();
        assert_eq!(link.due(&options, None).map(|due| due.1), Some(Due::Fault(Reason::WriteSlow)));
        link.write_done();
        link.answered();
        assert_eq!(link.due(&options, None).map(|due| due.1), Some(Due::Idle));
        link.tell(Signal::Evict);
        link.tell(Signal::Drain);
        assert_eq!((link.signal(), link.is_idle()), (Signal::Evict, false));
        link.give_up(Reason::HeadsCrowded);
        let fault = (0, Due::Fault(Reason::HeadsCrowded));
        assert_eq!((link.is_given_up(), link.due(&options, None)), (true, Some(fault)));
    }

    #[test]
    fn who_drains_alone_has_the_time_of_its_requests_and_a_moment() {
        let (options, link) = (Options::default(), Link::new(Instant::now()));
        link.drain_for(Reason::TableDrained);
        assert_eq!(
            (link.signal(), link.drained_for()),
            (Signal::Drain, Some(Reason::TableDrained))
        );
        let since = link.drain_since.load(Relaxed);
        let in_seconds = |seconds: u64| Some((since + seconds * 1000, Due::Linger));
        assert_eq!(link.due(&options, None), in_seconds(2));
        link.heads_came(1);
        assert_eq!(link.due(&options, None), in_seconds(62));
        let told = Link::new(Instant::now());
        told.tell(Signal::Drain);
        assert_eq!(
            (told.drained_for(), told.due(&options, None).map(|due| due.1)),
            (None, Some(Due::Idle))
        );
    }

    #[test]
    fn a_refusal_belongs_to_one_request() {
        let link = Link::new(Instant::now());
        assert_eq!(link.refusal_of(0), None);
        link.refuse(3, 0);
        assert_eq!((link.refusal_of(2), link.refusal_of(3)), (None, Some(0)));
    }
}
