//! A budget as one number: the moment when it is whole again. In: a rate, the moment, and how much. Out: how long to
//! wait for it, nothing when it may go. Reads no clock; its number is all that has to be kept over a restart.

use std::time::Duration;

use super::Rate;

/// A moment, in nanoseconds since any fixed one: microseconds are too few for a billion bytes a second.
pub type Nanos = i64;

/// What one bound has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    rate: Rate,
    whole_at: Nanos,
}

impl Bucket {
    /// A whole one.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, whole_at: Nanos::MIN }
    }

    /// One that was used before; never more than all of it is, whatever a clock did meanwhile.
    pub(super) fn resume(rate: Rate, whole_at: Nanos, now: Nanos) -> Self {
        let empty = now.saturating_add(cost(rate, u64::from(rate.burst.get()), 1.0));
        Self { rate, whole_at: whole_at.min(empty) }
    }

    /// What it is made of.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// When it is whole again.
    pub(super) fn whole_at(&self) -> Nanos {
        self.whole_at
    }

    /// How long until `count` may go, everything taking `stretch` times as long as the rate says. More than may go at
    /// once goes when the budget is whole, and is owed.
    pub(super) fn wait(&self, now: Nanos, count: u64, stretch: f64) -> Duration {
        let burst = u64::from(self.rate.burst.get());
        let room = cost(self.rate, burst, stretch);
        let after =
            self.whole_at.max(now).saturating_add(cost(self.rate, count.min(burst), stretch));
        let over = after.saturating_sub(now).saturating_sub(room);
        Duration::from_nanos(u64::try_from(over).unwrap_or(0))
    }

    /// Takes `count` out, whether it is there or not.
    pub(super) fn take(&mut self, now: Nanos, count: u64, stretch: f64) {
        self.whole_at = self.whole_at.max(now).saturating_add(cost(self.rate, count, stretch));
    }

    /// How much comes in in a time, at least one and at most what may go at once.
    pub(super) fn step(&self, time: Duration, stretch: f64) -> u64 {
        let one = cost(self.rate, 1000, stretch).max(1);
        let count = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(1000)
            / one.unsigned_abs();
        count.clamp(1, u64::from(self.rate.burst.get()))
    }
}

/// The time in which so much comes in.
fn cost(rate: Rate, count: u64, stretch: f64) -> Nanos {
    let nanos = u128::from(count) * rate.per.as_nanos() / u128::from(rate.count.get());
    let nanos = Nanos::try_from(nanos).unwrap_or(Nanos::MAX);
    // Above all clocks a float saturates.
    if stretch > 1.0 { (nanos as f64 * stretch) as Nanos } else { nanos }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn rate(count: u32, burst: u32) -> Rate {
        Rate::new(count, Duration::from_secs(1), NonZeroU32::new(burst)).expect("a rate")
    }

    #[test]
    fn a_burst_goes_and_what_is_above_it_is_owed() {
        let mut bucket = Bucket::new(rate(10, 5));
        assert_eq!(bucket.wait(0, 5, 1.0), Duration::ZERO);
        bucket.take(0, 5, 1.0);
        assert_eq!(bucket.wait(0, 1, 1.0), Duration::from_millis(100));
        assert_eq!(bucket.wait(0, 1, 2.0), Duration::ZERO, "slower, a burst is worth more time");
        assert_eq!(bucket.wait(SECOND / 2, 50, 1.0), Duration::ZERO, "all there is");
        bucket.take(SECOND / 2, 50, 1.0);
        assert_eq!(bucket.wait(SECOND / 2, 1, 1.0), Duration::from_millis(4600));
        assert_eq!(bucket.step(Duration::from_millis(300), 1.0), 3);
        assert_eq!(bucket.step(Duration::from_millis(300), 3.0), 1);
        assert_eq!(bucket.step(Duration::from_hours(1), 1.0), 5);
    }

    #[test]
    fn fractions_of_a_nanosecond_do_not_add_up() {
        let mut bucket = Bucket::new(rate(300_000_000, 300_000_000));
        bucket.take(0, 300_000_000, 1.0);
        assert_eq!(bucket.wait(0, 30_000_000, 1.0), Duration::from_millis(100));
    }

    #[test]
    fn a_restart_gives_nothing_anew_and_a_wrong_clock_takes_no_more_than_all() {
        let mut bucket = Bucket::new(rate(10, 10));
        bucket.take(7 * SECOND, 10, 1.0);
        let again = Bucket::resume(rate(10, 10), bucket.whole_at(), 7 * SECOND);
        assert_eq!(again, bucket);
        let ahead = Bucket::resume(rate(10, 10), Nanos::MAX, 7 * SECOND);
        assert_eq!(ahead.wait(7 * SECOND, 10, 1.0), Duration::from_secs(1));
        let fresh = Bucket::resume(rate(10, 10), Nanos::MIN, 7 * SECOND);
        assert_eq!(fresh.wait(7 * SECOND, 10, 1.0), Duration::ZERO);
    }
}
