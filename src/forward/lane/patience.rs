//! How long a destination may take nothing before what waits for it is set aside. In: failures and successes. Out: the
//! moment of the first failure, kept over restarts; and events that waited longer than the window, parked.

use std::time::Duration;

use super::{Lane, Stopped};
use crate::clock::Time;
use crate::forward::load::Load;
use crate::forward::sinks::{Fault, Refusal};

impl Lane {
    /// Since when nothing was taken before the last stop.
    pub(super) async fn recall_failing(&mut self) {
        if let Ok(Some(since)) = self.shelf.failing(self.id).await {
            self.failing_since = Some((since, true));
        }
    }

    /// An attempt failed. The moment of the first is kept once the destination counts as down.
    pub(super) async fn note_failing(&mut self, is_down: bool) {
        let now = self.notices.clock().now();
        let (since, is_kept) = *self.failing_since.get_or_insert((now, false));
        if is_down && !is_kept {
            let kept = self.shelf.set_failing(self.id, Some(since)).await;
            self.failing_since = Some((since, kept.is_ok()));
        }
    }

    /// Something was taken.
    pub(super) async fn note_working(&mut self) {
        if let Some((_, true)) = self.failing_since.take()
            && let Err(fault) = self.shelf.set_failing(self.id, None).await
        {
            let destination = &self.state.name;
            tracing::debug!(destination, %fault, "that a destination works again is not kept");
        }
    }

    /// Sets events of a range aside, from its front on, that waited longer than the window while nothing was taken;
    /// how many, or nothing when there was no room.
    pub(super) async fn park_overdue(
        &mut self,
        load: &Load,
        range: std::ops::Range<usize>,
        fault: &Fault,
        attempts: u32,
    ) -> Result<Option<usize>, Stopped> {
        let mut count = 0;
        for place in range {
            if !self.is_overdue(load.at(place).0.received) {
                break;
            }
            let reason = match self.tempo.window.as_secs() {
                seconds if seconds % 3600 == 0 => format!("{} hours", seconds / 3600),
                seconds => format!("{seconds} seconds"),
            };
            let reason = format!("not delivered within {reason}: {}", fault.what);
            let refusal = Refusal { reason, answer: String::new() };
            if !self.park(load, place, refusal, attempts).await? {
                return Ok(None);
            }
            count += 1;
        }
        Ok(Some(count))
    }

    /// Whether the destination has taken nothing for longer than the window.
    pub(super) fn is_past_window(&self) -> bool {
        self.is_overdue(Time::from_micros(i64::MIN))
    }

    fn is_overdue(&self, received: Time) -> bool {
        let Some((since, _)) = self.failing_since else { return false };
        let now = self.notices.clock().now().micros();
        let waited = now.saturating_sub(since.micros().max(received.micros()));
        Duration::from_micros(u64::try_from(waited).unwrap_or(0)) >= self.tempo.window
    }
}
