//! Where questions are answered. In: what to do with a connection. Out: its answer, from a thread where waiting for a
//! disk harms nobody. A bounded number at once; connections are kept, and opened anew after the file was made again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{FeedError, file};

/// Questions answered at once.
const AT_ONCE_MAX: usize = 4;
/// Longest wait for a turn.
const TURN_MAX: Duration = Duration::from_secs(15);

/// How often the file was made again.
pub(super) type Turns = Arc<AtomicU64>;

#[derive(Debug)]
pub(super) struct Desk {
    data: PathBuf,
    seats: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<(u64, Connection)>>>,
    turns: Turns,
}

impl Desk {
    pub(super) fn new(data: &Path) -> Self {
        Self {
            data: data.to_path_buf(),
            seats: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            idle: Arc::default(),
            turns: Turns::default(),
        }
    }

    pub(super) fn turns(&self) -> Turns {
        Arc::clone(&self.turns)
    }

    /// Answers one question when its turn comes.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, FeedError> + Send + 'static,
    ) -> Result<T, FeedError> {
        let seat = Arc::clone(&self.seats).acquire_owned();
        let seat = tokio::time::timeout(TURN_MAX, seat).await;
        let Ok(Ok(seat)) = seat else {
            return Err(FeedError::Busy);
        };
        let (idle, data) = (Arc::clone(&self.idle), self.data.clone());
        let turn = self.turns.load(Ordering::Acquire);
        let answer = move || {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some((opened, connection)) if opened == turn => connection,
                _ => file::open_again(&data)?,
            };
            let answer = question(&connection)?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push((turn, connection));
            drop(seat);
            Ok(answer)
        };
        let answer = tokio::task::spawn_blocking(answer).await;
        answer.map_err(|fault| FeedError::Failed(fault.to_string()))?
    }
}
