//! A proxy between the gateway and the internet. In: its address, and who is reached without it. Out: a way through it
//! to a host, as `CONNECT` opens it. Who may be reached through it is for the proxy to say.

use std::io;
use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most bytes of what a proxy answers.
const ANSWER_MAX_BYTES: usize = 16 << 10;
/// Where proxies listen when nothing else is said.
const PORT: u16 = 3128;

/// A proxy, and for whom it is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detour {
    pub(super) host: String,
    pub(super) port: u16,
    direct: Vec<Direct>,
}

/// Who is reached without the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    Network(IpNet),
    /// A host and all below it.
    Name(String),
}

impl Direct {
    fn read(text: &str) -> Option<Self> {
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let is_name = |name: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !name.is_empty() && name.bytes().all(fits)
        };
        let name = || {
            let name = text.trim_matches('.').to_ascii_lowercase();
            is_name(&name).then_some(Self::Name(name))
        };
        network.map(Self::Network).or_else(name)
    }

    fn holds(&self, host: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Self::Name(name) => host
                .strip_suffix(&**name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        }
    }
}

impl Detour {
    /// Reads `http://host:port`, and names or networks that are reached without it.
    ///
    /// # Errors
    /// The text that is neither.
    pub fn read<'a>(proxy: &'a str, direct: &'a [String]) -> Result<Self, &'a str> {
        let (host, port) = address(proxy).ok_or(proxy)?;
        let direct = direct.iter().map(|text| Direct::read(text).ok_or(&**text));
        Ok(Self { host, port, direct: direct.collect::<Result<_, _>>()? })
    }

    /// Whether a host is reached through it: this machine never is.
    pub(super) fn leads_to(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let is_here = host == "localhost"
            || host.ends_with(".localhost")
            || address.is_some_and(|address| address.is_loopback());
        !is_here && !self.direct.iter().any(|direct| direct.holds(&host, address))
    }
}

fn address(text: &str) -> Option<(String, u16)> {
    let uri: Uri = text.parse().ok()?;
    let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
    let bare = uri.query().is_none() && !uri.authority()?.as_str().contains('@');
    let host = uri.host().filter(|host| plain && bare && !host.is_empty())?;
    Some((host.to_owned(), uri.port_u16().unwrap_or(PORT)))
}

/// Asks a proxy for a way to a host.
///
/// # Errors
/// Why it opens none.
pub(super) async fn through(
    mut proxy: TcpStream,
    host: &str,
    port: u16,
) -> Result<TcpStream, String> {
    let gone = |fault: io::Error| fault.to_string();
    let asks = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    proxy.write_all(asks.as_bytes()).await.map_err(gone)?;
    let mut said = Vec::new();
    // Byte for byte: what comes behind the head is the host's.
    while !said.ends_with(b"\r\n\r\n") {
        if said.len() == ANSWER_MAX_BYTES {
            return Err("its answer has no end".to_owned());
        }
        said.push(proxy.read_u8().await.map_err(gone)?);
    }
    let mut words = said.split(|byte| *byte == b' ');
    let is_http = words.next().is_some_and(|word| word.starts_with(b"HTTP/1."));
    match words.next() {
        Some([b'2', _, _]) if is_http => Ok(proxy),
        other => {
            let status = String::from_utf8_lossy(other.unwrap_or_default()).into_owned();
            Err(format!("it answered {status:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        let read = |text| Detour::read(text, &[]).map(|read| (read.host, read.port));
        assert_eq!(read("http://proxy.example:8080"), Ok(("proxy.example".to_owned(), 8080)));
        assert_eq!(read("http://proxy.example/"), Ok(("proxy.example".to_owned(), 3128)));
        for bad in
            ["proxy:1", "https://proxy:1", "http://u:p@proxy:1", "http://proxy/x", "", "http://"]
        {
            assert_eq!(read(bad), Err(bad));
        }
        let direct = ["10.0.0.0/8".to_owned(), "a b".to_owned()];
        assert_eq!(Detour::read("http://proxy", &direct), Err("a b"));
    }

    #[test]
    fn this_machine_and_who_is_named_are_reached_without_it() {
        let direct = ["10.0.0.0/8", ".internal", "Prefect.example", "fd00::1"].map(String::from);
        let detour = Detour::read("http://proxy:3128", &direct).expect("a proxy");
        for (host, through) in [
            ("example.com", true),
            ("example.com.", true),
            ("93.184.216.34", true),
            ("2001:db8::1", true),
            ("notinternal", true),
            ("prefect.example.com", true),
            ("localhost", false),
            ("LOCALHOST.", false),
            ("a.localhost", false),
            ("127.0.0.9", false),
            ("::ffff:127.0.0.1", false),
            ("10.1.2.3", false),
            ("fd00::1", false),
            ("db.internal", false),
            ("internal", false),
            ("prefect.example", false),
            ("api.prefect.EXAMPLE.", false),
        ] {
            assert_eq!(detour.leads_to(host), through, "{host}");
        }
    }
}
