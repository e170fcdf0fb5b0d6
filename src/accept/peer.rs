//! Who sent a request, when proxies stand between. In: the socket's peer, headers, the networks that are trusted. Out:
//! an address to believe. Pure. From right to left, up to the first address that is not a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Proxies of one request, at most; what lies beyond is not looked at.
const HOPS_MAX: usize = 64;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The sender as far as it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its address.
    pub peer: IpAddr,
    /// Its own connection was encrypted.
    pub secure: bool,
}

/// Whether one of the networks holds the address.
#[must_use]
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&peer))
}

/// The sender behind the proxies. `X-Forwarded-For` wins over `Forwarded`: proxies that append to the first pass the
/// second on as the sender wrote it.
#[must_use]
pub fn believe(near: Sender, headers: &HeaderMap, trusted: &[IpNet]) -> Sender {
    if !is_trusted(near.peer, trusted) {
        return near;
    }
    if headers.contains_key(&X_FORWARDED_FOR) {
        let hops = values(headers, &X_FORWARDED_FOR);
        let mut schemes = values(headers, &X_FORWARDED_PROTO);
        walk(near, trusted, hops.map(|hop| (hop, schemes.next())))
    } else {
        let hops = values(headers, &FORWARDED);
        walk(near, trusted, hops.map(|hop| (parameter(hop, "for"), Some(parameter(hop, "proto")))))
    }
}

fn walk<'a>(
    near: Sender,
    trusted: &[IpNet],
    hops: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Sender {
    let mut sender = near;
    for (hop, scheme) in hops.take(HOPS_MAX) {
        let Some(peer) = address(hop) else { break };
        sender.peer = peer;
        // A proxy that says nothing of the scheme leaves what the one before it said.
        if let Some(scheme) = scheme.filter(|scheme| !scheme.is_empty()) {
            sender.secure = scheme.eq_ignore_ascii_case("https");
        }
        if !is_trusted(peer, trusted) {
            break;
        }
    }
    sender
}

/// Comma-separated values of all lines, the last first. A comma in quotes has no place in an address.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .rev()
        .flat_map(|line| line.to_str().unwrap_or("?").rsplit(',').map(str::trim))
}

/// A parameter of one element of `Forwarded`, without its quotes; empty when it is not there.
fn parameter<'a>(element: &'a str, name: &str) -> &'a str {
    element
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value.trim().trim_matches('"'))
}

/// An address with or without port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believed(peer: &str, lines: &[(&'static str, &str)]) -> (String, bool) {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"]
            .iter()
            .map(|network| network.parse().expect("a network"))
            .collect();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        let near = Sender { peer: peer.parse().expect("an address"), secure: false };
        let sender = believe(near, &headers, &trusted);
        (sender.peer.to_string(), sender.secure)
    }

    #[test]
    fn the_first_stranger_from_the_right_is_the_sender() {
        let (xff, proto, fwd) = ("x-forwarded-for", "x-forwarded-proto", "forwarded");
        for (peer, lines, expected, secure) in [
            ("9.9.9.9", &[(xff, "1.1.1.1")][..], "9.9.9.9", false),
            ("10.0.0.1", &[], "10.0.0.1", false),
            ("10.0.0.1", &[(xff, "1.1.1.1")], "1.1.1.1", false),
            ("10.0.0.1", &[(xff, "6.6.6.6, 1.1.1.1")], "1.1.1.1", false),
            ("10.0.0.1", &[(xff, "6.6.6.6, 1.1.1.1, 10.0.0.2")], "1.1.1.1", false),
            ("10.0.0.1", &[(xff, "6.6.6.6"), (xff, "1.1.1.1:80")], "1.1.1.1", false),
            ("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3", false),
            ("10.0.0.1", &[(xff, "1.1.1.1, unknown")], "10.0.0.1", false),
            ("10.0.0.1", &[(xff, "1.1.1.1"), (proto, "https")], "1.1.1.1", true),
            ("10.0.0.1", &[(xff, "1.1.1.1, 10.0.0.2"), (proto, "https, http")], "1.1.1.1", true),
            ("9.9.9.9", &[(proto, "https")], "9.9.9.9", false),
            ("10.0.0.1", &[(xff, "[2001:db8::1]:443")], "2001:db8::1", false),
            ("10.0.0.1", &[(xff, "2001:db8::1")], "2001:db8::1", false),
            ("10.0.0.1", &[(xff, "::ffff:1.1.1.1")], "1.1.1.1", false),
            ("10.0.0.1", &[(xff, "1.1.1.1"), (fwd, "for=6.6.6.6")], "1.1.1.1", false),
            ("fd00::1", &[(fwd, "for=1.1.1.1;proto=https")], "1.1.1.1", true),
            ("10.0.0.1", &[(fwd, "for=6.6.6.6, For=\"[2001:db8::2]:1\"")], "2001:db8::2", false),
            ("10.0.0.1", &[(fwd, "for=1.1.1.1, by=x")], "10.0.0.1", false),
            ("10.0.0.1", &[(fwd, "for=_hidden")], "10.0.0.1", false),
        ] {
            assert_eq!(believed(peer, lines), (expected.into(), secure), "{peer} {lines:?}");
        }
    }
}
