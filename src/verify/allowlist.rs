//! From where an account may be called. In: entries as they were sent or kept, and an address. Out: the entries in
//! their one form, or what is wrong with them; whether the address may call, and whether so many may that it says
//! nothing. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Value, json};

/// Most entries of one list.
pub const ENTRIES_MAX: usize = 25;
/// Longest description, in characters.
const DESCRIPTION_MAX_CHARS: usize = 500;
/// Bits of an IPv6 address that stand before an IPv4 address in it.
const MAPPED_BITS: u8 = 96;

/// Most networks from which one webhook may be called.
pub const NETWORKS_MAX: usize = 64;

/// IPv4 networks that are some house's own: a list may hold all of them.
const OWN_V4: [([u8; 4], u8); 6] = [
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
];
/// IPv6 networks of that sort.
const OWN_V6: [([u16; 8], u8); 2] =
    [([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10)];
/// Others than a house's own: a list with more addresses than a network of that length names no senders. The largest
/// that was ever given to one owner is a /8; of IPv6, whole continents have a /12.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;
/// Bits that count of an IPv6 address: one house has at least what is below them.
const V6_BITS: u8 = 64;

/// Whether networks hold so much of the internet that a list of them says nothing, in one piece or in many.
#[must_use]
pub fn are_wide(networks: &[IpNet]) -> bool {
    let v4 = |(address, bits)| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(address), bits));
    let v6 = |(address, bits)| IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(address), bits));
    let own: Vec<IpNet> = OWN_V4.into_iter().map(v4).chain(OWN_V6.into_iter().map(v6)).collect();
    let (mut of_v4, mut of_v6) = (0_u128, 0_u128);
    for network in IpNet::aggregate(&networks.to_vec()) {
        if own.iter().any(|own| own.contains(&network)) {
            continue;
        }
        match network {
            IpNet::V4(network) => of_v4 += 1 << (32 - network.prefix_len()),
            IpNet::V6(network) => of_v6 += 1 << (V6_BITS - network.prefix_len().min(V6_BITS)),
        }
    }
    of_v4 > 1 << (32 - WIDEST_V4) || of_v6 > 1 << (V6_BITS - WIDEST_V6)
}

/// Networks from which a webhook may be called; without one, from everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

impl Networks {
    /// Reads networks as they were sent or kept.
    ///
    /// # Errors
    /// The place of the first that is none, counted from 1.
    pub fn read(list: &[Value]) -> Result<Self, usize> {
        let read = |(at, value): (usize, &Value)| value.as_str().and_then(network).ok_or(at + 1);
        list.iter().take(NETWORKS_MAX).enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// A list that holds nobody.
    #[must_use]
    pub fn nowhere() -> Self {
        Self(Box::new([IpNet::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))]))
    }

    /// Each in its one form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.0.iter().map(IpNet::to_string).collect()
    }

    /// Whether they keep hardly anybody out.
    #[must_use]
    pub fn are_wide(&self) -> bool {
        are_wide(&self.0)
    }

    /// Whether an address may call.
    #[must_use]
    pub fn allow(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.is_empty() || self.0.iter().any(|network| network.contains(&peer))
    }
}

/// Why a list is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowlistError {
    /// It has too many entries.
    #[error("an allowlist has at most {ENTRIES_MAX} entries; these are {found}")]
    TooMany { found: usize },
    /// An entry is no object of the known keys.
    #[error(
        "entry {place}: an entry has `ip_network` and, if you like, `enabled` and `description`"
    )]
    Shape { place: usize },
    /// An entry's network is none.
    #[error(
        "entry {place}: `ip_network` is an IPv4 or IPv6 address or network, such as 203.0.113.0/24"
    )]
    Network { place: usize },
    /// An entry's description is too long.
    #[error("entry {place}: a description has at most {DESCRIPTION_MAX_CHARS} characters")]
    Description { place: usize },
    /// Two entries are about the same network.
    #[error("entry {place}: {network} is in the list before it")]
    Twice { place: usize, network: IpNet },
}

/// One network that may call, unless it is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    network: IpNet,
    enabled: bool,
    description: Option<String>,
}

/// Networks from which an account may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowlist(Vec<Entry>);

impl Allowlist {
    /// Reads a list as it was sent or kept.
    ///
    /// # Errors
    /// The first [`AllowlistError`].
    pub fn read(list: &[Value]) -> Result<Self, AllowlistError> {
        if list.len() > ENTRIES_MAX {
            return Err(AllowlistError::TooMany { found: list.len() });
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(list.len());
        for (at, value) in list.iter().enumerate() {
            let place = at + 1;
            let entry = read(value, place)?;
            let network = entry.network;
            if entries.iter().any(|other| other.network == network) {
                return Err(AllowlistError::Twice { place, network });
            }
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    /// The list in its one form, to be kept.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let one = |entry: &Entry| {
            json!({
                "ip_network": entry.network.to_string(),
                "enabled": entry.enabled,
                "description": entry.description,
            })
        };
        self.0.iter().map(one).collect()
    }

    /// Whether it says nothing: then everybody may call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The enabled networks that hold an address, in their one form.
    pub fn holding(&self, peer: IpAddr) -> impl Iterator<Item = String> {
        let peer = peer.to_canonical();
        let holds = move |entry: &&Entry| entry.enabled && entry.network.contains(&peer);
        self.0.iter().filter(holds).map(|entry| entry.network.to_string())
    }

    /// Whether a network, in its one form, is in it.
    #[must_use]
    pub fn names(&self, network: &str) -> bool {
        self.0.iter().any(|entry| entry.network.to_string() == network)
    }

    /// Whether an address may call.
    #[must_use]
    pub fn allows(&self, peer: IpAddr) -> bool {
        self.is_empty() || self.holding(peer).next().is_some()
    }
}

fn read(value: &Value, place: usize) -> Result<Entry, AllowlistError> {
    let shape = || AllowlistError::Shape { place };
    let given = value.as_object().ok_or_else(shape)?;
    // Clients send back what they were told; when it was last seen is not theirs to say.
    let known = ["ip_network", "enabled", "description", "last_seen"];
    if !given.keys().all(|key| known.contains(&key.as_str())) {
        return Err(shape());
    }
    let text = given.get("ip_network").and_then(Value::as_str).ok_or_else(shape)?;
    let network = network(text).ok_or(AllowlistError::Network { place })?;
    let enabled = match given.get("enabled") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(enabled)) => *enabled,
        Some(_) => return Err(shape()),
    };
    let description = match given.get("description") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.chars().count() > DESCRIPTION_MAX_CHARS => {
            return Err(AllowlistError::Description { place });
        }
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err(shape()),
    };
    Ok(Entry { network, enabled, description })
}

/// A network without bits of a host; one of IPv4 in IPv6's clothes is one of IPv4, as peers are.
fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let network: IpNet = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    let plain = match (network.addr().to_canonical(), network) {
        (IpAddr::V4(address), IpNet::V6(wide)) if wide.prefix_len() >= MAPPED_BITS => {
            IpNet::V4(Ipv4Net::new(address, wide.prefix_len() - MAPPED_BITS).ok()?)
        }
        _ => network,
    };
    Some(plain.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &Value) -> Result<Allowlist, AllowlistError> {
        Allowlist::read(value.as_array().expect("a list"))
    }

    fn one(network: &str) -> Value {
        json!([{"ip_network": network}])
    }

    #[test]
    fn a_webhook_is_called_from_its_networks_only() {
        let read = |list: Value| Networks::read(list.as_array().expect("a list"));
        let from =
            |list, peer: &str| read(list).expect("networks").allow(peer.parse().expect("one"));
        assert!(from(json!([]), "198.51.100.1"));
        let both = || json!(["203.0.113.7/24", "2001:db8::/32"]);
        assert!(from(both(), "203.0.113.200") && from(both(), "::ffff:203.0.113.1"));
        assert!(from(both(), "2001:db8::5") && !from(both(), "203.0.114.1"));
        assert!(!from(both(), "2001:db9::1"));
        assert_eq!(read(json!(["203.0.113.0/24", "example.com"])), Err(2));
        assert_eq!(read(both()).expect("networks").to_value()[0], "203.0.113.0/24");
    }

    #[test]
    fn a_list_that_holds_most_of_the_internet_is_wide_in_one_piece_or_in_many() {
        let wide = |texts: &[&str]| {
            let read = |text: &&str| network(text).expect("a network");
            are_wide(&texts.iter().map(read).collect::<Vec<_>>())
        };
        for texts in [
            &["0.0.0.0/0"][..],
            &["::/0"],
            &["0.0.0.0/1", "128.0.0.0/1"],
            &["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"],
            &["::/1", "8000::/1"],
            &["2000::/3"],
            &["0.0.0.0/7"],
            &["10.0.0.0/7"],
            &["1.0.0.0/8", "3.0.0.0/8"],
            &["2001:db8::/32", "203.0.113.0/24", "64.0.0.0/3"],
            &["2000::/16", "3000::/16"],
        ] {
            assert!(wide(texts), "{texts:?}");
        }
        for texts in [
            &[][..],
            &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"],
            &["fc00::/7", "fe80::/10", "::1", "2400:cb00::/32"],
            &["17.0.0.0/8", "10.0.0.0/8"],
            &["17.0.0.0/8", "17.5.0.0/16"],
            &["203.0.113.0/24", "198.51.100.7"],
        ] {
            assert!(!wide(texts), "{texts:?}");
        }
    }

    #[test]
    fn networks_have_one_form() {
        for (sent, kept) in [
            ("203.0.113.9", Some("203.0.113.9/32")),
            ("203.0.113.9/24", Some("203.0.113.0/24")),
            (" 0.0.0.0/0 ", Some("0.0.0.0/0")),
            ("2001:DB8::1", Some("2001:db8::1/128")),
            ("2001:db8:0:0::/32", Some("2001:db8::/32")),
            ("::ffff:192.0.2.1", Some("192.0.2.1/32")),
            ("::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
            ("::/0", Some("::/0")),
            ("203.0.113.9/33", None),
            ("203.0.113", None),
            ("office", None),
            ("", None),
        ] {
            let read = list(&one(sent)).map(|list| list.to_value()[0]["ip_network"].clone());
            assert_eq!(read.ok(), kept.map(Value::from), "{sent}");
        }
    }

    #[test]
    fn addresses_pass_by_enabled_entries_alone() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let office = json!([
            {"ip_network": "203.0.113.0/24", "description": "office"},
            {"ip_network": "2001:db8::/32", "enabled": true, "last_seen": "2026-01-01T00:00:00Z"},
            {"ip_network": "198.51.100.0/24", "enabled": false},
        ]);
        let office = list(&office).expect("a list");
        for (peer, allowed) in [
            ("203.0.113.77", true),
            ("::ffff:203.0.113.77", true),
            ("2001:db8:1::1", true),
            ("203.0.114.1", false),
            ("2001:db9::1", false),
            ("198.51.100.1", false),
        ] {
            assert_eq!(office.allows(address(peer)), allowed, "{peer}");
        }
        assert_eq!(list(&office.to_value()), Ok(office), "read again as it was kept");
        assert!(Allowlist::default().allows(address("192.0.2.1")), "nothing is said");
        let off = json!([{"ip_network": "0.0.0.0/0", "enabled": false}]);
        assert!(!list(&off).expect("a list").allows(address("192.0.2.1")));
    }

    #[test]
    fn faults_name_their_entry() {
        let many: Value = (0..=25).map(|n| json!({"ip_network": format!("10.0.0.{n}")})).collect();
        let twice = json!([{"ip_network": "10.0.0.0/8"}, {"ip_network": "10.1.0.0/8"}]);
        for (sent, says) in [
            (many, "at most 25 entries; these are 26"),
            (twice, "entry 2: 10.0.0.0/8 is in the list before it"),
            (one("x"), "entry 1: `ip_network` is an IPv4"),
            (json!([7]), "entry 1: an entry has"),
            (json!([{"network": "10.0.0.0/8"}]), "entry 1: an entry has"),
            (json!([{"ip_network": "10.0.0.0/8", "enabled": 1}]), "entry 1: an entry has"),
            (
                json!([{"ip_network": "10.0.0.0/8", "description": "é".repeat(501)}]),
                "entry 1: a description has at most 500",
            ),
        ] {
            let fault = list(&sent).expect_err(says).to_string();
            assert!(fault.contains(says), "{fault}");
        }
    }
}
