//! Bounds of everything a peer may hold or wait for. In: the config. Out: plain data. Never a hidden bound.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::heads::{HEADER_BYTES, STEP_BYTES, STREAM_BYTES};
use super::wire::BLOCK_LISTS;

/// All room for heads, in equal parts.
const PARTS: u64 = 8;
/// So many of them are for whole heads. Those of HTTP/1 that are not whole have one, such header blocks of HTTP/2
/// another, and what tables of HTTP/2 keep alive a third.
const WHOLE_PARTS: u64 = PARTS - 3;

/// Settings of one set of listeners.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections in all; at the cap idle ones are closed first.
    pub connections_max: usize,
    /// Connections of one peer (IPv6: one /64), loopback excepted; 0 sets no cap.
    pub connections_per_peer_max: usize,
    /// A TLS handshake, and the wait for its turn, each.
    pub tls_handshake: Duration,
    /// TLS handshakes at once; twice as many wait, and one more ends the one that began first.
    pub tls_handshakes_max: usize,
    /// From the connection to its first bytes, enough to tell HTTP/2 from HTTP/1.
    pub sniff: Duration,
    /// From the connection to the end of the PROXY header.
    pub proxy_header: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Bytes of a request line, without its line end.
    pub request_line_max_bytes: usize,
    /// Bytes of a whole head.
    pub head_max_bytes: usize,
    /// Headers of one request.
    pub headers_max: usize,
    /// Bytes of all heads in memory, beyond the first 8 KiB of each connection (HTTP/2: 32 KiB, with streams). Those
    /// that are not whole have a quarter, half of it for HTTP/2, and what tables of HTTP/2 keep alive has an eighth:
    /// they take no room of whole ones.
    pub heads_max_bytes: u64,
    /// From the first wait for a body to its first byte.
    pub body_first_byte: Duration,
    /// From the first wait for a body to its end.
    pub body_total: Duration,
    /// Time a body has before its pace is looked at.
    pub body_grace: Duration,
    /// Slowest pace of a body after the grace, averaged over five seconds.
    pub body_min_bytes_per_second: u64,
    /// Bytes of all bodies in memory that came in more than one piece, as they came and decoded.
    pub bodies_max_bytes: u64,
    /// After that long without a request, an HTTP/1 connection gives parser and buffers back: some 3 KB are left.
    pub quiet: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// For a peer to take an answer.
    pub write: Duration,
    /// After an answer that left input unread: input is thrown away this long, so that the answer is not cut off by a
    /// reset.
    pub linger: Duration,
    /// From the start of a drain to the end of what still runs.
    pub drain: Duration,
    /// Streams at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// Decoded bytes of an HTTP/2 header list.
    pub header_list_max_bytes: u32,
    /// Streams that a peer reset before they were looked at.
    pub resets_max: usize,
    /// Networks whose `X-Forwarded-For`, `Forwarded` and PROXY headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Every connection opens with a PROXY protocol v2 header, and comes from a trusted proxy.
    pub proxy_protocol: bool,
    /// Values of `Host`, without port, that are served; empty serves any.
    pub hosts: Vec<String>,
    /// PEM files for TLS; none serves plain text.
    pub tls: Option<TlsFiles>,
}

impl Options {
    /// Of [`heads_max_bytes`](Self::heads_max_bytes), the part of heads of HTTP/1 that are not whole, the part of such
    /// header blocks of HTTP/2, and that of tables: whoever uses these up keeps no whole head out.
    pub(super) fn heads_part_bytes(&self) -> u64 {
        self.heads_max_bytes / PARTS
    }

    /// What these parts leave.
    pub(super) fn whole_heads_max_bytes(&self) -> u64 {
        self.heads_max_bytes - (PARTS - WHOLE_PARTS) * self.heads_part_bytes()
    }

    /// Least [`heads_max_bytes`](Self::heads_max_bytes) with which one connection may have the longest head.
    #[must_use]
    pub fn heads_least_bytes(&self) -> u64 {
        let steps = |bytes: u64| bytes.checked_next_multiple_of(STEP_BYTES).unwrap_or(u64::MAX);
        let list = u64::from(self.header_list_max_bytes);
        let longest = list.max(self.head_max_bytes as u64);
        let half = steps(longest.max(BLOCK_LISTS * list)).saturating_mul(PARTS);
        let headers = (self.headers_max as u64).saturating_mul(HEADER_BYTES);
        let whole = steps(longest.saturating_add(headers).saturating_add(STREAM_BYTES));
        half.max(whole.saturating_mul(PARTS) / WHOLE_PARTS)
    }
}

/// Where certificate and key stand.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM with the certificate chain.
    pub certificate: PathBuf,
    /// PEM with the private key.
    pub key: PathBuf,
    /// PEM with the authorities of clients' certificates; without it nobody is asked for one.
    pub client_ca: Option<PathBuf>,
    /// PEM with their lists of revoked certificates; without it none is looked up.
    pub client_crl: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections_max: 20_000,
            connections_per_peer_max: 0,
            tls_handshake: seconds(5),
            tls_handshakes_max: 500,
            sniff: seconds(10),
            proxy_header: seconds(2),
            head: seconds(10),
            request_line_max_bytes: 8 << 10,
            head_max_bytes: 32 << 10,
            headers_max: 100,
            heads_max_bytes: 64 << 20,
            body_first_byte: seconds(5),
            body_total: seconds(60),
            body_grace: seconds(10),
            body_min_bytes_per_second: 1 << 10,
            bodies_max_bytes: 256 << 20,
            quiet: Duration::from_millis(500),
            idle: seconds(30),
            write: seconds(10),
            linger: seconds(2),
            drain: seconds(30),
            streams_max: 100,
            header_list_max_bytes: 16 << 10,
            resets_max: 20,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            hosts: Vec::new(),
            tls: None,
        }
    }
}
