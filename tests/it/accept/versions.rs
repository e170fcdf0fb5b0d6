//! What comes before HTTP, and HTTP/2: PROXY headers, proxies' headers, TLS with ALPN, prior knowledge.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hookgate::accept::TlsFiles;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::{Served, serve, statuses};

const PEER: &str = "GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

#[tokio::test]
async fn trusted_proxies_say_who_sent() {
    let served = serve(|options| {
        options.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    });
    for (headers, expected) in [
        ("", "peer 127.0.0.1 false"),
        ("X-Forwarded-For: 6.6.6.6, 1.1.1.1\r\n", "peer 1.1.1.1 false"),
        ("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n", "peer 1.1.1.1 true"),
        ("Forwarded: for=\"[2001:db8::1]:9\";proto=https\r\n", "peer 2001:db8::1 true"),
    ] {
        let answer = served.tell(format!("{PEER}{headers}\r\n")).await;
        assert!(answer.ends_with(expected), "{headers}: {answer}");
    }
    let strict = serve(|_| ());
    let answer = strict.tell(format!("{PEER}X-Forwarded-For: 1.1.1.1\r\n\r\n")).await;
    assert!(answer.ends_with("peer 127.0.0.1 false"), "{answer}");
}

#[tokio::test]
async fn a_proxy_header_comes_first_where_it_is_demanded() {
    let trusted = "127.0.0.0/8".parse().expect("a network");
    let served = serve(|options| {
        options.proxy_protocol = true;
        options.trusted_proxies = vec![trusted];
    });
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x50\0\x51";
    let request = format!("{PEER}\r\n");
    let answer = served.tell([header, request.as_bytes()].concat()).await;
    assert!(answer.ends_with("peer 1.2.3.4 false"), "{answer}");
    let mut stream = served.connect().await;
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    assert_eq!(text, b"");
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"proxy\"} 1"));
}

#[tokio::test]
async fn only_configured_hosts_are_served() {
    let served = serve(|options| options.hosts = vec!["Hooks.example".into()]);
    let get =
        |host: &str| format!("GET /none HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    for (host, status) in [("hooks.example", 204), ("hooks.EXAMPLE:8420", 204), ("x", 400)] {
        assert_eq!(statuses(&served.tell(get(host)).await), [status], "{host}");
    }
}

async fn ask_http2<S>(io: S, uri: &str, host: Option<&str>, body: &'static [u8]) -> (u16, Bytes)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io))
            .await
            .expect("HTTP/2 is spoken");
    tokio::spawn(connection);
    let mut request = Request::post(uri).version(Version::HTTP_2);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let request = request.body(Full::new(Bytes::from_static(body))).expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.expect("a body").to_bytes())
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge() {
    let served = serve(|_| ());
    for (uri, host, status, expected) in [
        ("http://x/echo", None, 200, &b"text"[..]),
        ("http://x/echo", Some("x"), 200, b"text"),
        ("http://x/echo", Some("y"), 400, b"{\"detail\":\"Bad Request\"}"),
        ("http://x/none", None, 204, b""),
    ] {
        let answer = ask_http2(served.connect().await, uri, host, b"text").await;
        assert_eq!(answer, (status, Bytes::from_static(expected)), "{uri} {host:?}");
    }
}

fn tls_files() -> TlsFiles {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    TlsFiles { certificate, key, client_ca: None, client_crl: None }
}

async fn encrypt(
    served: &Served,
    protocols: &[&[u8]],
) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_file(tls_files().certificate).expect("a certificate");
    roots.add(certificate).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions are known")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, served.connect().await).await.expect("a handshake")
}

#[tokio::test]
async fn tls_offers_both_versions() {
    let served = serve(|options| options.tls = Some(tls_files()));
    let stream = encrypt(&served, &[b"h2", b"http/1.1"]).await;
    let (status, text) = ask_http2(stream, "https://localhost/peer", None, b"").await;
    assert_eq!((status, &text[..]), (200, &b"peer 127.0.0.1 true"[..]));
    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let mut stream = encrypt(&served, protocols).await;
        stream.write_all(format!("{PEER}\r\n").as_bytes()).await.expect("the peer reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("closed as TLS asks");
        assert!(text.ends_with("peer 127.0.0.1 true"), "{text}");
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_or_fails_is_ended() {
    let served = serve(|options| {
        options.tls = Some(tls_files());
        options.tls_handshake = std::time::Duration::from_millis(100);
    });
    for sent in [&b""[..], b"\x16\x03\x01\x02\0\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = served.connect().await;
        stream.write_all(sent).await.expect("the peer reads");
        let mut text = Vec::new();
        let ended = tokio::time::timeout(super::PATIENCE, stream.read_to_end(&mut text)).await;
        assert!(ended.is_ok(), "{sent:?}");
    }
    assert!(served.counted("hookgate_accept_refusals_total{reason=\"tls\"} 3"));
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_waits_and_nobody_of_it_is_cut() {
    const AT_ONCE: usize = 10;
    let served = serve(|options| {
        options.tls = Some(tls_files());
        options.tls_handshakes_max = AT_ONCE;
    });
    let one = async || {
        let stream = encrypt(&served, &[b"h2"]).await;
        ask_http2(stream, "https://localhost/none", None, b"").await.0
    };
    let all = futures_util::future::join_all((0..3 * AT_ONCE).map(|_| one())).await;
    assert_eq!(all, [204; 3 * AT_ONCE]);
    assert!(!served.counted("hookgate_accept_refusals_total{reason=\"tls\"} 1"));
}

#[tokio::test]
async fn handshakes_that_stall_keep_nobody_out_who_goes_on() {
    const AT_ONCE: usize = 3;
    let served = serve(|options| {
        options.tls = Some(tls_files());
        options.tls_handshakes_max = AT_ONCE;
        options.tls_handshake = 2 * super::PATIENCE;
    });
    let mut stalled = Vec::new();
    for _ in 0..AT_ONCE + 2 {
        let mut stream = served.connect().await;
        stream.write_all(b"\x16\x03\x01\x02\0\x01").await.expect("the peer reads");
        stalled.push(stream);
    }
    for stream in &mut stalled[..2] {
        let mut text = Vec::new();
        let ended = tokio::time::timeout(super::PATIENCE, stream.read_to_end(&mut text)).await;
        assert!(ended.is_ok(), "the first make room for the last");
    }
    for _ in 0..AT_ONCE {
        let stream = encrypt(&served, &[b"h2"]).await;
        let answer = ask_http2(stream, "https://localhost/none", None, b"").await;
        assert_eq!(answer.0, 204);
    }
    let line = "hookgate_accept_refusals_total{reason=\"tls\"} 3";
    assert!(served.counted(line), "one made room, and that was enough");
    let (moment, mut text) = (std::time::Duration::from_millis(50), Vec::new());
    let last = tokio::time::timeout(moment, stalled[AT_ONCE + 1].read_to_end(&mut text)).await;
    assert!(last.is_err(), "the newest still has its time");
}
