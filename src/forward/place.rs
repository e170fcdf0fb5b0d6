//! Where lanes of the operator begin. In: destinations as the configuration has them. Out: the same, each knowing where
//! its reader starts if it has no place yet. One that was known by its address and has a name now keeps its place, what
//! lies parked for it, and what its pace has used. Nothing is sent before.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::destination::Begin;
use super::lane::patience::hold_failing;
use super::ledger::Ledger;
use super::{Destination, ForwardError, Forwarder, Ground};
use crate::clock::Time;
use crate::id::Uuid;
use crate::spool::{self, Start};

/// Most frames that are looked through for the event that a destination begins at, and the longest time for all of
/// them: places of records, which nobody reads yet, must still hold when that is over.
const LOOK_MAX_FRAMES: usize = 10_000_000;
const LOOK_MAX: Duration = Duration::from_secs(20);

impl Forwarder {
    /// Settles where destinations begin that have no place yet; to be asked before [`Forwarder::start`].
    ///
    /// # Errors
    /// [`ForwardError`]: the event that one begins at is not kept, or not found in time; the disk.
    pub async fn settle(
        destinations: Vec<Destination>,
        ground: &Ground,
    ) -> Result<Vec<Destination>, ForwardError> {
        settle_within(destinations, ground, LOOK_MAX).await
    }

    /// Whether the events that destinations without a place begin at may be kept in a data folder, seen from outside.
    ///
    /// # Errors
    /// [`ForwardError`]: the first that is in none of its files.
    pub fn check_begins(destinations: &[Destination], data: &Path) -> Result<(), ForwardError> {
        let stands = |one: &Destination| spool::has_place(data, &one.track());
        for one in destinations {
            let Begin::At(event) = one.begin else { continue };
            let has_place = stands(one) || one.former().is_some_and(|former| stands(&former));
            if !has_place && !spool::may_hold(data, event, LOOK_MAX) {
                return Err(astray(one, event, UNKEPT));
            }
        }
        Ok(())
    }
}

/// What a destination begins at is not there.
const UNKEPT: &str = "which is not kept";

fn astray(one: &Destination, event: Uuid, why: &str) -> ForwardError {
    let why = format!("begins at the event {event}, {why}");
    ForwardError::Destination { text: one.name().to_owned(), why }
}

/// Settles it; all looks together take no longer than that.
pub(super) async fn settle_within(
    mut destinations: Vec<Destination>,
    ground: &Ground,
    most: Duration,
) -> Result<Vec<Destination>, ForwardError> {
    let spool = &ground.spool;
    for at in 0..destinations.len() {
        adopt(&destinations, at, ground).await?;
    }
    // Whoever has a place holds what it needs before anything takes time.
    for one in &destinations {
        if one.is_held {
            hold_failing(&ground.shelf, one.id()).await?;
        }
        if spool.stands(&one.track()) {
            drop(spool.reader_from(&one.track(), one.on_full, Start::Oldest)?);
        }
    }
    let deadline = Instant::now() + most;
    for one in &mut destinations {
        if spool.stands(&one.track()) {
            continue;
        }
        one.start = match one.begin {
            Begin::Oldest => Start::Oldest,
            Begin::Now => Start::Now,
            Begin::At(event) => {
                let found = find(event, ground, deadline).await?;
                let why = match found {
                    Found::At(sequence) => Ok(Start::At(sequence)),
                    Found::Nowhere => Err(UNKEPT.to_owned()),
                    Found::Late => Err(format!("which was not found within {most:?}")),
                };
                why.map_err(|why| astray(one, event, &why))?
            }
        };
    }
    Ok(destinations)
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

/// What came of a look.
enum Found {
    At(u64),
    Nowhere,
    /// There was no time to look at all that is kept.
    Late,
}

/// The frame of an event, whosever it is.
async fn find(event: Uuid, ground: &Ground, deadline: Instant) -> Result<Found, ForwardError> {
    if Instant::now() >= deadline {
        return Ok(Found::Late);
    }
    let looking = ground.spool.find(event, Time::from_micros(i64::MIN), LOOK_MAX_FRAMES);
    match timeout_at(deadline, looking).await {
        Ok(found) => Ok(found?.map_or(Found::Nowhere, Found::At)),
        Err(_) => Ok(Found::Late),
    }
}
