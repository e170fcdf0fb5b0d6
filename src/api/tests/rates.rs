//! Which rates stand, and what was asked of them: by the minute, summed up, over a restart, and by whom it may be
//! asked.

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::limit::{Limits, Over, Rate, Rates};

fn per_minute(count: u32) -> Option<Rate> {
    Rate::new(count, Duration::from_mins(1), NonZeroU32::new(count))
}

/// A house whose account takes three requests a minute, and each webhook two.
fn limited() -> (House, Value) {
    let mut house = House::new();
    let (webhook, account) = (per_minute(2), per_minute(3));
    let rates = Rates { webhook, account, ..Rates::default() };
    let api = Arc::get_mut(&mut house.api).expect("nobody else has it");
    api.options.limits = Arc::new(Limits::new(rates));
    let hook = house.make(&json!({"name": "github", "template": "{}"}));
    (house, hook)
}

fn charge(house: &House, hook: &Value) -> (bool, bool) {
    let id = hook["id"].as_str().and_then(catalogue::is_id).expect("an id");
    let (account, workspace) = (house.first.account_id, house.first.workspace_id);
    let (limits, now) = (&house.api.options.limits, house.api.clock.now());
    match limits.charge_request((account, workspace), id, now) {
        Ok(_) => (true, true),
        Err(Over::Webhook(_)) => (false, false),
        Err(Over::Account(_)) => (true, false),
    }
}

#[test]
fn what_was_asked_is_told_by_the_minute_and_stays_over_a_restart() {
    let (mut house, hook) = limited();
    let other = house.make(&json!({"name": "other", "template": "{}"}));
    assert_eq!([(); 3].map(|()| charge(&house, &hook).0), [true, true, false]);
    house.api.clock.advance_seconds(60);
    assert_eq!(charge(&house, &other), (true, true));
    assert_eq!(charge(&house, &other), (true, false), "the account's is used up");
    let base = format!("{}/rate-limits", house.account);
    let ask = |house: &House| {
        let query = "since=2023-11-14T22:12:00Z&keys=webhooks&keys=runs&keys=writing-events";
        house.call("GET", &format!("{base}/usage?{query}"), "").body
    };
    let told = ask(&house);
    assert_eq!(told["account"], house.first.account_id.to_string());
    let minutes = json!(["2023-11-14T22:12:00Z", "2023-11-14T22:13:00Z", "2023-11-14T22:14:00Z"]);
    assert_eq!((&told["minutes"], &told["since"]), (&minutes, &minutes[0]));
    assert_eq!(
        told["keys"],
        json!({
            "webhooks": {"limit": [3, 3, 3], "usage": [0, 2, 1], "requested": [0, 2, 2],
                "granted": [0, 2, 1]},
            "writing-events": {"limit": [null, null, null], "usage": [0, 0, 0],
                "requested": [0, 0, 0], "granted": [0, 0, 0]},
        })
    );
    house.reopen_store();
    assert_eq!(ask(&house), told);
    let table = house.call("GET", &format!("{base}/usage/download/"), "");
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(
        table.body,
        "minute,key,limit,usage,requested,granted\r\n\
         2023-11-14T22:13:00Z,webhooks,3,2,2,2\r\n2023-11-14T22:14:00Z,webhooks,3,1,2,1\r\n"
    );
    let own = format!("{}/rate-limits/usage?keys=webhooks/{}", house.first.api_path, OTHER);
    assert_eq!(
        house.call("GET", &own, "").body["keys"][format!("webhooks/{OTHER}")]["usage"][0],
        0
    );
    let status = || house.call("GET", &format!("{base}/status"), "").body;
    assert_eq!(status(), json!({"exceeded_buckets": ["webhooks"]}));
    house.api.clock.advance_seconds(14 * 60);
    assert_eq!(status(), json!({"exceeded_buckets": ["webhooks"]}));
    house.api.clock.advance_seconds(60);
    assert_eq!(status(), json!({"exceeded_buckets": []}));
    house.api.clock.advance_seconds(8 * 86_400);
    let told = ask(&house);
    assert_eq!(told["minutes"].as_array().map(Vec::len), Some(7 * 1440 + 1), "as far as kept");
}

#[test]
fn rates_are_told_with_their_settings_and_figures_where_they_belong() {
    let (house, hook) = limited();
    for _ in 0..3 {
        charge(&house, &hook);
    }
    let rows = house.call("GET", &format!("{}/rate-limits", house.account), "").body;
    let keys: Vec<_> = rows.as_array().expect("rows").iter().map(|row| &row["key"]).collect();
    assert_eq!(keys, ["senders", "webhooks/{id}", "webhooks", "writing-events"]);
    assert_eq!((&rows[0]["limit"], &rows[0]["granted"]), (&Value::Null, &Value::Null));
    assert_eq!((&rows[1]["limit"], &rows[1]["burst"]), (&json!("2/min"), &json!(2)));
    assert_eq!(
        rows[2],
        json!({"key": "webhooks", "name": "all webhooks of the account", "limit": "3/min",
            "burst": 3, "setting": "limits.account_rate", "granted": 2, "refused": 0, "peak": 2,
            "exceeded": null})
    );
    let rows = house.call("GET", &format!("{}/rate-limits/", house.first.api_path), "").body;
    let key = format!("webhooks/{}", hook["id"].as_str().unwrap_or_default());
    assert_eq!(
        rows,
        json!([{"key": key, "name": "github", "limit": "2/min", "burst": 2,
            "setting": "limits.webhook_rate", "granted": 2, "refused": 1, "peak": 2,
            "exceeded": "2023-11-14T22:13:00Z"}])
    );
    // What was asked of a webhook belongs to its workspace.
    let outside = format!("{}/rate-limits/usage?keys={key}", house.account);
    assert_eq!(house.call("GET", &outside, "").body["keys"], json!({}));
    house.api.clock.advance_seconds(3660);
    let rows = house.call("GET", &format!("{}/rate-limits", house.first.api_path), "").body;
    assert_eq!(rows, json!([]), "an hour ago");
}

#[test]
fn questions_about_figures_are_bounded() {
    let house = House::new();
    let base = format!("{}/rate-limits/usage", house.account);
    let status = |query: &str| house.call("GET", &format!("{base}?{query}"), "").status;
    for query in ["", "since=2001-01-01T00:00:00Z", "until=2100-01-01T00:00:00%2B01:00"] {
        assert_eq!(status(query), 200, "{query}");
    }
    for query in
        ["since=x", "since=", "until=1", "since=2023-11-14T22:00:00Z&until=2023-11-14T21:00:00Z"]
    {
        assert_eq!(status(query), 422, "{query}");
    }
    assert_eq!(status(&"keys=runs&".repeat(101)), 422);
    let keys = (0..20).map(|id| format!("keys=webhooks/{}", Uuid::from_u128(id)));
    let many = keys.collect::<Vec<_>>().join("&");
    let inside = format!("{}/rate-limits/usage?{many}", house.first.api_path);
    assert_eq!(house.call("GET", &format!("{inside}&since=2023-11-14T20:00:00Z"), "").status, 200);
    assert_eq!(house.call("GET", &format!("{inside}&since=2023-11-01T20:00:00Z"), "").status, 422);
}
