//! Looks at all lanes once a second, also at those that wait. In: how far each reader is behind. Out: gauges, and an
//! event when a lane has lost frames, at most one a minute for each, what a stop left untold, too; and one for each
//! damaged range of the spool.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::backoff::Tempo;
use super::destination::Owner;
use super::lane::state::{Lags, State};
use super::notice::Notices;
use super::post::Posts;
use super::{Signal, Status};
use crate::shelf::Shelf;
use crate::spool::{Lag, Spool};
use crate::telemetry::forward::Together;

/// Between two events about the losses of one lane.
const PAUSE: Duration = Duration::from_mins(1);

/// Runs until the lanes are told to stop.
pub(super) async fn run(
    states: Vec<Arc<State>>,
    posts: Posts,
    (spool, shelf): (Spool, Shelf),
    notices: Notices,
    tempo: Tempo,
    mut signal: Receiver<Signal>,
) {
    // From when on the losses of each lane are told again.
    let mut pauses = HashMap::new();
    let mut ticks = interval(tempo.watch);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = signal.wait_for(|signal| signal.stop) => return,
            _ = ticks.tick() => {}
        }
        if let Err(fault) = shelf.notice_others().await {
            tracing::debug!(%fault, "nobody knows what an operator did to parked events");
        }
        notices.damaged().await;
        let lags = Lags::of(&spool);
        let records = posts.states();
        let mut together = Together::default();
        for state in states.iter().chain(&records) {
            let lag = state.lag(&lags);
            state.facts.behind(lag.frames, lag.age, lag.dropped);
            if state.owner != Owner::Operator {
                let Status { parked, failing, .. } = state.status(lag);
                together.add((lag.frames, lag.age, lag.dropped), parked, failing);
            }
            if lag.dropped > 0 {
                let until = pauses.entry(state.track.clone()).or_insert_with(Instant::now);
                tell(state, until, lag, (&spool, &notices)).await;
            }
        }
        posts.facts().all(&together);
        pauses.retain(|track, _| lags.lost().contains_key(track));
    }
}

/// Appends an event about losses that were not told, also of before the last start; while the spool takes none, they
/// are told later, all together.
async fn tell(state: &State, until: &mut Instant, lag: Lag, (spool, notices): (&Spool, &Notices)) {
    let total = lag.dropped;
    let frames = total.saturating_sub(spool.losses_told(&state.track));
    if frames == 0 || Instant::now() < *until {
        return;
    }
    match notices.dropped(state, frames, total).await {
        Ok(()) => {
            spool.tell_losses(&state.track, total);
            *until = Instant::now() + PAUSE;
        }
        Err(fault) => {
            let destination = &state.name;
            tracing::debug!(destination, %fault, "lost frames are told later");
        }
    }
}
