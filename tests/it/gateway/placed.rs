//! Destinations of the configuration and where they begin: by a name they keep their place at another address, and what
//! they had before they were named; they wait, are left out, and begin where they are told to.

use std::path::PathBuf;
use std::sync::Arc;

use hookgate::config::Forward;
use serde_json::{Value, json};

use super::destinations::serve;
use super::{Served, arrived, wait};

const TEMPLATE: &str = r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "shop"},
    "payload": {{ body|tojson }}}"#;

impl Served {
    /// A destination that gets what the test's webhook makes, in a file of that name.
    fn filed(&self, name: &str) -> Forward {
        let filter = Some(json!({"event": {"prefix": ["shop."]}}));
        Forward { to: format!("file:{}", self.file(name).display()), filter, ..Forward::default() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.ndjson"))
    }

    /// Starts again with one more destination than there always is.
    fn again(&mut self, one: Forward) {
        self.stop();
        self.config.forward.truncate(1);
        self.config.forward.push(one);
        self.resume();
    }

    fn number(&self, webhook: &Value, number: u32) {
        assert_eq!(self.post(webhook, &format!(r#"{{"n":{number}}}"#)).status, 204);
    }

    /// Waits until a file ends with a number, and gives all of them.
    fn until(&self, name: &str, last: u64) -> Vec<u64> {
        wait("the last one", || {
            let number = |event: &Value| event["payload"]["n"].as_u64().expect("a number");
            let all: Vec<_> = arrived(&self.file(name)).iter().map(number).collect();
            (all.last() == Some(&last)).then_some(all)
        })
    }
}

#[test]
fn a_named_destination_keeps_its_place_at_another_address() {
    let mut served = Served::start(|_| ());
    let webhook = served.webhook(TEMPLATE);
    served.again(served.filed("a"));
    served.number(&webhook, 1);
    assert_eq!(served.until("a", 1), [1]);
    // It gets a name, and goes on where it was.
    let named = |one: Forward| Forward { name: Some("shop".into()), ..one };
    served.again(named(served.filed("a")));
    served.number(&webhook, 2);
    assert_eq!(served.until("a", 2), [1, 2]);
    assert!(served.ask("/metrics").text().contains("destination=\"shop\""));
    // What comes while it waits is for its next address.
    served.again(Forward { hold: Some(true), ..named(served.filed("a")) });
    served.number(&webhook, 3);
    assert!(served.events(6).iter().any(|event| event["payload"]["n"] == 3), "others have it");
    served.again(named(served.filed("b")));
    served.number(&webhook, 4);
    assert_eq!(served.until("b", 4), [3, 4]);
    assert_eq!(served.until("a", 2), [1, 2]);
    // Left out it is not there; and it is the same one when it comes back.
    served.again(Forward { enabled: Some(false), ..named(served.filed("c")) });
    served.number(&webhook, 5);
    served.events(10);
    assert!(!served.file("c").exists() && !served.ask("/metrics").text().contains("\"shop\""));
    served.again(named(served.filed("c")));
    assert_eq!(served.until("c", 5), [5]);
}

#[test]
fn a_destination_of_the_file_begins_where_it_is_told() {
    let mut served = Served::start(|_| ());
    let webhook = served.webhook(TEMPLATE);
    (1..=4).for_each(|number| served.number(&webhook, number));
    let all = served.events(8);
    let third = all.iter().find(|event| event["payload"]["n"] == 3).expect("the third");
    let third = third["id"].as_str().expect("an id").to_owned();
    for (name, start, begins) in
        [("old", "oldest", 1), ("at", third.as_str(), 3), ("now", "now", 5)]
    {
        let start = Some(start.to_owned());
        served.again(Forward { name: Some(name.into()), start, ..served.filed(name) });
        if name != "now" {
            assert_eq!(served.until(name, 4), (begins..=4).collect::<Vec<_>>());
        }
    }
    served.number(&webhook, 5);
    assert_eq!(served.until("now", 5), [5]);
    // With a place of its own it is not asked where it begins.
    let start = Some("00000000-0000-4000-8000-000000000001".to_owned());
    served.again(Forward { name: Some("now".into()), start: start.clone(), ..served.filed("now") });
    served.number(&webhook, 6);
    assert_eq!(served.until("now", 6), [5, 6]);
    let unknown = Forward { name: Some("x".into()), start, ..served.filed("x") };
    served.stop();
    served.config.forward.push(unknown);
    // What is kept is known from outside, too.
    let check = |served: &Served| hookgate::serve::check(&served.config);
    let fault = check(&served).expect_err("not kept").to_string();
    assert!(fault.contains("`x` begins at the event") && fault.contains("not kept"), "{fault}");
    let kept = Forward { start: Some(third), ..served.config.forward[2].clone() };
    let unknown = std::mem::replace(&mut served.config.forward[2], kept);
    check(&served).expect("it is kept");
    served.config.forward[2] = unknown;
    let started = hookgate::serve::Gateway::start(&served.config, served.clock.clone());
    let fault = served.runtime.block_on(started).expect_err("not kept").to_string();
    assert!(fault.contains("`x` begins at the event"), "{fault}");
}

#[test]
fn what_waits_at_a_destination_of_the_file_goes_once_that_keeps_no_order() {
    let mut served = Served::start(|_| ());
    let (address, taken) = serve(&served, &Arc::default());
    let webhook = served.webhook(TEMPLATE);
    let filter = served.filed("op").filter;
    let named = |settings: &str| {
        let (to, name) = (format!("http://{address}/in{settings}"), Some("op".to_owned()));
        Forward { name, to, filter: filter.clone(), ..Forward::default() }
    };
    served.again(named(""));
    for order in [13, 1, 2] {
        assert_eq!(served.post(&webhook, &json!({ "order": order }).to_string()).status, 204);
    }
    let data = served.config.server.data.display().to_string();
    let lying = |served: &Served, count: usize| {
        wait("what must lie parked", || {
            let listed = served.answered(&["parked", "ls", "--data", &data]);
            (listed.lines().count() == count).then_some(listed)
        })
    };
    assert_eq!(lying(&served, 3).matches("  behind  ").count(), 2);
    served.again(named("?ordering=none"));
    assert!(lying(&served, 1).contains("  refused  "));
    let taken = taken.lock().expect("a list");
    let orders: Vec<_> = taken.iter().map(|(event, _)| &event["payload"]["order"]).collect();
    assert_eq!(orders, [1, 2]);
}

#[test]
fn what_makes_no_destination_of_the_file_is_named() {
    let http = || Forward { to: "https://h/in".into(), ..Forward::default() };
    let headers = |name: &str| Some([(name.to_owned(), "x".to_owned())].into());
    for (one, why) in [
        (Forward { name: Some("a/b".into()), ..http() }, "has a name that is none"),
        (Forward { name: Some(String::new()), ..http() }, "has a name that is none"),
        (Forward { start: Some("later".into()), ..http() }, "oldest, now, or an event's id"),
        (Forward { filter: Some(json!({"limit": 3})), ..http() }, "has a filter that is none"),
        (Forward { headers: headers("Host"), ..http() }, "the gateway's own"),
        (Forward { to: "stdout".into(), headers: headers("X"), ..http() }, "only for http"),
    ] {
        let fault = one.destination().expect_err(why).to_string();
        assert!(fault.contains(why), "{fault}");
    }
    let whole = Forward { headers: headers("X-Team"), name: Some("shop.1".into()), ..http() };
    assert_eq!(whole.destination().expect("one").name(), "shop.1");
}
