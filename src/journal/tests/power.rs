//! The same promise over a disk that is not ours: turmoil's simulated file system, which forgets what was not synced,
//! files whose folder was not synced among it, and tears writes into blocks of 512 bytes. Its interface is marked
//! unstable: only this file knows it.

use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use turmoil::fs::shim::std::fs as simulated;

use super::*;

/// Simulated files; nothing works once the operations are used up: the power is about to go.
#[derive(Debug, Clone)]
struct PowerDisk {
    left: Arc<AtomicI64>,
}

#[derive(Debug)]
struct PowerFile {
    disk: PowerDisk,
    file: simulated::File,
}

impl PowerDisk {
    fn spend(&self) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            left if left > 0 => Ok(()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn open_with(
        &self,
        path: &Path,
        options: &simulated::OpenOptions,
    ) -> io::Result<Box<dyn DiskFile>> {
        let file = options.open(path)?;
        Ok(Box::new(PowerFile { disk: self.clone(), file }))
    }
}

impl Disk for PowerDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        simulated::create_dir_all(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in simulated::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                found.push((name, simulated::metadata(entry.path())?.len()));
            }
        }
        Ok(found)
    }

    fn create(&self, path: &Path, _: Mode) -> io::Result<Box<dyn DiskFile>> {
        self.spend()?;
        let mut options = simulated::OpenOptions::new();
        self.open_with(path, options.read(true).write(true).create_new(true))
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = simulated::OpenOptions::new();
        self.open_with(path, options.read(true).write(mode != Mode::Read))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?;
        simulated::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.spend()?;
        simulated::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.spend()?;
        simulated::sync_dir(folder)
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space { free: 1 << 40, total: 1 << 40 })
    }
}

impl DiskFile for PowerFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.spend()?;
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.spend()?;
        self.file.sync_data()
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        self.disk.spend()?;
        self.file.set_len(bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// What outlives the machine under test.
#[derive(Debug)]
struct Outside {
    promised: BTreeMap<u64, Vec<u8>>,
    chance: fastrand::Rng,
    lives: u64,
    acknowledged: u64,
}

/// One life, up to the moment the power goes.
fn live(outside: &Mutex<Outside>) {
    let mut outside = outside.lock().expect("one machine at a time");
    outside.lives += 1;
    let left = Arc::new(AtomicI64::new(outside.chance.i64(1..60)));
    let disk = PowerDisk { left };
    disk.make_folder(&folder()).expect("a folder");
    // The folder itself is of interest to another test.
    for above in ["/", "/data", FOLDER] {
        simulated::sync_dir(above).expect("synced");
    }
    let mut found = BTreeMap::new();
    let scope = Scope { repair: true, read_max_bytes: u64::MAX, read_from: 1 };
    let recovered = recover(&disk, &folder(), scope, &mut |frame| {
        found.insert(frame.header.sequence, frame.payload.to_vec());
    });
    let Ok(recovered) = recovered else { return };
    for (sequence, payload) in &outside.promised {
        assert_eq!(
            found.get(sequence),
            Some(payload),
            "frame {sequence} in life {}",
            outside.lives
        );
    }
    outside.promised = found;
    let chance = outside.chance.fork();
    let (mode, last, first_bytes) = (Mode::Buffered, recovered.last, 4 * BLOCK_BYTES);
    let start = Start { mode, last, first_bytes, chance };
    let shelf = Arc::new(recovered.shelf);
    let mut journal = Journal::new(Arc::new(disk.clone()), &folder(), Arc::clone(&shelf), start);
    let mut next = recovered.next;
    loop {
        if outside.chance.u8(0..4) == 0 {
            let id = outside.chance.u64(..);
            let _ = shelf.fill_spare(&disk, &folder(), 5 * BLOCK_BYTES, mode, id);
        }
        let length = outside.chance.usize(1..3000);
        let payloads = vec![vec![next as u8; length], vec![0xaa; 10]];
        if journal.write(&mut batch(next, &payloads), next, next + 1, 1).is_err() {
            return;
        }
        outside.promised.extend((next..).zip(payloads));
        outside.acknowledged += 2;
        next += 2;
    }
}

#[test]
fn a_disk_of_somebody_else_loses_nothing_either() {
    let wanted = crashes(1500) / 15;
    let chance = fastrand::Rng::with_seed(11);
    let (promised, lives, acknowledged) = (BTreeMap::new(), 0, 0);
    let outside = Arc::new(Mutex::new(Outside { promised, chance, lives, acknowledged }));
    let mut builder = turmoil::Builder::new();
    builder.rng_seed(5).simulation_duration(std::time::Duration::from_hours(1));
    builder.fs().block_size(512).sync_probability(0.2);
    let mut sim = builder.build();
    let machine = Arc::clone(&outside);
    sim.host("machine", move || {
        let outside = Arc::clone(&machine);
        async move {
            live(&outside);
            std::future::pending().await
        }
    });
    for _ in 0..wanted {
        for _ in 0..3 {
            sim.step().expect("a step");
        }
        sim.crash("machine");
        sim.bounce("machine");
    }
    let outside = outside.lock().expect("nobody panicked");
    assert!(outside.lives >= wanted && outside.acknowledged > wanted, "{outside:?}");
}
