//! Moments as people say them: a point in time, or so long before or after now. In: `15m`, `7d`, RFC 3339. Out: a time.

use super::output::Failure;
use crate::clock::{Clock, Time};

/// Longest time what was replaced stays good beside its follower.
const OVERLAP_MAX_SECONDS: i64 = 172_800;

/// A point in time, or how far away it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(Time),
    Away { seconds: i64 },
}

impl Moment {
    /// So long ago.
    pub(super) fn before(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Away { seconds } => now.plus_seconds(-seconds),
        }
    }

    /// So long from now.
    pub(super) fn after(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Away { seconds } => now.plus_seconds(seconds),
        }
    }
}

/// Refuses a time that begins after its end: nothing is ever in it.
pub(super) fn check_span(since: Option<Moment>, until: Option<Moment>) -> Result<(), Failure> {
    let now = Clock::System.now();
    let [Some(since), Some(until)] = [since, until].map(|moment| moment.map(|at| at.before(now)))
    else {
        return Ok(());
    };
    if since <= until {
        return Ok(());
    }
    let says = format!("--since ({since}) is later than --until ({until}): nothing is in between");
    Err(Failure::Usage(says))
}

/// Reads a moment.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    match (Time::parse(text), seconds(text)) {
        (Some(time), _) => Ok(Moment::At(time)),
        (None, Ok(seconds)) => Ok(Moment::Away { seconds }),
        (None, Err(says)) => Err(format!("{says}, or 2026-11-23T22:00:00Z")),
    }
}

/// Reads a length of time.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let last = text.chars().last().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(text.len() - last);
    let unit = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        "w" => Some(604_800),
        _ => None,
    };
    let number = number.parse::<u32>().ok().map(i64::from);
    let seconds = number.zip(unit).map(|(number, unit)| number * unit);
    seconds.ok_or_else(|| "say it as 90s, 15m, 1h, 7d".to_owned())
}

/// Reads how long what is replaced stays good.
pub(super) fn overlap(text: &str) -> Result<i64, String> {
    let seconds = seconds(text)?;
    if seconds > OVERLAP_MAX_SECONDS {
        return Err(format!("at most {OVERLAP_MAX_SECONDS} s"));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_points_in_time_or_lengths() {
        let now = Time::parse("2026-11-23T22:00:00Z").expect("a moment");
        for (text, before, after) in [
            ("90s", "2026-11-23T21:58:30Z", "2026-11-23T22:01:30Z"),
            ("15m", "2026-11-23T21:45:00Z", "2026-11-23T22:15:00Z"),
            ("1h", "2026-11-23T21:00:00Z", "2026-11-23T23:00:00Z"),
            ("1w", "2026-11-16T22:00:00Z", "2026-11-30T22:00:00Z"),
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        ] {
            let moment = moment(text).expect(text);
            assert_eq!(Some(moment.before(now)), Time::parse(before), "{text}");
            assert_eq!(Some(moment.after(now)), Time::parse(after), "{text}");
        }
        for wrong in ["", "h", "1", "1y", "-1h", "ü", "yesterday", "99999999999h"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
