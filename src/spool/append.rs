//! The future of an append. In: a frame. Out: its receipt once it is on stable storage. Hands the frame over at the
//! first poll and holds nothing but its sequence afterwards; dropped early, the frame is written all the same.
//! Who waits too long for the disk is sent away by [`watch`](super::watch), without a timer of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::shared::Shared;
use super::{Frame, Receipt, SpoolError};

/// The future of [`Spool::append`](super::Spool::append).
#[derive(Debug)]
pub struct Append {
    shared: Arc<Shared>,
    state: State,
}

#[derive(Debug)]
enum State {
    New(Frame),
    Waiting(u64),
}

impl Append {
    pub(super) fn new(shared: Arc<Shared>, frame: Frame) -> Self {
        Self { shared, state: State::New(frame) }
    }

    /// Of a frame that was handed over already.
    pub(super) fn waiting(shared: Arc<Shared>, sequence: u64) -> Self {
        Self { shared, state: State::Waiting(sequence) }
    }
}

impl Future for Append {
    type Output = Result<Receipt, SpoolError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let sequence = match &self.state {
            State::New(frame) => {
                match self.shared.push(frame, Some(context.waker().clone())) {
                    // The frame's bytes are in the writer's buffer: the sender's copy goes now.
                    Ok(sequence) => self.state = State::Waiting(sequence),
                    Err(why) => return Poll::Ready(Err(why)),
                }
                return Poll::Pending;
            }
            State::Waiting(sequence) => *sequence,
        };
        loop {
            if let Some(fate) = self.shared.queue.fate(sequence) {
                return Poll::Ready(fate.map(|()| Receipt { sequence }));
            }
            if self.shared.queue.is_overdue(sequence) {
                return Poll::Ready(Err(self.shared.give_up_waiting()));
            }
            if self.shared.queue.watch(sequence, context.waker()) {
                return Poll::Pending;
            }
        }
    }
}
