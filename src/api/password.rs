//! Passwords of people. In: what they say. Out: what is kept of it, or whether it fits. Hashed on threads apart, so
//! many at once; what a request waits for is only its turn.

use std::time::Duration;

use super::Api;
use super::problem::Problem;
use crate::id::Secret;
use crate::limit::{Attempts, Rate};
use crate::verify::password;

/// Most passwords that are hashed at once, each in 19 MiB.
pub(super) const HASHES_MAX: usize = 2;
/// Most tries of one peer, and at one name, in a minute.
const TRIES_PER_MINUTE: u32 = 10;

/// Whole budgets of tries.
pub(super) fn attempts() -> Attempts {
    let rate = Rate::new(TRIES_PER_MINUTE, Duration::from_mins(1), None);
    Attempts::new(rate.expect("more than none"))
}

impl Api {
    /// What to keep of a password.
    pub(super) async fn hash_password(&self, password: Secret) -> Result<Secret, Problem> {
        let mut salt = [0; password::SALT_BYTES];
        self.clock.secret(&mut salt);
        let kept = self.apart(move || password::hash(&password, salt)).await?;
        kept.ok_or(Problem::Engine)
    }

    /// Whether a password is the one of which that was kept.
    pub(super) async fn password_fits(
        &self,
        said: Secret,
        kept: Option<Secret>,
    ) -> Result<bool, Problem> {
        self.apart(move || password::fits(&said, kept.as_ref())).await
    }

    /// Does slow work on a thread that serves nobody, when its turn comes.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.passwords.acquire().await.map_err(|_| Problem::Engine)?;
        let done = tokio::task::spawn_blocking(work).await.map_err(|_| Problem::Engine);
        drop(turn);
        done
    }
}
