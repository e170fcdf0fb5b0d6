//! A folder in memory, as the journal's [`Disk`]. In: what the journal writes, what the fuzzer spoils. Out: the same
//! bytes. Never fails, never forgets: what a crash does is shown by the simulations of `src/journal/tests`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use hookgate::journal::{Disk, DiskFile, Mode, Space};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// The folder; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<PathBuf, Bytes>>>);

impl Memory {
    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Bytes>> {
        self.0.lock().expect("one thread")
    }

    /// Puts a file there.
    pub fn put(&self, path: PathBuf, bytes: Vec<u8>) {
        self.files().insert(path, Arc::new(Mutex::new(bytes)));
    }

    /// Changes a file's bytes.
    pub fn spoil(&self, path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
        how(&mut self.files()[path].lock().expect("one thread"));
    }

    fn file(&self, path: &Path) -> io::Result<Bytes> {
        self.files().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for Memory {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let files = self.files();
        let inside = files.iter().filter(|(path, _)| path.parent() == Some(folder));
        let entry = |(path, bytes): (&PathBuf, &Bytes)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some((name, bytes.lock().expect("one thread").len() as u64))
        };
        Ok(inside.filter_map(entry).collect())
    }

    fn create(&self, path: &Path, _: Mode) -> io::Result<Box<dyn DiskFile>> {
        if self.files().contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.put(path.to_owned(), Vec::new());
        self.open(path, Mode::Buffered)
    }

    fn open(&self, path: &Path, _: Mode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File(self.file(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.file(from)?;
        let mut files = self.files();
        files.remove(from);
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space { free: u64::MAX, total: u64::MAX })
    }
}

#[derive(Debug)]
struct File(Bytes);

impl DiskFile for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().expect("one thread");
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut all = self.0.lock().expect("one thread");
        let end = offset as usize + bytes.len();
        if all.len() < end {
            all.resize(end, 0);
        }
        all[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().expect("one thread").resize(bytes as usize, 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().expect("one thread").len() as u64)
    }
}
