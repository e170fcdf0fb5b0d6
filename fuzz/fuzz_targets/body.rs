//! Body to what templates see. In: a media type (chosen by the first byte) and a body. Holds: the index agrees with
//! `serde_json` in what is JSON, in every value, in the order of members, in which of a doubled name counts; numbers
//! keep all their digits; bounds hold at the bound; only too much is refused.
#![no_main]

use bytes::Bytes;
use hookgate::json::{self, FaultKind, Kind, Limits, Value};
use hookgate::parse::parse;
use hookgate::request::Body;
use hookgate_fuzz::tree::Tree;
use libfuzzer_sys::fuzz_target;

/// Small enough for the fuzzer to reach both.
const LIMITS: Limits = Limits { depth_max: 12, nodes_max: 200 };
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
            let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(bytes <= body.len() * 3);
            for (place, (name, _)) in fields.iter().enumerate() {
                assert!(fields[..place].iter().all(|(earlier, _)| earlier != name), "{name} twice");
            }
        }
        Err(fault) => assert!(!matches!(fault.what, FaultKind::Expected(_)), "{fault}"),
    }
});

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
