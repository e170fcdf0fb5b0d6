//! How requests to an address look, beside the address: form, bounds of a batch, files with headers and keys, TLS. In:
//! settings by name, as text. Out: one value that a sink is made of; or what is wrong, in words. Never reads a file.

use std::path::PathBuf;
use std::time::Duration;

use super::backoff::Tempo;
use super::load::Ordering;
use super::paper::Paper;
use super::sinks::Bounds;

/// How events become the bodies of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// A JSON array.
    #[default]
    Array,
    /// One event for each request, a JSON object.
    Single,
    /// One JSON object a line.
    Ndjson,
    /// One `CloudEvent` for each request, as JSON.
    CloudEvents,
    /// One for each request, its attributes in headers.
    CloudEventsBinary,
    /// A JSON array of `CloudEvents`.
    CloudEventsBatch,
}

const SHAPES: &[(&str, Shape)] = &[
    ("array", Shape::Array),
    ("single", Shape::Single),
    ("ndjson", Shape::Ndjson),
    ("cloudevents", Shape::CloudEvents),
    ("cloudevents-binary", Shape::CloudEventsBinary),
    ("cloudevents-batch", Shape::CloudEventsBatch),
];

impl Shape {
    fn read(text: &str) -> Result<Self, String> {
        let found = SHAPES.iter().find(|(name, _)| *name == text);
        found.map(|(_, shape)| *shape).ok_or_else(|| {
            let names: Vec<_> = SHAPES.iter().map(|(name, _)| *name).collect();
            format!("form=`{text}` is none of {}", names.join(", "))
        })
    }

    /// Whether a request carries one event only.
    pub(super) fn is_single(self) -> bool {
        matches!(self, Self::Single | Self::CloudEvents | Self::CloudEventsBinary)
    }

    pub(super) fn is_cloudevents(self) -> bool {
        matches!(self, Self::CloudEvents | Self::CloudEventsBinary | Self::CloudEventsBatch)
    }
}

/// What TLS needs beside what the machine trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TlsPapers {
    /// The only authorities that are trusted.
    pub(super) authorities: Option<Paper>,
    /// What proves to a server who calls, and its key.
    pub(super) certificate: Option<Paper>,
    pub(super) key: Option<Paper>,
}

impl TlsPapers {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Most events and bytes that a batch can be told to have.
const BATCH_EVENTS_MAX: usize = 10_000;
const BATCH_BYTES_MAX: usize = 16 << 20;

/// What can be said of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) shape: Option<Shape>,
    pub(super) batch_events: Option<usize>,
    pub(super) batch_bytes: Option<usize>,
    /// `user:password` in its first line.
    pub(super) basic: Option<Paper>,
    /// A header in each line.
    pub(super) headers: Option<Paper>,
    /// One or two secrets of Standard Webhooks.
    pub(super) sign: Option<Paper>,
    pub(super) tls: TlsPapers,
    /// Most entries that a stream keeps, about.
    pub(super) entries_max: Option<usize>,
    /// Where a bucket is.
    pub(super) region: Option<String>,
    /// How long events gather for an object.
    pub(super) gather_seconds: Option<usize>,
    /// A table that is not there is made.
    pub(super) creates_table: bool,
    /// When a file ends and another one begins.
    pub(super) rotation: Rotation,
    pub(super) manner: Manner,
}

/// How a lane goes about it; what is not said is as its tempo has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// Most requests on their way at once.
    concurrency: Option<usize>,
    ordering: Option<Ordering>,
    linger: Option<Duration>,
    /// What a destination has not taken after so long, while it takes nothing, is parked.
    window: Option<Duration>,
    /// Bound of the first wait after a failure, and of all.
    first: Option<Duration>,
    most: Option<Duration>,
}

impl Manner {
    /// Most requests on their way at once.
    pub(super) fn concurrency(self) -> usize {
        self.concurrency.unwrap_or(1)
    }

    pub(super) fn ordering(self) -> Ordering {
        self.ordering.unwrap_or_default()
    }

    /// The tempo of its lane.
    pub(super) fn tempo(self, tempo: Tempo) -> Tempo {
        Tempo {
            linger: self.linger.unwrap_or(tempo.linger),
            window: self.window.unwrap_or(tempo.window),
            first: self.first.unwrap_or(tempo.first),
            most: self.most.unwrap_or(tempo.most),
            ..tempo
        }
    }

    /// Whether it fits what is sent to: else the setting that does not, and why.
    pub(super) fn check(self, peer: Option<Peer>) -> Result<(), (&'static str, String)> {
        if self.concurrency() > 1 && peer != Some(Peer::Http) {
            let why = "above 1 is for http and https alone: others take events one batch after \
                       the other";
            return Err(("concurrency", why.into()));
        }
        let Tempo { first, most, .. } = self.tempo(Tempo::default());
        if first > most {
            let (first, most) = (first.as_millis(), most.as_millis());
            let why = format!("is {first}, and more than retry_most_ms, which is {most}");
            return Err(("retry_first_ms", why));
        }
        Ok(())
    }
}

/// When a file ends and another one begins; never, unless something is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rotation {
    /// Before it would be longer.
    pub(super) bytes: Option<u64>,
    /// Once it is older.
    pub(super) seconds: Option<u64>,
    /// How many that ended are kept; all, if nothing is said.
    pub(super) keep: Option<usize>,
}

/// What speaks at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Http,
    Prefect,
    Nats,
    Redis,
    Kafka,
    Objects,
    Postgres,
}

/// Most requests of one destination on their way at once.
const CONCURRENCY_MAX: u64 = 32;
/// Longest that events wait for others, that a destination is tried, and between two tries.
const LINGER_MAX_MS: u64 = 60_000;
const RETRY_MAX_SECONDS: u64 = 90 * 86_400;
const PAUSE_MAX_MS: u64 = 3_600_000;

/// Most entries that a stream can be told to keep.
const ENTRIES_MAX: usize = 1 << 40;

/// Longest that events gather.
const GATHER_SECONDS_MAX: usize = 3600;
/// Largest and oldest file, and most ended ones, that can be told.
const ROTATE_BYTES_MAX: usize = 1 << 40;
const ROTATE_SECONDS_MAX: usize = 366 * 86_400;
const ROTATE_KEEP_MAX: usize = 100_000;

/// The names of those that files have.
pub(super) const FILE_NAMES: &str = "rotate_bytes, rotate_seconds, rotate_keep";
/// The names of those that addresses have.
pub(super) const NAMES: &str = "form, batch_events, batch_bytes, basic_file, headers_file, sign_file, tls_ca, \
                                tls_certificate, tls_key, maxlen, create_table, region, \
                                gather_seconds, concurrency, ordering, linger_ms, retry_seconds, \
                                retry_first_ms, retry_most_ms";

/// From this length on a name that is nearly a setting's is a slip of the pen.
const SLIP_MIN_BYTES: usize = 9;
const SLIP_MAX_EDITS: usize = 2;

/// The setting among `others` and [`NAMES`] that a name was meant to be. Short names and plain words are an address's
/// own.
pub(super) fn meant(name: &str, others: &'static str) -> Option<&'static str> {
    let plain = name.to_ascii_lowercase().replace('-', "_");
    let all = NAMES.split(", ").chain(others.split(", "));
    all.filter(|known| known.contains('_')).find(|known| {
        let is_long = known.len() >= SLIP_MIN_BYTES;
        plain == *known || (is_long && strsim::osa_distance(&plain, known) <= SLIP_MAX_EDITS)
    })
}

impl Manner {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = |least: u64, most: u64| match value.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(format!("{name}=`{value}` is no number from {least} to {most}")),
        };
        let millis = |least, most| number(least, most).map(Duration::from_millis).map(Some);
        match name {
            "concurrency" => self.concurrency = Some(number(1, CONCURRENCY_MAX)? as usize),
            "linger_ms" => self.linger = millis(0, LINGER_MAX_MS)?,
            "retry_first_ms" => self.first = millis(1, PAUSE_MAX_MS)?,
            "retry_most_ms" => self.most = millis(1, PAUSE_MAX_MS)?,
            "retry_seconds" => {
                self.window = Some(Duration::from_secs(number(1, RETRY_MAX_SECONDS)?));
            }
            _ => {
                self.ordering = Some(match value {
                    "resource" => Ordering::Resource,
                    "none" => Ordering::Free,
                    _ => {
                        return Err(format!("ordering=`{value}` is neither `resource` nor `none`"));
                    }
                });
            }
        }
        Ok(())
    }
}

impl Options {
    /// Takes a setting; `false`: it is none of these.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let path = || match value {
            "" => Err(format!("{name} needs a path")),
            path => Ok(Some(Paper::File(PathBuf::from(path)))),
        };
        let number = |most: usize| match value.parse() {
            Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(format!("{name}=`{value}` is no number from 1 to {most}")),
        };
        match name {
            "concurrency" | "ordering" | "linger_ms" | "retry_seconds" | "retry_first_ms"
            | "retry_most_ms" => self.manner.set(name, value)?,
            "form" => self.shape = Some(Shape::read(value)?),
            "batch_events" => self.batch_events = number(BATCH_EVENTS_MAX)?,
            "batch_bytes" => self.batch_bytes = number(BATCH_BYTES_MAX)?,
            "basic_file" => self.basic = path()?,
            "headers_file" => self.headers = path()?,
            "sign_file" => self.sign = path()?,
            "maxlen" => self.entries_max = number(ENTRIES_MAX)?,
            "gather_seconds" => self.gather_seconds = number(GATHER_SECONDS_MAX)?,
            "region" => {
                let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '-';
                if value.is_empty() || !value.chars().all(is_fit) {
                    return Err(format!("region=`{value}` is none, such as us-east-1"));
                }
                self.region = Some(value.to_owned());
            }
            "create_table" => {
                let why = || format!("create_table=`{value}` is neither `true` nor `false`");
                self.creates_table = value.parse().map_err(|_| why())?;
            }
            "rotate_bytes" => {
                self.rotation.bytes = number(ROTATE_BYTES_MAX)?.map(|bytes| bytes as u64);
            }
            "rotate_seconds" => {
                self.rotation.seconds = number(ROTATE_SECONDS_MAX)?.map(|seconds| seconds as u64);
            }
            "rotate_keep" => self.rotation.keep = number(ROTATE_KEEP_MAX)?,
            "tls_ca" => self.tls.authorities = path()?,
            "tls_certificate" => self.tls.certificate = path()?,
            "tls_key" => self.tls.key = path()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a paper that a record has in the field of that name.
    pub(super) fn give(&mut self, field: &'static str, text: &str) {
        let place = match field {
            "basic" => &mut self.basic,
            "sign_secrets" => &mut self.sign,
            "tls_ca" => &mut self.tls.authorities,
            "tls_certificate" => &mut self.tls.certificate,
            "tls_key" => &mut self.tls.key,
            _ => return,
        };
        *place = Some(Paper::given(field, text));
    }

    /// Whether they go together, for an address: else the field of a record that does not, and why.
    pub(super) fn check(&self, peer: Peer, is_tls: bool) -> Result<(), (&'static str, String)> {
        let shape = self.shape.unwrap_or_default();
        let events = self.batch_events.filter(|events| *events > 1);
        let is_http = matches!(peer, Peer::Http | Peer::Prefect);
        let signs = self.sign.is_some();
        let (field, why) = if peer != Peer::Http && (self.shape.is_some() || signs) {
            let why = "form and sign_file are only for http and https: others take one form, and read no signature";
            (if signs { "sign_secrets" } else { "form" }, why)
        } else if !is_http && self.headers.is_some() {
            ("headers", "headers_file is only for http and https")
        } else if peer != Peer::Redis && self.entries_max.is_some() {
            ("to", "maxlen is only for a Redis stream")
        } else if peer != Peer::Objects && (self.region.is_some() || self.gather_seconds.is_some())
        {
            ("to", "region and gather_seconds are only for s3+http and s3+https")
        } else if peer != Peer::Postgres && self.creates_table {
            ("to", "create_table is only for PostgreSQL")
        } else if self.rotation != Rotation::default() {
            ("to", "rotate_bytes, rotate_seconds and rotate_keep are only for file:")
        } else if shape.is_single() && events.is_some() {
            (
                "batch_events",
                "batch_events is of no use beside a form with one event for each request",
            )
        } else if self.tls.certificate.is_some() != self.tls.key.is_some() {
            let lone = if self.tls.key.is_some() { "tls_key" } else { "tls_certificate" };
            (lone, "tls_certificate and tls_key go together")
        } else if !is_tls && !self.tls.is_empty() {
            let one = if self.tls.authorities.is_some() { "tls_ca" } else { "tls_certificate" };
            let why = "tls_ca, tls_certificate and tls_key are of use only where TLS is: https, \
                       nats+tls, s3+https, rediss, kafka+tls, postgres+tls";
            (one, why)
        } else {
            return Ok(());
        };
        Err((field, why.into()))
    }

    /// Whether they go together, for a file; `false`: for standard output.
    pub(super) fn check_file(&self, is_file: bool) -> Result<(), String> {
        let Rotation { bytes, seconds, keep } = self.rotation;
        let own = Self { rotation: self.rotation, ..Self::default() };
        if *self != own || !is_file && *self != Self::default() {
            return Err(format!("is no address, which these settings are for: {NAMES}"));
        }
        if keep.is_some() && bytes.is_none() && seconds.is_none() {
            return Err("rotate_keep is of use only beside rotate_bytes or rotate_seconds".into());
        }
        Ok(())
    }

    /// What one attempt carries, if nothing else was said.
    pub(super) fn bounds(&self, own: Bounds) -> Bounds {
        let events = self.batch_events.unwrap_or(own.events);
        let events = if self.shape.unwrap_or_default().is_single() { 1 } else { events };
        let bytes = self.batch_bytes.unwrap_or(own.bytes);
        let (frames, frame_bytes) = (own.frames.max(events), own.frame_bytes.max(bytes));
        Bounds { frames, frame_bytes, events, bytes }
    }

    /// Whether any of them names a file of this machine.
    pub(super) fn names_file(&self) -> bool {
        let TlsPapers { authorities, certificate, key } = &self.tls;
        let all = [&self.basic, &self.headers, &self.sign, authorities, certificate, key];
        all.into_iter().flatten().any(Paper::is_file)
    }
}
