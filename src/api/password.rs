//! Passwords of people. In: what they say. Out: what is kept of it, or whether it fits. Hashed on threads apart, so many
//! at once; what a request waits for is only its turn.

use super::Api;
use super::problem::Problem;
use crate::id::Secret;
use crate::verify::password;

/// Most passwords that are hashed at once, each in 19 MiB.
pub(super) const HASHES_MAX: usize = 2;

impl Api {
    /// What to keep of a password.
    pub(super) async fn hash_password(&self, password: Secret) -> Result<Secret, Problem> {
        let mut salt = [0; password::SALT_BYTES];
        self.clock.secret(&mut salt);
        let kept = self.apart(move || password::hash(&password, salt)).await?;
        kept.ok_or(Problem::Engine)
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
