//! `hookgate secrets` as a program beside a running gateway: a key is made, taken up, replaced and missed.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::Served;

const BEARER: &str = "tok-that-no-file-shows";

/// Whether a file of a folder has the text in it. Another process looks: this one would let go of the gateway's locks.
pub(super) fn shows(folder: &Path, text: &str) -> bool {
    let found = Command::new("grep").args(["-rqaF", text]).arg(folder).status();
    found.expect("grep").success()
}

#[test]
fn a_key_is_made_taken_up_replaced_while_the_gateway_runs_and_missed() {
    let mut served = Served::start(|_| ());
    let data = served.config.server.data.clone();
    let data_text = data.display().to_string();
    let destination =
        |name: &str| json!({"name": name, "to": "https://d.example/", "bearer": BEARER});
    let made = served.call("POST", "/destinations/", &destination("one"));
    assert_eq!(made.status, 201, "{}", made.text());
    let status = ["secrets", "status", "--data", &data_text];
    let (code, said) = served.refused(&status, &served.key);
    assert_eq!((code, said.as_str()), (1, "in the clear  1\n"));

    let keys = served.folder.join("secrets.keys").display().to_string();
    let first = served.answered(&["secrets", "init", &keys]);
    served.stop();
    served.config.store.key_file = Some((&keys).into());
    served.resume();
    assert!(!shows(&data, BEARER));
    let name = first.trim_start_matches("key").trim().to_owned();
    let said = served.answered(&status);
    assert_eq!(said, format!("in the clear  0\nkey {name}  1\n"));

    let rotate = ["secrets", "rotate", "--data", &data_text, "--key-file", &keys];
    for other in ["two", "three", "four"] {
        let said = served.answered(&rotate);
        assert!(!said.contains(&name), "{said}");
        let made = served.call("POST", "/destinations/", &destination(other));
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let said = served.answered(&status);
    assert!(said.lines().count() == 2 && said.ends_with("  4\n"), "{said}");
    assert!(!shows(&data, BEARER));

    served.stop();
    served.config.store.key_file = None;
    let clock = std::sync::Arc::clone(&served.clock);
    let start = hookgate::serve::Gateway::start(&served.config, clock);
    let fault = served.runtime.block_on(start).expect_err("no key").to_string();
    assert!(fault.contains("`store.key_file` should name"), "{fault}");
}

#[test]
fn keys_that_a_link_leads_to_are_replaced_where_the_gateway_has_them() {
    let mut served = Served::start(|_| ());
    let data = served.config.server.data.display().to_string();
    let real = served.folder.join("real.keys");
    served.answered(&["secrets", "init", &real.display().to_string()]);
    served.stop();
    served.config.store.key_file = Some(real.clone());
    served.resume();
    let destination =
        |name: &str| json!({"name": name, "to": "https://d.example/", "bearer": BEARER});
    let made = served.call("POST", "/destinations/", &destination("one"));
    assert_eq!(made.status, 201, "{}", made.text());

    let links = served.folder.join("links");
    std::fs::create_dir(&links).expect("a folder");
    let link = links.join("link.keys");
    std::os::unix::fs::symlink("../real.keys", &link).expect("a link");
    let link_text = link.display().to_string();
    let rotate = ["secrets", "rotate", "--data", &data, "--key-file", &link_text];
    let before = std::fs::read(&real).expect("a file");
    served.answered(&rotate);
    assert!(std::fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert_ne!(std::fs::read(&real).expect("a file"), before);
    let made = served.call("POST", "/destinations/", &destination("two"));
    assert_eq!(made.status, 201, "{}", made.text());
    served.stop();
    served.resume();
    let made = served.call("POST", "/destinations/", &destination("three"));
    assert_eq!(made.status, 201, "{}", made.text());

    // Two names of one file: neither it nor what it seals is changed.
    let other = served.folder.join("other.keys");
    std::fs::hard_link(&real, &other).expect("another name");
    let before = std::fs::read(&real).expect("a file");
    let (code, said) = served.refused(&rotate, &served.key);
    assert!(code == 3 && said.contains("2 names"), "{code}: {said}");
    assert_eq!(std::fs::read(&real).expect("a file"), before);
    let made = served.call("POST", "/destinations/", &destination("four"));
    assert_eq!(made.status, 201, "{}", made.text());
}
