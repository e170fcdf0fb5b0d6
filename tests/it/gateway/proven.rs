//! Destinations of records that sign what they send, show a certificate and trust one authority alone: made and changed
//! by the program, sent to a server that demands all of it, and told without any secret.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::{Served, wait};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const TEMPLATE: &str = r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "shop"},
    "payload": {{ body|tojson }}}"#;

/// What a server was asked.
type Asked = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A server that speaks to nobody without a certificate of the tests' authority.
fn serve(served: &Served) -> (u16, Asked) {
    let certificates = |name| {
        let found = CertificateDer::pem_file_iter(data(name)).expect("a file");
        found.collect::<Result<Vec<_>, _>>().expect("certificates")
    };
    let mut roots = RootCertStore::empty();
    for one in certificates("fetched/ca.pem") {
        roots.add(one).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivateKeyDer::from_pem_file(data("fetched/server-key.pem")).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(certificates("fetched/server.pem"), key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    served.runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                // Who shows no certificate gets no further.
                let Ok(secured) = acceptor.accept(socket).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    let seen = Arc::clone(&seen);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.expect("a body").to_bytes();
                        seen.lock().expect("a list").push((head.headers, body));
                        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                    }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(secured), service).await;
            });
        }
    });
    (port, asked)
}

/// Which of the secrets signed a request.
fn signed_by((headers, body): &(HeaderMap, Bytes)) -> Vec<&'static str> {
    let text = |name: &str| headers[name].to_str().expect("text");
    let mut message = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).into_bytes();
    message.extend_from_slice(body);
    let signatures: Vec<_> = text("webhook-signature").split(' ').collect();
    let is_by = |secret: &&str| {
        let key = STANDARD.decode(&secret["whsec_".len()..]).expect("base64");
        let tag = sign(&Key::new(HMAC_SHA256, &key), &message);
        signatures.contains(&format!("v1,{}", STANDARD.encode(tag)).as_str())
    };
    let found: Vec<_> = [OLD, NEW].into_iter().filter(is_by).collect();
    assert_eq!(found.len(), signatures.len(), "{signatures:?}");
    found
}

impl Served {
    /// Posts, and what the server was asked then, in all.
    fn until_asked(&self, webhook: &Value, asked: &Asked, count: usize) -> (HeaderMap, Bytes) {
        assert_eq!(self.post(webhook, &format!(r#"{{"n":{count}}}"#)).status, 204);
        wait("a request", || {
            let asked = asked.lock().expect("a list");
            asked.get(count - 1).cloned()
        })
    }
}

#[test]
fn a_record_signs_with_two_secrets_and_shows_its_certificate() {
    let served = Served::start(|config| {
        config.egress.allow = vec!["127.0.0.0/8".into()];
    });
    let (port, asked) = serve(&served);
    let webhook = served.webhook(TEMPLATE);
    let file = |name: &str, text: &str| {
        let path = served.folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let both = file("both", &format!("# one ends soon\n{OLD}\n{NEW}\n"));
    let basic = file("basic", "shop:pass word\n");
    let [ca, certificate, key] = ["ca.pem", "client.pem", "client-key.pem"]
        .map(|name| data("fetched").join(name).display().to_string());
    let to = format!("https://127.0.0.1:{port}/in");
    let made = served.answered(&[
        "destination",
        "create",
        "shop",
        &to,
        "--event",
        "shop.*",
        "--form",
        "single",
        "--sign-secret-file",
        &both,
        "--basic-file",
        &basic,
        "--tls-ca",
        &ca,
        "--tls-certificate",
        &certificate,
        "--tls-key-file",
        &key,
    ]);
    let first = served.until_asked(&webhook, &asked, 1);
    assert_eq!(signed_by(&first), [OLD, NEW]);
    assert_eq!(first.0["authorization"], "Basic c2hvcDpwYXNzIHdvcmQ=");
    let event: Value = serde_json::from_slice(&first.1).expect("one event, and no array");
    assert_eq!(event["payload"]["n"], 1);

    // What is not said stays; one secret goes, and nothing is refused.
    served.answered(&["destination", "update", "shop", "--rate", "100/s"]);
    assert_eq!(signed_by(&served.until_asked(&webhook, &asked, 2)), [OLD, NEW]);
    let one = file("one", NEW);
    served.answered(&["destination", "update", "shop", "--sign-secret-file", &one]);
    // What was about to go out is signed by both still.
    let mut count = 3;
    while signed_by(&served.until_asked(&webhook, &asked, count)) != [NEW] {
        assert!(count < 50, "the secret that was taken away signs still");
        count += 1;
    }
    let told = served.answered(&["destination", "show", "shop", "-o", "json"]);
    assert!(told.contains("sign_secrets_set") && told.contains("tls_key_set"), "{told}");
    assert!(served.answered(&["parked", "ls", "shop"]).is_empty());

    let key_text = std::fs::read_to_string(&key).expect("a key");
    let key_line = key_text.lines().nth(1).expect("a line");
    let acts = wait("the acts", || {
        let acts = served.answered(&["audit", "ls", "--kind", "destination", "-o", "ndjson"]);
        (acts.matches("destination.updated").count() >= 2).then_some(acts)
    });
    for secret in [&OLD[6..], &NEW[6..], key_line, "pass word", "c2hvcDpwYXNz"] {
        assert!(!format!("{made}{told}{acts}").contains(secret), "{secret}");
    }
    // Without its certificate it is let in nowhere, and what it says of it is no secret.
    served.answered(&["destination", "update", "shop", "--tls-certificate", ""]);
    assert_eq!(served.post(&webhook, r#"{"n":"last"}"#).status, 204);
    wait("a closed door", || {
        let told = served.ask("/readyz").text();
        told.contains("shop").then_some(())
    });
    assert_eq!(asked.lock().expect("a list").len(), count);
}

#[test]
fn what_proves_nothing_is_refused_by_its_field() {
    let served = Served::start(|_| ());
    let read = |name: &str| std::fs::read_to_string(data(name)).expect("a file");
    let (certificate, key) = (read("fetched/client.pem"), read("fetched/client-key.pem"));
    for (field, fields) in [
        ("sign_secrets", json!({"sign_secrets": [OLD, NEW, OLD]})),
        ("sign_secrets", json!({"sign_secrets": ["whsec_short"]})),
        ("sign_secrets", json!({"sign_secrets": OLD})),
        ("tls_key", json!({"tls_key": key})),
        ("tls_certificate", json!({"tls_certificate": key, "tls_key": key})),
        (
            "tls_certificate",
            json!({"tls_certificate": certificate, "tls_key": read("fetched/server-key.pem")}),
        ),
        ("tls_key", json!({"tls_certificate": certificate, "tls_key": certificate})),
        ("tls_ca", json!({"tls_ca": "none"})),
        ("tls_ca", json!({"tls_ca": "x".repeat(70_000)})),
        ("basic", json!({"basic": "shop"})),
        ("form", json!({"form": "xml"})),
    ] {
        let mut body = json!({"name": "d", "to": "https://example.com/in"});
        for (name, value) in fields.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let refused = served.call("POST", "/destinations", &body);
        let told = refused.text();
        assert_eq!(refused.status, 422, "{fields}: {told}");
        assert_eq!(refused.json()["detail"][0]["loc"], json!(["body", field]), "{told}");
        for line in key.lines().filter(|line| !line.starts_with("---")) {
            assert!(!told.contains(line), "{told}");
        }
    }
}
