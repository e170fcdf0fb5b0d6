//! The house holds: imports point only downward, files and names keep their bounds, every file says what it is for,
//! foreign crates stay in their rooms. Reads the sources as text; a rule that is broken names file, line and way out.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by floor; an import may point only to a lower one, or into its own folder. The ground may lean on itself.
const FLOORS: &[(u8, &[&str])] = &[
    (7, &["main", "lib", "cli", "serve", "config"]),
    (6, &["hooks", "api", "forward", "admin"]),
    (5, &["feed"]),
    (4, &["store", "spool", "shelf"]),
    (3, &["accept", "fetch", "journal", "seal"]),
    (2, &["verify", "limit", "parse", "render", "catalogue", "filter"]),
    (1, &["request", "event"]),
    (0, &["apart", "id", "clock", "json", "lone", "telemetry"]),
];

/// Who speaks over websockets.
const WEBSOCKETS: &[&str] = &[
    "accept/websocket.rs",
    "cli/socket.rs",
    "forward/sinks/http/socket.rs",
    "forward/tests/socket.rs",
];

/// Crates that may be named only in these places.
const ROOMS: &[(&str, &[&str])] = &[
    ("hyper::", &["accept/", "fetch/", "forward/", "cli/"]),
    ("hyper_util::", &["accept/", "fetch/", "forward/", "cli/"]),
    ("hyper_rustls::", &["forward/", "cli/client.rs"]),
    ("tokio_tungstenite::", WEBSOCKETS),
    ("futures_util::", WEBSOCKETS),
    ("minijinja::", &["render/"]),
    ("governor::", &["limit/"]),
    ("tower_service::", &["fetch/egress.rs"]),
    ("rusqlite::", &["store/", "feed/", "shelf/"]),
    ("tokio_postgres::", &["forward/sinks/postgres.rs"]),
    ("uuid::", &["id.rs"]),
    ("zstd::", &["forward/sinks/http/objects.rs"]),
    ("argon2::", &["verify/"]),
    ("prometheus_client::", &["telemetry/", "admin.rs"]),
    ("tracing_subscriber::", &["telemetry/"]),
    ("clap::", &["cli/", "main.rs", "config"]),
    ("clap_complete::", &["cli/completions.rs"]),
    ("clap_mangen::", &["cli/man.rs"]),
];

/// Words that name nothing.
const NAMELESS: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "misc", "types", "manager", "base"];

/// Names that a foreign trait gives.
const FOREIGN: &[&str] = &["get_value", "get_value_by_str"];

const FILE_MAX_LINES: usize = 500;
const LINE_MAX_CHARS: usize = 120;

struct Source {
    /// Path below the folder that was searched, with `/`.
    name: String,
    text: String,
}

impl Source {
    /// The module at the top: `spool/writer.rs` is `spool`.
    fn module(&self) -> &str {
        self.name.split(['/', '.']).next().unwrap_or_default()
    }

    fn floor(&self) -> Option<u8> {
        floor(self.module())
    }

    /// Its lines of code up to its tests, numbered from 1, comments cut.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("\n#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        self.text[..tests].lines().enumerate().filter_map(|(number, line)| {
            let line = line.split("//").next().unwrap_or_default();
            (!line.trim().is_empty()).then_some((number + 1, line))
        })
    }
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the house") {
        let path: PathBuf = entry.expect("an entry").path();
        if path.is_dir() {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root");
            found.push(Source {
                name: name.to_string_lossy().replace('\\', "/"),
                text: fs::read_to_string(&path).expect("a readable source"),
            });
        }
    }
}

fn nothing_of(faults: &str) {
    assert!(faults.is_empty(), "\n{faults}");
}

/// Every module that one line names behind `crate::`, grouped imports too.
fn named_modules(line: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for (place, _) in line.match_indices("crate::") {
        let rest = &line[place + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let names = group.split(['}', ';']).next().unwrap_or_default();
            modules.extend(names.split(',').map(|name| word(name.trim())));
        } else {
            modules.push(word(rest));
        }
    }
    modules
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

#[test]
fn imports_point_only_downward() {
    let mut faults = String::new();
    for source in sources("src") {
        let Some(own) = source.floor() else {
            let _ = writeln!(faults, "src/{}: its module has no floor in tidy.rs", source.name);
            continue;
        };
        for (number, line) in source.code() {
            for module in named_modules(line) {
                let Some(other) = floor(module) else { continue };
                if module != source.module() && other >= own && own != 7 && own != 0 {
                    let _ = writeln!(
                        faults,
                        "src/{}:{number}: floor {own} names `{module}` of floor {other}: an import \
                         points only downward",
                        source.name
                    );
                }
            }
        }
    }
    nothing_of(&faults);
}

#[test]
fn rules_have_no_runtime() {
    let mut faults = String::new();
    let forbidden = [
        "async ",
        ".await",
        "tokio::",
        "std::fs",
        "std::net::Tcp",
        "std::thread",
        "tracing::",
        "SystemTime",
        "Clock::System",
    ];
    for source in sources("src").iter().filter(|source| source.floor().is_some_and(|f| f <= 2)) {
        if ["apart", "clock", "telemetry"].contains(&source.module()) {
            continue;
        }
        for (number, line) in source.code() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                let _ = writeln!(
                    faults,
                    "src/{}:{number}: `{word}`: a rule has no I/O, no clock and no runtime; hand \
                     what it needs in as an argument",
                    source.name
                );
            }
        }
    }
    nothing_of(&faults);
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let mut faults = String::new();
    for source in sources("src") {
        for (number, line) in source.code() {
            for (name, rooms) in ROOMS {
                let starts = line.match_indices(name).any(|(place, _)| {
                    let before = line[..place].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
                });
                if starts && !rooms.iter().any(|room| source.name.starts_with(room)) {
                    let _ = writeln!(
                        faults,
                        "src/{}:{number}: `{name}` belongs only in {rooms:?}",
                        source.name
                    );
                }
            }
        }
    }
    nothing_of(&faults);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut faults = String::new();
    for folder in ["src", "tests", "fuzz/src", "fuzz/fuzz_targets"] {
        for source in sources(folder) {
            let name = format!("{folder}/{}", source.name);
            let lines = source.text.lines().count();
            if lines > FILE_MAX_LINES {
                let _ = writeln!(faults, "{name}: {lines} lines, at most {FILE_MAX_LINES}");
            }
            if !source.text.starts_with("//! ") {
                let _ =
                    writeln!(faults, "{name}: opens without `//!`: what comes in, what goes out");
            }
            for (number, line) in source.text.lines().enumerate() {
                if line.chars().count() > LINE_MAX_CHARS {
                    let _ =
                        writeln!(faults, "{name}:{}: over {LINE_MAX_CHARS} columns", number + 1);
                }
            }
            for part in source.name.trim_end_matches(".rs").split('/') {
                if NAMELESS.contains(&part) {
                    let _ = writeln!(faults, "{name}: `{part}` names nothing");
                }
            }
        }
    }
    nothing_of(&faults);
}

#[test]
fn nothing_is_left_over() {
    let mut faults = String::new();
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("todo", "!("),
        concat!("unimple", "mented!("),
        concat!("dbg", "!("),
        concat!("#[ig", "nore"),
    ];
    for folder in ["src", "tests", "fuzz/src", "fuzz/fuzz_targets"] {
        for source in sources(folder) {
            for (number, line) in source.text.lines().enumerate() {
                for mark in marks.iter().filter(|mark| line.contains(**mark)) {
                    let _ = writeln!(faults, "{folder}/{}:{}: `{mark}`", source.name, number + 1);
                }
            }
        }
    }
    nothing_of(&faults);
}

#[test]
fn function_names_say_what_they_do() {
    let mut faults = String::new();
    for source in sources("src") {
        for (number, line) in source.code() {
            let Some((_, rest)) = line.split_once("fn ") else { continue };
            let name = word(rest);
            if FOREIGN.contains(&name) {
                continue;
            }
            for prefix in ["get_", "do_", "process_", "handle_"] {
                if name.starts_with(prefix) {
                    let _ =
                        writeln!(faults, "src/{}:{number}: `{name}`: drop `{prefix}`", source.name);
                }
            }
        }
    }
    nothing_of(&faults);
}
