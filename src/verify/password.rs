//! Passwords: argon2id over a fresh salt, kept as the text that says how. In: a password, and what is kept. Out: what
//! to keep, or whether they fit; as slow for somebody who has none. Slow on purpose: never where requests wait.

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

use crate::id::Secret;

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// How often the memory is gone over.
const PASSES: u32 = 2;
/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

fn machine() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or(Params::DEFAULT);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// What to keep of a password; `None` when it cannot be hashed.
#[must_use]
pub fn hash(password: &Secret, salt: [u8; SALT_BYTES]) -> Option<Secret> {
    let kept = machine().hash_password_with_salt(password.expose().as_bytes(), &salt).ok()?;
    Some(Secret::new(kept.to_string()))
}

/// Whether a password is the one of which that was kept. Who has none is refused in the same time.
#[must_use]
pub fn fits(password: &Secret, kept: Option<&Secret>) -> bool {
    let password = password.expose().as_bytes();
    let Some(kept) = kept else {
        let _ = machine().hash_password_with_salt(password, &[0; SALT_BYTES]);
        return false;
    };
    machine().verify_password(password, kept.expose()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_password_fits() {
        let [right, wrong] = ["correct horse", "correct horsf"].map(Secret::new);
        let kept = hash(&right, [7; SALT_BYTES]).expect("a hash");
        assert!(kept.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(fits(&right, Some(&kept)) && !fits(&wrong, Some(&kept)));
        assert!(!fits(&right, None) && !fits(&right, Some(&Secret::new("nonsense"))));
        assert_ne!(hash(&right, [8; SALT_BYTES]).expect("a hash"), kept);
    }
}
