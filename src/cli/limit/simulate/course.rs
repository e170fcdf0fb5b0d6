//! How what came would be sent on. In: what is said, and the record of a destination, which has what is not. Out: a
//! pace, the bounds of a request, and which events are wanted.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{Args, BATCH};
use crate::cli::output::Failure;
use crate::clock::Clock;
use crate::config::RateText;
use crate::forward::batch_of;
use crate::limit::{Batch, Pacing};
use crate::render::Condition;

/// A pace, and what it is the pace of.
pub(super) struct Course {
    pub(super) pacing: Pacing,
    pub(super) batch: Batch,
    condition: Option<Condition>,
}

impl Course {
    /// What is said, and where nothing is said that of a destination.
    pub(super) fn of(args: &Args, destination: &Value) -> Result<Self, Failure> {
        let clock = Arc::new(Clock::System);
        let kept = destination.as_object().and_then(|fields| batch_of(fields, &clock));
        let mut batch = kept.unwrap_or(BATCH);
        if let Some(events) = args.batch_events {
            batch.events = events as usize;
        }
        let condition = destination["where"].as_str().map(Condition::compile).transpose();
        let condition = condition.map_err(|fault| {
            Failure::No(format!("`where` of the destination: {}", fault.sentence()))
        })?;
        Ok(Self { pacing: pacing(args, destination)?, batch, condition })
    }

    /// Whether an event that its filter matches is one it gets; where the expression fails, it does not hold, as at a
    /// lane.
    pub(super) fn wants(&self, event: &str) -> bool {
        self.condition.as_ref().is_none_or(|condition| {
            condition.holds(&Bytes::copy_from_slice(event.as_bytes())).unwrap_or(false)
        })
    }
}

fn pacing(args: &Args, destination: &Value) -> Result<Pacing, Failure> {
    let rate = |said: Option<RateText>, name: &str| {
        let kept = destination[name].as_str().map(str::parse);
        said.map_or_else(|| kept.transpose().map_err(Failure::No), |said| Ok(Some(said)))
    };
    let kept = destination["burst"].as_u64().filter(|_| args.rate.is_none());
    let burst = args.burst.or(kept.and_then(|burst| u32::try_from(burst).ok()));
    let whole = |rate: Option<RateText>, burst| rate.and_then(|rate| rate.with(burst));
    let events = whole(rate(args.rate, "rate")?, burst);
    if args.burst.is_some() && events.is_none() {
        return Err(Failure::Usage("--burst is of use only beside --rate".to_owned()));
    }
    let requests = whole(rate(args.request_rate, "request_rate")?, None);
    let bytes = whole(rate(args.byte_rate, "byte_rate")?, None);
    Ok(Pacing { events, requests, bytes })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn course(words: &[&str], destination: &Value) -> Course {
        let line = Line::parse_from([&["simulate"], words].concat());
        Course::of(&line.args, destination).expect("a course")
    }

    fn bounds(course: &Course) -> (usize, u64) {
        (course.batch.events, course.batch.bytes)
    }

    #[tokio::test]
    async fn what_is_not_said_is_as_the_destination_has_it() {
        let to = "http://127.0.0.1/in";
        let plain = json!({"to": to});
        assert_eq!(bounds(&course(&[], &plain)), (500, 1 << 20));
        assert_eq!(
            bounds(&course(&[], &json!({"to": "prefect+http://127.0.0.1/api"}))),
            (500, 4 << 20)
        );
        let small = json!({"to": to, "batch_events": 7, "batch_bytes": 2000, "rate": "10/s",
            "where": "event.payload.n > 2"});
        let said = course(&["--batch-events", "9"], &small);
        assert_eq!((bounds(&course(&[], &small)), bounds(&said)), ((7, 2000), (9, 2000)));
        let rate = said.pacing.events.expect("a rate");
        assert_eq!(rate.to_string(), "10/s");
        let event = |n: &str| format!("{{\"payload\":{{\"n\":{n}}}}}");
        let wanted = |n: &str| said.wants(&event(n));
        assert!(wanted("3") && !wanted("2") && !wanted("{}"), "what fails is not wanted");
        assert!(course(&["--rate", "1/s"], &Value::Null).wants("{}"));
    }
}
