//! Audit events of the control plane (contract 6). In: who changed what, before and after, the moment and an id. Out:
//! the event, ready for the outbox. Never a secret, never a field the table calls one.

use serde_json::{Map, Value, json};

use super::mask::mask;
use super::{
    ACCOUNT, Action, Field, Kind, Notice, Number, OWN_PREFIX, REQUEST, Scope, Shape, Values,
    WORKSPACE, is_id,
};
use crate::clock::Time;
use crate::event::{self, Event};
use crate::id::Uuid;

/// Longest value of an update, in bytes of its JSON text; a longer one is cut.
const VALUE_MAX_BYTES: usize = 4 << 10;

/// Whoever owns something, as events name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The record's id.
    pub id: Uuid,
    /// Display name.
    pub name: String,
    /// Lower-case handle.
    pub handle: String,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The actor's own id, not the user's or service account's.
    pub id: Uuid,
    /// Display name.
    pub name: String,
    /// Lower-case handle.
    pub handle: String,
    /// E-mail address; empty for who has none.
    pub email: String,
}

impl Actor {
    /// Who acts when nobody asked.
    #[must_use]
    pub fn system() -> Self {
        let name = "system".to_owned();
        Self { id: Uuid::nil(), handle: name.clone(), name, email: String::new() }
    }
}

/// Who acted, and where.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Who acted.
    pub actor: Actor,
    /// The account.
    pub account: Party,
    /// The workspace, for kinds that live in one.
    pub workspace: Option<Party>,
}

/// The record an event is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: &'static Kind,
    /// Its id.
    pub id: Uuid,
    /// What it holds; after the change, when it was one.
    pub fields: &'a Values,
    /// What else belongs in the picture, beside what the fields relate.
    pub beside: &'a [Beside],
}

/// Something else an event relates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Its part in the event.
    pub role: &'static str,
    /// The kind of what it is.
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
}

/// A record was made.
#[must_use]
pub fn created(scene: &Scene, subject: Subject<'_>, occurred: Time, id: Uuid) -> Event {
    compose(scene, subject, "created", &whole(subject.kind, subject.fields), occurred, id)
}

/// A record is gone.
#[must_use]
pub fn deleted(scene: &Scene, subject: Subject<'_>, occurred: Time, id: Uuid) -> Event {
    compose(scene, subject, "deleted", &whole(subject.kind, subject.fields), occurred, id)
}

/// Fields of a record changed; `before` is what it held until then.
#[must_use]
pub fn updated(
    scene: &Scene,
    subject: Subject<'_>,
    before: &Values,
    occurred: Time,
    id: Uuid,
) -> Event {
    let fields = changed(subject.kind, before, subject.fields);
    let mut updates = Map::new();
    for field in &fields {
        let change = difference(field, before, subject.fields);
        updates.insert(field.name.to_owned(), change);
    }
    let names: Vec<_> = fields.iter().map(|field| field.name).collect();
    let payload = json!({ "updated_fields": names, "updates": updates });
    compose(scene, subject, "updated", &payload, occurred, id)
}

/// Something of the kind's own happened to a record; `tells` is what there is to say.
#[must_use]
pub fn told(
    scene: &Scene,
    subject: Subject<'_>,
    action: &str,
    tells: &Value,
    occurred: Time,
    id: Uuid,
) -> Event {
    compose(scene, subject, action, tells, occurred, id)
}

/// Something happened in an account that is no record's; `tells` is what there is to say.
#[must_use]
pub fn noted(scene: &Scene, notice: &Notice, tells: &Value, occurred: Time, id: Uuid) -> Event {
    let account = &scene.account;
    let resource = labels(&resource_id(ACCOUNT.name, account.id), "", &account.name, &[]);
    write(scene, &notice.event(), &resource, Vec::new(), tells, (occurred, id))
}

/// Somebody did something with requests of a workspace; `tells` is what there is to say.
#[must_use]
pub fn operated(scene: &Scene, action: &Action, tells: &Value, occurred: Time, id: Uuid) -> Event {
    let place = scene.workspace.as_ref().unwrap_or(&scene.account);
    let resource = labels(&resource_id(WORKSPACE.name, place.id), "", &place.name, &[]);
    let name = format!("{OWN_PREFIX}{}.{}", REQUEST.name, action.name);
    write(scene, &name, &resource, Vec::new(), tells, (occurred, id))
}

/// The public fields that differ, in the table's order.
#[must_use]
pub fn changed(kind: &Kind, before: &Values, after: &Values) -> Vec<&'static Field> {
    // A field that came later than the record is null in it.
    let value = |values: &Values, name| values.get(name).cloned().unwrap_or_default();
    let differs =
        |field: &&Field| field.is_told() && value(before, field.name) != value(after, field.name);
    kind.fields.iter().filter(differs).collect()
}

/// All public fields.
#[must_use]
pub fn whole(kind: &Kind, fields: &Values) -> Value {
    let mut payload = Map::new();
    for field in kind.fields.iter().filter(|field| field.is_told()) {
        let value = fields.get(field.name).cloned().unwrap_or_default();
        if !field.says(&value) {
            continue;
        }
        payload.insert(field.name.to_owned(), cut(shown(field, value)).0);
    }
    payload.into()
}

/// What a field was, and what it is: both cut where they are long.
#[must_use]
pub fn difference(field: &Field, before: &Values, after: &Values) -> Value {
    let value = |values: &Values| values.get(field.name).cloned().unwrap_or_default();
    update(shown(field, value(before)), shown(field, value(after)))
}

/// A field's value as events tell it.
fn shown(field: &Field, value: Value) -> Value {
    match &value {
        Value::String(text) if field.is_address => mask(text).into(),
        _ => value,
    }
}

fn update(from: Value, to: Value) -> Value {
    let (from, from_cut) = cut(from);
    let (to, to_cut) = cut(to);
    if from_cut || to_cut {
        json!({ "from": from, "to": to, "truncated": true })
    } else {
        json!({ "from": from, "to": to })
    }
}

/// A value within its bound, and whether something is missing from it.
fn cut(value: Value) -> (Value, bool) {
    match value {
        Value::String(text) if text.len() > VALUE_MAX_BYTES => {
            (text[..text.floor_char_boundary(VALUE_MAX_BYTES)].into(), true)
        }
        Value::Array(_) | Value::Object(_) if value.to_string().len() > VALUE_MAX_BYTES => {
            (Value::Null, true)
        }
        other => (other, false),
    }
}

fn compose(
    scene: &Scene,
    subject: Subject<'_>,
    action: &str,
    payload: &Value,
    occurred: Time,
    id: Uuid,
) -> Event {
    let Scene { account, workspace, .. } = scene;
    let kind = subject.kind;
    let place = workspace.as_ref().filter(|_| kind.scope == Scope::Workspace);
    let own = subject.fields.get("name").and_then(Value::as_str).unwrap_or_default();
    let (id_of, name) = match (kind.number, place) {
        (Number::Many, _) => (subject.id, own),
        (Number::One, Some(workspace)) => (workspace.id, workspace.name.as_str()),
        (Number::One, None) => (account.id, account.name.as_str()),
    };
    let labelled = kind.fields.iter().filter(|field| !field.label.is_empty());
    let labelled: Vec<_> = labelled
        .filter_map(|field| Some((field.label, subject.fields.get(field.name)?.as_str()?)))
        .collect();
    let resource = labels(&resource_id(kind.name, id_of), "", name, &labelled);
    let beside = relations(kind, subject.fields);
    let beside = beside.iter().chain(subject.beside);
    let beside =
        beside.map(|Beside { role, kind, id }| labels(&resource_id(kind, *id), role, "", &[]));
    write(scene, &kind.event(action), &resource, beside.collect(), payload, (occurred, id))
}

/// An event about a resource, with who acted and where, and what else it relates.
fn write(
    Scene { actor, account, workspace }: &Scene,
    name: &str,
    resource: &Owned,
    beside: Vec<Owned>,
    payload: &Value,
    (occurred, id): (Time, Uuid),
) -> Event {
    let mut related = vec![
        labels(
            &resource_id("actor", actor.id),
            "actor",
            &actor.name,
            &[
                ("prefect-cloud.name", &actor.name),
                ("prefect-cloud.handle", &actor.handle),
                ("prefect-cloud.email", &actor.email),
            ],
        ),
        party("account", account),
    ];
    related.extend(workspace.as_ref().map(|workspace| party("workspace", workspace)));
    related.extend(beside);
    let borrowed: Vec<Vec<(&str, &str)>> = related.iter().map(borrow).collect();
    let related: Vec<_> = borrowed.iter().map(Vec::as_slice).collect();
    let mut text = Vec::new();
    // What the store holds went through a scan with tighter bounds, so this only replaces U+0000.
    if event::write_json(&mut text, &payload.to_string()).is_err() {
        text = b"{}".to_vec();
    }
    let payload = String::from_utf8_lossy(&text);
    event::compose(occurred, name, &borrow(resource), &related, &payload, id, None)
}

/// What the fields of a record relate. A field that may refer to several kinds says nothing here.
fn relations(kind: &Kind, fields: &Values) -> Vec<Beside> {
    let relation = |field: &Field| {
        let (Shape::Reference(&[kind]), false) = (field.shape, field.relates.is_empty()) else {
            return None;
        };
        let id = fields.get(field.name)?.as_str().and_then(is_id)?;
        Some(Beside { role: field.relates, kind, id })
    };
    kind.fields.iter().filter_map(relation).collect()
}

type Owned = Vec<(&'static str, String)>;

fn borrow(labels: &Owned) -> Vec<(&str, &str)> {
    labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn resource_id(kind: &str, id: Uuid) -> String {
    format!("{}{kind}.{id}", super::prefix_of(kind))
}

fn party(role: &str, party: &Party) -> Owned {
    let more = [("prefect-cloud.handle", party.handle.as_str())];
    labels(&resource_id(role, party.id), role, &party.name, &more)
}

/// Labels without the empty ones, which would say nothing, and without U+0000, which no event may hold.
fn labels(id: &str, role: &str, name: &str, more: &[(&'static str, &str)]) -> Owned {
    let own = [
        ("prefect.resource.id", id),
        ("prefect.resource.role", role),
        ("prefect.resource.name", name),
    ];
    let said = own.iter().chain(more).filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| (*name, value.replace('\0', "\u{FFFD}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{API_KEY, WEBHOOK};
    use super::*;

    fn scene() -> Scene {
        let party = |id, name: &str| Party {
            id: Uuid::from_u128(id),
            name: name.to_owned(),
            handle: name.to_lowercase(),
        };
        let actor = Actor {
            id: Uuid::from_u128(2),
            name: "Rin Okada".to_owned(),
            handle: "rin".to_owned(),
            email: "rin@acme.example".to_owned(),
        };
        Scene { actor, account: party(0x11, "Acme"), workspace: Some(party(0x22, "Prod")) }
    }

    fn fields(value: &Value) -> Values {
        value.as_object().cloned().expect("an object")
    }

    /// One line for each event; `HOOKGATE_BLESS=1` rewrites the file.
    fn hold(name: &str, events: &[Event]) {
        let text: String =
            events.iter().map(|event| String::from_utf8_lossy(&event.json) + "\n").collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/audit/");
        let path = format!("{path}{name}.ndjson");
        if std::env::var_os("HOOKGATE_BLESS").is_some() {
            std::fs::write(&path, &text).expect("a writable golden");
        }
        let golden = std::fs::read_to_string(&path).expect("a golden");
        assert_eq!(text, golden, "{path}");
    }

    #[test]
    fn events_of_a_webhook() {
        let occurred = Time::parse("2026-11-23T22:50:11.204113Z").expect("a moment");
        let first = fields(&json!({"name": "git\0hub", "description": "", "enabled": true,
            "template": "{\"a\": 1}\0", "service_account_id": null, "slug": "secret"}));
        let mut second = first.clone();
        second["enabled"] = false.into();
        second["template"] = "é".repeat(3000).into();
        second["slug"] = "another secret".into();
        let subject =
            Subject { kind: &WEBHOOK, id: Uuid::from_u128(1), fields: &first, beside: &[] };
        let after = Subject { fields: &second, ..subject };
        let id = Uuid::from_u128(3);
        let scene = scene();
        let events = [
            created(&scene, subject, occurred, id),
            updated(&scene, after, &first, occurred, id),
            told(&scene, subject, "updated", &json!({"updated_fields": ["slug"]}), occurred, id),
            deleted(&scene, subject, occurred, id),
        ];
        for event in &events {
            let text = String::from_utf8_lossy(&event.json);
            assert!(!text.contains("secret"), "{text}");
            assert!(!text.contains("\\u0000") && !text.contains('\0'), "{text}");
        }
        hold("webhook", &events);
    }

    #[test]
    fn events_of_a_key() {
        let mut scene = Scene { workspace: None, ..scene() };
        scene.actor = Actor::system();
        let owner = Uuid::from_u128(7);
        let fields = fields(&json!({"name": "bot", "expiration": null,
            "owner_id": owner.to_string(), "masked_key": "pnb_...secr"}));
        let subject = Subject {
            kind: &API_KEY,
            id: Uuid::from_u128(1),
            fields: &fields,
            beside: &[Beside { role: "service-account", kind: "service-account", id: owner }],
        };
        let moment = Time::from_micros(1_000_000);
        let tells = json!({"expiration": null, "old_key_expires_at": "1970-01-01T00:00:02Z"});
        let events = [
            created(&scene, subject, moment, Uuid::from_u128(4)),
            told(&scene, subject, "rotated", &tells, moment, Uuid::from_u128(5)),
        ];
        assert!(events.iter().all(|event| !String::from_utf8_lossy(&event.json).contains("pnb_")));
        hold("api-key", &events);
    }

    #[test]
    fn the_largest_update_stays_small() {
        let wide = |c: &str| {
            fields(&json!({"name": c.repeat(5000), "description": c.repeat(5000),
            "template": c.repeat(30_000)}))
        };
        let (before, after) = (wide("\u{1}"), wide("\u{2}"));
        let subject = Subject { kind: &WEBHOOK, id: Uuid::nil(), fields: &after, beside: &[] };
        let event = updated(&scene(), subject, &before, Time::default(), Uuid::nil());
        assert!(event.json.len() < 256 << 10, "{}", event.json.len());
        assert!(changed(&WEBHOOK, &before, &before).is_empty());
    }

    #[test]
    fn an_address_is_told_without_its_secrets() {
        let kind = &crate::catalogue::DESTINATION;
        let to = |word: &str| Values::from_iter([("to".to_owned(), word.into())]);
        let (before, after) =
            (to("https://a:b@c.example/in?key=d"), to("https://c.example/?key=e"));
        assert_eq!(whole(kind, &before)["to"], "https://***@c.example/in?key=***");
        let field = kind.fields.iter().find(|field| field.name == "to").expect("a field");
        let told = difference(field, &before, &after);
        assert_eq!(told["from"], "https://***@c.example/in?key=***");
        assert_eq!(told["to"], "https://c.example/?key=***");
    }
}
