//! Settings: in a TOML file, `HOOKGATE_…` variables and flags; out one checked [`Config`], each value with where it
//! came from. Never a secret: those stand in files that settings name.

mod audit;
mod egress;
mod feed;
mod fetch;
mod forward;
mod keys;
mod load;
mod rate;
mod schemes;
mod store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use audit::Audit;
pub use egress::Egress;
pub use feed::Feed;
pub use fetch::Fetch;
pub use forward::{Forward, OnFull};
pub use keys::schema;
#[cfg(not(fuzzing))]
pub(crate) use load::forwards;
pub use load::{ConfigError, Flags, Loaded, Origin, load};
pub use rate::RateText;
pub use store::{Store, credentials};

use crate::verify::signature::Provider;
use crate::{accept, api, hooks, limit, render, spool};
use egress::networks;

/// Every setting. What is absent has its default.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the gateway listens and what it trusts.
    pub server: Server,
    /// What a sender may use.
    pub limits: Limits,
    /// The durable log in the data folder.
    pub spool: Spool,
    /// How secrets of records are kept.
    pub store: Store,
    /// How long events can be asked for.
    pub feed: Feed,
    /// How long audit events can be proven.
    pub audit: Audit,
    /// Bounds of templates and of one rendering.
    pub render: Render,
    /// What clients may publish and follow.
    pub events: Events,
    /// What the gateway says of itself.
    pub log: Log,
    /// Where destinations of workspaces may connect to.
    pub egress: Egress,
    /// What is asked of those who sign.
    pub fetch: Fetch,
    /// Destinations; each gets every event, at its own pace.
    pub forward: Vec<Forward>,
    /// Providers that sign, by name, in the form of those that come with hookgate; each with `cases`, which check it.
    #[serde(skip_serializing)]
    #[schemars(with = "BTreeMap<String, serde_json::Map<String, serde_json::Value>>")]
    pub schemes: BTreeMap<String, Provider>,
}

impl Config {
    /// The listeners of senders and managers. Networks that do not parse were refused when the settings were loaded.
    #[must_use]
    pub fn sockets(&self) -> accept::Options {
        let (server, limits) = (&self.server, &self.limits);
        let seconds = Duration::from_secs;
        let tls = server.tls_certificate.clone().zip(server.tls_key.clone());
        accept::Options {
            connections_max: limits.connections_max,
            connections_per_peer_max: limits.connections_per_peer_max,
            tls_handshake: seconds(limits.tls_seconds),
            sniff: seconds(limits.header_seconds),
            head: seconds(limits.header_seconds),
            head_max_bytes: limits.header_max_bytes,
            headers_max: limits.headers_max,
            heads_max_bytes: limits.heads_max_bytes,
            body_total: seconds(limits.body_seconds),
            body_min_bytes_per_second: limits.body_min_bytes_per_second,
            bodies_max_bytes: limits.bodies_max_bytes,
            idle: seconds(limits.idle_seconds),
            write: seconds(limits.write_seconds),
            drain: seconds(server.drain_seconds),
            streams_max: limits.streams_max,
            header_list_max_bytes: u32::try_from(limits.header_max_bytes).unwrap_or(u32::MAX),
            trusted_proxies: networks(&server.trusted_proxies).collect(),
            proxy_protocol: server.proxy_protocol,
            hosts: server.hosts.clone(),
            tls: tls.map(|(certificate, key)| {
                let client_ca = server.tls_client_ca.clone();
                let client_crl = server.tls_client_crl.clone();
                accept::TlsFiles { certificate, key, client_ca, client_crl }
            }),
            ..accept::Options::default()
        }
    }

    /// The control plane.
    #[must_use]
    pub fn api(&self) -> api::Options {
        let events = &self.events;
        let mut options = api::Options::new(self.render.limits());
        options.audit_days = self.audit.retention_days;
        options.means = self.means();
        options.limits = Arc::new(limit::Limits::new(self.limits.rates()));
        options.vet_destination = crate::forward::vet;
        let (judge, allowed) = (crate::forward::barred, self.egress.networks());
        options.barrier = api::Barrier { judge, allowed };
        options.operated = self.forward.iter().filter_map(Forward::operated).collect();
        options.hook_body_max_bytes = self.limits.body_max_bytes;
        options.events = api::events::Options {
            reserved_names: events.reserved_names,
            open_server_mode: events.open_server_mode,
            any_host: self.server.hosts.is_empty(),
            public_url: self.server.public_url.clone(),
            followers_max: events.followers_max,
            followers_per_account_max: events.followers_per_account_max,
        };
        options
    }

    /// The way in.
    #[must_use]
    pub fn hooks(&self) -> hooks::Options {
        hooks::Options {
            body_max_bytes: self.limits.body_max_bytes,
            render: self.render.limits(),
            ..hooks::Options::default()
        }
    }
}

/// What clients may publish and follow.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Whether clients may publish under names that begin with `prefect-cloud.` or `hookgate.`, and name records of the
    /// gateway as the webhook or the actor of an event: the audit trail can be forged then.
    pub reserved_names: bool,
    /// Whether `/api/events`, the paths without an account, need no key, as of a Prefect server without authentication.
    pub open_server_mode: bool,
    /// Clients that follow events at once, in all.
    pub followers_max: usize,
    /// Clients that follow the events of one account at once.
    pub followers_per_account_max: usize,
}

impl Default for Events {
    fn default() -> Self {
        let options = api::events::Options::default();
        Self {
            reserved_names: options.reserved_names,
            open_server_mode: options.open_server_mode,
            followers_max: options.followers_max,
            followers_per_account_max: options.followers_per_account_max,
        }
    }
}

/// Where the gateway listens and what it trusts.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The data folder: records, spool, cursors. One process at a time.
    pub data: PathBuf,
    /// Addresses for webhooks and the API.
    pub listen: Vec<SocketAddr>,
    /// Address of `/livez`, `/readyz` and `/metrics`; keep it away from strangers.
    pub admin_listen: SocketAddr,
    /// How senders and clients reach the gateway, such as `https://hooks.example`; links to next pages begin with it.
    pub public_url: Option<String>,
    /// Values of `Host` that are served; empty serves any.
    pub hosts: Vec<String>,
    /// Networks whose `Forwarded` and `X-Forwarded-For` are believed, as `10.0.0.0/8`; whose certificates are not.
    pub trusted_proxies: Vec<String>,
    /// Trusted proxies open each connection with PROXY protocol v2.
    pub proxy_protocol: bool,
    /// PEM file with the certificate chain; reloaded when it changes.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the private key.
    pub tls_key: Option<PathBuf>,
    /// PEM file with the authorities of senders' certificates, for webhooks with `mtls`; who has none is served, too.
    pub tls_client_ca: Option<PathBuf>,
    /// PEM file with the lists of certificates that those authorities revoked, one of each; reloaded when it changes.
    pub tls_client_crl: Option<PathBuf>,
    /// Longest time from SIGTERM to the end.
    pub drain_seconds: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            data: PathBuf::from("/var/lib/hookgate"),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8420))],
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8421)),
            public_url: None,
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            tls_client_crl: None,
            drain_seconds: 30,
        }
    }
}

const MINUTE: Duration = Duration::from_mins(1);

/// What a sender may use. Rates read `100/s`, `600/min` or `10/h`, and are off unless set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections in all; at the cap idle ones are closed first.
    pub connections_max: usize,
    /// Connections of one peer address, loopback excepted; 0 sets no cap.
    pub connections_per_peer_max: usize,
    /// Bytes of a request's head.
    pub header_max_bytes: usize,
    /// Headers of one request.
    pub headers_max: usize,
    /// Bytes of all heads in memory, beyond the first 8 KiB of each connection (HTTP/2: 32 KiB, with streams). Those
    /// that are not whole have a quarter, half of it for HTTP/2, and what tables of HTTP/2 keep alive has an eighth:
    /// they take no room of whole ones.
    pub heads_max_bytes: u64,
    /// Bytes of a body, before and after decompression.
    pub body_max_bytes: u64,
    /// A TLS handshake, and the wait for its turn, each.
    pub tls_seconds: u64,
    /// From the first byte to the end of the headers.
    pub header_seconds: u64,
    /// From the headers to the end of the body.
    pub body_seconds: u64,
    /// Slowest pace of a body.
    pub body_min_bytes_per_second: u64,
    /// Bytes of all bodies in memory that came in more than one piece.
    pub bodies_max_bytes: u64,
    /// Between two requests of a connection.
    pub idle_seconds: u64,
    /// For a peer to take an answer.
    pub write_seconds: u64,
    /// Requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// Requests of one peer address (IPv6: one /64).
    pub peer_rate: Option<RateText>,
    /// Requests of one peer at once.
    pub peer_burst: Option<u32>,
    /// Wrong slugs of one peer in a minute that are answered 404, and then 429; right ones pass. 0 counts none.
    pub wrong_slugs_per_minute: u32,
    /// Wrong keys of one peer in a minute that are answered 401, and then 429; right ones pass. 0 counts none.
    pub wrong_keys_per_minute: u32,
    /// Questions of one peer in a minute whether one webhook wants events; beyond, 429. 0 counts none.
    pub peer_questions_per_minute: u32,
    /// Those of all peers; they are charged to no other budget of the webhook or its account. 0 counts none.
    pub webhook_questions_per_minute: u32,
    /// Verified requests to one webhook.
    pub webhook_rate: Option<RateText>,
    /// Verified requests to one webhook at once.
    pub webhook_burst: Option<u32>,
    /// Verified requests to all webhooks of one account.
    pub account_rate: Option<RateText>,
    /// Verified requests to one account at once.
    pub account_burst: Option<u32>,
    /// Events that clients publish to one account.
    pub event_rate: Option<RateText>,
    /// Events published to one account at once.
    pub event_burst: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_peer_max: 0,
            header_max_bytes: 64 << 10,
            headers_max: 100,
            heads_max_bytes: 64 << 20,
            body_max_bytes: 5 << 20,
            tls_seconds: 10,
            header_seconds: 10,
            body_seconds: 60,
            body_min_bytes_per_second: 500,
            bodies_max_bytes: 256 << 20,
            idle_seconds: 75,
            write_seconds: 30,
            streams_max: 128,
            peer_rate: None,
            peer_burst: None,
            wrong_slugs_per_minute: 20,
            wrong_keys_per_minute: 10,
            peer_questions_per_minute: 30,
            webhook_questions_per_minute: 300,
            webhook_rate: None,
            webhook_burst: None,
            account_rate: None,
            account_burst: None,
            event_rate: None,
            event_burst: None,
        }
    }
}

impl Limits {
    /// The budgets of senders and of those who publish.
    #[must_use]
    pub fn rates(&self) -> limit::Rates {
        let rate = |rate: Option<RateText>, burst| rate.and_then(|rate| rate.with(burst));
        limit::Rates {
            peer: rate(self.peer_rate, self.peer_burst),
            webhook: rate(self.webhook_rate, self.webhook_burst),
            account: rate(self.account_rate, self.account_burst),
            event: rate(self.event_rate, self.event_burst),
            wrong_slugs: limit::Rate::new(self.wrong_slugs_per_minute, MINUTE, None),
            wrong_keys: limit::Rate::new(self.wrong_keys_per_minute, MINUTE, None),
            peer_questions: limit::Rate::new(self.peer_questions_per_minute, MINUTE, None),
            webhook_questions: limit::Rate::new(self.webhook_questions_per_minute, MINUTE, None),
        }
    }
}

/// The durable log in the data folder.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Spool {
    /// Size of one segment file.
    pub segment_bytes: u64,
    /// Most bytes of all segments; past it senders get 503.
    pub max_bytes: u64,
    /// Free bytes of the file system below which senders get 503.
    pub free_min_bytes: u64,
    /// Delivered requests are kept this long.
    pub retention_seconds: u64,
    /// Most bytes of delivered requests.
    pub retention_max_bytes: u64,
    /// Most bytes waiting for one sync; past it senders get 503.
    pub queue_max_bytes: usize,
    /// Longest wait of a sender for the disk; past it 503, and the request may be kept nevertheless.
    pub append_seconds: u64,
    /// Direct writes where the file system has them.
    pub direct: bool,
    /// Whether query, sender and body of the requests to come are sealed, with the first key of `store.key_file`.
    pub seal_requests: bool,
}

impl Default for Spool {
    fn default() -> Self {
        let options = spool::Options::default();
        Self {
            segment_bytes: options.segment_bytes,
            max_bytes: options.spool_max_bytes,
            free_min_bytes: options.free_min_bytes,
            retention_seconds: options.retention.as_secs(),
            retention_max_bytes: options.retention_max_bytes,
            queue_max_bytes: options.queue_max_bytes,
            append_seconds: options.append_time.as_secs(),
            direct: options.direct,
            seal_requests: false,
        }
    }
}

impl Spool {
    /// As the spool takes them.
    #[must_use]
    pub fn options(&self) -> spool::Options {
        spool::Options {
            segment_bytes: self.segment_bytes,
            spool_max_bytes: self.max_bytes,
            free_min_bytes: self.free_min_bytes,
            retention: Duration::from_secs(self.retention_seconds),
            retention_max_bytes: self.retention_max_bytes,
            queue_max_bytes: self.queue_max_bytes,
            append_time: Duration::from_secs(self.append_seconds.max(1)),
            direct: self.direct,
            sealing: None,
        }
    }
}

/// Bounds of templates and of one rendering.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Render {
    /// Characters of a template.
    pub source_max_chars: usize,
    /// Bytes of a template.
    pub source_max_bytes: usize,
    /// Bytes of rendered text.
    pub output_max_bytes: usize,
    /// Steps of one rendering.
    pub fuel: u64,
    /// Time of one rendering.
    pub time_milliseconds: u64,
    /// Memory of one rendering.
    pub memory_max_bytes: usize,
    /// Loops of a template.
    pub loops_max: usize,
    /// Nesting of loops.
    pub loop_depth_max: usize,
    /// Items of a `range`.
    pub range_max_items: usize,
    /// Whether templates see `query`, `path`, `webhook.name` and `now`, which Prefect Cloud does not have.
    pub extensions: bool,
}

impl Default for Render {
    fn default() -> Self {
        let limits = render::Limits::default();
        Self {
            source_max_chars: limits.source_max_chars,
            source_max_bytes: limits.source_max_bytes,
            output_max_bytes: limits.output_max_bytes,
            fuel: limits.fuel,
            time_milliseconds: u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX),
            memory_max_bytes: limits.memory_max_bytes,
            loops_max: limits.loops_max,
            loop_depth_max: limits.loop_depth_max,
            range_max_items: limits.range_max_items,
            extensions: limits.extensions,
        }
    }
}

impl Render {
    /// As the renderer takes them.
    #[must_use]
    pub fn limits(&self) -> render::Limits {
        render::Limits {
            source_max_chars: self.source_max_chars,
            source_max_bytes: self.source_max_bytes,
            output_max_bytes: self.output_max_bytes,
            fuel: self.fuel,
            time: Duration::from_millis(self.time_milliseconds),
            memory_max_bytes: self.memory_max_bytes,
            loops_max: self.loops_max,
            loop_depth_max: self.loop_depth_max,
            range_max_items: self.range_max_items,
            extensions: self.extensions,
        }
    }
}

/// What the gateway says of itself.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,hookgate::forward=debug`. Lines of other
    /// crates pass from `info` up alone.
    pub level: String,
    /// `human`, `json`, or `auto`: human on a terminal, JSON otherwise.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// One line for people.
    Human,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests;
