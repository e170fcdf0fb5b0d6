//! Kept requests made events of again, by today's templates. In: which requests, a slice of them at a time. Out: the
//! events in the spool, each under the one id that its request has for it, with an event that says who did this; or
//! only what would be. An event that was kept already is not kept twice, an event that was born is sent again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json, value::RawValue};

use super::again::{Condition, Failure, Renderer, Renderers, body};
use super::capture::Captured;
use super::{is_of, whose};
use crate::accept::Reply;
use crate::api::events::frames;
use crate::api::problem::Problem;
use crate::api::{Api, Call};
use crate::catalogue::{self, REPLAYED, Values, WEBHOOK};
use crate::clock::Time;
use crate::event::Event;
use crate::feed::{Outcome, Request, Requests};
use crate::filter::Order;
use crate::id::Uuid;
use crate::spool::{Frame, Late, Picker, SpoolError};

/// Longest time of one slice, and most bytes of events.
pub(super) const SLICE_TIME_MAX: Duration = Duration::from_secs(2);
const SLICE_MAX_BYTES: usize = 8 << 20;
/// Most failures that a reply tells.
const FAILURES_MAX: usize = 20;
/// Most redacted requests whose places a reply tells.
const REDACTIONS_MAX: usize = 5;

/// What is to become of the events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// They are kept and sent.
    Emit,
    /// They are sent to one destination.
    Send,
    /// They are only told.
    Render,
    /// They are only counted.
    Count,
}

/// What one slice came to.
#[derive(Default)]
pub(super) struct Slice {
    matched: u64,
    /// Requests whose frame is gone.
    gone: u64,
    /// Requests whose webhook is gone.
    no_webhook: u64,
    failing: u64,
    failures: Vec<Value>,
    /// Requests on which the condition fails, so that nobody knows whether they are meant.
    undecided: u64,
    /// Requests that are not kept as they came.
    redacted: u64,
    redactions: Vec<Value>,
    /// Events that were born when their request came.
    born: Vec<Event>,
    /// Events that their requests never had.
    healed: Vec<Event>,
    /// Those requests, by their events, where others may be the same.
    late: HashMap<Uuid, Late>,
    /// How many of both were to be kept.
    made: usize,
    bytes: usize,
    /// The last request that was looked at, when it was not the last of all.
    after: Option<Uuid>,
}

/// When the oldest request came that is kept, once any was let go of.
fn kept_since(oldest: u64, mut picker: Picker) -> Option<Time> {
    if oldest <= 1 {
        return None;
    }
    picker.take(oldest).ok()?.map(|kept| kept.received)
}

/// What a slice is made with.
struct Work {
    requests: Requests,
    picker: Picker,
    renderers: Renderers,
    condition: Option<Condition>,
    body_max_bytes: u64,
}

impl Api {
    /// Replays a slice of requests.
    pub(in crate::api) async fn replay(
        &self,
        call: &Call,
        values: &Values,
    ) -> Result<Reply, Problem> {
        let said = |name: &str| values.get(name).and_then(Value::as_str);
        let mode = match said("mode") {
            Some("render") => Mode::Render,
            Some("count") => Mode::Count,
            Some("send") => Mode::Send,
            _ => Mode::Emit,
        };
        let receiver = match mode {
            Mode::Send => Some(self.receiver(call, values).await?),
            _ => None,
        };
        if let Some(receiver) = &receiver
            && let Some(due) = self.filled(receiver).await?
        {
            let after = values.get("after").cloned().unwrap_or_default();
            let durable = self.events.spool.status().durable;
            let behind = self.events.feed.behind(durable);
            let mut told = Slice::default().tell((0, 0, behind), &after, true);
            told["durable"] = durable.into();
            told["on_their_way"] = due.into();
            return Ok(Reply::json(StatusCode::OK, told.to_string()));
        }
        let durable = self.events.spool.status().durable;
        let work = self.work(call, values).await?;
        // Of what was kept when it was asked: there is always something that came since.
        let behind = self.events.feed.behind(durable);
        let turn = self.trials.turn().await.ok_or(Problem::Engine)?;
        let (oldest, picker) = (self.events.spool.oldest(), self.events.spool.picker());
        let work = move || {
            let _turn = turn;
            Ok::<_, Problem>((work.run()?, kept_since(oldest, picker)))
        };
        let worked = tokio::task::spawn_blocking(work).await;
        let (mut slice, kept_since) = worked.map_err(|_| Problem::Engine)??;
        let (mut emitted, mut known) = (0, 0);
        if matches!(mode, Mode::Emit | Mode::Count) {
            known = self.leave_out_known(call, &mut slice).await?;
        }
        if mode == Mode::Emit {
            let new = self.keep(call, values, &mut slice, known).await?;
            (emitted, known) = (new, known + slice.made - new);
        }
        if let Some(receiver) = &receiver {
            let tells = tells(values, &slice, 0);
            emitted = self.send_onward(call, tells, &mut slice, receiver).await?;
            known = slice.made - emitted;
        }
        let mut told = slice.tell((emitted, known, behind), &json!(slice.after), false);
        told["durable"] = durable.into();
        let since = said("since").and_then(Time::parse);
        let is_cut = |kept: &Time| since.is_none_or(|since| since < *kept);
        told["kept_since"] = kept_since.filter(is_cut).map(|kept| kept.to_string()).into();
        if mode != Mode::Render {
            return Ok(Reply::json(StatusCode::OK, told.to_string()));
        }
        told["events"] = Value::Null;
        let events = slice.born.iter().chain(&slice.healed);
        let events = events.map(|event| String::from_utf8_lossy(&event.json).into_owned());
        let events: Result<Vec<Box<RawValue>>, _> = events.map(RawValue::from_string).collect();
        let events = serde_json::to_string(&events.unwrap_or_default()).unwrap_or_default();
        let text = told.to_string().replace("\"events\":null", &format!("\"events\":{events}"));
        Ok(Reply::json(StatusCode::OK, text))
    }

    /// The requests of a slice, and what they are rendered with.
    async fn work(&self, call: &Call, values: &Values) -> Result<Work, Problem> {
        let word = |name: &str| values.get(name).and_then(Value::as_str);
        let outcomes = match word("status") {
            Some("ok") => vec![Outcome::Event],
            Some("all") => vec![Outcome::Event, Outcome::Failed],
            _ => vec![Outcome::Failed],
        };
        let condition = word("where").map(|text| Condition::new(text, self.options.render));
        let condition = condition.transpose()?;
        let wanted = self.wanted(call, values, outcomes, Order::Ascending);
        let requests = self.requests(wanted).await?;
        let webhooks = requests.found.iter().map(|request| request.webhook).collect();
        Ok(Work {
            renderers: self.renderers(call, webhooks).await?,
            requests,
            picker: self.events.spool.picker(),
            condition,
            body_max_bytes: self.options.hook_body_max_bytes,
        })
    }

    /// The webhooks of those ids that are there, as renderings need them.
    pub(super) async fn renderers(
        &self,
        call: &Call,
        mut ids: Vec<Uuid>,
    ) -> Result<Renderers, Problem> {
        ids.sort_unstable();
        ids.dedup();
        let records = self.store.records(ids).await?;
        let own = records.into_iter().filter(|record| {
            record.kind.name == WEBHOOK.name && record.workspace == call.workspace()
        });
        let limits = self.options.render;
        let renderer = |record: crate::store::Record| {
            let (name, source) = (record.text("name"), record.text("template"));
            let mut renderer = Renderer::new(record.id, name, source, limits);
            renderer.window_seconds = record.dedup_window_seconds();
            (record.id, renderer)
        };
        Ok(own.map(renderer).collect())
    }

    /// Leaves out what was kept already of events that their requests never had; how many that are.
    async fn leave_out_known(&self, call: &Call, slice: &mut Slice) -> Result<usize, Problem> {
        let ids: Vec<Uuid> = slice.healed.iter().map(|event| event.id).collect();
        let known = self.events.feed.known(whose(call), ids).await?;
        let before = slice.healed.len();
        let spool = &self.events.spool;
        let has_event = |event: &Event| {
            let late = slice.late.get(&event.id);
            known.contains(&event.id) || late.is_some_and(|late| spool.has_event(late))
        };
        slice.healed.retain(|event| !has_event(event));
        Ok(before - slice.healed.len())
    }

    /// Keeps the events of a slice, in front of those of each frame one that tells of them; how many were new.
    async fn keep(
        &self,
        call: &Call,
        values: &Values,
        slice: &mut Slice,
        known: usize,
    ) -> Result<usize, Problem> {
        let (born, healed) = (std::mem::take(&mut slice.born), std::mem::take(&mut slice.healed));
        slice.made = born.len() + healed.len();
        let now = self.clock.now();
        let mut tells = tells(values, slice, known);
        let tell = |tells: &Value, all: usize, new: usize| {
            let mut tells = tells.clone();
            tells["emitted"] = new.into();
            tells["known"] = (tells["known"].as_u64().unwrap_or(0) + (all - new) as u64).into();
            catalogue::operated(&call.scene, &REPLAYED, &tells, now, self.mint(now))
        };
        let place @ (account, workspace) = (call.account(), call.workspace());
        let (spool, mut new) = (&self.events.spool, 0);
        for frame in frames(healed) {
            let all = frame.len();
            let told = |new: usize| tell(&tells, all, new);
            let appended = spool.append_late(place, now, frame, &slice.late, &told).await?;
            if appended > 0 {
                told_once(&mut tells);
            }
            new += appended;
        }
        for frame in frames(born) {
            let all = frame.len();
            let events = [&[tell(&tells, all, all)], &frame[..]].concat();
            spool.append(Frame::encode(account, workspace, now, &events, None)).await?;
            told_once(&mut tells);
            new += all;
        }
        Ok(new)
    }
}

/// What an event tells of a slice.
fn tells(values: &Values, slice: &Slice, known: usize) -> Value {
    let mut tells = json!({
        "matched": slice.matched,
        "known": known,
        "failing": slice.failing,
        "gone": slice.gone,
    });
    for name in ["webhook_id", "since", "until", "status", "where"] {
        tells[name] = values.get(name).cloned().unwrap_or_default();
    }
    tells
}

/// What was told of a slice is not told again with its next frame, so that counts may be summed.
fn told_once(tells: &mut Value) {
    for name in ["matched", "known", "failing", "gone"] {
        tells[name] = 0.into();
    }
}

impl Work {
    /// Looks at each request, as far as time and room allow.
    fn run(mut self) -> Result<Slice, SpoolError> {
        let end = Instant::now() + SLICE_TIME_MAX;
        let mut slice = Slice { after: self.requests.after, ..Slice::default() };
        for request in std::mem::take(&mut self.requests.found) {
            self.look(&request, &mut slice)?;
            if Instant::now() > end || slice.bytes > SLICE_MAX_BYTES {
                slice.after = Some(request.id);
                break;
            }
        }
        Ok(slice)
    }

    fn look(&mut self, request: &Request, slice: &mut Slice) -> Result<(), SpoolError> {
        let Some(renderer) = self.renderers.get(&request.webhook) else {
            slice.no_webhook += 1;
            return Ok(());
        };
        let kept = self.picker.take(request.sequence)?.filter(|kept| is_of(kept, request));
        let captured = kept.and_then(|kept| Captured::of(&kept, self.body_max_bytes));
        let Some(captured) = captured else {
            slice.gone += 1;
            return Ok(());
        };
        let made = match body(&captured) {
            Ok(body) => {
                let condition = self.condition.as_ref();
                let holds = |condition: &Condition| condition.holds(renderer, &captured, &body);
                match condition.map(holds) {
                    None | Some(Some(true)) => {}
                    Some(Some(false)) => return Ok(()),
                    Some(None) => {
                        slice.undecided += 1;
                        return Ok(());
                    }
                }
                renderer.event(&captured, &body)
            }
            Err(_) if self.condition.is_some() => {
                slice.undecided += 1;
                return Ok(());
            }
            Err(failure) => Err(failure),
        };
        if let (Ok(event), Some(late)) = (&made, captured.late(renderer.window_seconds)) {
            slice.late.insert(event.id, late);
        }
        slice.take(&captured, made);
        Ok(())
    }
}

impl Slice {
    /// What a reply tells.
    fn tell(
        &self,
        (emitted, known, behind): (usize, usize, u64),
        after: &Value,
        waits: bool,
    ) -> Value {
        json!({
            "matched": self.matched,
            "emitted": emitted,
            "known": known,
            "failing": self.failing,
            "gone": self.gone,
            "no_webhook": self.no_webhook,
            "behind": behind,
            "failures": self.failures,
            "undecided": self.undecided,
            "redacted": self.redacted,
            "redactions": self.redactions,
            "after": after,
            "waits": waits,
        })
    }

    /// All events, in the order of their requests as far as they were born alike.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let mut all = std::mem::take(&mut self.born);
        all.append(&mut self.healed);
        self.made = all.len();
        all
    }

    fn take(&mut self, captured: &Captured, made: Result<Event, Failure>) {
        self.matched += 1;
        if let Some(mut redaction) = captured.redaction() {
            self.redacted += 1;
            if self.redactions.len() < REDACTIONS_MAX {
                redaction["id"] = captured.id.to_string().into();
                self.redactions.push(redaction);
            }
        }
        match made {
            Ok(event) => {
                self.bytes += event.json.len();
                let all = if captured.born().is_some() { &mut self.born } else { &mut self.healed };
                all.push(event);
            }
            Err(failure) => {
                self.failing += 1;
                if self.failures.len() < FAILURES_MAX {
                    let mut told = serde_json::to_value(&failure).unwrap_or_default();
                    told["id"] = captured.id.to_string().into();
                    told["webhook_id"] = captured.webhook.to_string().into();
                    self.failures.push(told);
                }
            }
        }
    }
}
