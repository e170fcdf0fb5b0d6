//! What providers ask before they send: subscriptions of SNS, which are confirmed by a visit; secrets that Asana and
//! Notion bring. Whoever forges such a question, or comes late, makes the gateway go nowhere and take nothing.

use serde_json::{Value, json};

use std::net::TcpStream;
use std::sync::mpsc;

use super::super::{Answer, Served, arrived, exchange, wait};
use super::far::{Far, Said, answer, ok, read};
use super::{CERTIFICATE, TOPIC, hook, message, served, sns};

const CONFIRMED: &str = "hookgate.subscription.confirmed";
const FAILED: &str = "hookgate.subscription.failed";
/// Where a subscription is confirmed.
const VISIT: &str = "sns.us-east-1.amazonaws.com:443 GET /?Action=ConfirmSubscription";

/// One that serves the certificate, and says that to a visit.
fn amazon(visited: impl Fn() -> Said + Send + Sync + 'static) -> Far {
    Far::start(
        move |_, target| {
            if target.contains("Action=") { visited() } else { ok(&read("sns.pem")) }
        },
    )
}

/// The first event of that name.
fn told(served: &Served, name: &str) -> Value {
    wait(name, || {
        let events = arrived(&served.destination());
        events.into_iter().find(|event| event["event"] == name)
    })
}

fn visits(far: &Far) -> usize {
    far.asked().iter().filter(|asked| asked.starts_with(VISIT)).count()
}

#[test]
fn a_subscription_is_confirmed_once_where_amazon_says() {
    let far = amazon(|| ok(b"<ConfirmSubscriptionResponse/>"));
    let served = served(&far);
    let hook = sns(&served);
    let question = message("SubscriptionConfirmation", CERTIFICATE, |_| ()).to_string();
    for _ in 0..2 {
        let answer = served.tell(&hook, &question);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
    }
    let confirmed = told(&served, CONFIRMED);
    let id = format!("prefect-cloud.webhook.{}", hook["id"].as_str().expect("an id"));
    assert_eq!(confirmed["resource"]["prefect.resource.id"], id.as_str());
    assert_eq!(confirmed["payload"], json!({"provider": "aws-sns", "tries": 1}));
    assert_eq!(visits(&far), 1, "{:?}", far.asked());
    assert!(far.asked()[1].ends_with(&format!("&TopicArn={TOPIC}&Token=2336412f37fb")));
    let all = arrived(&served.destination());
    assert!(!json!(all).to_string().contains("2336412f37fb"), "the token is in no event");
    let handshake = all.iter().find(|event| event["payload"]["handshake"] == "aws-sns");
    assert!(handshake.is_some_and(|event| event["resource"]["hookgate.verification"].is_null()));
    let metrics = served.ask("/metrics").text();
    assert!(metrics.contains("hookgate_confirmations_total{outcome=\"taken\"} 1"), "{metrics}");
}

#[test]
fn a_visit_that_fails_is_tried_again() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let far = amazon(move || match tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => answer("302 Found", "location: https://169.254.169.254/\r\n", b""),
        _ => ok(b""),
    });
    let served = served(&far);
    let question = message("SubscriptionConfirmation", CERTIFICATE, |_| ()).to_string();
    assert_eq!(served.tell(&sns(&served), &question).status, 200);
    assert_eq!(told(&served, CONFIRMED)["payload"]["tries"], 2);
    assert!(arrived(&served.destination()).iter().all(|event| event["event"] != FAILED));
    assert_eq!((visits(&far), far.asked().len()), (2, 3), "{:?}", far.asked());
}

#[test]
fn whoever_asks_is_told_yes_only_once_it_is_confirmed_and_asks_again() {
    let far = amazon(|| answer("500 Internal Server Error", "", b""));
    let served = served(&far);
    let hook = sns(&served);
    let question = message("SubscriptionConfirmation", CERTIFICATE, |_| ()).to_string();
    let refused = served.tell(&hook, &question);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.header("hookgate-receipt"), None, "nothing of it is kept");
    let failed = told(&served, FAILED);
    assert_eq!(failed["payload"]["tries"], 2, "{failed}");
    let metrics = served.ask("/metrics").text();
    let line = "hookgate_hook_refusals_total{reason=\"unconfirmed\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    // What its sender sends again is no less a question.
    far.say(|_, _| ok(b""));
    assert_eq!(served.tell(&hook, &question).status, 200);
    assert_eq!(told(&served, CONFIRMED)["payload"]["tries"], 1);
    assert_eq!(visits(&far), 3, "{:?}", far.asked());
}

#[test]
fn a_stop_waits_for_a_visit_and_nobody_is_told_yes_before_it_is_over() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let far = amazon(move || {
        let _ = held.lock().expect("no panic").recv();
        ok(b"")
    });
    let mut served = served(&far);
    let hook = sns(&served);
    // The certificate is here before, so that a visit is all that is waited for.
    assert_eq!(served.tell(&hook, &super::notify(CERTIFICATE)).status, 204);
    let (address, slug) = (served.address(), hook["slug"].as_str().expect("a slug").to_owned());
    let question = message("SubscriptionConfirmation", CERTIFICATE, |_| ()).to_string();
    let asks = std::thread::spawn(move || {
        let path = format!("/hooks/{slug}");
        exchange(address, "POST", &path, &[], question.as_bytes())
    });
    wait("a visit", || (visits(&far) == 1).then_some(()));
    assert!(!asks.is_finished(), "nothing is answered yet");
    std::thread::spawn(move || {
        // The gateway takes nobody new: it is about to stop.
        while TcpStream::connect(address).is_ok() {
            std::thread::yield_now();
        }
        release.send(()).expect("somebody waits");
    });
    served.stop();
    assert_eq!(asks.join().expect("an answer").status, 200);
    served.resume();
    assert_eq!(told(&served, CONFIRMED)["payload"]["tries"], 1);
}

#[test]
fn nobody_is_visited_whom_the_row_does_not_pin() {
    let far = amazon(|| ok(b""));
    let served = served(&far);
    let hook = sns(&served);
    let own = format!("https://{}/?Action=ConfirmSubscription&Token=t", far.server);
    for address in [
        "https://evil.example/?Action=ConfirmSubscription&Token=t",
        "https://sns.us-east-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&Token=t",
        "https://sns.us-east-1.amazonaws.com@evil.example/?Action=ConfirmSubscription&Token=t",
        "https://sns.us-east-1.amazonaws.com:8443/?Action=ConfirmSubscription&Token=t",
        "https://sns.us-east-1.amazonaws.com/x?Action=ConfirmSubscription&Token=t",
        "https://sns.us-east-1.amazonaws.com/?Action=Publish&Token=t",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscriptionX&Token=t",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t#x",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t\r\nx: y",
        "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t",
        "https://169.254.169.254/?Action=ConfirmSubscription&Token=t",
        "",
        &own,
    ] {
        let question = message("SubscriptionConfirmation", CERTIFICATE, |said| {
            said["SubscribeURL"] = address.into();
        });
        let answer = served.tell(&hook, &question.to_string());
        assert_eq!(answer.status, 400, "{address}: {}", answer.text());
    }
    // Without a right signature, or for another topic, it is no question at all.
    let good = message("SubscriptionConfirmation", CERTIFICATE, |_| ());
    let mut forged = good.clone();
    forged["Token"] = "another".into();
    assert_eq!(served.tell(&hook, &forged.to_string()).status, 401);
    let other = message("SubscriptionConfirmation", CERTIFICATE, |said| {
        said["TopicArn"] = "arn:aws:sns:us-east-1:666666666666:orders".into();
    });
    assert_eq!(served.tell(&hook, &other.to_string()).status, 401);
    assert_eq!(far.asked().len(), 1, "{:?}", far.asked());
}

/// Asks as Asana does: its first request brings the secret.
fn bring(served: &Served, hook: &Value, secret: &str) -> Answer {
    let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
    served.send("POST", &path, &[("X-Hook-Secret", secret)], b"{}")
}

fn waiting(served: &Served, provider: &str) -> Value {
    let until = served.clock.now().plus_seconds(600).to_string();
    hook(served, &json!({"provider": provider, "enrol": until}))
}

fn signed(served: &Served, hook: &Value, header: &str, prefix: &str, secret: &str) -> u16 {
    let body = r#"{"events": []}"#;
    let signature = format!("{prefix}{}", super::super::verification::tag(secret, body));
    let path = format!("/hooks/{}", hook["slug"].as_str().expect("a slug"));
    served.send("POST", &path, &[(header, &signature)], body.as_bytes()).status
}

const FIRST: &str = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81";
const LATER: &str = "66666666666666666666666666666666";

#[test]
fn the_first_secret_that_asana_brings_is_kept_said_back_and_seen_by_nobody() {
    let served = Served::start(|_| ());
    let hook = waiting(&served, "asana");
    let id = hook["id"].as_str().expect("an id");
    let shown = || {
        let webhook = served.call("GET", &format!("/webhooks/{id}"), &Value::Null).json();
        webhook["verification"].clone()
    };
    assert!(shown()["enrol"].is_string());
    assert_eq!(signed(&served, &hook, "X-Hook-Signature", "", FIRST), 401);
    assert_eq!(bring(&served, &hook, "short").status, 400);
    let answer = bring(&served, &hook, FIRST);
    assert_eq!((answer.status, answer.header("x-hook-secret")), (200, Some(FIRST)));
    assert_eq!(signed(&served, &hook, "X-Hook-Signature", "", FIRST), 204);
    // A stranger who comes later changes nothing.
    let late = bring(&served, &hook, LATER);
    assert_eq!((late.status, late.header("x-hook-secret")), (401, None));
    assert_eq!(signed(&served, &hook, "X-Hook-Signature", "", LATER), 401);
    let said = shown();
    assert_eq!((said["secrets"].as_array().map(Vec::len), said.get("enrol")), (Some(1), None));
    assert!(!said.to_string().contains(FIRST));
    // Whoever says again what was said before, keeps what came meanwhile.
    let until = served.clock.now().plus_seconds(900).to_string();
    let again = json!({"name": "w", "description": "", "template": super::TEMPLATE,
        "verification": {"provider": "asana", "enrol": until}});
    assert_eq!(served.call("PUT", &format!("/webhooks/{id}"), &again).status, 204);
    assert_eq!(signed(&served, &hook, "X-Hook-Signature", "", FIRST), 204);
    let audit = wait("an audit event", || {
        let events = arrived(&served.destination());
        events.into_iter().find(|event| event["event"] == "prefect-cloud.webhook.updated")
    });
    assert!(audit.to_string().contains("system"), "{audit}");
    served.events(3);
    let all = json!(arrived(&served.destination())).to_string();
    assert!(!all.contains(FIRST) && !all.contains(LATER), "{all}");
}

#[test]
fn a_secret_is_taken_only_while_it_is_waited_for() {
    let served = Served::start(|_| ());
    let late = waiting(&served, "asana");
    served.clock.advance_seconds(600);
    assert_eq!(bring(&served, &late, FIRST).status, 401);
    let unasked = json!({"provider": "asana", "required": false});
    let unasked = hook(&served, &unasked);
    assert_eq!(bring(&served, &unasked, FIRST).header("x-hook-secret"), None);
    let far_off = served.clock.now().plus_seconds(60 * 86_400).to_string();
    let made = hook(&served, &json!({"provider": "asana", "enrol": far_off}));
    let week = served.clock.now().plus_seconds(7 * 86_400).to_string();
    assert_eq!(made["verification"]["enrol"], week);
    for (verification, part) in [
        (json!({"provider": "github", "enrol": week}), "brings no secret"),
        (json!({"provider": "asana", "enrol": "soon"}), "until when"),
        (json!({"provider": "asana", "enrol": week, "secrets": [FIRST]}), "it has a secret"),
        (json!({"provider": "asana"}), "secret"),
    ] {
        let made = json!({"name": "w", "template": super::TEMPLATE, "verification": verification});
        let answer = served.call("POST", "/webhooks/", &made);
        assert_eq!((answer.status, answer.text().contains(part)), (422, true), "{part}");
    }
    let all = json!(arrived(&served.destination())).to_string();
    assert!(!all.contains(FIRST), "{all}");
}

#[test]
fn of_many_secrets_at_once_one_is_kept_and_only_its_bringer_is_answered() {
    let served = Served::start(|_| ());
    let hook = waiting(&served, "asana");
    let secrets: Vec<String> = (0..8).map(|number| format!("secret-{number}-{FIRST}")).collect();
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let mut all = Vec::new();
        for secret in &secrets {
            all.push(scope.spawn(|| bring(&served, &hook, secret).status));
        }
        all.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    let taken: Vec<usize> = (0..8).filter(|place| answers[*place] == 200).collect();
    assert_eq!(taken.len(), 1, "{answers:?}");
    for (place, secret) in secrets.iter().enumerate() {
        let status = signed(&served, &hook, "X-Hook-Signature", "", secret);
        assert_eq!(status, if taken == [place] { 204 } else { 401 });
    }
}

#[test]
fn the_token_of_notion_is_the_secret_and_its_owner_finds_it_in_the_kept_request() {
    let served = Served::start(|_| ());
    let hook = waiting(&served, "notion");
    let body = json!({"verification_token": FIRST}).to_string();
    assert_eq!(served.tell(&hook, &body).status, 200);
    assert_eq!(signed(&served, &hook, "X-Notion-Signature", "sha256=", FIRST), 204);
    let other = json!({"verification_token": LATER}).to_string();
    assert_eq!(served.tell(&hook, &other).status, 401);
    served.events(3);
    assert!(!json!(arrived(&served.destination())).to_string().contains(FIRST));
}
