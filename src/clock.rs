//! Time and chance, handed to everything that needs them as arguments. In: the system, or a fixed instant for tests.
//! Out: [`Time`] (microseconds since 1970, UTC) and random bytes. Never a wait, never a time zone.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment: microseconds since 1970-01-01T00:00:00Z, the precision of the wire contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(i64);

impl Time {
    /// From microseconds since 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since 1970, as version 7 UUIDs want them; never negative.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or(0)
    }

    /// This moment and `seconds` more.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Reads RFC 3339; an offset is converted to UTC, digits past the microsecond are cut. `None` when the text is no
    /// moment of the years 1 to 9999.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // The parser knows more than the wire does: signed years of six digits, none of the dashes, names of zones.
        let year = text.split('-').next().filter(|year| year.len() == 4)?;
        if !year.bytes().all(|byte| byte.is_ascii_digit()) || text.contains('[') {
            return None;
        }
        let moment: jiff::Timestamp = text.parse().ok()?;
        Some(Self(moment.as_microsecond())).filter(|time| *time >= Self::FIRST)
    }

    /// The first moment of the year 1.
    const FIRST: Self = Self(-62_135_596_800_000_000);

    /// The text of [`fmt::Display`], appended to bytes without an allocation.
    pub fn write(self, out: &mut Vec<u8>) {
        let (days, rest) = (self.0.div_euclid(86_400_000_000), self.0.rem_euclid(86_400_000_000));
        let (year, month, day) = civil(days);
        let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        for (place, value) in [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, seconds / 3600),
            (14..16, seconds / 60 % 60),
            (17..19, seconds % 60),
            (20..26, micros),
        ] {
            digits(&mut text[place], value);
        }
        if micros == 0 {
            out.extend_from_slice(&text[..19]);
            out.push(b'Z');
        } else {
            out.extend_from_slice(&text);
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(27);
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Writes `value` as decimal digits, as many as there is room for.
fn digits(out: &mut [u8], value: i64) {
    let mut rest = u32::try_from(value).unwrap_or(0);
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Year, month and day of a count of days since 1970 (proleptic Gregorian calendar, eras of 400 years).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Where moments and random bytes come from.
#[derive(Debug)]
pub enum Clock {
    /// The machine's wall clock and its random source.
    System,
    /// A clock that moves only when told to; its random bytes are a counted sequence.
    Fixed { micros: AtomicI64, draws: AtomicI64 },
}

impl Clock {
    /// A clock for tests that stands at `time`.
    #[must_use]
    pub fn fixed(time: Time) -> Self {
        Self::Fixed { micros: AtomicI64::new(time.micros()), draws: AtomicI64::new(0) }
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Time {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
            Self::Fixed { micros, .. } => Time(micros.load(Ordering::Relaxed)),
        }
    }

    /// Microseconds that have passed, whatever anybody sets: only their differences mean something.
    fn steady_micros(&self) -> i64 {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        match self {
            Self::System => {
                let passed = BEGAN.get_or_init(Instant::now).elapsed();
                i64::try_from(passed.as_micros()).unwrap_or(i64::MAX)
            }
            Self::Fixed { .. } => 0,
        }
    }

    /// Moves a fixed clock; the system's is left alone.
    pub fn advance_seconds(&self, seconds: i64) {
        if let Self::Fixed { micros, .. } = self {
            micros.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
        }
    }

    /// Sixteen bytes that nobody has seen before: enough for ids, not meant as a secret.
    #[must_use]
    pub fn chance(&self) -> [u8; 16] {
        match self {
            Self::System => fastrand::u128(..).to_le_bytes(),
            Self::Fixed { draws, .. } => {
                i128::from(draws.fetch_add(1, Ordering::Relaxed) + 1).to_be_bytes()
            }
        }
    }

    /// Fills `secret` from the system's cryptographic random source (also for a fixed clock).
    ///
    /// # Panics
    /// When the system has no random source.
    pub fn secret(&self, secret: &mut [u8]) {
        aws_lc_rs::rand::fill(secret).expect("the system has a random source");
    }
}

/// Whether the wall clock jumped since the start, told by one that nobody sets. What is slewed is no jump.
#[derive(Debug)]
pub struct Jumps {
    /// The wall clock before the steady one, in microseconds, at the last look.
    offset: AtomicI64,
    /// All jumps together, in microseconds.
    moved: AtomicI64,
    count: AtomicU64,
}

impl Jumps {
    /// Less is no jump: a thread that waited for the processor between two looks at two clocks sees as much.
    const LEAST_MICROS: i64 = 2_000_000;

    /// Looks from now on.
    #[must_use]
    pub fn from_now(clock: &Clock) -> Self {
        let offset = AtomicI64::new(clock.now().micros() - clock.steady_micros());
        Self { offset, moved: AtomicI64::new(0), count: AtomicU64::new(0) }
    }

    /// Looks again: by how many seconds the wall clock jumped since the last look, if it did.
    pub fn look(&self, clock: &Clock) -> Option<f64> {
        let offset = clock.now().micros() - clock.steady_micros();
        let jump = offset.saturating_sub(self.offset.swap(offset, Ordering::Relaxed));
        if jump.saturating_abs() < Self::LEAST_MICROS {
            return None;
        }
        self.moved.fetch_add(jump, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(jump as f64 / 1e6)
    }

    /// How often it jumped.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Seconds that it stands before where it would without its jumps; fewer than none: behind.
    #[must_use]
    pub fn moved_seconds(&self) -> f64 {
        self.moved.load(Ordering::Relaxed) as f64 / 1e6
    }
}

/// The wall clock, but never further than time has passed since a moment that was its own: what is let go because it is
/// old stays where the clock jumped ahead.
#[derive(Debug)]
pub struct Held {
    since: Time,
    /// Of the steady clock, in microseconds.
    began: i64,
}

impl Held {
    /// From a moment on that the wall clock showed, now or earlier.
    #[must_use]
    pub fn since(since: Time, clock: &Clock) -> Self {
        Self { since, began: clock.steady_micros() }
    }

    /// The moment.
    #[must_use]
    pub fn now(&self, clock: &Clock) -> Time {
        let passed = clock.steady_micros().saturating_sub(self.began);
        Time(self.since.0.saturating_add(passed)).min(clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_goes_back_with_the_clock_and_ahead_with_time_alone() {
        let clock = Clock::fixed(Time::from_micros(5_000_000));
        let held = Held::since(clock.now(), &clock);
        clock.advance_seconds(3600);
        assert_eq!(held.now(&clock), Time::from_micros(5_000_000), "no time passed");
        clock.advance_seconds(-3601);
        assert_eq!(held.now(&clock), Time::from_micros(4_000_000));
        let (clock, early) = (Clock::System, Time::from_micros(0));
        let held = Held::since(early, &clock);
        std::thread::park_timeout(std::time::Duration::from_millis(2));
        assert!(early < held.now(&clock) && held.now(&clock) < clock.now());
    }

    #[test]
    fn a_jump_is_told_once_and_a_way_back_evens_it_out() {
        let clock = Clock::fixed(Time::from_micros(1));
        let jumps = Jumps::from_now(&clock);
        clock.advance_seconds(1);
        assert_eq!(jumps.look(&clock), None, "no more than a busy machine does");
        clock.advance_seconds(3600);
        assert_eq!(jumps.look(&clock), Some(3600.0));
        assert_eq!(jumps.look(&clock), None);
        assert_eq!((jumps.count(), jumps.moved_seconds()), (1, 3600.0));
        clock.advance_seconds(-3600);
        assert_eq!(jumps.look(&clock), Some(-3600.0));
        assert_eq!((jumps.count(), jumps.moved_seconds()), (2, 0.0));
    }

    #[test]
    fn writes_what_it_reads() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-23T22:52:30.837791Z",
            "2024-02-29T23:59:59.000001Z",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(Time::parse(text).expect("a moment").to_string(), text);
        }
        let cut = Time::parse("2026-11-23T23:52:30.123456789+01:00").expect("a moment");
        assert_eq!(cut.to_string(), "2026-11-23T22:52:30.123456Z");
        for other in [
            "yesterday",
            "",
            "20261128T200000Z",
            "2026-11-28",
            "2026-11-28T20:00:00",
            "2026-11-28T20:00:00+01:00[Europe/Berlin]",
            "-009999-01-05T00:00:00Z",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+01:00",
        ] {
            assert_eq!(Time::parse(other), None, "{other}");
        }
    }
}
