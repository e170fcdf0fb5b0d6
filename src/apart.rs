//! Work that would hold up others on the thread that serves them. In: work, and how much of it goes on at once. Out:
//! what it came to, from a thread apart. Who gives it up waits no longer; the work keeps its turn until it is done.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Threads apart, so many at once; who comes later waits in line.
#[derive(Clone, Debug)]
pub(crate) struct Apart(Arc<Semaphore>);

impl Apart {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.max(1))))
    }

    /// As many at once as there are processors.
    pub(crate) fn all() -> Self {
        Self::new(processors())
    }

    /// As many at once as half of the processors: the others go on serving.
    pub(crate) fn half() -> Self {
        Self::new(processors() / 2)
    }

    /// A turn, for work that is made ready within it; `None` when the process is stopping.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }

    /// What the work came to; `None` when the process is stopping, or the work panicked.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Option<R> {
        let turn = self.turn().await?;
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// The same, for who has a turn here before it waits for one there.
    pub(crate) async fn run_within<R: Send + 'static>(
        &self,
        own: &Self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Option<R> {
        let turn = own.turn().await?;
        self.run(move || {
            let _turn = turn;
            work()
        })
        .await
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use super::*;

    fn waits<F: Future>(future: &mut Pin<Box<F>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn who_gives_up_frees_no_turn_before_its_work_is_done() {
        let apart = Apart::new(1);
        let (go, gate) = mpsc::channel::<()>();
        let mut given_up = Box::pin(apart.run(move || gate.recv()));
        assert!(waits(&mut given_up));
        drop(given_up);
        let mut next = Box::pin(apart.run(|| 1));
        tokio::task::yield_now().await;
        assert!(waits(&mut next));
        assert_eq!(apart.0.available_permits(), 0, "its thread still works");
        go.send(()).expect("who waits for it");
        assert_eq!(next.await, Some(1));
    }
}
