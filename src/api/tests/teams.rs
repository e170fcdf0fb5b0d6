//! Teams and who is in them, and the domains of an account.

use super::*;

impl House {
    fn teams(&self) -> String {
        format!("{}/teams", self.account)
    }

    fn team(&self, name: &str) -> String {
        let body = json!({ "name": name }).to_string();
        let made = self.call("POST", &self.teams(), &body);
        assert_eq!(made.status, 201, "{made:?}");
        format!("{}/{}", self.teams(), made.body["id"].as_str().expect("an id"))
    }

    fn robot_named(&self, name: &str) -> Value {
        let body = json!({ "name": name }).to_string();
        self.call("POST", &format!("{}/bots", self.account), &body).body
    }

    fn add(&self, team: &str, members: &Value) -> Answer {
        let body = json!({ "members": members }).to_string();
        self.call("PUT", &format!("{team}/members"), &body)
    }

    fn names(&self, body: &Value) -> Vec<String> {
        let answer = self.call("POST", &format!("{}/filter", self.teams()), &body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let rows = answer.body.as_array().expect("a list").clone();
        rows.iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn bot(bot: &Value, more: &Value) -> Value {
    let mut one = json!({"member_id": bot["id"], "member_type": "service_account"});
    if let Some(more) = more.as_str() {
        one["role"] = more.into();
    }
    one
}

#[test]
fn a_team_is_made_changed_and_ended() {
    let house = House::new();
    let team = house.team("ops");
    let made = house.call("GET", &team, "").body;
    let keys: Vec<_> = made.as_object().expect("an object").keys().cloned().collect();
    let expected = "id created updated account_id name description workos_directory_group_id \
                    memberships workspaces";
    assert_eq!(keys.join(" "), expected);
    assert_eq!((&made["description"], &made["memberships"]), (&json!(""), &json!([])));
    assert_eq!(house.event_names(), ["team.created"]);
    for _ in 0..2 {
        let put = house.call("PUT", &team, r#"{"name":"ops","description":"on call"}"#);
        assert_eq!((put.status, &put.body["description"]), (200, &json!("on call")));
    }
    assert_eq!(house.event_names(), ["team.updated"]);
    assert_eq!(house.call("PUT", &team, "{}").status, 422);
    assert_eq!(house.call("DELETE", &team, "").status, 204);
    assert_eq!(house.call("GET", &team, "").status, 404);
    assert_eq!(house.event_names(), ["team.deleted"]);
}

#[test]
fn members_are_added_given_roles_and_let_out() {
    let house = House::new();
    let team = house.team("ops");
    let (ci, cd) = (house.robot_named("ci"), house.robot_named("cd"));
    let me = house.call("GET", "/api/me", "").body;
    house.events();
    let user = json!({"member_id": me["id"], "member_type": "user"});
    for _ in 0..2 {
        let answer = house.add(&team, &json!([user, bot(&ci, &Value::Null)]));
        let members = answer.body["memberships"].as_array().expect("a list").clone();
        assert_eq!((answer.status, members.len()), (200, 2), "{answer:?}");
        assert_eq!((&members[0]["type"], &members[0]["handle"]), (&json!("user"), &json!("admin")));
        let told = json!({"id": ci["actor_id"], "handle": "ci", "name": "ci", "email": null,
            "type": "service_account", "role": "member"});
        assert_eq!(members[1], told);
    }
    let events = house.events();
    assert_eq!(events.len(), 2, "those who are in it stay");
    let related: Vec<_> = events[1]["related"].as_array().expect("a list").iter().skip(2).collect();
    let id = |kind: &str, id: &str| format!("prefect-cloud.{kind}.{id}");
    let team_id = &team[team.len() - 36..];
    assert_eq!(related[0]["prefect.resource.id"], id("team", team_id));
    assert_eq!(related[0]["prefect.resource.role"], "team");
    let ci_id = ci["id"].as_str().expect("an id");
    assert_eq!(related[1]["prefect.resource.id"], id("service-account", ci_id));
    assert_eq!(related[1]["prefect.resource.role"], "member");
    assert_eq!(events[1]["resource"]["prefect.resource.name"], "ci");

    for _ in 0..2 {
        assert_eq!(house.add(&team, &json!([bot(&ci, &json!("maintainer"))])).status, 200);
    }
    assert_eq!(house.add(&team, &json!([bot(&ci, &Value::Null)])).status, 200);
    let events = house.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event"], "prefect-cloud.team-membership.updated");
    let change = json!({"role": {"from": "member", "to": "maintainer"}});
    assert_eq!(events[0]["payload"]["updates"], change);

    for (members, status) in [
        (json!([bot(&json!({"id": OTHER}), &Value::Null)]), 422),
        (json!([bot(&ci, &json!("owner"))]), 422),
        (json!([{"member_id": ci["id"], "member_type": "user"}]), 422),
        (json!([{"member_id": ci["id"], "member_type": "service_account", "x": 1}]), 422),
        (json!([bot(&cd, &Value::Null), bot(&cd, &Value::Null)]), 422),
        (json!({}), 422),
        (json!([]), 200),
    ] {
        assert_eq!(house.add(&team, &members).status, status, "{members}");
    }
    assert_eq!(house.add(&format!("{}/{OTHER}", house.teams()), &json!([])).status, 404);
    assert!(house.events().is_empty());

    let gone = format!("{team}/members/{}", ci["actor_id"].as_str().expect("an id"));
    assert_eq!(house.call("DELETE", &gone, "").status, 204);
    assert_eq!(house.call("DELETE", &gone, "").status, 404);
    assert_eq!(house.event_names(), ["team-membership.deleted"]);
    assert_eq!(house.call("DELETE", &team, "").status, 204);
    assert_eq!(house.event_names(), ["team-membership.deleted", "team.deleted"]);
}

#[test]
fn teams_are_found_by_who_is_in_them_and_where_they_may_go() {
    let house = House::new();
    let (ops, dev) = (house.team("ops"), house.team("dev"));
    let (ci, cd) = (house.robot_named("ci"), house.robot_named("cd"));
    let me = house.call("GET", "/api/me", "").body;
    let user = json!({"member_id": me["id"], "member_type": "user"});
    assert_eq!(house.add(&ops, &json!([bot(&ci, &Value::Null), user])).status, 200);
    assert_eq!(house.add(&dev, &json!([bot(&cd, &Value::Null)])).status, 200);
    let role = catalogue::role::WORKSPACE_ROLES[3].id.to_string();
    let access = json!([{"team_id": ops[ops.len() - 36..], "workspace_role_id": role}]);
    let path = format!("{}/team_access/", house.first.api_path);
    assert_eq!(house.call("PUT", &path, &access.to_string()).status, 200);
    let workspace = house.first.workspace_id.to_string();
    let told = &house.call("GET", &ops, "").body["workspaces"];
    let expected = json!([{"workspace_id": workspace, "workspace_handle": "default",
        "workspace_role_id": role, "workspace_role_name": "Viewer"}]);
    assert_eq!(told, &expected);

    let any = |value: &Value| json!({ "any_": [value] });
    for (body, names) in [
        (json!({}), &["dev", "ops"][..]),
        (json!({"sort": "NAME_DESC", "limit": 1}), &["ops"]),
        (json!({"teams": {"name": {"like_": "O"}}}), &["ops"]),
        (json!({"teams": {"member_id": any(&cd["id"])}}), &["dev"]),
        (json!({"teams": {"workspace_id": any(&json!(workspace))}}), &["ops"]),
        (json!({"teams": {"workspace_role_id": any(&json!(role))}}), &["ops"]),
        (json!({"teams": {"workspace_id": any(&json!(OTHER))}}), &[]),
        (json!({"teams": {"directory_id": any(&json!(OTHER))}}), &[]),
        (json!({"users": {"id": any(&me["id"])}}), &["ops"]),
        (json!({"bots": {"name": {"like_": "c"}}}), &["dev", "ops"]),
        (json!({"bots": {"name": any(&json!("admin"))}}), &[]),
    ] {
        assert_eq!(house.names(&body), names, "{body}");
    }
}

#[test]
fn whoever_cannot_enter_every_workspace_lets_nobody_into_a_team_that_may() {
    let house = House::new();
    let team = house.team("ops");
    let role = json!({"name": "leads", "permissions": ["read:team", "update:team"]}).to_string();
    let role = house.call("POST", &format!("{}/account_roles/", house.account), &role).body;
    let lead = json!({"name": "lead", "account_role_id": role["id"]}).to_string();
    let lead = house.call("POST", &format!("{}/bots", house.account), &lead).body;
    let bearer = format!("Bearer {}", lead["api_key"]["key"].as_str().expect("a key"));
    let join = |one: &Value| {
        let body = json!({ "members": [one] }).to_string();
        house.call_as(Some(&bearer), "PUT", &format!("{team}/members"), &body).status
    };
    assert_eq!(join(&bot(&house.robot_named("a"), &Value::Null)), 200);
    let role = catalogue::role::WORKSPACE_OWNER.id.to_string();
    let access = json!([{"team_id": team[team.len() - 36..], "workspace_role_id": role}]);
    let path = format!("{}/team_access/", house.first.api_path);
    assert_eq!(house.call("PUT", &path, &access.to_string()).status, 200);
    assert_eq!(join(&bot(&lead, &Value::Null)), 403);
}

#[test]
fn domains_are_one_set() {
    let house = House::new();
    let path = format!("{}/domains", house.account);
    let set = |names: Value| {
        let body = json!({ "domain_names": names }).to_string();
        house.call("PATCH", &path, &body).status
    };
    assert_eq!(house.call("GET", &path, "").body, json!([]));
    assert_eq!(set(json!(["B.example", "a.example"])), 204);
    let told = house.call("GET", &format!("{path}/"), "").body;
    assert_eq!((&told[0]["name"], &told[1]["name"]), (&json!("a.example"), &json!("b.example")));
    assert_eq!(told[0]["account_id"], house.first.account_id.to_string());
    assert_ne!(told[0]["id"], told[1]["id"]);
    assert_eq!(set(json!(["a.example", "b.example", "A.example"])), 204, "the same set");
    assert_eq!(set(json!(["b.example"])), 204);
    assert_eq!(house.call("GET", &path, "").body[0]["id"], told[1]["id"], "it stayed");
    let events = house.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["event"], "prefect-cloud.account-domain-names.updated");
    let id = format!("prefect-cloud.account-domain-names.{}", house.first.account_id);
    assert_eq!(events[1]["resource"]["prefect.resource.id"], id);
    let change = json!({"domain_names": {"from": ["a.example", "b.example"], "to": ["b.example"]}});
    assert_eq!(events[1]["payload"]["updates"], change);
    for names in [json!(["example"]), json!([7]), json!("a.example"), json!([""])] {
        assert_eq!(set(names.clone()), 422, "{names}");
    }
    assert!(house.events().is_empty());
}
