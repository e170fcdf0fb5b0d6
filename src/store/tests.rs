//! The store on a real file: what is kept, what is refused, what a cut leaves behind.

use std::collections::BTreeMap;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Mutex;

use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Value, json};

use super::*;
use crate::catalogue::{
    self, ACCOUNT, ACCOUNT_MEMBERSHIP, SERVICE_ACCOUNT, USER, WEBHOOK, WORKSPACE, role,
};
use crate::clock::Clock;
use crate::event::Event;
use crate::id;

/// A folder of its own, gone with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("hookgate-store-{}", id::now(&Clock::System));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) struct House {
    folder: Folder,
    pub(super) first: Bootstrap,
    clock: Clock,
}

impl House {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        let clock = Clock::fixed(Time::from_micros(1_000_000));
        let first = bootstrap(&folder.0, &clock).expect("a first account");
        Self { folder, first, clock }
    }

    pub(super) fn open(&self) -> Store {
        Store::open(&self.folder.0).expect("a store")
    }

    pub(super) fn file(&self) -> Connection {
        file::open(&self.folder.0.join(FILE_NAME), None).expect("a file")
    }

    pub(super) fn record(&self, kind: &'static Kind, fields: &Value) -> Record {
        let fields = fields.as_object().cloned().expect("an object");
        let account = self.first.account_id;
        Record::new(id::now(&self.clock), kind, account, fields, self.clock.now())
    }

    fn webhook(&self, name: &str, slug: &str) -> Record {
        let fields = json!({"name": name, "description": "", "enabled": true, "template": "t\n ",
            "service_account_id": null});
        let mut record = self.record(&WEBHOOK, &fields);
        record.workspace = Some(self.first.workspace_id);
        record.hidden = Hidden::Slug(Slug::new(Secret::new(slug)));
        record
    }

    fn event(&self) -> Outgoing {
        let json = bytes::Bytes::from_static(b"{}");
        Outgoing {
            account: self.first.account_id,
            workspace: Some(self.first.workspace_id),
            occurred: self.clock.now(),
            event: Event { id: id::now(&self.clock), json },
        }
    }

    fn all(&self) -> Query {
        Query::new(&WEBHOOK, self.first.account_id, Some(self.first.workspace_id))
    }
}

/// How many events a bootstrap leaves: five, and one for each companion of account and workspace.
pub(crate) fn bootstrapped() -> u64 {
    let companions = catalogue::companions(&ACCOUNT).chain(catalogue::companions(&WORKSPACE));
    5 + companions.count() as u64
}

/// Runs on one thread; the store has its own.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn insert(record: &Record) -> Batch {
    Batch { writes: vec![Write::Insert(record.clone())], events: Vec::new() }
}

#[test]
fn bootstrap_makes_one_account_and_says_so_once() {
    let house = House::new();
    let first = &house.first;
    assert!(first.created);
    let (account, workspace) = (first.account_id, first.workspace_id);
    assert_eq!(first.api_path, format!("/api/accounts/{account}/workspaces/{workspace}"));
    let key = first.api_key.as_ref().expect("a key");
    assert!(key.expose().starts_with("pnu_"));
    let again = bootstrap(&house.folder.0, &house.clock).expect("the same account");
    assert!(!again.created && again.api_key.is_none());
    assert_eq!((again.account_id, again.workspace_id), (account, workspace));
    assert_eq!(again.api_path, first.api_path);
    let store = house.open();
    let keys = wait(store.keys()).expect("keys");
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].digest, crate::verify::key::hash(key.expose()));
    assert!(!keys[0].service && keys[0].account == account);
    let pending = wait(store.pending(100)).expect("events");
    let events: Vec<Value> = pending
        .iter()
        .map(|outgoing| serde_json::from_slice(&outgoing.event.json).expect("JSON"))
        .collect();
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let companions = catalogue::companions(&ACCOUNT).chain(catalogue::companions(&WORKSPACE));
    let kinds = ["account", "workspace"].into_iter().chain(companions.map(|kind| kind.name));
    let kinds = kinds.chain(["user", "account-membership", "api-key"]);
    let expected: Vec<_> = kinds.map(|kind| format!("prefect-cloud.{kind}.created")).collect();
    assert_eq!(names, expected);
    assert!(events.iter().all(|event| event["related"][0]["prefect.resource.name"] == "system"));
    let bytes = std::fs::read(house.folder.0.join(FILE_NAME)).expect("the file");
    assert!(memchr::memmem::find(&bytes, key.expose().as_bytes()).is_none(), "the key is kept");
    let mode = std::fs::metadata(house.folder.0.join(FILE_NAME)).expect("the file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn a_commit_is_seen_by_watchers_before_it_returns() {
    let house = House::new();
    let store = house.open();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    store.watch(Box::new(move |change| {
        let word = match change {
            Change::Webhook(webhook) => {
                let parties = (&*webhook.account.handle, &*webhook.workspace.handle);
                assert_eq!(parties, ("hookgate", "default"));
                format!("{} {}", webhook.name, webhook.slug.expose())
            }
            Change::WebhookGone(_) => "gone".to_owned(),
            Change::Destination(_) | Change::DestinationGone(_) => "destination".to_owned(),
            Change::Key(_) | Change::KeyGone(_) => "key".to_owned(),
        };
        ear.lock().unwrap().push(word);
    }));
    let mut record = house.webhook("a", "slug-a");
    let mut batch = insert(&record);
    batch.events.push(house.event());
    wait(async {
        store.commit(batch).await.expect("made");
        assert_eq!(*heard.lock().unwrap(), ["a slug-a"]);
        record.fields["name"] = "b".into();
        record.hidden = Hidden::Slug(Slug::new(Secret::new("slug-b")));
        let update = Batch { writes: vec![Write::Update(record.clone())], events: Vec::new() };
        store.commit(update.clone()).await.expect("changed");
        assert_eq!(store.commit(update).await, Err(StoreError::Stale));
        let read = store.records(vec![record.id]).await.expect("records").pop();
        let read = read.expect("the record");
        assert_eq!((read.revision, read.text("template")), (2, "t\n "));
        assert_eq!(store.webhooks().await.expect("webhooks")[0].slug.expose(), "slug-b");
        let delete = Batch { writes: vec![Write::Delete(read)], events: Vec::new() };
        store.commit(delete).await.expect("ended");
        assert_eq!(*heard.lock().unwrap(), ["a slug-a", "b slug-b", "gone"]);
        let pending = store.pending(100).await.expect("events");
        assert_eq!(pending.len() as u64, bootstrapped() + 1, "those of the bootstrap, one of ours");
        let ids = pending.iter().map(|outgoing| outgoing.event.id).collect();
        store.handed(ids).await.expect("forgotten");
        assert_eq!(store.pending_count().await, Ok(0));
    });
}

#[test]
fn a_batch_is_kept_whole_or_not_at_all() {
    let house = House::new();
    let store = house.open();
    let (first, second) = (house.webhook("a", "same"), house.webhook("b", "same"));
    let heard = Arc::new(Mutex::new(0));
    let ear = Arc::clone(&heard);
    store.watch(Box::new(move |_| *ear.lock().unwrap() += 1));
    let batch = Batch {
        writes: vec![Write::Insert(first.clone()), Write::Insert(second)],
        events: vec![house.event()],
    };
    wait(async {
        let fault = store.commit(batch).await.expect_err("one slug for two");
        assert!(matches!(fault, StoreError::Failed(_)), "{fault}");
        assert_eq!(store.records(vec![first.id]).await.map(|found| found.len()), Ok(0));
        assert_eq!(store.pending_count().await, Ok(bootstrapped()));
    });
    assert_eq!(*heard.lock().unwrap(), 0);
}

#[test]
fn a_cut_transaction_leaves_neither_change_nor_event() {
    let house = House::new();
    let record = house.webhook("a", "slug");
    let mut batch = insert(&record);
    batch.events.push(house.event());
    {
        let mut connection = house.file();
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("begun");
        write::apply(&transaction, &batch).expect("applied");
        // As a killed process leaves it: neither committed nor rolled back, the connection gone.
        std::mem::forget(transaction);
    }
    let store = house.open();
    wait(async {
        assert_eq!(store.records(vec![record.id]).await.map(|found| found.len()), Ok(0));
        assert_eq!(store.pending_count().await, Ok(bootstrapped()));
        store.commit(batch).await.expect("made");
    });
    drop(store);
    let store = house.open();
    assert_eq!(wait(store.pending_count()), Ok(bootstrapped() + 1));
    assert_eq!(wait(store.webhooks()).expect("webhooks").len(), 1);
}

#[test]
fn what_is_unique_or_referred_to_is_held() {
    let house = House::new();
    let store = house.open();
    let bot = house.record(&SERVICE_ACCOUNT, &json!({"name": "bot"}));
    let mut hook = house.webhook("a", "slug");
    hook.fields["service_account_id"] = bot.id.to_string().into();
    let delete = Batch { writes: vec![Write::Delete(bot.clone())], events: Vec::new() };
    wait(async {
        let dangling = StoreError::Dangling { field: "service_account_id" };
        assert_eq!(store.commit(insert(&hook)).await, Err(dangling.clone()));
        let mut to_user = hook.clone();
        let user = house.record(&USER, &json!({"name": "u", "handle": "u"}));
        to_user.fields["service_account_id"] = user.id.to_string().into();
        store.commit(insert(&user)).await.expect("made");
        assert_eq!(store.commit(insert(&to_user)).await, Err(dangling));
        store.commit(insert(&bot)).await.expect("made");
        store.commit(insert(&hook)).await.expect("made");
        assert_eq!(store.commit(delete.clone()).await, Err(StoreError::InUse { holders: 1 }));
        hook.fields["service_account_id"] = Value::Null;
        let free = Batch { writes: vec![Write::Update(hook)], events: Vec::new() };
        store.commit(free).await.expect("changed");
        store.commit(delete).await.expect("ended");
        let same = house.record(&WORKSPACE, &json!({"name": "x", "handle": "default"}));
        let taken = StoreError::Taken { kind: "workspace", field: "handle" };
        assert_eq!(store.commit(insert(&same)).await, Err(taken));
    });
}

#[test]
fn lists_are_sorted_filtered_and_bounded() {
    let house = House::new();
    let store = house.open();
    for (name, slug) in [("beta", "1"), ("Alpha", "2"), ("beta", "3"), ("gamma", "4")] {
        wait(store.commit(insert(&house.webhook(name, slug)))).expect("made");
        house.clock.advance_seconds(1);
    }
    let names = |query: Query| {
        let records = wait(store.list(query)).expect("records");
        records.iter().map(|record| record.text("name").to_owned()).collect::<Vec<_>>().join(" ")
    };
    let sorted = |word| names(Query { sort: Sort::named(word), ..house.all() });
    assert_eq!(sorted("NAME_ASC"), "Alpha beta beta gamma");
    assert_eq!(sorted("NAME_DESC"), "gamma beta beta Alpha");
    assert_eq!(sorted("CREATED_DESC"), "gamma beta Alpha beta");
    assert_eq!(sorted("UPDATED_ASC"), "beta Alpha beta gamma");
    assert_eq!(sorted("KEY_EXPIRATION_ASC"), "beta Alpha beta gamma");
    assert_eq!(names(Query { offset: 1, limit: 2, ..house.all() }), "beta beta");
    assert_eq!(names(Query { limit: 0, ..house.all() }), "");
    let asked = |criterion| names(Query { criteria: vec![criterion], ..house.all() });
    let wanted = || ["beta".to_owned(), "it's".to_owned()];
    assert_eq!(asked(Criterion::any("name", wanted())), "beta beta");
    assert_eq!(asked(Criterion::any("description", wanted())), "");
    let not_any = Some(wanted().into());
    let field = || "name".to_owned();
    assert_eq!(asked(Criterion { field: field(), not_any, ..Criterion::default() }), "Alpha gamma");
    let like = Some("LPH".to_owned());
    assert_eq!(asked(Criterion { field: field(), like, ..Criterion::default() }), "Alpha");
    assert_eq!(asked(Criterion::any("id", [Uuid::nil().to_string()])), "");
    assert_eq!(names(Query { account: Uuid::nil(), ..house.all() }), "");
    assert_eq!(names(Query { workspace: None, ..house.all() }), "");
}

#[test]
fn a_former_slug_is_kept_and_is_nobody_elses() {
    let house = House::new();
    let store = house.open();
    let mut record = house.webhook("a", "slug-a");
    wait(store.commit(insert(&record))).expect("made");
    let former = Former { slug: Secret::new("slug-a"), ends: Time::from_micros(7) };
    let beside = BTreeMap::from([("verification_secrets".to_owned(), Secret::new("{}"))]);
    let slug = Slug { present: Secret::new("slug-b"), former: Some(former.clone()), beside };
    record.hidden = Hidden::Slug(slug.clone());
    let update =
        |record: &Record| Batch { writes: vec![Write::Update(record.clone())], events: Vec::new() };
    wait(store.commit(update(&record))).expect("changed");
    drop(store);
    let store = house.open();
    let read = wait(store.records(vec![record.id])).expect("records").remove(0);
    assert_eq!(read.hidden, Hidden::Slug(slug));
    assert_eq!(wait(store.webhooks()).expect("webhooks")[0].former, Some(former.clone()));
    let taken = Err(StoreError::Taken { kind: "webhook", field: "slug" });
    assert_eq!(wait(store.commit(insert(&house.webhook("b", "slug-a")))), taken, "it is a former");
    assert!(wait(store.commit(insert(&house.webhook("b", "slug-b")))).is_err());
    let mut other = house.webhook("c", "slug-c");
    for former in [Former { slug: Secret::new("slug-b"), ..former.clone() }, former.clone()] {
        let present = Secret::new("slug-c");
        other.hidden = Hidden::Slug(Slug { former: Some(former), ..Slug::new(present) });
        assert!(wait(store.commit(insert(&other))).is_err(), "it is another's");
    }
    let mut read = read;
    read.hidden = Hidden::Slug(Slug::new(Secret::new("slug-d")));
    wait(store.commit(update(&read))).expect("changed");
    wait(store.commit(insert(&house.webhook("b", "slug-a")))).expect("free again");
}

#[test]
fn roles_of_an_older_file_become_memberships() {
    let house = House::new();
    let file = house.file();
    let bot = id::now(&house.clock);
    let sql = "INSERT INTO record (id, kind, account, name, fields, revision, created, updated)
        VALUES (?1, 'service-account', ?2, 'ci', ?3, 1, 0, 0)";
    let fields = r#"{"name":"ci","account_role_name":"Member"}"#;
    file.execute(sql, (bot.as_bytes(), house.first.account_id.as_bytes(), fields)).expect("a bot");
    file.execute_batch(
        "UPDATE record SET fields = json_set(json_remove(fields, '$.account_role_id'),
            '$.account_role_name', 'Owner') WHERE kind = 'account-membership';
        DROP TABLE audit_anchor; DROP TABLE usage_report; DROP TABLE tally;
        DROP TABLE template_version;
        DROP INDEX record_account; DROP INDEX record_workspace;
        DROP INDEX record_former; ALTER TABLE record DROP COLUMN former;
        ALTER TABLE record DROP COLUMN former_ends; PRAGMA user_version = 2;",
    )
    .expect("version 2");
    drop(file);
    let store = house.open();
    let held = wait(store.holders("account-membership", vec![bot])).expect("a membership");
    assert_eq!(held[0].reference("account_role_id"), Some(role::ACCOUNT_MEMBER.id));
    assert_eq!(held[0].reference("bot_id"), Some(bot));
    let query = Query::new(&ACCOUNT_MEMBERSHIP, house.first.account_id, None);
    let admin = wait(store.list(query)).expect("memberships").remove(0);
    assert_eq!(admin.reference("account_role_id"), Some(role::ACCOUNT_OWNER.id));
    assert!(admin.fields.get("account_role_name").is_none());
}

#[test]
fn templates_of_an_older_file_are_first_versions() {
    let house = House::new();
    let (file, id) = (house.file(), id::now(&house.clock));
    let sql = "INSERT INTO record (id, kind, account, workspace, name, fields, secret, revision,
        created, updated) VALUES (?1, 'webhook', ?2, ?3, 'h', ?4, x'6161', 1, 0, 7)";
    let (account, workspace) = (house.first.account_id, house.first.workspace_id);
    let fields = r#"{"name":"h","template":"t"}"#;
    let place = (id.as_bytes(), account.as_bytes(), workspace.as_bytes(), fields);
    file.execute(sql, place).expect("a webhook");
    file.execute_batch("DROP TABLE template_version; PRAGMA user_version = 7;").expect("version 7");
    drop(file);
    let store = house.open();
    let versions = wait(store.versions(id)).expect("versions");
    assert_eq!(versions.len(), 1);
    assert_eq!((versions[0].number, &*versions[0].template, &versions[0].author), (1, "t", &None));
    assert_eq!(wait(store.webhooks()).expect("webhooks")[0].version, 1);
}

#[test]
fn a_newer_file_is_left_alone_and_a_full_queue_refuses() {
    let house = House::new();
    house.file().pragma_update(None, "user_version", 99).expect("set");
    let fault = Store::open(&house.folder.0).expect_err("a newer file");
    assert!(matches!(fault, StoreError::Newer { found: 99, .. }), "{fault}");

    let connection = Connection::open_in_memory().expect("memory");
    let worker = Worker::start("test", connection).expect("a thread");
    let (go, held) = std::sync::mpsc::channel::<()>();
    wait(async {
        let first = worker.ask(move |_| {
            let _ = held.recv();
            Ok(())
        });
        let fill = async {
            let mut waiting = Vec::new();
            let busy = loop {
                let mut ask = Box::pin(worker.ask(|_| Ok(())));
                let poll = std::future::poll_fn(|cx| {
                    std::task::Poll::Ready(match ask.as_mut().poll(cx) {
                        std::task::Poll::Ready(answer) => Some(answer),
                        std::task::Poll::Pending => None,
                    })
                });
                match poll.await {
                    Some(answer) => break answer,
                    None => waiting.push(ask),
                }
                assert!(waiting.len() < 1000, "the queue has no bound");
            };
            assert_eq!(busy, Err(StoreError::Busy));
            go.send(()).expect("held");
            for ask in waiting {
                ask.await.expect("done");
            }
        };
        let (held, ()) = tokio::join!(first, fill);
        held.expect("done");
    });
}

/// The folder as a crash at this moment would leave it.
fn crash(house: &House) -> Folder {
    let image = Folder::new();
    for entry in std::fs::read_dir(&house.folder.0).expect("a folder") {
        let path = entry.expect("an entry").path();
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        let name = path.file_name().expect("a name");
        // The shared memory is rebuilt from the journal.
        if !name.to_string_lossy().ends_with("-shm") {
            std::fs::copy(&path, image.0.join(name)).expect("a copy");
        }
    }
    image
}

#[test]
fn what_was_committed_outlives_a_crash_and_damage_is_said() {
    let house = House::new();
    let store = house.open();
    let mut batch = insert(&house.webhook("a", "slug"));
    batch.events.push(house.event());
    wait(store.commit(batch)).expect("made");
    let image = crash(&house);
    let journal = |folder: &Folder| folder.0.join("store.db-wal").exists();
    assert!(journal(&image));
    let after = Store::open(&image.0).expect("a store");
    assert_eq!(wait(after.webhooks()).expect("webhooks").len(), 1);
    assert_eq!(wait(after.pending_count()), Ok(bootstrapped() + 1));
    drop(after);
    assert!(!journal(&image), "a clean stop leaves no journal");

    let image = crash(&house);
    let path = image.0.join(FILE_NAME);
    let mut bytes = std::fs::read(&path).expect("the file");
    bytes[4096..].fill(0xA5);
    std::fs::write(&path, bytes).expect("written");
    let fault = Store::open(&image.0).expect_err("damaged");
    assert!(matches!(fault, StoreError::File { .. } | StoreError::Failed(_)), "{fault}");
}

#[test]
fn a_commit_nobody_waits_for_is_made_and_told() {
    let house = House::new();
    let store = house.open();
    let (told, heard) = std::sync::mpsc::channel();
    let told = Mutex::new(told);
    store.watch(Box::new(move |_| {
        let _ = told.lock().unwrap().send(());
    }));
    let mut batch = insert(&house.webhook("a", "slug"));
    batch.events.push(house.event());
    wait(async {
        {
            let mut commit = Box::pin(store.commit(batch));
            std::future::poll_fn(|cx| {
                let _ = commit.as_mut().poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
        }
        heard.recv().expect("told");
        store.outbox_filled().await;
        assert_eq!(store.pending_count().await, Ok(bootstrapped() + 1));
    });
}
