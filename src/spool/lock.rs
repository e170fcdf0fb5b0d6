//! One process per data folder. In: the folder. Out: a lock that lives as long as its value, or who holds it. The lock
//! is the kernel's (`flock`): it ends with the process, however that ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::SpoolError;
use crate::journal::{Disk as _, RealDisk};

/// The lock of a data folder, held until it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock, making the folder (only its owner may enter) when it is not there.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] with path and process, or [`SpoolError::Folder`].
    pub fn take(data: &Path) -> Result<Self, SpoolError> {
        let refuse = |fault: &io::Error| refuse(data, fault);
        RealDisk.make_folder(data).map_err(|fault| refuse(&fault))?;
        let path = file(data);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(|fault| refuse(&fault))?;
        hold(&mut file, data, FlockOperation::NonBlockingLockExclusive)?;
        let written = file.set_len(0).and_then(|()| file.rewind());
        let written = written.and_then(|()| writeln!(file, "{}", std::process::id()));
        // The pid is only for the message to the second process: a full disk must not keep the first from starting.
        if let Err(fault) = written {
            tracing::warn!(%fault, path = %path.display(), "the pid could not be written");
        }
        Ok(Self { _file: file })
    }

    /// Makes sure that nobody holds the folder while the value lives; changes nothing, not even a folder's contents.
    ///
    /// # Errors
    /// As [`FolderLock::take`].
    pub fn look(data: &Path) -> Result<Option<Self>, SpoolError> {
        match File::open(file(data)) {
            Ok(mut file) => {
                hold(&mut file, data, FlockOperation::NonBlockingLockShared)?;
                Ok(Some(Self { _file: file }))
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(refuse(data, &fault)),
        }
    }
}

fn file(data: &Path) -> PathBuf {
    data.join("LOCK")
}

fn refuse(data: &Path, fault: &io::Error) -> SpoolError {
    SpoolError::Folder { path: data.to_path_buf(), why: fault.to_string() }
}

fn hold(file: &mut File, data: &Path, how: FlockOperation) -> Result<(), SpoolError> {
    match flock(&*file, how) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            let pid = text.trim();
            let pid = if pid.is_empty() { "unknown" } else { pid }.to_owned();
            Err(SpoolError::Locked { path: data.to_path_buf(), pid })
        }
        Err(fault) => Err(refuse(data, &fault.into())),
    }
}
