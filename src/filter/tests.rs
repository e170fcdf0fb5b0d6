//! Filters as clients send them, beside one event: what matches, what is refused and where.

use serde_json::{Value, json};

use super::*;

fn now() -> Time {
    Time::parse("2026-11-28T18:00:00Z").expect("a moment")
}

fn event() -> Vec<u8> {
    json!({
        "occurred": "2026-11-23T22:52:30.837791Z",
        "event": "shop.order.paid",
        "resource": {"prefect.resource.id": "shop.order.1001", "prefect.resource.name": "order 1001",
            "tier": "gold"},
        "related": [
            {"prefect.resource.id": "shop.customer.77", "prefect.resource.role": "customer",
                "country": "de"},
            {"prefect.resource.id": "shop.cart.5", "prefect.resource.role": "cart"}
        ],
        "payload": {"amount": 1299, "note": "said \"hi\"\nto Zoë"},
        "id": "019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10",
        "follows": null
    })
    .to_string()
    .into_bytes()
}

#[test]
fn what_filters_match() {
    let json = event();
    let seen = Seen::read(&json).expect("an event");
    for (filter, expected) in [
        (Value::Null, true),
        (json!({}), true),
        (
            json!({"occurred": null, "event": null, "resource": null, "related": null,
            "any_resource": null, "id": null, "text": null, "order": null, "scope": null,
            "limit": null, "offset": null}),
            true,
        ),
        (json!({"occurred": {"since": "2026-11-23T22:52:30.837791Z"}}), true),
        (json!({"occurred": {"since": "2026-11-23T22:52:30.837792Z"}}), false),
        (json!({"occurred": {"until": "2026-11-23T22:52:30.837791Z"}}), true),
        (json!({"occurred": {"until": "2026-11-23T22:52:30.83779Z"}}), false),
        (json!({"occurred": {"since": "2026-11-23", "until": "2026-11-24T00:00:00"}}), true),
        (json!({"event": {"prefix": ["prefect.", "shop."]}}), true),
        (json!({"event": {"prefix": ["prefect."]}}), false),
        (json!({"event": {"prefix": []}}), true),
        (json!({"event": {"exclude_prefix": ["shop.order."]}}), false),
        (json!({"event": {"name": ["shop.order.paid"]}}), true),
        (json!({"event": {"name": ["shop.order"]}}), false),
        (json!({"event": {"name": ["shop.order.*"]}}), true),
        (json!({"event": {"exclude_name": ["shop.order.paid"]}}), false),
        (json!({"resource": {"id": ["shop.order.1001", "x"]}}), true),
        (json!({"resource": {"id": ["shop.customer.77"]}}), false),
        (json!({"resource": {"id_prefix": ["shop.order."], "distinct": true}}), true),
        (json!({"resource": {"labels": {"tier": "gold"}}}), true),
        (json!({"resource": {"labels": {"tier": ["s*", "g?l[a-e]"]}}}), true),
        (json!({"resource": {"labels": {"tier": "!gold"}}}), false),
        (json!({"resource": {"labels": {"tier": "!silver", "absent": null}}}), true),
        (json!({"resource": {"labels": {"absent": "!x"}}}), false),
        (json!({"related": {"id": ["shop.cart.5"], "role": ["cart"]}}), true),
        (json!({"related": {"id": ["shop.cart.5"], "role": ["customer"]}}), false),
        (json!({"related": [{"role": ["cart"]}, {"role": ["customer"]}, {}]}), true),
        (json!({"related": [{"role": ["cart"]}, {"role": ["seller"]}]}), false),
        (json!({"related": {"resources_in_roles": [["shop.cart.5", "cart"]]}}), true),
        (json!({"related": {"resources_in_roles": [["shop.cart.5", "customer"]]}}), false),
        (json!({"related": {"labels": {"country": ["d?"]}, "role": ["customer"]}}), true),
        (json!({"related": {"labels": {"country": ["d?"]}, "role": ["cart"]}}), false),
        (json!({"any_resource": {"id": ["shop.cart.5"]}}), true),
        (json!({"any_resource": [{"id": ["shop.cart.5"]}, {"id_prefix": ["shop.order."]}]}), true),
        (json!({"any_resource": {"id_prefix": ["shop.seller."]}}), false),
        (json!({"any_resource": {"labels": {"country": "de"}}}), true),
        (json!({"id": {"id": []}}), true),
        (json!({"id": {"id": ["019AB2F06F4E7CC19A8B0D8B1C4F9F10"]}}), true),
        (json!({"id": {"id": ["019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f11"]}}), false),
        (json!({"text": {"query": "ORDER -nothing"}}), true),
        (json!({"text": {"query": "\"said \\\"hi\\\"\""}}), true),
        (json!({"text": {"query": "zoë"}}), true),
        (json!({"text": {"query": "nothing"}}), false),
        (json!({"text": {"query": ""}}), true),
    ] {
        let read = Filter::read(&filter, now()).expect("a filter");
        assert_eq!(read.matches(&seen), expected, "{filter}");
    }
}

#[test]
fn what_is_no_filter() {
    let text = "x".repeat(201);
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    for (filter, expected) in [
        (json!([]), "model_attributes_type "),
        (json!({"x": 1}), "extra_forbidden x"),
        (json!({"x": null}), "extra_forbidden x"),
        (json!({"occurred": {"after": null}}), "extra_forbidden occurred.after"),
        (json!({"occurred": {"since": "soon"}}), "datetime_parsing occurred.since"),
        (json!({"occurred": {"since": 5}}), "datetime_parsing occurred.since"),
        (json!({"event": {"prefix": "a"}}), "list_type event.prefix"),
        (json!({"event": {"prefix": ["a", 1]}}), "string_type event.prefix.1"),
        (json!({"event": []}), "model_attributes_type event"),
        (json!({"resource": {"role": ["a"]}}), "extra_forbidden resource.role"),
        (json!({"resource": {"distinct": 1}}), "bool_type resource.distinct"),
        (json!({"resource": {"labels": {"a": 1}}}), "list_type resource.labels.a"),
        (json!({"related": [{"role": "a"}]}), "list_type related.0.role"),
        (
            json!({"related": {"resources_in_roles": [["a"]]}}),
            "tuple_type related.resources_in_roles.0",
        ),
        (json!({"any_resource": {"role": []}}), "extra_forbidden any_resource.role"),
        (json!({"id": {"id": ["x"]}}), "uuid_parsing id.id.0"),
        (json!({"text": {"query": text}}), "string_too_long text.query"),
        (json!({"order": "UP"}), "enum order"),
        (json!({"scope": {"account": "x"}}), "uuid_parsing scope.account"),
        (json!({"limit": 201}), "less_than_equal limit"),
        (json!({"offset": 5001}), "less_than_equal offset"),
        (json!({"offset": -1}), "greater_than_equal offset"),
        (json!({"limit": "1"}), "int_type limit"),
        (json!({"event": {"name": many}}), "too_long "),
    ] {
        let faults = Filter::read(&filter, now()).expect_err("no filter");
        let told: Vec<_> =
            faults.iter().map(|f| format!("{} {}", f.rule, f.at.join("."))).collect();
        assert_eq!(told, [expected], "{filter}");
    }
    let two = Filter::read(&json!({"x": 1, "order": 5}), now()).expect_err("no filter");
    assert_eq!(two.len(), 2);
}

#[test]
fn what_is_asked_beside_the_event() {
    let (account, workspace) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let nothing = Filter::read(&Value::Null, now()).expect("a filter");
    assert_eq!(nothing.since.to_string(), "2026-06-01T00:00:00Z");
    assert_eq!((nothing.until, nothing.order, nothing.limit), (None, Order::Descending, None));
    assert!(nothing.admits(account, None) && nothing.admits(account, Some(workspace)));
    let all = json!({"order": "ASC", "limit": 200, "offset": 5000, "resource": {"distinct": true},
        "scope": {"account": account, "workspace": [workspace]}});
    let all = Filter::read(&all, now()).expect("a filter");
    assert_eq!((all.order, all.limit, all.offset), (Order::Ascending, Some(200), 5000));
    assert!(all.distinct && all.admits(account, Some(workspace)));
    assert!(!all.admits(account, None) && !all.admits(workspace, Some(workspace)));
}

#[test]
fn what_is_no_event() {
    for json in ["", "{}", "[]", "{\"occurred\":\"soon\"}", "{\"occurred\":5}", "\u{0}"] {
        assert!(Seen::read(json.as_bytes()).is_none(), "{json}");
    }
    let bare = br#"{"occurred":"2026-11-23T22:52:30Z","event":5,"related":{},"payload":null}"#;
    let bare = Seen::read(bare).expect("an event of sorts");
    let any = json!({"any_resource": {"labels": {"a": "b"}}});
    assert!(!Filter::read(&any, now()).expect("a filter").matches(&bare));
    assert_eq!((&*bare.name(), &*bare.resource().title(), bare.related().count()), ("", "", 0));
}
