//! The file of keys: one in Base64 on each line, the first of which seals, `#` before what is for people. In: its path.
//! Out: its keys, read again whenever the file was changed, so that a running program follows a rotation; a file with a
//! new key, or with that one alone, put in the old one's place at once, wherever a link leads to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};

use super::{KEYS_MAX, Key, Ring, SealError};

/// Largest file of keys.
const FILE_MAX_BYTES: u64 = 64 << 10;
/// Owner alone reads it.
const MODE: u32 = 0o600;
const HEAD: &str = "# Keys of hookgate's secrets at rest: the first one seals, all open. Lost keys open nothing.\n";

/// What a file looked like: another look, another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    node: u64,
    bytes: u64,
    changed: (i64, i64),
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    seen: Mutex<(Look, Arc<Ring>)>,
}

/// The keys of a file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Inner>);

impl Keys {
    /// Reads a file.
    ///
    /// # Errors
    /// [`SealError`] that names it.
    pub fn open(path: &Path) -> Result<Self, SealError> {
        let seen = Mutex::new(read(path)?);
        Ok(Self(Arc::new(Inner { path: path.to_owned(), seen })))
    }

    /// Makes a file with one new key; never over another file.
    ///
    /// # Errors
    /// [`SealError::File`], when there is a file already or none can be made.
    pub fn make(path: &Path) -> Result<Self, SealError> {
        let fault = |error: io::Error| SealError::file(path, &error);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(MODE).open(path).map_err(fault)?;
        write(&mut file, &Ring(vec![Key::mint()])).map_err(fault)?;
        sync_folder(path).map_err(fault)?;
        Self::open(path)
    }

    /// The keys as the file has them now.
    ///
    /// # Errors
    /// [`SealError`]: a secret that is sealed with keys nobody has any more would be lost.
    pub fn present(&self) -> Result<Arc<Ring>, SealError> {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = fs::metadata(&self.0.path);
        let metadata = metadata.map_err(|error| SealError::file(&self.0.path, &error))?;
        if look(&metadata) != seen.0 {
            *seen = read(&self.0.path)?;
        }
        Ok(Arc::clone(&seen.1))
    }

    /// The keys as they were read last: good enough to open what they sealed, whatever became of the file.
    #[must_use]
    pub fn last(&self) -> Arc<Ring> {
        Arc::clone(&self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Keeps everybody else from changing keys of this folder while the value lives.
    ///
    /// # Errors
    /// [`SealError::File`], when somebody else does right now.
    pub fn hold(&self) -> Result<File, SealError> {
        // Whoever calls it by another name holds the same folder.
        let held =
            fs::canonicalize(&self.0.path).and_then(|path| folder(&path)).and_then(|folder| {
                flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
                Ok(folder)
            });
        held.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => SealError::Busy { path: self.0.path.clone() },
            _ => SealError::file(&self.0.path, &error),
        })
    }

    /// Puts a new key before the others: it seals from now on.
    ///
    /// # Errors
    /// [`SealError`]; the file is as it was then.
    pub fn add(&self) -> Result<(), SealError> {
        let mut keys = vec![Key::mint()];
        keys.extend(self.present()?.0.iter().map(Key::clone));
        self.replace(&Ring(keys))
    }

    /// Ends all keys but the one that seals and those in use elsewhere. Whoever calls knows that nothing else is
    /// sealed with the others. `in_use` is asked once more behind that: somebody may have begun to use one meanwhile,
    /// who looks in his turn whether it is still there.
    ///
    /// # Errors
    /// [`SealError`]; the file is as it was then.
    pub fn end_former(
        &self,
        in_use: &dyn Fn() -> Result<Vec<String>, SealError>,
    ) -> Result<(), SealError> {
        let present = self.present()?;
        let less = |used: &[String]| {
            let stays = |(place, key): &(usize, &Key)| *place == 0 || used.contains(&key.name);
            let kept = present.0.iter().enumerate().filter(stays);
            Ring(kept.map(|(_, key)| key.clone()).collect())
        };
        let first = less(&in_use()?);
        if first.0.len() < present.0.len() {
            self.replace(&first)?;
            let again = less(&in_use()?);
            if again.0.len() > first.0.len() {
                self.replace(&again)?;
            }
        }
        Ok(())
    }

    /// Puts another file in its place, for the same owner. Where a link leads to it, that goes on leading there: others
    /// may know it by its own name.
    fn replace(&self, ring: &Ring) -> Result<(), SealError> {
        let path = &self.0.path;
        if ring.0.len() > KEYS_MAX {
            return Err(SealError::Number { path: path.clone(), found: ring.0.len() });
        }
        let fault = |error: io::Error| SealError::file(path, &error);
        let real = fs::canonicalize(path).map_err(fault)?;
        let former = fs::metadata(&real).map_err(fault)?;
        if former.nlink() > 1 {
            return Err(SealError::Links { path: real, names: former.nlink() });
        }
        let mut name = real.as_os_str().to_owned();
        name.push(".new");
        let beside = PathBuf::from(name);
        let replaced = lay(&beside, ring, &former).and_then(|()| fs::rename(&beside, &real));
        if let Err(error) = replaced {
            let _ = fs::remove_file(&beside);
            return Err(match error.kind() {
                io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
                    SealError::Mounted { path: real }
                }
                _ => fault(error),
            });
        }
        sync_folder(&real).map_err(fault)
    }
}

/// Makes a file of keys for the owner of another one.
fn lay(path: &Path, ring: &Ring, former: &fs::Metadata) -> io::Result<()> {
    // What a rotation that was stopped left there may be anybody's.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    fchown(&file, Some(former.uid()), Some(former.gid()))?;
    file.set_permissions(former.permissions())?;
    write(&mut file, ring)
}

impl SealError {
    fn file(path: &Path, error: &io::Error) -> Self {
        Self::File { path: path.to_owned(), why: error.to_string() }
    }
}

fn read(path: &Path) -> Result<(Look, Arc<Ring>), SealError> {
    let mut text = String::new();
    let mut opened = || -> io::Result<Look> {
        let file = File::open(path)?;
        let look = look(&file.metadata()?);
        file.take(FILE_MAX_BYTES).read_to_string(&mut text)?;
        Ok(look)
    };
    let look = opened().map_err(|error| SealError::file(path, &error))?;
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = || SealError::Line { path: path.to_owned(), line: number + 1 };
        keys.push(Key::parse(line).ok_or_else(bad)?);
    }
    if keys.is_empty() || keys.len() > KEYS_MAX {
        return Err(SealError::Number { path: path.to_owned(), found: keys.len() });
    }
    Ok((look, Arc::new(Ring(keys))))
}

fn write(file: &mut File, ring: &Ring) -> io::Result<()> {
    let lines: String = ring.0.iter().map(|key| key.text() + "\n").collect();
    file.write_all(HEAD.as_bytes())?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()
}

/// A file that was made or renamed is there after a crash only when its folder was synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    folder(path)?.sync_all()
}

fn folder(path: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))
}

fn look(metadata: &fs::Metadata) -> Look {
    let changed = (metadata.mtime(), metadata.mtime_nsec());
    Look { node: metadata.ino(), bytes: metadata.len(), changed }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::clock::Clock;
    use crate::id;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("hookgate-seal-{}", id::now(&Clock::System));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).expect("a folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn whoever_has_the_file_open_follows_its_rotation() {
        let folder = Folder::new();
        let path = folder.0.join("keys");
        let running = Keys::make(&path).expect("a file");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, MODE);
        let old = running.present().expect("keys").seal(b"p", b"secret");
        let operator = Keys::open(&path).expect("keys");
        operator.add().expect("a key");
        let ring = running.present().expect("keys");
        assert!(!ring.is_present(&old));
        assert_eq!(ring.open(b"p", &old).as_deref(), Ok(b"secret".as_slice()));
        let new = ring.seal(b"p", b"secret");
        operator.end_former(&|| Ok(Vec::new())).expect("one key");
        let ring = running.present().expect("keys");
        assert!(ring.open(b"p", &old).is_err());
        assert_eq!(ring.open(b"p", &new).as_deref(), Ok(b"secret".as_slice()));
    }

    #[test]
    fn former_keys_stay_while_they_are_in_use() {
        let folder = Folder::new();
        let keys = Keys::make(&folder.0.join("keys")).expect("a file");
        let present = || keys.present().expect("keys");
        let names = || present().names().map(str::to_owned).collect::<Vec<_>>();
        let first = present().name().to_owned();
        keys.add().expect("a key");
        keys.add().expect("a key");
        let all = names();
        keys.end_former(&|| Ok(vec![first.clone()])).expect("two keys");
        assert_eq!(names(), [&*all[0], &*first]);
        // Somebody takes the former one into use while it is ended.
        let asked = std::cell::Cell::new(0);
        let late = || {
            asked.set(asked.get() + 1);
            Ok(if asked.get() == 1 { Vec::new() } else { vec![first.clone()] })
        };
        keys.end_former(&late).expect("two keys");
        assert_eq!((names(), asked.get()), (vec![all[0].clone(), first], 2));
        let fault = SealError::Broken;
        assert_eq!(keys.end_former(&|| Err(fault.clone())), Err(fault));
        assert_eq!(names().len(), 2, "who does not know ends nothing");
        keys.end_former(&|| Ok(Vec::new())).expect("one key");
        assert_eq!(names(), [&*all[0]]);
    }

    #[test]
    fn a_link_goes_on_leading_to_the_file() {
        let folder = Folder::new();
        let inner = folder.0.join("inner");
        fs::create_dir(&inner).expect("a folder");
        let (real, link) = (inner.join("keys"), folder.0.join("link"));
        let running = Keys::make(&real).expect("a file");
        symlink("inner/keys", &link).expect("a link");
        Keys::make(&link).expect_err("never over another file");
        let by_link = Keys::open(&link).expect("keys");
        let held = by_link.hold().expect("held");
        assert!(matches!(running.hold(), Err(SealError::Busy { .. })), "one folder, two names");
        drop(held);
        by_link.add().expect("a key");
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        let names = |keys: &Keys| {
            let ring = keys.present().expect("keys");
            ring.names().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!((names(&running).len(), names(&running)), (2, names(&by_link)));
        by_link.end_former(&|| Ok(Vec::new())).expect("one key");
        assert_eq!((names(&running).len(), names(&running)), (1, names(&by_link)));
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_as_it_was() {
        let folder = Folder::new();
        let (path, other) = (folder.0.join("keys"), folder.0.join("other"));
        let keys = Keys::make(&path).expect("a file");
        let kept = fs::read(&path).expect("a file");
        fs::hard_link(&path, &other).expect("another name");
        let said = keys.add().expect_err("two names").to_string();
        assert!(said.contains("2 names") && said.contains("--present"), "{said}");
        assert_eq!(
            (fs::read(&path).expect("a file"), fs::read(&other).expect("a file")),
            (kept.clone(), kept)
        );
        fs::remove_file(&other).expect("one name");
        // What was left there gives nobody the keys.
        fs::write(&other, "").expect("a file");
        symlink(&other, folder.0.join("keys.new")).expect("a link");
        keys.add().expect("a key");
        assert_eq!(fs::read(&other).expect("a file"), b"");
        assert_eq!(fs::read_dir(&folder.0).expect("a folder").count(), 2);
    }

    #[test]
    fn two_do_not_change_keys_at_once() {
        let folder = Folder::new();
        let keys = Keys::make(&folder.0.join("keys")).expect("a file");
        let held = keys.hold().expect("held");
        let other = Keys::open(&folder.0.join("keys")).expect("keys");
        assert!(matches!(other.hold(), Err(SealError::Busy { .. })));
        drop(held);
        other.hold().expect("held");
    }

    #[test]
    fn faults_name_the_file_and_the_line() {
        let folder = Folder::new();
        let path = folder.0.join("keys");
        let said = |path: &Path| Keys::open(path).expect_err("no keys").to_string();
        assert!(said(&path).contains("No such file"), "{}", said(&path));
        fs::write(&path, "# nothing\n").expect("a file");
        assert!(said(&path).contains("has 0 keys"), "{}", said(&path));
        fs::write(&path, "# one\nAAAA\n").expect("a file");
        assert!(said(&path).contains("line 2"), "{}", said(&path));
        let kept = fs::read(&path).expect("a file");
        Keys::make(&path).expect_err("never over another file");
        assert_eq!(fs::read(&path).expect("a file"), kept);
    }
}
