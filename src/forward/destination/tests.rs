//! Texts of destinations: what they say, and what is said to wrong ones.

use std::path::Path;
use std::time::Duration;

use http::Uri;

use super::*;
use crate::forward::options::Shape;
use crate::forward::sinks::Place;
use crate::limit::Rate;

fn parse(text: &str) -> Destination {
    Destination::parse(text).expect(text)
}

#[test]
fn settings_leave_the_text_and_the_rest_is_the_lane() {
    let plain = parse("file:out.ndjson");
    let set = parse(" file:out.ndjson?rate=100/s&burst=7&on_full=drop-oldest ");
    assert_eq!((set.name(), &set.target), (plain.name(), &plain.target));
    let rate = Rate::new(100, Duration::from_secs(1), NonZeroU32::new(7));
    assert_eq!(set.pacing, Pacing { events: rate, ..Pacing::default() });
    let bound = parse("stdout?rate=100/s&burst=7&request_rate=5/s&byte_rate=9/min");
    assert_eq!((bound.pacing.events, bound.pacing.requests.is_some()), (rate, true));
    let other = Pacing { events: Rate::new(1, Duration::from_secs(1), None), ..set.pacing };
    let with = bound.clone().with_pacing(other).pacing;
    assert_eq!((with.events, with.bytes), (other.events, bound.pacing.bytes));
    assert_eq!((set.on_full, plain.on_full), (OnFull::DropOldest, OnFull::Hold));

    let http = parse("https://example.com/in?topic=a&rate=6/min&bearer_file=/run/token");
    assert_eq!(http.target, Target::Http(Uri::from_static("https://example.com/in?topic=a")));
    assert_eq!(http.bearer_file.as_deref(), Some(Path::new("/run/token")));
    assert!(http.name().starts_with("https://example.com/in?topic=***#"), "{}", http.name());
    assert_ne!(http.name(), parse("https://example.com/in?topic=b").name());
    assert_eq!(http.name(), parse("https://example.com/in?topic=a").name());
    assert_eq!(http.key().len(), 32);
}

#[test]
fn a_prefect_server_gets_its_exact_paths() {
    for text in ["prefect+http://127.0.0.1:4200/api", "prefect+http://127.0.0.1:4200/api/"] {
        let events = Uri::from_static("http://127.0.0.1:4200/api/events");
        let filter = Uri::from_static("http://127.0.0.1:4200/api/events/filter");
        let token = Uri::from_static("http://127.0.0.1:4200/api/csrf-token");
        let destination = parse(text);
        assert_eq!(destination.target, Target::Prefect { events, filter, token });
        assert!(destination.confirms && !parse(&format!("{text}?confirm=accepted")).confirms);
    }
    let cloud = parse("prefect+https://api.example/api/accounts/a/workspaces/w");
    let Target::PrefectSocket { place, path, http } =
        parse("prefect+wss://api.example/api/a/").target
    else {
        panic!("no websocket")
    };
    assert_eq!((place.port, place.is_tls, path.as_str()), (443, true, "/api/a/events/in"));
    assert_eq!(*http, parse("prefect+https://api.example/api/a").target);
    assert!(parse("prefect+ws://127.0.0.1:4200/api").confirms);
    let Target::Prefect { events, .. } = cloud.target else { panic!("{cloud:?}") };
    assert_eq!(events.path(), "/api/accounts/a/workspaces/w/events");
}

#[test]
fn an_address_has_settings_for_its_requests() {
    let set = parse("https://h/in?form=ndjson&a=b&batch_events=10&sign_file=/run/s");
    assert_eq!(set.target, Target::Http(Uri::from_static("https://h/in?a=b")));
    assert_eq!((set.options.shape, set.options.batch_events), (Some(Shape::Ndjson), Some(10)));
    let with = |text, settings: &[(&'static str, &'static str)]| {
        parse(text).with_all(settings.iter().copied())
    };
    let made = with("https://h/in?a=b", &[("form", "ndjson")]).expect("a form");
    assert_eq!((made.options.shape, made.name()), (Some(Shape::Ndjson), set.name()));
    assert!(with("https://h/", &[("tls_key", "a"), ("tls_certificate", "b")]).is_ok());
    assert!(with("https://h/", &[("rate", "5/s")]).is_err());
    assert!(with("stdout", &[("form", "single")]).is_err());
}

#[test]
fn servers_that_speak_no_http_have_a_place() {
    let place = |host: &str, port, is_tls| Place { host: host.into(), port, is_tls };
    for (text, target) in [
        ("nats://h/a.b", Target::Nats(place("h", 4222, false), "a.b".into())),
        ("nats+tls://h:1/a", Target::Nats(place("h", 1, true), "a".into())),
        ("redis://[::1]/s?maxlen=9", Target::Redis(place("[::1]", 6379, false), "s".into())),
        ("rediss://h:7/s/t", Target::Redis(place("h", 7, true), "s/t".into())),
    ] {
        assert_eq!(parse(text).target, target, "{text}");
    }
    assert_eq!(parse("redis://h/s?maxlen=9").options.entries_max, Some(9));
}

#[test]
fn what_others_name_uses_nothing_of_this_machine() {
    let bound = |text| parse(text).bound_to(Arc::from([]));
    let secret = "https://example.com/?bearer_file=/etc/shadow";
    let key = "https://example.com/?tls_certificate=a&tls_key=/etc/ssl/private/key.pem";
    for text in ["stdout", "file:out", secret, key, "http://a/?headers_file=/etc/passwd"] {
        let fault = bound(text).expect_err(text).to_string();
        assert!(fault.contains("for the operator alone"), "{fault}");
    }
    let made = bound("https://example.com/in").expect("a destination");
    assert_eq!(made.egress, Egress::Bound(Arc::from([])));
    assert_eq!(parse("https://example.com/in").egress, Egress::Free);
}
