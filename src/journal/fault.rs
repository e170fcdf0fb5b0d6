//! A disk in memory that forgets, tears and fails as disks do. In: a seed and a plan. Out: the same faults for the same
//! seed. Unsynced writes survive a crash in any subset of their sectors, unsynced names in any prefix of their order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use super::disk::{Disk, DiskFile, Mode, Space};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What goes wrong, at which operation (counted from 0 when the plan is set).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// The power goes during this operation; nothing works afterwards.
    pub(crate) crash_at: Option<u64>,
    /// This operation answers EIO; what it should have done may be done in part.
    pub(crate) fail_at: Option<u64>,
    /// And every one from this on.
    pub(crate) fail_from: Option<u64>,
    /// Bytes of all files; past it a write answers ENOSPC.
    pub(crate) capacity: Option<u64>,
    /// Each sync and each write takes so long.
    pub(crate) delay: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// As a reader sees it.
    seen: Vec<u8>,
    /// As it is on the platter.
    kept: Vec<u8>,
    /// Not yet synced.
    loose: Vec<Write>,
}

#[derive(Clone, Debug)]
enum Naming {
    Add(PathBuf, usize),
    Move(PathBuf, PathBuf),
    Drop(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    kept_names: BTreeMap<PathBuf, usize>,
    loose_names: Vec<Naming>,
    folders: BTreeSet<PathBuf>,
    plan: Plan,
    operations: u64,
    dead: bool,
    chance: Option<fastrand::Rng>,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct FaultDisk(Arc<Mutex<State>>);

/// What happens to an operation.
enum Luck {
    Good,
    Fails,
    Dies,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl State {
    fn chance(&mut self) -> &mut fastrand::Rng {
        self.chance.as_mut().expect("every disk has a seed")
    }

    fn luck(&mut self) -> io::Result<Luck> {
        if self.dead {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let at = self.operations;
        self.operations += 1;
        if self.plan.crash_at.is_some_and(|crash| at >= crash) {
            self.dead = true;
            return Ok(Luck::Dies);
        }
        let fails =
            self.plan.fail_at == Some(at) || self.plan.fail_from.is_some_and(|from| at >= from);
        Ok(if fails { Luck::Fails } else { Luck::Good })
    }

    /// Keeps sectors of a write by chance: none, all, or any of them.
    fn tear(&mut self, inode: usize, write: &Write) {
        let style = self.chance().u8(0..4);
        let mut at = 0;
        while at < write.bytes.len() {
            let end = (at + SECTOR - (write.offset + at) % SECTOR).min(write.bytes.len());
            let survives = match style {
                0 => false,
                1 => true,
                _ => self.chance().bool(),
            };
            if survives {
                put(&mut self.inodes[inode].kept, write.offset + at, &write.bytes[at..end]);
            }
            at = end;
        }
    }

    fn name(&mut self, naming: Naming) {
        rename(&mut self.names, &naming);
        self.loose_names.push(naming);
    }

    fn bytes(&self) -> u64 {
        let inodes: BTreeSet<_> = self.names.values().collect();
        inodes.iter().map(|inode| self.inodes[**inode].seen.len() as u64).sum()
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, naming: &Naming) {
    match naming {
        Naming::Add(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        Naming::Move(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Naming::Drop(path) => {
            names.remove(path);
        }
    }
}

impl FaultDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let chance = Some(fastrand::Rng::with_seed(seed));
        Self(Arc::new(Mutex::new(State { chance, ..State::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As long as the plan says; nobody is kept from another look meanwhile.
    fn dawdle(&self) {
        let delay = self.lock().plan.delay;
        delay.into_iter().for_each(sleep);
    }

    /// From now on.
    pub(crate) fn set(&self, plan: Plan) {
        let mut state = self.lock();
        state.plan = plan;
        state.operations = 0;
    }

    /// Operations since the plan was set.
    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The disk as it is found after the power went: another one, so that whoever still holds this one harms nothing.
    pub(crate) fn after_crash(&self) -> Self {
        let mut state = self.lock();
        state.dead = true;
        for inode in 0..state.inodes.len() {
            for write in std::mem::take(&mut state.inodes[inode].loose) {
                state.tear(inode, &write);
            }
        }
        let loose = std::mem::take(&mut state.loose_names);
        let survive = state.chance().usize(0..=loose.len());
        let mut names = state.kept_names.clone();
        loose[..survive].iter().for_each(|naming| rename(&mut names, naming));
        let mut inodes = state.inodes.clone();
        for inode in &mut inodes {
            inode.seen = inode.kept.clone();
        }
        let next = State {
            inodes,
            names: names.clone(),
            kept_names: names,
            folders: state.folders.clone(),
            chance: Some(state.chance().fork()),
            ..State::default()
        };
        Self(Arc::new(Mutex::new(next)))
    }

    /// An independent copy that has no faults before it.
    pub(crate) fn copy(&self) -> Self {
        let mut state = self.lock();
        let next = State {
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            kept_names: state.kept_names.clone(),
            folders: state.folders.clone(),
            chance: Some(state.chance().fork()),
            ..State::default()
        };
        Self(Arc::new(Mutex::new(next)))
    }

    /// Changes a file's bytes behind everybody's back.
    pub(crate) fn spoil(&self, path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let inode = state.find(path).expect("a file");
        let file = &mut state.inodes[inode];
        how(&mut file.seen);
        file.kept = file.seen.clone();
    }

    /// A file's bytes.
    pub(crate) fn bytes_of(&self, path: &Path) -> Vec<u8> {
        let state = self.lock();
        state.inodes[state.find(path).expect("a file")].seen.clone()
    }
}

impl Disk for FaultDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.lock().folders.insert(folder.to_path_buf());
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.lock();
        let here = state.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        let entry = |(path, inode): (&PathBuf, &usize)| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, state.inodes[*inode].seen.len() as u64)
        };
        Ok(here.map(entry).collect())
    }

    fn create(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        let luck = state.luck()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let there = matches!(luck, Luck::Good) || state.chance().bool();
        let inode = state.inodes.len();
        if there {
            state.inodes.push(Inode::default());
            state.name(Naming::Add(path.to_path_buf(), inode));
        }
        match luck {
            Luck::Good => Ok(Box::new(FaultFile { disk: self.clone(), inode, mode })),
            Luck::Fails | Luck::Dies => Err(eio()),
        }
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.lock().find(path)?;
        Ok(Box::new(FaultFile { disk: self.clone(), inode, mode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let luck = state.luck()?;
        state.find(from)?;
        if matches!(luck, Luck::Good) || state.chance().bool() {
            state.name(Naming::Move(from.to_path_buf(), to.to_path_buf()));
        }
        if matches!(luck, Luck::Good) { Ok(()) } else { Err(eio()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let luck = state.luck()?;
        state.find(path)?;
        if matches!(luck, Luck::Good) || state.chance().bool() {
            state.name(Naming::Drop(path.to_path_buf()));
        }
        if matches!(luck, Luck::Good) { Ok(()) } else { Err(eio()) }
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut state = self.lock();
        match state.luck()? {
            Luck::Good => {
                for naming in std::mem::take(&mut state.loose_names) {
                    rename(&mut state.kept_names, &naming);
                }
                Ok(())
            }
            Luck::Fails | Luck::Dies => Err(eio()),
        }
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let state = self.lock();
        let total = state.plan.capacity.unwrap_or(1 << 40);
        Ok(Space { free: total.saturating_sub(state.bytes()), total })
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    inode: usize,
    mode: Mode,
}

impl DiskFile for FaultFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        if state.dead {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let rest = state.inodes[self.inode].seen.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.dawdle();
        let mut state = self.disk.lock();
        let luck = state.luck()?;
        let mut write = Write { offset: offset as usize, bytes: bytes.to_vec() };
        let grows =
            (write.offset + bytes.len()).saturating_sub(state.inodes[self.inode].seen.len());
        let room = state.plan.capacity.map_or(u64::MAX, |all| all.saturating_sub(state.bytes()));
        let full = grows as u64 > room;
        if full {
            // As much as fits is written, as a real one does.
            write.bytes.truncate(bytes.len() - (grows - room as usize).min(bytes.len()));
        }
        match luck {
            Luck::Good => {
                let direct = self.mode == Mode::Direct && !full;
                let inode = &mut state.inodes[self.inode];
                put(&mut inode.seen, write.offset, &write.bytes);
                if direct {
                    put(&mut inode.kept, write.offset, &write.bytes);
                } else {
                    inode.loose.push(write);
                }
                if full { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
            }
            Luck::Fails => {
                put(&mut state.inodes[self.inode].seen, write.offset, &write.bytes);
                state.tear(self.inode, &write);
                Err(eio())
            }
            Luck::Dies => {
                state.inodes[self.inode].loose.push(write);
                Err(eio())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.dawdle();
        let mut state = self.disk.lock();
        match state.luck()? {
            Luck::Good => {
                let inode = &mut state.inodes[self.inode];
                for write in std::mem::take(&mut inode.loose) {
                    put(&mut inode.kept, write.offset, &write.bytes);
                }
                let length = inode.seen.len();
                inode.kept.resize(length, 0);
                Ok(())
            }
            // The pages count as clean afterwards: whatever did not reach the platter never will.
            Luck::Fails => {
                for write in std::mem::take(&mut state.inodes[self.inode].loose) {
                    state.tear(self.inode, &write);
                }
                Err(eio())
            }
            Luck::Dies => Err(eio()),
        }
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let luck = state.luck()?;
        let by_chance = state.chance().bool();
        let inode = &mut state.inodes[self.inode];
        if matches!(luck, Luck::Good) || by_chance {
            inode.seen.resize(bytes as usize, 0);
            if by_chance {
                inode.kept.resize(bytes as usize, 0);
            }
        }
        if matches!(luck, Luck::Good) { Ok(()) } else { Err(eio()) }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.lock().inodes[self.inode].seen.len() as u64)
    }
}
