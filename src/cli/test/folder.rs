//! Where templates and their cases are. In: paths as given on the command line. Out: suites, each a template and its
//! requests with what is expected beside them. Reads names only, and follows no folder deeper than its bound.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::output::Failure;

/// The template of a folder.
pub(super) const TEMPLATE: &str = "template.j2";
/// The folder of its cases.
pub(super) const CASES: &str = "cases";
const REQUEST: &str = ".request.json";
const EVENT: &str = ".event.json";
const ERROR: &str = ".error.json";
/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 8;
/// Most folders that are looked into.
const FOLDERS_MAX: usize = 10_000;
/// Folders that hold no templates, and much else.
const PASSED_BY: &[&str] = &["target", "node_modules"];

/// A template and its cases.
#[derive(Debug)]
pub(super) struct Suite {
    /// Its folder below the path that was given.
    pub(super) name: String,
    pub(super) template: PathBuf,
    pub(super) cases: Vec<Case>,
}

/// A request and what is expected of it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) request: PathBuf,
    /// Where the expected event is, or goes to.
    pub(super) event: PathBuf,
    /// Where the expected error is, or goes to.
    pub(super) error: PathBuf,
    /// Which of the files are there.
    pub(super) there: There,
}

/// Which files of a case are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct There {
    pub(super) request: bool,
    pub(super) event: bool,
    pub(super) error: bool,
}

/// Finds every suite at or below the paths, in the order of their names.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<Suite>, Failure> {
    let mut suites = Vec::new();
    let mut left = FOLDERS_MAX;
    for path in paths {
        let about = fs::metadata(path)
            .map_err(|fault| Failure::NotFound(format!("{}: {fault}", path.display())))?;
        if about.is_dir() {
            // This folder is not named in front of everything below it.
            let path = path.strip_prefix(".").unwrap_or(path);
            walk(path, path, 0, &mut left, &mut suites)?;
        } else {
            suites.push(single(path)?);
        }
    }
    Ok(merged(suites))
}

/// Each template once, with the cases of all paths that lead to it.
fn merged(suites: Vec<Suite>) -> Vec<Suite> {
    let mut places: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut merged: Vec<Suite> = Vec::new();
    for suite in suites {
        let file = suite.template.canonicalize().unwrap_or_else(|_| suite.template.clone());
        let place = *places.entry(file).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(known) => {
                known.cases.extend(suite.cases);
                known.cases.sort_by(|a, b| a.name.cmp(&b.name));
                known.cases.dedup_by(|a, b| a.name == b.name);
            }
            None => merged.push(suite),
        }
    }
    merged
}

/// The suite that a file belongs to: a template's, or a single case's.
fn single(path: &Path) -> Result<Suite, Failure> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let parent = path.parent().unwrap_or(Path::new(""));
    if file == TEMPLATE {
        return suite(parent, parent);
    }
    let stem = [REQUEST, EVENT, ERROR].iter().find_map(|end| file.strip_suffix(end));
    let folder = parent.parent().unwrap_or(Path::new(""));
    let (Some(stem), true) = (stem, folder.join(TEMPLATE).is_file()) else {
        return Err(Failure::NotFound(format!(
            "{}: neither a folder, nor a {TEMPLATE}, nor a case of one ({CASES}/<case>{REQUEST})",
            path.display()
        )));
    };
    let mut suite = suite(folder, folder)?;
    suite.cases.retain(|case| case.name == stem);
    Ok(suite)
}

fn walk(
    root: &Path,
    folder: &Path,
    depth: usize,
    left: &mut usize,
    suites: &mut Vec<Suite>,
) -> Result<(), Failure> {
    *left = left.checked_sub(1).ok_or_else(|| {
        Failure::No(format!("{}: more than {FOLDERS_MAX} folders", root.display()))
    })?;
    if folder.join(TEMPLATE).is_file() {
        suites.push(suite(root, folder)?);
    }
    if depth == DEPTH_MAX {
        return Ok(());
    }
    for (name, path) in entries(folder)? {
        let is_passed_by = name.starts_with('.') || PASSED_BY.contains(&&*name);
        // A link is not followed: it may lead in a circle.
        if !is_passed_by && name != CASES && path.is_dir() && !path.is_symlink() {
            walk(root, &path, depth + 1, left, suites)?;
        }
    }
    Ok(())
}

/// A folder's entries, sorted.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let unreadable = |fault: std::io::Error| Failure::No(format!("{}: {fault}", folder.display()));
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut found = Vec::new();
    for entry in fs::read_dir(place).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push((name, folder.join(entry.file_name())));
    }
    found.sort();
    Ok(found)
}

fn suite(root: &Path, folder: &Path) -> Result<Suite, Failure> {
    let below = folder.strip_prefix(root).unwrap_or(folder);
    let own = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = if below.as_os_str().is_empty() {
        own.file_name().unwrap_or_default().to_string_lossy().into_owned()
    } else {
        below.display().to_string()
    };
    let cases = folder.join(CASES);
    let mut found: BTreeMap<String, There> = BTreeMap::new();
    if cases.is_dir() {
        for (file, _) in entries(&cases)? {
            if let Some(stem) = file.strip_suffix(REQUEST) {
                found.entry(stem.to_owned()).or_default().request = true;
            } else if let Some(stem) = file.strip_suffix(EVENT) {
                found.entry(stem.to_owned()).or_default().event = true;
            } else if let Some(stem) = file.strip_suffix(ERROR) {
                found.entry(stem.to_owned()).or_default().error = true;
            }
        }
    }
    let cases = found.into_iter().map(|(name, there)| {
        let file = |end: &str| cases.join(format!("{name}{end}"));
        let (request, event, error) = (file(REQUEST), file(EVENT), file(ERROR));
        Case { name, request, event, error, there }
    });
    Ok(Suite { name, template: folder.join(TEMPLATE), cases: cases.collect() })
}
