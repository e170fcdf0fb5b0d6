//! What is around the sources: every foreign build script and procedural macro stands in `supply-chain/at-build.toml`
//! with what it does; every fuzz target has seeds, a dictionary, its line in the table, and its number of runs in the
//! check. Asks cargo what is built for this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A reason has some words.
const REASON_MIN_CHARS: usize = 16;
/// All seeds of all targets.
const SEEDS_MAX_BYTES: u64 = 512 << 10;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        // What is locked for no feature of ours may have to be fetched to be named.
        .arg("--locked")
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// `name version` of all that is built; `cargo metadata` alone names what no feature asks for, too.
fn built() -> BTreeSet<String> {
    let tree = cargo(&["tree", "--edges", "normal,build,dev", "--prefix", "none"]);
    let named = tree.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name} {}", rest.split(' ').next()?))
    });
    named.collect()
}

#[test]
fn whatever_runs_at_build_time_was_read() {
    let path = root().join("supply-chain/at-build.toml");
    let list: toml::Table = fs::read_to_string(path).expect("the list").parse().expect("TOML");
    let metadata = ["metadata", "--format-version", "1", "--filter-platform", "host-tuple"];
    let metadata: Value = serde_json::from_str(&cargo(&metadata)).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let built = built();
    for (section, kind) in [("script", "custom-build"), ("macro", "proc-macro")] {
        let runs = |package: &&Value| {
            let targets = package["targets"].as_array().into_iter().flatten();
            let mut kinds = targets.filter_map(|target| target["kind"].as_array()).flatten();
            kinds.any(|name| name == kind)
        };
        let text = |package: &Value, key: &str| package[key].as_str().expect("text").to_owned();
        let found: BTreeSet<String> = packages
            .iter()
            .filter(runs)
            .filter(|one| {
                built.contains(&format!("{} {}", text(one, "name"), text(one, "version")))
            })
            .map(|package| text(package, "name"))
            .collect();
        let listed = list[section].as_table().expect("a section");
        for (name, why) in listed {
            let words = why.as_str().unwrap_or_default().chars().count();
            assert!(words >= REASON_MIN_CHARS, "{name}: what does it do?");
        }
        let listed: BTreeSet<String> = listed.keys().cloned().collect();
        let unread: Vec<_> = found.difference(&listed).collect();
        assert!(unread.is_empty(), "[{section}] lacks {unread:?}: read it, and say what it does");
        let gone: Vec<_> = listed.difference(&found).collect();
        assert!(gone.is_empty(), "[{section}] has {gone:?}, which is built no more");
    }
}

#[test]
fn every_fuzz_target_is_whole() {
    let fuzz = root().join("fuzz");
    let text = |name: &str| fs::read_to_string(fuzz.join(name)).expect(name);
    let (table, manifest, smoke) = (text("README.md"), text("Cargo.toml"), text("smoke.sh"));
    let (mut targets, mut bytes) = (0, 0);
    for entry in fs::read_dir(fuzz.join("fuzz_targets")).expect("targets") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        targets += 1;
        assert!(table.contains(&format!("\n| `{name}` | ")), "README.md has no line for {name}");
        assert!(manifest.contains(&format!("\"fuzz_targets/{name}.rs\"")), "{name} is not built");
        assert!(smoke.contains(&format!("[{name}]=")), "smoke.sh has no runs for {name}");
        assert!(fuzz.join(format!("dicts/{name}.dict")).is_file(), "{name} has no dictionary");
        let seeds = fs::read_dir(fuzz.join("seeds").join(name)).expect("seeds");
        let sizes = seeds.map(|seed| seed.expect("a seed").metadata().expect("its size").len());
        let before = bytes;
        bytes += sizes.sum::<u64>();
        assert!(bytes > before, "{name} has no seeds");
    }
    assert!(targets >= 15 && bytes <= SEEDS_MAX_BYTES, "{bytes} bytes of seeds: minimise them");
}
