//! Which addresses may be connected to. In: a host and a port, and whether the network rules bind whoever named them.
//! Out: a connection to an address that was checked, or the rule it breaks. A name is looked up once, and what came of
//! it is both checked and dialled, so no second answer can lead elsewhere. Where a proxy stands between, names are for
//! the proxy to look up and to judge. Never follows anything.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::detour::{self, Detour};
use super::names;

/// From the look-up of a name to an open connection.
const DEADLINE: Duration = Duration::from_secs(10);
/// The next address of a name is tried beside the ones before it after this long.
const STAGGER: Duration = Duration::from_millis(250);
/// Most addresses of a name that are looked at.
const ADDRESSES_MAX: usize = 16;
/// A silent peer is asked whether it is there after this long.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// IPv4 networks that nobody on the internet is reached at, or that answer with a machine's own secrets.
const REFUSED_V4: &[([u8; 4], u8, &str)] = &[
    ([0, 0, 0, 0], 8, "unspecified"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared by a carrier"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([168, 63, 129, 16], 32, "metadata"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 88, 99, 0], 24, "reserved"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "benchmarks"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// The only IPv6 network with public addresses, and what in it is none.
const PUBLIC_V6: ([u16; 8], u8) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const REFUSED_V6: &[([u16; 8], u8, &str)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "reserved"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum EgressFault {
    /// The network rules.
    #[error(
        "the network rules refuse {host}: {address} is {why}; egress.allow can name its network"
    )]
    Refused {
        /// Who was asked for.
        host: String,
        /// One of its addresses.
        address: IpAddr,
        /// What speaks against that.
        why: &'static str,
    },
    /// Nobody knows it.
    #[error("{host} has no address: {why}")]
    Unknown {
        /// Who was asked for.
        host: String,
        /// What the look-up says.
        why: String,
    },
    /// Nobody is there.
    #[error("no connection to {address}: {why}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        why: io::Error,
    },
    /// The proxy between opens no way.
    #[error("the proxy opens no way to {host}: {why}")]
    Proxy {
        /// Who was asked for.
        host: String,
        /// What it says.
        why: String,
    },
    /// It took too long.
    #[error("no connection to {host} within {seconds} s")]
    Late {
        /// Who was asked for.
        host: String,
        /// The bound.
        seconds: u64,
    },
}

/// Where one destination may connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// Anywhere: an operator named it.
    #[default]
    Free,
    /// Public addresses, and these networks.
    Bound(Arc<[IpNet]>),
    /// By the same rules, through a proxy.
    Through(Arc<Detour>, Box<Egress>),
}

/// What HTTP runs over.
#[cfg(not(test))]
type Line = TcpStream;
#[cfg(test)]
use super::line::Line;

/// Addresses that may be connected to; made only by the rules.
struct Admitted(Vec<SocketAddr>);

impl Egress {
    /// The same through a proxy, where there is one.
    #[must_use]
    pub fn through(self, detour: Option<&Arc<Detour>>) -> Self {
        match detour {
            Some(detour) => Self::Through(Arc::clone(detour), Box::new(self)),
            None => self,
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// [`EgressFault`]: why not.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, EgressFault> {
        let connecting = async {
            let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let bare = bare.unwrap_or(host);
            match self {
                Self::Through(detour, rules) if detour.leads_to(bare) => {
                    if is_number(bare) {
                        rules.look_up(host, bare, port).await?;
                    }
                    let proxy = Self::Free.look_up(&detour.host, &detour.host, detour.port).await?;
                    let opened = detour::through(dial(proxy).await?, host, port).await;
                    opened.map_err(|why| EgressFault::Proxy { host: host.to_owned(), why })
                }
                Self::Through(_, rules) => dial(rules.look_up(host, bare, port).await?).await,
                rules => dial(rules.look_up(host, bare, port).await?).await,
            }
        };
        let late = || EgressFault::Late { host: host.to_owned(), seconds: DEADLINE.as_secs() };
        let socket = timeout(DEADLINE, connecting).await.map_err(|_| late())??;
        // What a socket cannot be told it goes on without.
        let _ = socket.set_nodelay(true);
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
        let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
        Ok(socket)
    }

    /// What the rules say against a host that is an address, or this machine's own name; what other names lead to only
    /// a look-up knows.
    #[must_use]
    pub fn refuses(&self, host: &str) -> Option<EgressFault> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let bare = bare.unwrap_or(host).trim_end_matches('.').to_ascii_lowercase();
        let address = match bare.parse() {
            Ok(address) => address,
            Err(_) if bare == "localhost" || bare.ends_with(".localhost") => {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            }
            Err(_) => return None,
        };
        let rules = if let Self::Through(_, rules) = self { rules } else { self };
        rules.admit(host, vec![SocketAddr::new(address, 0)]).err()
    }

    /// Asks once for the addresses of a host, and checks them.
    async fn look_up(&self, host: &str, bare: &str, port: u16) -> Result<Admitted, EgressFault> {
        let unknown =
            |why: io::Error| EgressFault::Unknown { host: host.to_owned(), why: why.to_string() };
        let found = names::look_up(bare, port, ADDRESSES_MAX).await.map_err(unknown)?;
        self.admit(host, found)
    }

    /// The same for HTTP.
    async fn open(&self, host: &str, port: u16) -> Result<Line, EgressFault> {
        #[cfg(test)]
        return super::line::open(self, host, port).await;
        #[cfg(not(test))]
        self.connect(host, port).await
    }

    /// Checks every address; one that is refused refuses the host.
    fn admit(&self, host: &str, found: Vec<SocketAddr>) -> Result<Admitted, EgressFault> {
        if found.is_empty() {
            let why = "the look-up gave none".to_owned();
            return Err(EgressFault::Unknown { host: host.to_owned(), why });
        }
        if let Self::Bound(allowed) = self {
            for address in found.iter().map(|found| found.ip().to_canonical()) {
                let is_allowed = allowed.iter().any(|network| network.contains(&address));
                if let Some(why) = refusal(address).filter(|_| !is_allowed) {
                    return Err(EgressFault::Refused { host: host.to_owned(), address, why });
                }
            }
        }
        Ok(Admitted(found))
    }
}

/// Whether a host is an address, however it is written: no name ends in a label that begins with a digit.
fn is_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    host.contains(':') || last.starts_with(|first: char| first.is_ascii_digit())
}

/// What speaks against an address; `None`: it is public.
fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address),
        IpAddr::V6(address) => refusal_v6(address),
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    let holds = |base: [u8; 4], bits| {
        Ipv4Net::new(base.into(), bits).is_ok_and(|network| network.contains(&address))
    };
    REFUSED_V4.iter().find(|(base, bits, _)| holds(*base, *bits)).map(|(.., why)| *why)
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let holds = |base: [u16; 8], bits| {
        Ipv6Net::new(base.into(), bits).is_ok_and(|network| network.contains(&address))
    };
    if let Some((.., why)) = REFUSED_V6.iter().find(|(base, bits, _)| holds(*base, *bits)) {
        return Some(why);
    }
    // Some addresses carry an IPv4 address that the packets come out at.
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        refusal_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0xffff, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => embedded(high, low),
        _ if holds(PUBLIC_V6.0, PUBLIC_V6.1) => None,
        _ => Some("reserved"),
    }
}

/// Tries one address after the other, the next one beside those that have not answered; the first that does is taken.
async fn dial(Admitted(addresses): Admitted) -> Result<TcpStream, EgressFault> {
    let mut tries = JoinSet::new();
    for (place, address) in addresses.into_iter().enumerate() {
        tries.spawn(async move {
            sleep(STAGGER * place as u32).await;
            let connected = names::dial(address).await;
            connected.map_err(|why| EgressFault::Unreachable { address, why })
        });
    }
    let mut first = None;
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(fault)) => first = first.or(Some(fault)),
            // The runtime ends.
            Err(_) => {}
        }
    }
    Err(first.unwrap_or_else(|| EgressFault::Unknown {
        host: String::new(),
        why: "the gateway stops".into(),
    }))
}

/// The same for hyper's client.
impl Service<Uri> for Egress {
    type Response = TokioIo<Line>;
    type Error = EgressFault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let egress = self.clone();
        Box::pin(async move {
            let is_https = uri.scheme_str() == Some("https");
            let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
            egress.open(uri.host().unwrap_or_default(), port).await.map(TokioIo::new)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::fetch::names::stage::Stage;

    const ADDRESSES: &str = include_str!("../../tests/data/egress/addresses.txt");
    const HOSTS: &str = include_str!("../../tests/data/egress/hosts.txt");

    fn cases(text: &str) -> impl Iterator<Item = (&str, &str)> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(|line| line.split_once(' ').expect("two words"))
    }

    fn bound(networks: &[&str]) -> Egress {
        Egress::Bound(networks.iter().map(|text| text.parse().expect("a network")).collect())
    }

    fn admit(egress: &Egress, addresses: &[&str]) -> Result<Admitted, EgressFault> {
        let parse = |text: &&str| SocketAddr::new(text.parse().expect("an address"), 1);
        egress.admit("host", addresses.iter().map(parse).collect())
    }

    #[test]
    fn addresses_are_refused_before_they_are_asked_for() {
        let rules = bound(&["10.0.0.0/8"]);
        let refused = |host: &str| rules.refuses(host).map(|fault| fault.to_string());
        for (host, address) in [
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("LocalHost.", "127.0.0.1"),
            ("a.localhost", "127.0.0.1"),
            ("[::ffff:192.168.0.1]", "192.168.0.1"),
        ] {
            let says = refused(host).expect(host);
            assert!(says.contains(&format!("refuse {host}: {address} is ")), "{says}");
        }
        for host in ["10.1.2.3", "9.9.9.9", "shop.example", "[2a00::1]", "localhost.example"] {
            assert_eq!(refused(host), None, "{host}");
        }
        assert!(Egress::Free.refuses("127.0.0.1").is_none());
    }

    #[test]
    fn every_address_of_the_table_is_judged_as_it_says() {
        let mut count = 0;
        for (address, verdict) in cases(ADDRESSES) {
            let found = admit(&bound(&[]), &[address]);
            match (verdict, found) {
                ("public", Ok(_)) => {}
                (_, Err(EgressFault::Refused { why, .. })) => assert_eq!(why, verdict, "{address}"),
                (_, found) => panic!("{address}: {verdict}, {:?}", found.err()),
            }
            assert!(admit(&Egress::Free, &[address]).is_ok());
            count += 1;
        }
        assert!(count >= 60, "{count} cases");
    }

    #[test]
    fn one_refused_address_refuses_the_host_unless_its_network_is_allowed() {
        let mixed = ["93.184.216.34", "10.0.0.1"];
        assert!(admit(&bound(&[]), &mixed).is_err());
        assert!(admit(&bound(&["10.0.0.0/24"]), &mixed).is_ok());
        assert!(admit(&bound(&["10.0.0.0/24"]), &["10.0.1.1"]).is_err());
        assert!(admit(&bound(&["127.0.0.0/8"]), &["::ffff:127.0.0.1"]).is_ok());
        assert!(admit(&bound(&["fd00::/8"]), &["fd12::1"]).is_ok());
        assert!(matches!(admit(&bound(&[]), &[]), Err(EgressFault::Unknown { .. })));
    }

    #[tokio::test]
    async fn however_loopback_is_written_it_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for (host, verdict) in cases(HOSTS) {
            match (verdict, bound(&[]).connect(host, port).await) {
                ("refused", Err(EgressFault::Refused { .. }))
                | ("no-address", Err(EgressFault::Unknown { .. })) => {}
                (_, found) => panic!("{host}: {verdict}, {found:?}"),
            }
            let uri: Result<Uri, _> = format!("http://{host}:{port}/").parse();
            if let Ok(uri) = uri {
                assert!(bound(&[]).call(uri).await.is_err(), "{host}");
            }
        }
        assert!(Egress::Free.connect("localhost", port).await.is_ok());
        assert!(bound(&["127.0.0.0/8", "::1/128"]).connect("localhost", port).await.is_ok());
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let good = listener.local_addr().expect("an address");
        let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let bad = gone.local_addr().expect("an address");
        drop(gone);
        let socket = dial(Admitted(vec![bad, good])).await.expect("a connection");
        assert_eq!(socket.peer_addr().expect("a peer"), good);
        let fault = dial(Admitted(vec![bad])).await.expect_err("nobody there");
        assert!(matches!(fault, EgressFault::Unreachable { address, .. } if address == bad));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_the_second_time_is_asked_for_once() {
        const PUBLIC: &str = "93.184.216.34";
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = listener.local_addr().expect("an address");
        let dialled = |text: &str| SocketAddr::new(text.parse().expect("an address"), 8080);
        let asked = |count| vec!["flips.example".to_owned(); count];
        let direct = ["flips.example".to_owned()];
        let detour = Detour::read("http://proxy.example:3128", &direct).expect("a proxy");
        let detour = Arc::new(detour);
        let beside = bound(&[]).through(Some(&detour));
        for mut egress in [bound(&[]), beside] {
            // What is checked is what is dialled: the second answer is not asked for.
            let stage = Stage::enter(&[&[PUBLIC], &["127.0.0.1"]], peer);
            egress.connect("flips.example", 8080).await.expect("a connection");
            assert_eq!(stage.told(), (asked(1), vec![dialled(PUBLIC)]));
            let fault = egress.connect("flips.example", 8080).await.expect_err("inside");
            assert!(matches!(fault, EgressFault::Refused { why: "loopback", .. }), "{fault}");
            assert_eq!(stage.told(), (asked(1), Vec::new()), "nobody was dialled");
            drop(stage);
            // As HTTP goes.
            let stage = Stage::enter(&[&[PUBLIC], &["127.0.0.1"]], peer);
            let uri = || Uri::from_static("http://flips.example:8080/");
            egress.call(uri()).await.expect("a connection");
            assert_eq!(stage.told(), (asked(1), vec![dialled(PUBLIC)]));
            assert!(egress.call(uri()).await.is_err());
            assert_eq!(stage.told(), (asked(1), Vec::new()));
            drop(stage);
            // Nor does one answer of both kinds lead inside.
            let stage = Stage::enter(&[&[PUBLIC, "::1"]], peer);
            assert!(egress.connect("flips.example", 8080).await.is_err());
            assert_eq!(stage.told(), (asked(1), Vec::new()));
        }
    }
}
