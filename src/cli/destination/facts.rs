//! What is said of a destination on the command line. In: flags. Out: the fields of a body; what is not said is not
//! among them, an empty text empties what may be empty.

use serde_json::{Map, Value, json};

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::SecretFile;
use crate::cli::case::{Holds, read_input, read_text};
use crate::cli::output::Failure;

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
    /// The same from a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// Events per time, such as 100/s, 600/min or 10/h; `''` for as fast as it goes
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Events at once
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
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
    /// A header of every request, `Name: value`; may be given again, and replaces those there were
    #[arg(long, value_name = "HEADER", value_parser = header)]
    header: Vec<(String, String)>,
    /// File whose first line is sent as `Authorization: Bearer …`, or as the header `Name: value`; `-` is standard
    /// input
    #[arg(long, value_name = "FILE", conflicts_with = "no_bearer")]
    bearer_file: Option<SecretFile>,
    /// Send no secret any more
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

const FORMS: [&str; 6] =
    ["array", "single", "ndjson", "cloudevents", "cloudevents-binary", "cloudevents-batch"];

/// How events go out, and how often what failed.
#[derive(Debug, clap::Args)]
struct Manner {
    /// How requests over HTTP carry events; `array` when that was never said
    #[arg(long, value_name = "FORM", value_parser = FORMS)]
    form: Option<String>,
    /// Most events of one request
    #[arg(long, value_name = "N")]
    batch_events: Option<u32>,
    /// Most bytes of one request, about
    #[arg(long, value_name = "BYTES")]
    batch_bytes: Option<u32>,
    /// How long events wait for others to go with, in milliseconds
    #[arg(long, value_name = "MS")]
    linger_ms: Option<u32>,
    /// Most requests at once, up to 32, for http and https; never two with events of one resource
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// `resource` keeps the order of each resource's events; with `none` nothing waits behind a parked one
    #[arg(long, value_enum, value_name = "WHAT")]
    ordering: Option<Ordering>,
    /// What it does not take for so many seconds, while it takes nothing, is parked
    #[arg(long, value_name = "SECONDS")]
    retry_seconds: Option<u32>,
    /// Bound of the first pause after a failure, in milliseconds
    #[arg(long, value_name = "MS")]
    retry_first_ms: Option<u32>,
    /// Bound of all pauses, in milliseconds
    #[arg(long, value_name = "MS")]
    retry_most_ms: Option<u32>,
}

impl Manner {
    fn fields(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let ordering = self.ordering.map(|ordering| match ordering {
            Ordering::Resource => "resource",
            Ordering::None => "none",
        });
        let numbers = [
            ("batch_events", self.batch_events),
            ("batch_bytes", self.batch_bytes),
            ("linger_ms", self.linger_ms),
            ("concurrency", self.concurrency),
            ("retry_seconds", self.retry_seconds),
            ("retry_first_ms", self.retry_first_ms),
            ("retry_most_ms", self.retry_most_ms),
        ];
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?.into())));
        let form = self.form.as_deref().map(|form| ("form", form.into()));
        numbers.chain(ordering.map(|ordering| ("ordering", ordering.into()))).chain(form)
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Ordering {
    Resource,
    None,
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

fn header(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once(':').filter(|(name, _)| !name.trim().is_empty());
    let (name, value) = pair.ok_or("a header is written `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
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
        let reshaping = match &self.body_file {
            Some(path) => Some(read(path, Holds::Template)?),
            None => self.body.clone(),
        };
        for (name, text) in [("where", self.condition.clone()), ("body", reshaping)] {
            if let Some(text) = text {
                put(name, if text.is_empty() { Value::Null } else { text.into() });
            }
        }
        if let Some(rate) = &self.rate {
            let none = rate.is_empty();
            put("rate", if none { Value::Null } else { rate.as_str().into() });
            if none {
                put("burst", Value::Null);
            }
        }
        for (name, rate) in [("request_rate", &self.request_rate), ("byte_rate", &self.byte_rate)] {
            if let Some(rate) = rate {
                put(name, if rate.is_empty() { Value::Null } else { rate.as_str().into() });
            }
        }
        if let Some(burst) = self.burst {
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
            let headers = self.header.iter();
            let headers: Map<String, Value> =
                headers.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            put("headers", headers.into());
        }
        if let Some(path) = &self.bearer_file {
            let text = read(path, Holds::Key)?;
            put("bearer", text.lines().next().unwrap_or_default().trim().into());
        }
        if self.no_bearer {
            put("bearer", Value::Null);
        }
        for (name, value) in self.papers.fields(read)? {
            put(name, value);
        }
        Ok(body.into())
    }
}
