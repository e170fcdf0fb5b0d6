//! Where lanes of the operator begin. In: destinations as the configuration has them. Out: the same, each knowing where
//! its reader starts if it has no place yet. One that was known by its address and has a name now keeps its place, what
//! lies parked for it, and what its pace has used. Nothing is sent before.

use std::time::Duration;

use tokio::time::timeout;

use super::destination::Begin;
use super::ledger::Ledger;
use super::{Destination, ForwardError, Forwarder, Ground};
use crate::clock::Time;
use crate::id::Uuid;
use crate::spool::Start;

/// Most frames that are looked through for the event that a destination begins at, and the longest time.
const LOOK_MAX_FRAMES: usize = 10_000_000;
const LOOK_MAX: Duration = Duration::from_mins(1);

impl Forwarder {
    /// Settles where destinations begin that have no place yet; to be asked before [`Forwarder::start`].
    ///
    /// # Errors
    /// [`ForwardError`]: the event that one begins at is not kept; the disk.
    pub async fn settle(
        mut destinations: Vec<Destination>,
        ground: &Ground,
    ) -> Result<Vec<Destination>, ForwardError> {
        for at in 0..destinations.len() {
            adopt(&destinations, at, ground).await?;
            let one = &mut destinations[at];
            if ground.spool.stands(&one.track()) {
                continue;
            }
            one.start = match one.begin {
                Begin::Oldest => Start::Oldest,
                Begin::Now => Start::Now,
                Begin::At(event) => find(event, ground).await?.map(Start::At).ok_or_else(|| {
                    let why = format!("begins at the event {event}, which is not kept");
                    ForwardError::Destination { text: one.name().to_owned(), why }
                })?,
            };
        }
        Ok(destinations)
    }
}

/// Gives a destination with a name what it had without one, unless it has a place by its name, or another one is known
/// by that address still.
async fn adopt(all: &[Destination], at: usize, ground: &Ground) -> Result<(), ForwardError> {
    let (one, spool) = (&all[at], &ground.spool);
    let Some(former) = one.former() else { return Ok(()) };
    let (from, to) = (former.track(), one.track());
    let is_taken = all.iter().any(|other| other.track() == from);
    if is_taken || spool.stands(&to) || !spool.stands(&from) {
        return Ok(());
    }
    // Its place goes last: a crash before that begins anew here.
    ground.shelf.adopt(former.id(), one.id(), one.name().to_owned()).await?;
    if let Err(fault) = Ledger::rename(&ground.data, &former.key(), &one.key()) {
        tracing::warn!(destination = one.name(), %fault, "its pace is given anew");
    }
    spool.rename(&from, &to);
    tracing::info!(destination = one.name(), former = from, "goes on where it was, by its name");
    Ok(())
}

/// The frame of an event, whosever it is.
async fn find(event: Uuid, ground: &Ground) -> Result<Option<u64>, ForwardError> {
    let looking = ground.spool.find(event, Time::from_micros(i64::MIN), LOOK_MAX_FRAMES);
    timeout(LOOK_MAX, looking).await.map_or(Ok(None), |found| found.map_err(Into::into))
}
