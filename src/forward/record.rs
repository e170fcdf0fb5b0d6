//! Destinations that records describe. In: the fields of a record, as the catalogue's table has them, and its secrets.
//! Out: a destination of one workspace that sees only its events; or each field that makes none, in words. Never a file
//! or standard output: those are the operator's.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use serde_json::Value;

use super::destination::Owner;
use super::headers::{OWN_HEADERS, check_new_headers, read_headers};
use super::rules::{read_condition, read_reshaping};
use super::sinks::{Sink, check_papers};
use super::target::{ADDRESSES, Target, UNKNOWN};
use super::{Destination, ForwardError};
use crate::catalogue::Values;
use crate::clock::{Clock, Time};
use crate::fetch::Egress;
use crate::filter::Filter;
use crate::id::Secret;
use crate::limit::{Batch, PaceTexts, Pacing};
use crate::render::{Condition, Reshaping};
use crate::spool::OnFull;
use crate::store::Record;

/// Fields that say how a lane goes about it, as the settings of a flag's text are called.
pub const MANNER: [&str; 8] = [
    "batch_events",
    "batch_bytes",
    "linger_ms",
    "concurrency",
    "ordering",
    "retry_seconds",
    "retry_first_ms",
    "retry_most_ms",
];

/// Fields that prove who calls, or whom to believe.
const PAPERS: [&str; 5] = ["basic", "sign_secrets", "tls_ca", "tls_certificate", "tls_key"];

/// A field that makes no destination, and why.
type Flaw = (&'static str, String);

/// What the fields of a record say.
struct Said {
    destination: Destination,
    filter: Option<Filter>,
}

/// Whether a record's fields make a destination; its secrets are among them. What it has since `before` is not judged
/// by rules for what is new.
///
/// # Errors
/// Every field that is wrong.
pub fn vet(fields: &Values, before: Option<&Values>, now: Time) -> Result<(), Vec<Flaw>> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    read(fields, &|name| text(name).map(Secret::new), now)?;
    let headers = fields.get("headers");
    if before.is_some_and(|before| before.get("headers") == headers) {
        return Ok(());
    }
    check_new_headers(headers.unwrap_or(&Value::Null)).map_err(|why| vec![("headers", why)])
}

/// Why the network rules, but for these networks, refuse the address of a record; nothing where only a look-up knows.
#[must_use]
pub fn barred(to: &str, allowed: &Arc<[IpNet]>) -> Option<String> {
    let host = read_target(to).ok()?.target.host()?;
    Egress::Bound(Arc::clone(allowed)).refuses(&host).map(|fault| fault.to_string())
}

/// What one request of a record's destination carries at most; nothing when its fields make none.
pub fn batch_of(fields: &Values, clock: &Arc<Clock>) -> Option<Batch> {
    let Said { destination, .. } = read(fields, &|_| None, clock.now()).ok()?;
    let bounds = Sink::new(&destination, clock, Duration::ZERO).ok()?.bounds();
    Some(Batch { events: bounds.events, bytes: bounds.bytes as u64 })
}

impl Destination {
    /// The destination of a record.
    ///
    /// # Errors
    /// What is wrong with it: it was kept by a version that took it.
    pub(super) fn of_record(
        record: &Record,
        allowed: &Arc<[IpNet]>,
        now: Time,
    ) -> Result<Self, String> {
        let told = |flaws: Vec<Flaw>| {
            let each = flaws.iter().map(|(field, says)| format!("{field}: {says}"));
            each.collect::<Vec<_>>().join("; ")
        };
        let plain = |name: &str| record.fields.get(name).and_then(Value::as_str).map(Secret::new);
        let secret = |name: &str| record.concealed(name).cloned().or_else(|| plain(name));
        let Said { destination, filter } = read(&record.fields, &secret, now).map_err(told)?;
        let workspace = record.workspace.ok_or("it has no workspace")?;
        let owner = Owner::Workspace { account: record.account, workspace, record: record.id };
        let name = record.text("name").to_owned();
        let bound = destination.bound_to(Arc::clone(allowed)).map_err(|fault| fault.to_string())?;
        Ok(Self { name, owner, filter, ..bound })
    }
}

fn read(
    fields: &Values,
    secret: &dyn Fn(&str) -> Option<Secret>,
    now: Time,
) -> Result<Said, Vec<Flaw>> {
    let mut flaws: Vec<Flaw> = Vec::new();
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut keep = |field, read: Result<(), String>| {
        flaws.extend(read.err().map(|why| (field, why)));
    };
    let mut destination = None;
    let mut take = |read| destination = Some(read);
    keep("to", read_target(text("to")).map(&mut take));
    let mut headers = HeaderMap::new();
    let given = fields.get("headers").unwrap_or(&Value::Null);
    keep("headers", read_headers(given).map(|read| headers = read));
    if let Some(destination) = &destination
        && !headers.is_empty()
        && !destination.target.speaks_http()
    {
        let why = "are for addresses that begin with http or prefect+http".to_owned();
        keep("headers", Err(why));
    }
    let mut filter = None;
    let asked = fields.get("filter").unwrap_or(&Value::Null);
    keep("filter", Filter::of_events(asked, now).map(|read| filter = read));
    let bearer = secret("bearer");
    if let Some(bearer) = &bearer {
        keep("bearer", check_bearer(bearer.expose()));
    }
    if let Some(read) = &mut destination {
        let told = read_manner(fields, read).and_then(|()| {
            read.bearer = bearer;
            read_papers(secret, read).map_err(|flaw| vec![flaw])
        });
        flaws.extend(told.err().into_iter().flatten());
    }
    let pacing = read_pace(fields).unwrap_or_else(|told| {
        flaws.extend(told);
        Pacing::default()
    });
    let target = destination.as_ref().map(|read: &Destination| &read.target);
    let (condition, reshaping) = read_rules(fields, target).unwrap_or_else(|told| {
        flaws.extend(told);
        (None, None)
    });
    let on_full = match text("on_full") {
        "hold" => OnFull::Hold,
        _ => OnFull::DropOldest,
    };
    match destination {
        Some(destination) if flaws.is_empty() => {
            let destination = Destination { pacing, on_full, headers, ..destination };
            let destination = Destination { condition, reshaping, ..destination };
            Ok(Said { destination, filter })
        }
        _ => Err(flaws),
    }
}

/// A secret, or a header of another name with one.
fn check_bearer(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || HeaderValue::from_str(text).is_err() {
        return Err("is no header's value".to_owned());
    }
    let named = text.split_once(": ").map(|(name, _)| HeaderName::from_bytes(name.as_bytes()));
    match named {
        Some(Ok(name)) if name != AUTHORIZATION && OWN_HEADERS.contains(&name) => {
            Err(format!("{name} is the gateway's own"))
        }
        _ => Ok(()),
    }
}

/// An address, without the settings that a flag's text may carry: they have fields of their own.
fn read_target(text: &str) -> Result<Destination, String> {
    let plain = match Destination::parse(text) {
        Ok(destination) => destination,
        Err(ForwardError::Destination { why, .. }) if why.starts_with(UNKNOWN) => {
            return Err(format!("{UNKNOWN}; there are {ADDRESSES}"));
        }
        Err(ForwardError::Destination { why, .. }) => return Err(why),
        Err(fault) => return Err(fault.to_string()),
    };
    if plain.target.peer().is_none() {
        return Err("must be an address, such as https://example.com/events: files and standard \
                    output are the operator's"
            .to_owned());
    }
    if plain.bearer_file.is_some() || plain.options.names_file() {
        return Err("names a file of the gateway's machine: use the field bearer".to_owned());
    }
    if !plain.pacing.is_empty() || plain.on_full != OnFull::Hold {
        return Err("has settings behind `?` that are fields: rates, burst, on_full".to_owned());
    }
    Ok(plain)
}

/// How its lane goes about it.
fn read_manner(fields: &Values, destination: &mut Destination) -> Result<(), Vec<Flaw>> {
    let mut flaws = Vec::new();
    for name in MANNER.into_iter().chain(["form"]) {
        let text = match fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        if let Err(why) = destination.options.set(name, &text) {
            flaws.push((name, why));
        }
    }
    if flaws.is_empty() {
        let peer = destination.target.peer().map(|(peer, _)| peer);
        flaws.extend(destination.options.manner.check(peer).err());
    }
    if flaws.is_empty() { Ok(()) } else { Err(flaws) }
}

/// What proves who calls, and whom it believes.
fn read_papers(
    secret: &dyn Fn(&str) -> Option<Secret>,
    destination: &mut Destination,
) -> Result<(), Flaw> {
    for name in PAPERS {
        if let Some(given) = secret(name) {
            destination.options.give(name, given.expose());
        }
    }
    if let Some(basic) = secret("basic") {
        if destination.bearer.is_some() {
            return Err(("basic", "is of no use beside bearer: one is enough".to_owned()));
        }
        if basic.expose().chars().any(char::is_control) || !basic.expose().contains(':') {
            return Err(("basic", "is one line, user:password".to_owned()));
        }
    }
    if let Some((peer, is_tls)) = destination.target.peer() {
        destination.options.check(peer, is_tls)?;
    }
    check_papers(&destination.options).map_err(|fault| match fault {
        ForwardError::Given { field, why } => (field, why),
        other => ("to", other.to_string()),
    })
}

fn read_pace(fields: &Values) -> Result<Pacing, Vec<Flaw>> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let burst = fields.get("burst").and_then(Value::as_u64);
    if burst == Some(0) {
        return Err(vec![("burst", "is at least 1".to_owned())]);
    }
    let burst = burst.map(|burst| u32::try_from(burst).unwrap_or(u32::MAX));
    Pacing::read(PaceTexts {
        rate: text("rate"),
        burst: burst.and_then(std::num::NonZeroU32::new),
        request_rate: text("request_rate"),
        byte_rate: text("byte_rate"),
    })
}

/// Which events it gets, and what instead of them.
type Rules = (Option<Arc<Condition>>, Option<Arc<Reshaping>>);

fn read_rules(fields: &Values, target: Option<&Target>) -> Result<Rules, Vec<Flaw>> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let condition = text("where").map(read_condition).transpose();
    let reshaping = text("body").map(|text| read_reshaping(text, target)).transpose();
    match (condition, reshaping) {
        (Ok(condition), Ok(reshaping)) => Ok((condition, reshaping)),
        (condition, reshaping) => {
            let flaws = [("where", condition.err()), ("body", reshaping.err())];
            Err(flaws.into_iter().filter_map(|(field, why)| Some((field, why?))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::headers::HEADERS_MAX;
    use super::*;

    /// Two, as a record keeps them.
    const SECRETS: &str =
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nwhsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const FORMS: [&str; 6] =
        ["array", "single", "ndjson", "cloudevents", "cloudevents-binary", "cloudevents-batch"];

    fn flaws(fields: &Value) -> Vec<&'static str> {
        let fields = fields.as_object().expect("fields");
        let vetted = vet(fields, None, Time::default());
        vetted.err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn fields_that_make_no_destination_are_named() {
        let sound = json!({"to": "https://example.com/in?topic=a", "rate": "10/s", "burst": 3,
            "where": "event.payload.amount > 100", "body": "{{ event.payload | tojson }}",
            "headers": {"X-Team": "shop"}, "filter": {"event": {"prefix": ["shop."]}},
            "on_full": "hold", "concurrency": 8, "ordering": "none", "batch_events": 10,
            "batch_bytes": 5000, "linger_ms": 0, "retry_seconds": 60, "retry_most_ms": 9000});
        assert!(flaws(&sound).is_empty());
        for (field, value) in [
            ("to", json!("file:out")),
            ("to", json!("stdout")),
            ("to", json!("nats+tls://example.com/x?tls_ca=/etc/shadow")),
            ("to", json!("https://example.com/?headers_file=/etc/shadow")),
            ("to", json!("")),
            ("to", json!("https://example.com:99999/")),
            ("to", json!("https://example.com:0/")),
            ("headers", json!({"x": " "})),
            ("headers", json!({"x": "a\u{0}"})),
            ("to", json!("https://example.com/?rate=5/s")),
            ("to", json!("https://example.com/?bearer_file=/etc/shadow")),
            ("rate", json!("fast")),
            ("where", json!("event.payload.amount >")),
            ("where", json!("")),
            ("body", json!("{{ event.")),
            ("burst", json!(0)),
            ("batch_events", json!(0)),
            ("concurrency", json!(33)),
            ("linger_ms", json!(60_001)),
            ("ordering", json!("webhook")),
            ("retry_seconds", json!(0)),
            ("retry_first_ms", json!(40_000)),
            ("request_rate", json!("0/s")),
            ("byte_rate", json!("1/day")),
            ("headers", json!({"Authorization": "Bearer x"})),
            ("headers", json!({"host": "other"})),
            ("headers", json!({"Hookgate-Hops": "0"})),
            ("headers", json!({"webhook-id": "forged"})),
            ("headers", json!({"Ce-Source": "/other"})),
            ("headers", json!({"a b": "x"})),
            ("headers", json!({"x": "a\nb"})),
            ("headers", json!({"x": 1})),
            ("headers", json!([])),
            ("filter", json!({"events": {}})),
            ("filter", json!({"limit": 3})),
            ("filter", json!({"resource": {"distinct": true}})),
            ("bearer", json!("a\nb")),
            ("bearer", json!(" ")),
            ("bearer", json!("Host: other.example")),
            ("form", json!("xml")),
            ("basic", json!("user")),
            ("basic", json!("user:pass\nword")),
            ("sign_secrets", json!("whsec_c2hvcnQ=")),
            ("sign_secrets", json!("")),
            ("tls_ca", json!("-----BEGIN CERTIFICATE-----\nAA")),
            ("tls_key", json!("no key")),
            ("tls_certificate", json!("no certificate")),
        ] {
            let mut fields = sound.clone();
            fields[field] = value.clone();
            assert_eq!(flaws(&fields), [field], "{value}");
        }
        let many: Value = (0..=HEADERS_MAX).map(|n| (format!("x-{n}"), json!("y"))).collect();
        assert_eq!(flaws(&json!({"to": "stdout", "headers": many})), ["to", "headers"]);
        let mut broker = json!({"to": "nats://example.com/x", "bearer": "user:password"});
        assert!(flaws(&broker).is_empty());
        broker["concurrency"] = json!(2);
        assert_eq!(flaws(&broker), ["concurrency"]);
        broker["concurrency"] = json!(1);
        broker["headers"] = json!({"X-Team": "shop"});
        assert_eq!(flaws(&broker), ["headers"]);
    }

    #[test]
    fn headers_of_before_a_rule_keep_nothing_from_being_changed_but_what_they_never_fit() {
        let to = "https://example.com/in";
        let before = json!({"to": to, "headers": {"Webhook-Env": "prod"}});
        let vetted = |change: &str, value: Value| {
            let mut after = before.clone();
            after[change] = value;
            let (after, before) = (after.as_object(), before.as_object());
            let vetted = vet(after.expect("fields"), before, Time::default());
            vetted.err().unwrap_or_default().into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert_eq!(flaws(&before), ["headers"], "as a new one");
        assert!(vetted("rate", json!("5/s")).is_empty());
        assert_eq!(vetted("headers", json!({"Webhook-Env": "test"})), ["headers"]);
        assert_eq!(vetted("to", json!("nats://example.com/x")), ["headers"]);
    }

    #[test]
    fn what_proves_who_calls_goes_with_its_form_and_address() {
        let to = "https://example.com/in";
        let mut signed = json!({"to": to, "sign_secrets": SECRETS, "basic": "user:password"});
        for form in FORMS {
            signed["form"] = json!(form);
            assert!(flaws(&signed).is_empty(), "{form}: {:?}", flaws(&signed));
        }
        signed["bearer"] = json!("tok");
        assert_eq!(flaws(&signed), ["basic"]);
        let broker = json!({"to": "nats://example.com/x", "bearer": "user:password"});
        for (field, value) in [
            ("form", json!("single")),
            ("sign_secrets", json!(SECRETS)),
            ("tls_ca", json!("any, where no TLS is")),
        ] {
            let mut odd = broker.clone();
            odd[field] = value;
            assert_eq!(flaws(&odd), [field]);
        }
    }

    #[test]
    fn whoever_writes_no_address_is_told_those_that_records_may_have() {
        let says = read_target("amqp://example.com/x").expect_err("no address");
        assert!(says.contains("there are http(s)://…") && !says.contains("stdout"), "{says}");
    }

    #[test]
    fn an_address_of_the_inside_is_known_in_every_form() {
        let none: Arc<[IpNet]> = Arc::default();
        let all: Arc<[IpNet]> = ["127.0.0.0/8".parse().expect("a network")].into();
        for to in [
            "http://127.0.0.1:1/in",
            "https://localhost/in",
            "prefect+http://127.0.0.1:4200/api",
            "prefect+ws://127.0.0.1:4200/api",
            "nats://127.0.0.1/a",
            "redis://127.0.0.1/a",
            "kafka://127.0.0.1/a",
            "s3+http://127.0.0.1:9000/bucket",
            "postgres://127.0.0.1/db/table",
        ] {
            assert!(barred(to, &none).is_some_and(|why| why.contains("loopback")), "{to}");
            assert_eq!(barred(to, &all), None, "{to}");
        }
        assert_eq!(barred("https://example.com/in", &none), None);
    }

    #[test]
    fn a_filter_without_a_beginning_has_none() {
        let now = Time::parse("2026-11-28T12:00:00Z").expect("a moment");
        let read = |asked: Value| Filter::of_events(&asked, now).expect("a filter");
        assert_eq!(read(json!(null)), None);
        let open = read(json!({"event": {"name": ["a"]}})).expect("a filter");
        assert_eq!(open.since, Time::from_micros(i64::MIN));
        let since = "2020-01-01T00:00:00Z";
        let from = read(json!({"occurred": {"since": since}})).expect("a filter");
        assert_eq!(Some(from.since), Time::parse(since));
    }
}
