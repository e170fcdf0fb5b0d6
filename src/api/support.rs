//! Leave for whoever helps from outside: what may be given, and its end, which nobody has to ask for. In: leave to be
//! given, the clock. Out: the reason why not, or an event when it is over. Ends some at a time, also after a restart.

use std::time::Duration;

use super::Api;
use super::problem::Problem;
use super::role::texts;
use crate::catalogue::{Actor, Fault, SUPPORT_ACCESS, WORKSPACE, is_id};
use crate::id::Uuid;
use crate::store::Record;

/// Between two looks for leave that is over.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Most that are ended at one look.
const ENDED_MAX: u32 = 100;

impl Api {
    /// Refuses leave that is over before it begins, or into workspaces that are not there.
    pub(super) async fn vet_support(&self, after: Option<&Record>) -> Result<(), Problem> {
        let Some(leave) = after else { return Ok(()) };
        let fault = |field, says: &str| {
            let says = format!("Value error, {says}");
            Err(Problem::Invalid(vec![Fault::new("value_error", &["body", field], says)]))
        };
        if leave.instant("expires_at").is_none_or(|end| end <= self.clock.now()) {
            return fault("expires_at", "the end is a moment that is still to come");
        }
        let wanted: Vec<Uuid> =
            texts(leave, "workspace_ids").iter().filter_map(|id| is_id(id)).collect();
        let found = self.store.records(wanted.clone()).await?;
        let is_own = |id: &Uuid| {
            let fits = |place: &Record| {
                place.id == *id
                    && place.kind.name == WORKSPACE.name
                    && place.account == leave.account
            };
            found.iter().any(fits)
        };
        if wanted.iter().all(is_own) {
            return Ok(());
        }
        fault("workspace_ids", "nothing of that id belongs to the account")
    }

    /// Ends leave that is over; how many there were.
    pub(super) async fn end_support(&self) -> Result<usize, Problem> {
        let (kind, now) = (&SUPPORT_ACCESS, self.clock.now());
        let over = self.store.over(kind, "expires_at", now, ENDED_MAX).await?;
        for leave in &over {
            let account = self.store.records(vec![leave.account]).await?.pop();
            let Some(account) = account else { continue };
            let mut deed = self.deed_of(Actor::system(), account.party());
            deed.delete(leave.clone());
            // Whoever was faster changed or ended it.
            deed.commit().await?;
        }
        Ok(over.len())
    }

    /// Ends leave that is over, or says in the log why not.
    pub(super) async fn look_after_support(&self) {
        if let Err(problem) = self.end_support().await {
            tracing::warn!(?problem, "leave for support could not be ended; it is tried again");
        }
    }
}
