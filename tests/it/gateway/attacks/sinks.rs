//! The way out, attacked: words that would be headers, servers whose certificate nobody vouches for.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

use super::super::faults::{Shown, data, fault_of_lane, serve_tls};
use super::super::{to, wait};
use super::{Served, TAKES_ALL};

#[test]
fn a_word_that_would_be_a_header_stays_a_word() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place =
        format!("http://{}/in?form=cloudevents-binary", listener.local_addr().expect("one"));
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&heads);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut stream = BufReader::new(socket);
            loop {
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).unwrap_or(0) == 0 {
                        break;
                    }
                }
                if head.is_empty() {
                    break;
                }
                for line in head.to_ascii_lowercase().lines() {
                    if let Some(text) = line.strip_prefix("content-length:") {
                        length = text.trim().parse().expect("a number");
                    }
                }
                let _ = stream.read_exact(&mut vec![0; length]);
                seen.lock().expect("a list").push(head);
                let _ = stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        }
    });
    let served = Served::start(|config| config.forward = vec![to(&place)]);
    let template = r#"{"event": {{ body.name|tojson }}, "resource": {"prefect.resource.id": {{
        body.id|tojson }}}, "payload": {}}"#;
    let webhook = served.webhook(template);
    let forged = "x\r\nX-Forged: yes\r\n\r\nPOST /other HTTP/1.1\u{1b}\u{85}\u{2028}";
    let body = json!({"name": forged, "id": format!("shop\r\nhost: evil\n{forged}")}).to_string();
    let status = served.post(&webhook, &body).status;
    assert!(matches!(status, 204 | 400), "{status}");
    assert_eq!(served.post(&webhook, r#"{"name": "last", "id": "last"}"#).status, 204);
    let heads = wait("the last", || {
        let heads = heads.lock().expect("a list").clone();
        heads.iter().any(|head| head.contains("ce-type: last")).then_some(heads)
    });
    for head in &heads {
        assert!(head.starts_with("POST /in HTTP/1.1\r\n"), "{head}");
        let names: Vec<_> = head.lines().filter_map(|line| line.split_once(':')).collect();
        let is_known = |name: &str| !["x-forged"].contains(&name);
        assert!(names.iter().all(|(name, _)| is_known(&name.to_ascii_lowercase())), "{head}");
        assert_eq!(names.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count(), 1);
        assert!(!head.contains(['\u{1b}', '\u{85}', '\u{2028}', '\0']), "{head:?}");
    }
    // Nor can one be saved.
    for headers in [
        json!({"X-Good": "a\r\nX-Forged: yes"}),
        json!({"X-Good": "a\0b"}),
        json!({"X-Bad\r\nX-Forged": "yes"}),
        json!({"Content-Length": "1"}),
        json!({"Host": "evil"}),
    ] {
        let body = json!({"name": "d", "to": "https://example.com/in", "headers": headers});
        let refused = served.call("POST", "/destinations", &body);
        assert_eq!(refused.status, 422, "{headers}: {}", refused.text());
    }
}

#[test]
fn a_server_that_nobody_vouches_for_is_sent_nothing() {
    let shown = Shown::new(Mutex::new("certificate.pem"));
    let (port, taken) = serve_tls(&shown);
    // The machine's own authorities do not know it; and it is no stranger's.
    for place in [
        format!("https://localhost:{port}/in?tls_ca={}", data("stranger.pem").display()),
        format!("https://127.0.0.2:{port}/in?tls_ca={}", data("certificate.pem").display()),
    ] {
        let served = Served::start(|config| config.forward.push(to(&place)));
        let webhook = served.webhook(TAKES_ALL);
        assert_eq!(served.post(&webhook, "{}").status, 204);
        assert_eq!(served.events(2).len(), 2, "the other destination has it");
        let fault = fault_of_lane(&served);
        assert!(fault.contains("certificate") || fault.contains("no connection"), "{fault}");
        assert_eq!(*taken.lock().expect("a list"), Vec::<String>::new());
    }
}
