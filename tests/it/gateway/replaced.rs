//! What becomes of a verification that was set: secrets that replace one another by the command, where what does not go
//! together, is not there, or is kept already is said, and changes nothing; and a provider that is gone.

use hookgate::verify::signature::Provider;
use serde_json::{Value, json};

use super::Served;
use super::verification::tag;

const TEMPLATE: &str = r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "shop.1"}}"#;
const SECRET: &str = "a-secret-that-nobody-sees";
const NEXT: &str = "another-that-nobody-sees";

impl Served {
    /// A webhook of GitHub's with a secret.
    fn verified(&self) -> (Value, String) {
        let hook = self.webhook(TEMPLATE);
        let id = hook["id"].as_str().expect("an id").to_owned();
        let first = self.written("first", SECRET);
        self.answered(&["webhook", "update", &id, "--verify", "github", "--secret-file", &first]);
        (hook, id)
    }

    fn kept_by(&self, id: &str) -> Value {
        self.call("GET", &format!("/webhooks/{id}"), &Value::Null).json()["verification"].clone()
    }
}

#[test]
fn an_overlap_is_refused_where_no_secret_is_added() {
    let served = Served::start(|_| ());
    let (hook, id) = served.verified();
    let next = served.written("next", NEXT);
    let before = served.kept_by(&id);
    for rest in [
        &["--secret-file", &next, "--overlap", "24h"][..],
        &["--overlap", "24h"],
        &["--tolerance", "9", "--overlap", "24h"],
    ] {
        let command = [&["webhook", "update", &id], rest].concat();
        let (code, said) = served.refused(&command, &served.key);
        assert_eq!(code, 2, "{rest:?}: {said}");
        assert!(said.contains("--add-secret-file FILE --overlap TIME"), "{said}");
    }
    assert_eq!(served.kept_by(&id), before);
    let slug = hook["slug"].as_str().expect("a slug");
    let signature = format!("sha256={}", tag(SECRET, "{}"));
    let headers: [(&str, &str); 1] = [("X-Hub-Signature-256", &signature)];
    let sent = served.send("POST", &format!("/hooks/{slug}"), &headers, b"{}");
    assert_eq!(sent.status, 204, "the secret there was counts: {}", sent.text());
}

#[test]
fn a_secret_that_is_not_there_is_named_beside_those_there_are() {
    let served = Served::start(|_| ());
    let (_, id) = served.verified();
    let before = served.kept_by(&id);
    let there = before["secrets"][0]["id"].as_str().expect("a name");
    let (code, said) =
        served.refused(&["webhook", "update", &id, "--drop-secret", "nope"], &served.key);
    assert!(code == 5 && said.contains("\"nope\"") && said.contains(there), "{code}: {said}");
    let both = ["webhook", "update", &id, "--drop-secret", there, "--drop-secret", "nope"];
    assert_eq!(served.refused(&both, &served.key).0, 5);
    assert_eq!(served.kept_by(&id), before);
}

#[test]
fn nothing_is_said_beside_the_end_of_verification() {
    let served = Served::start(|_| ());
    let (_, id) = served.verified();
    let before = served.kept_by(&id);
    for rest in [
        &["--tolerance", "3"][..],
        &["--drop-secret", "x"],
        &["--verify-parameter", "url=https://example.com"],
        &["--verify-only-label"],
        &["--once"],
        &["--no-once"],
        &["--overlap", "1h"],
        &["--enrol", "1h"],
    ] {
        let command = [&["webhook", "update", &id, "--no-verify"], rest].concat();
        let (code, said) = served.refused(&command, &served.key);
        assert!(code == 2 && said.contains("--no-verify"), "{rest:?}: {code}: {said}");
    }
    assert_eq!(served.kept_by(&id), before);
}

#[test]
fn a_secret_that_is_kept_is_not_kept_twice() {
    let served = Served::start(|_| ());
    let (_, id) = served.verified();
    let before = served.kept_by(&id);
    let there = before["secrets"][0]["id"].as_str().expect("a name");
    let again = served.written("again", SECRET);
    for rest in
        [&["--add-secret-file", &again][..], &["--add-secret-file", &again, "--overlap", "1h"]]
    {
        let command = [&["webhook", "update", &id], rest].concat();
        let (code, said) = served.refused(&command, &served.key);
        assert!(code == 1 && said.contains("kept already"), "{code}: {said}");
        assert!(said.contains(there) && !said.contains(SECRET), "{said}");
    }
    assert_eq!(served.kept_by(&id), before);
    let set = |secrets: Value| {
        let body = json!({"name": "w", "description": "", "template": TEMPLATE,
            "verification": {"provider": "github", "secrets": secrets}});
        served.call("PUT", &format!("/webhooks/{id}"), &body)
    };
    for twice in [json!([NEXT, NEXT]), json!([{"id": there}, SECRET]), json!([SECRET, SECRET])] {
        let refused = set(twice.clone());
        assert_eq!(refused.status, 422, "{twice}: {}", refused.text());
        assert!(!refused.text().contains(SECRET), "{}", refused.text());
    }
    // A name twice is what was kept twice before this was refused.
    assert_eq!(set(json!([{"id": there}, {"id": there}])).status, 204);
    assert_eq!(served.kept_by(&id)["secrets"], before["secrets"]);
    assert_eq!(set(json!([SECRET])).status, 204, "one that is kept is said again by its text");
    assert_eq!(served.kept_by(&id)["secrets"], before["secrets"]);
}

const ROW: &str = r#"{"scheme": [{"signature": {"header": "X-Acme", "prefix": "v1="}}]}"#;

#[test]
fn a_verification_whose_provider_is_gone_is_named() {
    let cases = std::env::temp_dir().join(format!("hookgate-it-gone-{}", std::process::id()));
    let case = |id: &str, secret: &str| {
        let headers = json!({"X-Acme": format!("v1={}", tag(secret, "{}"))});
        json!({"id": id, "provider": "acme", "secret": SECRET, "body": "{}", "headers": headers,
            "valid": secret == SECRET})
    };
    let lines = format!("{}\n{}\n", case("good", SECRET), case("other", NEXT));
    std::fs::write(&cases, lines).expect("a file");
    let mut served = Served::start(|config| {
        let mut row: Provider = serde_json::from_str(ROW).expect("a row");
        row.cases = Some(cases.clone());
        config.schemes.insert("acme".to_owned(), row);
    });
    let hook = served.webhook(TEMPLATE);
    let id = hook["id"].as_str().expect("an id").to_owned();
    let body = json!({"name": "shop", "template": TEMPLATE,
        "verification": {"provider": "acme", "secrets": [SECRET]}});
    let set = served.call("PUT", &format!("/webhooks/{id}"), &body);
    assert_eq!(set.status, 204, "{}", set.text());
    let read =
        |served: &Served| served.call("GET", &format!("/webhooks/{id}"), &Value::Null).json();
    assert!(read(&served).get("verification_fault").is_none());
    assert!(!served.answered(&["webhook", "show", &id]).contains("refused"));

    served.stop();
    served.config.schemes.clear();
    std::fs::remove_file(&cases).expect("no file");
    served.resume();
    let slug = hook["slug"].as_str().expect("a slug");
    let answer = served.send("POST", &format!("/hooks/{slug}"), &[], b"{}");
    assert!(answer.status == 401 && answer.text().contains("setting_missing"), "{}", answer.text());
    let fault = read(&served)["verification_fault"].as_str().map(str::to_owned);
    assert!(fault.as_deref().is_some_and(|fault| fault.starts_with("no provider `acme`")));
    let shown = served.answered(&["webhook", "show", &id]);
    assert!(shown.contains("every request is refused: no provider `acme`"), "{shown}");
    let data = served.config.server.data.display().to_string();
    let (code, said) = served.refused(&["doctor", "--data", &data], &served.key);
    assert!(code == 1 && said.contains("[unfit-verification]"), "{code}: {said}");
    assert!(said.contains("\"shop: no provider `acme`"), "{said}");
    // The start's log tells the same; `serve --check` begins with it.
    let (code, said) = served.refused(&["serve", "--check", "--data", &data], &served.key);
    assert!(code == 0 && said.contains("shop: no provider `acme`"), "{code}: {said}");

    // A disabled one refuses nobody that is not refused anyway.
    served.answered(&["webhook", "disable", &id]);
    let (_, said) = served.refused(&["doctor", "--data", &data], &served.key);
    assert!(!said.contains("unfit-verification"), "{said}");
}

#[test]
fn a_rotation_that_is_rolled_back_ends_nothing() {
    let served = Served::start(|_| ());
    let (_, id) = served.verified();
    let (first, next) = (served.written("first", SECRET), served.written("next", NEXT));
    let update = ["webhook", "update", &id];
    served.answered(&[&update[..], &["--add-secret-file", &next, "--overlap", "24h"]].concat());
    let kept = served.kept_by(&id);
    let ends = |kept: &Value| {
        let secrets = kept["secrets"].as_array().expect("a list");
        secrets.iter().map(|one| one["until"].is_string()).collect::<Vec<_>>()
    };
    assert_eq!(ends(&kept), [false, true], "{kept}");
    served.answered(&[&update[..], &["--secret-file", &first]].concat());
    let kept = served.kept_by(&id);
    assert_eq!(ends(&kept), [false], "{kept}");
}
