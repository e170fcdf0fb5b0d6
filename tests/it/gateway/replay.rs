//! Kept requests made events of again: what failed gets one event however often, what did not is sent again as it was,
//! and a draft is compared before it is saved.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::destinations::serve;
use super::{Served, wait};

const BROKEN: &str = r#"{"event": "shop.paid", "resource": {"id": "{{ body.number }}"}}"#;
const MENDED: &str =
    r#"{"event": "shop.paid", "resource": {"prefect.resource.id": "order.{{ body.number }}"}}"#;
const EARLIER: &str = "2026-11-23T22:00:00Z";
const WHEN: &str = "2026-11-23T22:52:30.837791Z";

impl Served {
    fn save(&self, hook: &Value, template: &str) {
        let path = format!("/webhooks/{}", hook["id"].as_str().expect("an id"));
        let body = json!({"name": "a hook", "template": template});
        assert_eq!(self.call("PUT", &path, &body).status, 204);
    }

    /// What arrived at the destination under a name.
    fn named(&self, name: &str) -> Vec<Value> {
        let all = super::arrived(&self.destination());
        all.into_iter().filter(|event| event["event"] == name).collect()
    }
}

#[test]
fn one_command_heals_a_thousand_failures_and_a_second_one_adds_none() {
    let served = Served::start(|_| ());
    let hook = served.webhook(BROKEN);
    let mut receipts = HashSet::new();
    for number in 0..1000 {
        let answer = served.post(&hook, &format!("{{\"number\": {number}}}"));
        assert_eq!(answer.status, 400);
        receipts.insert(answer.receipt().to_owned());
    }
    served.clock.advance_seconds(3600);
    served.save(&hook, MENDED);
    let replay = ["replay", "--status", "failed", "--since", EARLIER];
    // The index steps back for everybody else: on a busy machine it takes its time.
    let counted = |_| served.answered(&[&replay[..], &["--dry-run"]].concat());
    assert!((0..20).map(counted).any(|counted| counted == "1000 would be replayed\n"));
    let said = served.answered(&replay);
    assert_eq!(said, "1000 requests, 1000 events kept\n");
    let healed = wait("1000 events", || {
        Some(served.named("shop.paid")).filter(|events| events.len() >= 1000)
    });
    assert_eq!(served.answered(&replay), "1000 requests, 0 events kept, 1000 had their event\n");
    // What comes last arrives last.
    assert_eq!(served.post(&hook, "{\"number\": 1000}").status, 204);
    let all = wait("the last event", || {
        let events = served.named("shop.paid");
        let is_last = |event: &Value| event["resource"]["prefect.resource.id"] == "order.1000";
        events.iter().any(is_last).then_some(events)
    });
    assert_eq!(all.len(), 1001);
    let of = |key: &str| -> HashSet<String> {
        healed.iter().map(|event| event[key].as_str().expect(key).to_owned()).collect()
    };
    assert_eq!(of("id").len(), 1000);
    assert_eq!(of("follows"), receipts, "each follows its own request");
    assert_eq!(of("occurred"), HashSet::from([WHEN.to_owned()]), "when the request came");
    let told = served.named("hookgate.request.replayed");
    for (name, all) in [("matched", 1000), ("emitted", 1000), ("known", 0), ("failing", 0)] {
        let count = |event: &Value| event["payload"][name].as_u64().expect("a count");
        assert_eq!(told.iter().map(count).sum::<u64>(), all, "{name}");
    }
    assert_eq!(told[0]["related"][0]["prefect.resource.role"], "actor");
}

#[test]
fn what_did_not_fail_is_sent_again_under_its_own_id() {
    let served = Served::start(|_| ());
    let hook = served.webhook(MENDED);
    for number in 0..3 {
        served.post(&hook, &format!("{{\"number\": {number}, \"kind\": \"k{number}\"}}"));
    }
    let first =
        wait("three events", || Some(served.named("shop.paid")).filter(|events| events.len() == 3));
    served.kept(3);
    let replay = ["replay", "--webhook", "a hook", "--status", "ok"];
    let where_ = ["--where", "body.number > 0 and body.kind == 'k2'"];
    let (code, said) = served.refused(&replay, &served.key);
    assert!(code == 2 && said.contains("--yes"), "{code}: {said}");
    let said = served.answered(&[&replay[..], &where_, &["--yes", "-o", "json"]].concat());
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&told["matched"], &told["emitted"]), (&json!(1), &json!(1)), "{told}");
    let again =
        wait("it once more", || Some(served.named("shop.paid")).filter(|events| events.len() == 4));
    assert_eq!(again[3], first[2], "byte by byte the same");
    let fails = ["--where", "body.number + body.kind == 1", "--yes"];
    let (code, said) = served.refused(&[&replay[..], &fails].concat(), &served.key);
    assert!(code == 8 && said.contains("3 left out, for --where fails on them"), "{code}: {said}");
    let printed = served.answered(&[&replay[..], &["--render-only"]].concat());
    assert_eq!(printed.lines().count(), 3, "{printed}");
    let (code, said) = served.refused(&["replay", "--where", "body.("], &served.key);
    assert!(code == 1 && said.contains("422"), "{code}: {said}");
    let (_, said) = served.refused(&["replay", "--where", "body.seq =="], &served.key);
    assert!(said.contains("where") && said.contains("found its end"), "{said}");
    assert!(!said.contains("template") && !said.contains(')'), "{said}");
    served.save(&hook, BROKEN);
    let (code, said) = served.refused(&[&replay[..], &["--yes"]].concat(), &served.key);
    assert!(code == 8 && said.contains("3 fail still"), "{code}: {said}");
    assert!(said.contains("prefect.resource.id"), "it says why: {said}");
}

#[test]
fn a_replay_goes_on_where_its_file_says() {
    let served = Served::start(|_| ());
    let hook = served.webhook(BROKEN);
    for number in 0..4 {
        served.post(&hook, &format!("{{\"number\": {number}}}"));
    }
    served.save(&hook, MENDED);
    served.kept(4);
    let file = served.folder.join("replay.json");
    let body = json!({"status": "failed", "limit": 3});
    let slice = served.call("POST", "/requests/replay", &body);
    let after = slice.json()["after"].as_str().expect("more").to_owned();
    let place = json!({
        "workspace": format!("http://{}{}", served.address(), served.api),
        "question": {"status": "failed", "mode": "emit", "where": null, "webhook_id": null,
            "since": null, "until": null, "after": after},
        "typed": {"since": null, "until": null},
        "tally": {"matched": 3, "emitted": 3, "known": 0, "failing": 0, "gone": 0, "refused": 0},
    });
    fs::write(&file, place.to_string()).expect("a file");
    let name = file.to_str().expect("a path");
    let other = ["replay", "--status", "all", "--yes", "--resume", name];
    let (code, said) = served.refused(&other, &served.key);
    assert!(code == 2 && said.contains("another replay"), "{code}: {said}");
    let other = ["replay", "--since", "2h", "--resume", name];
    let (code, said) = served.refused(&other, &served.key);
    assert!(code == 2 && said.contains("--since nothing"), "{code}: {said}");
    assert_eq!(served.answered(&["replay", "--resume", name]), "4 requests, 4 events kept\n");
    assert!(!file.exists(), "it is done");
}

#[test]
fn events_are_posted_elsewhere_at_a_pace() {
    let served = Served::start(|_| ());
    let (hook, other) = (served.webhook(BROKEN), served.webhook(MENDED));
    for number in 0..25 {
        served.post(&hook, &format!("{{\"number\": {number}}}"));
    }
    served.save(&hook, MENDED);
    served.kept(25);
    let post = |slug: &str, more: &[&str]| {
        let to = format!("http://{}/hooks/{slug}", served.address());
        let id = hook["id"].as_str().expect("an id");
        let replay = ["replay", "--webhook", id, "--to", &to];
        served.refused(&[&replay[..], more].concat(), &served.key)
    };
    let (code, said) = post("nobody", &[]);
    assert!(code == 8 && said.contains("0 events taken, 25 refused"), "{code}: {said}");
    let slug = other["slug"].as_str().expect("a slug");
    let before = Instant::now();
    let (code, said) = post(slug, &["--rate", "20/s"]);
    assert_eq!((code, &*said), (0, "25 requests, 25 events taken, 0 refused\n"));
    assert!(before.elapsed().as_secs_f64() >= 1.0, "20 in the first second");
    served.kept(50);
    assert_eq!(served.named("hookgate.request.replayed").len(), 0, "nothing was kept here");
}

#[test]
fn a_replay_goes_to_one_destination_as_that_is_set_up() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let (address, taken) = serve(&served, &Arc::default());
    let hook = served.webhook(MENDED);
    for number in 0..30 {
        served.post(&hook, &format!("{{\"number\": {number}}}"));
    }
    served.save(&hook, BROKEN);
    served.post(&hook, "{\"number\": 30}");
    served.save(&hook, MENDED);
    served.kept(31);
    let key_file = served.folder.join("bearer");
    fs::write(&key_file, "tok-of-crm\n").expect("a file");
    let (to, key_file) = (format!("http://{address}/in"), key_file.display().to_string());
    let create = ["destination", "create", "crm", &to, "--bearer-file", &key_file];
    served.answered(&[&create[..], &["--event", "nothing.at.all", "--rate", "50/s"]].concat());
    let replay = ["replay", "--status", "all", "--since", EARLIER, "--to"];
    let (code, said) = served.refused(&[&replay[..], &["crn"]].concat(), &served.key);
    assert!(code == 5 && said.contains("\"crn\": there are crm"), "{code}: {said}");
    assert!(said.contains("an address has ://") && said.contains("operator's"), "{said}");
    let (code, said) = served.refused(&["parked", "ls", "crn"], &served.key);
    assert!(code == 5 && said.contains("`hookgate parked ls --data DIR`"), "{code}: {said}");
    let before = Instant::now();
    let said = served.answered(&[&replay[..], &["crm"]].concat());
    assert_eq!(said, "31 requests, 31 events on their way to the destination\n");
    let came = wait("all of them", || {
        let taken = taken.lock().expect("a list").clone();
        (taken.len() >= 31).then_some(taken)
    });
    // The pace gives a burst first.
    assert!(came.iter().all(|(_, bearer)| bearer == "Bearer tok-of-crm"), "{came:?}");
    let ids: HashSet<String> = came.iter().map(|(event, _)| event["id"].to_string()).collect();
    assert!(ids.len() == 31 && came.len() == 31, "{} in {:?}", came.len(), before.elapsed());
    wait("nothing lies there", || {
        served.answered(&["parked", "ls", "crm"]).is_empty().then_some(())
    });
    // Who did it is told; what was never an event is none but there.
    let told = wait("word of it", || {
        Some(served.named("hookgate.request.replayed")).filter(|told| !told.is_empty())
    });
    assert_eq!(told[0]["payload"]["destination"]["name"], "crm");
    assert_eq!(told[0]["payload"]["emitted"], 31);
    assert_eq!(served.named("shop.paid").len(), 30);
    // By its id, one that is off.
    let id = served.call("GET", "/destinations", &Value::Null).json()[0]["id"].clone();
    served.answered(&["destination", "update", "crm", "--disable"]);
    let off = [&replay[..], &[id.as_str().expect("an id")]].concat();
    let (code, said) = served.refused(&off, &served.key);
    assert!(code == 1 && said.contains("disabled"), "{code}: {said}");
    let none = json!({"mode": "send"});
    assert_eq!(served.call("POST", "/requests/replay", &none).status, 422);
}

#[test]
fn what_lies_parked_for_a_person_keeps_no_replay_waiting_and_what_is_waited_for_is_said() {
    let served = Served::start(|config| config.egress.allow = vec!["127.0.0.0/8".into()]);
    let (address, taken) = serve(&served, &Arc::default());
    let hook = served.webhook(MENDED);
    served.post(&hook, "{\"number\": 1}");
    served.kept(1);
    let to = format!("http://{address}/in");
    served.answered(&["destination", "create", "crm", &to, "--event", "nothing.at.all"]);
    let id = served.call("GET", "/destinations", &Value::Null).json()[0]["id"].clone();
    let id = id.as_str().expect("an id").replace('-', "");
    let shelf = served.config.server.data.join("parked.db");
    let shelf = rusqlite::Connection::open(shelf).expect("the shelf");
    // More than half of what may lie there.
    let lay = |standing: u8| {
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
             INSERT INTO aside (destination, name, key, standing, id, account, workspace, received, parked, reason,
                 attempts, answer, json)
             SELECT x'{id}', 'crm', randomblob(16), {standing}, randomblob(16), zeroblob(16), zeroblob(16), 0, 0,
                 'no', 1, NULL, x'7b7d' FROM n"
        );
        assert_eq!(shelf.execute(&sql, []).expect("events"), 6000);
    };
    let replay = ["replay", "--status", "all", "--since", EARLIER, "--to", "crm"];
    lay(0);
    let (code, said) = served.refused(&replay, &served.key);
    assert_eq!((code, &*said), (0, "1 requests, 1 events on their way to the destination\n"));
    wait("the event", || (taken.lock().expect("a list").len() == 1).then_some(()));
    served.answered(&["destination", "pause", "crm"]);
    shelf.execute("DELETE FROM aside", []).expect("room");
    lay(2);
    let (_, said) = std::thread::scope(|scope| {
        let replayed = scope.spawn(|| served.refused(&replay, &served.key));
        std::thread::sleep(std::time::Duration::from_secs(2));
        shelf.execute("DELETE FROM aside", []).expect("room");
        replayed.join().expect("an end")
    });
    let word = "waiting for the destination: as much is on its way to it as may be (6000 events)";
    assert!(said.contains(word), "{said}");
}

#[test]
fn a_draft_is_compared_over_what_was_kept() {
    let served = Served::start(|_| ());
    let hook = served.webhook(MENDED);
    for number in 0..20 {
        served.post(&hook, &format!("{{\"number\": {number}}}"));
    }
    served.kept(20);
    let draft = served.folder.join("draft.j2");
    let name = draft.to_str().expect("a path").to_owned();
    let compare = |template: &str, more: &[&str]| {
        fs::write(&draft, template).expect("a draft");
        let diff = ["replay", "--webhook", "a hook", "--diff", &name];
        served.refused(&[&diff[..], more].concat(), &served.key)
    };
    let (code, said) = compare(MENDED, &[]);
    assert_eq!((code, &*said), (0, "20 requests: 20 identical\n"));
    let changed = MENDED.replace("shop.paid", "shop.{{ 'paid' if body.number > 4 else 'free' }}");
    let (code, said) = compare(&changed, &["--last", "18"]);
    assert!(code == 1 && said.ends_with("18 requests: 15 identical, 3 changed\n"), "{said}");
    assert!(said.contains("    /event\n"), "{said}");
    let (code, said) = compare(BROKEN, &["-o", "json"]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &told["newly_failing"]), (1, &json!(20)), "{told}");
    let example = &told["examples"][0];
    assert_eq!(example["before"]["event"]["event"], "shop.paid");
    assert_eq!(example["after"]["error_type"], "invalid-event");
    let count = |said: &str| said.matches("  newly failing").count();
    let (_, said) = compare(BROKEN, &[]);
    assert_eq!(count(&said), 5, "{said}");
    assert!(said.contains("\n… and 15 more; --examples 20 shows all\n"), "{said}");
    let (code, said) = compare(BROKEN, &["--examples", "20"]);
    assert_eq!((code, count(&said), said.contains("more")), (1, 20, false), "{said}");
    let (code, said) = compare("{% if %}", &[]);
    assert!(code == 1 && said.contains("422"), "{code}: {said}");
    let sent = wait("twenty events", || {
        Some(served.named("shop.paid")).filter(|events| events.len() >= 20)
    });
    assert_eq!(sent.len(), 20, "nothing was sent");
}

#[test]
fn what_is_of_no_use_is_refused_before_anything_is_done() {
    let served = Served::start(|_| ());
    let hook = served.webhook(BROKEN);
    served.post(&hook, "{\"number\": 1}");
    served.kept(1);
    let (code, said) = served.refused(&["replay", "--last", "5"], &served.key);
    assert!(code == 2 && said.contains("--last") && said.contains("--diff"), "{code}: {said}");
    for command in [
        &["replay"][..],
        &["request", "ls"],
        &["event", "ls"],
        &["audit", "ls"],
        &["limit", "usage"],
    ] {
        let span = ["--since", WHEN, "--until", EARLIER];
        let (code, said) = served.refused(&[command, &span].concat(), &served.key);
        let names = said.contains("--since") && said.contains("--until");
        assert!(code == 2 && names && said.contains("later"), "{command:?} {code}: {said}");
    }
    let (code, said) = served.refused(&["replay"], &served.key);
    assert_eq!((code, said.matches("1 fail still").count()), (8, 1), "{said}");
    let place = served.folder.join("nowhere/place.json");
    served.save(&hook, MENDED);
    let resume = ["replay", "--resume", place.to_str().expect("a path")];
    let (code, said) = served.refused(&resume, &served.key);
    assert!(code == 3 && said.contains("the place cannot be kept there"), "{code}: {said}");
    fs::create_dir(place.parent().expect("a folder")).expect("a folder");
    assert_eq!(served.answered(&resume), "1 requests, 1 events kept\n", "nothing was done before");
    let left = fs::read_dir(place.parent().expect("a folder")).expect("a folder");
    assert_eq!(left.count(), 0, "no file is left");
}

#[test]
fn nothing_behind_until_is_listed_replayed_or_compared() {
    const BETWEEN: &str = "2026-11-23T23:30:00Z";
    let served = Served::start(|_| ());
    let hook = served.webhook(BROKEN);
    let post = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            assert_eq!(served.post(&hook, &format!("{{\"number\": {number}}}")).status, 400);
        }
    };
    post(0..2);
    served.clock.advance_seconds(3600);
    post(2..5);
    served.save(&hook, MENDED);
    served.kept(5);
    for (more, count) in [
        (&[][..], 5),
        (&["--until", BETWEEN], 2),
        (&["--until", WHEN], 2),
        (&["--until", EARLIER], 0),
        (&["--since", BETWEEN], 3),
        (&["--since", EARLIER, "--until", BETWEEN], 2),
        (&["--since", BETWEEN, "--until", "2026-11-23T23:40:00Z"], 0),
    ] {
        let list = ["request", "ls", "-o", "ndjson"];
        let said = served.answered(&[&list[..], more].concat());
        assert_eq!(said.lines().count(), count, "{more:?}: {said}");
        let counted = served.answered(&[&["replay", "--dry-run"], more].concat());
        assert_eq!(counted, format!("{count} would be replayed\n"), "{more:?}");
    }
    let draft = served.folder.join("draft.j2");
    fs::write(&draft, MENDED).expect("a draft");
    let diff = ["replay", "--webhook", "a hook", "--diff", draft.to_str().expect("a path")];
    let said = served.answered(&[&diff[..], &["--until", BETWEEN]].concat());
    assert_eq!(said, "2 requests: 2 identical\n");
    let replay = |until: &str| served.answered(&["replay", "--until", until]);
    assert_eq!(replay(EARLIER), "0 requests, 0 events kept\n");
    assert_eq!(replay(BETWEEN), "2 requests, 2 events kept\n");
    let healed =
        wait("two events", || Some(served.named("shop.paid")).filter(|events| events.len() >= 2));
    let resources: HashSet<_> =
        healed.iter().map(|event| event["resource"]["prefect.resource.id"].clone()).collect();
    assert_eq!(resources, HashSet::from([json!("order.0"), json!("order.1")]));
    let said = replay("2026-11-24T00:00:00Z");
    assert_eq!(said, "5 requests, 3 events kept, 2 had their event\n");
}

#[test]
fn an_index_that_stands_still_is_waited_for_and_named() {
    let served = Served::start(|_| ());
    let hook = served.webhook(BROKEN);
    served.post(&hook, "{\"number\": 0}");
    let replay = ["replay", "--status", "failed", "--since", EARLIER];
    let (_, said) = served.refused(&[&replay[..], &["--dry-run"]].concat(), &served.key);
    assert!(said.contains("0 would be replayed, 1 fail still"), "{said}");
    let index = served.config.server.data.join("feed.db");
    let other = rusqlite::Connection::open(index).expect("the index");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let last = served.post(&hook, "{\"number\": 1}").receipt().to_owned();
    let (code, said) = served.refused(&["explain", &last], &served.key);
    assert!(code == 1 && said.contains("The index of events is 1 frames behind"), "{code}: {said}");
    let (code, said) = served.refused(&replay, &served.key);
    assert!(code == 7 && said.contains("nothing was replayed"), "{code}: {said}");
    assert!(said.contains("waiting for the index of events, 1 frames behind"), "{said}");
    let ready = served.ask("/readyz");
    let told = ready.json();
    assert_eq!((ready.status, &told["index"]["frames_behind"]), (200, &json!(1)), "{told}");
    let degraded = told["degraded"].to_string();
    assert!(degraded.contains("stands still, 1 frames behind"), "{told}");
    assert!(degraded.contains("delete feed.db"), "it says the way out: {told}");
    served.save(&hook, MENDED);
    let said = std::thread::scope(|scope| {
        let replayed = scope.spawn(|| served.answered(&replay));
        std::thread::sleep(std::time::Duration::from_secs(2));
        other.execute_batch("ROLLBACK").expect("no lock");
        replayed.join().expect("an end")
    });
    assert_eq!(said, "2 requests, 2 events kept\n");
    let told = served.ask("/readyz").json();
    assert_eq!(told["degraded"], json!([]), "{told}");
}
