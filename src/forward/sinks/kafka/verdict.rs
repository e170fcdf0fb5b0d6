//! What Kafka's numbers mean. In: the error of an answer. Out: kept, refused for its content, not now, or that a broker
//! has lost count. No I/O.

use crate::forward::sinks::{Fault, Refusal};
use crate::telemetry::forward::Outcome;

/// What became of one batch.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is there, now or already.
    Kept,
    /// Something in it will never be taken.
    Refused(Refusal),
    /// Again, just as it is.
    Failed(Fault),
    /// Again, by another producer: the broker does not know where this one stands.
    Lost(Fault),
}

const DUPLICATE: i16 = 46;

/// Names of those that somebody can do something about.
const NAMES: &[(i16, &str)] = &[
    (3, "no such topic or partition"),
    (5, "no leader for now"),
    (6, "not the leader"),
    (7, "replicas were too slow"),
    (10, "message too large"),
    (14, "still loading"),
    (17, "no name of a topic"),
    (18, "batch too large"),
    (19, "too few replicas"),
    (20, "too few replicas after it was written"),
    (29, "this user may not write to the topic"),
    (31, "this user may not write idempotently"),
    (32, "timestamp out of range"),
    (44, "against its policy"),
    (45, "out of order"),
    (47, "an old producer"),
    (49, "an unknown producer"),
    (56, "its disk failed"),
    (59, "an unknown producer"),
    (87, "a record it does not take"),
    (89, "over its quota"),
];

fn said(error: i16, topic: &str) -> String {
    let found = NAMES.iter().find(|(number, _)| *number == error);
    let name = found.map_or("something else", |(_, name)| name);
    format!("topic {topic}: Kafka said {error}, {name}")
}

/// What an error means that is about no batch.
pub(super) fn fault(error: i16, topic: &str) -> Fault {
    let what = said(error, topic);
    match error {
        3 => Fault::lasting(Outcome::Unexpected, format!("{what}: make it")),
        17 | 35 | 44 => Fault::lasting(Outcome::Unexpected, what),
        29..=31 | 53 => Fault::lasting(Outcome::Unauthorized, what),
        89 => Fault::new(Outcome::Throttled, what),
        _ => Fault::new(Outcome::Unavailable, what),
    }
}

/// What an error means for a batch.
pub(super) fn judge(error: i16, topic: &str) -> Verdict {
    match error {
        0 | DUPLICATE => Verdict::Kept,
        10 | 18 | 32 | 87 => Verdict::Refused(Refusal::new(said(error, topic), "")),
        45 | 47 | 49 | 59 => Verdict::Lost(Fault::new(Outcome::Unavailable, said(error, topic))),
        // Who leads may have changed meanwhile.
        3 => Verdict::Failed(Fault::new(Outcome::Unavailable, said(error, topic))),
        _ => Verdict::Failed(fault(error, topic)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_means_one_thing() {
        assert!(matches!(judge(0, "t"), Verdict::Kept) && matches!(judge(46, "t"), Verdict::Kept));
        for error in [10, 18, 32, 87] {
            let Verdict::Refused(refusal) = judge(error, "t") else { panic!("{error}") };
            assert!(refusal.reason.contains(&error.to_string()));
        }
        for error in [45, 47, 49, 59] {
            assert!(matches!(judge(error, "t"), Verdict::Lost(_)), "{error}");
        }
        for (error, is_lasting) in [(3, false), (6, false), (19, false), (29, true), (-1, false)] {
            let Verdict::Failed(fault) = judge(error, "t") else { panic!("{error}") };
            assert_eq!(fault.is_lasting, is_lasting, "{}", fault.what);
        }
        assert!(fault(3, "orders").what.contains("topic orders") && fault(3, "t").is_lasting);
    }
}
