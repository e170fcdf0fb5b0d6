//! A template's source, checked and compiled, never rendered. In: text. Holds: no panic on a stack of 16 MiB, whatever
//! is nested in whatever; time and memory within bounds; a fault names a line that is there; the same source meets the
//! same end.
#![no_main]

use std::thread;
use std::time::{Duration, Instant};

use hookgate::render::{Diagnostic, Limits, Template};
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The stack that the gateway's own threads have.
const STACK_BYTES: usize = 16 << 20;
/// The largest source takes milliseconds; the rest is what a fuzzer, a debug assertion and a busy machine take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Syntax tree, folded tree and program of the largest source.
const COMPILED_MAX_BYTES: usize = 32 << 20;

fuzz_target!(|source: &str| {
    thread::scope(|scope| {
        let work = || check(source);
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        thread.expect("a thread").join().expect("a panic has ended the process");
    });
});

fn check(source: &str) {
    MEMORY.reset_peak_usage();
    let (before, started) = (MEMORY.current_usage(), Instant::now());
    let first = fault_of(source);
    let (peak, took) = (MEMORY.peak_usage().saturating_sub(before), started.elapsed());
    assert!(took < PATIENCE, "{took:?}");
    assert!(peak <= COMPILED_MAX_BYTES, "{peak} bytes");
    if let Some(fault) = &first {
        assert!(!fault.message.is_empty() && fault.message.len() < 4000, "{fault:?}");
        // Python's Jinja2 takes all three line ends.
        let lines = source.replace("\r\n", "\n").split(['\r', '\n']).count() as u32;
        assert!(fault.line().is_none_or(|line| (1..=lines).contains(&line)), "{fault:?}");
    }
    assert_eq!(first, fault_of(source));
}

/// Why the source does not compile.
fn fault_of(source: &str) -> Option<Diagnostic> {
    Template::compile(source, Limits::default()).err()
}
