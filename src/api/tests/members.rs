//! Places in an account: who is found, who may change whom, and what ends with them.

use super::*;
use crate::catalogue::role::{ACCOUNT_ADMIN, ACCOUNT_MEMBER, ACCOUNT_OWNER, BuiltIn};
use crate::store::{Batch, Hidden, KeptKey, Record, Write};
use crate::verify::key;

/// Somebody with a key.
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) membership: Uuid,
    pub(super) bearer: String,
}

impl House {
    /// A person of this account.
    pub(super) fn person(&self, handle: &str, role: &BuiltIn) -> Person {
        self.person_of(self.first.account_id, handle, role)
    }

    pub(super) fn person_of(&self, account: Uuid, handle: &str, role: &BuiltIn) -> Person {
        let (clock, now) = (&self.api.clock, self.api.clock.now());
        let [user, membership, key_id] = [(); 3].map(|()| id::now(clock));
        let record = |id: Uuid, kind: &'static Kind, fields: Value| {
            Record::new(id, kind, account, fields.as_object().cloned().expect("an object"), now)
        };
        let person = json!({"name": handle, "handle": handle, "first_name": "", "last_name": "",
            "email": format!("{handle}@acme.example"), "actor_id": id::now(clock).to_string()});
        let place = json!({"name": handle, "user_id": user.to_string(), "bot_id": null,
            "active": true, "account_role_id": role.id.to_string()});
        let (secret, lookup, digest) = key::mint(clock, &key::Kind::User);
        let kept = json!({"name": "k", "expiration": null, "owner_id": user.to_string(),
            "masked_key": key::mask(&secret)});
        let mut kept = record(key_id, &catalogue::API_KEY, kept);
        kept.hidden = Hidden::Key(KeptKey { lookup, digest });
        let writes = vec![
            Write::Insert(record(user, &catalogue::USER, person)),
            Write::Insert(record(membership, &catalogue::ACCOUNT_MEMBERSHIP, place)),
            Write::Insert(kept),
        ];
        let batch = Batch { writes, events: Vec::new() };
        wait(self.api.store.commit(batch)).expect("made");
        Person { id: user, membership, bearer: format!("Bearer {}", secret.expose()) }
    }

    fn members(&self, more: &str) -> String {
        format!("{}/account_memberships/{more}", self.account)
    }

    /// Handles of those a body describes.
    fn found(&self, body: &Value) -> Vec<Value> {
        let answer = self.call("POST", &self.members("filter"), &body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let count = self.call("POST", &self.members("count"), &body.to_string()).body;
        let rows = answer.body.as_array().cloned().expect("rows");
        assert_eq!(count, rows.len(), "{body}");
        rows.iter().map(|row| row["handle"].clone()).collect()
    }
}

#[test]
fn members_are_found_by_what_they_are() {
    let house = House::new();
    let (rin, mo) = (house.person("rin", &ACCOUNT_ADMIN), house.person("mo", &ACCOUNT_MEMBER));
    let bot = house.call("POST", &format!("{}/bots", house.account), r#"{"name":"ci"}"#).body;
    let asked = |criteria: Value| json!({ "account_memberships": criteria });
    let member = ACCOUNT_MEMBER.id.to_string();
    for (body, handles) in [
        (json!({}), vec!["admin", "ci", "mo", "rin"]),
        (json!({"sort": "NAME_DESC", "only_users": true}), vec!["rin", "mo", "admin"]),
        (
            json!({"sort": "ACCOUNT_ROLE_NAME_ASC", "only_bots": false}),
            vec!["rin", "mo", "ci", "admin"],
        ),
        (json!({"sort": "EMAIL_DESC"}), vec!["rin", "mo", "ci", "admin"]),
        (json!({"sort": "HANDLE_ASC", "only_bots": true}), vec!["ci"]),
        (json!({"active": false}), vec![]),
        (asked(json!({"email": {"like_": "ACME"}})), vec!["mo", "rin"]),
        (asked(json!({"email": {"any_": ["rin@acme.example"]}})), vec!["rin"]),
        (asked(json!({"handle": {"any_": ["ci", "mo"]}})), vec!["ci", "mo"]),
        (asked(json!({"user_id": {"any_": [mo.id.to_string()]}})), vec!["mo"]),
        (asked(json!({"user_id": {"not_any_": [mo.id.to_string()]}})), vec!["admin", "ci", "rin"]),
        (asked(json!({"actor_id": {"any_": [bot["actor_id"]]}})), vec!["ci"]),
        (
            asked(json!({"account_role_id": {"any_": [member]}, "operator": "and_"})),
            vec!["ci", "mo"],
        ),
        (
            asked(json!({"name": {"like_": "rin"}, "handle": {"any_": ["mo"]}, "operator": "or_"})),
            vec!["mo", "rin"],
        ),
    ] {
        assert_eq!(house.found(&body), handles, "{body}");
    }
    let wrong = asked(json!({"operator": "xor"})).to_string();
    assert_eq!(house.call("POST", &house.members("filter"), &wrong).status, 422);
    let by_user = house.call("GET", &house.members(&format!("by-user/{}", rin.id)), "").body;
    assert_eq!(by_user["id"], rin.membership.to_string());
    assert_eq!((&by_user["teams"], &by_user["account_role_name"]), (&json!([]), &json!("Admin")));
    assert_eq!(house.call("GET", &house.members(&rin.membership.to_string()), "").body, by_user);
    let by_bot = house.members(&format!("by-bot/{}", bot["id"].as_str().expect("an id")));
    assert_eq!(house.call("GET", &by_bot, "").body["user_id"], Value::Null);
    assert_eq!(house.call("GET", &house.members(&format!("by-bot/{}", rin.id)), "").status, 404);
}

#[test]
fn the_last_owner_stays_and_nobody_rules_those_above() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_ADMIN);
    let own = house.call("GET", "/api/me/accounts", "").body;
    let own = house.members(own[0]["account_membership_id"].as_str().expect("an id"));
    let as_rin = |method, path: &str, body: &str| {
        house.call_as(Some(&rin.bearer), method, path, body).status
    };
    let role = |role: &BuiltIn| json!({"account_role_id": role.id.to_string()}).to_string();
    let active = |path: &str| format!("{path}/active");
    let off = r#"{"active":false}"#;
    for (method, path, body) in [
        ("PATCH", own.clone(), role(&ACCOUNT_MEMBER)),
        ("PATCH", active(&own), off.to_owned()),
        ("DELETE", own.clone(), String::new()),
    ] {
        assert_eq!(as_rin(method, &path, &body), 403, "an owner is above an admin");
        assert_eq!(house.call(method, &path, &body).status, 409, "{method} {path}");
    }
    assert_eq!(
        house.call("DELETE", &format!("/api/me/accounts/{}", house.first.account_id), "").status,
        409
    );
    let rins = house.members(&rin.membership.to_string());
    assert_eq!(as_rin("PATCH", &rins, &role(&ACCOUNT_OWNER)), 403);
    assert_eq!(house.call("PATCH", &rins, &role(&catalogue::role::WORKSPACE_OWNER)).status, 422);
    assert!(house.events().is_empty());
    assert_eq!(house.call("PATCH", &rins, &role(&ACCOUNT_OWNER)).status, 204);
    assert_eq!(house.call("PATCH", &rins, &role(&ACCOUNT_OWNER)).status, 204);
    assert_eq!(as_rin("PATCH", &active(&own), off), 204, "somebody else owns it now");
    assert_eq!(house.event_names(), ["account-membership.updated"; 2]);
    assert_eq!(house.call("GET", &own, "").status, 401, "kept out");
    let both = json!({"membership_ids": [rin.membership, &own[own.len() - 36..]], "active": false});
    let set = house.members("set_active");
    assert_eq!(as_rin("POST", &set, &both.to_string()), 409);
    let both = json!({"membership_ids": [rin.membership, &own[own.len() - 36..]], "active": true});
    assert_eq!(as_rin("POST", &set, &both.to_string()), 204);
    assert_eq!(house.event_names(), ["account-membership.updated"]);
    let other = json!({"membership_ids": [OTHER], "active": true});
    assert_eq!(as_rin("POST", &set, &other.to_string()), 404);
    assert_eq!(as_rin("POST", &set, r#"{"membership_ids":[],"active":true}"#), 422);
}

#[test]
fn places_in_teams_and_workspaces_end_with_a_membership() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_MEMBER);
    let (account, now) = (house.first.account_id, house.api.clock.now());
    let record = |kind: &'static Kind, fields: Value| {
        let fields = fields.as_object().cloned().expect("an object");
        Record::new(id::now(&house.api.clock), kind, account, fields, now)
    };
    let team = record(&catalogue::TEAM, json!({"name": "t", "description": ""}));
    let place = record(
        &catalogue::TEAM_MEMBERSHIP,
        json!({"name": "rin", "team_id": team.id.to_string(), "user_id": rin.id.to_string()}),
    );
    let role = catalogue::role::WORKSPACE_OWNER.id.to_string();
    let access = json!({"name": "rin", "user_id": rin.id.to_string(), "workspace_role_id": role});
    let mut access = record(&catalogue::WORKSPACE_ACCESS, access);
    access.workspace = Some(house.first.workspace_id);
    let writes = [team, place, access].map(Write::Insert).into();
    wait(house.api.store.commit(Batch { writes, events: Vec::new() })).expect("made");
    let path = house.members(&rin.membership.to_string());
    assert_eq!(house.call("GET", &path, "").body["teams"][0]["name"], "t");
    assert_eq!(house.call_as(Some(&rin.bearer), "GET", &house.base, "").status, 200);
    assert_eq!(house.call("DELETE", &path, "").status, 204);
    let events = house.events();
    let names: Vec<_> =
        events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    let kinds = ["team-membership", "workspace-access", "account-membership"];
    assert_eq!(names, kinds.map(|kind| format!("prefect-cloud.{kind}.deleted")));
    assert_eq!(events[1]["related"][2]["prefect.resource.name"], "default", "{}", events[1]);
    assert_eq!(house.call_as(Some(&rin.bearer), "GET", &house.base, "").status, 404);
    assert_eq!(house.call_as(Some(&rin.bearer), "GET", "/api/me", "").status, 200);
}

#[test]
fn who_leaves_the_account_they_were_made_in_belongs_to_another_of_theirs() {
    let house = House::new();
    let rin = house.person("rin", &ACCOUNT_MEMBER);
    let (other, key) = house.second();
    let other = catalogue::is_id(&other[other.len() - 36..]).expect("an id");
    let place = json!({"name": "rin", "user_id": rin.id.to_string(), "active": true,
        "account_role_id": ACCOUNT_MEMBER.id.to_string()});
    let place = place.as_object().cloned().expect("an object");
    let now = house.api.clock.now();
    let place =
        Record::new(id::now(&house.api.clock), &catalogue::ACCOUNT_MEMBERSHIP, other, place, now);
    let writes = vec![Write::Insert(place)];
    wait(house.api.store.commit(Batch { writes, events: Vec::new() })).expect("made");
    let mine = |method, path: &str| house.call_as(Some(&rin.bearer), method, path, "");
    assert_eq!(mine("GET", "/api/me/accounts").body.as_array().map(Vec::len), Some(2));
    let leave = format!("/api/me/accounts/{}", house.first.account_id);
    assert_eq!(mine("DELETE", &leave).status, 204);
    assert_eq!(mine("DELETE", &leave).status, 404);
    assert_eq!(house.event_names(), ["account-membership.deleted"]);
    assert_eq!(mine("GET", "/api/me/accounts").body.as_array().map(Vec::len), Some(1));
    let user = wait(house.api.store.records(vec![rin.id])).expect("rows").pop().expect("rin");
    assert_eq!(user.account, other);
    let bearer = format!("Bearer {key}");
    let rows = format!("/api/accounts/{other}/account_memberships/filter");
    let rows = house.call_as(Some(&bearer), "POST", &rows, "").body;
    assert_eq!(rows.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_service_account_does_not_leave() {
    let house = House::new();
    let bot = house.call("POST", &format!("{}/bots", house.account), r#"{"name":"ci"}"#).body;
    let bearer = format!("Bearer {}", bot["api_key"]["key"].as_str().expect("a key"));
    let leave = format!("/api/me/accounts/{}", house.first.account_id);
    assert_eq!(house.call_as(Some(&bearer), "DELETE", &leave, "").status, 409);
    let by_bot = house.members(&format!("by-bot/{}", bot["id"].as_str().expect("an id")));
    let place = house.call("GET", &by_bot, "").body;
    let path = house.members(place["id"].as_str().expect("an id"));
    assert_eq!(house.call("DELETE", &path, "").status, 409);
}
