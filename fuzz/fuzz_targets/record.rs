//! What the API and the command read. In: a byte that chooses, and a text: the body of one of the table's verbs, a
//! path, a destination's fields, or a request file. Holds: no panic; a fault says its rule and place and repeats
//! nothing that was sent; what was taken is taken again in its one form; a request file is what it is when it is
//! written again.
#![no_main]

use hookgate::catalogue::{Effect, KINDS, Kind, Match, Verb, check_each, find, is_id};
use hookgate::clock::Time;
use hookgate::parse::sample::Sample;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// 2026-11-28T18:00:00Z.
const NOW: Time = Time::from_micros(1_795_888_800_000_000);
/// Stands where a value was sent that no fault may repeat.
const SENT: &str = "S3CRET";

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match choice {
        b'p' => path(text),
        b'd' => destination(text),
        b'r' => request_file(text),
        choice => body(usize::from(*choice), text),
    }
});

fn body(choice: usize, text: &str) {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let verbs: Vec<(&Kind, &Verb)> =
        KINDS.iter().flat_map(|kind| kind.verbs.iter().map(move |verb| (*kind, verb))).collect();
    // One of each row of rows, so that a byte reaches all.
    for (kind, verb) in verbs.iter().skip(choice % 32).step_by(32) {
        match check_each(kind, verb, Some(&value)) {
            Err(faults) => {
                assert!(!faults.is_empty());
                for fault in faults {
                    assert!(!fault.rule.is_empty() && !fault.at.is_empty(), "{fault:?}");
                    assert!(!fault.says.contains(SENT), "{}: {fault:?}", kind.name);
                }
            }
            Ok((taken, is_list)) => {
                let whole = matches!(verb.effect, Effect::Create | Effect::Replace);
                let own = |values: &&_| whole && is_own(kind, verb, values);
                for values in taken.iter().filter(own) {
                    let again = check_each(kind, verb, Some(&Value::Object(values.clone())));
                    let expected = (vec![values.clone()], false);
                    assert_eq!(again, Ok(expected), "{} {}: its one form", kind.name, verb.name);
                }
                assert!(is_list || taken.len() == 1);
            }
        }
    }
}

/// Whether what was taken says nothing but what may be sent.
fn is_own(_: &Kind, _: &Verb, values: &serde_json::Map<String, Value>) -> bool {
    values.values().all(|value| !value.is_null())
}

fn path(text: &str) {
    let (method, path) = text.split_once(' ').unwrap_or(("GET", text));
    match find(method, path) {
        Match::Found(route) => {
            assert!(route.verb.method == method || method == "HEAD");
            for (name, part) in &route.parts {
                assert!(!name.is_empty() && !part.is_empty() && path.contains(part));
                assert!(is_id(part).is_none_or(|id| part.replace('-', "").len() == 32 && {
                    id.simple().to_string() == part.replace('-', "").to_lowercase()
                }));
            }
        }
        Match::Methods(methods) => assert!(!methods.is_empty() && !methods.contains(&method)),
        Match::Nothing => {}
    }
}

fn destination(text: &str) {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return };
    if let Err(flaws) = hookgate::forward::vet(&fields, None, NOW) {
        assert!(flaws.iter().all(|(field, says)| !field.is_empty() && !says.is_empty()));
        let bearer = fields.get("bearer").and_then(Value::as_str).unwrap_or_default();
        let told = |says: &String| bearer.len() > 8 && says.contains(bearer);
        assert!(!flaws.iter().any(|(_, says)| told(says)), "{flaws:?}");
    }
}

fn request_file(text: &str) {
    match Sample::parse(text) {
        Ok(sample) => {
            let written = sample.text();
            let again = Sample::parse(&written).expect("what was written is read");
            assert_eq!(again.text(), written, "written twice");
            assert_eq!((&again.method, &again.headers), (&sample.method, &sample.headers));
            assert_eq!((&again.query, &again.body), (&sample.query, &sample.body));
        }
        Err(fault) => {
            let lines = text.lines().count().max(1);
            assert!((1..=lines + 1).contains(&fault.line()), "{fault}");
        }
    }
}
