//! What a Prefect server keeps, and what it loses without a word (contract 9.2): the second is never sent. In: an
//! event's JSON. Out: nothing, or the rule it breaks. Also the server's tokens against forged requests. No I/O.

use std::collections::HashSet;
use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::clock::Time;
use crate::event::{EVENT_MAX_BYTES, LABELS_MAX, NAME_MAX_CHARS, RELATED_MAX};
use crate::id::Uuid;
use crate::json::{self, Kind, Node, Value, scan, unescape};

/// Deepest nesting that is kept: an event one level deeper is acknowledged and dropped.
const LIMITS: json::Limits = json::Limits { depth_max: 199, nodes_max: 2_000_000 };
/// Most digits of an integer: the server's Python reads no longer one.
const INTEGER_MAX_BYTES: usize = 4300;
/// Longest resource id together with the event's name: a longer pair breaks the index of its database.
const INDEXED_MAX_BYTES: usize = 2600;

/// Checks events, one index after the other in the same memory.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    nodes: Vec<Node>,
}

impl Sieve {
    /// Whether the server keeps this event once it has acknowledged it.
    pub(super) fn check(&mut self, json: &[u8]) -> Result<(), String> {
        if json.len() > EVENT_MAX_BYTES {
            let bytes = json.len();
            return Err(format!("{bytes} bytes; a Prefect server keeps {EVENT_MAX_BYTES}"));
        }
        let text = std::str::from_utf8(json).map_err(|fault| format!("not UTF-8: {fault}"))?;
        scan(text, LIMITS, &mut self.nodes).map_err(|fault| format!("not JSON: {fault}"))?;
        if memchr::memmem::find(json, b"\\u0000").is_some() {
            self.check_texts(text)?;
        }
        self.check_numbers(text)?;
        check_members(Value::root(text, &self.nodes))
    }

    fn texts<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Kind, &'a str)> {
        self.nodes.iter().map(|node| (node.kind, &text[node.start as usize..node.end as usize]))
    }

    fn check_texts(&self, text: &str) -> Result<(), String> {
        let escaped = |kind| matches!(kind, Kind::Escaped | Kind::EscapedName);
        let holds_nul = |(kind, raw): (Kind, &str)| {
            escaped(kind) && unescape(raw.trim_matches('"')).contains('\0')
        };
        if self.texts(text).any(holds_nul) { Err("holds U+0000".into()) } else { Ok(()) }
    }

    fn check_numbers(&self, text: &str) -> Result<(), String> {
        for (kind, raw) in self.texts(text) {
            let sound = match kind {
                Kind::Integer => raw.len() <= INTEGER_MAX_BYTES,
                Kind::Float => raw.parse::<f64>().is_ok_and(f64::is_finite),
                _ => true,
            };
            if !sound {
                return Err("holds a number that cannot be kept".into());
            }
        }
        Ok(())
    }
}

fn check_members(root: Value<'_>) -> Result<(), String> {
    if root.kind() != Kind::Object {
        return Err("no object".into());
    }
    let member = |name: &str| root.get(name).ok_or_else(|| format!("{name} is missing"));
    let name = member("event")?.text().ok_or("event is no string")?;
    if name.chars().count() > NAME_MAX_CHARS {
        return Err(format!("event has more than {NAME_MAX_CHARS} characters"));
    }
    let resource = member("resource")?;
    let id_bytes = check_labels("resource", resource, &["prefect.resource.id"])?;
    if id_bytes + name.len() > INDEXED_MAX_BYTES {
        return Err(format!("resource id and event have more than {INDEXED_MAX_BYTES} bytes"));
    }
    let related = member("related")?;
    if related.kind() != Kind::Array || related.len() > RELATED_MAX {
        return Err(format!("related is no list of at most {RELATED_MAX}"));
    }
    for labels in related.items() {
        let id =
            check_labels("related", labels, &["prefect.resource.id", "prefect.resource.role"])?;
        if id > INDEXED_MAX_BYTES {
            return Err(format!("a related resource's id has more than {INDEXED_MAX_BYTES} bytes"));
        }
    }
    match member("payload")?.kind() {
        Kind::Object => Ok(()),
        _ => Err("payload is no object".into()),
    }
}

/// Checks one set of labels; gives the length of its first needed one.
fn check_labels(what: &str, labels: Value<'_>, needed: &[&str]) -> Result<usize, String> {
    if labels.kind() != Kind::Object || labels.len() > LABELS_MAX {
        return Err(format!("{what} is no object of at most {LABELS_MAX} labels"));
    }
    if labels.members().any(|(_, value)| value.text().is_none()) {
        return Err(format!("{what} has a label that is no string"));
    }
    let mut first = 0;
    for (place, name) in needed.iter().enumerate() {
        let value = labels.get(name).and_then(Value::text).unwrap_or_default();
        if value.is_empty() {
            return Err(format!("{what} has no {name}"));
        }
        if place == 0 {
            first = value.len();
        }
    }
    Ok(first)
}

/// Seconds around events that a question looks at, and from its first event to its last at most: some servers look
/// at no more than some days.
const MARGIN_SECONDS: i64 = 60;
const SPAN_MAX_SECONDS: i64 = 6 * 86_400;
/// The first moment of the calendar; events end a day before its last.
const FIRST: Time = Time::from_micros(-62_135_596_800_000_000);

/// An event that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::forward) struct Sent {
    pub(in crate::forward) id: Uuid,
    /// When it happened: that is where a server looks for it.
    pub(in crate::forward) occurred: Time,
}

/// Most ids in one question: the answer repeats them.
const IDS_MAX: usize = 500;

/// Asks how many of these events there are, in each question of so many: one for each few days that they happened in.
/// Of those that have one id in such days there can be one alone.
pub(super) fn questions(events: &[Sent]) -> Vec<(String, usize)> {
    let mut sorted = events.to_vec();
    sorted.sort_by_key(|event| event.occurred);
    let mut questions = Vec::new();
    let mut rest = &sorted[..];
    while let Some(first) = rest.first() {
        let end = first.occurred.plus_seconds(SPAN_MAX_SECONDS);
        let (near, far) = rest.split_at(rest.partition_point(|event| event.occurred <= end));
        let mut seen = HashSet::new();
        let all = [near.first(), near.last()];
        let near: Vec<_> = near.iter().filter(|event| seen.insert(event.id)).copied().collect();
        questions.extend(near.chunks(IDS_MAX).map(|some| (question(some, all), some.len())));
        rest = far;
    }
    questions
}

/// Asks for events between the moments of two; wants none of them back.
fn question(events: &[Sent], [first, last]: [Option<&Sent>; 2]) -> String {
    let moment = |event: Option<&Sent>| event.map(|event| event.occurred).unwrap_or_default();
    let since = moment(first).plus_seconds(-MARGIN_SECONDS).max(FIRST);
    let until = moment(last).plus_seconds(MARGIN_SECONDS);
    let mut text = String::with_capacity(160 + 39 * events.len());
    let _ = write!(
        text,
        "{{\"filter\":{{\"occurred\":{{\"since\":\"{since}\",\"until\":\"{until}\"}},"
    );
    text.push_str("\"id\":{\"id\":[");
    for (place, Sent { id, .. }) in events.iter().enumerate() {
        let between = if place > 0 { "," } else { "" };
        let _ = write!(text, "{between}\"{id}\"");
    }
    text.push_str("]}},\"limit\":0}");
    text
}

/// The number in the answer.
pub(super) fn read_total(answer: &str) -> Option<usize> {
    #[derive(Deserialize)]
    struct Page {
        total: usize,
    }
    serde_json::from_str::<Page>(answer).ok().map(|page| page.total)
}

/// The server's token against forged requests.
#[derive(Debug)]
pub(super) struct Csrf {
    /// The name under which tokens are asked for.
    pub(super) client: Uuid,
    token: Option<HeaderValue>,
}

impl Csrf {
    pub(super) fn new(client: Uuid) -> Self {
        Self { client, token: None }
    }

    /// Whether an answer asks for a token.
    pub(super) fn is_asked(status: StatusCode, answer: &str) -> bool {
        let words = ["CSRF", "client identifier"];
        status == StatusCode::FORBIDDEN && words.iter().any(|word| answer.contains(word))
    }

    /// Takes the token out of an answer; `false` when there is none.
    pub(super) fn learn(&mut self, answer: &str) -> bool {
        #[derive(Deserialize)]
        struct Answer {
            token: String,
        }
        let read = serde_json::from_str::<Answer>(answer).ok();
        let token = read.and_then(|answer| HeaderValue::from_str(&answer.token).ok());
        self.token = token.map(|mut token| {
            token.set_sensitive(true);
            token
        });
        self.token.is_some()
    }

    /// Adds the token to a request, once there is one.
    pub(super) fn sign(&self, headers: &mut HeaderMap) {
        let client = HeaderValue::from_str(&self.client.to_string());
        if let (Some(token), Ok(client)) = (&self.token, client) {
            headers.insert("prefect-csrf-token", token.clone());
            headers.insert("prefect-csrf-client", client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(resource: &str, related: &str, payload: &str) -> String {
        format!(
            "{{\"occurred\":\"2026-11-28T12:00:00Z\",\"event\":\"a\",\"resource\":{resource},\
             \"related\":{related},\"payload\":{payload},\"id\":\"x\",\"follows\":null}}"
        )
    }

    fn check(text: &str) -> Result<(), String> {
        Sieve::default().check(text.as_bytes())
    }

    const GOOD: &str = "{\"prefect.resource.id\":\"r\"}";

    #[test]
    fn what_the_server_keeps_passes() {
        let role = "[{\"prefect.resource.id\":\"r\",\"prefect.resource.role\":\"x\"}]";
        let nested =
            |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 2), "]".repeat(depth - 2));
        for payload in [
            "{}",
            "{\"n\":12345678901234567890123456789,\"f\":1e300}",
            "{\"path\":\"C:\\\\u0000\"}",
            &nested(199),
        ] {
            assert_eq!(check(&event(GOOD, role, payload)), Ok(()), "{payload}");
        }
        let empty = event(GOOD, "[]", "{\"s\":\"\"}");
        let filler = "x".repeat(EVENT_MAX_BYTES - empty.len());
        let full = empty.replace("\"s\":\"\"", &format!("\"s\":\"{filler}\""));
        assert_eq!((full.len(), check(&full)), (EVENT_MAX_BYTES, Ok(())));
        assert!(check(&full.replace("\"s\"", "\"ss\"")).is_err(), "one byte more");
        assert!(check(&event(GOOD, "[]", &nested(200))).is_err(), "one level more");
    }

    #[test]
    fn what_it_would_lose_or_refuse_does_not() {
        let long = format!("{{\"prefect.resource.id\":\"{}\"}}", "r".repeat(2600));
        let labels: Vec<_> = (0..501).map(|number| format!("\"{number}\":\"\"")).collect();
        let labels = format!("{{\"prefect.resource.id\":\"r\",{}}}", labels.join(","));
        let many = format!("[{}]", vec![GOOD; 101].join(","));
        for (resource, related, payload, why) in [
            ("{}", "[]", "{}", "no prefect.resource.id"),
            ("{\"prefect.resource.id\":\"\"}", "[]", "{}", "no prefect.resource.id"),
            ("{\"prefect.resource.id\":1}", "[]", "{}", "no string"),
            (&long, "[]", "{}", "more than 2600 bytes"),
            (&labels, "[]", "{}", "at most 500"),
            (GOOD, "null", "{}", "at most 100"),
            (GOOD, &many, "{}", "at most 100"),
            (GOOD, &format!("[{GOOD}]"), "{}", "no prefect.resource.role"),
            (GOOD, "[]", "null", "payload is no object"),
            (GOOD, "[]", "{\"a\":\"\\u0000\"}", "U+0000"),
            (GOOD, "[]", "{\"\\u0000\":1}", "U+0000"),
            (GOOD, "[]", "{\"a\":1e400}", "number"),
            (GOOD, "[]", "{\"a\":NaN}", "not JSON"),
            (GOOD, "[]", "{\"a\":\"\\ud800\"}", "not JSON"),
        ] {
            let fault = check(&event(resource, related, payload)).expect_err(payload);
            assert!(fault.contains(why), "{fault}");
        }
    }

    #[test]
    fn a_question_looks_around_its_events_and_no_farther() {
        let event = |id, text| {
            let occurred = Time::parse(text).expect("a moment");
            Sent { id: Uuid::from_u128(id), occurred }
        };
        let window = |text: &(String, usize)| {
            let question: serde_json::Value = serde_json::from_str(&text.0).expect("JSON");
            let moments = question["filter"]["occurred"].clone();
            let ids = question["filter"]["id"]["id"].as_array().map_or(0, Vec::len);
            assert_eq!(ids, text.1);
            (moments["since"].to_string(), moments["until"].to_string(), ids)
        };
        let told =
            |since: &str, until: &str, ids| (format!("\"{since}\""), format!("\"{until}\""), ids);
        let near = [
            event(1, "2026-11-23T10:00:00.5Z"),
            event(2, "2026-11-20T10:00:00Z"),
            event(3, "2026-11-26T10:00:00Z"),
        ];
        let all: Vec<_> = questions(&near).iter().map(window).collect();
        assert_eq!(all, [told("2026-11-20T09:59:00Z", "2026-11-26T10:01:00Z", 3)]);
        let far = [
            event(1, "2026-11-20T10:00:00Z"),
            event(2, "0001-01-01T00:00:00Z"),
            event(3, "9999-12-30T21:59:59.5Z"),
            event(4, "2026-11-26T10:00:01Z"),
        ];
        let all: Vec<_> = questions(&far).iter().map(window).collect();
        assert_eq!(
            all,
            [
                told("0001-01-01T00:00:00Z", "0001-01-01T00:01:00Z", 1),
                told("2026-11-20T09:59:00Z", "2026-11-20T10:01:00Z", 1),
                told("2026-11-26T09:59:01Z", "2026-11-26T10:01:01Z", 1),
                told("9999-12-30T21:58:59.500000Z", "9999-12-30T22:00:59.500000Z", 1),
            ]
        );
        assert!(questions(&[]).is_empty());
        let many: Vec<_> = (0..1201).map(|id| event(id % 1200, "2026-11-23T10:00:00Z")).collect();
        let counts: Vec<_> = questions(&many).iter().map(|text| window(text).2).collect();
        assert_eq!(counts, [500, 500, 200]);
    }

    #[test]
    fn a_token_is_learnt_and_signs() {
        let mut csrf = Csrf::new(Uuid::nil());
        let mut headers = HeaderMap::new();
        csrf.sign(&mut headers);
        assert!(headers.is_empty());
        assert!(!csrf.learn("{\"detail\":\"no\"}"));
        assert!(csrf.learn("{\"token\":\"t\",\"client\":\"c\"}"));
        csrf.sign(&mut headers);
        assert_eq!(headers["prefect-csrf-token"], "t");
        assert!(Csrf::is_asked(StatusCode::FORBIDDEN, "{\"detail\":\"Missing CSRF token.\"}"));
        assert!(!Csrf::is_asked(StatusCode::FORBIDDEN, "{\"detail\":\"Forbidden\"}"));
    }
}
