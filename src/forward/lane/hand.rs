//! What goes out again from the shelf: beside what comes new, in the same batches and requests, by the same pace and
//! turns. In: the shelf's word that something may. Out: some of it in the window, more when that is little; what
//! arrived off the shelf, many at once. Of a key that lies on the shelf what is new lies down behind it (`aside.rs`):
//! so nothing overtakes. A pass goes through the shelf once, from its beginning; the next one begins when nothing of
//! the last is in hand.

use std::collections::HashSet;
use std::time::Duration;

use super::{Lane, Stopped, unless_stopped};
use crate::shelf::{self, Counts, Left, Most};

/// Most events of the shelf that one lane has in hand, and bytes of them after which no more follow.
const EVENTS_MAX: usize = 512;
const BYTES_MAX: usize = 1 << 20;
/// So many that arrived leave the shelf together, unless nothing else is in hand.
const TOGETHER: usize = 128;
/// Until something of the shelf has arrived or not, a lane does not end for having nothing else to do.
const LONG: Duration = Duration::from_hours(1);

/// Whether what is new may go on, too: the shelf has room for as much of it as makes it worth while.
fn has_room(counts: Counts) -> bool {
    counts.events < shelf::EVENTS_MAX / 10 * 9 && counts.bytes < shelf::BYTES_MAX / 10 * 9
}

/// What a lane has of its shelf.
#[derive(Debug)]
pub(super) struct Hand {
    /// Where it lies there.
    lying: HashSet<i64>,
    /// What of that has arrived.
    arrived: Vec<i64>,
    /// How far the pass is, if there is one.
    at: Option<i64>,
    /// A pass is wanted.
    is_called: bool,
    /// The shelf has it that some of it is on its way.
    is_marked: bool,
}

impl Default for Hand {
    /// What was called up before the last stop still is.
    fn default() -> Self {
        Self {
            lying: HashSet::new(),
            arrived: Vec::new(),
            at: None,
            is_called: true,
            is_marked: false,
        }
    }
}

impl Hand {
    /// Something may go out again.
    pub(super) fn call(&mut self) {
        self.is_called = true;
    }

    /// Those are at the destination.
    pub(super) fn arrived(&mut self, lying: Vec<i64>) {
        self.arrived.extend(lying);
    }

    /// Those stay where they lie.
    pub(super) fn let_go(&mut self, lying: &[i64]) {
        for number in lying {
            self.lying.remove(number);
        }
    }

    /// What has not arrived is not in hand any more, and called up again.
    pub(super) fn drop_all(&mut self) {
        let before = self.lying.len();
        self.lying = self.arrived.iter().copied().collect();
        self.is_called |= before > self.lying.len() || self.at.is_some();
        self.at = None;
    }

    /// Whether something of the shelf is in hand, or may come.
    pub(super) fn has_more(&self) -> bool {
        self.is_called || self.at.is_some() || !self.lying.is_empty()
    }

    /// Whether what arrived is to leave the shelf.
    fn is_due(&self) -> bool {
        let count = self.arrived.len();
        count >= TOGETHER || count > 0 && count >= self.lying.len()
    }
}

impl Lane {
    /// For how long it waits for something to do before it ends.
    pub(super) fn idle(&self) -> Duration {
        if self.hand.lying.is_empty() { self.tempo.idle } else { LONG }
    }

    /// Takes in hand what may go out again.
    pub(super) async fn call_up(&mut self) -> Result<(), Stopped> {
        if self.news.has_changed().unwrap_or(false) {
            self.news.borrow_and_update();
            self.hand.call();
        }
        if self.hand.is_due() {
            self.leave_shelf().await?;
        }
        if self.hand.is_called && self.hand.at.is_none() && self.hand.lying.is_empty() {
            self.begin_pass().await?;
        }
        if let Some(at) = self.hand.at
            && self.hand.lying.len() <= EVENTS_MAX / 2
        {
            self.take_some(at).await?;
        }
        self.hand_only &= self.hand.has_more();
        Ok(())
    }

    /// Learns which keys lie on the shelf, and begins with the oldest event there.
    async fn begin_pass(&mut self) -> Result<(), Stopped> {
        let (keys, counts) = loop {
            match self.shelf.begin(self.id).await {
                Ok(begun) => break begun,
                Err(fault) => self.wait_for_shelf(&fault).await?,
            }
        };
        self.blocked.begin(keys);
        self.state.lies_parked(counts.events);
        self.hand.is_called = false;
        self.hand.at = (counts.events > 0).then_some(0);
        Ok(())
    }

    async fn take_some(&mut self, at: i64) -> Result<(), Stopped> {
        unless_stopped(&mut self.signal, self.changed, self.seat.take()).await?;
        let most = Most { events: EVENTS_MAX - self.hand.lying.len(), bytes: BYTES_MAX };
        match self.shelf.due(self.id, at, most).await {
            Ok(lying) => {
                self.hand.is_marked |= !lying.is_empty();
                self.hand.at = lying.last().map(|last| last.number);
                self.hand.lying.extend(lying.iter().map(|one| one.number));
                self.window.push_shelved(lying);
                Ok(())
            }
            Err(fault) => self.wait_for_shelf(&fault).await,
        }
    }

    /// What arrived leaves the shelf; keys of which nothing lies there any more are free.
    async fn leave_shelf(&mut self) -> Result<(), Stopped> {
        let arrived = std::mem::take(&mut self.hand.arrived);
        let Left { counts, free, has_more } = loop {
            match self.shelf.done(self.id, arrived.clone()).await {
                Ok(left) => break left,
                Err(fault) => self.wait_for_shelf(&fault).await?,
            }
        };
        self.hand.let_go(&arrived);
        self.hand_only &= !has_room(counts);
        self.blocked.free(&free);
        self.state.lies_parked(counts.events);
        if has_more {
            self.hand.call();
        }
        Ok(())
    }

    /// Nothing is in hand any more: what arrived leaves the shelf, the rest may be let go of.
    pub(super) async fn open_hand(&mut self) {
        if !self.hand.arrived.is_empty() && self.leave_shelf().await.is_err() {
            return;
        }
        self.hand.drop_all();
        if std::mem::take(&mut self.hand.is_marked)
            && let Err(fault) = self.shelf.put_back(Some(self.id)).await
        {
            let destination = &self.state.name;
            tracing::debug!(destination, %fault, "parked events count as on their way");
        }
    }
}
