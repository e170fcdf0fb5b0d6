//! What is said of a destination on the command line. In: flags. Out: the fields of a body; what is not said is not
//! among them, an empty text empties what may be empty.

use std::ffi::OsString;
use std::num::ParseIntError;
use std::path::Path;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser};
use serde_json::{Map, Value, json};

use super::SecretFile;
use crate::cli::case::{Holds, read_input, read_text};
use crate::cli::output::Failure;
use crate::cli::snippet::tell_strangers;
use crate::render::Sight;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Facts {
    /// Only events of this name, or that begin so: `shop.*`; may be given again
    #[arg(long, value_name = "NAME", value_parser = event_name)]
    event: Vec<String>,
    /// Only events that this file's filter matches, the JSON that `events/filter` takes; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "event")]
    filter: Option<SecretFile>,
    /// All events of the workspace
    #[arg(long, conflicts_with_all = ["event", "filter"])]
    all_events: bool,
    /// Of these only events for which this expression holds, such as `event.payload.amount > 100`; one that fails
    /// counts as no match. `''` for all of them
    #[arg(long = "where", value_name = "EXPRESSION")]
    condition: Option<String>,
    /// Template of the JSON that is sent instead of an event, such as `{{ event.payload | tojson }}`; an event of which
    /// it makes no JSON is parked. `''` sends events
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "body_file")]
    body: Option<String>,
    /// The same from a file; `-` is standard input, `''` sends events
    #[arg(long, value_name = "FILE")]
    body_file: Option<OsString>,
    /// Events per time, such as 100/s, 600/min or 10/h; `''` for as fast as it goes
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Events at once; `''` for as many as the rate names
    #[arg(long, value_name = "N")]
    burst: Option<Number>,
    /// Requests per time; `''` for no bound
    #[arg(long, value_name = "RATE")]
    request_rate: Option<String>,
    /// Bytes of events per time, such as 1000000/s; `''` for no bound
    #[arg(long, value_name = "RATE")]
    byte_rate: Option<String>,
    #[command(flatten)]
    manner: Manner,
    /// What becomes of what it has not taken when the spool is full: one workspace's `hold` lets all senders wait
    #[arg(long, value_enum, value_name = "WHAT")]
    on_full: Option<OnFull>,
    /// A header of every request, `Name: value`; may be given again, and replaces those there were; `''` for none
    #[arg(long, value_name = "HEADER", value_parser = header)]
    header: Vec<Header>,
    /// File whose first line is sent as `Authorization: Bearer …`, or as the header `Name: value`; `-` is standard
    /// input, `''` sends no secret any more
    #[arg(long, value_name = "FILE", conflicts_with = "no_bearer")]
    bearer_file: Option<OsString>,
    /// The same as `--bearer-file ''`
    #[arg(long)]
    no_bearer: bool,
    #[command(flatten)]
    papers: Papers,
}

/// What proves who calls, and whom it believes. Files are read here; what stands in them goes to the gateway.
#[derive(Debug, clap::Args)]
struct Papers {
    /// File whose first line is `user:password`, sent as `Authorization: Basic …`; `''` for none any more
    #[arg(long, value_name = "FILE")]
    basic_file: Option<OsString>,
    /// File with one secret (`whsec_…`), or two while one is replaced, each in a line: they sign requests as Standard
    /// Webhooks says; `''` for no signature any more
    #[arg(long, value_name = "FILE")]
    sign_secret_file: Option<OsString>,
    /// PEM file of the only certificate authorities that are trusted; `''` for those of the gateway's machine
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<OsString>,
    /// PEM file of the certificate that is shown to the server; `''` for none any more, and no key
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<OsString>,
    /// PEM file of that certificate's key
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<OsString>,
}

/// How the text of a file becomes a field.
type Take<'a> = &'a dyn Fn(String) -> Value;

impl Papers {
    /// The fields that are said, once their files are read.
    fn fields(
        &self,
        read: impl Fn(&Path, Holds) -> Result<String, Failure>,
    ) -> Result<Vec<(&'static str, Value)>, Failure> {
        let first = |text: String| text.lines().next().unwrap_or_default().trim().into();
        let lines = |text: String| {
            let lines = text.lines().map(str::trim);
            lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
        };
        let all: [(&str, &Option<OsString>, Holds, Take<'_>); 5] = [
            ("basic", &self.basic_file, Holds::Password, &first),
            ("sign_secrets", &self.sign_secret_file, Holds::Key, &lines),
            ("tls_ca", &self.tls_ca, Holds::Certificate, &Value::from),
            ("tls_certificate", &self.tls_certificate, Holds::Certificate, &Value::from),
            ("tls_key", &self.tls_key_file, Holds::Key, &Value::from),
        ];
        let mut fields = Vec::new();
        for (name, path, holds, take) in all {
            let Some(path) = path else { continue };
            let is_none = path.is_empty();
            fields.push((
                name,
                if is_none { Value::Null } else { take(read(Path::new(path), holds)?) },
            ));
            if is_none && name == "tls_certificate" {
                fields.push(("tls_key", Value::Null));
            }
        }
        Ok(fields)
    }
}

/// Which forms and orders there are; the empty word unsets.
const FORMS: [&str; 6] =
    ["array", "single", "ndjson", "cloudevents", "cloudevents-binary", "cloudevents-batch"];
const ORDERINGS: [&str; 2] = ["resource", "none"];

/// How events go out, and how often what failed. An empty text unsets each.
#[derive(Debug, clap::Args)]
struct Manner {
    /// How requests over HTTP carry events; `array` when that was never said, or `''` is
    #[arg(long, value_name = "FORM", value_parser = word_of(&FORMS))]
    form: Option<String>,
    /// Most events of one request; `''` for what is usual there
    #[arg(long, value_name = "N")]
    batch_events: Option<Number>,
    /// Most bytes of one request, about; `''` for what is usual there
    #[arg(long, value_name = "BYTES")]
    batch_bytes: Option<Number>,
    /// How long events wait for others to go with, in milliseconds; `''` for 10
    #[arg(long, value_name = "MS")]
    linger_ms: Option<Number>,
    /// Most requests at once, up to 32, for http and https; never two with events of one resource; `''` for one
    #[arg(long, value_name = "N")]
    concurrency: Option<Number>,
    /// `resource`, or `''`, keeps the order of each resource's events; with `none` nothing waits behind a parked one
    #[arg(long, value_name = "WHAT", value_parser = word_of(&ORDERINGS))]
    ordering: Option<String>,
    /// What it does not take for so many seconds, while it takes nothing, is parked; `''` for 259200
    #[arg(long, value_name = "SECONDS")]
    retry_seconds: Option<Number>,
    /// Bound of the first pause after a failure, in milliseconds; `''` for 200
    #[arg(long, value_name = "MS")]
    retry_first_ms: Option<Number>,
    /// Bound of all pauses, in milliseconds; `''` for 30000
    #[arg(long, value_name = "MS")]
    retry_most_ms: Option<Number>,
}

impl Manner {
    fn fields(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let numbers = [
            ("batch_events", self.batch_events),
            ("batch_bytes", self.batch_bytes),
            ("linger_ms", self.linger_ms),
            ("concurrency", self.concurrency),
            ("retry_seconds", self.retry_seconds),
            ("retry_first_ms", self.retry_first_ms),
            ("retry_most_ms", self.retry_most_ms),
        ];
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?.0)));
        let numbers = numbers.map(|(name, number)| (name, number.into()));
        let words = [("ordering", &self.ordering), ("form", &self.form)];
        let words =
            words.into_iter().filter_map(|(name, word)| Some((name, or_none(word.as_ref()?))));
        numbers.chain(words)
    }
}

/// A number, or none where the text is empty.
#[derive(Clone, Copy, Debug)]
struct Number(Option<u32>);

impl FromStr for Number {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|number| Self(Some(number))) }
    }
}

/// One of some words, or none of them; only the words are told where somebody asks which there are.
fn word_of(words: &'static [&'static str]) -> PossibleValuesParser {
    let none = PossibleValue::new("").hide(true);
    PossibleValuesParser::new(words.iter().copied().map(PossibleValue::new).chain([none]))
}

/// What is said as a field: an empty text unsets it.
fn or_none(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnFull {
    DropOldest,
    Hold,
}

fn event_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => {
            Err("names no event: `shop.*` names those that begin so, --all-events takes all"
                .to_owned())
        }
        name => Ok(name.to_owned()),
    }
}

/// A header's name and value, or none.
type Header = Option<(String, String)>;

fn header(text: &str) -> Result<Header, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let pair = text.split_once(':').filter(|(name, _)| !name.trim().is_empty());
    let (name, value) = pair.ok_or("a header is written `Name: value`")?;
    Ok(Some((name.trim().to_owned(), value.trim().to_owned())))
}

impl Facts {
    /// The fields that are said.
    pub(super) fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        if !self.event.is_empty() {
            put("filter", json!({ "event": { "name": self.event } }));
        }
        let read = |path: &Path, holds| {
            let is_input = path.as_os_str() == "-";
            let text = if is_input { read_input(holds) } else { read_text(path, holds) };
            text.map_err(|fault| Failure::NotLoaded(fault.to_string()))
        };
        if let Some(path) = &self.filter {
            let filter: Value = serde_json::from_str(&read(path, Holds::Filter)?)
                .map_err(|fault| Failure::NotLoaded(format!("{}: {fault}", path.display())))?;
            put("filter", filter);
        }
        if self.all_events {
            put("filter", Value::Null);
        }
        tell_strangers(self.condition.as_deref(), Sight::Event);
        let reshaping = match &self.body_file {
            Some(path) if path.is_empty() => Some(String::new()),
            Some(path) => Some(read(Path::new(path), Holds::Template)?),
            None => self.body.clone(),
        };
        // Nothing bursts where nothing paces.
        if self.rate.as_ref().is_some_and(String::is_empty) {
            put("burst", Value::Null);
        }
        for (name, text) in [
            ("where", &self.condition),
            ("body", &reshaping),
            ("rate", &self.rate),
            ("request_rate", &self.request_rate),
            ("byte_rate", &self.byte_rate),
        ] {
            if let Some(text) = text {
                put(name, or_none(text));
            }
        }
        if let Some(Number(burst)) = self.burst {
            put("burst", burst.into());
        }
        for (name, value) in self.manner.fields() {
            put(name, value);
        }
        if let Some(on_full) = self.on_full {
            let word = match on_full {
                OnFull::DropOldest => "drop-oldest",
                OnFull::Hold => "hold",
            };
            put("on_full", word.into());
        }
        if !self.header.is_empty() {
            let headers = self.header.iter().flatten();
            let headers: Map<String, Value> =
                headers.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            put("headers", if headers.is_empty() { Value::Null } else { headers.into() });
        }
        match &self.bearer_file {
            Some(path) if !path.is_empty() => {
                let text = read(Path::new(path), Holds::Key)?;
                put("bearer", text.lines().next().unwrap_or_default().trim().into());
            }
            None if !self.no_bearer => {}
            _ => drop(put("bearer", Value::Null)),
        }
        for (name, value) in self.papers.fields(read)? {
            put(name, value);
        }
        Ok(body.into())
    }
}
