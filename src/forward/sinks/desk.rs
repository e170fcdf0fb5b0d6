//! The thread behind a file or a pipe: writing may take as long as a disk or a reader likes, and harms nobody here. In:
//! one job at a time. Out: its result, and the buffer to be filled again. Ends when its lane does.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::lines::{Lines, Mark, Style, tail_of};
use super::super::options::Rotation;
use super::rotation;
use crate::clock::{Clock, Time};

/// How a line of a file begins.
const STYLE: Style = Style { opening: b"{\"occurred\":\"", mode: 0o640 };
/// How far back a file's last lines are read for events that stand there already.
const TAIL_MAX_BYTES: u64 = 16 << 20;
/// Between two tries to write to a pipe that is full and will not block.
const PIPE_PAUSE: Duration = Duration::from_millis(10);

/// What is written to.
#[derive(Debug)]
pub(super) enum Medium {
    Stdout,
    /// When it ends for another one, and what tells the time.
    File(PathBuf, Rotation, Arc<Clock>),
}

type Opened = io::Result<HashSet<Mark>>;
type Written = io::Result<Vec<u8>>;

enum Job {
    Open(oneshot::Sender<Opened>),
    Write(Vec<u8>, oneshot::Sender<Written>),
}

/// The lane's side of the thread.
#[derive(Debug)]
pub(super) struct Desk {
    jobs: SyncSender<Job>,
}

impl Desk {
    /// Starts the thread; nothing is opened yet.
    pub(super) fn start(medium: Medium) -> io::Result<Self> {
        // A lane waits for each job, so there is never a second.
        let (jobs, waiting) = sync_channel(1);
        let clerk = Clerk { medium, output: None, began: Time::default() };
        thread::Builder::new().name("hookgate-sink".into()).spawn(move || clerk.run(&waiting))?;
        Ok(Self { jobs })
    }

    /// Opens, or opens anew; gives the marks of the events that stand at a file's end.
    pub(super) async fn open(&self) -> Opened {
        self.ask(Job::Open).await
    }

    /// Appends whole lines; ready when a file has them on stable storage. Gives the buffer back, empty.
    pub(super) async fn write(&self, lines: Vec<u8>) -> Written {
        self.ask(|reply| Job::Write(lines, reply)).await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Job,
    ) -> io::Result<T> {
        let (reply, answer) = oneshot::channel();
        let busy = |_| io::Error::new(ErrorKind::WouldBlock, "the last attempt still runs");
        self.jobs.try_send(job(reply)).map_err(busy)?;
        answer.await.map_err(|_| io::Error::other("the writing thread has ended"))?
    }
}

enum Output {
    Stdout(File),
    File(Lines),
}

/// The thread's side.
struct Clerk {
    medium: Medium,
    output: Option<Output>,
    /// When the open file began.
    began: Time,
}

impl Clerk {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            // Whoever asked may be gone by now.
            match job {
                Job::Open(reply) => {
                    let _ = reply.send(self.open());
                }
                Job::Write(lines, reply) => {
                    let _ = reply.send(self.write(lines));
                }
            }
        }
    }

    fn open(&mut self) -> Opened {
        self.output = None;
        let (output, tail) = match &self.medium {
            Medium::Stdout => {
                let copy = io::stdout().as_fd().try_clone_to_owned()?;
                (Output::Stdout(File::from(copy)), HashSet::new())
            }
            Medium::File(path, _, clock) => {
                let lines = Lines::open(path, STYLE)?;
                if lines.cut_bytes > 0 {
                    let (path, bytes) = (path.display(), lines.cut_bytes);
                    tracing::warn!(%path, bytes, "a torn last line was cut");
                }
                let bytes = lines.bytes()?;
                let mut tail: HashSet<_> = lines.tail(TAIL_MAX_BYTES)?.into_iter().collect();
                tail.extend(ended_tail(path, TAIL_MAX_BYTES.saturating_sub(bytes))?);
                self.began = if bytes > 0 { lines.made()? } else { clock.now() };
                (Output::File(lines), tail)
            }
        };
        self.output = Some(output);
        Ok(tail)
    }

    fn write(&mut self, mut lines: Vec<u8>) -> Written {
        match self.write_all(&lines) {
            Ok(has_ended) => {
                // Not before: what is written again after a fault is known by the files that ended meanwhile.
                if has_ended {
                    self.keep_newest()?;
                }
                lines.clear();
                Ok(lines)
            }
            Err(fault) => {
                self.output = None;
                // Unless there is no room, which the oldest may have.
                let is_full =
                    matches!(fault.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
                if is_full && let Err(fault) = self.keep_newest() {
                    tracing::warn!(%fault, "the oldest files stay");
                }
                Err(fault)
            }
        }
    }

    /// Writes all of it; whether a file ended meanwhile.
    fn write_all(&mut self, lines: &[u8]) -> io::Result<bool> {
        if matches!(&self.output, Some(Output::File(file)) if file.is_moved()) {
            self.open()?;
        }
        let mut has_ended = false;
        let mut rest = lines;
        while !rest.is_empty() {
            let (room, ends) = self.make_room(rest)?;
            has_ended |= ends;
            let (piece, later) = rest.split_at(room);
            match &mut self.output {
                None => Err(io::Error::other("nothing is open")),
                Some(Output::File(file)) => file.append(piece),
                Some(Output::Stdout(pipe)) => write_pipe(pipe, piece),
            }?;
            rest = later;
        }
        Ok(has_ended)
    }

    fn keep_newest(&self) -> io::Result<()> {
        match &self.medium {
            Medium::File(path, Rotation { keep: Some(keep), .. }, _) => {
                rotation::keep_newest(path, *keep)
            }
            _ => Ok(()),
        }
    }

    /// How many bytes of the lines, whole ones, go into the file that is open; whether one ended, which had no room.
    fn make_room(&mut self, lines: &[u8]) -> io::Result<(usize, bool)> {
        let (Medium::File(path, rotation, clock), Some(Output::File(file))) =
            (&self.medium, &self.output)
        else {
            return Ok((lines.len(), false));
        };
        if *rotation == Rotation::default() || !file.is_regular() {
            return Ok((lines.len(), false));
        }
        let now = clock.now();
        let room = rotation.room(file.bytes()?, self.began, lines, now);
        if room > 0 {
            return Ok((room, false));
        }
        rotation::end(path, now)?;
        self.output = Some(Output::File(Lines::open(path, STYLE)?));
        self.began = now;
        Ok((rotation.room(0, now, lines, now), true))
    }
}

/// The events in the last whole lines of the files that ended last, as far as the bytes go: what was written last may
/// stand in several.
fn ended_tail(path: &Path, bytes_max: u64) -> io::Result<Vec<Mark>> {
    let (mut tail, mut left) = (Vec::new(), bytes_max);
    if left == 0 {
        return Ok(tail);
    }
    for ended in rotation::all_ended(path)?.iter().rev() {
        if left == 0 {
            break;
        }
        match tail_of(ended, left) {
            Ok((marks, bytes)) => {
                tail.extend(marks);
                left = left.saturating_sub(bytes);
            }
            // Somebody took it away just now.
            Err(fault) if fault.kind() == ErrorKind::NotFound => {}
            Err(fault) => {
                let ended = ended.display();
                tracing::warn!(%ended, %fault, "what stands there may be written once more");
                break;
            }
        }
    }
    Ok(tail)
}

/// Writes everything, also to a pipe that somebody made non-blocking.
fn write_pipe(pipe: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => thread::sleep(PIPE_PAUSE),
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
