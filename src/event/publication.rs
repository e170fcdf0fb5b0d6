//! Events that clients publish (contract 1.1): complete when they come, and checked whole. In: JSON text of one event.
//! Out: the [`Event`], its canonical text as every other's, or each rule it breaks. Never an id or a moment made up.

use bytes::Bytes;

use super::draft::{Draft, DraftError, EARLIEST, Members, read_occurred, read_uuid};
use super::name;
use super::payload::{self, Payload};
use super::resource;
use super::{EVENT_MAX_BYTES, Event, close};
use crate::clock::Time;
use crate::json::{Kind, Value};

/// Numbers of more than so many seconds are milliseconds, as the original reads them.
const SECONDS_MAX: f64 = 2e10;
/// The end of the year 9999, in microseconds.
const LATEST_MICROS: f64 = 253_402_300_800e6;

/// Reads an event that somebody publishes. `allows_reserved`: the gateway's own names are free for all,
/// also those of its records.
///
/// # Errors
/// Every rule that is broken, at most one for each of its seven members.
pub fn publish(text: &str, allows_reserved: bool) -> Result<Event, Vec<DraftError>> {
    let draft = Draft::read(text).map_err(|fault| vec![fault])?;
    let members = Members::of(Value::root(text, &draft.nodes));
    let has_nul = payload::holds_nul(text);
    let mut faults = Vec::new();
    let mut out = Vec::with_capacity(text.len() + 64);
    out.extend_from_slice(b"{\"occurred\":\"");
    match moment(members.occurred) {
        Ok(occurred) => occurred.write(&mut out),
        Err(fault) => faults.push(fault),
    }
    out.extend_from_slice(b"\",\"event\":");
    let named = required("event", members.event).and_then(|value| {
        let name = name::check_length(value)?;
        if !allows_reserved {
            name::check_owner(&name, has_nul)?;
        }
        payload::write_value(&mut out, value, has_nul);
        Ok(())
    });
    faults.extend(named.err());
    out.extend_from_slice(b",\"resource\":");
    let written = required("resource", members.resource)
        .and_then(|value| resource::write(&mut out, value, "/resource", has_nul));
    faults.extend(written.err());
    out.extend_from_slice(b",\"related\":[");
    let related = ("", allows_reserved);
    faults.extend(resource::write_related(&mut out, members.related, related, has_nul).err());
    out.extend_from_slice(b"],\"payload\":");
    match members.payload.map(|value| Payload::check(value, &draft.nodes)) {
        None => out.extend_from_slice(b"{}"),
        Some(Err(fault)) => faults.push(fault),
        // In a broken event its size means nothing.
        Some(Ok(payload)) if faults.is_empty() => {
            let written = payload.write(&mut out, has_nul, EVENT_MAX_BYTES).map_err(too_large);
            faults.extend(written.err());
        }
        Some(Ok(_)) => {}
    }
    let id = required("id", members.id).and_then(|value| read_uuid("id", Some(value)));
    let follows = read_uuid("follows", members.follows.filter(|value| value.kind() != Kind::Null));
    match (id, follows) {
        (Ok(Some(id)), Ok(follows)) if faults.is_empty() => {
            close(&mut out, id, follows);
            if out.len() > EVENT_MAX_BYTES {
                return Err(vec![too_large(out.len())]);
            }
            Ok(Event { id, json: Bytes::from(out) })
        }
        (id, follows) => {
            faults.extend(id.err());
            faults.extend(follows.err());
            Err(faults)
        }
    }
}

fn required<'a>(name: &str, value: Option<Value<'a>>) -> Result<Value<'a>, DraftError> {
    value.ok_or_else(|| DraftError::invalid(format!("/{name}"), format!("{name} is missing")))
}

fn too_large(bytes: usize) -> DraftError {
    DraftError::of_size(format!("the event has {bytes} bytes, at most {EVENT_MAX_BYTES}"))
}

/// The moment of an event: RFC 3339, a date alone, or a number of seconds since 1970.
fn moment(value: Option<Value<'_>>) -> Result<Time, DraftError> {
    let value = required("occurred", value)?;
    let read = match value.kind() {
        Kind::Integer | Kind::Float => epoch(value.raw()),
        _ => value.text().filter(|text| text.len() == 10).and_then(|date| {
            Time::parse(&format!("{date}T00:00:00Z")).filter(|moment| *moment >= EARLIEST)
        }),
    };
    match read {
        Some(moment) => Ok(moment),
        None => Ok(read_occurred(Some(value))?.unwrap_or_default()),
    }
}

fn epoch(number: &str) -> Option<Time> {
    let number: f64 = number.parse().ok()?;
    let micros = if number.abs() > SECONDS_MAX { number * 1e3 } else { number * 1e6 };
    (micros >= EARLIEST.micros() as f64 && micros < LATEST_MICROS)
        .then(|| Time::from_micros(micros.trunc() as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "019AB2F06F4E7CC19A8B0D8B1C4F9F10";

    fn text(more: &str) -> String {
        format!(
            r#"{{"occurred":"2026-11-23T22:52:30.837791999Z","event":"shop.paid","unknown":[1],
            "resource":{{"prefect.resource.id":"r"}},"id":"{ID}"{more}}}"#
        )
    }

    fn json(text: &str) -> String {
        let event = publish(text, false).unwrap_or_else(|faults| panic!("{faults:?} in {text}"));
        String::from_utf8_lossy(&event.json).into_owned()
    }

    fn pointers(text: &str) -> Vec<String> {
        let faults = publish(text, false).expect_err(text);
        faults.into_iter().map(|fault| fault.pointer.unwrap_or_default()).collect()
    }

    #[test]
    fn seven_keys_in_their_order_with_defaults() {
        let expected = concat!(
            r#"{"occurred":"2026-11-23T22:52:30.837791Z","event":"shop.paid","#,
            r#""resource":{"prefect.resource.id":"r"},"related":[],"payload":{},"#,
            r#""id":"019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10","follows":null}"#
        );
        assert_eq!(json(&text("")), expected);
        assert_eq!(json(expected), expected, "what is canonical stays as it is");
        let follows = json(&text(r#","follows":"00000000-0000-0000-0000-00000000000A""#));
        assert!(follows.ends_with(r#""follows":"00000000-0000-0000-0000-00000000000a"}"#));
        let nul = json(&text(r#","payload":{"a":"\u0000"}"#));
        assert!(nul.contains("\u{FFFD}") && !nul.contains("u0000"));
    }

    #[test]
    fn moments_in_every_form_the_original_takes() {
        for (given, moment) in [
            (r#""2026-11-23T23:52:30+01:00""#, "2026-11-23T22:52:30Z"),
            (r#""2026-11-23T22:52:30""#, "2026-11-23T22:52:30Z"),
            (r#""2026-11-23""#, "2026-11-23T00:00:00Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000.5", "2023-11-14T22:13:20.5Z"),
            ("1700000000123", "2023-11-14T22:13:20.123Z"),
        ] {
            let text = text("").replace(r#""2026-11-23T22:52:30.837791999Z""#, given);
            let value: serde_json::Value = serde_json::from_str(&json(&text)).expect("JSON");
            let told = value["occurred"].as_str().and_then(Time::parse);
            assert_eq!(told, Time::parse(moment), "{given}");
        }
        for given in ["null", "true", "\"\"", "\"yesterday\"", "1e300", "\"0000-01-01\""] {
            let text = text("").replace(r#""2026-11-23T22:52:30.837791999Z""#, given);
            assert_eq!(pointers(&text), ["/occurred"], "{given}");
        }
    }

    #[test]
    fn every_broken_rule_is_told_with_its_place() {
        assert_eq!(pointers("{}"), ["/occurred", "/event", "/resource", "/id"]);
        let bad = r#"{"occurred":1,"event":"prefect-cloud.user.created","resource":{"a":1},
            "related":null,"payload":[],"id":"x","follows":7}"#;
        let expected = ["/event", "/resource/a", "/related", "/payload", "/id", "/follows"];
        assert_eq!(pointers(bad), expected);
        let role = text(r#","related":[{"prefect.resource.id":"a"}]"#);
        assert_eq!(pointers(&role), ["/related/0"]);
        for text in ["[]", "1", "{", "\"x\""] {
            assert_eq!(publish(text, false).expect_err(text).len(), 1);
        }
    }

    #[test]
    fn bounds_hold_at_the_bound() {
        let name = |chars: usize| text("").replace("shop.paid", &"é".repeat(chars));
        assert!(publish(&name(1024), false).is_ok() && publish(&name(0), false).is_ok());
        assert_eq!(pointers(&name(1025)), ["/event"]);
        let one = r#"{"prefect.resource.id":"a","prefect.resource.role":"b"}"#;
        let related = |count| text(&format!(",\"related\":[{}]", vec![one; count].join(",")));
        assert!(publish(&related(100), false).is_ok());
        assert_eq!(pointers(&related(101)), ["/related"]);
        let sized = |bytes| text(&format!(r#","payload":{{"a":"{}"}}"#, "x".repeat(bytes)));
        let empty = json(&sized(0)).len();
        assert_eq!(json(&sized(EVENT_MAX_BYTES - empty)).len(), EVENT_MAX_BYTES);
        assert!(publish(&sized(EVENT_MAX_BYTES - empty + 1), false).is_err());
        let deep = |levels| {
            text(&format!(r#","payload":{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels)))
        };
        assert!(publish(&deep(188), false).is_ok());
        assert!(publish(&deep(189), false).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_published_is_canonical_or_refused(
            name in ".{0,20}",
            label in ".{0,20}",
            payload in "[\\[\\]{}:,\"a0.e-]{0,40}",
            more in "(,\"follows\":(null|7|\"x\"))?",
        ) {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            let text = format!(
                r#"{{"occurred":"2026-11-23T22:52:30Z","event":{},"id":"{ID}","resource":
                {{"prefect.resource.id":"r","l":{}}},"payload":{{"p":{payload}}}{more}}}"#,
                quoted(&name), quoted(&label)
            );
            if let Ok(event) = publish(&text, false) {
                let canonical = std::str::from_utf8(&event.json).expect("text");
                prop_assert!(serde_json::from_str::<serde_json::Value>(canonical).is_ok());
                prop_assert_eq!(publish(canonical, false), Ok(event.clone()));
            }
        }
    }

    #[test]
    fn reserved_names_are_free_only_by_a_setting() {
        let own = text("").replace("shop.paid", "prefect-cloud.webhook.failed");
        assert_eq!(pointers(&own), ["/event"]);
        assert!(publish(&own, true).is_ok());
        let own = text("").replace("shop.paid", "hookgate.destination.recovered");
        assert_eq!(pointers(&own), ["/event"]);
        assert!(publish(&own, true).is_ok());
    }
}
