//! The term of audit events in the store. In: days, the clock. Out: events that are older are ended, oldest first, at
//! the start and every hour; what stays can still be proven. Never in the way of changes for longer than one slice.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Api, rates, support};
use crate::store::StoreError;

/// Between two looks for events that are older than their term.
const LOOK_EVERY: Duration = Duration::from_hours(1);
const DAY_SECONDS: i64 = 24 * 60 * 60;

impl Api {
    /// Ends audit events that are older than their term, until there are none or the gateway stops; how many.
    pub(super) async fn end_audit(&self, stop: &watch::Receiver<bool>) -> Result<u64, StoreError> {
        let (mut ended, mut account) = (0, None);
        if self.options.audit_days == 0 {
            return Ok(ended);
        }
        let term = i64::from(self.options.audit_days) * DAY_SECONDS;
        let before = self.clock.now().plus_seconds(-term);
        while !*stop.borrow() {
            let Some(slice) = self.store.end_audit(account, before).await? else { break };
            ended += slice.ended as u64;
            if let Some(number) = slice.broken {
                let (account, what) = (slice.account, "its audit events stay from there on");
                tracing::warn!(%account, number, "a chain breaks; {what}: hookgate audit verify");
            }
            if !slice.is_full {
                account = Some(slice.account);
            }
        }
        Ok(ended)
    }

    /// Ends audit events that are older than their term, or says in the log why not.
    async fn look_after_audit(&self, stop: &watch::Receiver<bool>) {
        match self.end_audit(stop).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "audit events older than audit.retention_days"),
            Err(fault) => {
                tracing::warn!(%fault, "audit events could not be ended; it is tried again");
            }
        }
    }
}

/// Ends what is over, leave for support and audit events, and writes down what was asked of budgets, until `shutdown`
/// says stop.
pub async fn expire(api: Arc<Api>, shutdown: watch::Receiver<bool>) {
    tokio::join!(
        regularly(support::LOOK_EVERY, shutdown.clone(), || api.look_after_support()),
        regularly(LOOK_EVERY, shutdown.clone(), || api.look_after_audit(&shutdown)),
        regularly(rates::WRITE_EVERY, shutdown.clone(), || api.look_after_tallies()),
    );
    api.look_after_tallies().await;
}

/// Does something now and again and again, until `shutdown` says stop.
async fn regularly<W: Future<Output = ()>>(
    every: Duration,
    mut shutdown: watch::Receiver<bool>,
    work: impl Fn() -> W,
) {
    while !*shutdown.borrow_and_update() {
        work().await;
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            changed = shutdown.changed() => {
                if changed.is_err() {
                    break;
                }
            }
        }
    }
}
