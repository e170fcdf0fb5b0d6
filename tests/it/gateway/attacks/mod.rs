//! Attacks, one after the other, on a whole gateway over real sockets: each gets its documented answer, and whoever
//! behaves is served beside it. In: bytes that nobody should send. Out: what rows of SECURITY.md say.

mod bodies;
mod heads;
mod keys;
mod people;
pub(super) mod scarce;
mod sinks;
mod words;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::{PATIENCE, Served};

/// Makes an event of whatever comes.
const TAKES_ALL: &str = r#"{"event": "attack.took", "resource": {"prefect.resource.id": "a"},
    "payload": {"body": {{ body|tojson }}, "headers": {{ headers|tojson }}}}"#;

/// The path of a webhook.
fn hook(webhook: &Value) -> String {
    format!("/hooks/{}", webhook["slug"].as_str().expect("a slug"))
}

/// All that comes back for `bytes`, up to the end of the connection.
fn tell(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // It may answer and leave before all was sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// One of many keys that are not `key`, whatever that ends in, but for three letters.
fn near(key: &str, number: usize) -> String {
    let (start, end) = key.split_at(key.len() - 3);
    let other = if end.starts_with('x') { 'y' } else { 'x' };
    format!("{start}{other}{number:02}")
}

/// The statuses of all answers in `text`.
fn statuses(text: &str) -> Vec<u16> {
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().expect("a status")).collect()
}

/// The payload of the user's event that follows a receipt.
fn payload(served: &Served, count: usize, receipt: &str) -> Value {
    let events = served.events(count);
    let follower = events.iter().find(|event| event["follows"] == *receipt);
    follower.expect("a follower")["payload"].clone()
}
