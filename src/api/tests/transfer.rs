//! Workspaces that move between accounts.

use super::workspaces::text;
use super::*;
use crate::catalogue::{ACCOUNT, ACCOUNT_MEMBERSHIP, Values, role};
use crate::store::{Batch, Record, Write};

impl House {
    /// Another account, of which the first user is an owner.
    fn neighbour(&self) -> Uuid {
        let values = |value: Value| -> Values { value.as_object().cloned().expect("an object") };
        let now = self.api.clock.now();
        let user = text(&self.call("GET", "/api/me", "").body["id"]).to_owned();
        let account = id::now(&self.api.clock);
        let other = values(json!({"name": "Other", "handle": "other"}));
        let owner = role::ACCOUNT_OWNER.id.to_string();
        let member = values(json!({"name": "admin", "user_id": user, "bot_id": null,
            "account_role_id": owner, "active": true}));
        let writes = [
            Record::new(account, &ACCOUNT, account, other, now),
            Record::new(id::now(&self.api.clock), &ACCOUNT_MEMBERSHIP, account, member, now),
        ];
        let writes = writes.into_iter().map(Write::Insert).collect();
        wait(self.api.store.commit(Batch { writes, events: Vec::new() })).expect("made");
        account
    }
}

#[test]
fn a_workspace_moves_with_all_that_is_in_it_and_both_accounts_are_told() {
    let house = House::new();
    let other = house.neighbour();
    let (from, path) = (house.first.account_id, house.first.api_path.clone());
    let hook = house.make(&json!({"name": "a", "template": "t"}));
    let incident = house.call("POST", &format!("{path}/incidents"), r#"{"name":"i"}"#).body;
    let (bot, _) = house.program("ci", &role::ACCOUNT_MEMBER);
    let viewer = role::WORKSPACE_ROLES[3].id.to_string();
    let access = json!({"bot_id": bot["id"], "workspace_role_id": viewer}).to_string();
    assert_eq!(house.call("POST", &format!("{path}/bot_access"), &access).status, 200);
    let asked = house.call("POST", &format!("{path}/invitations/"), r#"{"email":"a@b.example"}"#);
    assert_eq!(asked.status, 201, "{asked:?}");
    house.events();

    let body = json!({"to_account_id": other.to_string(), "new_handle": "moved"}).to_string();
    let asked = house.call("POST", &format!("{path}/validate_transfer"), &body);
    assert_eq!((asked.status, asked.body), (200, json!({})));
    let moved = house.call("POST", &format!("{path}/transfer"), &body);
    assert_eq!(moved.status, 204, "{moved:?}");
    let events = house.events();
    let name = |event: &Value| text(&event["event"]).replace("prefect-cloud.", "");
    let names: Vec<_> = events.iter().map(name).collect();
    let mut ended = names[..2].to_vec();
    ended.sort();
    assert_eq!(ended, ["workspace-access.deleted", "workspace-invitation.deleted"]);
    assert_eq!(names[2..], ["workspace.transferred-out", "workspace.transferred-in"]);
    let events = &events[1..];
    let related = |event: &Value| {
        let rows = event["related"].as_array().expect("related").iter().skip(1);
        let row = |row: &Value| {
            let role = text(&row["prefect.resource.role"]).to_owned();
            (role, text(&row["prefect.resource.id"]).replace("prefect-cloud.account.", ""))
        };
        rows.map(row).collect::<Vec<_>>()
    };
    let pair = |role: &str, id: Uuid| (role.to_owned(), id.to_string());
    assert_eq!(related(&events[1]), [pair("account", from), pair("target-account", other)]);
    assert_eq!(related(&events[2]), [pair("account", other), pair("source-account", from)]);
    let tells = json!({"from_account_id": from.to_string(), "to_account_id": other.to_string(),
        "handle": "default", "new_handle": "moved"});
    assert!(events[1..].iter().all(|event| event["payload"] == tells));
    assert_eq!(
        events[1]["resource"]["prefect.resource.id"],
        events[2]["resource"]["prefect.resource.id"]
    );

    assert_eq!(house.call("GET", &path, "").status, 404);
    let path = path.replace(&from.to_string(), &other.to_string());
    let read = house.call("GET", &path, "");
    assert_eq!((read.status, &read.body["handle"]), (200, &json!("moved")));
    for inside in ["webhooks", "incidents"] {
        let id = if inside == "webhooks" { &hook["id"] } else { &incident["id"] };
        let read = house.call("GET", &format!("{path}/{inside}/{}", text(id)), "");
        assert_eq!(read.status, 200, "{inside}: {read:?}");
    }
    assert_eq!(house.call("GET", &format!("{path}/settings"), "").status, 200);
    assert_eq!(house.call("GET", &format!("{path}/access/"), "").body, json!([]));
    let left = house.call("POST", &format!("{path}/invitations/filter"), "").body;
    assert_eq!(left, json!([]), "nobody joins whom the account did not ask");
    let served = wait(house.api.store.webhooks()).expect("webhooks");
    assert_eq!((served[0].account.id, served[0].workspace.handle.as_str()), (other, "moved"));
    let heads = crate::store::Audit::open(&house.folder.0).expect("a chain").heads();
    assert_eq!(heads.expect("heads").len(), 2, "each account has a chain");
}

#[test]
fn what_stays_behind_is_in_the_way() {
    let house = House::new();
    let other = house.neighbour();
    let path = house.first.api_path.clone();
    let (bot, bearer) = house.program("ci", &role::ACCOUNT_ADMIN);
    house.make(&json!({"name": "guarded", "template": "t", "service_account_id": bot["id"]}));
    let target = format!("/api/accounts/{other}");
    let taken = r#"{"name":"x","handle":"default"}"#;
    assert_eq!(house.call("POST", &format!("{target}/workspaces"), taken).status, 201);
    let enforce = r#"{"enforce_webhook_authentication":true}"#;
    assert_eq!(house.call("PATCH", &format!("{target}/settings"), enforce).status, 204);
    house.make(&json!({"name": "open", "template": "t"}));
    house.events();
    let body = json!({"to_account_id": other.to_string()}).to_string();
    let asked = house.call("POST", &format!("{path}/validate_transfer"), &body).body;
    let problems = json!({
        "handle": ["Another workspace of the account has the handle default"],
        "service_account_id": [
            "The webhook guarded refers to the service-account ci, which stays",
            "The webhook open has no service account, which the account demands",
        ],
    });
    assert_eq!(asked, problems);
    let transfer = |bearer: Option<&str>, to: &str| {
        let body = json!({"to_account_id": to}).to_string();
        let path = format!("{path}/transfer");
        match bearer {
            Some(bearer) => house.call_as(Some(bearer), "POST", &path, &body).status,
            None => house.call("POST", &path, &body).status,
        }
    };
    let (to, own) = (other.to_string(), house.first.account_id.to_string());
    assert_eq!(transfer(None, &to), 409);
    assert_eq!(transfer(None, &own), 409, "it is there");
    assert_eq!(transfer(None, OTHER), 422);
    assert_eq!(transfer(Some(&bearer), &to), 422, "who does not belong there");
    assert!(house.events().is_empty());
    assert_eq!(house.call("GET", &path, "").status, 200);
}

#[test]
fn a_move_obeys_the_allowlist_of_where_it_goes() {
    let house = House::new();
    let other = house.neighbour();
    let target = format!("/api/accounts/{other}");
    let list = r#"{"entries":[{"ip_network":"192.0.2.0/24","enabled":true}]}"#;
    assert_eq!(house.call("PUT", &format!("{target}/ip_allowlist"), list).status, 204);
    let enforce = r#"{"enforce_ip_allowlist":true}"#;
    assert_eq!(house.call("PATCH", &format!("{target}/settings"), enforce).status, 204);
    house.events();
    house.peer.set([198, 51, 100, 7].into());
    let body = json!({"to_account_id": other.to_string()}).to_string();
    let path = &house.first.api_path;
    for verb in ["validate_transfer", "transfer"] {
        assert_eq!(house.call("POST", &format!("{path}/{verb}"), &body).status, 403, "{verb}");
    }
    assert_eq!(house.call("GET", path, "").status, 200, "where it is, nothing is enforced");
    house.peer.set([192, 0, 2, 9].into());
    let asked = house.call("POST", &format!("{path}/validate_transfer"), &body);
    assert_eq!(asked.status, 200, "{asked:?}");
}
