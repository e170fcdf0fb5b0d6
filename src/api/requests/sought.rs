//! What an id may name that somebody asks about, beside a request and an event. In: what a receiver saw of a delivery,
//! or what a sender called its own request. Out: the event behind the first, the events of a batch, the request behind
//! the last. Looks at no more than a bounded part of what is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::choice::{Choice, Wants};
use super::deliveries::Lane;
use super::explain::{Told, tell};
use super::whose;
use crate::api::problem::Problem;
use crate::api::{Api, Call};
use crate::catalogue::RECEIVED;
use crate::clock::Time;
use crate::feed::{Question, Request};
use crate::filter::{Filter, Order, Text};
use crate::id::Uuid;
use crate::shelf::{Attempt, Batch, batch_of};
use crate::spool::{Picker, SpoolError};

/// What stands before the digest of a batch.
const BATCH: &str = "batch-";
/// Most frames that are looked at for the events of one batch: most events of one batch.
const FRAMES_MAX: u64 = 2000;
/// Bytes of frames after which no more are.
const BYTES_MAX: usize = 16 << 20;
/// Longest wait for others who ask for a batch.
const TURN_MAX: Duration = Duration::from_secs(1);
/// Most requests that are looked at for the one that its sender gave an id.
const CALLED_MAX: usize = 20;

/// What an id is, by its looks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// Of a request, or of an event.
    Id(Uuid),
    /// What named one event where it arrived.
    Delivery {
        place: Uuid,
        event: Uuid,
    },
    /// What named several.
    Batch(Batch),
    Other,
}

impl Sought {
    pub(super) fn read(asked: &str) -> Self {
        if let Ok(id) = Uuid::parse_str(asked) {
            return Self::Id(id);
        }
        if let Some(digest) = asked.strip_prefix(BATCH)
            && digest.len() == 32
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            && let Ok(digest) = u128::from_str_radix(digest, 16)
        {
            return Self::Batch(digest.to_be_bytes());
        }
        // HTTP says it with the first, streams and topics with the second.
        let parts = asked.split_once('_').or_else(|| asked.split_once('/'));
        let ids = parts.map(|(place, event)| (Uuid::parse_str(place), Uuid::parse_str(event)));
        match ids {
            Some((Ok(place), Ok(event))) => Self::Delivery { place, event },
            _ => Self::Other,
        }
    }
}

impl Api {
    /// The newest kept request that its sender gave that id. Found by the words of what was received, as any event is.
    pub(super) async fn request_called(
        &self,
        call: &Call,
        asked: &str,
    ) -> Result<Option<Request>, Problem> {
        let Ok(mut filter) = Filter::read(&Value::Null, self.clock.now()) else { return Ok(None) };
        filter.since = Time::from_micros(i64::MIN);
        filter.order = Order::Descending;
        filter.names.name = vec![RECEIVED.to_owned()];
        filter.text = Some(Text::read(&question(asked)));
        let (account, workspace) = whose(call);
        let workspace = Some(workspace);
        let limit = CALLED_MAX;
        let question = Question { account, workspace, filter, limit, after: None, total: Some(0) };
        let page = self.events.feed.page(question).await?;
        let events = page.events.iter().filter_map(|event| serde_json::from_slice(event).ok());
        let mut called = events.filter(|event: &Value| {
            event["payload"]["headers"]["x-request-id"].as_str() == Some(asked)
        });
        let id = called.find_map(|event| Uuid::parse_str(event["id"].as_str()?).ok());
        let Some(id) = id else { return Ok(None) };
        Ok(self.events.feed.request(whose(call), id).await?)
    }

    /// The events of a call's workspace that went in a batch, and the attempts to bring it. One such question at a
    /// time: it reads and parses much.
    pub(super) async fn explain_batch(&self, call: &Call, batch: Batch) -> Result<Value, Problem> {
        let turn = timeout(TURN_MAX, Arc::clone(&self.batches).acquire_owned()).await;
        let busy = Problem::Unavailable { retry_after_seconds: TURN_MAX.as_secs() };
        let Ok(Ok(turn)) = turn else { return Err(busy) };
        let tried = self.shelf.attempts(move |attempt| attempt.batch == Some(batch)).await?.found;
        let lanes = self.lanes(call).await?;
        let lane = tried.iter().find_map(|one| lanes.iter().find(|lane| lane.is_of(one)));
        let lane = lane.ok_or(Problem::NotFound)?;
        let tried: Vec<_> = tried.into_iter().filter(|one| lane.is_of(one)).collect();
        let parts = self.parts_of(call, lane, &tried, turn).await?;
        let (all, is_whole) = self.events_of(call, parts, batch).await?;
        // Of other places nothing is told: there it names nothing.
        if all.is_empty() && !lane.is_of_workspace() {
            return Err(Problem::NotFound);
        }
        let mut rounds: BTreeMap<Time, &Attempt> = BTreeMap::new();
        for one in &tried {
            rounds.entry(one.at).or_insert(one);
        }
        Ok(json!({
            "outcome": "batch",
            "batch": {
                "destination_id": lane.record_id(),
                "destination": lane.name(),
                "events": tried.first().map(|one| one.events),
                "is_whole": is_whole,
                "tried": rounds.into_values().map(super::deliveries::tell_attempt).collect::<Vec<_>>(),
            },
            "events": all,
        }))
    }

    /// What a batch had, as far as it is kept. The turn lasts until that is read, whoever still waits for it.
    async fn parts_of(
        &self,
        call: &Call,
        lane: &Lane<'_>,
        tried: &[Attempt],
        turn: OwnedSemaphorePermit,
    ) -> Result<Vec<Part>, Problem> {
        // Each attempt to bring it left the same parts: those of the last will do.
        let last = tried.last().map(|one| one.at);
        let parts: Vec<_> = tried.iter().filter(|one| Some(one.at) == last).cloned().collect();
        let (picker, now) = (self.events.spool.picker(), self.clock.now());
        let (choice, here) = (lane.choice(now), (call.account(), call.workspace()));
        let work = move || {
            let found = collect(picker, &parts, &choice, here);
            drop(turn);
            found
        };
        let found = tokio::task::spawn_blocking(work).await;
        Ok(found.map_err(|fault| SpoolError::Failed(fault.to_string()))??)
    }

    /// What is told of the events that a batch had; whether it is certain that it was these and no others.
    async fn events_of(
        &self,
        call: &Call,
        parts: Vec<Part>,
        batch: Batch,
    ) -> Result<(Vec<Value>, bool), Problem> {
        let (mut all, mut names) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Lay(id) => {
                    names.push((call.workspace().unwrap_or_default(), id));
                    let sequence = self.sequence(call, id).await?;
                    let event = self.event(call, id).await?;
                    let told = |event| {
                        tell(&Told { event, sequence, place: None, received: None, made: "kept" })
                    };
                    all.extend(event.map(told));
                }
                Part::Kept { name, told } => {
                    names.push(name);
                    all.extend(told);
                }
            }
        }
        Ok((all, batch_of(names.into_iter()) == batch))
    }
}

/// What a batch had.
enum Part {
    /// An event that lay on the shelf.
    Lay(Uuid),
    /// One of a frame: its place and id, and what is told of it; nothing to those of other places.
    Kept { name: (Uuid, Uuid), told: Option<Value> },
}

/// What the parts of a batch have that their destination wants, in their order: of so many frames and bytes.
fn collect(
    mut picker: Picker,
    parts: &[Attempt],
    choice: &Choice,
    here: (Uuid, Option<Uuid>),
) -> Result<Vec<Part>, SpoolError> {
    let (mut found, mut frames, mut bytes) = (Vec::new(), 0, 0);
    for part in parts {
        if let Some(id) = part.event {
            found.push(Part::Lay(id));
            continue;
        }
        for sequence in part.frames.0..=part.frames.1 {
            if frames == FRAMES_MAX || bytes > BYTES_MAX {
                return Ok(found);
            }
            frames += 1;
            let Some(kept) = picker.take(sequence)? else { continue };
            let whose = (kept.account, kept.workspace);
            bytes += kept.capture.as_ref().map_or(0, |capture| capture.body.len());
            for (event, place) in kept.events.iter().zip(0..) {
                bytes += event.json.len();
                if part.places.has(place) && choice.wants(whose, &event.json) == Wants::Yes {
                    let name = (whose.1.unwrap_or(whose.0), event.id);
                    let told = (whose == here).then(|| {
                        let event = serde_json::from_slice(&event.json).unwrap_or_default();
                        let (sequence, place) = (Some(sequence), Some(place));
                        tell(&Told { event, sequence, place, received: None, made: "kept" })
                    });
                    found.push(Part::Kept { name, told });
                }
            }
        }
    }
    Ok(found)
}

/// What names a batch where it arrives.
pub(super) fn batch_id(batch: Batch) -> String {
    format!("{BATCH}{:032x}", u128::from_be_bytes(batch))
}

/// The header of a request with that id, as a question for the words of what was received: they have no escapes.
fn question(id: &str) -> String {
    let wanted = format!("\"x-request-id\":\"{id}\"");
    format!("+\"{}\"", wanted.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_by_its_looks() {
        let (place, event) = (Uuid::from_u128(7), Uuid::from_u128(9));
        assert_eq!(Sought::read(&event.to_string()), Sought::Id(event));
        for between in ["_", "/"] {
            let text = format!("{place}{between}{event}");
            assert_eq!(Sought::read(&text), Sought::Delivery { place, event });
        }
        let batch = Sought::Batch(0xab_u128.to_be_bytes());
        assert_eq!(Sought::read("batch-000000000000000000000000000000ab"), batch);
        for text in ["", "batch-", "batch-+0000000000000000000000000000ab", "a_b", "curl/8"] {
            assert_eq!(Sought::read(text), Sought::Other, "{text}");
        }
    }

    #[test]
    fn a_header_is_asked_for_whatever_is_in_it() {
        for id in ["abc", "a\"b", "a\\b", "a\\\"b", "end\\", "+\"-"] {
            let words = format!("post\0{{\"x-request-id\":\"{id}\"}}");
            assert!(Text::read(&question(id)).matches(&words), "{id}: {}", question(id));
            assert!(!Text::read(&question(id)).matches("{\"x-request-id\":\"other\"}"));
        }
    }
}
