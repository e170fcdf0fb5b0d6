//! Publishing over a websocket (contract 5.2): one event in each text frame, no answers but to pings. In: a visitor and
//! its socket. Out: events on stable storage before any ping behind them is answered, and before a close is. A frame
//! that is no event is left out, counted and logged; it costs nobody the connection.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::publish::{FRAME_MAX_BYTES, FRAME_MAX_EVENTS, frames};
use super::visitor::{CHECK_EVERY, Goodbye, Visitor};
use crate::accept::websocket::{Heard, Socket};
use crate::event::{self, DraftError, Event};
use crate::spool::SpoolError;
use crate::telemetry::events::{Outcome, Transport, Way};

/// Longest wait for the account's budget: a client expects the answer to its ping within twenty seconds.
const BUDGET_WAIT_SECONDS: u64 = 10;
/// Between two tries of a spool that is busy, and how many there are.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
const BUSY_TRIES: u32 = 20;

/// Frames that were read and are not kept yet.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.events.len() >= FRAME_MAX_EVENTS || self.bytes >= FRAME_MAX_BYTES
    }
}

/// Takes events in until either side ends.
pub(super) async fn run(mut visitor: Visitor, mut socket: Socket) {
    let facts = visitor.api.events.facts.clone();
    let _open = facts.opened(Way::In);
    let Goodbye(code, reason) = loop {
        let mut batch = Batch::default();
        let end = gather(&visitor, &mut socket, &mut batch).await;
        if let Err(goodbye) = visitor.still().await {
            break goodbye;
        }
        // What stands behind them, a ping or a close, waits until they are kept.
        if let Err(goodbye) = visitor.keep(batch.events).await {
            break goodbye;
        }
        match end {
            None => {}
            Some(Heard::Draining) => break Goodbye::RESTART,
            Some(Heard::Fault(code, reason)) => break Goodbye(code, Cow::Borrowed(reason)),
            Some(Heard::Closed) => return socket.close(1000, "").await,
            Some(_) => return,
        }
    };
    facts.closed(Way::In, code);
    socket.close(code, &reason).await;
}

/// Reads what is there, and waits for the first; the end, if that came.
async fn gather(visitor: &Visitor, socket: &mut Socket, batch: &mut Batch) -> Option<Heard> {
    // Nothing in time: a moment to look whether the visitor still may.
    let mut next = timeout(CHECK_EVERY, socket.hear()).await.ok();
    while let Some(heard) = next {
        match heard {
            Heard::Text(text) => match event::publish(&text, visitor.reserved_names()) {
                Ok(event) => {
                    batch.bytes += event.json.len();
                    batch.events.push(event);
                }
                Err(faults) => visitor.leave_out(&faults),
            },
            Heard::Ping => return None,
            Heard::Binary => return Some(Heard::Fault(1003, "Events come as text")),
            end => return Some(end),
        }
        next = if batch.is_full() { None } else { socket.hear_now().await };
    }
    None
}

impl Visitor {
    fn reserved_names(&self) -> bool {
        self.api.options.events.reserved_names
    }

    /// Counts a frame that is no event.
    fn leave_out(&self, faults: &[DraftError]) {
        let events = &self.api.events;
        events.facts.published(Transport::Websocket, Outcome::Invalid, 1);
        if let Some(count) = events.damper.speak(events.epoch.elapsed()) {
            // The rule, never what was sent: that may be anything.
            let place = faults.first().and_then(|fault| fault.pointer.as_deref());
            let place = place.unwrap_or_default().split('/').nth(1).unwrap_or_default();
            tracing::warn!(count, place, "frames of a publisher were no events");
        }
    }

    /// Puts events on stable storage.
    async fn keep(&self, events: Vec<Event>) -> Result<(), Goodbye> {
        if events.is_empty() {
            return Ok(());
        }
        self.charge(events.len()).await?;
        let (facts, received) = (&self.api.events.facts, self.api.clock.now());
        let known = self.api.published_before(&self.place, &events);
        for frame in frames(events) {
            let all = frame.len();
            let new = self.append(received, frame).await.map_err(|fault| match fault {
                SpoolError::Full { .. } | SpoolError::NoRoom { .. } => {
                    Goodbye(1013, "The gateway is full".into())
                }
                _ => Goodbye(1013, "The gateway cannot keep events right now".into()),
            })?;
            facts.published(Transport::Websocket, Outcome::Kept, new);
            facts.published(Transport::Websocket, Outcome::Known, all - new);
        }
        self.api.note_differing(Transport::Websocket, known);
        Ok(())
    }

    async fn append(
        &self,
        received: crate::clock::Time,
        events: Vec<Event>,
    ) -> Result<usize, SpoolError> {
        let (spool, place) = (&self.api.events.spool, self.place);
        let mut tries = 1;
        loop {
            let (account, workspace) = (place.account, place.workspace);
            match spool.append_all_once(account, workspace, received, events.clone()).await {
                Err(SpoolError::Busy) if tries < BUSY_TRIES => {
                    tries += 1;
                    sleep(BUSY_PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// Charges the account; over its budget, the publisher waits a little: nothing more is read meanwhile.
    async fn charge(&self, events: usize) -> Result<(), Goodbye> {
        let (limits, account) = (&self.api.options.limits, self.place.account);
        let mut left = BUDGET_WAIT_SECONDS;
        while let Err(exceeded) = limits.charge_events(account, events) {
            if exceeded.retry_after_seconds > left {
                limits.note_events(account, events, false, self.api.clock.now());
                self.api.events.facts.published(Transport::Websocket, Outcome::Limited, events);
                let seconds = exceeded.retry_after_seconds;
                let reason = format!("Over the limit of events; again in {seconds} s");
                return Err(Goodbye(1013, reason.into()));
            }
            left -= exceeded.retry_after_seconds;
            sleep(Duration::from_secs(exceeded.retry_after_seconds)).await;
        }
        limits.note_events(account, events, true, self.api.clock.now());
        Ok(())
    }
}
