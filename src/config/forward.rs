//! `[[forward]]`: where events go. What each field means is the destination's affair: here it is only handed on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RateText;
use crate::api::Operated;
use crate::forward::{Destination, ForwardError};
use crate::limit::Pacing;
use crate::spool;

/// One destination.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// As `--forward-to` takes it, such as `file:events.ndjson` or `https://example.com/events`.
    pub to: String,
    /// Its name, by which its place is known: with one, another address costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `false`: it is as if it did not stand here; what it did not get holds nothing back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// `true`: it keeps its place, and gets nothing for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<bool>,
    /// Where it begins if it has no place yet: `oldest`, the default, `now`, or the id of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Only events for which this expression holds, such as `event.payload.amount > 100`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Template of the JSON that is sent instead of an event, such as `{{ event.payload | tojson }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Events per time, such as `100/s`; as fast as it goes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateText>,
    /// Events at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Requests per time, such as `10/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_rate: Option<RateText>,
    /// Bytes of events per time, such as `1000000/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_rate: Option<RateText>,
    /// When the spool is full of what this one has not taken: let senders wait, or drop its oldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_full: Option<OnFull>,
    /// How requests carry events: `array`, `single`, `ndjson`, `cloudevents`, `cloudevents-binary` or
    /// `cloudevents-batch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// Most events of one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_events: Option<u32>,
    /// Most bytes of one request, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_bytes: Option<u32>,
    /// How long events wait for others to go with, in milliseconds; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linger_ms: Option<u32>,
    /// Most requests at once, for http and https; never two with events of one resource. 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// `resource`, the default: the events of one resource go in order; or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordering: Option<String>,
    /// What the destination does not take for so many seconds, while it takes nothing, is parked; 259200 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_seconds: Option<u32>,
    /// Bound of the first pause after a failure, in milliseconds; 200 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_first_ms: Option<u32>,
    /// Bound of all pauses, in milliseconds; 30000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_most_ms: Option<u32>,
    /// File whose first line is sent as `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_file: Option<PathBuf>,
    /// File whose first line is `user:password`, sent as `Authorization: Basic …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_file: Option<PathBuf>,
    /// File with further headers, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// File with one or two secrets (`whsec_…`, one a line) that sign requests as Standard Webhooks says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_file: Option<PathBuf>,
    /// PEM file of the only certificate authorities that are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// PEM file of the certificate that is shown to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Most entries that a Redis stream keeps, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxlen: Option<u64>,
    /// Make the `PostgreSQL` table if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_table: Option<bool>,
    /// Region of an S3 bucket; `us-east-1` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How long events gather for the next object of an S3 bucket; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gather_seconds: Option<u32>,
    /// A file ends before it would be longer than this, and another one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_bytes: Option<u64>,
    /// A file ends once it is older than this, and another one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_seconds: Option<u64>,
    /// So many files that ended are kept; the oldest are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_keep: Option<u64>,
    /// Only events that this matches, as `events/filter` of the API takes it: `{ event = { prefix = ["shop."] } }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<serde_json::Value>,
    /// Further headers of every request, by their names; secrets go into `headers_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
}

impl Forward {
    /// Whether it is one at all, for now.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled != Some(false)
    }

    /// The same as a destination; what stands in its own fields wins over what its text says.
    ///
    /// # Errors
    /// What is wrong with the text, or with a field.
    pub fn destination(&self) -> Result<Destination, ForwardError> {
        let destination = Destination::parse(&self.to)?;
        let (condition, body) = (self.condition.as_deref(), self.body.as_deref());
        let mut destination = destination.with_rules(condition, body)?;
        let whole = |rate: Option<RateText>, burst| rate.and_then(|rate| rate.with(burst));
        destination = destination.with_pacing(Pacing {
            events: whole(self.rate, self.burst),
            requests: whole(self.request_rate, None),
            bytes: whole(self.byte_rate, None),
        });
        if let Some(on_full) = self.on_full {
            destination = destination.with_on_full(match on_full {
                OnFull::Hold => spool::OnFull::Hold,
                OnFull::DropOldest => spool::OnFull::DropOldest,
            });
        }
        if let Some(file) = &self.bearer_file {
            destination = destination.with_bearer_file(file.clone());
        }
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let long = |number: Option<u64>| number.map(|number| number.to_string());
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let settings = [
            ("form", self.form.clone()),
            ("batch_events", number(self.batch_events)),
            ("batch_bytes", number(self.batch_bytes)),
            ("linger_ms", number(self.linger_ms)),
            ("concurrency", number(self.concurrency)),
            ("ordering", self.ordering.clone()),
            ("retry_seconds", number(self.retry_seconds)),
            ("retry_first_ms", number(self.retry_first_ms)),
            ("retry_most_ms", number(self.retry_most_ms)),
            ("basic_file", path(&self.basic_file)),
            ("headers_file", path(&self.headers_file)),
            ("sign_file", path(&self.sign_file)),
            ("tls_ca", path(&self.tls_ca)),
            ("tls_certificate", path(&self.tls_certificate)),
            ("tls_key", path(&self.tls_key)),
            ("maxlen", long(self.maxlen)),
            ("create_table", self.create_table.map(|creates| creates.to_string())),
            ("region", self.region.clone()),
            ("gather_seconds", number(self.gather_seconds)),
            ("rotate_bytes", long(self.rotate_bytes)),
            ("rotate_seconds", long(self.rotate_seconds)),
            ("rotate_keep", long(self.rotate_keep)),
        ];
        let given = settings.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        self.place(destination.with_all(given)?)
    }

    /// What it gets, what goes with it, and where it is.
    fn place(&self, mut destination: Destination) -> Result<Destination, ForwardError> {
        if let Some(filter) = &self.filter {
            destination = destination.with_filter(filter)?;
        }
        if let Some(headers) = &self.headers {
            destination = destination.with_headers(&serde_json::json!(headers))?;
        }
        if let Some(start) = &self.start {
            destination = destination.with_start(start)?;
        }
        // Last: what is wrong with any of these is told by its address until then.
        let destination = match &self.name {
            Some(name) => destination.with_name(name)?,
            None => destination,
        };
        Ok(destination.with_hold(self.hold == Some(true)))
    }

    /// The same for who asks what became of an event; nothing when it makes no destination, or is none for now.
    pub(super) fn operated(&self) -> Option<Operated> {
        let destination = self.is_enabled().then(|| self.destination().ok()).flatten()?;
        let (filter, condition) = destination.choice();
        Some(Operated {
            id: destination.id(),
            name: destination.name().to_owned(),
            track: destination.track(),
            confirms: destination.confirms(),
            is_held: self.hold == Some(true),
            filter: filter.cloned(),
            condition: condition.cloned(),
        })
    }
}

/// What happens when the spool is full of what one destination has not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// Senders get 503.
    Hold,
    /// The oldest are dropped for this destination, counted and evented.
    DropOldest,
}
