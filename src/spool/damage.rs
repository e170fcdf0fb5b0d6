//! Damage that an operator is to hear of. In: what recovery, readers and the keeper set aside. Out: the ranges that
//! nobody was told of, also before the last start, until whoever tells of them says so. Costs nothing while none are.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Spool;
use super::shared::Shared;
use crate::journal::{Damage, untold};

/// Most ranges that are given at once.
const UNTOLD_MAX: usize = 16;

impl Spool {
    /// Damaged ranges that nobody was told of yet, a few at once.
    pub async fn untold_damage(&self) -> Vec<Damage> {
        let shared = &self.running.shared;
        if !shared.has_untold.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let list = |shared: &Shared| untold(&*shared.disk, &shared.folder, UNTOLD_MAX);
        let found = away(shared, list).await.unwrap_or_default();
        if !found.is_empty() {
            // More may be there, and these may not become known now.
            shared.has_untold.store(true, Ordering::Release);
        }
        found
    }

    /// An event tells of this one.
    pub async fn settle_damage(&self, damage: Damage) {
        let settle = move |shared: &Shared| damage.settle(&*shared.disk, &shared.folder);
        away(&self.running.shared, settle).await;
    }
}

/// Does what waits for the disk where nobody waits for it.
async fn away<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> T + Send + 'static,
) -> Option<T> {
    #[cfg(test)]
    if crate::lone::is_here() {
        return Some(work(shared));
    }
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || work(&shared)).await.ok()
}
