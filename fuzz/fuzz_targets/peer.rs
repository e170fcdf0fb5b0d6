//! Who calls. In: what a proxy says before and in a request, and lists of networks. Holds: no panic; a PROXY header
//! says what one that was made says, and junk nothing; only trusted proxies are believed, and each hop is one that a
//! header names; a list in its one form is the same list, and allows whom it holds.
#![no_main]

use std::net::IpAddr;

use arbitrary::Arbitrary;
use hookgate::accept::peer::{Sender, believe, is_trusted};
use hookgate::accept::proxy::{HEAD_BYTES, rest_bytes, sender};
use hookgate::verify::allowlist::{Allowlist, NETWORKS_MAX, Networks};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const NAMES: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "forwarded", "x-other"];

/// What the fuzzer decides.
#[derive(Arbitrary, Debug)]
enum Story {
    /// Bytes, which may begin as a PROXY header does.
    Junk {
        begins: bool,
        bytes: Vec<u8>,
    },
    Proxy {
        from: IpAddr,
        to: [u8; 16],
        is_local: bool,
        more: Vec<u8>,
    },
    Headers {
        near: IpAddr,
        secure: bool,
        trusted: Vec<(IpAddr, u8)>,
        lines: Vec<(u8, Line)>,
    },
    Networks {
        peer: IpAddr,
        list: Vec<Entry>,
    },
}

#[derive(Arbitrary, Debug)]
enum Line {
    Raw(Vec<u8>),
    /// Addresses in the forms that proxies write.
    Hops(Vec<(IpAddr, u8, u16)>),
}

#[derive(Arbitrary, Debug)]
enum Entry {
    Network(IpAddr, u8),
    Text(String),
    Whole { network: (IpAddr, u8), enabled: Option<bool>, description: Option<String> },
}

fuzz_target!(|story: Story| match story {
    Story::Junk { begins, bytes } => {
        let mut all = if begins { SIGNATURE.to_vec() } else { Vec::new() };
        all.extend(&bytes);
        let Some((head, rest)) = all.split_first_chunk::<HEAD_BYTES>() else { return };
        let Ok(length) = rest_bytes(head) else { return };
        assert!(head.starts_with(SIGNATURE) && length <= 520);
        let _ = sender(head, rest.get(..length).unwrap_or(rest));
    }
    Story::Proxy { from, to, is_local, more } => {
        let mut rest = match from {
            IpAddr::V4(from) => [&from.octets()[..], &to[..4], &[0; 4]].concat(),
            IpAddr::V6(from) => [&from.octets()[..], &to, &[0; 4]].concat(),
        };
        let addresses = rest.len();
        rest.extend(more);
        let mut head = [0; HEAD_BYTES];
        head[..12].copy_from_slice(SIGNATURE);
        head[12] = if is_local { 0x20 } else { 0x21 };
        head[13] = if from.is_ipv4() { 0x11 } else { 0x21 };
        head[14..].copy_from_slice(&(rest.len().min(0xffff) as u16).to_be_bytes());
        assert_eq!(rest_bytes(&head).ok(), (rest.len() <= 520).then_some(rest.len()));
        let told = (!is_local).then(|| from.to_canonical());
        assert_eq!(sender(&head, &rest).ok(), Some(told));
        let cut = sender(&head, &rest[..addresses - 1]);
        assert!(is_local || cut.is_err(), "cut: {cut:?}");
    }
    Story::Headers { near, secure, trusted, lines } => headers(near, secure, &trusted, &lines),
    Story::Networks { peer, list } => networks(peer, &list),
});

fn network((address, bits): (IpAddr, u8)) -> IpNet {
    let most = if address.is_ipv4() { 33 } else { 129 };
    IpNet::new(address, bits % most).expect("a network").trunc()
}

fn headers(near: IpAddr, secure: bool, trusted: &[(IpAddr, u8)], lines: &[(u8, Line)]) {
    let trusted: Vec<IpNet> = trusted.iter().take(8).copied().map(network).collect();
    let mut headers = HeaderMap::new();
    let mut hops = Vec::new();
    for (name, line) in lines.iter().take(16) {
        let value = match line {
            Line::Raw(bytes) => HeaderValue::from_bytes(bytes),
            Line::Hops(list) => {
                hops.extend(list.iter().map(|(address, ..)| address.to_canonical()));
                HeaderValue::from_str(&list.iter().map(written).collect::<Vec<_>>().join(", "))
            }
        };
        let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
        headers.extend(value.ok().map(|value| (name, value)));
    }
    let near = Sender { peer: near.to_canonical(), secure };
    let told = believe(near, &headers, &trusted);
    assert!(is_trusted(near.peer, &trusted) || told == near, "nobody else is believed");
    let all_ours = lines.iter().all(|(_, line)| matches!(line, Line::Hops(_)));
    if all_ours {
        assert!(told.peer == near.peer || hops.contains(&told.peer), "{told:?} of {hops:?}");
    }
}

fn written((address, form, port): &(IpAddr, u8, u16)) -> String {
    let quoted = match (address, form & 3) {
        (_, 0) => return address.to_string(),
        (IpAddr::V4(address), _) => format!("{address}:{port}"),
        (IpAddr::V6(address), 1) => format!("[{address}]"),
        (IpAddr::V6(address), _) => format!("[{address}]:{port}"),
    };
    if form & 4 == 0 { quoted } else { format!("for=\"{quoted}\";proto=https") }
}

fn networks(peer: IpAddr, list: &[Entry]) {
    let texts: Vec<Value> = list
        .iter()
        .map(|entry| match entry {
            Entry::Network(address, bits) => json!(network((*address, *bits)).to_string()),
            Entry::Text(text) => json!(text),
            Entry::Whole { network: both, .. } => json!(network(*both).to_string()),
        })
        .collect();
    if let Ok(read) = Networks::read(&texts) {
        let again = read.to_value();
        let again = again.as_array().expect("a list");
        assert_eq!(Networks::read(again).as_ref(), Ok(&read), "its one form");
        assert!(again.len() <= NETWORKS_MAX);
        let held = again.iter().filter_map(Value::as_str).any(|network| {
            network.parse::<IpNet>().is_ok_and(|network| network.contains(&peer.to_canonical()))
        });
        assert_eq!(read.allow(peer), held || again.is_empty());
    }
    let entries: Vec<Value> = list
        .iter()
        .map(|entry| match entry {
            Entry::Network(address, bits) => {
                json!({ "ip_network": network((*address, *bits)).to_string() })
            }
            Entry::Text(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            Entry::Whole { network: both, enabled, description } => json!({
                "ip_network": network(*both).to_string(),
                "enabled": enabled.unwrap_or(true),
                "description": description,
            }),
        })
        .collect();
    if let Ok(read) = Allowlist::read(&entries) {
        let again = read.to_value();
        assert_eq!(Allowlist::read(again.as_array().expect("a list")), Ok(read.clone()));
        assert!(read.holding(peer).all(|network| read.names(&network)));
    }
}
