//! Events of a replay posted to an address that does not take all of them: none is passed over, what is refused is told
//! and can be sent alone.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Served;

const TEMPLATE: &str = r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "order.{{ body.number }}"},
    "payload": {"number": {{ body.number }}}}"#;

/// What a receiver answers to an order: the status, and headers.
type Verdict = Box<dyn FnMut(u64) -> (u16, &'static str) + Send>;

/// A receiver of single events whose mind can be changed.
struct Receiver {
    address: String,
    verdict: Arc<Mutex<Verdict>>,
    /// Orders that it took.
    taken: Arc<Mutex<Vec<u64>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/in", listener.local_addr().expect("an address"));
        let verdict: Arc<Mutex<Verdict>> = Arc::new(Mutex::new(Box::new(|_| (200, ""))));
        let taken = Arc::<Mutex<Vec<u64>>>::default();
        let (judge, seen) = (Arc::clone(&verdict), Arc::clone(&taken));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = BufReader::new(connection.expect("a connection"));
                let mut size = 0;
                loop {
                    let mut line = String::new();
                    connection.read_line(&mut line).expect("a head");
                    let line = line.to_lowercase();
                    if let Some(text) = line.strip_prefix("content-length:") {
                        size = text.trim().parse().expect("a length");
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; size];
                connection.read_exact(&mut body).expect("a body");
                let event: Value = serde_json::from_slice(&body).expect("JSON");
                let number = event["payload"]["number"].as_u64().expect("a number");
                let (status, headers) = judge.lock().expect("a verdict")(number);
                // Nothing at all, as of one that died.
                if status == 0 {
                    continue;
                }
                if status == 200 {
                    seen.lock().expect("a list").push(number);
                }
                let answer = format!(
                    "HTTP/1.1 {status} x\r\n{headers}Connection: close\r\nContent-Length: 0\r\n\r\n"
                );
                connection.get_mut().write_all(answer.as_bytes()).expect("an answer");
            }
        });
        Self { address, verdict, taken }
    }

    fn answers(&self, verdict: impl FnMut(u64) -> (u16, &'static str) + Send + 'static) {
        *self.verdict.lock().expect("a verdict") = Box::new(verdict);
    }

    fn taken(&self) -> Vec<u64> {
        std::mem::take(&mut self.taken.lock().expect("a list"))
    }
}

/// A gateway that kept so many orders.
fn shop(count: usize) -> Served {
    let served = Served::start(|_| ());
    let hook = served.webhook(TEMPLATE);
    for number in 0..count {
        served.post(&hook, &json!({ "number": number }).to_string());
    }
    served.kept(count);
    served
}

#[test]
fn no_event_is_passed_over_while_an_address_is_down() {
    let (served, receiver) = (shop(9), Receiver::start());
    let file = served.folder.join("place.json");
    let replay = ["replay", "--status", "ok", "--since", "2026-11-23T22:00:00Z", "--yes"];
    let place = ["--patience", "1s", "--resume", file.to_str().expect("a path")];
    let replay = [&replay[..], &["--to", &receiver.address], &place].concat();
    for (down, why) in [(503, "503"), (429, "429"), (401, "401"), (307, "307"), (0, "answer")] {
        let _ = fs::remove_file(&file);
        receiver.answers(move |number| (if number < 4 { 200 } else { down }, ""));
        let (code, said) = served.refused(&replay, &served.key);
        assert!(code == 8 && said.contains(why), "{down}: {code}: {said}");
        assert!(said.contains("4 events taken, 0 refused, and none behind them sent"), "{said}");
        assert!(said.contains("place.json has the place"), "{said}");
        // Nothing changed.
        let (code, said) = served.refused(&replay, &served.key);
        let is_dead = down == 0 && code == 6;
        assert!(file.exists() && (is_dead || code == 8), "{code}: {said}");
        assert_eq!(receiver.taken(), [0, 1, 2, 3], "{down}");
        receiver.answers(|_| (200, ""));
        assert_eq!(served.answered(&replay), "9 requests, 9 events taken, 0 refused\n");
        assert_eq!(receiver.taken(), [4, 5, 6, 7, 8], "{down}: those that are left, and once");
        assert!(!file.exists(), "it is done");
    }
    // Another address took none of them.
    receiver.answers(|number| (if number < 4 { 200 } else { 401 }, ""));
    served.refused(&replay, &served.key);
    let (code, said) = served
        .refused(&[&replay[..6], &["--to", "http://127.0.0.1:1/"], &place].concat(), &served.key);
    assert!(code == 2 && said.contains("another replay"), "{code}: {said}");
}

#[test]
fn an_address_that_comes_back_gets_all_and_is_left_alone_as_long_as_it_asks() {
    let (served, receiver) = (shop(3), Receiver::start());
    let replay = ["replay", "--status", "ok", "--to", &receiver.address, "--yes"];
    let mut left = 2;
    receiver.answers(move |number| {
        if number == 1 && left > 0 {
            left -= 1;
            return if left == 1 { (503, "Retry-After: 1\r\n") } else { (0, "") };
        }
        (200, "")
    });
    let began = std::time::Instant::now();
    let (code, said) = served.refused(&replay, &served.key);
    assert!(code == 0 && said.contains("3 events taken, 0 refused"), "{code}: {said}");
    assert!(said.contains("waiting: ") && said.contains("503"), "{said}");
    assert!(began.elapsed().as_secs_f64() >= 1.0, "it asked for a second");
    assert_eq!(receiver.taken(), [0, 1, 2]);
    receiver.answers(|_| (429, "Retry-After: 3600\r\n"));
    let (code, said) = served.refused(&replay, &served.key);
    assert!(code == 8 && said.contains("asks to wait for 3600 s"), "{code}: {said}");
    let (code, said) = served.refused(&["replay", "--to", "crm", "--patience", "5s"], &served.key);
    assert!(code == 2 && said.contains("--retry-seconds"), "{code}: {said}");
}

#[test]
fn what_an_address_refuses_is_told_and_can_be_sent_alone() {
    let (served, receiver) = (shop(6), Receiver::start());
    let file = served.folder.join("place.json");
    let replay = ["replay", "--status", "ok", "--since", "2026-11-23T22:00:00Z", "--yes", "--to"];
    let replay = [&replay[..], &[&receiver.address]].concat();
    let kept = [&replay[..], &["--resume", file.to_str().expect("a path")]].concat();
    receiver.answers(|number| (if number % 2 == 1 { 422 } else { 200 }, ""));
    let (code, said) = served.refused(&replay, &served.key);
    assert!(code == 8 && said.contains("3 events taken, 3 refused"), "{code}: {said}");
    assert_eq!(said.matches("is refused: 422").count(), 3, "{said}");
    assert!(said.contains("--resume FILE keeps those that are refused"), "{said}");
    let (code, said) = served.refused(&kept, &served.key);
    assert!(code == 8 && said.contains("place.json has the 3 events that were refused"), "{said}");
    receiver.taken();
    receiver.answers(|number| (if number == 3 { 422 } else { 200 }, ""));
    let (code, said) = served.refused(&kept, &served.key);
    assert!(code == 8 && said.contains("the 3 events that were refused go once more"), "{said}");
    assert!(said.contains("2 events taken, 1 refused"), "{said}");
    receiver.answers(|_| (200, ""));
    assert_eq!(served.answered(&kept), "6 requests, 1 events taken, 0 refused\n");
    assert_eq!(receiver.taken(), [1, 5, 3]);
    assert!(!file.exists(), "it is done");
}
