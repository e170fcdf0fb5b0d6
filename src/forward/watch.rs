//! Looks at all lanes once a second, also at those that wait. In: how far each reader is behind. Out: gauges, and an
//! event when a lane has lost frames, at most one a minute for each; and one for each damaged range of the spool.

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

/// What was told of one lane's losses.
struct Told {
    frames: u64,
    next: Instant,
}

impl Told {
    fn new(frames: u64) -> Self {
        Self { frames, next: Instant::now() }
    }
}

/// Runs until the lanes are told to stop.
pub(super) async fn run(
    states: Vec<Arc<State>>,
    posts: Posts,
    (spool, shelf): (Spool, Shelf),
    notices: Notices,
    tempo: Tempo,
    mut signal: Receiver<Signal>,
) {
    // What was lost before was told before.
    let lost = spool.lost();
    let mut told: HashMap<String, Told> =
        lost.into_iter().map(|(track, frames)| (track, Told::new(frames))).collect();
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
                let told = told.entry(state.track.clone()).or_insert_with(|| Told::new(0));
                tell(state, told, lag, &notices).await;
            }
        }
        posts.facts().all(&together);
        told.retain(|track, _| lags.lost().contains_key(track));
    }
}

/// Appends an event about new losses; while the spool takes none, they are told later, all together.
async fn tell(state: &State, told: &mut Told, lag: Lag, notices: &Notices) {
    let frames = lag.dropped - told.frames.min(lag.dropped);
    if frames == 0 || Instant::now() < told.next {
        return;
    }
    match notices.dropped(state, frames).await {
        Ok(()) => {
            told.frames = lag.dropped;
            told.next = Instant::now() + PAUSE;
        }
        Err(fault) => {
            let destination = &state.name;
            tracing::debug!(destination, %fault, "lost frames are told later");
        }
    }
}
