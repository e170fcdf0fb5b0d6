//! Settings of an account.

use super::*;

impl House {
    fn settings(&self) -> String {
        format!("{}/settings", self.account)
    }

    fn set(&self, body: &str) -> u16 {
        self.call("PATCH", &self.settings(), body).status
    }
}

#[test]
fn settings_are_one_flat_object_and_only_changes_are_told() {
    let house = House::new();
    let told = json!({"allow_public_workspaces": false, "ai_log_summaries": false,
        "managed_execution": true, "enforce_ip_allowlist": false,
        "enforce_webhook_authentication": false, "self_healing_enabled": false,
        "default_result_storage": null, "managed_execution_limit_seconds": null,
        "enabled_feature_flags": []});
    assert_eq!(house.call("GET", &house.settings(), "").body, told);
    for _ in 0..2 {
        let body = r#"{"managed_execution":false,"ai_log_summaries":null,
            "default_result_storage":{"a":1}}"#;
        assert_eq!(house.set(body), 204);
    }
    let events = house.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["event"], "prefect-cloud.account-settings.updated");
    let id = format!("prefect-cloud.account-settings.{}", house.first.account_id);
    assert_eq!(events[0]["resource"]["prefect.resource.id"], id);
    assert_eq!(events[0]["resource"]["prefect.resource.name"], "hookgate");
    let fields = json!(["managed_execution", "default_result_storage"]);
    assert_eq!(events[0]["payload"]["updated_fields"], fields);
    let read = house.call("GET", &format!("{}/", house.settings()), "").body;
    assert_eq!(
        (&read["managed_execution"], &read["ai_log_summaries"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(house.set(r#"{"default_result_storage":null}"#), 204);
    house.events();
    for body in [
        r#"{"managed_execution":"no"}"#,
        r#"{"default_result_storage":[]}"#,
        r#"{"enabled_feature_flags":[]}"#,
        r#"{"ip_allowlist":[]}"#,
        "[]",
        "",
    ] {
        assert_eq!(house.set(body), 422, "{body}");
    }
    assert!(house.events().is_empty());
}

#[test]
fn an_account_from_before_settings_gets_them_with_the_first_change() {
    let house = House::new();
    let settings = wait(house.api.settings(house.first.account_id)).expect("settings");
    let batch = crate::store::Batch {
        writes: vec![crate::store::Write::Delete(settings)],
        events: Vec::new(),
    };
    wait(house.api.store.commit(batch)).expect("gone");
    assert_eq!(house.call("GET", &house.settings(), "").body["managed_execution"], true);
    assert_eq!(house.set(r#"{"managed_execution":true}"#), 204);
    assert!(house.events().is_empty());
    for on in [false, true] {
        assert_eq!(house.set(&json!({"managed_execution": on}).to_string()), 204);
        assert_eq!(house.event_names(), ["account-settings.updated"]);
        assert_eq!(house.call("GET", &house.settings(), "").body["managed_execution"], on);
    }
}

#[test]
fn webhooks_that_anybody_may_call_end_where_that_is_forbidden() {
    let house = House::new();
    let bot = house.call("POST", &format!("{}/bots", house.account), r#"{"name":"bot"}"#).body;
    let hook = |name: &str, enabled: bool, bot: &Value| {
        let body = json!({"name": name, "template": "t", "enabled": enabled,
            "service_account_id": bot});
        let made = house.make(&body);
        format!("{}/{}", house.base, made["id"].as_str().expect("an id"))
    };
    let (open, off, bound) = (
        hook("open", true, &Value::Null),
        hook("off", false, &Value::Null),
        hook("bound", true, &bot["id"]),
    );
    let other = hook("other", true, &Value::Null);
    house.events();
    assert_eq!(house.set(r#"{"enforce_webhook_authentication":true}"#), 204);
    let events = house.events();
    let told: Vec<_> = events
        .iter()
        .map(|event| (&event["event"], &event["resource"]["prefect.resource.name"]))
        .collect();
    assert_eq!(told[0].0, "prefect-cloud.account-settings.updated");
    let updated = json!("prefect-cloud.webhook.updated");
    assert_eq!(told[1..], [(&updated, &json!("open")), (&updated, &json!("other"))]);
    assert_eq!(events[1]["payload"]["updates"], json!({"enabled": {"from": true, "to": false}}));
    assert_eq!(events[1]["related"][2]["prefect.resource.role"], "workspace");
    let enabled = |path: &str| house.call("GET", path, "").body["enabled"].clone();
    assert_eq!(
        [enabled(&open), enabled(&off), enabled(&bound), enabled(&other)].map(|on| on == true),
        [false, false, true, false]
    );

    let status =
        |method, path: &str, body: &Value| house.call(method, path, &body.to_string()).status;
    let refused = [
        status("POST", &house.base, &json!({"name": "n", "template": "t"})),
        status("PATCH", &open, &json!({"enabled": true})),
        status("PUT", &off, &json!({"name": "off", "template": "t", "enabled": true})),
        status(
            "PUT",
            &bound,
            &json!({"name": "bound", "template": "t", "service_account_id": null}),
        ),
    ];
    assert_eq!(refused, [422; 4]);
    assert!(house.events().is_empty());
    let taken = [
        status("POST", &house.base, &json!({"name": "n", "template": "t", "enabled": false}))
            == 201,
        status(
            "PUT",
            &open,
            &json!({"name": "open", "template": "t", "enabled": true, "service_account_id": bot["id"]}),
        ) == 204,
        status("PATCH", &bound, &json!({"enabled": false})) == 204,
        house.set(r#"{"enforce_webhook_authentication":true}"#) == 204,
    ];
    assert_eq!(taken, [true; 4]);
    assert_eq!(house.event_names(), ["webhook.created", "webhook.updated", "webhook.updated"]);
    assert_eq!(house.set(r#"{"enforce_webhook_authentication":false}"#), 204);
    assert_eq!(house.event_names(), ["account-settings.updated"]);
    assert_eq!(enabled(&other), false);
    assert_eq!(status("PATCH", &other, &json!({"enabled": true})), 204);
}

#[test]
fn neither_of_two_at_once_slips_past_the_other() {
    let house = House::new();
    let account = house.first.account_id;
    let hook = house.make(&json!({"name": "a", "template": "t", "enabled": false}));
    let id = hook["id"].as_str().and_then(catalogue::is_id).expect("an id");
    let mut hook = wait(house.api.store.records(vec![id])).expect("records").remove(0);
    let mut settings = wait(house.api.settings(account)).expect("settings");
    let commit = |record: &crate::store::Record| {
        let writes = vec![crate::store::Write::Update(record.clone())];
        wait(house.api.store.commit(crate::store::Batch { writes, events: Vec::new() }))
    };
    settings.fields["enforce_webhook_authentication"] = true.into();
    hook.fields["enabled"] = true.into();
    assert_eq!(commit(&settings), Ok(()));
    assert_eq!(commit(&hook), Err(StoreError::Stale), "it was looked at before");
    settings.revision += 1;
    settings.fields["enforce_webhook_authentication"] = false.into();
    assert_eq!(commit(&settings), Ok(()));
    assert_eq!(commit(&hook), Ok(()));
    settings.revision += 1;
    settings.fields["enforce_webhook_authentication"] = true.into();
    assert_eq!(commit(&settings), Err(StoreError::Stale), "one more is open than was known");
}
