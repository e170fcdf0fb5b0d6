//! What happens now, read once for all who follow it (contract 5.3). In: the spool's frames as they become durable.
//! Out: portions, shared by all followers, and the sequence from which on one gets them. Runs only while somebody
//! follows; bounded: who is too far behind is told so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use self_cell::self_cell;
use tokio::runtime::Handle;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::accept::websocket::Text;
use crate::clock::Time;
use crate::event::write_received;
use crate::filter::Seen;
use crate::id::Uuid;
use crate::json::{self, Value};
use crate::spool::{Kept, Reader, Spool};

/// Portions that wait for the slowest follower.
const PORTIONS_MAX: usize = 256;
/// Frames of one look at the spool, and about so many bytes.
const FRAMES_MAX: usize = 256;
const LOOK_BYTES: usize = 128 << 10;
/// Bytes of a portion, unless it is one event.
const PORTION_BYTES: usize = 128 << 10;
/// Between two looks whether anybody follows.
const LINGER: Duration = Duration::from_secs(5);
/// The largest message that clients take.
const MESSAGE_MAX_BYTES: usize = 1 << 20;
/// What stands around an event in a message.
const OPENING: &[u8] = br#"{"type":"event","event":"#;
/// Bounds of an event that was taken once, so never met.
const LIMITS: json::Limits = json::Limits { depth_max: 1000, nodes_max: 1_500_000 };

self_cell!(
    /// An event's text and the index over it.
    struct Indexed {
        owner: Bytes,
        #[covariant]
        dependent: Seen,
    }

    impl {Debug}
);

/// An event on its way to followers; index and message are made once, by the first who needs them.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) sequence: u64,
    pub(super) account: Uuid,
    pub(super) workspace: Option<Uuid>,
    pub(super) id: Uuid,
    received: Time,
    json: Bytes,
    indexed: OnceLock<Option<Indexed>>,
    message: OnceLock<Option<Message>>,
}

/// An event as a message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) text: Text,
    /// Without its payload, which was too large.
    pub(super) is_truncated: bool,
}

impl Shown {
    /// The events of a frame.
    pub(super) fn all(kept: &Kept) -> impl Iterator<Item = Self> {
        kept.events.iter().map(|event| Self {
            sequence: kept.sequence,
            account: kept.account,
            workspace: kept.workspace,
            id: event.id,
            received: kept.received,
            // A copy: the frame's own buffer is the spool's, and large.
            json: Bytes::copy_from_slice(&event.json),
            indexed: OnceLock::new(),
            message: OnceLock::new(),
        })
    }

    /// Its parts, as filters look at them.
    pub(super) fn seen(&self) -> Option<&Seen<'_>> {
        let index = || Indexed::try_new(self.json.clone(), |json| Seen::read(json).ok_or(())).ok();
        self.indexed.get_or_init(index).as_ref().map(Indexed::borrow_dependent)
    }

    /// Its message; nothing when it is too large for one even without its payload.
    pub(super) fn message(&self) -> Option<Message> {
        self.message.get_or_init(|| self.compose()).clone()
    }

    fn compose(&self) -> Option<Message> {
        let whole = self.wrap(&self.json);
        if whole.len() <= MESSAGE_MAX_BYTES {
            return Message::new(whole, false);
        }
        let text = std::str::from_utf8(&self.json).ok()?;
        let mut nodes = Vec::new();
        json::scan(text, LIMITS, &mut nodes).ok()?;
        let payload = Value::root(text, &nodes).get("payload")?;
        let (before, after) = (payload.start(), payload.start() + payload.raw().len());
        let size = self.json.len();
        let stand_in = format!("{{\"truncated\":true,\"size\":{size}}}");
        let less = [&self.json[..before], stand_in.as_bytes(), &self.json[after..]].concat();
        let less = self.wrap(&less);
        if less.len() > MESSAGE_MAX_BYTES { None } else { Message::new(less, true) }
    }

    fn wrap(&self, json: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(json.len() + 256);
        out.extend_from_slice(OPENING);
        write_received(&mut out, json, self.received, self.account, self.workspace);
        out.push(b'}');
        out
    }
}

impl Message {
    fn new(bytes: Vec<u8>, is_truncated: bool) -> Option<Self> {
        let text = Text::from(String::from_utf8(bytes).ok()?);
        Some(Self { text, is_truncated })
    }
}

/// Events of frames that became durable together.
pub(super) type Portion = Arc<Vec<Shown>>;

/// The one who reads, while somebody follows.
#[derive(Debug)]
struct Source {
    sender: Sender<Portion>,
    /// Every frame up to this one was sent, or is about to be.
    position: Arc<AtomicU64>,
}

/// What happens now.
#[derive(Debug)]
pub(super) struct Live {
    spool: Spool,
    runtime: Handle,
    source: Mutex<Option<Source>>,
}

impl Live {
    /// Over a spool; reads on the present runtime, once somebody follows.
    pub(super) fn new(spool: Spool) -> Arc<Self> {
        Arc::new(Self { spool, runtime: Handle::current(), source: Mutex::default() })
    }

    fn source(&self) -> MutexGuard<'_, Option<Source>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes from now on, and a sequence: every frame behind it comes, some before it may.
    pub(super) fn subscribe(self: &Arc<Self>) -> (Receiver<Portion>, u64) {
        let mut source = self.source();
        let source = source.get_or_insert_with(|| {
            let reader = self.spool.follow(None);
            let (sender, _) = channel(PORTIONS_MAX);
            let position = Arc::new(AtomicU64::new(reader.position() - 1));
            let (told, moved) = (sender.clone(), Arc::clone(&position));
            self.runtime.spawn(Arc::clone(self).run(reader, told, moved));
            Source { sender, position }
        });
        // In this order: what was sent before the first line is not behind what the second one reads.
        let receiver = source.sender.subscribe();
        let position = source.position.load(Ordering::SeqCst);
        (receiver, position)
    }

    async fn run(
        self: Arc<Self>,
        mut reader: Reader,
        sender: Sender<Portion>,
        position: Arc<AtomicU64>,
    ) {
        loop {
            let next = tokio::time::timeout(LINGER, reader.next(FRAMES_MAX, LOOK_BYTES));
            let kept = match next.await {
                Err(_) => Vec::new(),
                Ok(Ok(kept)) => kept,
                Ok(Err(fault)) => {
                    tracing::warn!(%fault, "what happens now cannot be followed");
                    // Dropping the sender tells all of them.
                    self.source().take();
                    return;
                }
            };
            if let Some(last) = kept.last() {
                reader.release(last.sequence);
                position.store(last.sequence, Ordering::SeqCst);
                for portion in portions(&kept) {
                    // An error: nobody follows.
                    let _ = sender.send(Arc::new(portion));
                }
            }
            if sender.receiver_count() == 0 && self.retire(&sender) {
                return;
            }
        }
    }

    /// Ends the reading unless somebody came meanwhile.
    fn retire(&self, sender: &Sender<Portion>) -> bool {
        let mut source = self.source();
        if sender.receiver_count() > 0 {
            return false;
        }
        source.take();
        true
    }
}

/// Frames as portions, each within its bound or one event.
fn portions(kept: &[Kept]) -> Vec<Vec<Shown>> {
    let (mut portions, mut portion, mut bytes) = (Vec::new(), Vec::new(), 0);
    for shown in kept.iter().flat_map(Shown::all) {
        if bytes > 0 && bytes + shown.json.len() > PORTION_BYTES {
            portions.push(std::mem::take(&mut portion));
            bytes = 0;
        }
        bytes += shown.json.len();
        portion.push(shown);
    }
    if !portion.is_empty() {
        portions.push(portion);
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{self, Event};

    fn kept(events: Vec<Event>) -> Kept {
        let (account, workspace) = (Uuid::from_u128(1), Some(Uuid::from_u128(2)));
        let received = Time::from_micros(1_000_000);
        Kept { sequence: 7, account, workspace, received, events, capture: None }
    }

    fn event(payload: &str, label: &str) -> Event {
        let resource = [("prefect.resource.id", "r"), ("label", label)];
        let (time, id) = (Time::from_micros(0), Uuid::from_u128(9));
        event::compose(time, "e", &resource, &[], payload, id, None)
    }

    fn shown(payload: &str, label: &str) -> Shown {
        Shown::all(&kept(vec![event(payload, label)])).next().expect("an event")
    }

    #[test]
    fn a_message_is_the_event_as_others_see_it() {
        let message = shown("{\"a\":1}", "x").message().expect("a message");
        let told: serde_json::Value = serde_json::from_str(&message.text).expect("JSON");
        assert_eq!(told["type"], "event");
        assert_eq!(told["event"]["payload"], serde_json::json!({"a": 1}));
        assert_eq!(told["event"]["received"], "1970-01-01T00:00:01Z");
        assert_eq!(told["event"]["workspace"], Uuid::from_u128(2).to_string());
        assert!(!message.is_truncated);
    }

    #[test]
    fn a_payload_too_large_for_a_message_stays_behind() {
        let payload = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
        let empty = shown(&payload(0), "x").message().expect("a message").text.len();
        let most = shown(&payload(MESSAGE_MAX_BYTES - empty), "x").message().expect("a message");
        assert_eq!((most.text.len(), most.is_truncated), (MESSAGE_MAX_BYTES, false));
        let more = shown(&payload(MESSAGE_MAX_BYTES - empty + 1), "x");
        let message = more.message().expect("a message");
        assert!(message.is_truncated);
        let told: serde_json::Value = serde_json::from_str(&message.text).expect("JSON");
        let size = more.json.len();
        assert_eq!(told["event"]["payload"], serde_json::json!({"truncated": true, "size": size}));
        assert_eq!(told["event"]["id"], Uuid::from_u128(9).to_string());
        assert!(shown("{}", &"y".repeat(MESSAGE_MAX_BYTES)).message().is_none());
    }

    #[test]
    fn portions_keep_order_and_bounds() {
        let large = event(&format!("{{\"a\":\"{}\"}}", "x".repeat(PORTION_BYTES)), "x");
        let small = event("{}", "x");
        let events = vec![small.clone(), large.clone(), large, small.clone(), small];
        let sizes: Vec<usize> = portions(&[kept(events)]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 1, 1, 2]);
    }
}
