//! Names that cannot be guessed or confused: event ids (UUID version 7 from an instant and random bytes), record
//! ids, slugs, and secrets that no formatter prints. In: an instant and random bytes. Never a clock, never a file.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use uuid::Uuid;
use zeroize::Zeroize as _;

use crate::clock::{Clock, Time};

/// A fresh version 7 UUID: `time` in front, so that ids sort as they were made.
#[must_use]
pub fn fresh(time: Time, chance: [u8; 16]) -> Uuid {
    let mut tail = [0; 10];
    // The last bytes: a fixed clock counts there, so its ids differ and sort as they were made.
    tail.copy_from_slice(&chance[6..]);
    uuid::Builder::from_unix_timestamp_millis(time.millis(), &tail).into_uuid()
}

/// A fresh id at the clock's present moment.
#[must_use]
pub fn now(clock: &Clock) -> Uuid {
    fresh(clock.now(), clock.chance())
}

/// The one id that follows from another one for some purpose: a version 8 UUID.
#[must_use]
pub fn derived(from: Uuid, purpose: &str) -> Uuid {
    let whole = digest(&SHA256, &[from.as_bytes(), purpose.as_bytes()].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&whole.as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A fresh slug: 16 random bytes as 22 characters of unpadded base64url.
#[must_use]
pub fn slug(clock: &Clock) -> Secret {
    let mut bytes = [0; 16];
    clock.secret(&mut bytes);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// Text that must reach no log, event or template: formatting it prints stars. [`Secret::expose`] is the only way to
/// the text, so a search for that word finds every use. Its memory is cleared when it goes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_sort_by_time_and_secrets_stay_hidden() {
        let clock = Clock::fixed(Time::from_micros(1_000_000));
        let first = now(&clock);
        clock.advance_seconds(1);
        assert!(first < now(&clock));
        assert_eq!(first.get_version_num(), 7);
        assert!(now(&clock) < now(&clock), "two ids of one moment");
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(derived(one, "a"), derived(one, "a"));
        assert!(derived(one, "a") != derived(other, "a") && derived(one, "a") != derived(one, "b"));
        assert_eq!(derived(one, "a").get_version_num(), 8);
        let slug = slug(&clock);
        assert_eq!(slug.expose().len(), 22);
        assert_eq!(format!("{slug} {slug:?}"), "*** ***");
    }
}
