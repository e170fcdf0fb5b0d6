//! `hookgate audit`, as a program beside a running gateway and without one. In: a data folder, exports, heads. Out:
//! what it prints, and its exit codes.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use super::Served;

fn audit(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_hookgate"))
        .arg("audit")
        .args(arguments)
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("it ended by itself"), text(stdout), text(stderr))
}

#[test]
fn the_chain_is_proven_exported_and_anchored() {
    let mut served = Served::start(|_| ());
    served.webhook("{{ 1 }}");
    let data = served.config.server.data.to_str().expect("a path").to_owned();
    let (code, running, stderr) = audit(&["verify", "--data", &data]);
    assert_eq!((code, &*stderr), (0, ""), "{running}");
    let (code, head, _) = audit(&["head", "--data", &data, "-o", "json"]);
    let head: Value = serde_json::from_str(&head).expect("JSON");
    // The bootstrap's, and one for the webhook.
    let count = usize::try_from(head["number"].as_u64().expect("a number")).expect("few");
    assert!(code == 0 && count > 6, "{count}");
    let told = format!("  {count} events  ");
    assert!(running.contains(&told) && running.contains("  head "), "{running}");
    let hash = head["hash"].as_str().expect("a hash");
    served.stop();
    assert_eq!(audit(&["verify", "--data", &data, "--head", hash]).0, 0, "without a gateway");

    let (code, rows, _) = audit(&["export", "--data", &data]);
    assert_eq!((code, rows.lines().count()), (0, count));
    let account = head["account"].as_str().expect("an id");
    assert_eq!(audit(&["export", "--data", &data, "--account", account]).1, rows);
    let none = "99999999-9999-4999-8999-999999999999";
    assert_eq!(audit(&["export", "--data", &data, "--account", none]).0, 5);

    let file = served.folder.join("audit.ndjson");
    let verify = |text: &str, head: &str| {
        fs::write(&file, text).expect("written");
        let path = file.to_str().expect("a path");
        let (code, _, said) = audit(&["verify", "--file", path, "--head", head]);
        (code, said)
    };
    assert_eq!(verify(&rows, hash), (0, String::new()));
    let (code, said) = verify(&rows.replacen("account.created", "account.updated", 1), hash);
    let broken = format!("account {account}, number 1: changed: ");
    assert!(code == 1 && said.contains(&broken) && said.lines().count() == 1, "{code}: {said}");
    let cut: String = rows.split_inclusive('\n').take(count - 1).collect();
    let (code, said) = verify(&cut, hash);
    assert!(code == 1 && said.contains("is in no chain"), "{code}: {said}");
    let (code, said) = verify("no row\n", hash);
    assert!(code == 3 && said.contains(", line 1: not a row"), "{code}: {said}");
    assert_eq!(verify(&rows, "xyz").0, 2, "no hash");
    assert_eq!(audit(&["verify", "--file", "/nowhere"]).0, 3);
    let empty = served.folder.join("empty");
    fs::create_dir(&empty).expect("a folder");
    let (code, _, said) = audit(&["verify", "--data", empty.to_str().expect("a path")]);
    assert!(code == 5 && said.contains("no store is there"), "{code}: {said}");
    assert_eq!(fs::read_dir(&empty).expect("a folder").count(), 0, "nothing was made");
}
