//! From the outbox into the spool. In: events that were committed with their changes. Out: the same, appended once in
//! the order of commits; forgotten only when the spool has them. Waits out a spool that takes nothing; never loses one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::spool::{Spool, SpoolError};
use crate::store::{Outgoing, Store, StoreError};
use crate::telemetry::api::Facts;

/// Most events taken from the store at once.
const BATCH_MAX: u32 = 64;
/// First and longest pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Between two looks for what somebody at the data folder put there: nothing rings for that.
const LOOK: Duration = Duration::from_secs(5);

/// Why events stay in the outbox for now.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Hands events on until `shutdown` says stop, and then once more. How many are left then; they go at the next start.
pub async fn pump(
    store: Arc<Store>,
    spool: Spool,
    facts: Arc<Facts>,
    shutdown: watch::Receiver<bool>,
) -> u64 {
    run(&store, &facts, shutdown, |outgoing: Outgoing| {
        let spool = spool.clone();
        async move {
            let Outgoing { account, workspace, occurred, event } = outgoing;
            spool.append_once(account, workspace, occurred, event).await
        }
    })
    .await
}

async fn run<A: Future<Output = Result<(), SpoolError>>>(
    store: &Store,
    facts: &Facts,
    mut shutdown: watch::Receiver<bool>,
    append: impl Fn(Outgoing) -> A,
) -> u64 {
    let mut pause = PAUSE_MIN;
    loop {
        // Looked at before the outbox, so that what was committed until then still goes.
        let is_last = *shutdown.borrow_and_update() || shutdown.has_changed().is_err();
        let drained = drain(store, facts, &append).await;
        let left = store.pending_count().await.unwrap_or(0);
        facts.waiting(left);
        if is_last {
            return left;
        }
        match drained {
            Ok(()) => {
                if pause > PAUSE_MIN {
                    tracing::info!("audit events reach the spool again");
                }
                pause = PAUSE_MIN;
                tokio::select! {
                    () = store.outbox_filled() => {}
                    () = tokio::time::sleep(LOOK) => {}
                    _ = shutdown.changed() => {}
                }
            }
            Err(fault) => {
                if pause == PAUSE_MIN {
                    tracing::warn!(%fault, left, "audit events wait in the outbox");
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = shutdown.changed() => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Hands on all there is.
async fn drain<A: Future<Output = Result<(), SpoolError>>>(
    store: &Store,
    facts: &Facts,
    append: &impl Fn(Outgoing) -> A,
) -> Result<(), Stuck> {
    loop {
        let pending = store.pending(BATCH_MAX).await?;
        if pending.is_empty() {
            return Ok(());
        }
        let mut handed = Vec::with_capacity(pending.len());
        let mut fault = None;
        for outgoing in pending {
            let id = outgoing.event.id;
            match append(outgoing).await {
                Ok(()) => handed.push(id),
                Err(stuck) => {
                    fault = Some(stuck);
                    break;
                }
            }
        }
        facts.handed(handed.len() as u64);
        if !handed.is_empty() {
            store.handed(handed).await?;
        }
        if let Some(fault) = fault {
            return Err(fault.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::ready;

    use super::*;
    use crate::clock::{Clock, Time};
    use crate::id::Uuid;
    use crate::store::tests::{Folder, bootstrapped, wait};
    use crate::telemetry::Telemetry;

    fn facts() -> Arc<Facts> {
        Facts::register(&Telemetry::new())
    }

    #[test]
    fn what_the_spool_refuses_is_tried_again_in_order_and_none_twice() {
        let folder = Folder::new();
        let clock = Clock::fixed(Time::from_micros(1_000_000));
        crate::store::bootstrap(&folder.0, &clock).expect("a first account");
        let store = Store::open(&folder.0).expect("a store");
        let expected: Vec<Uuid> = wait(store.pending(100))
            .expect("events")
            .iter()
            .map(|outgoing| outgoing.event.id)
            .collect();
        let (stop, stopped) = watch::channel(false);
        let (calls, seen) = (Cell::new(0), RefCell::new(Vec::new()));
        let append = |outgoing: Outgoing| {
            calls.set(calls.get() + 1);
            if calls.get() == 3 {
                return ready(Err(SpoolError::Busy));
            }
            seen.borrow_mut().push(outgoing.event.id);
            if seen.borrow().len() == expected.len() {
                let _ = stop.send(true);
            }
            ready(Ok(()))
        };
        let left = wait(run(&store, &facts(), stopped, append));
        assert_eq!((left, &*seen.borrow()), (0, &expected));
        assert_eq!(wait(store.pending_count()), Ok(0));
    }

    #[test]
    fn a_stop_tells_what_is_left_and_leaves_it() {
        let folder = Folder::new();
        let clock = Clock::fixed(Time::from_micros(1_000_000));
        crate::store::bootstrap(&folder.0, &clock).expect("a first account");
        let store = Store::open(&folder.0).expect("a store");
        let (stop, stopped) = watch::channel(false);
        drop(stop);
        let append = |_: Outgoing| ready(Err(SpoolError::Busy));
        assert_eq!(wait(run(&store, &facts(), stopped, append)), bootstrapped());
        assert_eq!(wait(store.pending_count()), Ok(bootstrapped()));
    }
}
