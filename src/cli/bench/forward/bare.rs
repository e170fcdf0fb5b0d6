//! The least that sending on can cost: bodies that were made before, one request after the other over one connection.
//! In: events. Out: requests as bytes, and each of them answered. Never anything but writing and reading.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::super::answer::ANSWER_MAX_BYTES;
use super::super::load::exchange;
use super::super::made::{ACCOUNT, Made};
use super::post;
use crate::event::write_received;

/// Events of a batch, as a destination has it that was told nothing else.
const BATCH_EVENTS: u64 = 500;
/// Bodies that are sent again and again.
const BATCHES: u64 = 20;
const SINGLES: u64 = 1000;

/// Requests, whole.
#[derive(Debug)]
pub(super) struct Bodies {
    pub(super) batches: Vec<Bytes>,
    pub(super) singles: Vec<Bytes>,
    /// Of one event, as it is sent.
    pub(super) event_bytes: usize,
}

impl Bodies {
    pub(super) fn make(made: Made, address: SocketAddr) -> Self {
        let text = |number: u64| {
            let (mut out, place) = (Vec::new(), Some(Made::workspace(number)));
            write_received(&mut out, &made.event(number).json, made.moment(number), ACCOUNT, place);
            String::from_utf8_lossy(&out).into_owned()
        };
        let batch = |batch: u64| {
            let numbers = batch * BATCH_EVENTS..(batch + 1) * BATCH_EVENTS;
            let texts: Vec<_> = numbers.map(text).collect();
            post(address, "/bare", &format!("[{}]", texts.join(",")))
        };
        Self {
            batches: (0..BATCHES).map(batch).collect(),
            singles: (0..SINGLES).map(|number| post(address, "/bare", &text(number))).collect(),
            event_bytes: text(made.count / 2).len(),
        }
    }
}

/// Sends requests in turn until a moment, or until it is enough.
pub(super) async fn send(
    address: SocketAddr,
    requests: &[Bytes],
    until: Instant,
    is_enough: impl Fn() -> bool,
) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; ANSWER_MAX_BYTES];
    for request in requests.iter().cycle() {
        if is_enough() || Instant::now() >= until {
            break;
        }
        let status = exchange(&mut stream, request, &mut buffer).await?;
        if status != 204 {
            return Err(io::Error::other(format!("the sink said {status}")));
        }
    }
    Ok(())
}
