//! What `hookgate sign` signs, met by a gateway that demands it: taken as each provider's sender sends it, refused with
//! another secret; and a secret that counts for as long as the command said.

use std::fs;

use hookgate::clock::Clock;
use serde_json::Value;

use super::Served;

const PROVIDERS: [&str; 14] = [
    "github",
    "gitlab",
    "stripe",
    "slack",
    "shopify",
    "linear",
    "sentry",
    "bitbucket",
    "zoom",
    "dropbox",
    "pagerduty",
    "intercom",
    "typeform",
    "paddle",
];
const TEMPLATE: &str = r#"{"event": "e", "resource": {"prefect.resource.id": "r"}}"#;
const BODY: &str = r#"{"kind": "paid"}"#;

impl Served {
    /// A file with a text, by its path.
    pub(super) fn written(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("a path").to_owned()
    }

    /// The answer to what `hookgate sign` signs.
    fn sent_as(&self, provider: &str, secret: &str, hook: &str) -> u16 {
        let body = self.written("signed.json", BODY);
        let now = self.clock.now().to_string();
        let sign = ["sign", "--provider", provider, "--secret-file", secret, "--url", hook];
        let told = self.answered(&[&sign[..], &["--now", &now, &body]].concat());
        let headers: Vec<_> = told.lines().filter_map(|line| line.split_once(": ")).collect();
        let path = hook.find("/hooks/").map(|at| &hook[at..]).expect("a hook");
        self.send("POST", path, &headers, BODY.as_bytes()).status
    }

    fn demanding(&self, provider: &str, secret: &str) -> Value {
        let template = self.written("signed.j2", TEMPLATE);
        let create = ["webhook", "create", "-n", provider, "--template-file", &template];
        let verify = ["--verify", provider, "--secret-file", secret, "-o", "json"];
        let made = self.answered(&[&create[..], &verify[..]].concat());
        serde_json::from_str(&made).expect("JSON")
    }
}

#[test]
fn what_is_signed_for_a_provider_is_taken_and_with_another_secret_refused() {
    let served = Served::start(|_| ());
    let own = served.written("own", "a-secret-of-its-own-0123456789\n");
    let other = served.written("other", "another-secret-0123456789-9876\n");
    for provider in PROVIDERS {
        let made = served.demanding(provider, &own);
        let hook = made["hook"].as_str().expect("a hook");
        let statuses = [&own, &other].map(|secret| served.sent_as(provider, secret, hook));
        assert_eq!(statuses, [204, 401], "{provider}");
    }
}

#[test]
fn a_secret_counts_beside_the_next_one_for_as_long_as_was_said() {
    let served = Served::start(|_| ());
    let own = served.written("own", "a-secret-of-its-own-0123456789\n");
    let next = served.written("next", "another-secret-0123456789-9876\n");
    let made = served.demanding("github", &own);
    let (id, hook) = (made["id"].as_str().expect("an id"), made["hook"].as_str().expect("a hook"));
    // The command says when by the clock of its machine.
    let behind = Clock::System.now().micros() - served.clock.now().micros();
    served.clock.advance_seconds(behind.max(0) / 1_000_000);
    served.answered(&["webhook", "update", id, "--add-secret-file", &next, "--overlap", "1h"]);
    assert!(served.answered(&["webhook", "show", id]).contains(" until "));
    let both = || [&own, &next].map(|secret| served.sent_as("github", secret, hook));
    assert_eq!(both(), [204, 204]);
    served.clock.advance_seconds(3700);
    assert_eq!(both(), [401, 204]);
}
