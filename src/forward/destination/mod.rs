//! Where to: the text of `--forward-to`. In: text, and settings from elsewhere. Out: a target, its pace and its name.
//! The name is the lane's identity: the text without settings, secrets as stars, told apart by a digest. Never I/O.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use ipnet::IpNet;

use super::ForwardError;
use super::headers::read_headers;
use super::options::{self, Options, Peer};
use super::rules::{read_condition, read_reshaping};
pub(super) use super::target::Target;
use super::target::read_target;
use crate::catalogue::{is_id, mask};
use crate::clock::Time;
use crate::event::Event;
use crate::fetch::{Detour, Egress};
use crate::filter::{Filter, Seen};
use crate::id::{Secret, Uuid};
use crate::limit::{PaceTexts, Pacing};
use crate::render::{Condition, Reshaping};
use crate::spool::{Kept, OnFull, Start, track_of};

/// Longest text of a destination: it is a label, and stands in the cursor's file.
const TEXT_MAX_BYTES: usize = 2048;

/// Settings a text may carry behind `?`.
const SETTINGS: &str = "rate, burst, request_rate, byte_rate, on_full, bearer_file, confirm";

/// What the readers of destinations that the operator gave a name are called before it.
const NAMED: &str = "lane/";
/// Longest such name.
const NAME_MAX_BYTES: usize = 64;

/// Where a destination begins that has no place yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Begin {
    /// At the oldest that is kept.
    #[default]
    Oldest,
    /// With what comes.
    Now,
    /// At an event.
    At(Uuid),
}

/// Whose a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The operator's: it gets everything.
    Operator,
    /// A record's: it gets the events of its workspace.
    Workspace { account: Uuid, workspace: Uuid, record: Uuid },
}

/// One destination, as its operator or a record describes it.
#[derive(Clone, Debug)]
pub struct Destination {
    /// As operators and metrics see it; without secrets.
    pub(super) name: String,
    pub(super) owner: Owner,
    /// What it is called without a name of its own, once its operator gave it one.
    pub(super) address: Option<String>,
    /// Where it begins, if it has no place yet: as that was said, and the frame.
    pub(super) begin: Begin,
    pub(super) start: Start,
    /// It keeps its place, and takes nothing for now.
    pub(super) is_held: bool,
    pub(super) target: Target,
    pub(super) pacing: Pacing,
    pub(super) on_full: OnFull,
    pub(super) bearer_file: Option<PathBuf>,
    /// It is asked whether it keeps what it has acknowledged, before the cursor moves.
    pub(super) confirms: bool,
    /// Where it may connect to.
    pub(super) egress: Egress,
    /// How its requests look.
    pub(super) options: Options,
    /// What every request says beside what it must.
    pub(super) headers: HeaderMap,
    /// What authorizes requests, when no file does.
    pub(super) bearer: Option<Secret>,
    /// Only events that it matches; without one, all.
    pub(super) filter: Option<Filter>,
    /// Of these only those for which it holds.
    pub(super) condition: Option<Arc<Condition>>,
    /// What it gets instead of an event.
    pub(super) reshaping: Option<Arc<Reshaping>>,
}

impl Destination {
    /// Reads the whole text of `--forward-to`: `stdout`, `file:PATH`, `http(s)://…` or
    /// `prefect+http(s)://host:port/api`, with settings behind `?`: `rate=100/s`, `burst=500`,
    /// `request_rate=10/s`, `byte_rate=1000000/s`,
    /// `on_full=hold|drop-oldest`, `bearer_file=PATH`, and for a Prefect server `confirm=stored|accepted`: whether an
    /// event is delivered once the server has stored it, the default, or once it has acknowledged it. For addresses
    /// also what [`options::NAMES`] names. Other parts of an address's query stay its own.
    ///
    /// # Errors
    /// [`ForwardError::Destination`], with what to write instead.
    pub fn parse(text: &str) -> Result<Self, ForwardError> {
        let text = text.trim();
        let refuse = |why: String| ForwardError::Destination { text: mask(text), why };
        if text.len() > TEXT_MAX_BYTES || text.chars().any(char::is_control) {
            let why = format!("must be one line of at most {TEXT_MAX_BYTES} bytes");
            return Err(refuse(why));
        }
        let (plain, settings) = Settings::take(text).map_err(&refuse)?;
        let target = read_target(&plain).map_err(&refuse)?;
        let pacing = settings.pacing().map_err(&refuse)?;
        let on_full = settings.on_full.unwrap_or(OnFull::Hold);
        let is_prefect = matches!(target, Target::Prefect { .. } | Target::PrefectSocket { .. });
        let destination = Self {
            name: name(&plain),
            owner: Owner::Operator,
            address: None,
            begin: Begin::default(),
            start: Start::Oldest,
            is_held: false,
            target,
            pacing,
            on_full,
            bearer_file: settings.bearer_file,
            confirms: settings.confirms.unwrap_or(is_prefect),
            egress: Egress::Free,
            options: settings.options,
            headers: HeaderMap::new(),
            bearer: None,
            filter: None,
            condition: None,
            reshaping: None,
        };
        destination.checked()
    }

    /// Sets bounds of the pace; what is `None` stays as the text says.
    #[must_use]
    pub fn with_pacing(self, pacing: Pacing) -> Self {
        let own = self.pacing;
        let pacing = Pacing {
            events: pacing.events.or(own.events),
            requests: pacing.requests.or(own.requests),
            bytes: pacing.bytes.or(own.bytes),
        };
        Self { pacing, ..self }
    }

    /// Sets which events it gets, by an expression, and a template of what it gets instead of one.
    ///
    /// # Errors
    /// [`ForwardError::Destination`]: one of them does not compile, or the destination takes only events.
    pub fn with_rules(
        self,
        condition: Option<&str>,
        reshaping: Option<&str>,
    ) -> Result<Self, ForwardError> {
        let told =
            |name: &'static str| move |why| format!("has a rule that is none: {name}: {why}");
        let condition = condition.map(read_condition).transpose().map_err(told("where"));
        let reshaping = reshaping.map(|text| read_reshaping(text, Some(&self.target))).transpose();
        match (condition, reshaping.map_err(told("body"))) {
            (Ok(condition), Ok(reshaping)) => Ok(Self { condition, reshaping, ..self }),
            (Err(why), _) | (_, Err(why)) => Err(self.refuse(why)),
        }
    }

    /// Sets what happens when the spool is full of what this one has not taken.
    #[must_use]
    pub fn with_on_full(self, on_full: OnFull) -> Self {
        Self { on_full, ..self }
    }

    /// Gives it a name of its own, by which its place is known from then on, whatever its address.
    ///
    /// # Errors
    /// [`ForwardError::Destination`]: it is none.
    pub fn with_name(self, name: &str) -> Result<Self, ForwardError> {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.chars().all(is_fit) {
            let why =
                format!("has a name that is none: 1 to {NAME_MAX_BYTES} of A-Z a-z 0-9 . _ -");
            return Err(self.refuse(why));
        }
        Ok(Self { name: name.to_owned(), address: Some(self.name), ..self })
    }

    /// Sets where it begins, if it has no place yet: `oldest`, `now`, or the id of an event.
    ///
    /// # Errors
    /// [`ForwardError::Destination`]: it is none of these.
    pub fn with_start(self, start: &str) -> Result<Self, ForwardError> {
        let begin = match start {
            "oldest" => Begin::Oldest,
            "now" => Begin::Now,
            _ => Begin::At(is_id(start).ok_or_else(|| {
                self.refuse(format!("has start=`{start}`: it is oldest, now, or an event's id"))
            })?),
        };
        Ok(Self { begin, ..self })
    }

    /// Sets whether it keeps its place, and takes nothing for now.
    #[must_use]
    pub fn with_hold(self, is_held: bool) -> Self {
        Self { is_held, ..self }
    }

    /// Sets which events it gets, by a filter as questions of events have it.
    ///
    /// # Errors
    /// [`ForwardError::Destination`]: it is none, or asks what a single event does not answer.
    pub fn with_filter(self, asked: &serde_json::Value) -> Result<Self, ForwardError> {
        // A filter without a beginning has none: the moment is of no matter.
        match Filter::of_events(asked, Time::default()) {
            Ok(filter) => Ok(Self { filter, ..self }),
            Err(why) => Err(self.refuse(format!("has a filter that is none: {why}"))),
        }
    }

    /// Sets what every request says beside what it must.
    ///
    /// # Errors
    /// [`ForwardError::Destination`]: one is no header, or the gateway's own; or it takes no requests with headers.
    pub fn with_headers(self, given: &serde_json::Value) -> Result<Self, ForwardError> {
        match read_headers(given) {
            Ok(headers) if headers.is_empty() || self.target.speaks_http() => {
                Ok(Self { headers, ..self })
            }
            Ok(_) => Err(self.refuse("has headers, which are only for http and https".into())),
            Err(why) => Err(self.refuse(format!("has headers that are none: {why}"))),
        }
    }

    /// The same as it was before it had a name of its own.
    pub(super) fn former(&self) -> Option<Self> {
        let name = self.address.clone()?;
        Some(Self { name, address: None, ..self.clone() })
    }

    /// Names the file whose first line authorizes requests.
    #[must_use]
    pub fn with_bearer_file(self, path: PathBuf) -> Self {
        Self { bearer_file: Some(path), ..self }
    }

    /// Sets some of the settings that only addresses have, by their names.
    ///
    /// # Errors
    /// [`ForwardError::Destination`]: there is none of that name, or they do not fit.
    pub fn with_all<'a>(
        mut self,
        settings: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ForwardError> {
        for (name, value) in settings {
            match self.options.set(name, value) {
                Ok(true) => {}
                Ok(false) => return Err(self.refuse(format!("has no setting `{name}`"))),
                Err(why) => return Err(self.refuse(why)),
            }
        }
        self.checked()
    }

    /// Whether its settings go together.
    fn checked(self) -> Result<Self, ForwardError> {
        let peer = self.target.peer().map(|(peer, _)| peer);
        if let Err((name, why)) = self.options.manner.check(peer) {
            return Err(self.refuse(format!("cannot have {name}: it {why}")));
        }
        let checked = match self.target.peer() {
            Some((peer, is_tls)) => self.options.check(peer, is_tls).map_err(|(_, why)| why),
            None => self.options.check_file(matches!(self.target, Target::File(_))),
        };
        let twice = self.bearer_file.is_some() && self.options.basic.is_some();
        match checked {
            Ok(()) if twice => {
                Err(self.refuse("has bearer_file and basic_file: one is enough".into()))
            }
            Ok(()) => Ok(self),
            Err(why) => Err(self.refuse(why)),
        }
    }

    fn refuse(&self, why: String) -> ForwardError {
        ForwardError::Destination { text: self.name.clone(), why }
    }

    /// Binds it to the network rules, because others than the operator named it: it reaches public addresses and
    /// `allowed` networks, checked at each connection, and nothing of this machine.
    ///
    /// # Errors
    /// [`ForwardError::Destination`]: standard output and files are the operator's.
    pub fn bound_to(self, allowed: Arc<[IpNet]>) -> Result<Self, ForwardError> {
        let is_local = self.target.peer().is_none();
        if is_local || self.bearer_file.is_some() || self.options.names_file() {
            let why = "is for the operator alone: it uses this machine's own files";
            return Err(self.refuse(why.into()));
        }
        Ok(Self { egress: Egress::Bound(allowed), ..self })
    }

    /// What speaks HTTP is led through a proxy, where there is one.
    pub(super) fn led(self, detour: Option<&Arc<Detour>>) -> Self {
        match self.target.peer() {
            Some((Peer::Http | Peer::Prefect | Peer::Objects, _)) => {
                Self { egress: self.egress.through(detour), ..self }
            }
            _ => self,
        }
    }

    /// The lane's text without secrets, or the record's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands for the lane where its text cannot: the record's id, or thirty-two hexadecimal digits.
    pub(super) fn key(&self) -> String {
        match self.owner {
            Owner::Operator => hex(self.track().as_bytes(), 16),
            Owner::Workspace { record, .. } => record.to_string(),
        }
    }

    /// What stands for it on the shelf.
    #[must_use]
    pub fn id(&self) -> Uuid {
        match self.owner {
            Owner::Operator => Uuid::from_bytes(short(self.track().as_bytes())),
            Owner::Workspace { record, .. } => record,
        }
    }

    /// What its reader is called: as long as that stays the same, it goes on where it was.
    #[must_use]
    pub fn track(&self) -> String {
        match self.owner {
            Owner::Operator if self.address.is_some() => format!("{NAMED}{}", self.name),
            Owner::Operator => self.name.clone(),
            Owner::Workspace { record, .. } => track_of(record),
        }
    }

    /// Whether it is asked whether it keeps what it has acknowledged.
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.confirms
    }

    /// The filter that matches what it gets, and the expression that holds for it.
    #[must_use]
    pub fn choice(&self) -> (Option<&Filter>, Option<&Arc<Condition>>) {
        (self.filter.as_ref(), self.condition.as_ref())
    }

    /// Whether it may get an event of its workspace, as far as that is known at a look.
    pub(super) fn may_want(&self, kept: &Kept, seen: &Seen<'_>) -> bool {
        let Some(filter) = &self.filter else { return true };
        filter.admits(kept.account, kept.workspace) && filter.matches(seen)
    }

    /// Whether it may get an event of its workspace with that name, if the name is known.
    pub(super) fn may_want_name(&self, name: Option<&str>) -> bool {
        let (Some(filter), Some(name)) = (&self.filter, name) else { return true };
        filter.admits_name(name)
    }

    /// Whether an event is one of those it gets.
    pub(super) fn wants(&self, kept: &Kept, event: &Event) -> bool {
        if let Owner::Workspace { account, workspace, .. } = self.owner
            && (kept.account, kept.workspace) != (account, Some(workspace))
        {
            return false;
        }
        self.filter.is_none()
            || Seen::read(&event.json).is_some_and(|seen| self.may_want(kept, &seen))
    }
}

/// What stands behind `?` and is ours.
#[derive(Default)]
struct Settings {
    rate: Option<String>,
    burst: Option<NonZeroU32>,
    request_rate: Option<String>,
    byte_rate: Option<String>,
    on_full: Option<OnFull>,
    bearer_file: Option<PathBuf>,
    confirms: Option<bool>,
    options: Options,
}

impl Settings {
    /// Takes the settings out of a text; the rest is the lane's own.
    fn take(text: &str) -> Result<(String, Self), String> {
        let mut settings = Self::default();
        let Some((plain, query)) = text.split_once('?') else {
            return Ok((text.to_owned(), settings));
        };
        let mut own = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "rate" => settings.rate = Some(value.to_owned()),
                "burst" => {
                    let burst = value.parse();
                    let why = || format!("burst=`{value}` is no number of events above 0");
                    settings.burst = Some(burst.map_err(|_| why())?);
                }
                "request_rate" => settings.request_rate = Some(value.to_owned()),
                "byte_rate" => settings.byte_rate = Some(value.to_owned()),
                "on_full" => settings.on_full = Some(read_on_full(value)?),
                "bearer_file" => settings.bearer_file = Some(PathBuf::from(value)),
                "confirm" if plain.starts_with("prefect+") => {
                    settings.confirms = Some(read_confirm(value)?);
                }
                _ if plain.contains("://") => {
                    if !settings.options.set(name, value)? {
                        if let Some(meant) = options::meant(name, SETTINGS) {
                            return Err(format!("has no setting `{name}`; there is `{meant}`"));
                        }
                        own.push(pair);
                    }
                }
                _ if plain.starts_with("file:") && options::FILE_NAMES.contains(name) => {
                    settings.options.set(name, value)?;
                }
                _ => {
                    let all = format!("{SETTINGS}, and for a file {}", options::FILE_NAMES);
                    return Err(format!("unknown setting `{name}`; there are {all}"));
                }
            }
        }
        let query = if own.is_empty() { String::new() } else { format!("?{}", own.join("&")) };
        Ok((format!("{plain}{query}"), settings))
    }

    fn pacing(&self) -> Result<Pacing, String> {
        let texts = PaceTexts {
            rate: self.rate.as_deref(),
            burst: self.burst,
            request_rate: self.request_rate.as_deref(),
            byte_rate: self.byte_rate.as_deref(),
        };
        Pacing::read(texts).map_err(|flaws| {
            let each = flaws.iter().map(|(name, why)| format!("{name}: {why}"));
            each.collect::<Vec<_>>().join("; ")
        })
    }
}

fn read_on_full(text: &str) -> Result<OnFull, String> {
    match text {
        "hold" => Ok(OnFull::Hold),
        "drop-oldest" => Ok(OnFull::DropOldest),
        _ => Err(format!("on_full=`{text}` is neither `hold` nor `drop-oldest`")),
    }
}

fn read_confirm(text: &str) -> Result<bool, String> {
    match text {
        "stored" => Ok(true),
        "accepted" => Ok(false),
        _ => Err(format!("confirm=`{text}` is neither `stored` nor `accepted`")),
    }
}

/// The text as operators may see it; two texts that differ only in what is hidden differ in a digest.
fn name(text: &str) -> String {
    let masked = mask(text);
    if masked == text { masked } else { format!("{masked}#{}", hex(text.as_bytes(), 4)) }
}

/// The first sixteen bytes of a SHA-256.
fn short(text: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest(&SHA256, text).as_ref()[..16]);
    short
}

/// The first `bytes` of a SHA-256 as hexadecimal digits.
fn hex(text: &[u8], bytes: usize) -> String {
    let mut out = String::with_capacity(2 * bytes);
    for byte in digest(&SHA256, text).as_ref().iter().take(bytes) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests;
