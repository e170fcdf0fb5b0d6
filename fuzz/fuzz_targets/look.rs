//! Sources to findings and tidy sources. In: a template's source. Holds: no panic; places and edits are in the source;
//! a mended template still compiles; a template that compiles can be spaced evenly, and once is enough; bounded time.
#![no_main]

use std::thread;
use std::time::{Duration, Instant};

use hookgate::render::{Limits, Template, lint, tidy};
use libfuzzer_sys::fuzz_target;

/// The stack that the gateway's own threads have.
const STACK_BYTES: usize = 16 << 20;
/// What a fuzzer and a busy machine take.
const PATIENCE: Duration = Duration::from_secs(3);

fuzz_target!(|input: &[u8]| {
    let Ok(source) = std::str::from_utf8(input) else { return };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, || check(source));
        thread.expect("a thread").join().expect("a panic has ended the process");
    });
});

fn check(source: &str) {
    let limits = Limits::default();
    let started = Instant::now();
    let findings = lint(source, limits);
    let took = started.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    let compiles = Template::compile(source, limits).is_ok();
    assert_eq!(findings.is_ok(), compiles);
    for finding in findings.into_iter().flatten() {
        let place = finding.told.place.expect("a place");
        assert!(source.get(place.start..place.end).is_some(), "{finding:?}");
        for fix in &finding.fixes {
            let (before, after) = (&source[..fix.start], &source[fix.end..]);
            let mended = format!("{before}{}{after}", fix.text);
            // Only a source at its very bound may grow over it.
            if mended.len() < limits.source_max_chars {
                assert!(Template::compile(&mended, limits).is_ok(), "{finding:?}\n{mended}");
            }
        }
    }
    if compiles {
        let tidied = tidy(source, &limits).expect("it compiles");
        if tidied.len() < limits.source_max_chars {
            assert_eq!(tidy(&tidied, &limits).as_ref(), Ok(&tidied), "once is enough");
        }
    }
}
