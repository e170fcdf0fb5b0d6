//! One request over TLS: to a server that proves its name, to a stranger, to one that asks who calls.

use std::convert::Infallible;

use http::{Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::clock::Time;
use crate::event::Event;
use crate::id::Uuid;
use crate::spool::Kept;

const CERTIFICATE: &[u8] = include_bytes!("../../../../tests/data/tls/certificate.pem");
const KEY: &[u8] = include_bytes!("../../../../tests/data/tls/key.pem");

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate")
}

/// A server that speaks TLS and takes what comes with a length; gives its port.
async fn serve(protocol: &'static str, version: Version, asks: bool) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = if asks {
        builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let mut tls = builder.with_single_cert(vec![certificate()], key).expect("a certificate");
    tls.alpn_protocols = vec![protocol.into()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(socket) = acceptor.accept(socket).await else { continue };
            let service = service_fn(move |request: Request<Incoming>| async move {
                let sized = request.headers().contains_key(CONTENT_LENGTH);
                let mut response = Response::new(String::new());
                if !sized || request.version() != version {
                    *response.status_mut() = StatusCode::LENGTH_REQUIRED;
                }
                Ok::<_, Infallible>(response)
            });
            tokio::spawn(async move {
                let socket = TokioIo::new(socket);
                if version == Version::HTTP_2 {
                    let server = http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(socket, service).await;
                } else {
                    let _ = http1::Builder::new().serve_connection(socket, service).await;
                }
            });
        }
    });
    port
}

async fn send(to: &str) -> Answer {
    let destination = Destination::parse(to).expect("a destination");
    let clock = Arc::new(Clock::fixed(Time::default()));
    let mut http = Http::new(&destination, &clock, Duration::from_secs(20)).expect("a client");
    let event = Event { id: Uuid::nil(), json: Bytes::from_static(b"{}") };
    let kept = Kept {
        sequence: 1,
        account: Uuid::nil(),
        workspace: None,
        received: Time::default(),
        events: vec![event],
        capture: None,
    };
    http.send(&Load::of(vec![kept]), 0..1).await
}

/// A file of the tests' own.
fn data(name: &str) -> String {
    format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn a_server_that_proves_its_name_is_spoken_to_as_it_likes() {
    let (known, stranger) = (data("certificate.pem"), data("stranger.pem"));
    for (protocol, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
        let port = serve(protocol, version, false).await;
        let answer = send(&format!("https://localhost:{port}/in?tls_ca={known}")).await;
        assert!(matches!(answer, Answer::Taken), "{protocol}: {answer:?}");
        let answer = send(&format!("https://localhost:{port}/in?tls_ca={stranger}")).await;
        let Answer::Failed(fault) = answer else { panic!("a stranger was trusted") };
        assert_eq!(fault.outcome, Outcome::Unreachable);
        assert!(fault.what.contains("certificate"), "{}", fault.what);
    }
}

#[tokio::test]
async fn a_server_that_asks_is_shown_who_calls() {
    let (known, key) = (data("certificate.pem"), data("key.pem"));
    let port = serve("h2", Version::HTTP_2, true).await;
    let to = format!("https://localhost:{port}/in?tls_ca={known}");
    let answer = send(&format!("{to}&tls_certificate={known}&tls_key={key}")).await;
    assert!(matches!(answer, Answer::Taken), "{answer:?}");
    let Answer::Failed(fault) = send(&to).await else { panic!("somebody unknown was served") };
    assert_eq!(fault.outcome, Outcome::Unreachable);
    let destination = Destination::parse(&format!("{to}&tls_certificate={key}&tls_key={key}"));
    let clock = Arc::new(Clock::fixed(Time::default()));
    let made = Http::new(&destination.expect("a destination"), &clock, Duration::from_secs(1));
    let fault = made.expect_err("a key is no certificate").to_string();
    assert!(fault.contains("holds no certificate"), "{fault}");
}
