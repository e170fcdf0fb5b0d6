//! One process per data folder. In: the folder. Out: a lock that lives as long as its value, or who holds it. The lock
//! is the kernel's (`flock`): it ends with the process, however that ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::geteuid;

use super::SpoolError;
use crate::journal::{Disk as _, RealDisk};

/// The lock of a data folder, held until it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the lock, making the folder (only its owner may enter) when it is not there.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] with path and process, or [`SpoolError::Folder`].
    pub fn take(data: &Path) -> Result<Self, SpoolError> {
        let refuse = |fault: &io::Error| refuse(data, fault);
        RealDisk.make_folder(data).map_err(|fault| refuse(&fault))?;
        let owner = fs::metadata(data).map_err(|fault| refuse(&fault))?.uid();
        check_owner(data, owner, geteuid().as_raw())?;
        let path = file(data);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let mut file = options.open(&path).map_err(|fault| refuse(&fault))?;
        hold(&mut file, data, FlockOperation::NonBlockingLockExclusive)?;
        let written = file.set_len(0).and_then(|()| file.rewind());
        let written = written.and_then(|()| writeln!(file, "{}", std::process::id()));
        // The pid is only for the message to the second process: a full disk must not keep the first from starting.
        if let Err(fault) = written {
            tracing::warn!(%fault, path = %path.display(), "the pid could not be written");
        }
        Ok(Self { file })
    }

    /// Makes sure that nobody holds the folder while the value lives; changes nothing, not even a folder's contents.
    ///
    /// # Errors
    /// As [`FolderLock::take`].
    pub fn look(data: &Path) -> Result<Option<Self>, SpoolError> {
        match File::open(file(data)) {
            Ok(mut file) => {
                hold(&mut file, data, FlockOperation::NonBlockingLockShared)?;
                Ok(Some(Self { file }))
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(refuse(data, &fault)),
        }
    }
}

impl Drop for FolderLock {
    /// Closing is not enough: a process that is being started has all that is open until it becomes its program.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Who owns a folder can put there what he likes, links to other files among them: a superuser can anyway, and volumes
/// that a group may write are often his. As a user he is told, and obeyed: containers run as one on folders of somebody
/// outside.
fn check_owner(data: &Path, owner: u32, user: u32) -> Result<(), SpoolError> {
    const SUPERUSER: u32 = 0;
    if owner == user || owner == SUPERUSER {
        return Ok(());
    }
    if user == SUPERUSER {
        let path = data.display();
        tracing::warn!(%path, owner, "the data folder is another user's: run as that one, or chown it");
        return Ok(());
    }
    let why = format!(
        "it belongs to user {owner}, and this is user {user}: run as its owner, or chown it"
    );
    Err(SpoolError::Folder { path: data.to_path_buf(), why })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_not_used() {
        let data = Path::new("data");
        assert!(check_owner(data, 1000, 1000).is_ok());
        assert!(check_owner(data, 1000, 0).is_ok(), "a superuser is told only");
        assert!(check_owner(data, 0, 1000).is_ok(), "a volume that a group may write");
        for (owner, user) in [(1000, 1001), (1001, 1000)] {
            let fault = check_owner(data, owner, user).expect_err("not ours").to_string();
            assert!(fault.contains(&format!("belongs to user {owner}")), "{fault}");
            assert!(fault.contains("chown"), "{fault}");
        }
    }

    #[test]
    fn a_lock_that_is_dropped_is_free_even_while_a_process_that_begins_has_it_open() {
        let data = std::env::temp_dir().join(format!("hookgate-dropped-{}", std::process::id()));
        let lock = FolderLock::take(&data).expect("a lock");
        let open = lock.file.try_clone().expect("what a fork has");
        assert!(FolderLock::take(&data).is_err());
        drop(lock);
        drop(FolderLock::take(&data).expect("free"));
        drop(open);
        fs::remove_dir_all(data).expect("the folder goes");
    }

    #[test]
    fn a_link_in_place_of_the_lock_is_not_followed() {
        let folder = std::env::temp_dir().join(format!("hookgate-lock-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (data, other) = (folder.join("data"), folder.join("other"));
        fs::create_dir(&data).expect("a folder");
        fs::write(&other, "precious").expect("a file");
        std::os::unix::fs::symlink(&other, file(&data)).expect("a link");
        assert!(matches!(FolderLock::take(&data), Err(SpoolError::Folder { .. })));
        assert_eq!(fs::read(&other).expect("a file"), b"precious");
        fs::remove_dir_all(folder).expect("the folder goes");
    }
}
