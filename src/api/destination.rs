//! Destinations of a workspace. In: what is said of one. Out: the record, its secret where nothing shows it, and its
//! place in the spool: given before the record is kept, so that nothing from there on is missed whatever crashes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::present::plain;
use super::problem::Problem;
use super::question::all;
use super::{Api, Call};
use crate::catalogue::{DESTINATION, Fault, Values, is_id};
use crate::clock::Time;
use crate::feed::Question;
use crate::filter::Filter;
use crate::id::Uuid;
use crate::spool::{DISPATCHER, OnFull, Start, track_of};
use crate::store::Record;

/// Most destinations of a workspace.
const DESTINATIONS_MAX: u64 = 10_000;
/// Most frames that are looked through for an event, and the longest time.
const LOOK_MAX_FRAMES: usize = 50_000;
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Most times that the index is asked for it: each time it may take a second to catch up.
const ASKED_MAX: usize = 5;

/// Says which fields of a destination are wrong, and why; of one that is changed with those it had before.
pub type Vet = fn(&Values, Option<&Values>, Time) -> Result<(), Vec<(&'static str, String)>>;

/// Says why the network rules refuse an address, where that is known before anything is sent there.
#[derive(Clone, Debug)]
pub struct Barrier {
    pub judge: fn(&str, &Arc<[IpNet]>) -> Option<String>,
    /// Networks that the operator allows.
    pub allowed: Arc<[IpNet]>,
}

impl Default for Barrier {
    fn default() -> Self {
        Self { judge: |_, _| None, allowed: Arc::default() }
    }
}

/// Whether a character shows nothing, or changes how others are shown.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Refuses a name that commands would take for something else, or that moves a terminal: it is shown to operators, too.
fn vet_name(name: &str) -> Result<(), &'static str> {
    let wrong = [
        (name.contains(is_unseen), "it has characters that cannot be seen"),
        (is_id(name).is_some(), "it looks like an id: commands would take it for one"),
        (name.contains("://"), "it looks like an address: commands would take it for one"),
    ];
    let found = wrong.iter().find(|(is_wrong, _)| *is_wrong);
    found.map_or(Ok(()), |(_, says)| Err(*says))
}

/// Puts the secrets of a destination where nothing shows them, and says when that was.
pub(super) fn complete(record: &mut Record, now: Time) {
    for name in record.conceal() {
        let field = format!("{name}_set");
        // The moment alone tells that another secret is set: it is never the one before, whatever the clock says.
        let before = record.instant(&field).map(|before| before.micros().saturating_add(1));
        let since = before.map_or(now, |before| now.max(Time::from_micros(before)));
        let is_set = record.concealed(name).is_some();
        let since = if is_set { Value::from(since.to_string()) } else { Value::Null };
        record.fields.insert(field, since);
    }
}

/// The secrets that would be used at another server than the one they were set for: what they sign or open there may be
/// meant for the first one.
fn taken_along<'a>(
    before: &'a Record,
    after: &'a Record,
) -> impl Iterator<Item = &'static str> + 'a {
    let server = |record: &Record| {
        let to = record.text("to");
        let begin = to.find("://").map_or(0, |at| at + 3);
        let end = to[begin..].find(['/', '?', '#']).map_or(to.len(), |at| begin + at);
        to[..end].to_ascii_lowercase()
    };
    let moves = server(before) != server(after);
    let is_old = move |name: &&str| {
        let since = format!("{name}_set");
        let is_kept = before.fields.get(&since) == after.fields.get(&since);
        moves && is_kept && after.concealed(name).is_some()
    };
    concealed().filter(is_old)
}

fn concealed() -> impl Iterator<Item = &'static str> {
    DESTINATION.fields.iter().filter(|field| field.is_concealed()).map(|field| field.name)
}

impl Api {
    /// Refuses what makes no destination, and one too many.
    pub(super) async fn vet_destination(
        &self,
        call: &Call,
        before: Option<&Record>,
        after: Option<&Record>,
    ) -> Result<(), Problem> {
        let Some(after) = after else { return Ok(()) };
        let name = after.text("name");
        if before.is_none_or(|before| before.text("name") != name) {
            let fault = |says| Fault::new("value_error", &["body", "name"], says);
            let told = |says| Problem::Invalid(vec![fault(format!("Value error, {says}"))]);
            vet_name(name).map_err(told)?;
        }
        let along = before.into_iter().flat_map(|before| taken_along(before, after));
        let fault = |name| {
            let says = "Value error, it was given for another address: say it again, or null";
            Fault::new("value_error", &["body", name], says)
        };
        let faults: Vec<Fault> = along.map(fault).collect();
        if !faults.is_empty() {
            return Err(Problem::Invalid(faults));
        }
        let mut fields = after.fields.clone();
        for name in concealed() {
            let secret = after.concealed(name).map(|secret| secret.expose().into());
            fields.extend(secret.map(|secret| (name.to_owned(), secret)));
        }
        let known = before.map(|before| &before.fields);
        let vetted = (self.options.vet_destination)(&fields, known, self.clock.now());
        vetted.map_err(|flaws| {
            let fault = |(field, why): (&'static str, String)| {
                Fault::new("value_error", &["body", field], format!("Value error, {why}"))
            };
            Problem::Invalid(flaws.into_iter().map(fault).collect())
        })?;
        if before.is_none() && self.store.count(all(call)).await? >= DESTINATIONS_MAX {
            let says = format!("A workspace has at most {DESTINATIONS_MAX} destinations");
            return Err(Problem::Conflict(says));
        }
        Ok(())
    }

    /// Gives a destination that begins its place in the spool; the name of that, if it was given one.
    pub(super) async fn give_place(
        &self,
        before: Option<&Record>,
        record: &Record,
        values: &Values,
    ) -> Result<Option<String>, Problem> {
        let begins = record.flag("enabled") && !before.is_some_and(|before| before.flag("enabled"));
        if record.kind.name != DESTINATION.name || !(before.is_none() || begins) {
            return Ok(None);
        }
        let said = values.get("start").and_then(Value::as_str).unwrap_or("now");
        let start = self.read_start(record, said).await?;
        if !begins {
            return Ok(None);
        }
        let on_full = match record.text("on_full") {
            "hold" => OnFull::Hold,
            _ => OnFull::DropOldest,
        };
        let name = track_of(record.id);
        self.events.spool.reader_from(&name, on_full, start)?;
        Ok(Some(name))
    }

    /// Takes a place back whose record was not kept.
    pub(super) fn take_place(&self, name: Option<String>) {
        if let Some(name) = name {
            self.events.spool.forget(&name);
        }
    }

    async fn read_start(&self, record: &Record, said: &str) -> Result<Start, Problem> {
        let refuse = |why: &str| {
            let says = format!("Value error, {why}");
            Problem::Invalid(vec![Fault::new("value_error", &["body", "start"], says)])
        };
        match said {
            "now" => return Ok(Start::Now),
            "oldest" => return Ok(Start::Oldest),
            _ => {}
        }
        let id = is_id(said).ok_or_else(|| refuse("it is now, oldest, or the id of an event"))?;
        let found = self.find_event(record, id).await?;
        let gone = || refuse("no event of that id is kept in the workspace");
        found.map(Start::At).ok_or_else(gone)
    }

    /// The frame that holds an event of the record's workspace.
    async fn find_event(&self, record: &Record, id: Uuid) -> Result<Option<u64>, Problem> {
        let asked = json!({ "id": { "id": [id.to_string()] } });
        let filter = Filter::read(&asked, self.clock.now()).map_err(|_| Problem::NotFound)?;
        let since = Time::from_micros(i64::MIN);
        let question = Question {
            account: record.account,
            workspace: record.workspace,
            filter: Filter { since, ..filter },
            limit: 1,
            after: None,
            total: Some(0),
        };
        let mut told = None;
        // An index that is behind is waited for, some seconds in all.
        for _ in 0..ASKED_MAX {
            let page = self.events.feed.page(question.clone()).await;
            let page = page.map_err(|fault| Problem::Feed(fault.to_string()))?;
            told = page.events.into_iter().next();
            if told.is_some() {
                break;
            }
        }
        let told: Value = serde_json::from_slice(&told.unwrap_or_default()).unwrap_or_default();
        let Some(received) = told["received"].as_str().and_then(Time::parse) else {
            return Ok(None);
        };
        let spool = &self.events.spool;
        let looking = timeout(LOOK_MAX, spool.find(id, received, LOOK_MAX_FRAMES));
        looking.await.map_or(Ok(None), |found| found.map_err(Into::into))
    }

    /// Destinations with how each stands.
    pub(super) async fn present_destinations(
        &self,
        records: &[Record],
    ) -> Result<Vec<Value>, Problem> {
        let lying = self.shelf.standings().await?;
        let lying: HashMap<Uuid, u64> =
            lying.iter().map(|has| (has.destination, has.events)).collect();
        let parked = |record: &Record| lying.get(&record.id).copied().unwrap_or(0);
        Ok(records.iter().map(|record| self.destination(record, parked(record))).collect())
    }

    /// A destination with how far it is, and how many events lie parked for it.
    fn destination(&self, record: &Record, parked: u64) -> Value {
        let mut told = plain(record);
        let spool = &self.events.spool;
        // One that has nothing to do is where the dispatcher is.
        let sleeps = || spool.lag(DISPATCHER).filter(|_| record.flag("enabled"));
        let lag = spool.lag(&track_of(record.id)).or_else(sleeps);
        let note = self.notes.of(record.id);
        // One that has nothing to send yet has met nobody, and is refused all the same.
        let Barrier { judge, allowed } = &self.options.barrier;
        let barred = || judge(record.text("to"), allowed).filter(|_| record.flag("enabled"));
        let fault = barred().or(note.fault);
        let dropped = spool.lost_by(&track_of(record.id));
        // One that is off has nothing that waits; what it lost and what lies parked stays known.
        let is_known = || (parked > 0 || dropped > 0).then(Default::default);
        told["status"] = lag.or_else(is_known).map_or(Value::Null, |lag| {
            json!({
                "frames_behind": lag.frames,
                "age_seconds": lag.age.as_secs_f64(),
                "frames_dropped": dropped,
                "parked": parked,
                "fault": fault,
                "pace_share": note.share.unwrap_or(1.0),
                "where_failures": note.condition_faults,
                "where_failure": note.condition_fault,
            })
        });
        told
    }
}
