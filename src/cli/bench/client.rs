//! A few calls to a gateway, one connection each. In: method, path, JSON. Out: status and JSON. Never on the way that
//! is measured, and never to another machine.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::answer;

/// Longest wait for anything.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Asks, and reads the answer to its end.
pub(super) fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT_MAX)?;
    stream.set_read_timeout(Some(WAIT_MAX))?;
    stream.set_write_timeout(Some(WAIT_MAX))?;
    let authorization =
        key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(answer::ANSWER_MAX_BYTES as u64).read_to_end(&mut bytes)?;
    let answer = answer::read(&bytes)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = bytes.get(answer.head_bytes..answer.bytes).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((answer.status, serde_json::from_slice(body).unwrap_or_default()))
}
