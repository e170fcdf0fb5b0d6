//! Body to what templates see. In: a media type (chosen by the first byte) and a body. Holds: the index agrees with
//! `serde_json` in what is JSON, in every value, in the order of members, in which of a doubled name counts; numbers
//! keep all their digits; a form has the fields that `form_urlencoded` finds; bounds hold at the bound; only too much
//! is refused. From the middle byte on, the body is packed: unpacked, it is what was packed, and never more than
//! allowed.
#![no_main]

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use hookgate::accept::decode;
use hookgate::json::{self, FaultKind, Kind, Limits, Value};
use hookgate::parse::parse;
use hookgate::request::Body;
use hookgate_fuzz::tree::Tree;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

/// Small enough for the fuzzer to reach both.
const LIMITS: Limits = Limits { depth_max: 12, nodes_max: 200 };
const UNPACKED_MAX_BYTES: u64 = 1 << 20;
const MEDIA_TYPES: [Option<&str>; 6] = [
    None,
    Some("application/json"),
    Some("application/vnd.x+json; charset=utf-8"),
    Some("application/x-www-form-urlencoded"),
    Some("text/plain"),
    Some("\u{fc}/;;=,"),
];

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else { return };
    if *first >= 128 {
        return unpack(body);
    }
    let scanned = scan(body);
    let media_type = MEDIA_TYPES[usize::from(*first) % MEDIA_TYPES.len()];
    match parse(media_type, Bytes::copy_from_slice(body), LIMITS) {
        Ok(Body::Empty) => assert!(body.is_empty()),
        Ok(Body::Json(document)) => {
            assert!(scanned.is_ok(), "JSON to templates alone");
            let theirs = Tree::read(document.text()).expect("the scan agreed with it");
            agree(document.root(), &theirs);
        }
        Ok(Body::Text(text)) => assert!(text.len() <= body.len() * 3, "a replacement has 3 bytes"),
        Ok(Body::Form(fields)) => {
            assert!(fields.len() <= LIMITS.nodes_max as usize);
            assert_eq!(fields, form(body), "fields");
        }
        Err(fault) => assert!(!matches!(fault.what, FaultKind::Expected(_)), "{fault}"),
    }
});

/// The fields of a form by another's word: of a doubled name the last value, where the first stood.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let clean = |text: &str| text.replace('\0', "\u{FFFD}");
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(body) {
        let (name, value) = (clean(&name), clean(&value));
        match fields.iter_mut().find(|(earlier, _)| *earlier == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields
}

/// What any bytes unpack to is bounded; what was packed comes out again.
fn unpack(bytes: &[u8]) {
    let headers = |name| HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(name))]);
    let raw = Bytes::copy_from_slice(bytes);
    for name in ["gzip", "deflate"] {
        if let Ok(unpacked) = decode(&headers(name), &raw, UNPACKED_MAX_BYTES) {
            let most = (raw.len() as u64 * 100).max(16 << 10).min(UNPACKED_MAX_BYTES);
            assert!(unpacked.len() as u64 <= most, "{} of {}", unpacked.len(), raw.len());
        }
    }
    let (fast, mut packed) = (Compression::fast(), Vec::new());
    // One way each time: a packer costs far more than all else here.
    let (name, written) = match bytes.len() % 3 {
        0 => ("gzip", GzEncoder::new(&mut packed, fast).write_all(bytes)),
        1 => ("deflate", ZlibEncoder::new(&mut packed, fast).write_all(bytes)),
        _ => ("deflate", DeflateEncoder::new(&mut packed, fast).write_all(bytes)),
    };
    assert!(written.is_ok(), "memory takes all");
    // A stream without a wrapper may begin as one with it does.
    let is_bare = bytes.len() % 3 == 2;
    let back = decode(&headers(name), &packed.into(), UNPACKED_MAX_BYTES);
    let is_same = back.as_ref().is_ok_and(|back| back == bytes);
    assert!(is_same || is_bare && back.is_err(), "{name}: {back:?}");
}

/// Scans, and compares with what `serde_json` says.
fn scan(body: &[u8]) -> Result<(), FaultKind> {
    let Ok(text) = std::str::from_utf8(body) else { return Err(FaultKind::Expected("UTF-8")) };
    let mut nodes = Vec::new();
    let ours = json::scan(text, LIMITS, &mut nodes);
    let theirs = Tree::read(text);
    match (&ours, &theirs) {
        (Ok(()), Some(theirs)) => {
            let (depth, values) = theirs.extent();
            assert!(depth <= LIMITS.depth_max && values <= LIMITS.nodes_max);
            agree(Value::root(text, &nodes), theirs);
        }
        (Ok(()), None) => panic!("only ours reads {text:?}"),
        (Err(fault), Some(theirs)) => {
            let (depth, values) = theirs.extent();
            match fault.what {
                FaultKind::TooDeep(max) => assert!(depth > max),
                FaultKind::TooMany(max) => assert!(values > max),
                FaultKind::Expected(_) => panic!("only theirs reads {text:?}: {fault}"),
            }
        }
        // Neither reads it, and bounds may be met before the fault.
        (Err(fault), None) => assert!(fault.at <= text.len()),
    }
    ours.map_err(|fault| fault.what)
}

fn agree(ours: Value<'_>, theirs: &Tree) {
    match theirs {
        Tree::Null => assert_eq!(ours.kind(), Kind::Null),
        Tree::Bool(true) => assert_eq!(ours.kind(), Kind::True),
        Tree::Bool(false) => assert_eq!(ours.kind(), Kind::False),
        Tree::Number(digits) => {
            assert_eq!(ours.raw(), digits);
            let whole = digits.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
            assert_eq!(ours.kind() == Kind::Integer, whole);
            assert_eq!(ours.kind() == Kind::Float, !whole);
        }
        Tree::Text(text) => assert_eq!(ours.text().as_deref(), Some(text.as_str())),
        Tree::Array(items) => {
            assert_eq!((ours.kind(), ours.len()), (Kind::Array, items.len()));
            assert_eq!(ours.items().count(), items.len());
            ours.items().zip(items).for_each(|(ours, theirs)| agree(ours, theirs));
        }
        Tree::Object(members) => {
            assert_eq!((ours.kind(), ours.len()), (Kind::Object, members.len()));
            assert_eq!(ours.members().count(), members.len());
            for ((name, value), (their_name, theirs)) in ours.members().zip(members) {
                assert_eq!(name, *their_name);
                agree(value, theirs);
                let last = members.iter().rfind(|(other, _)| other == their_name);
                let (found, last) = (ours.get(&name).expect("a member"), &last.expect("itself").1);
                if !std::ptr::eq(last, theirs) {
                    agree(found, last);
                }
            }
        }
    }
}
