//! What fails around a gateway that runs: a clock that jumps, a destination's certificate that is over. In: a live
//! gateway, met over real sockets. Out: what the table of faults in SECURITY.md says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::{PATIENCE, Served, to, wait};

const NUMBERED: &str =
    r#"{"event": "n.{{ body.n }}", "resource": {"prefect.resource.id": "n"}, "payload": {}}"#;
const HOUR: i64 = 3600;

/// The names of events, in the order they came.
pub(super) type Taken = Arc<Mutex<Vec<String>>>;
/// The file of the certificate that is shown to the next who connects.
pub(super) type Shown = Arc<Mutex<&'static str>>;

pub(super) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

/// A server that shows what it is told to show, and takes what it is sent, one connection after the other.
pub(super) fn serve_tls(shown: &Shown) -> (u16, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let taken = Taken::default();
    let (shown, seen) = (Arc::clone(shown), Arc::clone(&taken));
    thread::spawn(move || {
        for socket in listener.incoming() {
            let certificate = *shown.lock().expect("a name");
            // Whoever does not trust it leaves.
            let _ = socket.and_then(|socket| take_all(socket, certificate, &seen));
        }
    });
    (port, taken)
}

fn take_all(socket: TcpStream, certificate: &str, seen: &Taken) -> std::io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let chain = vec![CertificateDer::from_pem_file(data(certificate)).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(data("key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions are known")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they belong together");
    let connection = ServerConnection::new(Arc::new(config)).expect("a server");
    let mut stream = BufReader::new(StreamOwned::new(connection, socket));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let events: Vec<Value> = serde_json::from_slice(&body).expect("events");
        let name = |event: &Value| event["event"].as_str().expect("a name").to_owned();
        seen.lock().expect("a list").extend(events.iter().map(name));
        stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}

/// Why the destination that is no file takes nothing.
pub(super) fn fault_of_lane(served: &Served) -> String {
    wait("a fault", || {
        let ready = served.ask("/readyz");
        assert_eq!(ready.status, 200, "who sends is served");
        let lanes = ready.json()["destinations"].as_array().expect("lanes").clone();
        lanes.iter().find_map(|lane| lane["fault"].as_str().map(str::to_owned))
    })
}

fn numbers(names: &[String]) -> Vec<u32> {
    names.iter().filter_map(|name| name.strip_prefix("n.")?.parse().ok()).collect()
}

#[test]
fn a_certificate_of_a_destination_that_is_over_is_waited_out() {
    let shown = Shown::new(Mutex::new("expired.pem"));
    let (port, taken) = serve_tls(&shown);
    let place = format!("https://localhost:{port}/in?tls_ca={}", data("certificate.pem").display());
    let served = Served::start(|config| config.forward.push(to(&place)));
    let webhook = served.webhook(NUMBERED);
    for number in 0..5 {
        assert_eq!(served.post(&webhook, &json!({ "n": number }).to_string()).status, 204);
    }
    let fault = fault_of_lane(&served);
    assert!(fault.contains("certificate") && fault.contains("xpired"), "{fault}");
    assert_eq!(served.events(10).len(), 10, "the other destination has all");
    assert!(taken.lock().expect("a list").is_empty());
    *shown.lock().expect("a name") = "certificate.pem";
    let arrived = wait("all of them", || {
        let numbers = numbers(&taken.lock().expect("a list"));
        (numbers.len() >= 5).then_some(numbers)
    });
    assert_eq!(arrived, [0, 1, 2, 3, 4], "in order, and none is parked");
    let ready = served.ask("/readyz").json();
    let lanes = ready["destinations"].as_array().expect("lanes").clone();
    assert!(lanes.iter().all(|lane| lane["parked"] == 0), "{ready}");
}

#[test]
fn a_clock_that_jumps_costs_no_request_no_order_and_no_budget() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let served = Served::start(|config| {
        config.limits.webhook_rate = Some("1/h".parse().expect("a rate"));
        config.limits.webhook_burst = Some(12);
        config.forward.push(to(&format!("http://{address}/in")));
    });
    let webhook = served.webhook(NUMBERED);
    let mut receipts = Vec::new();
    for (number, jump) in
        [0, HOUR, -2 * HOUR, HOUR, -HOUR, 24 * HOUR, -24 * HOUR].iter().enumerate()
    {
        served.clock.advance_seconds(*jump);
        for place in [2 * number, 2 * number + 1].into_iter().filter(|place| *place < 12) {
            let answer = served.post(&webhook, &json!({ "n": place }).to_string());
            assert_eq!(answer.status, 204, "{place}");
            receipts.push(answer.receipt().to_owned());
        }
    }
    let events = served.events(24);
    let received: Vec<_> = events.iter().step_by(2).map(|event| &event["id"]).collect();
    assert_eq!(received, receipts.iter().collect::<Vec<_>>(), "the order of requests, not of time");
    let names: Vec<_> = events.iter().map(|event| event["event"].to_string()).collect();
    let names: Vec<_> = names.iter().map(|name| name.trim_matches('"').to_owned()).collect();
    assert_eq!(numbers(&names), (0..12).collect::<Vec<_>>());
    receipts.sort();
    receipts.dedup();
    assert_eq!(receipts.len(), 12, "no id came twice");
    // No hour has passed, whatever the clock says.
    for jump in [HOUR, 24 * HOUR, -48 * HOUR] {
        served.clock.advance_seconds(jump);
        assert_eq!(served.post(&webhook, "{}").status, 429, "{jump}");
    }
    // Nor does who waits for a destination wait longer.
    let listener = TcpListener::bind(address).expect("the same port");
    let (socket, _) = listener.accept().expect("the lane tries again");
    drop(socket);
    let ready = served.ask("/readyz");
    assert_eq!(ready.status, 200);
    let ready = ready.json();
    assert!(ready["clock"]["jumps"].as_u64() >= Some(1), "{ready}");
    assert_eq!(ready["clock"]["moved_seconds"], (-24 * HOUR) as f64, "{ready}");
    assert!(ready["degraded"].to_string().contains("clock"), "{ready}");
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains("clock_moved_seconds -86400"), "{metrics}");
}

#[test]
fn a_signature_is_judged_by_the_clock_as_it_is() {
    let served = Served::start(|_| ());
    let webhook = served.webhook(NUMBERED);
    let secret = "a-secret-that-nobody-sees";
    let id = webhook["id"].as_str().expect("an id");
    let verification = json!({"provider": "slack", "secrets": [secret]});
    let body = json!({"name": "w", "description": "", "template": NUMBERED,
        "verification": verification});
    assert_eq!(served.call("PUT", &format!("/webhooks/{id}"), &body).status, 204);
    let seconds = || served.clock.now().micros() / 1_000_000;
    let send = |time: i64| {
        let body = r#"{"n": 1}"#;
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, format!("v0:{time}:{body}").as_bytes());
        let hex: Vec<_> = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let (signature, time) = (format!("v0={}", hex.concat()), time.to_string());
        let headers = [("X-Slack-Signature", &*signature), ("X-Slack-Request-Timestamp", &*time)];
        let path = format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"));
        let answer = served.send("POST", &path, &headers, body.as_bytes());
        (answer.status, answer.text().contains("time_outside_window"))
    };
    let before = seconds();
    assert_eq!(send(before), (204, false));
    served.clock.advance_seconds(HOUR);
    assert_eq!(send(before), (401, true), "what was signed an hour ago");
    assert_eq!(send(seconds()), (204, false));
    let later = seconds();
    served.clock.advance_seconds(-2 * HOUR);
    assert_eq!(send(later), (401, true), "what was signed in two hours");
    assert_eq!(send(seconds()), (204, false));
}
