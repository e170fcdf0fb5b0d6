//! A thread that does everything itself. In: a simulation's word that its thread is one. Out: whether it is: work that
//! waits for a disk is done there and then, and not on a thread apart, so that a seed tells the whole course.

use std::cell::Cell;

thread_local! {
    static LONE: Cell<bool> = const { Cell::new(false) };
}

/// The thread is alone for as long as this lives.
#[derive(Debug)]
pub(crate) struct Lone(());

impl Lone {
    pub(crate) fn enter() -> Self {
        LONE.set(true);
        Self(())
    }
}

impl Drop for Lone {
    fn drop(&mut self) {
        LONE.set(false);
    }
}

/// Whether the thread is alone.
pub(crate) fn is_here() -> bool {
    LONE.get()
}
