//! Leave for support, what is used, and what is to become of the plan.

use super::*;

#[test]
fn leave_is_given_changed_and_ends_by_itself() {
    let house = House::new();
    let base = format!("{}/support_access", house.account);
    let workspace = house.first.workspace_id.to_string();
    let body = json!({"expires_at": "2023-11-14T23:13:20Z", "workspace_ids": [workspace],
        "reason": "ticket 7"});
    let made = house.call("POST", &format!("{base}/"), &body.to_string());
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!((&made.body["reason"], made.body.get("name")), (&json!("ticket 7"), None));
    let one = format!("{base}/{}", made.body["id"].as_str().expect("an id"));
    assert_eq!(house.call("GET", &base, "").body, json!([made.body]));
    assert_eq!(house.call("GET", &one, "").body["workspace_ids"], json!([workspace]));
    let later = r#"{"expires_at":"2023-11-14T23:14:20Z"}"#;
    assert_eq!(house.call("PATCH", &one, later).status, 204);
    assert_eq!(house.call("PATCH", &one, later).status, 204);
    assert_eq!(house.event_names(), ["support-access.created", "support-access.updated"]);
    for body in [
        r#"{"expires_at":"2023-11-14T22:13:20Z"}"#.to_owned(),
        json!({"expires_at": "2023-11-15T00:00:00Z", "workspace_ids": [OTHER]}).to_string(),
        "{}".to_owned(),
    ] {
        assert_eq!(house.call("POST", &base, &body).status, 422, "{body}");
    }
    let ended = || wait(house.api.end_support()).expect("a look");
    house.api.clock.advance_seconds(3659);
    assert_eq!(ended(), 0);
    house.api.clock.advance_seconds(1);
    assert_eq!((ended(), ended()), (1, 0));
    let events = house.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event"], "prefect-cloud.support-access.deleted");
    assert_eq!(events[0]["related"][0]["prefect.resource.name"], "system");
    assert_eq!(house.call("GET", &one, "").status, 404);
    let body = r#"{"expires_at":"2024-01-01T00:00:00Z"}"#;
    let made = house.call("POST", &base, body).body;
    let one = format!("{base}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(house.call("DELETE", &one, "").status, 204);
    assert_eq!(house.event_names(), ["support-access.created", "support-access.deleted"]);
}

#[test]
fn usage_is_told_and_the_limit_once_in_a_month() {
    let house = House::new();
    let limits = || house.call("GET", &format!("{}/usage_limits", house.account), "").body;
    let told = |seconds: Value| {
        json!({"mex_compute_limit": seconds, "mex_concurrency_limit": null,
            "mex_work_pool_limit": null})
    };
    assert_eq!(limits(), told(Value::Null));
    let limit = r#"{"managed_execution_limit_seconds":100}"#;
    assert_eq!(house.call("PATCH", &format!("{}/settings", house.account), limit).status, 204);
    assert_eq!(limits(), told(json!(100)));
    house.events();
    let base = format!("{}/managed_execution", house.first.api_path);
    let report = |seconds: u64| {
        let body = json!({"seconds": seconds, "flow_run_id": OTHER}).to_string();
        assert_eq!(house.call("POST", &format!("{base}/usage"), &body).status, 204);
        house.event_names()
    };
    let (used, exceeded) = ("managed-execution.used", "managed-execution.exceeded");
    assert_eq!(report(100), [used]);
    assert!(report(0).is_empty());
    assert_eq!(report(1), [used, exceeded]);
    assert_eq!(report(1), [used], "once");
    let told = house.call("GET", &format!("{base}/details"), "").body;
    assert_eq!(
        (&told["compute_usage_seconds"], &told["compute_limit_seconds"]),
        (&json!(102), &json!(100))
    );
    assert_eq!(told["period_end"], "2023-12-01T00:00:00Z");
    house.api.clock.advance_seconds(30 * 86_400);
    let body = r#"{"seconds":101}"#;
    assert_eq!(house.call("POST", &format!("{base}/usage"), body).status, 204);
    let events = house.events();
    let account = format!("prefect-cloud.account.{}", house.first.account_id);
    assert_eq!(events[1]["resource"]["prefect.resource.id"], account);
    assert_eq!(events[1]["related"][2]["prefect.resource.role"], "workspace");
    let tells = json!({"seconds_used": 101, "period_start": "2023-12-01T00:00:00Z",
        "period_end": "2024-01-01T00:00:00Z", "total_seconds": 101, "limit_seconds": 100});
    assert_eq!((&events[1]["payload"], events.len()), (&tells, 2));
    for body in [r#"{"seconds":-1}"#, "{}", ""] {
        assert_eq!(house.call("POST", &format!("{base}/usage"), body).status, 422, "{body}");
    }
}

#[test]
fn a_report_counts_once_and_what_is_used_is_told_by_workspace() {
    let mut house = House::new();
    let path = format!("{}/managed_execution/usage", house.first.api_path);
    let report = |house: &House, seconds: u64, occurred: &str, status: u16| {
        let body = json!({"seconds": seconds, "flow_run_id": OTHER, "occurred": occurred});
        let answer = house.call("POST", &path, &body.to_string());
        assert_eq!(answer.status, status, "{answer:?}");
        house.event_names().len()
    };
    let moment = "2023-11-14T22:00:00Z";
    assert_eq!(report(&house, 60, moment, 204), 1);
    assert_eq!(report(&house, 60, moment, 204), 0);
    assert_eq!(report(&house, 60, "2023-11-14T23:00:00+01:00", 204), 0, "the same moment");
    assert_eq!(report(&house, 61, moment, 409), 0, "it was counted otherwise");
    assert_eq!(report(&house, 30, "2023-11-14T22:01:00Z", 204), 1, "another moment");
    // A restart: what was counted is on the disk.
    house.reopen_store();
    assert_eq!(report(&house, 60, moment, 204), 0);
    let used = |house: &House| house.call("GET", &format!("{}/usage", house.account), "").body;
    let workspace = house.first.workspace_id.to_string();
    assert_eq!(used(&house), json!({"mex_compute": {workspace: 90}}));
    for (occurred, status) in [
        ("2023-10-14T22:13:19Z", 422),
        ("2023-10-14T22:13:21Z", 204),
        ("2023-11-15T22:13:21Z", 422),
        ("2023-11-15T22:13:19Z", 204),
    ] {
        report(&house, 1, occurred, status);
    }
    // Whatever is still taken is still known.
    house.api.clock.advance_seconds(31 * 86_400);
    assert_eq!(report(&house, 1, "2023-11-15T22:13:19Z", 204), 0);
    assert_eq!(report(&house, 60, moment, 422), 0);
    assert_eq!(used(&house), json!({"mex_compute": {}}), "another month");
    house.api.clock.advance_seconds(86_400);
    for _ in 0..2 {
        let body = json!({"seconds": 5, "flow_run_id": OTHER, "occurred": null}).to_string();
        assert_eq!(house.call("POST", &path, &body).status, 204);
    }
    assert_eq!(house.event_names().len(), 2, "nothing tells them apart");
}

#[test]
fn a_plan_ends_and_goes_on() {
    let house = House::new();
    let base = format!("/api/billing/{}", house.first.account_id);
    let cancel = |on: bool| {
        let body = json!({ "cancel_at_period_end": on }).to_string();
        assert_eq!(house.call("PATCH", &format!("{base}/subscription"), &body).status, 204);
        house.events()
    };
    assert!(cancel(false).is_empty());
    let path = format!("{base}/cancel_org_subscription");
    assert_eq!(house.call("POST", &path, "").status, 200);
    assert_eq!(house.call("POST", &path, "").status, 200);
    let events = house.events();
    assert_eq!(events.len(), 1, "once");
    assert_eq!(events[0]["event"], "prefect-cloud.subscription.updated");
    assert_eq!(events[0]["payload"], json!({"cancel_at_period_end": true}));
    let details = house.call("GET", &format!("{base}/details"), "").body;
    assert_eq!(details["cancel_at_period_end"], true);
    let may = house.call("GET", &format!("{base}/subscription_restrictions"), "").body;
    assert_eq!(may["can_cancel"], false);
    assert!(cancel(true).is_empty());
    assert_eq!(cancel(false)[0]["payload"], json!({"cancel_at_period_end": false}));
    assert_eq!(house.call("PATCH", &format!("{base}/subscription"), "{}").status, 422);
}
