//! Facts of the sockets: how many are open, and why connections or requests were ended. In: reasons. Out: families of
//! the registry, their children resolved once. Never an address, a header or a sender's word.

use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Telemetry;

/// Why a request or a connection was ended before any handler saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// 400: no `METHOD SP target SP HTTP/1.x`.
    RequestLine,
    /// 414.
    TargetTooLong,
    /// 400: a fragment, or an absolute form that is not `Host`.
    Target,
    /// 431: bytes or count.
    HeadTooLarge,
    /// 400: a header line that is none, folded lines among them.
    Header,
    /// 400: a line that ends in LF alone.
    BareLf,
    /// 400: none, two, or no authority.
    Host,
    /// 400: a host that is not configured.
    HostUnknown,
    /// 400: twice, beside `Transfer-Encoding`, or no number.
    ContentLength,
    /// 400: anything but one `chunked`.
    TransferEncoding,
    /// 417.
    Expectation,
    /// A chunked body that breaks its framing.
    Chunk,
    /// Nothing was sent, or no whole preface.
    Silent,
    /// The head did not end in time.
    HeadSlow,
    /// The peer does not take its answer.
    WriteSlow,
    /// The TLS handshake failed or took too long.
    Tls,
    /// No PROXY header where one is demanded, or from a peer that may not send one.
    Proxy,
    /// An idle connection made room for a new one.
    Evicted,
    /// No room, and nobody idle.
    Crowded,
    /// The peer has its share of connections.
    PeerCrowded,
    /// The system had no descriptor or memory left.
    Descriptors,
    /// 503: the heads of all connections take as much memory as they may.
    HeadsCrowded,
    /// HTTP/2: the table of headers keeps too much alive; the connection takes no new streams.
    TableDrained,
    /// HTTP/2: and more of it; the connection was cut.
    TableCut,
}

const REASONS: [&str; 24] = [
    "request-line",
    "target-too-long",
    "target",
    "head-too-large",
    "header",
    "bare-lf",
    "host",
    "host-unknown",
    "content-length",
    "transfer-encoding",
    "expectation",
    "chunk",
    "silent",
    "head-slow",
    "write-slow",
    "tls",
    "proxy",
    "evicted",
    "crowded",
    "peer-crowded",
    "descriptors",
    "heads-crowded",
    "table-drained",
    "table-cut",
];

const ALL: [Reason; REASONS.len()] = [
    Reason::RequestLine,
    Reason::TargetTooLong,
    Reason::Target,
    Reason::HeadTooLarge,
    Reason::Header,
    Reason::BareLf,
    Reason::Host,
    Reason::HostUnknown,
    Reason::ContentLength,
    Reason::TransferEncoding,
    Reason::Expectation,
    Reason::Chunk,
    Reason::Silent,
    Reason::HeadSlow,
    Reason::WriteSlow,
    Reason::Tls,
    Reason::Proxy,
    Reason::Evicted,
    Reason::Crowded,
    Reason::PeerCrowded,
    Reason::Descriptors,
    Reason::HeadsCrowded,
    Reason::TableDrained,
    Reason::TableCut,
];

impl Reason {
    /// How many there are.
    pub const COUNT: usize = REASONS.len();

    /// The reason of a code made by `as u8`; a code that none has is a broken request line.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        ALL.into_iter().find(|reason| *reason as u8 == code).unwrap_or(Self::RequestLine)
    }

    /// Its label.
    #[must_use]
    pub fn name(self) -> &'static str {
        REASONS[self as usize]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The families of this room.
#[derive(Debug)]
pub struct Facts {
    open: Gauge,
    accepted: Counter,
    reasons: [Counter; Reason::COUNT],
    /// Made when there is a certificate: 0 would be one that ended long ago.
    certificate: OnceLock<Gauge>,
    telemetry: Telemetry,
}

impl Facts {
    /// Adds the families to the registry.
    #[must_use]
    pub fn register(telemetry: &Telemetry) -> Arc<Self> {
        let refusals: Family<ReasonLabel, Counter> = Family::default();
        let (open, accepted) = (Gauge::default(), Counter::default());
        telemetry.register(|registry| {
            registry.register("connections_open", "Connections now open", open.clone());
            registry.register("connections", "Connections accepted", accepted.clone());
            let help = "Requests and connections ended before a handler saw them, by reason";
            registry.register("accept_refusals", help, refusals.clone());
        });
        let child = |reason| refusals.get_or_create(&ReasonLabel { reason }).clone();
        let (certificate, telemetry) = (OnceLock::new(), telemetry.clone());
        Arc::new(Self { open, accepted, reasons: REASONS.map(child), certificate, telemetry })
    }

    /// Counts a connection that came.
    pub fn opened(&self) {
        self.open.inc();
        self.accepted.inc();
    }

    /// Counts a connection that went.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// The certificate that is shown to clients ends then, in seconds since 1970.
    pub fn certificate_ends(&self, until: i64) {
        let gauge = self.certificate.get_or_init(|| {
            let gauge = Gauge::default();
            self.telemetry.register(|registry| {
                let help = "When the certificate of the listener ends, in seconds since 1970";
                registry.register("tls_certificate_not_after_seconds", help, gauge.clone());
            });
            gauge
        });
        gauge.set(until);
    }

    /// Counts an end.
    pub fn refused(&self, reason: Reason) {
        self.reasons[reason as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_line() {
        let telemetry = Telemetry::new();
        let facts = Facts::register(&telemetry);
        facts.opened();
        facts.refused(Reason::RequestLine);
        facts.refused(Reason::Descriptors);
        assert!(!telemetry.print().contains("not_after"), "without TLS there is none");
        facts.certificate_ends(1_900_000_000);
        let text = telemetry.print();
        for line in [
            "hookgate_connections_open 1",
            "hookgate_connections_total 1",
            "hookgate_tls_certificate_not_after_seconds 1900000000",
            "hookgate_accept_refusals_total{reason=\"request-line\"} 1",
            "hookgate_accept_refusals_total{reason=\"descriptors\"} 1",
            "hookgate_accept_refusals_total{reason=\"host\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
