//! What a destination refuses is set aside, and what comes later of the same key behind it, so that others go on and
//! nothing overtakes. In: refused events, and those that came later of their keys. Out: the same events on the shelf.
//! Nothing counts as done before the shelf has it. What goes out again from there, `hand.rs` says.

use std::collections::HashSet;
use std::ops::Range;

use tokio::time::sleep;

use super::{Lane, Stopped, unless_stopped};
use crate::forward::backoff::slow;
use crate::forward::load::{Item, Load};
use crate::forward::sinks::Refusal;
use crate::forward::trail::Trail;
use crate::shelf::{Aside, Key, ShelfError, Standing};
use crate::telemetry::forward::Outcome;

/// Most events that are set aside together.
const TOGETHER_MAX: usize = 500;
/// Why an event lies there that was acknowledged.
pub(super) const UNKEPT: &str = "acknowledged each time, and never kept";
/// Why an event lies behind another.
const BEHIND: &str = "waits behind an earlier event of its resource";

/// Whose turn it is: keys of which something lies on the shelf.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    /// What comes of these lies down behind it.
    keys: HashSet<Key>,
    /// Of what goes out again from the shelf: refused once more, meanwhile.
    again: HashSet<Key>,
}

impl Blocked {
    fn has(&self, load: &Load, place: usize) -> bool {
        let keys = if load.lies(place).is_some() { &self.again } else { &self.keys };
        !keys.is_empty() && keys.contains(&load.key(place))
    }

    fn add(&mut self, load: &Load, place: usize) {
        let keys = if load.lies(place).is_some() { &mut self.again } else { &mut self.keys };
        keys.insert(load.key(place));
    }

    /// Of these keys something lies on the shelf; what goes out again of it may go.
    pub(super) fn begin(&mut self, keys: Vec<Key>) {
        self.keys = keys.into_iter().collect();
        self.again.clear();
    }

    /// Nothing of these keys lies there any more.
    pub(super) fn free(&mut self, keys: &[Key]) {
        for key in keys {
            self.keys.remove(key);
        }
    }
}

impl Lane {
    /// Waits until the shelf may be of use again, at most until somebody took something from it.
    pub(super) async fn wait_for_shelf(&mut self, fault: &ShelfError) -> Result<(), Stopped> {
        let what = fault.to_string();
        if matches!(fault, ShelfError::Full { .. }) {
            self.notices.held(&self.state, &what).await;
        }
        self.state.facts.attempted(Outcome::Failed);
        self.state.failed(&what, true);
        let (wait, news) = (slow(&self.tempo, fastrand::f64()), &mut self.news);
        let waiting = async {
            tokio::select! {
                () = sleep(wait) => {}
                Ok(()) = news.changed() => {}
            }
        };
        unless_stopped(&mut self.signal, self.changed, waiting).await?;
        self.hand.call();
        self.follow_signal()
    }

    /// Sets events aside. `false`: there was no room, and what may go out again from there goes first; when nothing
    /// may, after a wait.
    async fn shelve(&mut self, all: Vec<Aside>) -> Result<bool, Stopped> {
        let count = all.len() as u64;
        match self.shelf.put(self.id, all).await {
            Ok(counts) => {
                self.state.parked(count, counts.events);
                Ok(true)
            }
            Err(ShelfError::Full { .. }) if self.hand.has_more() => {
                self.hand_only = true;
                Ok(false)
            }
            Err(fault) => self.wait_for_shelf(&fault).await.map(|()| false),
        }
    }

    /// Sets one event aside: the destination refuses it. `false`: there was no room.
    pub(super) async fn park(
        &mut self,
        load: &Load,
        place: usize,
        refusal: Refusal,
        attempts: u32,
    ) -> Result<bool, Stopped> {
        let is_circle = refusal.ends_circle(load.hops(place..place + 1));
        let answer = Some(refusal.answer).filter(|answer| !answer.is_empty());
        let (kept, event) = load.at(place);
        let attempts = self.tries.of((kept, event)).max(attempts);
        if let Some(number) = load.lies(place) {
            let (destination, reason) = (&self.state.name, &refusal.reason);
            let (event_id, request_id) = Trail::of(event).texts();
            tracing::warn!(destination, event_id, request_id, reason, "an event was parked again");
            self.park_again(number, (refusal.reason, answer), attempts).await?;
            self.unkept.remove(&event.id);
            self.tries.forget((kept, event));
            self.blocked.add(load, place);
            return Ok(true);
        }
        let aside = Aside {
            name: self.state.name.clone(),
            key: load.key(place),
            standing: Standing::Refused,
            account: kept.account,
            workspace: kept.workspace,
            received: kept.received,
            parked: self.notices.clock().now(),
            reason: refusal.reason,
            attempts,
            answer,
            hops: load.item(place).hops(),
            event: event.clone(),
        };
        if !self.shelve(vec![aside.clone()]).await? {
            return Ok(false);
        }
        self.unkept.remove(&event.id);
        self.blocked.add(load, place);
        let (destination, reason) = (&self.state.name, &aside.reason);
        let (event_id, request_id) = Trail::of(event).texts();
        tracing::warn!(destination, event_id, request_id, reason, "an event was parked");
        // Where it goes in a circle, a notice would go round, too.
        if !is_circle {
            self.notices.parked(&self.state, event.id, reason, &event.json).await;
        }
        self.settle(load, place..place + 1);
        Ok(true)
    }

    async fn park_again(
        &mut self,
        number: i64,
        (reason, answer): (String, Option<String>),
        attempts: u32,
    ) -> Result<(), Stopped> {
        loop {
            let put = self.shelf.refused(number, reason.clone(), answer.clone(), attempts);
            match put.await {
                Ok(()) => {
                    self.hand.let_go(&[number]);
                    return Ok(());
                }
                Err(fault) => self.wait_for_shelf(&fault).await?,
            }
        }
    }

    /// Takes those events out whose key lies on the shelf, and lays them behind it; those that come from there stay
    /// there. `false`: there was no room.
    pub(super) async fn lay_behind(&mut self, load: &mut Load) -> Result<bool, Stopped> {
        if self.blocked.keys.is_empty() && self.blocked.again.is_empty() {
            return Ok(true);
        }
        let blocked = &self.blocked;
        let taken = load.take(|load, place| blocked.has(load, place));
        let (lying, taken): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|item| item.lies().is_some());
        self.hand.let_go(&lying.iter().filter_map(Item::lies).collect::<Vec<_>>());
        for some in taken.chunks(TOGETHER_MAX) {
            let all = some.iter().map(|item| self.behind(item)).collect();
            if !self.shelve(all).await? {
                return Ok(false);
            }
            self.settle_all(some);
        }
        Ok(true)
    }

    fn behind(&self, item: &Item) -> Aside {
        let (kept, event) = (item.kept(), item.event());
        Aside {
            name: self.state.name.clone(),
            key: self.ordering.key(kept, event),
            standing: Standing::Behind,
            account: kept.account,
            workspace: kept.workspace,
            received: kept.received,
            parked: self.notices.clock().now(),
            reason: BEHIND.to_owned(),
            attempts: self.tries.of((kept, event)),
            answer: None,
            hops: item.hops(),
            event: event.clone(),
        }
    }

    /// The part of a range in front of the first event that may not go now; those that may not are laid behind what
    /// they wait for. `None`: there was no room for them.
    pub(super) async fn pass_blocked(
        &mut self,
        load: &Load,
        range: Range<usize>,
    ) -> Result<Option<(Range<usize>, Range<usize>)>, Stopped> {
        let first = range.clone().find(|place| self.blocked.has(load, *place));
        let Some(first) = first else { return Ok(Some((range.clone(), range.end..range.end))) };
        if first > range.start {
            return Ok(Some((range.start..first, first..range.end)));
        }
        let open = range.clone().find(|place| !self.blocked.has(load, *place));
        let end = open.unwrap_or(range.end).min(range.start + TOGETHER_MAX);
        self.hand.let_go(&load.lying(range.start..end));
        let places = (range.start..end).filter(|place| load.lies(*place).is_none());
        let all: Vec<_> = places.map(|place| self.behind(load.item(place))).collect();
        if !all.is_empty() && !self.shelve(all).await? {
            return Ok(None);
        }
        self.settle(load, range.start..end);
        Ok(Some((range.start..range.start, end..range.end)))
    }
}
