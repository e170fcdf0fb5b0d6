//! One thread with one connection. In: jobs, through a bounded queue. Out: their answers. Keeps `SQLite`'s waits away
//! from the threads that serve requests; a full queue refuses at once.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;

/// Most jobs that wait; each is one management call.
const JOBS_MAX: usize = 256;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

pub(super) struct Worker {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; it ends when the worker is dropped and its last job is done.
    pub(super) fn start(name: &str, mut connection: Connection) -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(JOBS_MAX);
        let work = move || {
            for job in queue {
                job(&mut connection);
            }
        };
        let thread = Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has a job done. It is done also when nobody waits for its answer any more.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        if crate::lone::is_here() {
            return self.await_here(job);
        }
        let (answer, wait) = oneshot::channel();
        self.leave(move |connection| {
            let _ = answer.send(job(connection));
        })?;
        wait.await.map_err(|_| StoreError::Failed("its thread ended".to_owned()))?
    }

    /// Has a job done, and the thread that asks waits for it.
    #[cfg(test)]
    fn await_here<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, wait) = sync_channel(1);
        self.leave(move |connection| {
            let _ = answer.send(job(connection));
        })?;
        wait.recv().map_err(|_| StoreError::Failed("its thread ended".to_owned()))?
    }

    /// Leaves a job to be done.
    pub(super) fn leave(
        &self,
        job: impl FnOnce(&mut Connection) + Send + 'static,
    ) -> Result<(), StoreError> {
        let jobs = self.jobs.as_ref().expect("jobs end only when the worker is dropped");
        jobs.try_send(Box::new(job)).map_err(|_| StoreError::Busy)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
