//! The disk as the journal sees it. In: paths, offsets, bytes. Out: what a file system answers, its posture, its space.
//! A trait because there are two disks: the machine's, and one that forgets, tears and fails in tests.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To read.
    Read,
    /// To read and write through the page cache; durable after [`DiskFile::sync`].
    Buffered,
    /// To read and write around the page cache, in aligned blocks; each write is durable when it returns.
    Direct,
}

/// Bytes of a file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Space {
    /// Free for us.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// Folders and names.
pub trait Disk: Debug + Send + Sync {
    /// Makes a folder only we may enter, with those above it; fine when it is there.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// Names and lengths of a folder's files.
    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>>;
    /// Makes a new file only we may read.
    fn create(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names of a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// The file system's space.
    fn space(&self, folder: &Path) -> io::Result<Space>;
}

/// One open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads at `offset`; fewer bytes than asked only at the end of the file.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn resize(&self, bytes: u64) -> io::Result<()>;
    /// Its length.
    fn size(&self) -> io::Result<u64>;
}

/// Puts a whole file in place of what had its name: after a crash it is the one or the other, never a part.
///
/// # Errors
/// What the file system says; the name may stand for either then.
pub fn replace(disk: &dyn Disk, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    let beside = path.with_extension("tmp");
    let _ = disk.remove(&beside);
    let file = disk.create(&beside, Mode::Buffered)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&beside, &path)?;
    disk.sync_folder(folder)
}

/// The machine's own.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk;

/// Linux has one value of `O_DSYNC` on every processor we build for; rustix gives the stronger `O_SYNC` under that
/// name, which commits a time stamp with each write.
#[cfg(target_os = "linux")]
const DIRECT_FLAGS: i32 = rustix::fs::OFlags::DIRECT.bits().cast_signed() | 0o10_000;
#[cfg(not(target_os = "linux"))]
const DIRECT_FLAGS: i32 = 0;

impl RealDisk {
    fn options(mode: Mode) -> io::Result<OpenOptions> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != Mode::Read).mode(0o600);
        if mode == Mode::Direct {
            if DIRECT_FLAGS == 0 {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
            options.custom_flags(DIRECT_FLAGS);
        }
        Ok(options)
    }
}

impl Disk for RealDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            if let (true, Ok(name)) = (facts.is_file(), entry.file_name().into_string()) {
                found.push((name, facts.len()));
            }
        }
        found.sort();
        Ok(found)
    }

    fn create(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self::options(mode)?.create_new(true).open(path)?))
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self::options(mode)?.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn space(&self, folder: &Path) -> io::Result<Space> {
        let facts = rustix::fs::statvfs(folder)?;
        Ok(Space {
            free: facts.f_bavail.saturating_mul(facts.f_frsize),
            total: facts.f_blocks.saturating_mul(facts.f_frsize),
        })
    }
}

impl DiskFile for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut got = 0;
        while got < into.len() {
            match FileExt::read_at(self, &mut into[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(got)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
