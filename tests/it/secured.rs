//! SECURITY.md and the tests say the same: each test that its tables name is there, and each attack that is tested has
//! its row. Also what two rows say of the whole source. Reads the document and the sources as text.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The numbered rows.
const ROWS: u32 = 78;

/// The faults that have a row, and words by which each is known.
const FAULTS: [(&str, &str); 24] = [
    ("F1", "kill -9"),
    ("F2", "power loss"),
    ("F3", "torn end"),
    ("F4", "flipped bit"),
    ("F5", "no space"),
    ("F6", "error of a write"),
    ("F7", "error of a sync"),
    ("F8", "read-only"),
    ("F9", "slow or hangs"),
    ("F10", "clock that jumps"),
    ("F11", "no descriptors"),
    ("F12", "memory"),
    ("F13", "destination that is down"),
    ("F14", "slow or half open"),
    ("F15", "event that is not taken"),
    ("F16", "401 or 403"),
    ("F17", "name that is not found"),
    ("F18", "destination's certificate that is over"),
    ("F19", "certificate of ours that is over"),
    ("F20", "full spool"),
    ("F21", "all of it at once"),
    ("F22", "file of keys"),
    ("F23", "certificate of ours that is changed"),
    ("F24", "index that cannot be written"),
];
/// Providers that ask before they send, at least.
const ASKING_MIN: usize = 28;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source below a folder: its path and its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the house") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a readable source");
                found.push((path, text));
            }
        }
    }
    found
}

/// The names of the tests in a source.
fn tests_of(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
            if is_test {
                found.push(rest.split('(').next().unwrap_or_default());
            }
            is_test = false;
        }
    }
    found
}

/// The rows of all tables that name tests: cells without their blanks.
fn rows(document: &str) -> Vec<Vec<&str>> {
    let behind = document.split("## Attacks").nth(1).expect("the table of attacks");
    let rows = behind.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn named<'a>(row: &[&'a str]) -> Vec<&'a str> {
    let last = row.last().expect("a cell");
    last.split("<br>").filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')).collect()
}

#[test]
fn every_row_names_tests_and_every_attack_has_its_row() {
    let document = fs::read_to_string(root().join("SECURITY.md")).expect("the document");
    let all: Vec<_> = sources("src").into_iter().chain(sources("tests/it")).collect();
    let tests: Vec<&str> = all.iter().flat_map(|(_, text)| tests_of(text)).collect();
    let rows = rows(&document);
    for row in rows.iter().filter(|row| row.last().is_none_or(|cell| *cell != "test")) {
        assert!(!named(row).is_empty(), "no test in {row:?}");
        for name in named(row) {
            let is_there = match name.split_once(".py:") {
                Some((file, function)) => {
                    let script = root().join("tests/peers").join(format!("{file}.py"));
                    fs::read_to_string(script)
                        .is_ok_and(|text| text.contains(&format!("def {function}(")))
                }
                None => tests.contains(&name),
            };
            assert!(is_there, "SECURITY.md names {name}, and there is no such test");
        }
    }
    for number in 1..=ROWS {
        let letters = |cell: &str| {
            cell.trim_end_matches(|c: char| c.is_ascii_lowercase()) == number.to_string()
        };
        assert!(rows.iter().any(|row| letters(row[0])), "row {number} is not there");
    }
    let is_attack =
        |path: &Path| path.to_string_lossy().contains("/attacks/") || path.ends_with("floods.rs");
    for (_, text) in all.iter().filter(|(path, _)| is_attack(path)) {
        for name in tests_of(text) {
            assert!(document.contains(&format!("`{name}`")), "SECURITY.md does not name {name}");
        }
    }
}

#[test]
fn every_fault_has_its_row() {
    let document = fs::read_to_string(root().join("SECURITY.md")).expect("the document");
    let rows = rows(&document);
    let numbered = rows
        .iter()
        .filter(|row| row[0].strip_prefix('F').is_some_and(|number| number.parse::<u32>().is_ok()));
    let numbers: Vec<&str> = numbered.map(|row| row[0]).collect();
    assert_eq!(numbers, FAULTS.map(|(number, _)| number), "each row is in the list, in its order");
    for (number, word) in FAULTS {
        let told = rows.iter().filter(|row| row[0] == number && row[1].contains(word));
        assert_eq!(told.count(), 1, "the row {number} is not of {word:?}");
    }
}

/// The providers that ask before they send: what proves who asks, by their rows.
fn asking() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(root().join("src/verify/signature/providers.toml"));
    let table: toml::Table = text.expect("the rows").parse().expect("TOML");
    let mut found = Vec::new();
    for (name, row) in &table {
        let Some(questions) = row.get("handshake").and_then(toml::Value::as_array) else {
            continue;
        };
        let proof = |one: &toml::Value| {
            let proof = one.get("proof").and_then(toml::Value::as_str);
            proof.unwrap_or("none").to_owned()
        };
        let mut proofs: Vec<String> = questions.iter().map(proof).collect();
        proofs.sort();
        proofs.dedup();
        found.push((name.clone(), proofs));
    }
    found.sort();
    found
}

#[test]
fn every_handshake_has_its_row_and_its_cases() {
    let document = fs::read_to_string(root().join("SECURITY.md")).expect("the document");
    let behind = document.split("## Handshakes").nth(1).expect("the table of handshakes");
    let table = behind.split("\n## ").next().expect("its section");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let cases = fs::read_to_string(root().join("tests/data/signatures.jsonl")).expect("cases");
    let cases: Vec<Value> =
        cases.lines().map(|line| serde_json::from_str(line).expect("a case")).collect();
    let asking = asking();
    assert!(asking.len() >= ASKING_MIN, "{} providers ask", asking.len());
    let names: Vec<String> = asking.iter().map(|(name, _)| format!("`{name}`")).collect();
    let told: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(told, names, "SECURITY.md and the rows name the same, in the same order");
    for ((name, proofs), row) in asking.iter().zip(&rows) {
        assert_eq!(row.len(), 5, "{name}: provider, question, proof, answer, cases");
        assert_eq!(row[2], proofs.join(", "), "{name}: what proves it");
        let of_it = cases.iter().filter(|case| {
            case["provider"] == name.as_str() && case.get("response_status").is_some()
        });
        let (good, bad): (Vec<_>, Vec<_>) = of_it.partition(|case| case["valid"] == true);
        assert!(!good.is_empty(), "{name}: no question of it is answered");
        let is_proven = proofs.iter().any(|proof| proof != "none");
        assert!(!is_proven || !bad.is_empty(), "{name}: no question of it is refused");
        let id = |case: &&Value| case["id"].as_str().expect("an id").to_owned();
        let mut ids: Vec<String> = good.iter().chain(&bad).map(id).collect();
        ids.sort();
        assert_eq!(named(row), ids, "{name}: the cases of its questions");
    }
}

#[test]
fn no_map_of_strangers_words_has_a_known_key() {
    for (path, text) in sources("src") {
        for hasher in ["FxHash", "ahash::", "fnv::", "BuildHasherDefault", "BuildNoHashHasher"] {
            assert!(!text.contains(hasher), "{}: {hasher}", path.display());
        }
    }
}

#[test]
fn every_dependency_is_pinned_by_its_checksum() {
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let text = fs::read_to_string(root().join(lock)).expect("a lock file");
        let mut foreign = 0;
        for package in text.split("[[package]]").skip(1) {
            let name = package.lines().find_map(|line| line.strip_prefix("name = "));
            let name = name.expect("a name").trim_matches('"');
            // The house itself, and its fuzzer.
            if name.starts_with("hookgate") {
                continue;
            }
            let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
            let is_pinned = package.contains(registry) && package.contains("checksum = \"");
            assert!(is_pinned, "{lock}: {name}");
            foreign += 1;
        }
        assert!(foreign > 50, "{lock} names {foreign}");
    }
}

#[test]
fn nothing_trusts_every_certificate() {
    let settings = hookgate::config::schema().to_string();
    for word in ["insecure", "skip_verify", "verify_tls", "accept_invalid"] {
        assert!(!settings.contains(word), "a setting {word}");
    }
    for (path, text) in sources("src") {
        let is_open = text.contains(".dangerous()") || text.contains("ServerCertVerifier");
        assert!(!is_open, "{} judges certificates by itself", path.display());
    }
}
