//! Settings that no gateway starts with: `serve`, `serve --check` and `doctor` tell the same of each. In: files of
//! settings. Out: exit codes, and what is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hookgate::clock::Clock;
use hookgate::store;

/// A folder with records and a file of settings.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("hookgate-fit-{}", std::process::id()));
        store::bootstrap(&folder.join("data"), &Clock::System).expect("a folder");
        Self(folder)
    }

    /// Exit code and words of a command with these settings.
    fn run(&self, arguments: &[&str], settings: &str) -> (i32, String) {
        let (file, data) = (self.0.join("config.toml"), self.0.join("data"));
        // Nobody has this address: what is fit to serve ends there.
        let top = format!(
            "[server]\nlisten = [\"192.0.2.1:1\"]\nadmin_listen = \"127.0.0.1:0\"\ndata = \"{}\"\n",
            data.display()
        );
        fs::write(&file, top + settings).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(arguments).arg("--config").arg(&file).env_clear();
        let output = command.output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().expect("a code"), String::from_utf8(said).expect("text"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_serve_refuses_its_check_and_the_doctor_refuse_too() {
    let place = Place::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let tls = |key: &str| {
        let (certificate, key) = (data.join("tls/certificate.pem"), data.join(key));
        format!("tls_certificate = {certificate:?}\ntls_key = {key:?}\n")
    };
    let good = tls("tls/key.pem") + "[[forward]]\nto = \"stdout\"\n";
    assert_eq!(place.run(&["serve", "--check"], &good).0, 0);
    let (code, said) = place.run(&["serve"], &good);
    assert!(code == 1 && said.contains("cannot listen on 192.0.2.1:1"), "{code} {said}");
    let twice = "[[forward]]\nto = \"stdout\"\n[[forward]]\nto = \"stdout\"\n".to_owned();
    let named = |to: &str| format!("[[forward]]\nname = \"one\"\nto = \"{to}\"\n");
    let absent = place.0.join("absent.keys");
    for (settings, word, code) in [
        (format!("[store]\nkey_file = {absent:?}\n"), "absent.keys", 1),
        (tls("mtls/key.pem"), "KeyMismatch", 1),
        (twice, "destination `stdout` is named twice", 3),
        (named("stdout") + &named("file:x"), "destination `one` is named twice", 3),
        ("[spool]\nmax_bytes = 1\n".to_owned(), "spool.max_bytes (1)", 3),
    ] {
        for command in [&["serve"][..], &["serve", "--check"]] {
            let (found, said) = place.run(command, &settings);
            assert!(found == code && said.contains(word), "{command:?} {settings}: {found} {said}");
        }
        let (found, said) = place.run(&["doctor"], &settings);
        // Settings that do not load are none for the doctor either.
        let expected = if settings.starts_with("[spool]") { 3 } else { 1 };
        assert!(found == expected && said.contains(word), "doctor {settings}: {found} {said}");
        // What it names by itself is not told again.
        let is_own = settings.starts_with("[s");
        assert_eq!(said.contains("[no-start]"), !is_own, "{said}");
    }
}
