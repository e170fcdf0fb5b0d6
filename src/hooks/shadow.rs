//! Drafts rendered beside what is live. In: requests that were kept, with what their template made of them. Out: what a
//! draft would have made, compared and noted; never an event. On a thread of its own that steps back for everybody and
//! rests most of the time: nobody waits for it, and what does not fit in is let go and counted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use super::failure::FailureKind;
use super::redaction::Shown;
use super::{Options, Submission};
use crate::event::{Draft, Event, Stamp};
use crate::id::Uuid;
use crate::json;
use crate::parse;
use crate::render::{self, Difference, Made, SHOWN_MAX_BYTES, Shadow, Template, Verdict};
use crate::request::help;
use crate::spool::Marks;

/// Most requests that wait, and the largest body of one.
const JOBS_MAX: usize = 16;
const BODY_MAX_BYTES: usize = 1 << 20;
/// How long it rests behind a rendering, in renderings: a tenth of one core is its share.
const RESTS: u32 = 9;
/// How far it steps back for everybody else, from 0 to 19.
const NICE: i32 = 19;
/// A template needs that much stack.
const STACK_BYTES: usize = 16 << 20;
/// Most places at which two events are told to differ, and the longest way to one.
const PLACES_MAX: usize = 20;
const PLACE_MAX_BYTES: usize = 256;

/// A request, and what the live template made of it.
pub(super) struct Job {
    shadow: Arc<Shadow>,
    submission: Submission,
    /// The received event's id, and the one the template's event got.
    ids: (Uuid, Uuid),
    live: Result<Bytes, &'static str>,
}

/// The way to the thread that compares.
#[derive(Debug)]
pub(super) struct Beside {
    json: json::Limits,
    render: render::Limits,
    jobs: OnceLock<Option<SyncSender<Box<Job>>>>,
}

impl Beside {
    pub(super) fn new(options: &Options) -> Self {
        Self { json: options.json, render: options.render, jobs: OnceLock::new() }
    }

    /// What is to be compared with a draft, when the webhook has one that is asked to.
    pub(super) fn job(
        submission: &Submission,
        ids: (Uuid, Uuid),
        live: Result<&Event, &'static str>,
    ) -> Option<Box<Job>> {
        let shadow = submission.endpoint.shadow.as_ref()?;
        if submission.content.decoded.len() > BODY_MAX_BYTES {
            shadow.skip();
            return None;
        }
        let live = live.map(|event| event.json.clone());
        let (shadow, submission) = (Arc::clone(shadow), submission.clone());
        Some(Box::new(Job { shadow, submission, ids, live }))
    }

    /// Hands it over, if there is room.
    pub(super) fn offer(&self, job: Box<Job>) {
        let jobs = self.jobs.get_or_init(|| start(self.json, self.render));
        let Some(jobs) = jobs else { return job.shadow.skip() };
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = jobs.try_send(job) {
            job.shadow.skip();
        }
    }
}

fn start(json: json::Limits, limits: render::Limits) -> Option<SyncSender<Box<Job>>> {
    let (jobs, taken) = sync_channel(JOBS_MAX);
    let thread = thread::Builder::new().name("hookgate-shadow".to_owned()).stack_size(STACK_BYTES);
    match thread.spawn(move || run(&taken, json, limits)) {
        Ok(_) => Some(jobs),
        Err(fault) => {
            tracing::error!(%fault, "no thread for drafts beside what is live");
            None
        }
    }
}

/// Compares until nobody can hand anything over any more.
fn run(jobs: &Receiver<Box<Job>>, json: json::Limits, limits: render::Limits) {
    // Linux takes it for this thread alone; refused, it is no harm.
    let _ = rustix::process::setpriority_process(None, NICE);
    while let Ok(job) = jobs.recv() {
        let began = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| job.compare(json, limits))).is_err() {
            job.shadow.skip();
        }
        thread::sleep(began.elapsed() * RESTS);
    }
}

impl Job {
    fn compare(&self, json: json::Limits, limits: render::Limits) {
        let shown = self.submission.redacted(json).map(|copy| Shown::new(copy, json));
        let draft = self.render(json, limits, shown.as_deref());
        let mut places = match (&self.live, &draft) {
            (Ok(live), Ok(draft)) => places(live, &draft.json),
            _ => Vec::new(),
        };
        let verdict = match (&self.live, &draft) {
            (Ok(_), Ok(_)) if places.is_empty() => Verdict::Identical,
            (Ok(_), Ok(_)) => Verdict::Changed,
            (Ok(_), Err(_)) => Verdict::NewlyFailing,
            (Err(_), Ok(_)) => Verdict::NewlyPassing,
            (Err(_), Err(_)) => Verdict::StillFailing,
        };
        if matches!(verdict, Verdict::Identical | Verdict::StillFailing) {
            return self.shadow.agree(verdict);
        }
        // What is redacted may stand anywhere in an event: what is shown is made of the request as it is kept.
        let (live, draft) = (self.live.clone(), draft.map(|event| event.json));
        let (live, draft) = match &shown {
            None => (live.map(Some), draft.map(Some)),
            Some(shown) => {
                let again = |template| self.render_kept(template, shown);
                let live = live.map(|_| again(self.submission.endpoint.template(limits)));
                (live, draft.map(|_| again(self.shadow.template(limits))))
            }
        };
        if shown.is_some() && !places.is_empty() {
            places = match (&live, &draft) {
                (Ok(Some(live)), Ok(Some(draft))) => self::places(live, draft),
                _ => Vec::new(),
            };
        }
        self.shadow.differ(Difference {
            receipt: self.ids.0,
            received: self.submission.received,
            verdict,
            places,
            live: match live {
                Ok(json) => show(json.as_ref()),
                Err(kind) => Made::Fault(kind.into()),
            },
            draft: match draft {
                Ok(json) => show(json.as_ref()),
                Err(fault) => Made::Fault(fault.into()),
            },
        });
    }

    /// What a template makes of the request as it is kept; nothing when that is nothing, or too little is kept.
    fn render_kept(
        &self,
        template: Result<&Template, &render::Diagnostic>,
        shown: &Shown,
    ) -> Option<Bytes> {
        let Shown { submission, body } = shown;
        if submission.sender.marks.has(Marks::WITHHELD) {
            return None;
        }
        let text = template.ok()?.render(&submission.context(body)).ok()?;
        let stamp = Stamp {
            id: self.ids.1,
            received: submission.received,
            follows: self.ids.0,
            webhook: &submission.endpoint.related,
            payload: &|| help(&submission.method, &submission.headers, body),
        };
        let (event, _) = Draft::read(&text).and_then(|draft| draft.event(&stamp)).ok()?;
        Some(event.json)
    }

    /// The draft's event of the request, or why there is none.
    fn render(
        &self,
        json: json::Limits,
        limits: render::Limits,
        shown: Option<&Shown>,
    ) -> Result<Event, String> {
        let Submission { method, headers, content, endpoint, received, .. } = &self.submission;
        // Words about a fault may quote what is redacted.
        let told = |kind: &str, words: String| match shown {
            Some(_) => kind.to_owned(),
            None => words,
        };
        let body = parse::of_request(method, headers, content.decoded.clone(), json)
            .map_err(|fault| told(FailureKind::Body.name(), format!("body: {fault}")))?;
        let template = self.shadow.template(limits).map_err(render::Diagnostic::sentence)?;
        let seen = self.submission.context(&body);
        let text = template.render(&seen);
        let text = text.map_err(|fault| told(FailureKind::Template.name(), fault.sentence()))?;
        let stamp = Stamp {
            id: self.ids.1,
            received: *received,
            follows: self.ids.0,
            webhook: &endpoint.related,
            payload: &|| match shown {
                Some(shown) => help(method, &shown.submission.headers, &shown.body),
                None => help(method, headers, &body),
            },
        };
        let event = Draft::read(&text).and_then(|draft| draft.event(&stamp));
        event.map(|(event, _)| event).map_err(|fault| told(fault.reject.name(), fault.what))
    }
}

fn show(json: Option<&Bytes>) -> Made {
    let json = json.filter(|json| json.len() <= SHOWN_MAX_BYTES);
    Made::Event(json.map(|json| String::from_utf8_lossy(json).into()))
}

/// Where two events differ; nowhere when they say the same.
fn places(live: &[u8], draft: &[u8]) -> Vec<String> {
    if live == draft {
        return Vec::new();
    }
    let read = |json| serde_json::from_slice::<Value>(json).unwrap_or_default();
    let mut found = Vec::new();
    walk(&read(live), &read(draft), &mut String::new(), &mut found);
    found
}

fn walk(live: &Value, draft: &Value, at: &mut String, found: &mut Vec<String>) {
    if live == draft || found.len() == PLACES_MAX {
        return;
    }
    let length = at.len();
    let mut step = |name: &str, one: &Value, other: &Value, found: &mut Vec<String>| {
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        walk(one, other, at, found);
        at.truncate(length);
    };
    match (live, draft) {
        (Value::Object(one), Value::Object(other)) => {
            for (name, value) in one {
                step(name, value, other.get(name).unwrap_or(&Value::Null), found);
            }
            for (name, value) in other.iter().filter(|(name, _)| !one.contains_key(*name)) {
                step(name, &Value::Null, value, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (place, (one, other)) in one.iter().zip(other).enumerate() {
                step(&place.to_string(), one, other, found);
            }
        }
        _ => found.push(at[..at.floor_char_boundary(PLACE_MAX_BYTES)].to_owned()),
    }
    // A member that is there and null stands for one that is not: still they differ.
    if found.is_empty() {
        found.push(at[..at.floor_char_boundary(PLACE_MAX_BYTES)].to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_their_places() {
        let live = br#"{"a":1,"b":{"c":[1,2],"d/e":"x"},"f":null}"#;
        for (draft, expected) in [
            (r#"{"b":{"c":[1,2],"d/e":"x"},"a":1,"f":null}"#, vec![]),
            (r#"{"a":2,"b":{"c":[1,3],"d/e":"y"},"f":null}"#, vec!["/a", "/b/c/1", "/b/d~1e"]),
            (r#"{"a":1,"b":{"c":[1],"d/e":"x"},"f":null,"g":0}"#, vec!["/b/c", "/g"]),
            (r#"{"a":1,"b":{"c":[1,2],"d/e":"x"}}"#, vec![""]),
        ] {
            assert_eq!(places(live, draft.as_bytes()), expected, "{draft}");
        }
        let long = |c: char| format!("{{{:?}:1}}", c.to_string().repeat(1000));
        assert_eq!(places(long('a').as_bytes(), long('b').as_bytes())[0].len(), PLACE_MAX_BYTES);
        let many = |n: u32| format!("[{}]", vec![n.to_string(); 100].join(","));
        assert_eq!(places(many(1).as_bytes(), many(2).as_bytes()).len(), PLACES_MAX);
    }
}
