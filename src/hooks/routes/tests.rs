//! The table of slugs: changes, ends, what nobody sees of them, and how much a change copies.

use super::*;
use crate::id::Secret;
use crate::store::Former;

pub(crate) fn webhook(number: u128, slug: &str, template: &str) -> Webhook {
    let party = |name: &str, id| Party {
        id: Uuid::from_u128(id),
        name: name.to_owned(),
        handle: name.to_lowercase(),
    };
    Webhook {
        id: Uuid::from_u128(number),
        account: party("Acme \"1\"", 1),
        workspace: party("Prod", 2),
        name: format!("hook {number}\0"),
        slug: Secret::new(slug),
        former: None,
        dedup: None,
        verification: None,
        weight: 1,
        reply: None,
        template: template.to_owned(),
        version: 0,
        shadow: None,
        enabled: true,
        networks: None,
        redact: None,
        service_account: None,
    }
}

const NOW: Time = Time::from_micros(0);

fn clock() -> Clock {
    Clock::fixed(NOW)
}

#[test]
fn a_change_is_seen_at_once() {
    let routes = Routes::new(&clock(), &[webhook(10, "first", "t")]);
    let found = |slug: &str| routes.find(slug, NOW).map(|endpoint| endpoint.id.as_u128());
    assert_eq!(found("first"), Some(10));
    assert_eq!(found("second"), None);
    routes.apply(&Change::Webhook(Box::new(webhook(11, "second", "t"))));
    assert_eq!((found("first"), found("second"), routes.len()), (Some(10), Some(11), 2));
    // Rotated: the old slug stops at once.
    routes.apply(&Change::Webhook(Box::new(webhook(10, "third", "u"))));
    assert_eq!((found("first"), found("third"), routes.len()), (None, Some(10), 2));
    assert_eq!(&*routes.find("third", NOW).expect("known").source, "u");
    let mut disabled = webhook(10, "third", "u");
    disabled.enabled = false;
    routes.apply(&Change::Webhook(Box::new(disabled.clone())));
    assert_eq!((found("third"), routes.len()), (None, 1));
    disabled.enabled = true;
    routes.apply(&Change::Webhook(Box::new(disabled)));
    assert_eq!(found("third"), Some(10));
    routes.apply(&Change::WebhookGone(Uuid::from_u128(10)));
    routes.apply(&Change::WebhookGone(Uuid::from_u128(99)));
    assert_eq!((found("third"), found("second")), (None, Some(11)));
}

#[test]
fn a_former_slug_answers_until_its_end() {
    let routes = Routes::new(&clock(), &[webhook(10, "a", "t"), webhook(11, "x", "t")]);
    let now = Time::from_micros(5_000_000);
    let found = |slug: &str, seconds: i64| {
        let arrived = now.plus_seconds(seconds);
        routes.find(slug, arrived).map(|endpoint| endpoint.id.as_u128())
    };
    let rotated = |slug: &str, former: &str, seconds: i64| {
        let (former, ends) = (Secret::new(former), now.plus_seconds(seconds));
        Webhook { former: Some(Former { slug: former, ends }), ..webhook(10, slug, "u") }
    };
    routes.apply(&Change::Webhook(Box::new(rotated("b", "a", 60))));
    assert_eq!((found("a", 59), found("b", 59), routes.len()), (Some(10), Some(10), 2));
    assert_eq!((found("a", 60), found("b", 60)), (None, Some(10)), "at its end it is unknown");
    let (old, new) = (routes.find("a", now), routes.find("b", now));
    let (old, new) = (old.expect("lives on"), new.expect("known"));
    assert!(Arc::ptr_eq(&old, &new) && &*old.source == "u", "one webhook at both");
    // A change of something else leaves both; another rotation ends the older one.
    routes.apply(&Change::Webhook(Box::new(rotated("b", "a", 60))));
    assert_eq!((found("a", 0), found("b", 0)), (Some(10), Some(10)));
    routes.apply(&Change::Webhook(Box::new(rotated("c", "b", 60))));
    assert_eq!((found("a", 0), found("b", 0), found("c", 0)), (None, Some(10), Some(10)));
    let mut disabled = rotated("c", "b", 60);
    disabled.enabled = false;
    routes.apply(&Change::Webhook(Box::new(disabled)));
    assert_eq!((found("b", 0), found("c", 0), found("x", 0)), (None, None, Some(11)));
    routes.apply(&Change::Webhook(Box::new(rotated("c", "b", 60))));
    assert_eq!((found("b", 0), found("c", 0)), (Some(10), Some(10)));
    routes.apply(&Change::WebhookGone(Uuid::from_u128(10)));
    assert_eq!((found("b", 0), found("c", 0), routes.len()), (None, None, 1));
    let entries: usize = routes.shards.iter().map(|shard| shard.load().len()).sum();
    assert_eq!(entries, 1, "nothing of it is left");
    // As at start-up, with an end that was, and one that is to come.
    for (seconds, until) in [(-1, None), (60, Some(10))] {
        let routes = Routes::new(&clock(), &[rotated("c", "b", seconds)]);
        assert_eq!(routes.find("b", now).map(|endpoint| endpoint.id.as_u128()), until);
        assert!(routes.find("c", now).is_some());
    }
}

#[test]
fn what_is_disabled_or_was_replaced_has_its_owner_still() {
    let mut disabled = webhook(11, "off", "t");
    disabled.enabled = false;
    let routes = Routes::new(&clock(), &[webhook(10, "a", "t"), disabled]);
    let look = |slug: &str| {
        let found = routes.look_up(slug, NOW);
        found.map(|(endpoint, is_there)| (endpoint.id.as_u128(), is_there))
    };
    assert_eq!((look("off"), look("a"), routes.len()), (Some((11, false)), Some((10, true)), 1));
    for (slug, before, gone) in [("b", "a", "x"), ("c", "b", "a"), ("c", "b", "a"), ("d", "c", "b")]
    {
        routes.apply(&Change::Webhook(Box::new(webhook(10, slug, "t"))));
        assert_eq!((look(slug), look(before)), (Some((10, true)), Some((10, false))), "{slug}");
        assert_eq!(look(gone), None, "the last is enough");
    }
    for id in [10, 11] {
        routes.apply(&Change::WebhookGone(Uuid::from_u128(id)));
    }
    assert!(routes.shards.iter().all(|shard| shard.load().is_empty()));
    assert!(routes.is_empty());
}

#[test]
fn misshapen_slugs_are_only_unknown() {
    let known = "k".repeat(SLUG_MAX_BYTES);
    let routes = Routes::new(&clock(), &[webhook(1, "kZ3v0yJm0mV3pQ9xg2bB4A", "t")]);
    for slug in ["", "kZ3v0yJm0mV3pQ9xg2bB4", "kZ3v0yJm0mV3pQ9xg2bB4a", &known, &"x".repeat(9999)] {
        assert!(routes.find(slug, NOW).is_none());
    }
    assert!(
        !format!("{routes:?}{:?}", routes.find("kZ3v0yJm0mV3pQ9xg2bB4A", NOW)).contains("kZ3v")
    );
}

#[test]
fn what_events_need_is_text_already() {
    let routes = Routes::new(&clock(), &[webhook(10, "a", "t"), webhook(11, "b", "t")]);
    let (one, two) = (routes.find("a", NOW), routes.find("b", NOW));
    let (one, two) = (one.expect("known"), two.expect("known"));
    assert!(Arc::ptr_eq(&one.tenant, &two.tenant), "one text for a workspace");
    assert_eq!(
        &*one.related,
        concat!(
            r#"{"prefect.resource.id":"prefect-cloud.webhook."#,
            r#"00000000-0000-0000-0000-00000000000a","prefect.resource.name":"hook 10�","#,
            r#""prefect.resource.role":"webhook"}"#
        )
    );
    let tenant: serde_json::Value =
        serde_json::from_str(&format!("[{}]", one.tenant)).expect("JSON");
    assert_eq!(tenant[0]["prefect.resource.name"], "Acme \"1\"");
    assert_eq!(tenant[1]["prefect-cloud.handle"], "prod");
    assert_eq!(tenant[1]["prefect.resource.role"], "workspace");
}

#[test]
fn a_change_among_many_is_cheap() {
    let many: Vec<_> = (0..20_000).map(|n| webhook(n, &format!("slug{n}"), "t")).collect();
    let routes = Routes::new(&clock(), &many);
    assert_eq!(routes.len(), 20_000);
    routes.apply(&Change::WebhookGone(Uuid::from_u128(7)));
    let largest = routes.shards.iter().map(|shard| shard.load().len()).max();
    assert!(largest.is_some_and(|size| size < 100), "{largest:?} entries are copied");
    assert!(routes.find("slug7", NOW).is_none() && routes.find("slug8", NOW).is_some());
}
