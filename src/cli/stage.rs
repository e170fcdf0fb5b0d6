//! Where commands render: a thread, bounds and a stamp like those of a gateway. In: work. Out: what it gave. Never a
//! bound of its own, but that builds without optimisation get more time.

use std::thread;

use super::case::Request;
use super::output::Failure;
use crate::clock::Time;
use crate::event::Stamp;
use crate::hooks;
use crate::json;
use crate::render::Limits;
use crate::serve::STACK_BYTES;

/// Times by which a build without optimisation may be slower than the clock of a real rendering allows.
const SLOWER: u32 = if cfg!(debug_assertions) { 40 } else { 1 };

/// Does work that renders, on a stack as the gateway's threads have.
pub(super) fn perform<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = thread.map_err(|fault| Failure::No(format!("no thread: {fault}")))?;
        thread.join().map_err(|_| Failure::No("the template engine failed".to_owned()))?
    })
}

/// A gateway's bounds of templates and renderings.
pub(super) fn limits(extensions: bool) -> Limits {
    let limits = Limits::default();
    Limits { time: limits.time * SLOWER, extensions, ..limits }
}

/// A gateway's bounds of a JSON body.
pub(super) fn body_limits() -> json::Limits {
    hooks::Options::default().json
}

/// What only a gateway knows of the event of a request; nothing of it is shown.
pub(super) fn stamp(request: &Request) -> Stamp<'static> {
    Stamp::of_trial(request.received.unwrap_or(Time::from_micros(0)))
}
