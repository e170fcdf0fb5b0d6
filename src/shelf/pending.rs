//! A change that is made and not kept before somebody agrees to it: what is audited is what was done, and nothing comes
//! in between. In: a change. Out: what it did; and that it is so, or, without a word, that nothing happened. Others
//! wait meanwhile: whoever is asked answers soon.

use std::sync::{Arc, PoisonError};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Shelf, ShelfError};

/// What a change did, as long as it may be undone; dropped, it never was.
#[derive(Debug)]
pub struct Pending<T> {
    shelf: Shelf,
    did: T,
    agree: oneshot::Sender<()>,
    work: JoinHandle<Result<(), ShelfError>>,
}

fn failed(what: &impl ToString) -> ShelfError {
    ShelfError::Failed(what.to_string())
}

impl<T: Send + 'static> Pending<T> {
    /// Makes a change.
    pub(super) async fn new(
        shelf: &Shelf,
        change: impl FnOnce(&Connection) -> Result<T, ShelfError> + Send + 'static,
    ) -> Result<Self, ShelfError> {
        let inner = Arc::clone(&shelf.inner);
        let (tell, told) = oneshot::channel();
        let (agree, agreed) = oneshot::channel();
        let work = tokio::task::spawn_blocking(move || {
            let mut held = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = held.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let did = change(&transaction)?;
            if tell.send(did).is_ok() && agreed.blocking_recv().is_ok() {
                transaction.commit()?;
            }
            Ok(())
        });
        if let Ok(did) = told.await {
            return Ok(Self { shelf: shelf.clone(), did, agree, work });
        }
        work.await.map_err(|fault| failed(&fault))??;
        Err(failed(&"a change came to no end"))
    }

    /// What was done.
    pub fn did(&self) -> &T {
        &self.did
    }

    /// It stays so, and whoever may have something to do hears of it.
    ///
    /// # Errors
    /// When the file cannot be written: nothing happened then.
    pub async fn commit(self) -> Result<T, ShelfError> {
        let Self { shelf, did, agree, work } = self;
        let _ = agree.send(());
        work.await.map_err(|fault| failed(&fault))??;
        shelf.inner.news.send_modify(|news| *news += 1);
        Ok(did)
    }
}
