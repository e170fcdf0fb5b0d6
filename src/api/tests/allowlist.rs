//! From where an account may be called.

use super::*;

impl House {
    fn list(&self) -> String {
        format!("{}/ip_allowlist", self.account)
    }

    fn allow(&self, networks: &[&str]) -> Answer {
        let entries: Value = networks
            .iter()
            .map(|network| json!({"ip_network": network, "enabled": true}))
            .collect();
        self.call("PUT", &self.list(), &json!({ "entries": entries }).to_string())
    }

    fn enforce(&self, on: bool) -> Answer {
        let body = json!({ "enforce_ip_allowlist": on }).to_string();
        self.call("PATCH", &format!("{}/settings", self.account), &body)
    }

    fn come_from(&self, peer: &str) {
        self.peer.set(peer.parse().expect("an address"));
    }
}

#[test]
fn a_list_is_kept_in_its_one_form_and_told_as_clients_read_it() {
    let house = House::new();
    assert_eq!(house.call("GET", &house.list(), "").body, json!({"entries": []}));
    let body = r#"{"entries":[
        {"ip_network":"192.0.2.7/24","enabled":true,"description":"office","last_seen":null},
        {"ip_network":"2001:DB8::1","enabled":false,"description":null}]}"#;
    for _ in 0..2 {
        let answer = house.call("PUT", &house.list(), body);
        assert_eq!((answer.status, answer.body), (204, Value::Null));
    }
    let kept = json!([
        {"ip_network": "192.0.2.0/24", "enabled": true, "description": "office"},
        {"ip_network": "2001:db8::1/128", "enabled": false, "description": null},
    ]);
    let events = house.events();
    assert_eq!(events.len(), 1, "the second time nothing changed");
    assert_eq!(events[0]["event"], "prefect-cloud.account-settings.updated");
    let payload = json!({"updated_fields": ["ip_allowlist"],
        "updates": {"ip_allowlist": {"from": [], "to": kept}}});
    assert_eq!(events[0]["payload"], payload);
    let read = house.call("GET", &format!("{}/", house.list()), "").body;
    let bare = |entry: &Value| {
        let mut entry = entry.as_object().cloned().expect("an entry");
        entry.remove("last_seen").map(|_| Value::from(entry))
    };
    let told: Option<Value> =
        read["entries"].as_array().expect("a list").iter().map(bare).collect();
    assert_eq!(told, Some(kept));
    assert!(
        house
            .call("GET", &format!("{}/settings", house.account), "")
            .body
            .get("ip_allowlist")
            .is_none()
    );

    let many: Vec<String> = (0..26).map(|n| format!("10.0.0.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (answer, says) in [
        (house.allow(&many), "an allowlist has at most 25 entries; these are 26"),
        (house.allow(&["10.0.0.0/33"]), "entry 1: `ip_network` is an IPv4 or IPv6"),
        (house.call("PUT", &house.list(), r#"{"entries":{}}"#), "`entries` is a list"),
    ] {
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(answer.status == 422 && detail.starts_with(says), "{answer:?}");
    }
    assert_eq!(house.call("PUT", &house.list(), "").status, 422);
    assert_eq!(house.call("PUT", &house.list(), r#"{"entries":[],"x":1}"#).status, 422);
    assert!(house.events().is_empty());
}

#[test]
fn nobody_locks_themselves_out() {
    let house = House::new();
    assert_eq!(house.enforce(true).status, 204, "an empty list keeps nobody out");
    let out = house.allow(&["203.0.113.0/24"]);
    let says = "This would lock you out: no enabled entry holds your address, 192.0.2.1";
    assert_eq!((out.status, &out.body["detail"]), (422, &json!(says)));
    assert_eq!(house.enforce(false).status, 204);
    assert_eq!(house.allow(&["203.0.113.0/24"]).status, 204);
    let out = house.enforce(true);
    assert_eq!((out.status, &out.body["detail"]), (422, &json!(says)));
    let access = house.call("GET", &format!("{}/my_access", house.list()), "");
    assert_eq!((access.status, &access.body["allowed"]), (200, &json!(false)));
    house.come_from("::ffff:203.0.113.9");
    let access = house.call("GET", &format!("{}/my_access", house.list()), "").body;
    let says = "The allowlist holds your address, 203.0.113.9";
    assert_eq!(access, json!({"allowed": true, "detail": says}));
    assert_eq!(house.enforce(true).status, 204);
    assert_eq!(house.event_names(), ["account-settings.updated"; 4]);
}

#[test]
fn calls_from_elsewhere_are_refused_and_told_of_now_and_then() {
    let house = House::new();
    let answer = house.allow(&["192.0.2.0/24", "2001:db8::/32"]);
    assert!(answer.status == 204 && house.enforce(true).status == 204);
    house.events();
    assert_eq!(house.call("GET", &house.base, "").status, 200);
    house.come_from("2001:db8:ffff::1");
    assert_eq!(house.call("GET", "/api/me", "").status, 200);

    house.come_from("198.51.100.7");
    let says = "The account's IP allowlist does not hold 198.51.100.7: not allowed";
    for (method, path) in [
        ("POST", format!("{}/?token=secret", house.base)),
        ("GET", "/api/me/workspaces".to_owned()),
        ("GET", format!("{}/settings", house.account)),
        ("PUT", house.list()),
        ("GET", house.list()),
    ] {
        let answer = house.call(method, &path, "{}");
        assert_eq!((answer.status, &answer.body["detail"]), (403, &json!(says)), "{path}");
    }
    assert_eq!(house.call("GET", &format!("{}/my_access", house.list()), "").status, 200);
    assert_eq!(house.call("GET", "/api/health", "").status, 200);
    assert_eq!(house.call_as(None, "GET", &house.base, "").status, 401);
    let events = house.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!(event["event"], "prefect-cloud.request.access-denied.ip-allowlist");
    let account = format!("prefect-cloud.account.{}", house.first.account_id);
    let resource = json!({"prefect.resource.id": account, "prefect.resource.name": "hookgate"});
    assert_eq!(event["resource"], resource);
    let roles: Vec<_> = event["related"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["prefect.resource.role"].clone())
        .collect();
    assert_eq!(roles, ["actor", "account", "workspace"]);
    let payload = json!({"ip_address": "198.51.100.7", "method": "POST",
        "path": format!("{}/", house.base), "user_agent": "", "requests": 1});
    assert_eq!(event["payload"], payload);

    house.api.clock.advance_seconds(60);
    assert_eq!(house.call("GET", "/api/me", "").status, 403);
    assert_eq!(house.events()[0]["payload"]["requests"], 5);
    house.come_from("192.0.2.200");
    assert_eq!(house.enforce(false).status, 204);
    house.come_from("198.51.100.7");
    assert_eq!(house.call("GET", "/api/me", "").status, 200);
}

#[test]
fn each_entry_tells_when_it_was_last_used_without_a_change_for_each_call() {
    let house = House::new();
    let networks = ["192.0.2.0/24", "192.0.2.1", "2001:db8::/32"];
    assert_eq!(house.allow(&networks).status, 204);
    house.events();
    let seen = || {
        house.call("GET", &house.list(), "");
        // What is left to the store is done before what it is asked next.
        wait(house.api.store.handed(Vec::new())).expect("done");
        let entries = house.call("GET", &house.list(), "").body["entries"].clone();
        let last = |entry: &Value| entry["last_seen"].as_str().map(str::to_owned);
        entries.as_array().expect("a list").iter().map(last).collect::<Vec<_>>()
    };
    let at = |time: &str| Some(format!("2023-11-14T22:{time}Z"));
    let revision = || wait(house.api.settings(house.first.account_id)).expect("rows").revision;
    assert_eq!(seen(), [at("13:20"), at("13:20"), None]);
    let before = revision();
    house.api.clock.advance_seconds(59);
    assert_eq!(seen(), [at("13:20"), at("13:20"), None], "it was seen a moment ago");
    assert_eq!(revision(), before);
    house.come_from("192.0.2.9");
    house.api.clock.advance_seconds(1);
    assert_eq!(seen(), [at("14:20"), at("13:20"), None]);
    house.come_from("2001:db8::9");
    assert_eq!(seen()[2], None, "not twice in a second");
    house.api.clock.advance_seconds(1);
    assert_eq!(seen(), [at("14:20"), at("13:20"), at("14:21")]);
    house.come_from("198.51.100.7");
    house.api.clock.advance_seconds(600);
    let before = revision();
    assert_eq!(seen(), [at("14:20"), at("13:20"), at("14:21")]);
    assert_eq!(revision(), before);
    assert!(house.events().is_empty(), "nobody changed anything");
    // An entry that went takes its use along.
    house.come_from("192.0.2.9");
    assert_eq!(house.allow(&networks[..1]).status, 204);
    assert_eq!(seen(), [at("24:21")]);
    let kept = wait(house.api.settings(house.first.account_id)).expect("rows");
    let kept = kept.fields["ip_allowlist_seen"].as_object().map(serde_json::Map::len);
    assert_eq!(kept, Some(1));
}
