//! The only body reader: counted, timed, decompressed within bounds. A body that is there already is handed on as it
//! lies: no timer, no copy.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Options;
use super::budget::{Budget, Full, Room};
use super::decode::Encoding;
use super::link::Link;
use crate::apart::Apart;
use crate::request::Content;

/// The pace of a body is averaged over this time.
const PACE_WINDOW: Duration = Duration::from_secs(5);
/// Encoded bytes that are decoded on a thread of their own, so that other connections go on.
const DECODE_INLINE_MAX_BYTES: usize = 32 << 10;
/// What is there of a body that nobody reads is taken off the connection up to so much, so that it can go on.
const UNREAD_MAX_BYTES: u64 = 64 << 10;
/// Room for bodies is taken in steps of this size.
const STEP_BYTES: u64 = 64 << 10;

/// What all bodies of a set of listeners share.
#[derive(Debug)]
pub(super) struct Bodies {
    options: Arc<Options>,
    budget: Arc<Budget>,
    /// Where large bodies are decoded: what comes of one is not known before.
    decoders: Apart,
}

impl Bodies {
    pub(super) fn new(options: &Arc<Options>) -> Arc<Self> {
        Arc::new(Self {
            options: Arc::clone(options),
            budget: Budget::new(options.bodies_max_bytes, STEP_BYTES),
            decoders: Apart::all(),
        })
    }
}

/// A request's body, not yet read. Dropped unread it costs the connection, not the sender's upload; where it is there
/// already and short, it costs neither.
pub struct Body {
    source: Source,
    encoding: Encoding,
}

enum Source {
    Stream(Unread, Arc<Bodies>),
    Whole(Bytes),
}

/// What comes on the wire, until somebody reads it.
struct Unread {
    incoming: Option<Incoming>,
    link: Arc<Link>,
    /// The sender waits to be told to send it.
    is_held_back: bool,
}

impl Unread {
    fn declared_length(&self) -> Option<u64> {
        self.incoming.as_ref().and_then(|incoming| incoming.size_hint().exact())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && (self.is_held_back || !is_swallowed(incoming))
        {
            self.link.body_left();
        }
    }
}

/// Throws away what is there of a body; whether that is all.
fn is_swallowed(mut incoming: Incoming) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let mut count = 0;
    while !incoming.is_end_stream() {
        if incoming.size_hint().lower() + count > UNREAD_MAX_BYTES {
            return false;
        }
        match Pin::new(&mut incoming).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => {
                count += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            Poll::Ready(None) => return true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
        }
    }
    true
}

/// Why a body was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit, before or after decompression: 413.
    #[error("the body is over the limit of {max_bytes} bytes")]
    TooLarge { max_bytes: u64 },
    /// Slower than the deadline or the minimum rate: 408 and close.
    #[error("the body came too slowly")]
    TooSlow,
    /// Broken framing, a cut connection, or data its encoding does not decode: 400 and close.
    #[error("the body is malformed: {0}")]
    Malformed(String),
    /// The bodies of all connections take as much memory as they may: 503 and close.
    #[error("all bodies together are over the limit of {max_bytes} bytes")]
    Crowded { max_bytes: u64 },
    /// An encoding other than one layer of gzip or deflate: 415.
    #[error("the content encoding is not supported")]
    Encoding,
}

impl From<Full> for BodyError {
    fn from(full: Full) -> Self {
        Self::Crowded { max_bytes: full.max_bytes }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.declared_length();
        f.debug_struct("Body").field("declared_length", &length).finish_non_exhaustive()
    }
}

impl Body {
    /// Its end is told to `link` where nobody read it and the connection cannot go on.
    pub(super) fn new(
        incoming: Incoming,
        headers: &HeaderMap,
        bodies: Arc<Bodies>,
        link: Arc<Link>,
    ) -> Self {
        let is_held_back = headers.contains_key(EXPECT);
        let unread = Unread { incoming: Some(incoming), link, is_held_back };
        Self { encoding: Encoding::of(headers), source: Source::Stream(unread, bodies) }
    }

    /// A body that is there, not encoded.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { encoding: Encoding::Identity, source: Source::Whole(bytes) }
    }

    /// Bytes on the wire as declared; none when it comes in chunks.
    #[must_use]
    pub fn declared_length(&self) -> Option<u64> {
        match &self.source {
            Source::Stream(unread, _) => unread.declared_length(),
            Source::Whole(bytes) => Some(bytes.len() as u64),
        }
    }

    /// Reads and decodes the whole body; a declared length over `max_bytes` is refused before the first byte is
    /// asked for (no `100 Continue` either).
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn read(self, max_bytes: u64) -> Result<Content, BodyError> {
        if self.declared_length().is_some_and(|length| length > max_bytes) {
            return Err(BodyError::TooLarge { max_bytes });
        }
        if self.encoding == Encoding::Other {
            return Err(BodyError::Encoding);
        }
        let (raw, bodies) = match self.source {
            Source::Stream(mut unread, bodies) => {
                let raw = match unread.incoming.take() {
                    Some(incoming) => collect(incoming, max_bytes, &bodies).await?,
                    None => Bytes::new(),
                };
                (raw, bodies)
            }
            Source::Whole(raw) => return Ok(Content { decoded: raw.clone(), raw }),
        };
        let decoded = match self.encoding {
            Encoding::Identity => raw.clone(),
            encoding => bodies.decode(encoding, &raw, max_bytes).await?,
        };
        Ok(Content { raw, decoded })
    }
}

impl Bodies {
    async fn decode(
        &self,
        encoding: Encoding,
        raw: &Bytes,
        max_bytes: u64,
    ) -> Result<Bytes, BodyError> {
        let decoded = if raw.len() <= DECODE_INLINE_MAX_BYTES {
            encoding.decode(raw, max_bytes)?
        } else {
            let given_up = || BodyError::Malformed("its decoding was given up".into());
            let raw = raw.clone();
            let work = move || encoding.decode(&raw, max_bytes);
            self.decoders.run(work).await.ok_or_else(given_up)??
        };
        let mut room = Room::new(&self.budget);
        room.hold(decoded.len() as u64)?;
        Ok(room.keep(decoded))
    }
}

/// Reads all frames; the first is handed on as it is when it is all.
async fn collect(
    mut incoming: Incoming,
    max_bytes: u64,
    bodies: &Bodies,
) -> Result<Bytes, BodyError> {
    let options = &*bodies.options;
    let declared = incoming.size_hint().exact();
    let mut pace = Pace { options, since: None, checkpoint: 0 };
    let mut sleep = pin!(None);
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    let mut room = Room::new(&bodies.budget);
    while !incoming.is_end_stream() {
        let count = first.len().max(rest.len()) as u64;
        let Some(data) = next(&mut incoming, sleep.as_mut(), &mut pace, count).await? else {
            break;
        };
        if count + data.len() as u64 > max_bytes {
            return Err(BodyError::TooLarge { max_bytes });
        }
        if count == 0 {
            first = data;
            continue;
        }
        // What is declared and does not come takes no memory: room is taken for what is there.
        room.hold(count + data.len() as u64)?;
        if rest.is_empty() {
            // The declared length was checked against the limit.
            rest.reserve_exact(declared.map_or(first.len() + data.len(), |all| all as usize));
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { room.keep(rest) })
}

/// The next bytes; a timer is set only when they are not there yet. Trailers are dropped.
async fn next(
    incoming: &mut Incoming,
    mut sleep: Pin<&mut Option<Sleep>>,
    pace: &mut Pace<'_>,
    count: u64,
) -> Result<Option<Bytes>, BodyError> {
    poll_fn(|cx| {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else { break };
            return Poll::Ready(match frame.map(|frame| frame.map(Frame::into_data)) {
                None => Ok(None),
                Some(Ok(Ok(data))) => Ok(Some(data)),
                Some(Ok(Err(_))) => continue,
                Some(Err(error)) => Err(BodyError::Malformed(error.to_string())),
            });
        }
        loop {
            if sleep.is_none() {
                let due = pace.begin();
                sleep.set(Some(sleep_until(due)));
            }
            let mut timer = sleep.as_mut().as_pin_mut().expect("it was set above");
            ready!(timer.as_mut().poll(cx));
            match pace.check(count, timer.deadline()) {
                Some(due) => timer.reset(due),
                None => return Poll::Ready(Err(BodyError::TooSlow)),
            }
        }
    })
    .await
}

/// Whether a body comes fast enough, looked at only when it was waited for.
struct Pace<'a> {
    options: &'a Options,
    /// The first wait.
    since: Option<Instant>,
    /// Bytes at the last look.
    checkpoint: u64,
}

impl Pace<'_> {
    /// Starts the clock; says when to look first.
    fn begin(&mut self) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        since + self.options.body_first_byte.min(self.options.body_total)
    }

    /// At `now`, with `count` bytes so far: when to look again, or nothing when it is too slow.
    fn check(&mut self, count: u64, now: Instant) -> Option<Instant> {
        let since = self.since?;
        let (elapsed, options) = (now - since, self.options);
        if count == 0 || elapsed >= options.body_total {
            return None;
        }
        let due = if elapsed < options.body_grace {
            since + options.body_grace
        } else {
            let least = options.body_min_bytes_per_second * PACE_WINDOW.as_secs();
            let judged = elapsed >= options.body_grace + PACE_WINDOW;
            if judged && count - self.checkpoint < least {
                return None;
            }
            now + PACE_WINDOW
        };
        self.checkpoint = count;
        Some(due.min(since + options.body_total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_body_is_told_from_a_large_one() {
        let options = Options::default();
        let start = Instant::now();
        let pace = || Pace { options: &options, since: Some(start), checkpoint: 0 };
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace().check(0, at(5)), None, "no first byte");
        let mut slow = pace();
        assert_eq!(slow.check(1, at(5)), Some(at(10)));
        assert_eq!(slow.check(2, at(10)), Some(at(15)));
        assert_eq!(slow.check(2 + 5119, at(15)), None);
        let mut steady = pace();
        let mut count = 0;
        for second in (10..60).step_by(5) {
            count += 5120;
            assert_eq!(steady.check(count, at(second)), Some(at(second + 5)));
        }
        assert_eq!(steady.check(count + 5120, at(60)), None, "the total");
    }
}
