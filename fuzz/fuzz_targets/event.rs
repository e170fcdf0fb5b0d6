//! Rendered text to event, and what clients publish. In: a text. Holds, by a second parser's word: whatever is
//! accepted keeps every rule of an event that the downstream server has, says what the text said, is one line, and is
//! accepted again as it is.
#![no_main]

use hookgate::clock::Time;
use hookgate::event::{
    DRAFT_MAX_BYTES, Draft, DraftError, EVENT_MAX_BYTES, Event, LABELS_MAX, NAME_MAX_CHARS,
    RELATED_MAX, RESOURCE_ID_MAX_BYTES, Reject, Stamp, is_reserved, publish,
};
use hookgate::id::Uuid;
use hookgate_fuzz::tree::Tree;
use libfuzzer_sys::fuzz_target;

const KEYS: [&str; 7] = ["occurred", "event", "resource", "related", "payload", "id", "follows"];
const ID: &str = "00000000-0000-0000-0000-000000000007";
const FOLLOWS: &str = "00000000-0000-0000-0000-000000000008";
const RECEIVED: &str = "1970-01-01T00:00:01Z";
const WEBHOOK: &str =
    r#"{"prefect.resource.id":"prefect-cloud.webhook.1","prefect.resource.role":"webhook"}"#;
const DEFAULT_PAYLOAD: &str = r#"{"method":"POST","headers":{},"body":"a\u0000b"}"#;
/// What the downstream server keeps, all levels of an event counted.
const DEPTH_MAX: u32 = 191;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    published(text);
    match event(text) {
        Ok((event, own_id)) => {
            let tree = keeps_the_rules(&event);
            says_the_same(text, &tree, own_id);
            is_accepted_again(&event);
        }
        Err(fault) => {
            assert!(!fault.what.is_empty() && fault.what.len() < 2000);
            let is_json = Tree::read(text).is_some();
            assert_eq!(fault.reject == Reject::Json, !is_json && fault.reject != Reject::TooLarge);
            assert!(fault.pointer.is_none_or(|at| at.is_empty() || at.starts_with('/')));
        }
    }
});

/// What is published is canonical: it is taken again, and becomes the same.
fn published(text: &str) {
    match publish(text, false) {
        Ok(event) => {
            let json = std::str::from_utf8(&event.json).expect("an event is text");
            assert!(json.len() <= EVENT_MAX_BYTES && !json.contains(['\n', '\r', '\0']));
            let tree = Tree::read(json).expect("an event is JSON");
            let Tree::Object(members) = &tree else { panic!("an event is an object") };
            assert!(
                members.iter().map(|(key, _)| key).eq(KEYS.iter()),
                "seven keys in their order"
            );
            assert!(tree.extent().0 <= DEPTH_MAX);
            has_no_nul_and_sound_numbers(&tree);
            assert_eq!(publish(json, false).as_ref(), Ok(&event), "published again");
            let more = publish(text, true).expect("allowed more");
            let kept = |tree: Option<&Tree>| match tree.and_then(|tree| tree.get("related")) {
                Some(Tree::Array(related)) => related.len(),
                _ => 0,
            };
            let given = Tree::read(text);
            // Only what claims to be a record of the gateway's own makes a difference.
            assert!(more == event || kept(Some(&tree)) < kept(given.as_ref()), "allowed more");
        }
        Err(faults) => {
            assert!((1..=KEYS.len()).contains(&faults.len()), "{faults:?}");
            let sized = |fault: &DraftError| !fault.what.is_empty() && fault.what.len() < 2000;
            assert!(faults.iter().all(sized), "{faults:?}");
        }
    }
}

fn event(text: &str) -> Result<(Event, bool), DraftError> {
    let stamp = Stamp {
        id: Uuid::from_u128(7),
        received: Time::from_micros(1_000_000),
        follows: Uuid::from_u128(8),
        webhook: WEBHOOK,
        payload: &|| DEFAULT_PAYLOAD.to_owned(),
    };
    Draft::read(text)?.event(&stamp)
}

fn keeps_the_rules(event: &Event) -> Tree {
    let json = std::str::from_utf8(&event.json).expect("an event is text");
    assert!(json.len() <= DRAFT_MAX_BYTES && !json.contains(['\n', '\r', '\0']));
    let tree = Tree::read(json).expect("an event is JSON");
    let Tree::Object(members) = &tree else { panic!("an event is an object") };
    assert!(members.iter().map(|(key, _)| key).eq(KEYS.iter()), "seven keys in their order");
    assert!(tree.extent().0 <= DEPTH_MAX);
    has_no_nul_and_sound_numbers(&tree);

    let text = |key| tree.get(key).and_then(Tree::text).expect("a string");
    let moment = Time::parse(text("occurred")).expect("a moment");
    assert!(moment.to_string() == text("occurred") && text("occurred").len() <= 27);
    let name = text("event");
    assert!(!name.is_empty() && name.chars().count() <= NAME_MAX_CHARS && !is_reserved(name));
    for key in ["id", "follows"] {
        let id = Uuid::try_parse(text(key)).expect("a UUID");
        assert_eq!(id.hyphenated().to_string(), text(key));
    }
    assert_eq!(text("id"), event.id.to_string());

    is_resource(tree.get("resource").expect("a resource"), false);
    let Some(Tree::Array(related)) = tree.get("related") else { panic!("related is an array") };
    assert!(related.len() <= RELATED_MAX && related.last() == Tree::read(WEBHOOK).as_ref());
    related.iter().for_each(|resource| is_resource(resource, true));
    assert!(matches!(tree.get("payload"), Some(Tree::Object(_))));
    tree
}

fn is_resource(resource: &Tree, is_related: bool) {
    let Tree::Object(labels) = resource else { panic!("a resource is an object") };
    assert!(labels.len() <= LABELS_MAX);
    for (place, (label, value)) in labels.iter().enumerate() {
        assert!(value.text().is_some(), "a label is a string");
        assert!(labels[..place].iter().all(|(earlier, _)| earlier != label), "{label} twice");
    }
    let id = resource.get("prefect.resource.id").and_then(Tree::text).expect("an id");
    assert!(!id.is_empty() && id.len() <= RESOURCE_ID_MAX_BYTES);
    let role = resource.get("prefect.resource.role").and_then(Tree::text);
    assert!(!is_related || role.is_some_and(|role| !role.is_empty()));
}

fn has_no_nul_and_sound_numbers(tree: &Tree) {
    match tree {
        Tree::Text(text) => assert!(!text.contains('\0')),
        Tree::Number(digits) if digits.contains(['.', 'e', 'E']) => {
            assert!(digits.parse().is_ok_and(f64::is_finite), "{digits}");
        }
        Tree::Number(digits) => assert!(digits.len() <= 400),
        Tree::Array(items) => items.iter().for_each(has_no_nul_and_sound_numbers),
        Tree::Object(members) => members.iter().for_each(|(name, value)| {
            assert!(!name.contains('\0'));
            has_no_nul_and_sound_numbers(value);
        }),
        Tree::Null | Tree::Bool(_) => {}
    }
}

/// What the template gave is there, U+0000 replaced; what it did not give comes from the stamp.
fn says_the_same(text: &str, event: &Tree, own_id: bool) {
    let draft = Tree::read(text).expect("an accepted text is JSON");
    let said = |key| event.get(key).and_then(Tree::text).expect("a string");
    assert_eq!(draft.get("event").map(without_nul).as_ref(), event.get("event"));
    let payload = draft.get("payload").cloned().or_else(|| Tree::read(DEFAULT_PAYLOAD));
    assert_eq!(payload.as_ref().map(without_nul).as_ref(), event.get("payload"));

    assert_eq!(draft.get("id").is_some(), own_id);
    let id = |key, otherwise: &str| match draft.get(key) {
        None | Some(Tree::Null) => assert_eq!(said(key), otherwise),
        Some(given) => {
            let bare = |text: &str| text.replace('-', "").to_lowercase();
            assert_eq!(bare(given.text().expect("a string")), bare(said(key)));
        }
    };
    id("id", ID);
    id("follows", FOLLOWS);
    if draft.get("occurred").is_none() {
        assert_eq!(said("occurred"), RECEIVED);
    }

    let resource = draft.get("resource").map(|labels| last_of_each(&without_nul(labels)));
    assert_eq!(resource.as_ref(), event.get("resource"));
    let given = match draft.get("related") {
        Some(Tree::Array(given)) => &given[..],
        _ => &[],
    };
    let Some(Tree::Array(related)) = event.get("related") else { panic!("related is an array") };
    let (webhook, mut kept) = related.split_last().expect("the webhook is added");
    assert_eq!(Tree::read(WEBHOOK).as_ref(), Some(webhook));
    for given in given {
        match kept.split_first() {
            Some((first, rest)) if last_of_each(&without_nul(given)) == *first => kept = rest,
            // Only what claims to be a record of the gateway's own is left out.
            _ => {
                let id = last_of_each(given);
                let id = id.get("prefect.resource.id").and_then(Tree::text).expect("an id");
                assert!(is_reserved(&id.replace('\0', "")), "{id}");
            }
        }
    }
    assert!(kept.is_empty());
}

fn without_nul(tree: &Tree) -> Tree {
    let clean = |text: &str| text.replace('\0', "\u{FFFD}");
    match tree {
        Tree::Text(text) => Tree::Text(clean(text)),
        Tree::Array(items) => Tree::Array(items.iter().map(without_nul).collect()),
        Tree::Object(members) => {
            let member = |(name, value): &(String, Tree)| (clean(name), without_nul(value));
            Tree::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

/// Of a doubled name the last, where it stands.
fn last_of_each(labels: &Tree) -> Tree {
    let Tree::Object(labels) = labels else { panic!("labels are an object") };
    let last = labels
        .iter()
        .enumerate()
        .filter(|(place, (name, _))| labels[place + 1..].iter().all(|(later, _)| later != name));
    Tree::Object(last.map(|(_, label)| label.clone()).collect())
}

/// As a sender's pass-through would bring it again, the webhook taken out.
fn is_accepted_again(first: &Event) {
    let json = std::str::from_utf8(&first.json).expect("an event is text");
    let (front, behind) =
        json.split_once(&format!("{WEBHOOK}],\"payload\":")).expect("the webhook");
    let again = format!("{}],\"payload\":{behind}", front.trim_end_matches(','));
    let (second, own_id) = event(&again).expect("an event is a draft");
    assert!(own_id && second == *first, "{json}\n{}", String::from_utf8_lossy(&second.json));
}
