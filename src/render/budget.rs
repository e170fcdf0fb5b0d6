//! What one rendering may cost beyond the engine's own fuel: work, memory and time of everything written here. In:
//! the limits, when a rendering starts on this thread. Out: `Ok`, or the one error that ends it. Never shared by
//! threads.

use std::cell::Cell;
use std::time::{Duration, Instant};

use minijinja::{Error, ErrorKind};
use rustix::time::{ClockId, clock_gettime};

use super::Limits;

/// Work is counted in bytes touched; looking at one value costs as much as this many.
const VALUE_UNITS: u64 = 16;
/// One step of fuel, as the engine counts it, pays for this many units.
const UNITS_PER_FUEL: u64 = 64;
/// The clock is read once in this many units: some 50 µs of work.
const CLOCK_UNITS: u64 = 1 << 14;

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Work,
    Memory,
    Time,
}

struct Meter {
    units: Cell<u64>,
    unwatched: Cell<u64>,
    bytes: Cell<usize>,
    deadline: Cell<Option<Instant>>,
    time: Cell<Duration>,
    /// What this thread had used up at the first look at the clock; most renderings never get there.
    used: Cell<Option<Duration>>,
    range: Cell<usize>,
    over: Cell<Option<Over>>,
    /// An expression wrote something that tells anything.
    gave: Cell<bool>,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            units: Cell::new(0),
            unwatched: Cell::new(0),
            bytes: Cell::new(0),
            deadline: Cell::new(None),
            time: Cell::new(Duration::ZERO),
            used: Cell::new(None),
            range: Cell::new(0),
            over: Cell::new(None),
            gave: Cell::new(false),
        }
    };
}

/// An expression writes something that tells anything.
pub(super) fn note_given() {
    METER.with(|meter| meter.gave.set(true));
}

/// A rendering on this thread; what it may cost ends with it.
pub(super) struct Running(());

impl Running {
    /// Starts counting. The clock is read while counting, nowhere else in this folder.
    pub(super) fn begin(limits: &Limits) -> Self {
        METER.with(|meter| {
            meter.units.set(limits.fuel.saturating_mul(UNITS_PER_FUEL));
            meter.unwatched.set(0);
            meter.bytes.set(limits.memory_max_bytes);
            meter.deadline.set(None);
            meter.time.set(limits.time);
            meter.used.set(None);
            meter.range.set(limits.range_max_items);
            meter.over.set(None);
            meter.gave.set(false);
        });
        Self(())
    }

    /// Whether an expression of the last rendering on this thread wrote something that tells anything.
    pub(super) fn gave() -> bool {
        METER.with(|meter| meter.gave.get())
    }

    /// What was spent since [`begin`](Self::begin): steps of our own, bytes of values.
    pub(super) fn spent(limits: &Limits) -> (u64, usize) {
        METER.with(|meter| {
            let units =
                limits.fuel.saturating_mul(UNITS_PER_FUEL).saturating_sub(meter.units.get());
            let bytes = limits.memory_max_bytes.saturating_sub(meter.bytes.get());
            (units / UNITS_PER_FUEL, bytes)
        })
    }

    /// The bound that was reached, if one was.
    pub(super) fn over() -> Option<Over> {
        METER.with(|meter| meter.over.get())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        METER.with(|meter| {
            meter.units.set(0);
            meter.bytes.set(0);
            meter.deadline.set(None);
        });
    }
}

/// Most items of a `range` in the rendering on this thread.
pub(super) fn range_max_items() -> usize {
    METER.with(|meter| meter.range.get())
}

fn out_of(over: Over) -> Error {
    METER.with(|meter| {
        meter.over.set(Some(over));
        // Nothing more is granted: code that cannot pass the error on ends at its next step.
        meter.units.set(0);
    });
    Error::from(ErrorKind::OutOfFuel)
}

/// Pays for work in bytes touched.
pub(super) fn spend(units: u64) -> Result<(), Error> {
    METER.with(|meter| {
        let Some(left) = meter.units.get().checked_sub(units.max(1)) else {
            return Err(out_of(meter.over.get().unwrap_or(Over::Work)));
        };
        meter.units.set(left);
        let unwatched = meter.unwatched.get() + units;
        if unwatched < CLOCK_UNITS {
            meter.unwatched.set(unwatched);
            return Ok(());
        }
        meter.unwatched.set(0);
        if meter.is_late() { Err(out_of(Over::Time)) } else { Ok(()) }
    })
}

impl Meter {
    /// Whether this thread has computed for longer than the limit. On a busy machine the wall's clock goes on while the
    /// thread waits for its turn: that is no template's fault.
    fn is_late(&self) -> bool {
        let Some(started) = self.used.get() else {
            self.used.set(Some(used()));
            self.deadline.set(Instant::now().checked_add(self.time.get()));
            return false;
        };
        let is_due = self.deadline.get().is_some_and(|deadline| Instant::now() > deadline);
        is_due && used().saturating_sub(started) > self.time.get()
    }
}

/// Time this thread has spent computing.
pub(super) fn used() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Pays for looking at `count` values.
pub(super) fn look(count: usize) -> Result<(), Error> {
    spend((count as u64).saturating_mul(VALUE_UNITS))
}

/// Pays for `bytes` of memory before they are allocated; never given back while the rendering runs.
pub(super) fn take(bytes: usize) -> Result<(), Error> {
    spend(bytes as u64)?;
    METER.with(|meter| match meter.bytes.get().checked_sub(bytes) {
        Some(left) => {
            meter.bytes.set(left);
            Ok(())
        }
        None => Err(out_of(Over::Memory)),
    })
}

/// Collects items, each paid for with `bytes` of memory before there is room for it.
pub(super) fn gather<T>(items: impl Iterator<Item = T>, bytes: usize) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    for item in items {
        take(bytes)?;
        all.push(item);
    }
    Ok(all)
}

/// Pays for the room of `count` values.
pub(super) fn take_values(count: usize) -> Result<(), Error> {
    take(count.saturating_mul(size_of::<minijinja::Value>()))
}
