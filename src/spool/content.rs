//! What stands in a frame's payload. In: events and the request they came from. Out: a finished frame, and back. Knows
//! no file; a payload whose layout makes no sense is no frame, never a panic.
//!
//! Payload: for each event its id (16) and length (u32); of a request the webhook (16), its key (16) when it has one,
//! a digest of what was signed (16) when that is to be known again, the version of its template (u64), the length of
//! its query (u32) and the query, who sent it (17), what the budgets had left that it was charged to (24) when there
//! were some; the events' JSON one behind the other; the request's body to the end. Frames of earlier releases have
//! nothing of budgets, those before no sender, and those before neither version nor query. Of a sealed request,
//! query and sender stand with the body in one piece at the end, behind the length of the body (u32): whoever only
//! reads events, or who they are for, needs no key. Behind events of our own may stand keys of requests (`late.rs`).

use bytes::Bytes;

use super::sender::{CHARGED_BYTES, SENDER_BYTES};
use super::{Capture, Digest, Frame, Kept, Seal, Sender};
use crate::clock::Time;
use crate::event::Event;
use crate::id::Uuid;
use crate::journal::{HEADER_BYTES, Header};
use crate::seal::{Opener, PIECE_MORE_BYTES, Ring, SealError, Sealer};

/// A request and its events.
pub(super) const REQUEST: u8 = 1;
/// Events of the gateway's own.
pub(super) const OWN: u8 = 2;
/// Flag: the payload holds a request.
const CAPTURE: u8 = 1;
/// Flag: the request has a key.
const KEYED: u8 = 2;
/// Flag: the request has the version of its template and its query.
const TARGET: u8 = 4;
/// Flag: who sent the request is known.
const SENT: u8 = 8;
/// Flag: query, sender and body are sealed.
const SEALED: u8 = 16;
/// Flag: what was signed of the request is to be known again.
const SIGNED: u8 = 32;
/// Flag: what its budgets had left stands behind who sent the request.
const CHARGED: u8 = 64;
pub(super) const ENTRY_BYTES: usize = 20;
const WEBHOOK_BYTES: usize = 16;
const KEY_BYTES: usize = size_of::<Digest>();
const TARGET_BYTES: usize = 12;
const LENGTH_BYTES: usize = 4;

/// Bytes of a finished frame of these parts.
fn measure(events: &[Event], capture: Option<&Capture>, is_sealed: bool) -> usize {
    let texts: usize = events.iter().map(|event| ENTRY_BYTES + event.json.len()).sum();
    let request = capture.map_or(0, |capture| {
        let keys = KEY_BYTES * [capture.key, capture.signed].iter().flatten().count();
        let sender = capture.sender.map_or(0, |sender| sender.bytes());
        WEBHOOK_BYTES + keys + TARGET_BYTES + capture.query.len() + sender + capture.body.len()
    });
    let seal = if is_sealed { LENGTH_BYTES + PIECE_MORE_BYTES + LENGTH_BYTES + 1 } else { 0 };
    texts + request + seal
}

/// Lays a frame out and checks it; sequence and header checksum are still open.
pub(super) fn encode(
    account: Uuid,
    workspace: Option<Uuid>,
    received: Time,
    events: &[Event],
    capture: Option<&Capture>,
    sealer: Option<&Sealer>,
) -> Frame {
    lay_out((account, workspace), received, events, capture.map(|capture| (capture, sealer)), &[])
}

/// The same; of our own events with something behind them.
pub(super) fn lay_out(
    (account, workspace): (Uuid, Option<Uuid>),
    received: Time,
    events: &[Event],
    capture: Option<(&Capture, Option<&Sealer>)>,
    rest: &[u8],
) -> Frame {
    let to_seal = capture.and_then(|(capture, sealer)| Some((capture, sealer?)));
    let capture = capture.map(|(capture, _)| capture);
    let length = measure(events, capture, to_seal.is_some()) + rest.len();
    let mut header = Header {
        length: u32::try_from(length).unwrap_or(u32::MAX),
        payload_crc: 0,
        kind: if capture.is_some() { REQUEST } else { OWN },
        flags: flags(capture, to_seal.is_some()),
        count: u16::try_from(events.len()).unwrap_or(u16::MAX),
        sequence: 0,
        received: received.micros(),
        account: account.into_bytes(),
        workspace: workspace.unwrap_or_default().into_bytes(),
    };
    let bytes_in_all = header.frame_bytes() as usize;
    let mut bytes = Vec::with_capacity(bytes_in_all);
    bytes.resize(HEADER_BYTES, 0);
    for event in events {
        bytes.extend_from_slice(event.id.as_bytes());
        bytes.extend_from_slice(&(event.json.len() as u32).to_le_bytes());
    }
    if let Some(capture) = capture {
        bytes.extend_from_slice(capture.webhook.as_bytes());
        for key in [&capture.key, &capture.signed].into_iter().flatten() {
            bytes.extend_from_slice(key);
        }
        bytes.extend_from_slice(&capture.version.to_le_bytes());
        if to_seal.is_some() {
            bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        } else {
            write_query(capture, &mut bytes);
            capture.sender.inspect(|sender| sender.write(&mut bytes));
        }
    }
    for event in events {
        bytes.extend_from_slice(&event.json);
    }
    if let Some((capture, sealer)) = to_seal {
        let id = events.first().map_or(Uuid::nil(), |event| event.id);
        let place = place(&header, capture.webhook, id);
        bytes.extend_from_slice(&(capture.body.len() as u32).to_le_bytes());
        sealer.seal(&place, &mut bytes, |bytes| {
            write_query(capture, bytes);
            bytes.push(capture.sender.map_or(0, |sender| 1 + u8::from(sender.is_charged())));
            capture.sender.inspect(|sender| sender.write(bytes));
            bytes.extend_from_slice(&capture.body);
        });
    } else if let Some(capture) = capture {
        bytes.extend_from_slice(&capture.body);
    }
    bytes.extend_from_slice(rest);
    debug_assert_eq!(bytes.len(), HEADER_BYTES + length, "as it was measured");
    header.payload_crc = crc32c::crc32c(&bytes[HEADER_BYTES..]);
    header.write(&mut bytes);
    bytes.resize(bytes_in_all.max(bytes.len()), 0);
    Frame { bytes }
}

fn flags(capture: Option<&Capture>, is_sealed: bool) -> u8 {
    let Some(capture) = capture else { return 0 };
    let flag = |has: bool, flag: u8| if has { flag } else { 0 };
    let keys = flag(capture.key.is_some(), KEYED) | flag(capture.signed.is_some(), SIGNED);
    let rest = flag(is_sealed, SEALED) | flag(capture.sender.is_some() && !is_sealed, SENT);
    let charged = flag(capture.sender.is_some_and(|sender| sender.is_charged()), CHARGED);
    CAPTURE | TARGET | keys | rest | charged
}

fn write_query(capture: &Capture, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(capture.query.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&capture.query);
}

/// Where a sealed request belongs: in another frame, or another tenant's, it does not open.
fn place(header: &Header, webhook: Uuid, received: Uuid) -> [u8; 64] {
    let mut place = [0; 64];
    let parts = [received.as_bytes(), &header.account, &header.workspace, webhook.as_bytes()];
    for (part, into) in parts.into_iter().zip(place.chunks_exact_mut(16)) {
        into.copy_from_slice(part);
    }
    place
}

/// Opens what is sealed of a frame; what does not open says why.
pub(super) fn open(kept: &mut Kept, ring: Option<&Ring>, opener: &mut Opener) {
    let Some(capture) = kept.capture.as_mut().filter(|one| one.seal == Seal::Closed) else {
        return;
    };
    let header = Header {
        account: kept.account.into_bytes(),
        workspace: kept.workspace.unwrap_or_default().into_bytes(),
        ..Header::default()
    };
    let id = kept.events.first().map_or(Uuid::nil(), |event| event.id);
    let place = place(&header, capture.webhook, id);
    let piece = capture.body.get(LENGTH_BYTES..).unwrap_or_default();
    let text = opener.open(ring, &place, piece).map(Bytes::from);
    match text.and_then(|text| read_sealed(&text).ok_or(SealError::Broken)) {
        Ok((query, sender, body)) => {
            (capture.query, capture.sender, capture.body) = (query, sender, body);
            capture.seal = Seal::Open;
        }
        Err(fault) => capture.seal = Seal::Lost(fault),
    }
}

/// Query, sender and body of a piece that was opened.
fn read_sealed(text: &Bytes) -> Option<(Bytes, Option<Sender>, Bytes)> {
    let mut at = 0_usize;
    let mut take = |length: usize| {
        let from = at;
        at = from.checked_add(length).filter(|end| *end <= text.len())?;
        Some(text.slice(from..at))
    };
    let length = u32::from_le_bytes(take(LENGTH_BYTES)?[..].try_into().ok()?);
    let query = take(length as usize)?;
    let sender = match take(1)?[0] {
        0 => None,
        1 => Some(Sender::read(&take(SENDER_BYTES)?)?),
        _ => {
            let sender = Sender::read(&take(SENDER_BYTES)?)?;
            Some(sender.with_charged(&take(CHARGED_BYTES)?)?)
        }
    };
    Some((query, sender, text.slice(at..)))
}

/// Bytes of the body of a request that is sealed.
pub(super) fn sealed_body_bytes(sealed: &[u8]) -> u64 {
    sealed.first_chunk().map_or(0, |length| u32::from_le_bytes(*length).into())
}

/// Reads a frame back; events and body are slices of `payload`. `None`: a kind of a later release, or no sense.
pub(super) fn decode(header: &Header, payload: &Bytes) -> Option<Kept> {
    let is_request = header.flags & CAPTURE != 0;
    let known = CAPTURE | KEYED | TARGET | SENT | SEALED | SIGNED | CHARGED;
    let is_known = header.flags & !known == 0 && (is_request || header.flags == 0);
    if !matches!(header.kind, REQUEST | OWN) || !is_known {
        return None;
    }
    let mut at = usize::from(header.count) * ENTRY_BYTES;
    let table = payload.get(..at)?;
    let mut capture = if is_request { Some(read_head(header, payload, &mut at)?) } else { None };
    let mut events = Vec::with_capacity(usize::from(header.count));
    for entry in table.chunks_exact(ENTRY_BYTES) {
        let (id, length) = entry.split_at(16);
        let end = at.checked_add(u32::from_le_bytes(length.try_into().ok()?) as usize)?;
        payload.get(at..end)?;
        events.push(Event { id: Uuid::from_slice(id).ok()?, json: payload.slice(at..end) });
        at = end;
    }
    if let Some(capture) = &mut capture {
        capture.body = payload.slice(at..);
        capture.seal = if header.flags & SEALED == 0 { Seal::Open } else { Seal::Closed };
    }
    Some(Kept {
        sequence: header.sequence,
        account: Uuid::from_bytes(header.account),
        workspace: Some(Uuid::from_bytes(header.workspace)).filter(|id| !id.is_nil()),
        received: Time::from_micros(header.received),
        events,
        capture,
    })
}

/// The texts of a frame's events, without a look at anything else: one with no sense gives none.
pub(super) fn texts<'a>(header: &Header, payload: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let table_bytes = usize::from(header.count) * ENTRY_BYTES;
    let (table, rest) = payload.split_at_checked(table_bytes).unwrap_or_default();
    let head = head_bytes(header, rest).unwrap_or(usize::MAX);
    let mut rest = rest.get(head..).unwrap_or_default();
    table.chunks_exact(ENTRY_BYTES).map_while(move |entry| {
        let length = u32::from_le_bytes(*entry.last_chunk()?) as usize;
        let (text, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(text)
    })
}

/// Bytes of what stands of a request between the table and the events.
fn head_bytes(header: &Header, rest: &[u8]) -> Option<usize> {
    if header.flags & CAPTURE == 0 {
        return Some(0);
    }
    let has = |flag, bytes| if header.flags & flag == 0 { 0 } else { bytes };
    let fixed = WEBHOOK_BYTES + has(KEYED, KEY_BYTES) + has(SIGNED, KEY_BYTES);
    let sender = has(SENT, SENDER_BYTES + has(CHARGED, CHARGED_BYTES));
    if header.flags & TARGET == 0 {
        return Some(fixed + sender);
    }
    let target = rest.get(fixed..fixed + TARGET_BYTES)?;
    let query = u32::from_le_bytes(*target.last_chunk()?) as usize;
    (fixed + TARGET_BYTES + sender).checked_add(query)
}

/// What stands of a request in front of the events; `at` moves behind it.
fn read_head(header: &Header, payload: &Bytes, at: &mut usize) -> Option<Capture> {
    let mut take = |length: usize| {
        let from = *at;
        *at = from.checked_add(length).filter(|end| *end <= payload.len())?;
        Some(payload.slice(from..*at))
    };
    let webhook = Uuid::from_slice(&take(WEBHOOK_BYTES)?).ok()?;
    let mut capture = Capture { webhook, ..Capture::default() };
    if header.flags & KEYED != 0 {
        capture.key = Some(take(KEY_BYTES)?[..].try_into().ok()?);
    }
    if header.flags & SIGNED != 0 {
        capture.signed = Some(take(KEY_BYTES)?[..].try_into().ok()?);
    }
    if header.flags & TARGET != 0 {
        let target = take(TARGET_BYTES)?;
        let (version, length) = target.split_at(8);
        capture.version = u64::from_le_bytes(version.try_into().ok()?);
        capture.query = take(u32::from_le_bytes(length.try_into().ok()?) as usize)?;
    }
    if header.flags & SENT != 0 {
        let mut sender = Sender::read(&take(SENDER_BYTES)?)?;
        if header.flags & CHARGED != 0 {
            sender = sender.with_charged(&take(CHARGED_BYTES)?)?;
        }
        capture.sender = Some(sender);
    }
    Some(capture)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::Marks;
    use super::super::tests::Folder;
    use super::*;
    use crate::limit::{Charged, Left};

    fn event(id: u128, json: &'static str) -> Event {
        Event { id: Uuid::from_u128(id), json: Bytes::from_static(json.as_bytes()) }
    }

    fn split(frame: &Frame) -> (Header, Bytes) {
        let header = Header::read(&frame.bytes);
        let payload = &frame.bytes[HEADER_BYTES..HEADER_BYTES + header.length as usize];
        (header, Bytes::copy_from_slice(payload))
    }

    #[test]
    fn a_frame_gives_back_what_it_was_made_of() {
        let events = [event(1, "{\"a\":1}"), event(2, "{}")];
        let left = NonZeroU32::new(9).map(|of| Left { count: 4, of });
        let sent = |of: [u8; 16]| {
            let webhook = left.filter(|_| of[0] == 7);
            let charged = Charged { webhook, ..Charged::default() };
            Sender { peer: [192, 0, 2, 1].into(), marks: Marks::KEY, charged }
        };
        let capture = |key: Option<Digest>| Capture {
            webhook: Uuid::from_u128(9),
            sender: key.map(sent),
            key,
            signed: key.map(|key| key.map(|byte| byte + 1)),
            version: u64::MAX,
            query: Bytes::from_static(b"a=1"),
            body: Bytes::from_static(b"\xff\0body"),
            seal: Seal::Open,
        };
        let (account, workspace) = (Uuid::from_u128(3), Some(Uuid::from_u128(4)));
        let time = Time::from_micros(77);
        let kept = [None, Some([7; 16]), Some([6; 16])].map(|key| Some(capture(key)));
        for capture in kept.into_iter().chain([None]) {
            let capture = capture.as_ref();
            for count in 0..=2 {
                let frame = encode(account, workspace, time, &events[..count], capture, None);
                assert_eq!(frame.bytes.len() % 8, 0);
                let (header, payload) = split(&frame);
                assert_eq!(crc32c::crc32c(&payload), header.payload_crc);
                let kept = decode(&header, &payload).expect("a frame");
                assert_eq!(kept.events, events[..count]);
                assert_eq!(
                    (kept.account, kept.workspace, kept.received),
                    (account, workspace, time)
                );
                assert_eq!(kept.capture.as_ref(), capture);
                let plain: Vec<_> = events[..count].iter().map(|event| &event.json[..]).collect();
                assert_eq!(texts(&header, &payload).collect::<Vec<_>>(), plain);
            }
        }
    }

    #[test]
    fn a_sealed_request_opens_in_its_frame_alone_and_its_events_need_no_key() {
        let keys = Folder::new().keys();
        let ring = keys.last();
        let events = [event(1, "{\"a\":1}"), event(2, "{}")];
        let peer = [192, 0, 2, 1].into();
        let sender = Sender { peer, marks: Marks::KEY, charged: Charged::default() };
        let whole = Capture {
            webhook: Uuid::from_u128(9),
            sender: Some(sender),
            key: Some([7; 16]),
            signed: Some([8; 16]),
            version: 3,
            query: Bytes::from_static(b"a=secret"),
            body: Bytes::from_static(b"a secret body"),
            seal: Seal::Open,
        };
        let bare =
            Capture { sender: None, key: None, signed: None, query: Bytes::new(), ..whole.clone() };
        let account = Uuid::from_u128(3);
        let left = NonZeroU32::new(9).map(|of| Left { count: 4, of });
        let charged = Charged { account: left, ..Charged::default() };
        let limited = Capture { sender: Some(Sender { charged, ..sender }), ..whole.clone() };
        for capture in [whole, bare, limited] {
            let sealer = ring.sealer();
            let frame =
                encode(account, None, Time::default(), &events, Some(&capture), Some(&sealer));
            assert!(!frame.bytes.windows(6).any(|part| part == b"secret"));
            let (header, payload) = split(&frame);
            let plain: Vec<_> = events.iter().map(|event| &event.json[..]).collect();
            assert_eq!(texts(&header, &payload).collect::<Vec<_>>(), plain);
            let kept = decode(&header, &payload).expect("a frame");
            let closed = kept.capture.as_ref().expect("a request");
            assert_eq!(
                (&closed.seal, closed.sender, &closed.query[..]),
                (&Seal::Closed, None, &b""[..])
            );
            assert_eq!(
                (closed.webhook, closed.key, closed.version),
                (capture.webhook, capture.key, 3)
            );
            assert_eq!(closed.body_bytes(), capture.body_bytes());
            let opened = |kept: &Kept, ring: Option<&Ring>| {
                let mut kept = kept.clone();
                open(&mut kept, ring, &mut Opener::default());
                kept.capture.expect("a request")
            };
            assert_eq!(opened(&kept, Some(&ring)), capture);
            let lost = Seal::Lost(SealError::UnknownKey { key: ring.name().to_owned() });
            assert_eq!(opened(&kept, None).seal, lost);
            assert_eq!(opened(&kept, None).body_bytes(), capture.body_bytes());
            let others = [
                Kept { account: Uuid::from_u128(4), ..kept.clone() },
                Kept { workspace: Some(account), ..kept.clone() },
                Kept { events: vec![event(5, "{}")], ..kept.clone() },
            ];
            for other in others {
                assert_eq!(opened(&other, Some(&ring)).seal, Seal::Lost(SealError::Broken));
            }
            for length in 0..payload.len() {
                if let Some(kept) = decode(&header, &payload.slice(..length)) {
                    assert_eq!(opened(&kept, Some(&ring)).seal, Seal::Lost(SealError::Broken));
                }
            }
        }
    }

    #[test]
    fn a_request_of_an_earlier_release_has_no_query() {
        let webhook = Uuid::from_u128(9);
        let payload = [webhook.as_bytes(), &b"body"[..]].concat();
        let header = Header { kind: REQUEST, flags: CAPTURE, ..Header::default() };
        let kept = decode(&header, &Bytes::from(payload)).expect("a frame");
        let body = Bytes::from_static(b"body");
        assert_eq!(kept.capture, Some(Capture { webhook, body, ..Capture::default() }));
    }

    #[test]
    fn a_request_of_an_earlier_release_does_not_say_what_its_budgets_had_left() {
        let webhook = Uuid::from_u128(9);
        let version = [&3_u64.to_le_bytes()[..], &3_u32.to_le_bytes(), b"a=1"].concat();
        let marks = Marks::KEY.with(Marks::WEBHOOK, true);
        let peer = [&[0b101][..], &[0; 10], &[0xFF, 0xFF, 192, 0, 2, 1]].concat();
        let payload = [webhook.as_bytes(), &version[..], &peer, b"body"].concat();
        let flags = CAPTURE | TARGET | SENT;
        let header = Header { kind: REQUEST, flags, ..Header::default() };
        let kept = decode(&header, &Bytes::from(payload.clone())).expect("a frame");
        let sender = Sender { peer: [192, 0, 2, 1].into(), marks, charged: Charged::default() };
        let capture = Capture {
            webhook,
            sender: Some(sender),
            version: 3,
            query: Bytes::from_static(b"a=1"),
            body: Bytes::from_static(b"body"),
            ..Capture::default()
        };
        assert_eq!(kept.capture.as_ref(), Some(&capture));
        let frame = encode(Uuid::nil(), None, Time::default(), &[], Some(&capture), None);
        let (header, same) = split(&frame);
        assert_eq!((header.flags, same), (flags, Bytes::from(payload)), "and is written as ever");
    }

    #[test]
    fn a_payload_without_sense_is_no_frame() {
        let query = Bytes::from_static(b"a=1");
        let (key, signed) = (Some([7; 16]), Some([8; 16]));
        let left = NonZeroU32::new(9).map(|of| Left { count: 4, of });
        let charged = Charged { peer: left, ..Charged::default() };
        let sender = Sender { peer: [192, 0, 2, 1].into(), marks: Marks::PEER, charged };
        let sender = Some(sender);
        let capture = Capture { key, signed, sender, query, ..Capture::default() };
        let events = [event(1, "{\"a\":1}")];
        let frame = encode(Uuid::nil(), None, Time::default(), &events, Some(&capture), None);
        let (header, payload) = split(&frame);
        for length in 0..payload.len() {
            assert!(decode(&header, &payload.slice(..length)).is_none(), "{length} bytes");
            assert_eq!(texts(&header, &payload[..length]).count(), 0, "{length} bytes");
        }
        let odd = [
            Header { kind: 3, ..header },
            Header { flags: 2, ..header },
            Header { count: u16::MAX, ..header },
        ];
        for header in odd {
            assert!(decode(&header, &payload).is_none());
        }
    }
}
