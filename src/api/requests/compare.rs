//! A draft beside the template that is live, over requests that were kept. In: a draft, and which requests of a
//! webhook. Out: how many stay the same, change, newly fail or newly pass, with examples of both sides. Keeps nothing,
//! sends nothing.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::again::{Failure, Renderer, body};
use super::capture::Captured;
use super::is_of;
use crate::accept::Reply;
use crate::api::problem::Problem;
use crate::api::{Api, Call};
use crate::catalogue::Values;
use crate::event::Event;
use crate::feed::{Outcome, Requests};
use crate::filter::Order;
use crate::id::Uuid;
use crate::spool::{Kept, Picker, SpoolError};

/// Longest time of one slice.
const SLICE_TIME_MAX: Duration = Duration::from_secs(2);
/// Requests between two looks at the time.
const PART: usize = 500;
/// Most bytes of all examples.
const EXAMPLES_MAX_BYTES: usize = 4 << 20;

/// What becomes of a request with the draft in place of what is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    /// The same event, byte by byte.
    Identical,
    /// Another event.
    Changed,
    /// No event any more.
    NewlyFailing,
    /// An event at last.
    NewlyPassing,
    /// No event, as before.
    StillFailing,
}

const CHANGES: [Change; 5] = [
    Change::Identical,
    Change::Changed,
    Change::NewlyFailing,
    Change::NewlyPassing,
    Change::StillFailing,
];

/// A request that is not the same any more.
#[derive(Serialize)]
struct Example {
    id: Uuid,
    change: Change,
    before: Side,
    after: Side,
}

/// What one of the templates makes of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Side {
    Event { event: Box<RawValue> },
    Failure(Failure),
}

impl Side {
    fn of(made: Result<Event, Failure>) -> Self {
        let text = made.map(|event| String::from_utf8_lossy(&event.json).into_owned());
        match text.map(RawValue::from_string) {
            Ok(Ok(event)) => Self::Event { event },
            Ok(Err(fault)) => Self::Failure(Failure::of_text(fault.to_string())),
            Err(failure) => Self::Failure(failure),
        }
    }
}

/// What one slice came to.
#[derive(Default)]
struct Slice {
    compared: u64,
    gone: u64,
    /// Requests that are not kept as they came.
    redacted: u64,
    /// How often each of [`CHANGES`] came.
    counts: [u64; CHANGES.len()],
    examples: Vec<Example>,
    bytes: usize,
    /// Most examples of one kind.
    examples_max: u64,
    after: Option<Uuid>,
}

struct Work {
    requests: Requests,
    picker: Picker,
    live: Renderer,
    draft: Renderer,
    body_max_bytes: u64,
    examples_max: u64,
}

impl Api {
    /// Compares a draft with what is live, over a slice of requests, the newest first.
    pub(in crate::api) async fn compare(
        &self,
        call: &Call,
        values: &Values,
    ) -> Result<Reply, Problem> {
        self.check_template(values)?;
        let said = |name: &str| values.get(name).and_then(Value::as_str).unwrap_or_default();
        let webhook = Uuid::parse_str(said("webhook_id")).unwrap_or_default();
        let live = self.renderers(call, vec![webhook]).await?.remove(&webhook);
        let live = live.ok_or(Problem::NotFound)?;
        let outcomes = vec![Outcome::Event, Outcome::Failed];
        let wanted = self.wanted(call, values, outcomes, Order::Descending);
        let work = Work {
            requests: self.requests(wanted).await?,
            picker: self.events.spool.picker(),
            draft: live.with_template(said("template"), self.options.render),
            live,
            body_max_bytes: self.options.hook_body_max_bytes,
            examples_max: values.get("examples").and_then(Value::as_u64).unwrap_or_default(),
        };
        let slice = self.trials.run(move || work.run()).await;
        let slice = slice.ok_or(Problem::Engine)??;
        let mut counts = json!({
            "compared": slice.compared,
            "gone": slice.gone,
            "redacted": slice.redacted,
            "after": slice.after,
        });
        for (change, count) in CHANGES.iter().zip(slice.counts) {
            let name = serde_json::to_value(change).unwrap_or_default();
            counts[name.as_str().unwrap_or_default()] = count.into();
        }
        let mut text = counts.to_string();
        text.truncate(text.len() - 1);
        let examples = serde_json::to_string(&slice.examples).unwrap_or_default();
        let text = format!("{text},\"examples\":{examples}}}");
        Ok(Reply::json(StatusCode::OK, text))
    }
}

impl Work {
    fn run(mut self) -> Result<Slice, SpoolError> {
        let end = Instant::now() + SLICE_TIME_MAX;
        let (after, examples_max) = (self.requests.after, self.examples_max);
        let mut slice = Slice { examples_max, after, ..Slice::default() };
        let mut looked = 0;
        let found = std::mem::take(&mut self.requests.found);
        // Each part is read as it lies, from its oldest on.
        for part in found.chunks(PART) {
            if Instant::now() > end {
                break;
            }
            for request in part.iter().rev() {
                match self.picker.take(request.sequence)?.filter(|kept| is_of(kept, request)) {
                    Some(kept) => self.look(&kept, &mut slice),
                    None => slice.gone += 1,
                }
            }
            looked += part.len();
        }
        if looked < found.len() {
            slice.after = found.get(looked.saturating_sub(1)).map(|request| request.id);
        }
        Ok(slice)
    }

    fn look(&self, kept: &Kept, slice: &mut Slice) {
        let Some(captured) = Captured::of(kept, self.body_max_bytes) else {
            slice.gone += 1;
            return;
        };
        slice.redacted += u64::from(captured.is_redacted());
        let (before, after) = match body(&captured) {
            Ok(body) => (self.live.event(&captured, &body), self.draft.event(&captured, &body)),
            Err(failure) => (Err(failure.clone()), Err(failure)),
        };
        slice.take(captured.id, before, after);
    }
}

impl Slice {
    fn take(&mut self, id: Uuid, before: Result<Event, Failure>, after: Result<Event, Failure>) {
        let change = match (&before, &after) {
            (Ok(old), Ok(new)) if old == new => Change::Identical,
            (Ok(_), Ok(_)) => Change::Changed,
            (Ok(_), Err(_)) => Change::NewlyFailing,
            (Err(_), Ok(_)) => Change::NewlyPassing,
            (Err(_), Err(_)) => Change::StillFailing,
        };
        self.compared += 1;
        self.counts[change as usize] += 1;
        let is_told = !matches!(change, Change::Identical | Change::StillFailing);
        let bytes = |made: &Result<Event, Failure>| made.as_ref().map_or(0, |made| made.json.len());
        let bytes = bytes(&before) + bytes(&after);
        let is_room = self.counts[change as usize] <= self.examples_max
            && self.bytes + bytes <= EXAMPLES_MAX_BYTES;
        if is_told && is_room {
            self.bytes += bytes;
            let (before, after) = (Side::of(before), Side::of(after));
            self.examples.push(Example { id, change, before, after });
        }
    }
}
