//! Template and request to text. In: a template's source, a line `----`, and a body; the first byte chooses method and
//! media type. Holds: no panic on a stack of 16 MiB, whatever the source; output, memory and time within their bounds;
//! a fault names a line that is there; the same request renders to the same text.
#![no_main]

use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookgate::clock::Time;
use hookgate::event::Stamp;
use hookgate::id::Uuid;
use hookgate::json;
use hookgate::parse::parse;
use hookgate::render::{Context, Diagnostic, Limits, Template};
use hookgate::request::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The stack that the gateway's own threads have.
const STACK_BYTES: usize = 16 << 20;
const JSON: json::Limits = json::Limits { depth_max: 100, nodes_max: 100_000 };
/// A render has 50 ms; the rest is what a fuzzer, a debug assertion and a busy machine take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Beside the budget of a render: source, syntax tree and program of a template of 128 KiB.
const COMPILED_MAX_BYTES: usize = 32 << 20;
const SEPARATOR: &[u8] = b"\n----\n";

static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let known = [
        ("x-github-event", "push"),
        ("ce-specversion", "1.0"),
        ("ce-type", "order.paid%20now"),
        ("ce-source", "/shop"),
        ("ce-id", "17"),
    ];
    let pair = |(name, value): (&'static str, &'static str)| {
        (http::HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    known.into_iter().map(pair).collect()
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let at = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    let (source, body) = match at {
        Some(at) => (&rest[..at], &rest[at + SEPARATOR.len()..]),
        None => (rest, &b"{}"[..]),
    };
    let Ok(source) = std::str::from_utf8(source) else { return };
    let work = || check(*choice, source, body);
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        thread.expect("a thread").join().expect("a panic has ended the process");
    });
});

fn check(choice: u8, source: &str, body: &[u8]) {
    let (method, media_type) = match choice % 4 {
        0 => (Method::GET, None),
        1 => (Method::POST, Some("application/cloudevents+json")),
        2 => (Method::POST, Some("application/x-www-form-urlencoded")),
        _ => (Method::POST, Some("application/json")),
    };
    let mut headers = HEADERS.clone();
    headers.extend(media_type.map(|text| (CONTENT_TYPE, HeaderValue::from_static(text))));
    let Ok(body) = parse(media_type, Bytes::copy_from_slice(body), JSON) else { return };

    let limits = Limits::default();
    MEMORY.reset_peak_usage();
    let (before, started) = (MEMORY.current_usage(), Instant::now());
    let first = render(source, &method, &headers, &body, limits);
    let (peak, took) = (MEMORY.peak_usage().saturating_sub(before), started.elapsed());
    assert!(took < PATIENCE, "{took:?}");
    assert!(peak <= limits.memory_max_bytes + COMPILED_MAX_BYTES, "{peak} bytes");
    match &first {
        Ok(text) => assert!(text.len() <= limits.output_max_bytes),
        Err(fault) => {
            assert!(!fault.message.is_empty() && fault.message.len() < 4000, "{fault:?}");
            // Python's Jinja2 takes all three line ends.
            let lines = source.replace("\r\n", "\n").split(['\r', '\n']).count() as u32;
            assert!(fault.line().is_none_or(|line| (1..=lines).contains(&line)), "{fault:?}");
        }
    }
    watch(source, &Context::new(&method, &headers, &body), limits, first.as_ref().ok());
    let second = render(source, &method, &headers, &body, limits);
    // The clock is the one budget that two renderings may meet at different places.
    let by_clock =
        [&first, &second].iter().any(|made| made.as_ref().is_err_and(|fault| fault.is_budget()));
    assert!(by_clock || first == second, "{first:?}\n{second:?}");
}

/// A rendering that is watched writes the same, and tells of places that are there.
fn watch(source: &str, context: &Context<'_>, limits: Limits, plain: Option<&String>) {
    let Ok(template) = Template::compile(source, limits) else { return };
    let help = || "{}".to_owned();
    let stamp = Stamp {
        id: Uuid::nil(),
        received: Time::from_micros(0),
        follows: Uuid::nil(),
        webhook: "{}",
        payload: &help,
    };
    let trial = template.trial(context, &stamp);
    // The clock may end one of two renderings.
    assert!(trial.text.is_none() || plain.is_none() || trial.text.as_ref() == plain);
    for span in &trial.spans {
        let (place, text) = (span.place, trial.text.as_deref().unwrap_or_default());
        assert!(source.get(place.start..place.end).is_some(), "{span:?}");
        assert!(trial.text.is_none() || text.get(span.output.clone()).is_some(), "{span:?}");
    }
    for told in &trial.diagnostics {
        assert!(told.message.len() < 8000, "{told:?}");
        let place = told.place.map(|place| place.start..place.end);
        assert!(place.is_none_or(|place| source.get(place).is_some()), "{told:?}");
    }
}

fn render(
    source: &str,
    method: &Method,
    headers: &HeaderMap,
    body: &Body,
    limits: Limits,
) -> Result<String, Diagnostic> {
    Template::compile(source, limits)?.render(&Context::new(method, headers, body))
}
