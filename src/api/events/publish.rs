//! Publishing over HTTP (contract 5.1): an array of events, all of them or none. In: a body. Out: 204 once all are on
//! stable storage, or every fault with its place. Never an event of a batch that another one breaks.

use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::super::Api;
use super::super::problem::Problem;
use super::place::Place;
use crate::accept::{BodyError, Reply};
use crate::catalogue::Fault;
use crate::event::{self, DraftError, Event, Reject};
use crate::json::{self, Kind, Value};
use crate::request::{Arrival, Content};
use crate::telemetry::events::{Outcome, Transport};

/// Bounds of a batch: its array is one level above its events.
const LIMITS: json::Limits = json::Limits { depth_max: 191, nodes_max: 1_000_000 };
/// Bodies above this are read on a thread of their own, so that other connections go on.
const INLINE_MAX_BYTES: usize = 64 << 10;
/// Most faults of a reply.
const FAULTS_MAX: usize = 100;
/// Most events and bytes of one frame; what is more becomes another one.
pub(super) const FRAME_MAX_EVENTS: usize = 500;
pub(super) const FRAME_MAX_BYTES: usize = 1 << 20;

impl Api {
    /// Keeps a batch.
    pub(super) async fn publish(
        &self,
        place: &Place,
        arrival: &Arrival,
        content: Content,
    ) -> Result<Reply, Problem> {
        let count = |outcome, events| {
            self.events.facts.published(Transport::Http, outcome, events);
        };
        let reserved_names = self.options.events.reserved_names;
        let read = if arrival.header(CONTENT_TYPE.as_str()).is_some_and(is_text) {
            Err(vec![not_a_list()])
        } else if content.decoded.len() <= INLINE_MAX_BYTES {
            read(&content.decoded, reserved_names)
        } else {
            let decoded = content.decoded;
            let reading = tokio::task::spawn_blocking(move || read(&decoded, reserved_names));
            let given_up = || BodyError::Malformed("its reading was given up".to_owned());
            reading.await.map_err(|_| given_up())?
        };
        let events = read.map_err(|faults| {
            count(Outcome::Invalid, 1);
            Problem::Invalid(faults)
        })?;
        let all = events.len();
        let (limits, now) = (&self.options.limits, arrival.received);
        let charged = limits.charge_events(place.account, all);
        limits.note_events(place.account, all, charged.is_ok(), now);
        charged.inspect_err(|_| count(Outcome::Limited, all))?;
        let mut new = 0;
        let known = self.published_before(place, &events);
        for frame in frames(events) {
            let (account, workspace) = (place.account, place.workspace);
            let kept =
                self.events.spool.append_all_once(account, workspace, arrival.received, frame);
            new += kept.await?;
        }
        count(Outcome::Kept, new);
        count(Outcome::Known, all - new);
        self.note_differing(Transport::Http, known);
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// Whether a media type says that the body is not JSON, as browsers' forms and plain text do.
fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.len() >= 5 && essence.as_bytes()[..5].eq_ignore_ascii_case(b"text/")
}

fn not_a_list() -> Fault {
    Fault::new("list_type", &["body"], "Input should be a valid list")
}

/// The events of a body.
fn read(body: &[u8], reserved_names: bool) -> Result<Vec<Event>, Vec<Fault>> {
    let broken = |at: usize, says: String| {
        vec![Fault::new("json_invalid", &["body", &at.to_string()], says)]
    };
    let text = std::str::from_utf8(body)
        .map_err(|error| broken(error.valid_up_to(), "JSON decode error".to_owned()))?;
    let mut nodes = Vec::new();
    json::scan(text, LIMITS, &mut nodes)
        .map_err(|fault| broken(fault.at, format!("JSON decode error: {}", fault.what)))?;
    let root = Value::root(text, &nodes);
    if root.kind() != Kind::Array {
        return Err(vec![not_a_list()]);
    }
    let (mut events, mut faults) = (Vec::with_capacity(root.len()), Vec::new());
    for (place, item) in root.items().enumerate() {
        match event::publish(item.raw(), reserved_names) {
            Ok(event) => events.push(event),
            Err(found) => faults.extend(found.iter().map(|fault| locate(place, fault))),
        }
        if faults.len() >= FAULTS_MAX {
            faults.truncate(FAULTS_MAX);
            break;
        }
    }
    if faults.is_empty() { Ok(events) } else { Err(faults) }
}

/// A broken rule as clients read it.
fn locate(place: usize, fault: &DraftError) -> Fault {
    let mut at = vec!["body".to_owned(), place.to_string()];
    let pointer = fault.pointer.as_deref().unwrap_or_default();
    at.extend(pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")));
    let (rule, says) = match fault.reject {
        Reject::InvalidEvent if fault.what.ends_with(" is missing") => {
            ("missing", "Field required".to_owned())
        }
        Reject::InvalidEvent | Reject::Json => {
            ("value_error", format!("Value error, {}", fault.what))
        }
        Reject::TooLarge => ("too_long", format!("Value error, {}", fault.what)),
    };
    Fault { rule, at, says }
}

/// A batch as few frames, each within its bounds or one event.
pub(in crate::api) fn frames(events: Vec<Event>) -> impl Iterator<Item = Vec<Event>> {
    let mut events = events.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut frame: Vec<Event> = vec![events.next()?];
        let mut bytes = frame[0].json.len();
        while frame.len() < FRAME_MAX_EVENTS {
            let fits = |event: &Event| bytes + event.json.len() <= FRAME_MAX_BYTES;
            let Some(event) = events.next_if(fits) else { break };
            bytes += event.json.len();
            frame.push(event);
        }
        Some(frame)
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::Uuid;

    fn event(bytes: usize) -> Event {
        Event { id: Uuid::nil(), json: Bytes::from(vec![b' '; bytes]) }
    }

    #[test]
    fn a_batch_is_few_frames_within_their_bounds() {
        let sizes = |events: Vec<Event>| frames(events).map(|frame| frame.len()).collect();
        let counted: Vec<usize> = sizes((0..1001).map(|_| event(10)).collect());
        assert_eq!(counted, [500, 500, 1]);
        let large = [400_000, 400_000, 400_000, 1_500_000, 10, 10];
        let counted: Vec<usize> = sizes(large.map(event).into());
        assert_eq!(counted, [2, 1, 1, 2]);
        assert_eq!(frames(Vec::new()).count(), 0);
    }
}
