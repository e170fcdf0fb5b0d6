//! What a destination refuses is set aside, and what comes later of the same key behind it, so that others go on and
//! nothing overtakes. In: refused events, and the shelf's word that some may go out again. Out: the same events on the
//! shelf, or at the destination, in order for each key. Nothing counts as done before the shelf has it.

use std::collections::HashSet;
use std::ops::Range;

use tokio::time::sleep;

use super::{Lane, Stopped, unless_stopped};
use crate::event::Event;
use crate::forward::backoff::slow;
use crate::forward::load::Load;
use crate::forward::sinks::Refusal;
use crate::id::Uuid;
use crate::shelf::{Aside, Counts, Key, ShelfError, Standing};
use crate::spool::Kept;
use crate::telemetry::forward::Outcome;

/// Most events that go out again together, and most that are set aside together.
const SHELVED_MAX: u64 = 100;
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
        let keys = if load.is_shelved() { &self.again } else { &self.keys };
        !keys.is_empty() && keys.contains(&load.key(place))
    }

    fn add(&mut self, load: &Load, place: usize) {
        let keys = if load.is_shelved() { &mut self.again } else { &mut self.keys };
        keys.insert(load.key(place));
    }
}

impl Lane {
    /// Learns which keys lie on the shelf.
    pub(super) async fn recall(&mut self) -> Result<(), Stopped> {
        let keys = loop {
            match self.shelf.keys(self.id).await {
                Ok(keys) => break keys,
                Err(fault) => self.wait_for_shelf(&fault).await?,
            }
        };
        self.blocked.keys = keys.into_iter().collect();
        if let Ok(counts) = self.shelf.counts(self.id).await {
            self.state.lies_parked(counts.events);
        }
        Ok(())
    }

    /// Waits until the shelf may be of use again, at most until somebody took something from it.
    async fn wait_for_shelf(&mut self, fault: &ShelfError) -> Result<(), Stopped> {
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
        self.calls = true;
        self.follow_signal()
    }

    /// Sets events aside. `false`, after a wait: there was no room; what was called up goes first.
    async fn shelve(&mut self, all: Vec<Aside>) -> Result<bool, Stopped> {
        let count = all.len() as u64;
        match self.shelf.put(self.id, all).await {
            Ok(counts) => {
                self.state.parked(count, counts.events);
                Ok(true)
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
        let answer = Some(refusal.answer).filter(|answer| !answer.is_empty());
        let (kept, event) = load.at(place);
        if let Some(number) = load.numbers(place..place + 1).first() {
            let asked = (refusal.reason.clone(), answer);
            self.park_again(*number, asked, attempts).await?;
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
            event: event.clone(),
        };
        if !self.shelve(vec![aside.clone()]).await? {
            return Ok(false);
        }
        self.blocked.add(load, place);
        let (destination, reason) = (&self.state.name, &aside.reason);
        tracing::warn!(destination, event = %event.id, reason, "an event was parked");
        self.notices.parked(&self.state, event.id, reason, &event.json).await;
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
                Ok(()) => return Ok(()),
                Err(fault) => self.wait_for_shelf(&fault).await?,
            }
        }
    }

    /// Takes those events out whose key lies on the shelf, and lays them behind it. `false`: there was no room.
    pub(super) async fn lay_behind(&mut self, load: &mut Load) -> Result<bool, Stopped> {
        if self.blocked.keys.is_empty() {
            return Ok(true);
        }
        let blocked = &self.blocked;
        let taken = load.take(|load, place| blocked.has(load, place));
        for some in taken.chunks(TOGETHER_MAX) {
            let all = some.iter().map(|item| self.behind(item.kept(), item.event())).collect();
            if !self.shelve(all).await? {
                return Ok(false);
            }
            self.settle_all(some);
        }
        Ok(true)
    }

    fn behind(&self, kept: &Kept, event: &Event) -> Aside {
        Aside {
            name: self.state.name.clone(),
            key: self.ordering.key(kept, event),
            standing: Standing::Behind,
            account: kept.account,
            workspace: kept.workspace,
            received: kept.received,
            parked: self.notices.clock().now(),
            reason: BEHIND.to_owned(),
            attempts: 0,
            answer: None,
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
        if !load.is_shelved() {
            let places = range.start..end;
            let all = places.map(|place| {
                let (kept, event) = load.at(place);
                self.behind(kept, event)
            });
            let all = all.collect();
            if !self.shelve(all).await? {
                return Ok(None);
            }
            self.settle(load, range.start..end);
        }
        Ok(Some((range.start..range.start, end..range.end)))
    }

    /// Sends again what was called up, and what lies behind it.
    pub(super) async fn carry_shelved(&mut self) -> Result<(), Stopped> {
        unless_stopped(&mut self.signal, self.changed, self.seat.take()).await?;
        loop {
            self.calls = false;
            self.news.borrow_and_update();
            let lying = match self.shelf.due(self.id, SHELVED_MAX).await {
                Ok(lying) => lying,
                Err(fault) => {
                    self.calls = true;
                    return self.wait_for_shelf(&fault).await;
                }
            };
            if lying.is_empty() {
                return self.recall().await;
            }
            self.blocked.again.clear();
            let load = Load::shelved(lying, self.ordering);
            let bounds = self.sink.bounds();
            let mut at = 0;
            while at < load.len() {
                let most = load.cut(at, bounds.events, bounds.bytes);
                let (mut end, mut bad) = (at, None);
                while end < most && bad.is_none() {
                    match self.sink.check(&load, end) {
                        Ok(()) => end += 1,
                        Err(reason) => bad = Some(Refusal { reason, answer: String::new() }),
                    }
                }
                if at < end && !self.deliver(&load, at..end, None).await? {
                    self.calls = true;
                    return Ok(());
                }
                if let Some(refusal) = bad {
                    self.park(&load, end, refusal, 0).await?;
                    end += 1;
                }
                at = end;
            }
        }
    }

    /// What a destination acknowledges and does not keep lies as if it were refused: nobody waits for it.
    async fn shelve_unkept(
        &mut self,
        load: &Load,
        range: Range<usize>,
        ids: &[Uuid],
    ) -> Result<(), Stopped> {
        let Some(missing) = self.find_missing(ids).await? else { return Ok(()) };
        for place in range.filter(|place| missing.contains(&load.at(*place).1.id)) {
            let Some(number) = load.numbers(place..place + 1).first() else { continue };
            self.park_again(*number, (UNKEPT.to_owned(), None), 1).await?;
            self.blocked.add(load, place);
        }
        Ok(())
    }

    /// Events from the shelf arrived: they leave it once the destination keeps them. `false`: it does not say so.
    pub(super) async fn unshelve(
        &mut self,
        load: &Load,
        range: Range<usize>,
    ) -> Result<bool, Stopped> {
        let ids: Vec<_> = range.clone().map(|place| load.at(place).1.id).collect();
        if self.confirms && !self.is_kept(&ids).await? {
            return self.shelve_unkept(load, range, &ids).await.map(|()| false);
        }
        let Counts { events, .. } = loop {
            match self.shelf.done(self.id, load.numbers(range.clone()).to_vec()).await {
                Ok(counts) => break counts,
                Err(fault) => self.wait_for_shelf(&fault).await?,
            }
        };
        self.state.lies_parked(events);
        Ok(true)
    }
}
