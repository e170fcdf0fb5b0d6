//! Lines of JSON to a file or to standard output. In: a range of events. Out: taken once every line is written whole
//! and, in a file, on stable storage; events that stand at the file's end already are not written twice.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::desk::{Desk, Medium};
use super::known::Known;
use super::{Answer, Bounds, Fault};
use crate::clock::Clock;
use crate::forward::ForwardError;
use crate::forward::load::{Form, Load};
use crate::forward::options::Rotation;
use crate::telemetry::forward::Outcome;

/// One write and one sync carry what has gathered, up to here.
pub(super) const BOUNDS: Bounds =
    Bounds { frames: 16_384, frame_bytes: 2 << 20, events: usize::MAX, bytes: usize::MAX };
/// A larger buffer is given back to the allocator.
const BUFFER_MAX_BYTES: usize = 4 << 20;

/// The lane's side of a file or a pipe.
#[derive(Debug)]
pub(in crate::forward) struct Stream {
    desk: Desk,
    is_open: bool,
    /// Its oldest go to make room, at a number of bytes: one batch may be more than all that stays.
    forgets: bool,
    buffer: Vec<u8>,
    known: Known,
}

impl Stream {
    pub(super) fn stdout() -> Result<Self, ForwardError> {
        Self::start(Medium::Stdout, Path::new("stdout"), false)
    }

    pub(super) fn file(
        path: &Path,
        rotation: Rotation,
        clock: &Arc<Clock>,
    ) -> Result<Self, ForwardError> {
        let forgets = rotation.bytes.is_some() && rotation.keep.is_some();
        Self::start(Medium::File(path.to_owned(), rotation, Arc::clone(clock)), path, forgets)
    }

    fn start(medium: Medium, path: &Path, forgets: bool) -> Result<Self, ForwardError> {
        let desk = Desk::start(medium).map_err(|why| ForwardError::file(path, &why))?;
        Ok(Self { desk, is_open: false, forgets, buffer: Vec::new(), known: Known::default() })
    }

    pub(super) fn reopen(&mut self) {
        self.is_open = false;
    }

    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        if !self.is_open {
            match self.desk.open().await {
                Ok(marks) if self.forgets => self.known = Known::from_the_first(marks),
                Ok(marks) => self.known = Known::new(marks),
                Err(fault) => return failed(&fault),
            }
            self.is_open = true;
        }
        let mut lines = std::mem::take(&mut self.buffer);
        for place in range {
            let mark = load.mark(place);
            let stands = match load.lies(place) {
                Some(_) => self.known.has(&mark),
                None => self.known.meets(mark),
            };
            if !stands {
                load.write(place, Form::Received, &mut lines);
                lines.push(b'\n');
            }
        }
        if lines.is_empty() {
            return Answer::Taken;
        }
        match self.desk.write(lines).await {
            Ok(buffer) => {
                self.buffer =
                    if buffer.capacity() > BUFFER_MAX_BYTES { Vec::new() } else { buffer };
                Answer::Taken
            }
            Err(fault) => {
                self.is_open = false;
                failed(&fault)
            }
        }
    }
}

/// A disk may have room again any moment; a pipe that broke stays broken.
fn failed(fault: &io::Error) -> Answer {
    let soon = matches!(
        fault.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::WouldBlock
    );
    let what = fault.to_string();
    Answer::Failed(if soon {
        Fault::new(Outcome::Failed, what)
    } else {
        Fault::lasting(Outcome::Failed, what)
    })
}
