//! What can be sent to. In: the text of a destination without its settings. Out: a target, its addresses read; or what
//! to write instead. Never I/O.

use std::path::{Path, PathBuf};

use http::Uri;
use http::uri::Authority;

use super::options::Peer;
use super::sinks::Place;

/// What is said to a password in an address.
const PASSWORD: &str = "holds a password, which process lists show: put it into a file, and name that with \
                        bearer_file or basic_file";

/// What is said to a text that begins like none, and the addresses there are.
pub(super) const UNKNOWN: &str = "is no destination";
pub(super) const ADDRESSES: &str = "http(s)://…, prefect+http(s)://…/api, prefect+ws(s)://…/api, \
                                    nats(+tls)://…/subject, redis(s)://…/stream, kafka(+tls)://…/topic, \
                                    s3+http(s)://…/bucket and postgres(+tls)://…/database/table";

/// Longest name of a Kafka topic.
const TOPIC_MAX_BYTES: usize = 249;

/// What can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Lines of JSON to this process's standard output.
    Stdout,
    /// Lines of JSON, appended to a file.
    File(PathBuf),
    /// JSON arrays, posted to this address.
    Http(Uri),
    /// A Prefect server: where events are posted, asked for, and tokens are fetched.
    Prefect { events: Uri, filter: Uri, token: Uri },
    /// The same server, where its websocket is, and what is asked over HTTP.
    PrefectSocket { place: Place, path: String, http: Box<Target> },
    /// Messages to a subject that a stream of NATS `JetStream` keeps.
    Nats(Place, String),
    /// Entries of a Redis stream.
    Redis(Place, String),
    /// Objects of a bucket that speaks S3.
    Objects(Bucket),
    /// Records of a Kafka topic.
    Kafka(Place, String),
    /// Rows of a table in a `PostgreSQL` database.
    Postgres(Place, Table),
}

/// A bucket, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// `http` or `https`.
    pub(super) scheme: String,
    pub(super) authority: String,
    /// The bucket's name and what objects' names begin with, a slash in front.
    pub(super) path: String,
}

impl Bucket {
    pub(super) fn is_tls(&self) -> bool {
        self.scheme == "https"
    }
}

/// A table, and the database that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) database: String,
    /// Perhaps behind its schema's name.
    pub(super) name: Vec<String>,
}

impl Target {
    /// What speaks there, and whether in TLS; `None`: it is no address.
    pub(super) fn peer(&self) -> Option<(Peer, bool)> {
        let is_https = |uri: &Uri| uri.scheme_str() == Some("https");
        match self {
            Self::Stdout | Self::File(_) => None,
            Self::Http(uri) => Some((Peer::Http, is_https(uri))),
            Self::Prefect { events, .. } => Some((Peer::Prefect, is_https(events))),
            Self::PrefectSocket { place, .. } => Some((Peer::Prefect, place.is_tls)),
            Self::Nats(place, _) => Some((Peer::Nats, place.is_tls)),
            Self::Redis(place, _) => Some((Peer::Redis, place.is_tls)),
            Self::Objects(bucket) => Some((Peer::Objects, bucket.is_tls())),
            Self::Kafka(place, _) => Some((Peer::Kafka, place.is_tls)),
            Self::Postgres(place, _) => Some((Peer::Postgres, place.is_tls)),
        }
    }

    /// The host that is spoken to.
    pub(super) fn host(&self) -> Option<String> {
        match self {
            Self::Stdout | Self::File(_) => None,
            Self::Http(uri) | Self::Prefect { events: uri, .. } => uri.host().map(str::to_owned),
            Self::Objects(bucket) => {
                let authority: Option<Authority> = bucket.authority.parse().ok();
                authority.map(|authority| authority.host().to_owned())
            }
            Self::PrefectSocket { place, .. }
            | Self::Nats(place, _)
            | Self::Redis(place, _)
            | Self::Kafka(place, _)
            | Self::Postgres(place, _) => Some(place.host.clone()),
        }
    }

    /// Whether what is sent there are requests with headers.
    pub(super) fn speaks_http(&self) -> bool {
        matches!(self.peer(), Some((Peer::Http | Peer::Prefect, _)))
    }
}

pub(super) fn read_target(text: &str) -> Result<Target, String> {
    if text == "stdout" {
        return Ok(Target::Stdout);
    }
    if let Some(path) = text.strip_prefix("file:") {
        return match path {
            "" => Err("file: needs a path, such as file:events.ndjson".into()),
            path => Ok(Target::File(Path::new(path).to_path_buf())),
        };
    }
    if let Some(address) = text.strip_prefix("prefect+") {
        return read_prefect(address);
    }
    if let Some(address) = text.strip_prefix("s3+") {
        return read_bucket(address).map(Target::Objects);
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Target::Http(read_address(text)?));
    }
    if let Some(read) = read_place(text, &["nats://", "nats+tls://"], 4222) {
        let (place, subject) = read?;
        let is_token = |token: &str| !token.is_empty() && !token.contains(['*', '>', ' ', '%']);
        if !subject.split('.').all(is_token) {
            return Err("needs a subject without wildcards, such as \
                        nats://127.0.0.1:4222/hookgate.events"
                .into());
        }
        return Ok(Target::Nats(place, subject));
    }
    if let Some(read) = read_place(text, &["redis://", "rediss://"], 6379) {
        let (place, stream) = read?;
        if stream.is_empty() {
            return Err("needs a stream, such as redis://127.0.0.1:6379/events".into());
        }
        return Ok(Target::Redis(place, stream));
    }
    if let Some(read) = read_place(text, &["kafka://", "kafka+tls://"], 9092) {
        let (place, topic) = read?;
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if topic.is_empty() || topic.len() > TOPIC_MAX_BYTES || !topic.chars().all(is_fit) {
            return Err("needs a topic, such as kafka://127.0.0.1:9092/events".into());
        }
        return Ok(Target::Kafka(place, topic));
    }
    if let Some(read) = read_place(text, &["postgres://", "postgres+tls://"], 5432) {
        let (place, path) = read?;
        return Ok(Target::Postgres(place, read_table(&path)?));
    }
    Err(format!("{UNKNOWN}; there are stdout, file:PATH, {ADDRESSES}"))
}

/// A host, its port, and what stands behind the slash; `None`: the text begins with neither scheme. The second one is
/// with TLS.
fn read_place(
    text: &str,
    schemes: &[&str; 2],
    port: u16,
) -> Option<Result<(Place, String), String>> {
    let scheme = schemes.iter().find(|scheme| text.starts_with(**scheme))?;
    let (is_tls, rest) = (*scheme == schemes[1], &text[scheme.len()..]);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let read = || {
        if authority.contains('@') {
            return Err(PASSWORD.into());
        }
        let authority: Authority =
            authority.parse().map_err(|fault| format!("is no address: {fault}"))?;
        let host = authority.host().to_owned();
        if host.is_empty() || path.contains('?') {
            return Err("is no address: there must be a host, and nothing unknown behind ?".into());
        }
        // What stands behind a colon and is no port must not become the usual one.
        let has_port = authority.as_str().len() > host.len();
        let port = if has_port { authority.port_u16() } else { Some(port) };
        let port = port.filter(|port| *port > 0).ok_or("is no address: a port is 1 to 65535")?;
        Ok((Place { host, port, is_tls }, path.to_owned()))
    };
    Some(read())
}

/// The address of a Prefect server's API; `ws` and `wss` mean its websocket.
fn read_prefect(given: &str) -> Result<Target, String> {
    let is_socket = given.starts_with("ws://") || given.starts_with("wss://");
    let address = if is_socket { format!("http{}", &given[2..]) } else { given.to_owned() };
    let api = read_address(&address)?;
    let path = api.path().trim_end_matches('/').to_owned();
    if path.is_empty() || api.query().is_some() {
        return Err("needs the path of the API and nothing behind it, such as \
                    prefect+http://127.0.0.1:4200/api"
            .into());
    }
    let root = address.find(&path).map_or(address.as_str(), |at| &address[..at + path.len()]);
    let below = |name: &str| read_address(&format!("{root}/{name}"));
    let http = Target::Prefect {
        events: below("events")?,
        filter: below("events/filter")?,
        token: below("csrf-token")?,
    };
    if !is_socket {
        return Ok(http);
    }
    let is_tls = api.scheme_str() == Some("https");
    let port = api.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let host = api.host().unwrap_or_default().to_owned();
    let (place, path) = (Place { host, port, is_tls }, format!("{path}/events/in"));
    Ok(Target::PrefectSocket { place, path, http: Box::new(http) })
}

fn read_bucket(address: &str) -> Result<Bucket, String> {
    let uri = read_address(address)?;
    let path = uri.path().trim_end_matches('/').to_owned();
    // What needs no encoding in a signature.
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let has_hole = path.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
    if path.is_empty() || has_hole || !path.chars().all(is_fit) || uri.query().is_some() {
        return Err(
            "needs a bucket, and perhaps what names begin with, of letters, digits, -, ., _ \
                    and ~, such as s3+https://s3.example.com/bucket/events"
                .into(),
        );
    }
    let scheme = uri.scheme_str().unwrap_or_default().to_owned();
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    Ok(Bucket { scheme, authority, path })
}

fn read_table(path: &str) -> Result<Table, String> {
    let (database, table) = path.split_once('/').unwrap_or((path, ""));
    let name: Vec<String> = table.split('.').map(str::to_owned).collect();
    let is_odd = |part: &str| part.is_empty() || part.contains(['/', '"', '%']);
    if is_odd(database) || name.len() > 2 || name.iter().any(|part| is_odd(part)) {
        return Err("needs a database and a table, such as postgres://127.0.0.1:5432/shop/events \
                    or …/shop/audit.events for a table of another schema"
            .into());
    }
    Ok(Table { database: database.to_owned(), name })
}

fn read_address(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|fault| format!("is no address: {fault}"))?;
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or("is no address: the host is missing")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("must begin with http:// or https://".into());
    }
    if authority.as_str().contains('@') {
        return Err(PASSWORD.into());
    }
    let has_port = authority.as_str().len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("is no address: a port is 1 to 65535".into());
    }
    Ok(uri)
}
