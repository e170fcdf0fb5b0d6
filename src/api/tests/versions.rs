//! Versions of templates: kept with every save, drafted, published, rolled back.

use super::*;

fn numbers(house: &House, hook: &str) -> Vec<u64> {
    let all = house.call("GET", &format!("{hook}/versions"), "");
    assert_eq!(all.status, 200, "{all:?}");
    let all = all.body.as_array().expect("a list").clone();
    assert!(all.iter().all(|version| version.get("template").is_none()), "{all:?}");
    let live: Vec<_> = all.iter().filter(|version| version["live"] == true).collect();
    assert_eq!((live.len(), live[0]["number"].as_u64()), (1, all[0]["number"].as_u64()));
    all.iter().map(|version| version["number"].as_u64().expect("a number")).collect()
}

fn put(house: &House, hook: &str, template: &str, word: Option<&str>) {
    let body = json!({"name": "n", "template": template, "template_note": word});
    assert_eq!(house.call("PUT", hook, &body.to_string()).status, 204);
}

#[test]
fn every_save_is_a_version_and_one_can_be_made_live_again() {
    let house = House::new();
    let made = house.make(&json!({"name": "n", "template": "one", "template_note": "first"}));
    let hook = format!("{}/{}", house.base, made["id"].as_str().expect("an id"));
    put(&house, &hook, "two", Some("better"));
    put(&house, &hook, "two", None);
    assert_eq!(house.call("PATCH", &hook, r#"{"enabled":false}"#).status, 204);
    assert_eq!(numbers(&house, &hook), [2, 1]);
    let first = house.call("GET", &format!("{hook}/versions/1"), "").body;
    assert_eq!((&first["template"], &first["note"]), (&json!("one"), &json!("first")));
    assert_eq!((&first["live"], &first["author"]["name"]), (&json!(false), &json!("admin")));
    assert_eq!(first["hash"].as_str().map(str::len), Some(64));
    house.events();
    let back = house.call("POST", &format!("{hook}/rollback"), r#"{"version":1}"#);
    assert_eq!((back.status, &back.body["number"]), (200, &json!(3)));
    assert_eq!(
        (&back.body["note"], &back.body["hash"]),
        (&json!("rolled back to 1"), &first["hash"])
    );
    assert_eq!(house.call("GET", &hook, "").body["template"], "one");
    let events = house.events();
    assert_eq!(events.len(), 1);
    let payload = json!({"updated_fields": ["template"],
        "updates": {"template": {"from": "two", "to": "one"}}});
    assert_eq!(
        (&events[0]["event"], &events[0]["payload"]),
        (&json!("prefect-cloud.webhook.updated"), &payload)
    );
    for (path, body, status) in
        [("/rollback", r#"{"version":9}"#, 422), ("/rollback", "{}", 422), ("/publish", "", 409)]
    {
        assert_eq!(house.call("POST", &format!("{hook}{path}"), body).status, status, "{path}");
    }
    for (path, status) in [("versions/9", 404), ("versions/x", 422), ("draft", 404)] {
        assert_eq!(house.call("GET", &format!("{hook}/{path}"), "").status, status, "{path}");
    }
    assert_eq!(house.call("DELETE", &hook, "").status, 204);
    assert_eq!(house.call("GET", &format!("{hook}/versions"), "").status, 404);
    let id = made["id"].as_str().and_then(catalogue::is_id).expect("an id");
    assert_eq!(wait(house.api.store.versions(id)).expect("a list").len(), 0, "they end with it");
}

#[test]
fn the_oldest_versions_are_forgotten() {
    let house = House::new();
    let made = house.make(&json!({"name": "n", "template": "t1"}));
    let hook = format!("{}/{}", house.base, made["id"].as_str().expect("an id"));
    for number in 2..=60 {
        put(&house, &hook, &format!("t{number}"), None);
    }
    assert_eq!(numbers(&house, &hook), (11..=60).rev().collect::<Vec<_>>());
}

#[test]
fn a_draft_stands_beside_what_is_live_until_it_is_published() {
    let house = House::new();
    let made = house.make(&json!({"name": "n", "template": "live"}));
    let hook = format!("{}/{}", house.base, made["id"].as_str().expect("an id"));
    let draft = format!("{hook}/draft");
    house.events();
    let kept = house.call("PUT", &draft, r#"{"template":"better","note":"as asked"}"#);
    assert_eq!((kept.status, &kept.body["beside"]), (200, &json!(1)), "{kept:?}");
    assert_eq!(house.call("GET", &draft, "").body, kept.body);
    assert_eq!(house.call("GET", &hook, "").body["template"], "live");
    let told = house.events();
    assert_eq!((told.len(), &told[0]["payload"]), (1, &json!({"updated_fields": ["draft"]})));
    assert_eq!(house.call("PUT", &draft, r#"{"template":"{{ wrong"}"#).status, 422);
    // What old clients save is live at once, and the draft stays.
    put(&house, &hook, "saved", None);
    assert_eq!(house.call("GET", &draft, "").body["template"], "better");
    house.events();
    let published = house.call("POST", &format!("{hook}/publish"), "");
    assert_eq!((published.status, &published.body["number"]), (200, &json!(3)));
    assert_eq!(published.body["note"], "as asked");
    assert_eq!(house.call("GET", &draft, "").status, 404);
    assert_eq!(house.call("GET", &hook, "").body["template"], "better");
    let told = house.events();
    assert_eq!((told.len(), &told[0]["payload"]["updated_fields"]), (1, &json!(["template"])));
    // One that says what is live is only gone.
    house.call("PUT", &draft, r#"{"template":"better"}"#);
    let published = house.call("POST", &format!("{hook}/publish"), r#"{"note":"x"}"#);
    assert_eq!((published.status, &published.body["number"]), (200, &json!(3)));
    assert_eq!(house.call("GET", &draft, "").status, 404);
    house.call("PUT", &draft, r#"{"template":"other"}"#);
    assert_eq!(house.call("DELETE", &draft, "").status, 204);
    assert_eq!(house.call("DELETE", &draft, "").status, 404);
    assert_eq!(numbers(&house, &hook), [3, 2, 1]);
}

#[test]
fn only_a_draft_that_is_asked_to_renders_beside_what_is_live() {
    let house = House::new();
    let made = house.make(&json!({"name": "n", "template": "live"}));
    let hook = format!("{}/{}", house.base, made["id"].as_str().expect("an id"));
    let shadow = format!("{hook}/shadow");
    let served = || wait(house.api.store.webhooks()).expect("webhooks").remove(0).shadow;
    assert_eq!((house.call("GET", &shadow, "").status, served()), (404, None));
    house.call("PUT", &format!("{hook}/draft"), r#"{"template":"d"}"#);
    assert_eq!((house.call("GET", &shadow, "").status, served()), (404, None));
    let kept = house.call("PUT", &format!("{hook}/draft"), r#"{"template":"d","shadow":true}"#);
    assert_eq!((&kept.body["shadow"], served().as_deref()), (&json!(true), Some("d")));
    let told = house.call("GET", &shadow, "");
    let zero = json!({"beside": 1, "identical": 0, "changed": 0, "newly_failing": 0,
        "newly_passing": 0, "still_failing": 0, "skipped": 0, "last": []});
    assert_eq!((told.status, told.body), (200, zero));
    assert_eq!(house.call("POST", &format!("{hook}/publish"), "").status, 200);
    assert_eq!((house.call("GET", &shadow, "").status, served()), (404, None));
}
