//! Whether a destination says what it keeps. In: questions that it answered or did not, batches that it took. Out: what
//! follows from one without an answer. While nobody knows whether the destination is there at all, nothing follows but
//! patience; one that takes events for long and says nothing all the while is believed for a time, and asked again.

use std::time::{Duration, Instant};

/// What a destination lets hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It answers, or was not asked yet.
    #[default]
    Answers,
    /// It has answered nothing since then, and nothing is sent.
    Silent(Instant),
    /// For too long: events go out again. Since when, and when it took the first and the last of them.
    Tried { since: Instant, taken: Option<(Instant, Instant)> },
    /// It takes events, and says nothing: what it acknowledges counts as kept until then.
    Believed(Instant),
}

/// What follows from a question that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing is sent before one is.
    Wait,
    /// What is new goes out meanwhile.
    GoOn,
    /// Nothing was taken for long: what was acknowledged goes out once more.
    Again,
    /// What was acknowledged counts as kept.
    Believe,
}

impl Hearing {
    /// Another question was not answered; so long is long.
    pub(super) fn unanswered(&mut self, now: Instant, long: Duration) -> Next {
        let is_long = |since: Instant| now.saturating_duration_since(since) >= long;
        let (to, next) = match *self {
            Self::Answers => (Self::Silent(now), Next::Wait),
            Self::Silent(since) if !is_long(since) => (*self, Next::Wait),
            Self::Silent(_) => (Self::tried(now), Next::GoOn),
            Self::Tried { taken: Some((first, last)), .. } if last - first >= long => {
                (Self::Believed(now + long), Next::Believe)
            }
            Self::Tried { since, taken } if is_long(taken.map_or(since, |(_, last)| last)) => {
                (Self::Tried { since: now, taken }, Next::Again)
            }
            Self::Tried { .. } => (*self, Next::GoOn),
            Self::Believed(_) => (Self::Believed(now + long), Next::Believe),
        };
        *self = to;
        next
    }

    /// Events go out whatever it says, from now on.
    pub(super) fn tried(now: Instant) -> Self {
        Self::Tried { since: now, taken: None }
    }

    /// It took some.
    pub(super) fn taken(&mut self, now: Instant) {
        if let Self::Tried { taken, .. } = self {
            taken.get_or_insert((now, now)).1 = now;
        }
    }

    /// It does not take them.
    pub(super) fn failed(&mut self) {
        if let Self::Tried { taken, .. } = self {
            *taken = None;
        }
    }

    /// Whether it is to be seen that it takes anything, or still does after so long.
    pub(super) fn wants_proof(self, now: Instant, patience: Duration) -> bool {
        let Self::Tried { taken, .. } = self else { return false };
        taken.is_none_or(|(_, last)| now.saturating_duration_since(last) >= patience)
    }

    /// Whether it is asked more seldom.
    pub(super) fn is_tried(self) -> bool {
        matches!(self, Self::Tried { .. })
    }

    pub(super) fn is_believed(self, now: Instant) -> bool {
        matches!(self, Self::Believed(until) if now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_events_for_long_is_believed_and_asked_again() {
        let long = Duration::from_secs(310);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut hearing = Hearing::default();
        let unanswered = |hearing: &mut Hearing, seconds| hearing.unanswered(at(seconds), long);
        for (seconds, next) in [
            (0, Next::Wait),
            (309, Next::Wait),
            (310, Next::GoOn),
            (619, Next::GoOn),
            // Nothing was taken: it is not there.
            (620, Next::Again),
            (621, Next::GoOn),
        ] {
            assert_eq!(unanswered(&mut hearing, seconds), next, "{seconds}");
        }
        let wants = |hearing: Hearing, seconds| hearing.wants_proof(at(seconds), long / 10);
        assert!(wants(hearing, 621));
        hearing.taken(at(700));
        hearing.failed();
        hearing.taken(at(720));
        assert_eq!(unanswered(&mut hearing, 930), Next::GoOn);
        // It took something, and may have gone since.
        assert_eq!(unanswered(&mut hearing, 1030), Next::Again);
        hearing.taken(at(1029));
        assert_eq!(unanswered(&mut hearing, 1309), Next::GoOn);
        assert!(hearing.is_tried() && !wants(hearing, 1059) && wants(hearing, 1060));
        hearing.taken(at(1030));
        assert_eq!(unanswered(&mut hearing, 1310), Next::Believe);
        assert!(hearing.is_believed(at(1619)) && !hearing.is_believed(at(1620)));
        hearing.failed();
        hearing.taken(at(1400));
        assert_eq!(unanswered(&mut hearing, 1620), Next::Believe, "nothing has changed");
        assert!(hearing.is_believed(at(1800)));
    }
}
