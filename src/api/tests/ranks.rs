//! Service accounts that may do more than those who manage them.

use super::members::Person;
use super::*;
use crate::catalogue::role::{ACCOUNT_MEMBER, ACCOUNT_OWNER, WORKSPACE_OWNER, WORKSPACE_VIEWER};

impl House {
    /// Somebody who manages service accounts, and may do nothing else.
    fn keeper(&self) -> Person {
        let keeper = self.person("kim", &ACCOUNT_MEMBER);
        let held = self.api.permissions(ACCOUNT_MEMBER.id);
        let mut permissions = wait(held).expect("permissions");
        permissions.extend(["read:bot", "update:bot", "delete:bot"].map(str::to_owned));
        let role = json!({ "name": "Keeper", "permissions": permissions }).to_string();
        let role = self.call("POST", &format!("{}/account_roles", self.account), &role).body;
        let path = format!("{}/account_memberships/{}", self.account, keeper.membership);
        let body = json!({ "account_role_id": role["id"] }).to_string();
        assert_eq!(self.call("PATCH", &path, &body).status, 204);
        keeper
    }

    /// The path of a service account with that role.
    fn bot_of(&self, name: &str, role: Uuid) -> String {
        let body = json!({ "name": name, "account_role_id": role.to_string() }).to_string();
        let made = self.call("POST", &format!("{}/bots/", self.account), &body);
        assert_eq!(made.status, 201, "{made:?}");
        format!("{}/bots/{}", self.account, made.body["id"].as_str().expect("an id"))
    }

    fn give(&self, field: &str, id: &str, role: Uuid) {
        let path = format!("{}/{field}_access/", self.first.api_path);
        let body = json!({ format!("{field}_id"): id, "workspace_role_id": role.to_string() });
        let (method, body) = if field == "team" { ("PUT", json!([body])) } else { ("POST", body) };
        let answer = self.call(method, &path, &body.to_string());
        assert!(answer.status < 300, "{answer:?}");
    }
}

#[test]
fn nobody_gets_a_key_that_opens_more_than_their_own() {
    let house = House::new();
    let keeper = house.keeper();
    let rotate = |path: &str| {
        let path = format!("{path}/rotate_api_key");
        house.call_as(Some(&keeper.bearer), "POST", &path, "").status
    };
    let (weak, strong) =
        (house.bot_of("weak", ACCOUNT_MEMBER.id), house.bot_of("strong", ACCOUNT_OWNER.id));
    house.events();
    assert_eq!((rotate(&weak), rotate(&strong)), (201, 403));
    assert_eq!(house.event_names(), ["api-key.rotated"]);
    let id = weak.rsplit('/').next().expect("an id");
    house.give("bot", id, WORKSPACE_OWNER.id);
    assert_eq!(rotate(&weak), 403, "it enters a workspace that they do not");
    house.give("user", &keeper.id.to_string(), WORKSPACE_VIEWER.id);
    assert_eq!(rotate(&weak), 403, "and may do more there");
    house.give("user", &keeper.id.to_string(), WORKSPACE_OWNER.id);
    assert_eq!(rotate(&weak), 201);
}

#[test]
fn what_a_team_brings_a_service_account_counts() {
    let house = House::new();
    let keeper = house.keeper();
    let bot = house.bot_of("ci", ACCOUNT_MEMBER.id);
    let id = bot.rsplit('/').next().expect("an id");
    let teams = format!("{}/teams", house.account);
    let team = house.call("POST", &teams, r#"{"name":"t"}"#).body;
    let team = team["id"].as_str().expect("an id");
    let body = json!({ "members": [{ "member_id": id, "member_type": "service_account" }] });
    let added = house.call("PUT", &format!("{teams}/{team}/members"), &body.to_string());
    assert!(added.status < 300, "{added:?}");
    let rotate = || {
        let path = format!("{bot}/rotate_api_key");
        house.call_as(Some(&keeper.bearer), "POST", &path, "").status
    };
    assert_eq!(rotate(), 201);
    house.give("team", team, WORKSPACE_VIEWER.id);
    assert_eq!(rotate(), 403);
}

#[test]
fn nobody_lowers_or_ends_a_service_account_above_them() {
    let house = House::new();
    let keeper = house.keeper();
    let call = |method, path: &str| {
        let body = json!({ "account_role_id": ACCOUNT_MEMBER.id.to_string() }).to_string();
        house.call_as(Some(&keeper.bearer), method, path, &body).status
    };
    let (weak, strong) =
        (house.bot_of("weak", ACCOUNT_MEMBER.id), house.bot_of("strong", ACCOUNT_OWNER.id));
    house.events();
    assert_eq!((call("PATCH", &strong), call("DELETE", &strong)), (403, 403));
    let keys = house.call("GET", &format!("{strong}/read_bot_api_keys"), "").body;
    let key = keys["active_key"]["id"].as_str().expect("an id");
    assert_eq!(call("DELETE", &format!("{strong}/delete_bot_api_key/{key}")), 403);
    assert!(house.events().is_empty());
    assert_eq!((call("PATCH", &weak), call("DELETE", &weak)), (204, 204));
}

#[test]
fn who_lets_others_into_a_workspace_takes_nothing_from_those_above_them() {
    let house = House::new();
    let path = house.first.api_path.clone();
    let porter = house.person("kim", &ACCOUNT_MEMBER);
    let scopes = ["manage_workspace_users", "manage_workspace_teams", "see_webhooks"];
    let role = json!({ "name": "Porter", "scopes": scopes }).to_string();
    let role = house.call("POST", &format!("{}/workspace_roles/", house.account), &role).body;
    let role = catalogue::is_id(role["id"].as_str().expect("an id")).expect("an id");
    house.give("user", &porter.id.to_string(), role);
    let rin = house.person("rin", &ACCOUNT_MEMBER);
    let team = house.call("POST", &format!("{}/teams", house.account), r#"{"name":"t"}"#).body;
    let team = team["id"].as_str().expect("an id").to_owned();
    let place = |who: &str, role: Uuid| {
        let body = json!({ "user_id": who, "workspace_role_id": role.to_string() });
        let body = body.to_string();
        house.call_as(Some(&porter.bearer), "POST", &format!("{path}/user_access"), &body)
    };
    let end = |place: &str| house.call_as(Some(&porter.bearer), "DELETE", place, "").status;
    let rins = rin.id.to_string();
    house.give("user", &rins, WORKSPACE_OWNER.id);
    house.give("team", &team, WORKSPACE_OWNER.id);
    house.events();
    let lowered = place(&rins, role);
    let says = "Not permitted: the role allows see_secret_blocks, which you may not";
    assert_eq!(lowered.status, 403, "{lowered:?}");
    assert_eq!(lowered.body["detail"].as_str().map(|says| &says[..31]), Some(&says[..31]));
    let found = house.call("GET", &format!("{path}/access/"), "").body;
    assert!(found.to_string().contains(&rins));
    assert_eq!(end(&format!("{path}/team_access/{team}")), 403);
    assert!(house.events().is_empty());
    // What they have themselves they may take as well as give.
    house.give("user", &rins, role);
    let given = place(&rins, role);
    assert_eq!(given.status, 200, "{given:?}");
    let one = given.body["id"].as_str().expect("an id");
    assert_eq!(end(&format!("{path}/user_access/{one}")), 204);
    let back = house.call(
        "POST",
        &format!("{path}/user_access"),
        &json!({ "user_id": rins,
        "workspace_role_id": WORKSPACE_OWNER.id.to_string() })
        .to_string(),
    );
    let one = back.body["id"].as_str().expect("an id");
    assert_eq!(end(&format!("{path}/user_access/{one}")), 403);
    assert_eq!(house.call("DELETE", &format!("{path}/user_access/{one}"), "").status, 204);
}
