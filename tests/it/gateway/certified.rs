//! Senders that show certificates of their own, over real TLS: the name that was agreed to is taken, others, none and
//! those of strangers are not, and nobody says in a header who he is. In: certificates of `tests/data/mtls`.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use super::attacks::scarce::Program;
use super::commands::said;
use super::faults::data as own;
use super::{PATIENCE, Served, wait};

const TEMPLATE: &str = r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "shop.1"},
    "payload": {{ headers|tojson }}}"#;
const BODY: &str = r#"{"kind": "paid"}"#;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mtls").join(name)
}

/// A gateway with TLS that asks senders for certificates of our authority.
fn asking(change: impl FnOnce(&mut hookgate::config::Config)) -> Served {
    Served::start(|config| {
        config.server.tls_certificate = Some(own("certificate.pem"));
        config.server.tls_key = Some(own("key.pem"));
        config.server.tls_client_ca = Some(data("ca.pem"));
        change(config);
    })
}

/// A client that shows that certificate, or none.
fn client(shown: Option<&str>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(own("certificate.pem"));
    roots.add(certificate.expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions are known")
        .with_root_certificates(roots);
    let Some(shown) = shown else { return Arc::new(builder.with_no_client_auth()) };
    let chain = vec![CertificateDer::from_pem_file(data(shown)).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(data("key.pem")).expect("a key");
    Arc::new(builder.with_client_auth_cert(chain, key).expect("they belong together"))
}

/// One request over a connection of its own: what comes back as text.
fn tell(
    served: &Served,
    client: &Arc<ClientConfig>,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<String> {
    let socket = TcpStream::connect(served.address())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::clone(client), name).expect("a client");
    let mut stream = StreamOwned::new(connection, socket);
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

impl Served {
    /// Calls the API over TLS; below the workspace.
    fn manage(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (bearer, path) = (format!("Bearer {}", self.key), format!("{}{path}", self.api));
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let text = tell(self, &client(None), (method, &path), &headers, &body.to_string());
        let text = text.expect("an answer");
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status(&text), serde_json::from_str(body).unwrap_or_default())
    }

    fn agreeing(&self, parameters: &Value) -> Value {
        let said = json!({"provider": "mtls", "parameters": parameters});
        let body = json!({"name": "shop", "template": TEMPLATE, "verification": said});
        let (status, made) = self.manage("POST", "/webhooks/", &body);
        assert_eq!(status, 201, "{made}");
        made
    }

    /// What a sender who shows that is told: the status, and the reason of a refusal.
    fn shows(&self, hook: &Value, shown: Option<&str>, headers: &[(&str, &str)]) -> (u16, String) {
        let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
        let told = tell(self, &client(shown), ("POST", &path), headers, BODY).expect("an answer");
        let reason = told.split_once("Not verified: ").map_or("", |(_, rest)| rest);
        (status(&told), reason.trim_end_matches("\"}").to_owned())
    }
}

fn status(answer: &str) -> u16 {
    answer[9..12].parse().expect("a status")
}

fn refused(reason: &str) -> (u16, String) {
    (401, reason.to_owned())
}

#[test]
fn only_a_certificate_with_an_agreed_name_is_taken() {
    let served = asking(|_| ());
    let hook = served.agreeing(&json!({"dns": "other.example SHOP.example.com"}));
    assert_eq!(hook["verification"]["parameters"]["dns"], "other.example SHOP.example.com");
    assert_eq!(served.shows(&hook, None, &[]), refused("certificate_missing"));
    assert_eq!(served.shows(&hook, Some("till.pem"), &[]), refused("sender_refused"));
    for stranger in ["stranger.pem", "ended.pem"] {
        let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
        let told = tell(&served, &client(Some(stranger)), ("POST", &path), &[], BODY);
        assert!(told.as_deref().unwrap_or_default().is_empty(), "{stranger}: {told:?}");
    }
    // Whoever says so in a header says nothing.
    let print = fs::read_to_string(data("shop.sha256")).expect("a fingerprint").trim().to_owned();
    let forged = [
        ("X-Forwarded-Client-Cert", "Hash=00;DNS=shop.example.com"),
        ("X-SSL-Client-S-DN", "CN=Acme Shop"),
        ("X-Client-Cert-Fingerprint", print.as_str()),
    ];
    assert_eq!(served.shows(&hook, None, &forged), refused("certificate_missing"));
    assert_eq!(served.shows(&hook, Some("shop.pem"), &[]), (204, String::new()));
    let by_print = served.agreeing(&json!({"fingerprint": print, "cn": "Acme Shop"}));
    assert_eq!(served.shows(&by_print, Some("shop.pem"), &[]).0, 204);
    assert_eq!(served.shows(&by_print, Some("till.pem"), &[]), refused("sender_refused"));

    let events = served.events(4);
    let received: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "prefect-cloud.webhook.received")
        .map(|event| &event["resource"])
        .collect();
    assert_eq!(received.len(), 2, "what is refused leaves nothing: {events:?}");
    let label = |name: &str| received[0][format!("hookgate.verification{name}")].clone();
    assert_eq!((label(""), label(".provider")), (json!("verified"), json!("mtls")));
    assert_eq!(label(".sender"), "dns:shop.example.com");
    assert_eq!(label(".certificate"), print.as_str());
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains("hookgate_tls_certificate_not_after_seconds 49"), "{metrics}");
}

#[test]
fn a_certificate_counts_for_its_own_sender_and_no_longer_than_its_term() {
    let trusting = asking(|config| config.server.trusted_proxies = vec!["127.0.0.1".to_owned()]);
    let hook = trusting.agreeing(&json!({"cn": "Acme Shop"}));
    for relayed in [
        &[("X-Forwarded-For", "198.51.100.7")][..],
        &[("Forwarded", "for=198.51.100.7")],
        // The proxy's header is gone: its client named it in `Connection`.
        &[],
    ] {
        let told = trusting.shows(&hook, Some("shop.pem"), relayed);
        assert_eq!(told, refused("certificate_missing"), "a proxy shows its own: {relayed:?}");
    }
    // A century on the certificate is over; whose connection outlives it is refused as well.
    let served = asking(|_| ());
    let hook = served.agreeing(&json!({"cn": "Acme Shop"}));
    let forwarded = [("X-Forwarded-For", "198.51.100.7")];
    assert_eq!(served.shows(&hook, Some("shop.pem"), &forwarded).0, 204, "no proxy of ours");
    served.clock.advance_seconds(100 * 366 * 86_400);
    assert_eq!(served.shows(&hook, Some("shop.pem"), &[]), refused("certificate_refused"));
}

#[test]
fn other_authorities_count_without_a_restart() {
    let folder = std::env::temp_dir().join(format!("hookgate-mtls-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let place = folder.join("senders.pem");
    fs::copy(data("ca.pem"), &place).expect("a copy");
    let served = asking(|config| config.server.tls_client_ca = Some(place.clone()));
    let hook = served.agreeing(&json!({"cn": "Acme Shop"}));
    assert_eq!(served.shows(&hook, Some("shop.pem"), &[]).0, 204);
    let both = ["ca.pem", "other-ca.pem"].map(|name| fs::read(data(name)).expect("a file"));
    fs::write(&place, both.concat()).expect("a write");
    let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
    let ask = |shown| tell(&served, &client(Some(shown)), ("POST", &path), &[], BODY);
    wait("the other authority", || {
        ask("stranger.pem").ok().filter(|told| !told.is_empty() && status(told) == 204)
    });
    fs::copy(data("other-ca.pem"), &place).expect("a copy");
    wait("the end of the first", || {
        ask("shop.pem").map_or(Some(()), |told| told.is_empty().then_some(()))
    });
    assert_eq!(status(&ask("stranger.pem").expect("an answer")), 204);
    fs::remove_dir_all(&folder).expect("the folder goes");
}

#[test]
fn a_certificate_that_its_authority_revoked_is_refused_without_a_restart() {
    let folder = std::env::temp_dir().join(format!("hookgate-crl-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let place = folder.join("revoked.crl");
    let lay = |names: &[&str]| {
        let lists: Vec<u8> =
            names.iter().flat_map(|name| fs::read(data(name)).expect("a file")).collect();
        fs::write(&place, lists).expect("a write");
    };
    lay(&["none.crl"]);
    let served = asking(|config| config.server.tls_client_crl = Some(place.clone()));
    let till = served.agreeing(&json!({"cn": "Acme Till"}));
    let shop = served.agreeing(&json!({"cn": "Acme Shop"}));
    let ask = |hook: &Value, shown: Option<&str>| {
        let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
        tell(&served, &client(shown), ("POST", &path), &[], BODY)
    };
    let is_taken = |hook: &Value, shown: &str| {
        ask(hook, Some(shown)).is_ok_and(|told| !told.is_empty() && status(&told) == 204)
    };
    assert!(is_taken(&till, "till.pem") && is_taken(&shop, "shop.pem"));
    lay(&["till.crl"]);
    wait("the list is read", || (!is_taken(&till, "till.pem")).then_some(()));
    let told = ask(&till, Some("till.pem"));
    assert!(told.as_deref().unwrap_or_default().is_empty(), "refused in the handshake: {told:?}");
    assert!(is_taken(&shop, "shop.pem"), "who is not on it is taken");
    assert_eq!(status(&ask(&shop, None).expect("an answer")), 401, "who shows none is served");
    // Without a list of its authority nobody knows of a certificate that it is good.
    lay(&["other.crl"]);
    wait("another list is read", || (!is_taken(&shop, "shop.pem")).then_some(()));
    lay(&["none.crl", "other.crl"]);
    wait("both lists are read", || is_taken(&till, "till.pem").then_some(()));
    fs::remove_dir_all(&folder).expect("the folder goes");
}

#[test]
fn what_names_nobody_or_could_never_be_shown_is_not_saved() {
    let served = asking(|_| ());
    for (part, said) in [
        ("parameters", json!({"provider": "mtls"})),
        ("parameters", json!({"provider": "mtls", "parameters": {"dns": " "}})),
        ("parameters", json!({"provider": "mtls", "parameters": {"dns": "*.example.com"}})),
        ("parameters", json!({"provider": "mtls", "parameters": {"fingerprint": "00"}})),
        ("parameters", json!({"provider": "mtls", "parameters": {"cn": "a", "name": "b"}})),
        (
            "secrets",
            json!({"provider": "mtls", "parameters": {"cn": "a"}, "secrets": ["12345678"]}),
        ),
        ("once", json!({"provider": "mtls", "parameters": {"cn": "a"}, "once": true})),
    ] {
        let body = json!({"name": "w", "template": TEMPLATE, "verification": said});
        let (status, told) = served.manage("POST", "/webhooks/", &body);
        let place = &told["detail"][0]["loc"];
        assert_eq!((status, place), (422, &json!(["body", "verification", part])), "{told}");
    }
    let deaf = Served::start(|_| ());
    let said = json!({"provider": "mtls", "parameters": {"cn": "Acme Shop"}});
    let body = json!({"name": "w", "template": TEMPLATE, "verification": said});
    let answer = deaf.call("POST", "/webhooks/", &body);
    assert_eq!((answer.status, answer.text().contains("server.tls_client_ca")), (422, true));
}

#[test]
fn a_webhook_that_nobody_can_satisfy_is_named() {
    let served = asking(|_| ());
    served.agreeing(&json!({"cn": "Acme Shop"}));
    let data = served.config.server.data.display().to_string();
    let (_, told) = served.refused(&["doctor", "--data", &data, "-o", "json"], &served.key);
    let found = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = found.filter(|row| row["name"] == "no-client-ca").count();
    assert_eq!(found, 1, "{told}");
}

#[test]
fn a_command_sets_and_shows_whose_certificates_are_taken() {
    let served = asking(|_| ());
    let template = served.folder.join("template.j2");
    fs::write(&template, TEMPLATE).expect("a write");
    let url = format!("https://localhost:{}", served.address().port());
    let run = |arguments: &[&str]| {
        let mut command = served.alone(arguments);
        command.env("HOOKGATE_URL", &url).env("HOOKGATE_API_KEY", &served.key);
        command.env("SSL_CERT_FILE", own("certificate.pem")).output().expect("an end")
    };
    let file = template.display().to_string();
    let made =
        ["webhook", "create", "--name", "shop", "--template-file", &file, "--verify", "mtls"];
    let nobody = run(&made);
    let told = said(&nobody);
    assert!(!nobody.status.success() && told.contains("`cn` or `dns`"), "{told}");
    let named = ["--verify-parameter", "cn=Acme Shop", "-o", "json"];
    let made = run(&[&made[..], &named].concat());
    assert!(made.status.success(), "{}", said(&made));
    let hook: Value = serde_json::from_slice(&made.stdout).expect("a record");
    assert_eq!(served.shows(&hook, Some("shop.pem"), &[]).0, 204);
    assert_eq!(served.shows(&hook, Some("till.pem"), &[]), refused("sender_refused"));
    let told = said(&run(&["webhook", "show", "shop"]));
    assert!(told.contains(r#"as mtls, by cn "Acme Shop""#), "{told}");
}

#[test]
fn the_log_of_a_start_names_a_certificate_that_ended() {
    let folder = std::env::temp_dir().join(format!("hookgate-ended-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let files = [("CERTIFICATE", "expired.pem"), ("KEY", "key.pem")];
    let files = files.map(|(name, file)| {
        (format!("HOOKGATE_SERVER__TLS_{name}"), own(file).display().to_string())
    });
    let variables = files.each_ref().map(|(name, file)| (name.as_str(), file.as_str()));
    let program = Program::start(&folder, "exec \"$0\" \"$@\"", &variables);
    let word = wait("a word of it", || {
        let log = program.log();
        log.lines().find(|line| line.contains("TLS certificate")).map(str::to_owned)
    });
    assert!(word.contains("WARN") && word.contains("expired.pem ended "), "{word}");
    drop(program);
    fs::remove_dir_all(&folder).expect("the folder goes");
}
