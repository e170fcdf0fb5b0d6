//! How many are awake at once. In: lanes of records that have something to do, or had it just now. Out: turns, in the
//! order they were asked for. Lanes of the operator need none.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most lanes of records that read and send at the same time; the others wait for their turn.
const WORKING_MAX: usize = 256;
/// Most that keep their connections for a while with nothing to do.
const WARM_MAX: usize = 256;

/// All turns.
#[derive(Debug)]
pub(in crate::forward) struct Seats {
    working: Arc<Semaphore>,
    warm: Arc<Semaphore>,
}

impl Default for Seats {
    fn default() -> Self {
        let seats = |count| Arc::new(Semaphore::new(count));
        Self { working: seats(WORKING_MAX), warm: seats(WARM_MAX) }
    }
}

impl Seats {
    /// A turn to be taken.
    pub(in crate::forward) fn one(&self) -> Seat {
        Seat { from: Some(Arc::clone(&self.working)), taken: None }
    }

    /// A place for one that has nothing to do and keeps its connections, if there is one.
    pub(in crate::forward) fn warm(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.warm).try_acquire_owned().ok()
    }
}

/// One lane's turn.
#[derive(Debug, Default)]
pub(in crate::forward) struct Seat {
    /// Without it none is needed.
    from: Option<Arc<Semaphore>>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// Waits for the turn, unless it is taken.
    pub(in crate::forward) async fn take(&mut self) {
        if let (Some(from), None) = (&self.from, &self.taken) {
            // It is never closed.
            self.taken = Arc::clone(from).acquire_owned().await.ok();
        }
    }

    /// Lets the next one have it; whether it was taken.
    pub(in crate::forward) fn leave(&mut self) -> bool {
        self.taken.take().is_some()
    }
}
