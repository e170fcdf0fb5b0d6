//! Template files as arguments name them. In: files and folders. Out: their paths in order, their text, and a way to
//! replace one whole. Never a file through a link inside a folder, and never half a file.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use super::output::Failure;

/// How the names of template files end.
const ENDINGS: [&str; 3] = ["j2", "jinja", "jinja2"];
/// Most template files of one call.
const FILES_MAX: usize = 10_000;
/// Deepest folder below one that is named.
const DEPTH_MAX: usize = 16;
/// Largest file that is read; a template is smaller by far.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// Every template below the paths, each once; a file that is named itself may be called as it likes.
pub(super) fn templates(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = BTreeSet::new();
    for path in paths {
        let about = fs::metadata(path).map_err(|fault| unreadable(path, &fault))?;
        if about.is_dir() {
            let before = found.len();
            walk(path, 0, &mut found)?;
            if found.len() == before {
                let what = format!("no template (*.j2, *.jinja, *.jinja2) in {}", path.display());
                return Err(Failure::NotFound(what));
            }
        } else {
            found.insert(path.clone());
        }
    }
    Ok(found.into_iter().collect())
}

fn walk(folder: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    let unreadable = |fault| unreadable(folder, &fault);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && !is_hidden && depth < DEPTH_MAX {
            walk(&path, depth + 1, found)?;
        } else if kind.is_file() && !is_hidden && is_template(&path) {
            // This folder is not named in front of everything below it.
            found.insert(path.strip_prefix(".").unwrap_or(&path).to_owned());
        }
        if found.len() > FILES_MAX {
            let what = format!("more than {FILES_MAX} templates; name fewer folders");
            return Err(Failure::No(what));
        }
    }
    Ok(())
}

fn is_template(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ENDINGS.iter().any(|ending| extension == *ending))
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let file = File::open(path).map_err(|fault| unreadable(path, &fault))?;
    read_text(file, &path.display().to_string())
}

/// All of a source of bytes as text.
pub(super) fn read_text(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(FILE_MAX_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(read) if read as u64 > FILE_MAX_BYTES => {
            Err(Failure::No(format!("{name} has more than {FILE_MAX_BYTES} bytes")))
        }
        Ok(_) => Ok(text),
        Err(fault) => Err(Failure::No(format!("cannot read {name}: {fault}"))),
    }
}

fn unreadable(path: &Path, fault: &std::io::Error) -> Failure {
    let what = format!("cannot read {}: {fault}", path.display());
    match fault.kind() {
        ErrorKind::NotFound => Failure::NotFound(what),
        _ => Failure::No(what),
    }
}

/// Replaces a file whole: whoever reads meanwhile sees the old text or the new one. Mode and links stay.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    write_beside(path, text)
        .map_err(|fault| Failure::No(format!("cannot write {}: {fault}", path.display())))
}

fn write_beside(path: &Path, text: &str) -> std::io::Result<()> {
    let target = fs::canonicalize(path)?;
    let mode = fs::metadata(&target)?.permissions();
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|file| {
        let mut file = file;
        file.write_all(text.as_bytes())?;
        file.set_permissions(mode)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| fs::rename(&beside, &target));
    if placed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    placed
}
