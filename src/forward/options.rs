//! How requests to an address look, beside the address: form, bounds of a batch, files with headers and keys, TLS. In:
//! settings by name, as text. Out: one value that a sink is made of; or what is wrong, in words. Never reads a file.

use std::path::PathBuf;

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

/// Files for TLS, beside what the machine trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// The only authorities that are trusted.
    pub(super) authorities: Option<PathBuf>,
    /// What proves to a server who calls, and its key.
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl TlsFiles {
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
    pub(super) basic_file: Option<PathBuf>,
    /// A header in each line.
    pub(super) headers_file: Option<PathBuf>,
    /// One or two secrets of Standard Webhooks.
    pub(super) sign_file: Option<PathBuf>,
    pub(super) tls: TlsFiles,
}

/// The names of all of them.
pub(super) const NAMES: &str = "form, batch_events, batch_bytes, basic_file, headers_file, sign_file, tls_ca, \
                                tls_certificate, tls_key";

impl Options {
    /// Takes a setting; `false`: it is none of these.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let path = || match value {
            "" => Err(format!("{name} needs a path")),
            path => Ok(Some(PathBuf::from(path))),
        };
        let number = |most: usize| match value.parse() {
            Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(format!("{name}=`{value}` is no number from 1 to {most}")),
        };
        match name {
            "form" => self.shape = Some(Shape::read(value)?),
            "batch_events" => self.batch_events = number(BATCH_EVENTS_MAX)?,
            "batch_bytes" => self.batch_bytes = number(BATCH_BYTES_MAX)?,
            "basic_file" => self.basic_file = path()?,
            "headers_file" => self.headers_file = path()?,
            "sign_file" => self.sign_file = path()?,
            "tls_ca" => self.tls.authorities = path()?,
            "tls_certificate" => self.tls.certificate = path()?,
            "tls_key" => self.tls.key = path()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether they go together, for an address.
    pub(super) fn check(&self, is_prefect: bool, is_https: bool) -> Result<(), String> {
        let shape = self.shape.unwrap_or_default();
        let events = self.batch_events.filter(|events| *events > 1);
        let why = if is_prefect && (self.shape.is_some() || self.sign_file.is_some()) {
            "form and sign_file are not for a Prefect server: it takes one form, and reads no signature"
        } else if shape.is_single() && events.is_some() {
            "batch_events is of no use beside a form with one event for each request"
        } else if self.tls.certificate.is_some() != self.tls.key.is_some() {
            "tls_certificate and tls_key go together"
        } else if !is_https && !self.tls.is_empty() {
            "tls_ca, tls_certificate and tls_key are of use only for an https address"
        } else {
            return Ok(());
        };
        Err(why.into())
    }

    /// Whether any of them names a file of this machine.
    pub(super) fn names_file(&self) -> bool {
        let files = [&self.basic_file, &self.headers_file, &self.sign_file];
        files.iter().any(|file| file.is_some()) || !self.tls.is_empty()
    }
}
