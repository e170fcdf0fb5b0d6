//! How much of its pace a destination stands. In: answers, and how long each took. Out: a share of the pace as it is
//! set: halved when the destination says that it is too much, or takes much longer than it used to; raised step by
//! step while it takes what it gets. Never below a floor, never above what is set.

use std::time::Duration;

use super::bucket::Nanos;

/// The least share.
const FLOOR: f64 = 1.0 / 64.0;
/// What is left of the share after it was too much.
const CUT: f64 = 0.5;
/// How much of the whole pace is added in a second.
const RAISE_PER_SECOND: f64 = 1.0 / 64.0;
/// Not more than once in this time it is cut, or so many seconds are made good.
const STEP: Duration = Duration::from_secs(1);
/// An answer that takes so many times as long as they used to, and so long at least, is one that came too slowly.
const SLOW_TIMES: f64 = 4.0;
const SLOW_MIN_SECONDS: f64 = 1.0;
/// How much one answer moves what they used to take; one slow answer counts no more than twice that.
const WEIGHT: f64 = 0.05;

/// The state of one destination.
#[derive(Clone, Copy, Debug)]
pub struct Temper {
    share: f64,
    /// What answers used to take, in seconds.
    usual: Option<f64>,
    cut_at: Option<Nanos>,
    raised_at: Option<Nanos>,
}

impl Default for Temper {
    fn default() -> Self {
        Self { share: 1.0, usual: None, cut_at: None, raised_at: None }
    }
}

impl Temper {
    /// One whose share was this before a restart; what makes no sense is none.
    #[must_use]
    pub fn resume(share: f64) -> Self {
        if (FLOOR..=1.0).contains(&share) {
            Self { share, ..Self::default() }
        } else {
            Self::default()
        }
    }

    /// The share of the pace that goes now.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }

    /// The destination said that it is too much.
    pub fn too_much(&mut self, now: Nanos) {
        let step = nanos(STEP);
        if self.cut_at.is_none_or(|at| now.saturating_sub(at) >= step) {
            self.share = (self.share * CUT).max(FLOOR);
            self.cut_at = Some(now);
        }
        self.raised_at = Some(now);
    }

    /// The destination took something, after so long.
    pub fn taken(&mut self, now: Nanos, after: Duration) {
        let seconds = after.as_secs_f64();
        let usual = *self.usual.get_or_insert(seconds);
        let is_slow = seconds >= SLOW_MIN_SECONDS && seconds > usual * SLOW_TIMES;
        let moved = seconds.min((2.0 * usual).max(SLOW_MIN_SECONDS / SLOW_TIMES));
        self.usual = Some(usual + (moved - usual) * WEIGHT);
        if is_slow {
            self.too_much(now);
            return;
        }
        let passed = now.saturating_sub(self.raised_at.unwrap_or(now)).clamp(0, nanos(STEP));
        self.raised_at = Some(now);
        let raise = RAISE_PER_SECOND * passed as f64 / nanos(Duration::from_secs(1)) as f64;
        self.share = (self.share + raise).min(1.0);
    }
}

fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const QUICK: Duration = Duration::from_millis(50);

    #[test]
    fn it_is_halved_to_a_floor_and_comes_back_step_by_step() {
        let mut temper = Temper::default();
        temper.too_much(0);
        temper.too_much(SECOND / 2);
        assert!((temper.share() - 0.5).abs() < 1e-9, "once in a second");
        for second in 1..20 {
            temper.too_much(second * SECOND);
        }
        assert!((temper.share() - FLOOR).abs() < 1e-9);
        let mut now = 20 * SECOND;
        let mut shares = vec![temper.share()];
        for _ in 0..320 {
            now += SECOND / 5;
            temper.taken(now, QUICK);
            shares.push(temper.share());
        }
        assert!(shares.is_sorted() && shares[100] < 0.4, "{shares:?}");
        assert!((temper.share() - 1.0).abs() < 1e-9, "after about a minute: {}", temper.share());
    }

    #[test]
    fn a_restart_makes_nothing_good() {
        assert!((Temper::resume(0.25).share() - 0.25).abs() < 1e-9);
        for share in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!((Temper::resume(share).share() - 1.0).abs() < 1e-9, "{share}");
        }
    }

    #[test]
    fn a_pause_makes_nothing_good() {
        let mut temper = Temper::default();
        temper.too_much(0);
        temper.taken(3600 * SECOND, QUICK);
        assert!(temper.share() < 0.52, "{}", temper.share());
    }

    #[test]
    fn answers_that_take_much_longer_than_they_used_to_slow_it_down_until_they_are_usual() {
        let mut temper = Temper::default();
        let mut now = 0;
        for _ in 0..50 {
            now += SECOND;
            temper.taken(now, QUICK);
        }
        temper.taken(now, Duration::from_millis(900));
        assert!((temper.share() - 1.0).abs() < 1e-9, "less than a second is nothing");
        temper.taken(now, Duration::from_secs(2));
        assert!((temper.share() - 0.5).abs() < 1e-9);
        for _ in 0..500 {
            now += SECOND;
            temper.taken(now, Duration::from_secs(2));
        }
        assert!(temper.share() > 0.9, "a slow server is no slower for waiting: {}", temper.share());
    }
}
