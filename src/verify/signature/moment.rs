//! Moments that requests bear, compared to the fraction of a second. In: seconds, milliseconds, a fraction, a date.
//! Out: a moment, how far it is from another, and whether that is inside a window. Never asks a clock.

use super::fault::Fault;
use super::scheme::Unit;

/// More digits than any time has.
const DIGITS_MAX: usize = 18;
/// Times from there on count in milliseconds, when the unit may be any.
const MILLISECONDS_FROM: i64 = 100_000_000_000;
/// Nanoseconds of a second, and of a millisecond.
const SECOND: i128 = 1_000_000_000;
const MILLISECOND: i128 = 1_000_000;

/// Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i128);

impl Moment {
    pub(super) fn of_seconds(seconds: i64) -> Self {
        Self(i128::from(seconds) * SECOND)
    }

    /// Seconds with a fraction; what is beyond all bounds becomes the bound.
    pub(super) fn of_float(seconds: f64) -> Self {
        let whole = Self::of_seconds(seconds as i64);
        Self(whole.0 + (seconds.fract() * 1e9) as i128)
    }

    /// A moment as it was written.
    pub(super) fn read(text: &[u8], unit: Unit) -> Option<Self> {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(text).ok()?;
        let number = || (digits && text.len() <= DIGITS_MAX).then(|| text.parse::<i64>().ok())?;
        let milliseconds = |number| Self(i128::from(number) * MILLISECOND);
        let date = || Some(Self(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond()));
        match unit {
            Unit::Seconds => number().map(Self::of_seconds),
            Unit::Milliseconds => number().map(milliseconds),
            Unit::Rfc3339 => date(),
            Unit::Any if !digits => date().or_else(|| http_date(text)),
            Unit::Any => number().map(|time| {
                if time < MILLISECONDS_FROM { Self::of_seconds(time) } else { milliseconds(time) }
            }),
        }
    }

    /// So many seconds later.
    pub(super) fn later(self, seconds: i64) -> Self {
        Self(self.0 + i128::from(seconds) * SECOND)
    }

    /// How many seconds the other is later, each that has begun counted.
    pub(super) fn seconds_to(self, other: Self) -> i64 {
        let off = other.0 - self.0;
        let up = if off % SECOND == 0 { 0 } else { off.signum() };
        let clamped = (off / SECOND + up).clamp(i64::MIN.into(), i64::MAX.into());
        i64::try_from(clamped).unwrap_or(i64::MAX)
    }

    /// Whether what was made then is taken now: its bounds are, too.
    ///
    /// # Errors
    /// [`Fault::Clock`]: it is outside the window.
    pub(super) fn check(self, made: Self, window_seconds: u32) -> Result<(), Fault> {
        if (self.0 - made.0).abs() > i128::from(window_seconds) * SECOND {
            let off_seconds = made.seconds_to(self);
            return Err(Fault::Clock { off_seconds, window_seconds });
        }
        Ok(())
    }
}

/// A time as headers of HTTP have it.
fn http_date(text: &str) -> Option<Moment> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    date.ok().map(|date| Moment(date.as_nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_to_the_fraction_on_both_sides() {
        let now = Moment::of_seconds(1_790_000_000);
        let read = |text: &str, unit| Moment::read(text.as_bytes(), unit).expect(text);
        for (text, unit, off) in [
            ("1789999700000", Unit::Milliseconds, None),
            ("1790000300000", Unit::Milliseconds, None),
            ("1789999699999", Unit::Milliseconds, Some(301)),
            ("1790000300001", Unit::Milliseconds, Some(-301)),
            ("1790000300001", Unit::Any, Some(-301)),
            ("1790000300", Unit::Any, None),
            ("1790000301", Unit::Seconds, Some(-301)),
            ("2026-09-21T14:18:20Z", Unit::Rfc3339, None),
            ("2026-09-21T14:18:20.000000001Z", Unit::Rfc3339, Some(-301)),
            ("2026-09-21T14:08:19.5Z", Unit::Any, Some(301)),
        ] {
            let found = now.check(read(text, unit), 300);
            let fault = |off_seconds| Fault::Clock { off_seconds, window_seconds: 300 };
            assert_eq!(found, off.map_or(Ok(()), |off| Err(fault(off))), "{text}");
        }
    }

    #[test]
    fn what_no_clock_shows_never_overflows() {
        for far in [f64::MAX, f64::MIN, 1e19, -1e19] {
            let far = Moment::of_float(far);
            let (first, last) = (Moment::of_seconds(i64::MIN), Moment::of_seconds(i64::MAX));
            assert!(far >= first && far <= last.later(i64::MAX));
            assert!(first.check(far, u32::MAX).is_err() || last.check(far, 1).is_err());
            assert!(first.seconds_to(last) == i64::MAX && last.seconds_to(first) == i64::MIN);
        }
        assert!(Moment::of_float(1.5) > Moment::of_seconds(1));
        assert_eq!(Moment::read(b"1234567890123456789", Unit::Any), None);
    }
}
