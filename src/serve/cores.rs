//! One thread for each core, each with a runtime of its own: a connection stays on the core that accepted it, and a
//! request never changes threads. In: how many. Out: handles to start tasks on. Never a task of another plane.

use std::hint::black_box;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::time::sleep;

use super::STACK_BYTES;

/// Between two times that a thread gives back what it does not hold any more.
const CALM: Duration = Duration::from_secs(1);
/// More than the allocator keeps in stock.
const UNSTOCKED_BYTES: usize = 8 << 20;

/// The threads; they end when the value is dropped.
#[derive(Debug)]
pub(super) struct Cores {
    handles: Vec<Handle>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Cores {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut cores = Self { handles: Vec::new(), stop, threads: Vec::new() };
        for number in 0..count {
            let (started, wait) = mpsc::sync_channel(1);
            let mut stopped = stopped.clone();
            let run = move || {
                let made = Builder::new_current_thread()
                    .thread_stack_size(STACK_BYTES)
                    .enable_all()
                    .build();
                let runtime = match made {
                    Ok(runtime) => runtime,
                    Err(fault) => return drop(started.send(Err(fault))),
                };
                let _ = started.send(Ok(runtime.handle().clone()));
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped.wait_for(|stopped| *stopped) => {}
                        () = give_back() => {}
                    }
                });
                runtime.shutdown_background();
            };
            let named = thread::Builder::new().name(format!("core-{number}"));
            cores.threads.push(named.stack_size(STACK_BYTES).spawn(run)?);
            let gone = || io::Error::other("a thread ended before it began");
            cores.handles.push(wait.recv().map_err(|_| gone())??);
        }
        Ok(cores)
    }

    /// Where tasks are started, one for each thread.
    pub(super) fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

/// Lets the allocator return to the system what connections freed when they fell quiet, without end. It does so only
/// while it is asked for pieces it has not; a gateway that nobody speaks to asks for none, and would hold 20 KiB for
/// each idle connection instead of 3. The piece is never touched, so it costs no memory.
async fn give_back() {
    loop {
        sleep(CALM).await;
        drop(black_box(Vec::<u8>::with_capacity(UNSTOCKED_BYTES)));
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the sockets panicked");
            }
        }
    }
}
