//! The API on a real store: requests made by hand, replies and audit events looked at.

mod access;
mod accounts;
mod affairs;
mod allowlist;
mod batches;
mod bots;
mod chain;
mod destinations;
mod events;
mod invitations;
mod members;
mod mine;
mod people;
mod plans;
mod ranks;
mod rates;
mod sessions;
mod settings;
mod teams;
mod transfer;
mod turns;
mod users;
mod versions;
mod webhooks;
mod workspaces;

use std::cell::Cell;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::clock::Time;
use crate::feed;
use crate::id::{self, Secret};
use crate::request::RequestId;
use crate::spool;
use crate::store::tests::{Folder, wait};
use crate::store::{Bootstrap, bootstrap};

/// Nobody's id.
const OTHER: &str = "99999999-9999-4999-8999-999999999999";

/// A gateway's control plane with its first account.
struct House {
    api: Arc<Api>,
    first: Bootstrap,
    key: String,
    base: String,
    account: String,
    folder: Folder,
    /// From where calls come.
    peer: Cell<IpAddr>,
    telemetry: Telemetry,
}

/// A reply, read.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Value,
    headers: HeaderMap,
    close: bool,
}

impl House {
    fn new() -> Self {
        let folder = Folder::new();
        let clock = Arc::new(Clock::fixed(Time::from_micros(1_700_000_000_000_000)));
        let first = bootstrap(&folder.0, &clock).expect("a first account");
        let key = first.api_key.as_ref().map(Secret::expose).unwrap_or_default().to_owned();
        let store = Arc::new(Store::open(&folder.0).expect("a store"));
        let options = Options::new(render::Limits::default());
        let keys = Arc::new(Keyring::new());
        let telemetry = Telemetry::new();
        let held = spool::Options {
            segment_bytes: 1 << 20,
            free_min_bytes: 0,
            direct: false,
            ..spool::Options::default()
        };
        let (spool, _) = Spool::open(&folder.0, held, &clock, &telemetry).expect("a spool");
        let history: feed::History = Box::new(|_| Ok(()));
        let feed = feed::Options::default();
        let feed = Feed::start(&folder.0, feed, &spool, &clock, &telemetry, history);
        let feed = feed.expect("a feed");
        let shelf = Shelf::open(&folder.0).expect("a shelf");
        let kept = (feed, shelf);
        let api = Api::new(store, keys, spool, kept, clock, &telemetry, options);
        let api = wait(api).expect("an API");
        wait(async {
            let pending = api.store.pending(100).await.expect("events");
            let ids = pending.iter().map(|outgoing| outgoing.event.id).collect();
            api.store.handed(ids).await.expect("forgotten");
        });
        let base = format!("{}/webhooks", first.api_path);
        let account = format!("/api/accounts/{}", first.account_id);
        let peer = Cell::new([192, 0, 2, 1].into());
        Self { api: Arc::new(api), first, key, base, account, folder, peer, telemetry }
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call_as(Some(&format!("Bearer {}", self.key)), method, path, body)
    }

    /// The head of a request.
    fn arrival(&self, bearer: Option<&str>, method: &str, path: &str) -> Arrival {
        let mut headers = HeaderMap::new();
        if let Some(bearer) = bearer {
            headers.insert("authorization", HeaderValue::from_str(bearer).expect("a header"));
        }
        Arrival {
            method: method.parse().expect("a method"),
            target: path.parse().expect("a path"),
            headers,
            peer: self.peer.get(),
            secure: true,
            request_id: RequestId::Ours(Uuid::nil()),
            certificate: None,
            received: self.api.clock.now(),
        }
    }

    fn call_as(&self, bearer: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
        self.send(self.arrival(bearer, method, path), body)
    }

    fn send(&self, arrival: Arrival, body: &str) -> Answer {
        let raw = Bytes::copy_from_slice(body.as_bytes());
        let reply = wait(self.api.answer(arrival, Body::from_bytes(raw)));
        let body = if reply.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&reply.body)
                .unwrap_or_else(|_| String::from_utf8(reply.body.to_vec()).expect("text").into())
        };
        let status = reply.status.as_u16();
        Answer { status, body, headers: reply.headers, close: reply.close }
    }

    fn make(&self, body: &Value) -> Value {
        let answer = self.call("POST", &format!("{}/", self.base), &body.to_string());
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// What another process would find: the store as it is on the disk.
    fn reopen_store(&mut self) {
        let store = Arc::new(Store::open(&self.folder.0).expect("a store"));
        Arc::get_mut(&mut self.api).expect("nobody else has it").store = store;
    }

    /// A path of the table, in the first account and workspace; what else it names is nobody's.
    fn fill(&self, path: &str) -> String {
        let fill = |part: &str| match part {
            "{account}" => self.first.account_id.to_string(),
            "{workspace}" => self.first.workspace_id.to_string(),
            part if part.starts_with('{') => OTHER.to_owned(),
            part => part.to_owned(),
        };
        let parts: Vec<String> = path.split('/').map(fill).collect();
        format!("/api/{}", parts.join("/"))
    }

    /// The audit events since the last look.
    fn events(&self) -> Vec<Value> {
        wait(async {
            let pending = self.api.store.pending(100).await.expect("events");
            let ids = pending.iter().map(|outgoing| outgoing.event.id).collect();
            self.api.store.handed(ids).await.expect("forgotten");
            let read = |json: &[u8]| serde_json::from_slice(json).expect("JSON");
            pending.iter().map(|outgoing| read(&outgoing.event.json)).collect()
        })
    }

    fn event_names(&self) -> Vec<String> {
        let name = |event: &Value| {
            event["event"].as_str().unwrap_or_default().replace("prefect-cloud.", "")
        };
        self.events().iter().map(name).collect()
    }
}

#[test]
fn clients_that_start_up_get_what_they_decode() {
    let house = House::new();
    for path in ["/api/me/workspaces", "/api/me/workspaces/"] {
        let answer = house.call("GET", path, "");
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.body,
            json!([{
                "account_id": house.first.account_id.to_string(),
                "account_name": "hookgate", "account_handle": "hookgate",
                "workspace_id": house.first.workspace_id.to_string(),
                "workspace_name": "default", "workspace_description": "",
                "workspace_handle": "default",
            }])
        );
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    assert_eq!(house.call("GET", "/api/me", "").body["handle"], "admin");
    assert_eq!(house.call("GET", "/api/me/", "").status, 200);
    let accounts = house.call("GET", "/api/me/accounts", "").body;
    assert_eq!(accounts[0]["account_role_name"], "Owner");
    let workspace = house.call("GET", &house.first.api_path, "");
    assert_eq!((workspace.status, &workspace.body["description"]), (200, &json!("")));
    for (path, status, body) in [
        ("/api/health", 200, json!(true)),
        ("/api/ready", 200, json!({"message": "OK"})),
        ("/api/admin/version", 200, json!("3.8.8")),
        ("/api/csrf-token?client=x", 404, json!({"detail": "Not Found"})),
        ("/api", 404, json!({"detail": "Not Found"})),
        ("/api/", 404, json!({"detail": "Not Found"})),
    ] {
        let answer = house.call_as(None, "GET", path, "");
        assert_eq!((answer.status, answer.body), (status, body), "{path}");
    }
    let wrong = house.call_as(None, "POST", "/api/health", "");
    assert_eq!(
        (wrong.status, &wrong.headers["allow"]),
        (405, &HeaderValue::from_static("GET, HEAD"))
    );
    assert!(house.events().is_empty());
}

#[test]
fn a_key_that_is_not_valid_gets_the_same_bytes_whatever_the_cause() {
    let house = House::new();
    let other = if house.key.ends_with('x') { 'y' } else { 'x' };
    let last = format!("Bearer {}{other}", &house.key[..39]);
    let unknown = format!("Bearer pnu_{}", "a".repeat(36));
    let causes =
        [None, Some(""), Some("Bearer "), Some("Basic eA=="), Some(&*last), Some(&*unknown)];
    for path in [house.base.as_str(), "/api/me/workspaces", "/api/accounts/no-id/bots"] {
        for cause in causes {
            let answer = house.call_as(cause, "POST", path, "{");
            if path.starts_with("/api/me") {
                assert_eq!(answer.status, 405);
                continue;
            }
            let expected = json!({"detail": "Invalid authentication credentials"});
            assert_eq!((answer.status, answer.body), (401, expected), "{path} {cause:?}");
        }
    }
    let lower = format!("bearer {}", house.key);
    assert_eq!(house.call_as(Some(&lower), "GET", "/api/me", "").status, 200);
}

#[test]
fn what_belongs_to_others_is_not_there() {
    let house = House::new();
    let (account, workspace) = (house.first.account_id, house.first.workspace_id);
    let other = OTHER;
    for path in [
        format!("/api/accounts/{other}/workspaces/{workspace}/webhooks/"),
        format!("/api/accounts/{account}/workspaces/{other}/webhooks/"),
        format!("/api/accounts/{account}/workspaces/{account}/webhooks/"),
        format!("{}/{other}", house.base),
        format!("{}/{account}", house.base),
        format!("/api/accounts/{account}/workspaces/{other}"),
    ] {
        let answer = house.call("GET", &path, "");
        let expected = json!({"detail": "Not Found"});
        assert_eq!((answer.status, answer.body), (404, expected), "{path}");
    }
    let answer = house.call("GET", "/api/accounts/a/workspaces/w/webhooks/i", "");
    let at = |place: usize| answer.body["detail"][place]["loc"].clone();
    assert_eq!(answer.status, 422);
    assert_eq!(
        [at(0), at(1), at(2)],
        [
            json!(["path", "account_id"]),
            json!(["path", "workspace_id"]),
            json!(["path", "webhook_id"])
        ]
    );
    let answer = house.call("DELETE", &house.base, "");
    let methods = HeaderValue::from_static("POST, GET, HEAD");
    assert_eq!((answer.status, &answer.headers["allow"]), (405, &methods));
}

#[test]
fn a_workspace_does_not_see_into_another_of_its_account() {
    let house = House::new();
    let hook = house.make(&json!({"name": "a", "template": "t"}));
    let hook = hook["id"].as_str().expect("an id");
    let fields = json!({"name": "other", "description": "", "handle": "other"});
    let other = crate::store::Record::new(
        id::now(&house.api.clock),
        &catalogue::WORKSPACE,
        house.first.account_id,
        fields.as_object().cloned().expect("an object"),
        house.api.clock.now(),
    );
    let base = format!("{}/workspaces/{}/webhooks", house.account, other.id);
    let writes = vec![crate::store::Write::Insert(other)];
    let batch = crate::store::Batch { writes, events: Vec::new() };
    wait(house.api.store.commit(batch)).expect("made");
    assert_eq!(house.call("GET", &format!("{}/{hook}", house.base), "").status, 200);
    for (method, more, body) in [
        ("GET", "", ""),
        ("PUT", "", r#"{"name":"x","template":"t"}"#),
        ("PATCH", "", r#"{"enabled":false}"#),
        ("POST", "/rotate", ""),
        ("DELETE", "", ""),
    ] {
        let answer = house.call(method, &format!("{base}/{hook}{more}"), body);
        assert_eq!(answer.status, 404, "{method} {more}");
    }
    assert_eq!(house.call("GET", &base, "").body, json!([]));
    assert_eq!(house.call("POST", &format!("{base}/filter"), "").body, json!([]));
    assert_eq!(house.call("GET", "/api/me/workspaces", "").body.as_array().map(Vec::len), Some(2));
}

#[test]
fn every_verb_of_the_table_needs_a_key_and_has_its_effect() {
    let house = House::new();
    for kind in catalogue::KINDS {
        for verb in kind.verbs {
            let path = house.fill(&kind.path(verb));
            let answer = house.call_as(None, verb.method, &path, "");
            let is_open = verb.needs == Permission::Open;
            let refused: &[u16] = if is_open { &[404, 422] } else { &[401] };
            assert!(refused.contains(&answer.status), "{} {path}: {answer:?}", verb.method);
            if verb.effect == Effect::Delete && !path.contains(OTHER) {
                // It would be taken at its word: the house itself would end.
                continue;
            }
            let answer = house.call(verb.method, &path, "");
            // A resource nobody has heard of is no fault.
            let is_nobodys = path.contains(OTHER) && !kind.path(verb).contains("{resource}");
            // Whoever owns the account has no place of their own to leave.
            let is_nobodys = is_nobodys || verb.effect == Effect::Own(Act::LeaveWorkspace);
            let expected: &[u16] =
                if is_nobodys { &[404, 422] } else { &[200, 201, 204, 409, 422] };
            assert!(expected.contains(&answer.status), "{} {path}: {answer:?}", verb.method);
            assert!(!answer.close);
        }
    }
    // Refused requests emit nothing; one needs no word to do something.
    assert_eq!(house.event_names(), ["subscription.updated"]);
}

#[test]
fn what_is_spawned_may_move_between_threads() {
    fn moves<T: Send>(_: impl FnOnce() -> T) {}
    fn hold(api: &'static Arc<Api>, arrival: Arrival, body: Body, spool: Spool) {
        let (_, stop) = tokio::sync::watch::channel(false);
        let store = Arc::clone(&api.store);
        let facts = api.facts();
        moves(move || api.answer(arrival, body));
        moves(move || pump(store, spool, facts, stop));
    }
    let _ = hold;
}
