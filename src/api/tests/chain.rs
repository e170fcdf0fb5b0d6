//! Every change of the API is a row of its account's chain, with the event that goes out, byte for byte.

use std::collections::BTreeMap;

use super::*;
use crate::catalogue::chain::{Entry, Hash, Walk};
use crate::store::tests::bootstrapped;
use crate::store::{Audit, Batch, Hidden, KeptKey, Outgoing, Record, StoreError, Write};
use crate::verify::key;

impl House {
    /// A second account with an owner and a key: its path and the key.
    pub(super) fn second(&self) -> (String, String) {
        let (clock, now) = (&self.api.clock, self.api.clock.now());
        let account = id::now(clock);
        let user = id::now(clock);
        let record = |id: Uuid, kind: &'static Kind, fields: Value| {
            Record::new(id, kind, account, fields.as_object().cloned().expect("an object"), now)
        };
        let named = json!({"name": "second", "handle": "second"});
        let owner = json!({"name": "o", "handle": "o", "first_name": "", "last_name": "", "email": "",
            "actor_id": id::now(clock).to_string()});
        let membership = json!({"name": "o", "user_id": user.to_string(),
            "active": true,
            "account_role_id": catalogue::role::ACCOUNT_OWNER.id.to_string()});
        let (secret, lookup, digest) = key::mint(clock, &key::Kind::User);
        let kept = json!({"name": "k", "expiration": null, "owner_id": user.to_string(),
            "masked_key": key::mask(&secret)});
        let mut kept = record(id::now(clock), &catalogue::API_KEY, kept);
        kept.hidden = Hidden::Key(KeptKey { lookup, digest });
        let writes = [
            record(account, &catalogue::ACCOUNT, named),
            record(user, &catalogue::USER, owner),
            record(id::now(clock), &catalogue::ACCOUNT_MEMBERSHIP, membership),
            kept,
        ];
        let batch = Batch { writes: writes.map(Write::Insert).into(), events: Vec::new() };
        wait(self.api.store.commit(batch)).expect("made");
        (format!("/api/accounts/{account}"), secret.expose().to_owned())
    }

    /// What waits in the outbox, forgotten.
    fn outgoing(&self) -> Vec<Outgoing> {
        wait(async {
            let pending = self.api.store.pending(1000).await.expect("events");
            let ids = pending.iter().map(|outgoing| outgoing.event.id).collect();
            self.api.store.handed(ids).await.expect("forgotten");
            pending
        })
    }
}

#[test]
fn every_change_is_chained_in_its_account() {
    let house = House::new();
    let (path, key) = house.second();
    let bearer = format!("Bearer {key}");
    let second = |method: &str, more: &str, body: &str| {
        house.call_as(Some(&bearer), method, &format!("{path}/bots/{more}"), body)
    };
    for round in 0..8 {
        house.api.clock.advance_seconds(1);
        let hook = house.make(&json!({"name": format!("h{round}"), "template": "{{ 1.50 }}"}));
        let hook = format!("{}/{}", house.base, hook["id"].as_str().expect("an id"));
        let bot = second("POST", "", &format!(r#"{{"name":"b{round}"}}"#));
        assert_eq!(bot.status, 201, "{bot:?}");
        let bot = bot.body["id"].as_str().expect("an id").to_owned();
        assert_eq!(house.call("PATCH", &hook, r#"{"enabled":false}"#).status, 204);
        assert_eq!(house.call("PATCH", &hook, r#"{"enabled":false}"#).status, 204, "nothing new");
        assert_eq!(house.call("PATCH", &hook, r#"{"enabled":7}"#).status, 422, "refused");
        assert_eq!(second("POST", &format!("{bot}/rotate_api_key"), "").status, 201);
        assert_eq!(second("DELETE", &bot, "").status, 204);
        assert_eq!(house.call("DELETE", &hook, "").status, 204);
    }
    let mut sent: BTreeMap<Uuid, Vec<Bytes>> = BTreeMap::new();
    for outgoing in house.outgoing() {
        sent.entry(outgoing.account).or_default().push(outgoing.event.json);
    }
    assert_eq!(sent.len(), 2);
    let (mut walk, mut chains) = (Walk::default(), Vec::new());
    let mut kept: BTreeMap<Uuid, Vec<Bytes>> = BTreeMap::new();
    let audit = Audit::open(&house.folder.0).expect("a chain");
    let take = |entry: &Entry<'_>| {
        chains.extend(walk.step(entry).expect("it holds"));
        let Entry::Row(row) = entry else { return Ok(()) };
        let rows = kept.entry(row.link.account).or_default();
        rows.push(Bytes::copy_from_slice(row.link.json));
        Ok::<_, StoreError>(())
    };
    audit.each(None, take).expect("rows");
    chains.extend(walk.end().expect("it holds"));
    // Those of the bootstrap had left before.
    let before = usize::try_from(bootstrapped()).expect("few");
    kept.get_mut(&house.first.account_id).expect("a chain").drain(..before);
    assert_eq!(kept, sent);
    let counts: Vec<_> = chains.iter().map(|chain| chain.events).collect();
    assert_eq!(counts, [bootstrapped() + 8 * 3, sent[&chains[1].account].len() as u64]);
    let heads: Vec<Hash> = audit.heads().expect("heads").iter().map(|head| head.hash).collect();
    assert_eq!(heads, chains.iter().map(|chain| chain.head).collect::<Vec<_>>());
}

#[test]
fn audit_events_end_after_their_term_and_the_rest_is_proven() {
    let mut house = House::new();
    let hook = house.make(&json!({"name": "a", "template": "{}"}));
    let hook = format!("{}/{}", house.base, hook["id"].as_str().expect("an id"));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let end = |house: &House| wait(house.api.end_audit(&stopped));
    let day = 24 * 60 * 60;
    house.api.clock.advance_seconds(400 * day);
    house.outgoing();
    assert_eq!(end(&house), Ok(0), "for ever, unless somebody says otherwise");

    Arc::get_mut(&mut house.api).expect("nobody else's").options.audit_days = 30;
    house.api.clock.advance_seconds(-400 * day + 20 * day);
    assert_eq!(house.call("PATCH", &hook, r#"{"enabled":false}"#).status, 204);
    assert_eq!(end(&house), Ok(0), "none is older than thirty days");
    house.api.clock.advance_seconds(11 * day);
    let gone = bootstrapped() + 1;
    assert_eq!(end(&house), Ok(gone));
    assert_eq!(house.call("DELETE", &hook, "").status, 204);
    house.api.clock.advance_seconds(100 * day);
    assert_eq!(end(&house), Ok(0), "what was not handed on stays");
    house.outgoing();
    stop.send(true).expect("somebody listens");
    assert_eq!(end(&house), Ok(0), "the gateway stops");

    let (mut walk, audit) = (Walk::default(), Audit::open(&house.folder.0).expect("a chain"));
    let take = |entry: &Entry<'_>| {
        walk.step(entry).expect("it holds");
        Ok::<_, StoreError>(())
    };
    audit.each(Some(house.first.account_id), take).expect("entries");
    let chain = walk.end().expect("it holds").expect("a chain");
    assert_eq!((chain.from, chain.events), (gone + 1, 2));
}
