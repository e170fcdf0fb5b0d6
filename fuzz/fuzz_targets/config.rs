//! Settings. In: a TOML file, a line `----`, and variables, one a line. Holds: no panic; a fault names file and line,
//! or the setting; settings that were taken are taken again as they were understood; and no password or token of an
//! address is shown.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::LazyLock;

use hookgate::config::{ConfigError, Loaded, load};
use libfuzzer_sys::fuzz_target;
use toml::Value;

const SEPARATOR: &str = "\n----\n";
/// Stands in seeds and dictionary where secrets stand.
const SECRET: &str = "S3CRET";

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    // In memory, where there is such a folder.
    let folder = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    folder.join(format!("hookgate-fuzz-{}.toml", process::id()))
});

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (file, variables) = text.split_once(SEPARATOR).unwrap_or((text, ""));
    let variables: Vec<_> = variables
        .lines()
        .take(8)
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let read = read(file, &variables);
    // The file's name is this process's own: none is left behind.
    let _ = fs::remove_file(&*FILE);
    match read {
        Ok(loaded) => is_sound(&loaded),
        Err(fault) => is_placed(file, &fault),
    }
});

fn read(text: &str, variables: &[(String, String)]) -> Result<Loaded, ConfigError> {
    fs::write(&*FILE, text).expect("a file");
    load(Some(&FILE), variables.iter().cloned(), Vec::new())
}

fn is_sound(loaded: &Loaded) {
    for (path, value, _) in loaded.rows() {
        let mut values: Vec<Value> = value.into_iter().collect();
        while let Some(value) = values.pop() {
            match value {
                Value::String(text) => assert!(is_masked(&text), "{path} shows {text}"),
                Value::Array(items) => values.extend(items),
                Value::Table(members) => values.extend(members.into_iter().map(|(_, value)| value)),
                _ => {}
            }
        }
    }
    // What they make of it.
    let _ = (loaded.config.sockets(), loaded.config.hooks(), loaded.config.api());
}

/// Whether an address has no secret where its user stands, nor in its query; elsewhere the word is none.
fn is_masked(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return true };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_user = place.find(SECRET).is_some_and(|at| place[at..].contains('@'));
    !is_user && !query.contains(&format!("token={SECRET}"))
}

fn is_placed(text: &str, fault: &ConfigError) {
    let told = fault.to_string();
    assert!(!told.is_empty() && told.len() < 4096 + 4 * text.len(), "{told}");
    if let ConfigError::File { line, column, .. } = fault {
        assert!((1..=text.split('\n').count()).contains(line), "{told}");
        assert!(*column >= 1, "{told}");
    }
}
