//! Following events over a websocket (contract 5.3): what was kept since a moment, oldest first, then what happens, no
//! gap in between. In: a visitor, its socket, a filter. Out: one message for each event asked for. Never another frame,
//! never an event of another place; who is too slow is sent away and may come back.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use super::super::text;
use super::live::Shown;
use super::visitor::{CHECK_EVERY, Goodbye, Visitor, frame};
use crate::accept::websocket::{Heard, Socket};
use crate::filter::Filter;
use crate::id::Uuid;
use crate::request::Content;
use crate::spool::Reader;
use crate::telemetry::events::Way;

/// How far back a filter looks that names no beginning, as the original's server does.
const BACKFILL_SECONDS: i64 = 15 * 60;
/// Clocks of publishers may be ahead of ours by so much.
const SKEW_SECONDS: i64 = 60;
/// Most bytes of a filter; nothing else that a follower says is read.
const FILTER_MAX_BYTES: usize = 256 << 10;
/// Frames of one look back, and about so many bytes.
const FRAMES_MAX: usize = 256;
const LOOK_BYTES: usize = 256 << 10;
/// How often somebody may fall behind what happens before having caught up once.
const ROUNDS_MAX: u32 = 10;
/// Events that are remembered to send none twice.
const IDS_MAX: usize = 1000;

/// How many may follow at once.
#[derive(Debug)]
pub(super) struct Seats {
    max: usize,
    per_account_max: usize,
    taken: Mutex<HashMap<Uuid, usize>>,
}

/// One of them, as long as it lives.
struct Seat {
    seats: Arc<Seats>,
    account: Uuid,
}

impl Seats {
    pub(super) fn new(max: usize, per_account_max: usize) -> Arc<Self> {
        Arc::new(Self { max, per_account_max, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, account: Uuid) -> Option<Seat> {
        let mut taken = self.taken();
        let (all, own) = (taken.values().sum::<usize>(), taken.entry(account).or_default());
        if all >= self.max || *own >= self.per_account_max {
            return None;
        }
        *own += 1;
        Some(Seat { seats: Arc::clone(self), account })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(own) = taken.get_mut(&self.account) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.account);
            }
        }
    }
}

/// An event's workspace and id: in another workspace the same id is another event.
type Placed = (Option<Uuid>, Uuid);

/// The newest events of an account.
#[derive(Default)]
struct Recent {
    known: HashSet<Placed>,
    order: VecDeque<Placed>,
}

impl Recent {
    /// Whether an event is new; it is not afterwards.
    fn admit(&mut self, event: Placed) -> bool {
        if !self.known.insert(event) {
            return false;
        }
        self.order.push_back(event);
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// Sends events until either side ends.
pub(super) async fn run(visitor: Visitor, socket: Socket) {
    let facts = visitor.api.events.facts.clone();
    let _open = facts.opened(Way::Out);
    let mut follower = Follower { visitor, socket, recent: Recent::default(), floor: 0 };
    let ended = follower.follow().await;
    let Goodbye(code, reason) = ended.err().unwrap_or(Goodbye(1000, "".into()));
    if code != 1000 {
        facts.closed(Way::Out, code);
    }
    follower.socket.close(code, &reason).await;
}

/// What somebody asked for.
struct Wish {
    filter: Filter,
    /// What is kept since then comes first.
    backfill: Option<crate::clock::Time>,
}

/// One who follows.
struct Follower {
    visitor: Visitor,
    socket: Socket,
    recent: Recent,
    /// Frames up to this one were looked at, or came before anybody asked.
    floor: u64,
}

impl Follower {
    /// Until the peer ends it, or there is a reason to.
    async fn follow(&mut self) -> Result<(), Goodbye> {
        let wish = self.ask().await?;
        let api = Arc::clone(&self.visitor.api);
        let seat = api.events.seats.take(self.visitor.place.account);
        let _seat = seat.ok_or(Goodbye(1013, "Too many follow events already".into()))?;
        let mut reader = Some(api.events.spool.follow(wish.backfill));
        let mut rounds = 0;
        loop {
            // Listening begins before looking back, so that nothing falls in between.
            let (mut live, upto) = api.events.live.subscribe();
            if wish.backfill.is_some()
                && let Some(reader) = &mut reader
            {
                self.look_back(&wish.filter, reader, upto).await?;
                self.floor = reader.position() - 1;
            }
            self.floor = self.floor.max(upto);
            loop {
                tokio::select! {
                    heard = self.socket.hear() => if is_end(&heard)? { return Ok(()) },
                    () = sleep(CHECK_EVERY) => self.visitor.still().await?,
                    portion = live.recv() => match portion {
                        Ok(portion) => {
                            reader = None;
                            let (filter, floor) = (&wish.filter, self.floor);
                            let new = portion.iter().filter(|shown| shown.sequence > floor);
                            self.send(filter, new).await?;
                            self.visitor.still().await?;
                        }
                        // What happened while looking back is looked back at, too.
                        Err(RecvError::Lagged(_)) if reader.is_some() && rounds < ROUNDS_MAX => {
                            rounds += 1;
                            break;
                        }
                        Err(RecvError::Lagged(_)) => {
                            return Err(Goodbye(1013, "Too slow: come back for the rest".into()));
                        }
                        Err(RecvError::Closed) => return Err(Goodbye::RESTART),
                    },
                }
            }
        }
    }

    /// Waits for the filter.
    async fn ask(&mut self) -> Result<Wish, Goodbye> {
        let said = frame(&mut self.socket, FILTER_MAX_BYTES)
            .await?
            .unwrap_or_else(|| String::new().into());
        let raw = Bytes::copy_from_slice(said.as_bytes());
        let value = text::read(&Content { decoded: raw.clone(), raw }).ok().flatten();
        let Some(value) = value.filter(|value| value["type"] == "filter") else {
            return Err(Goodbye(1002, "Expected 'filter' message".into()));
        };
        let now = self.visitor.api.clock.now();
        let filter = Filter::read(&value["filter"], now).map_err(|faults| {
            let told =
                faults.first().map(|fault| format!("{}: {}", fault.at.join("."), fault.says));
            Goodbye(1002, format!("Invalid filter: {}", told.unwrap_or_default()).into())
        })?;
        let since = match value.pointer("/filter/occurred/since") {
            None | Some(Value::Null) => now.plus_seconds(-BACKFILL_SECONDS),
            Some(_) => filter.since.plus_seconds(-SKEW_SECONDS),
        };
        let backfill = (value["backfill"] != Value::Bool(false)).then_some(since);
        Ok(Wish { filter, backfill })
    }

    /// Sends what is kept up to a frame.
    async fn look_back(
        &mut self,
        filter: &Filter,
        reader: &mut Reader,
        upto: u64,
    ) -> Result<(), Goodbye> {
        while reader.position() <= upto {
            let api = Arc::clone(&self.visitor.api);
            let Ok(_turn) = api.events.looks.acquire().await else { break };
            let kept = reader.next(FRAMES_MAX, LOOK_BYTES).await;
            let Ok(kept) = kept else { return Err(Goodbye::RESTART) };
            for frame in &kept {
                let shown: Vec<Shown> = Shown::all(frame).collect();
                self.send(filter, shown.iter()).await?;
            }
            self.visitor.still().await?;
            if let Some(heard) = self.socket.hear_now().await
                && is_end(&heard)?
            {
                return Err(Goodbye(1000, "".into()));
            }
        }
        Ok(())
    }

    /// Sends those that were asked for.
    async fn send(
        &mut self,
        filter: &Filter,
        events: impl Iterator<Item = &Shown> + Send,
    ) -> Result<(), Goodbye> {
        let slow = |_| Goodbye(1013, "Too slow: come back for the rest".into());
        let mut queued = false;
        for shown in events {
            let is_there = self.visitor.sees(shown.account, shown.workspace);
            if !is_there || !filter.admits(shown.account, shown.workspace) {
                continue;
            }
            if !shown.seen().is_some_and(|seen| filter.matches(seen)) {
                continue;
            }
            let Some(message) = shown.message() else { continue };
            if !self.recent.admit((shown.workspace, shown.id)) {
                continue;
            }
            self.socket.queue(message.text).await.map_err(slow)?;
            self.visitor.api.events.facts.sent(message.is_truncated);
            queued = true;
        }
        if queued { self.socket.flush().await.map_err(slow) } else { Ok(()) }
    }
}

/// Whether the peer ends it; what else it says means nothing.
fn is_end(heard: &Heard) -> Result<bool, Goodbye> {
    match heard {
        Heard::Text(_) | Heard::Binary | Heard::Ping => Ok(false),
        Heard::Closed | Heard::Lost => Ok(true),
        Heard::Draining => Err(Goodbye::RESTART),
        Heard::Fault(code, reason) => Err(Goodbye(*code, Cow::Borrowed(reason))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_id_in_its_place() {
        let id = Uuid::from_u128;
        let mut recent = Recent::default();
        for (place, new) in
            [(None, true), (Some(1), true), (Some(2), true), (Some(1), false), (None, false)]
        {
            assert_eq!(recent.admit((place.map(id), id(7))), new, "{place:?}");
        }
        for number in 0..10_000 {
            recent.admit((None, id(number)));
        }
        assert_eq!((recent.known.len(), recent.order.len()), (IDS_MAX, IDS_MAX));
        assert!(recent.admit((Some(id(1)), id(7))), "the oldest are forgotten");
    }
}
