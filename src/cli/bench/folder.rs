//! Where a bench keeps its files: a folder of its own that goes with it. In: where it may be. Out: its path and the
//! name of its file system, since a disk in memory proves nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::output::Failure;

/// A folder that is removed at the end.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A fresh one below `root`; else below `target` when there is one, else where the system keeps such things.
    pub(super) fn make(root: Option<&Path>) -> Result<Self, Failure> {
        let target = Path::new("target");
        let root = match root {
            Some(root) => root.to_path_buf(),
            None if target.is_dir() => target.to_path_buf(),
            None => std::env::temp_dir(),
        };
        let name = format!("hookgate-bench-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let fault = |fault| Failure::No(format!("{}: {fault}", root.display()));
        fs::create_dir_all(&root).map_err(fault)?;
        let path = fs::canonicalize(&root).map_err(fault)?.join(name);
        fs::create_dir(&path).map_err(fault)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its file system, such as `ext4`.
    pub(super) fn file_system(&self) -> String {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        file_system_of(&self.path, &mounts).unwrap_or("unknown").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The type of the deepest mount above `path`; of two at one place the later one.
fn file_system_of<'a>(path: &Path, mounts: &'a str) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    };
    let above = mounts.lines().filter_map(mount).filter(|(at, _)| path.starts_with(at));
    above.max_by_key(|(at, _)| at.as_os_str().len()).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\n";
        for (path, name) in [("/home/a", "ext4"), ("/tmp/y", "tmpfs"), ("/tmp/x/y", "xfs")] {
            assert_eq!(file_system_of(Path::new(path), mounts), Some(name));
        }
        assert_eq!(file_system_of(Path::new("/"), ""), None);
    }

    #[test]
    fn a_folder_goes_with_its_bench() {
        let folder = Folder::make(Some(&std::env::temp_dir())).expect("a folder");
        let path = folder.path().to_path_buf();
        fs::write(path.join("file"), "x").expect("a file");
        drop(folder);
        assert!(!path.exists());
    }
}
