//! Invitations, from the word to the place.

use super::*;
use crate::catalogue::role::{ACCOUNT_ADMIN, ACCOUNT_MEMBER, ACCOUNT_OWNER, WORKSPACE_VIEWER};

/// An invitation with its code.
struct Invited {
    row: Value,
    code: String,
}

impl Invited {
    fn new(mut row: Value) -> Self {
        let code = row["invite_code"].as_str().expect("a code").to_owned();
        row.as_object_mut().expect("an object").remove("invite_code");
        Self { row, code }
    }

    fn id(&self) -> &str {
        self.row["id"].as_str().expect("an id")
    }

    fn path(&self, answer: &str) -> String {
        format!("/api/invitations/{}/{answer}?invite_code={}", self.id(), self.code)
    }
}

impl House {
    fn invite(&self, email: &str) -> Invited {
        let body = json!([{"email": email, "account_role_id": ACCOUNT_MEMBER.id.to_string()}]);
        let path = format!("{}/invitations/", self.account);
        let answer = self.call("POST", &path, &body.to_string());
        assert_eq!(answer.status, 201, "{answer:?}");
        Invited::new(answer.body[0].clone())
    }

    fn invitation(&self, invited: &Invited) -> Value {
        self.call("GET", &format!("{}/invitations/{}", self.account, invited.id()), "").body
    }
}

#[test]
fn somebody_new_joins_by_a_code_that_nothing_tells_again() {
    let house = House::new();
    let invited = house.invite("rin@acme.example");
    assert_eq!((&invited.row["status"], invited.code.len()), (&json!("PENDING"), 22));
    assert_eq!(house.invitation(&invited), invited.row, "without the code");
    let new =
        r#"{"handle":"rin","first_name":"Rin","last_name":"Okada","password":"correct horse"}"#;
    let answer = |path: &str, body: &str| house.call_as(None, "POST", path, body).status;
    let wrong = format!("/api/invitations/{}/accept?invite_code=x", invited.id());
    assert_eq!(answer(&wrong, new), 404);
    assert_eq!(answer(&invited.path("accept"), ""), 401, "nobody says who they are");
    assert_eq!(answer(&invited.path("accept"), &new.replace("correct horse", "short")), 422);
    assert_eq!(answer(&invited.path("accept"), &new.replace("rin\"", "admin\"")), 409);
    house.api.clock.advance_seconds(1);
    assert_eq!(answer(&invited.path("accept"), new), 204);
    assert_eq!(answer(&invited.path("accept"), new), 409);
    assert_eq!(answer(&invited.path("reject"), ""), 409);
    let events = house.events();
    let names: Vec<_> =
        events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    let wanted = [
        "account-invitation.created",
        "user.created",
        "account-membership.created",
        "account-invitation.accepted",
    ];
    assert_eq!(names, wanted.map(|name| format!("prefect-cloud.{name}")));
    let told = json!({"email": "rin@acme.example", "status": "ACCEPTED",
        "account_role_id": ACCOUNT_MEMBER.id.to_string()});
    assert_eq!(events[3]["payload"], told);
    assert_eq!(events[3]["related"][0]["prefect-cloud.handle"], "rin");
    let text = Value::from(events).to_string();
    for secret in [&invited.code, "correct horse", "argon2"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(house.invitation(&invited)["status"], "ACCEPTED");
    let members = format!("{}/account_memberships/filter", house.account);
    let rin =
        house.call("POST", &members, r#"{"account_memberships":{"handle":{"any_":["rin"]}}}"#);
    assert_eq!(rin.body[0]["email"], "rin@acme.example");
}

#[test]
fn a_member_of_another_account_joins_with_their_key() {
    let house = House::new();
    let (_, key) = house.second();
    let bearer = format!("Bearer {key}");
    let invited = house.invite("o@other.example");
    let joins = || house.call_as(Some(&bearer), "POST", &invited.path("accept"), "").status;
    assert_eq!(joins(), 204);
    let accounts = house.call_as(Some(&bearer), "GET", "/api/me/accounts", "").body;
    assert_eq!(accounts.as_array().map(Vec::len), Some(2));
    let again = house.invite("o@other.example");
    let path = again.path("accept");
    assert_eq!(house.call_as(Some(&bearer), "POST", &path, "").status, 409, "belongs already");
    assert_eq!(house.call_as(Some("Bearer x"), "POST", &path, "").status, 401);
    assert_eq!(house.call_as(None, "POST", &again.path("reject"), "").status, 204);
    assert_eq!(house.invitation(&again)["status"], "REJECTED");
    assert_eq!(house.event_names().last().map(String::as_str), Some("account-invitation.rejected"));
}

#[test]
fn invitations_end_are_taken_back_and_sent_again() {
    let house = House::new();
    let first = house.invite("rin@acme.example");
    let longer = house.invite("katrin@acme.example");
    let second = house.invite("Rin@Acme.example");
    assert_eq!(house.invitation(&longer)["status"], "PENDING", "somebody else");
    let revoke = format!("{}/invitations/{}/revoke", house.account, longer.id());
    assert_eq!(house.call("POST", &revoke, "").status, 204);
    assert_eq!(house.invitation(&first)["status"], "REVOKED", "the later one counts");
    let answer =
        |invited: &Invited| house.call_as(None, "POST", &invited.path("reject"), "").status;
    assert_eq!(answer(&first), 409);
    house.api.clock.advance_seconds(7 * 24 * 3600);
    assert_eq!(answer(&second), 409, "expired");
    let again = format!("{}/invitations/{}/resend", house.account, second.id());
    let third = house.call("POST", &again, "");
    assert_eq!(third.status, 200, "{third:?}");
    let third = Invited::new(third.body);
    assert_eq!(third.id(), second.id());
    assert_eq!(answer(&second), 404, "its code counts no more");
    let count = format!("{}/invitations/count", house.account);
    let pending = r#"{"account_invitations":{"status":{"any_":["PENDING"]}}}"#;
    assert_eq!(house.call("POST", &count, pending).body, 1);
    let revoke = format!("{}/invitations/{}/revoke", house.account, third.id());
    assert_eq!(house.call("POST", &revoke, "").status, 204);
    assert_eq!(house.call("POST", &revoke, "").status, 409);
    assert_eq!(house.call("POST", &again, "").status, 409);
    assert_eq!(answer(&third), 409);
    assert_eq!(
        house.event_names(),
        ["created", "created", "deleted", "created", "deleted", "updated", "deleted"]
            .map(|done| format!("account-invitation.{done}"))
    );
}

#[test]
fn nobody_invites_to_more_than_they_have() {
    let house = House::new();
    let admin = house.person("ada", &ACCOUNT_ADMIN);
    let path = format!("{}/invitations", house.account);
    let invite =
        |body: &Value| house.call_as(Some(&admin.bearer), "POST", &path, &body.to_string()).status;
    let owner = ACCOUNT_OWNER.id.to_string();
    let member = ACCOUNT_MEMBER.id.to_string();
    for (body, status) in [
        (json!([{"email": "a@x", "account_role_id": owner}]), 403),
        (
            json!([{"email": "a@x", "account_role_id": member}, {"email": "b@x", "account_role_id": owner}]),
            403,
        ),
        (json!([{"email": "a@x", "account_role_id": OTHER}]), 422),
        (json!([{"email": "nobody", "account_role_id": member}]), 422),
        (
            json!([{"email": "a@x", "account_role_id": member}, {"email": "a@x", "account_role_id": member}]),
            422,
        ),
        (json!([{"email": "a@x"}]), 422),
    ] {
        assert_eq!(invite(&body), status, "{body}");
    }
    assert!(house.events().is_empty());
    let body = json!([{"email": "o@x", "account_role_id": owner}]);
    let invited = Invited::new(house.call("POST", &path, &body.to_string()).body[0].clone());
    let again = format!("{path}/{}/resend", invited.id());
    assert_eq!(house.call_as(Some(&admin.bearer), "POST", &again, "").status, 403);
    assert_eq!(house.call("POST", &again, "").status, 200);
}

#[test]
fn a_guest_of_a_workspace_gets_a_place_in_it_and_its_account() {
    let house = House::new();
    let base = format!("{}/invitations/", house.first.api_path);
    let made = house.call("POST", &base, r#"{"email":"mo@acme.example"}"#);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["workspace_role_id"], WORKSPACE_VIEWER.id.to_string());
    assert_eq!(made.body["workspace_id"], house.first.workspace_id.to_string());
    let invited = Invited::new(made.body);
    house.events();
    let new = r#"{"handle":"mo","password":"correct horse"}"#;
    assert_eq!(house.call_as(None, "POST", &invited.path("accept"), new).status, 204);
    assert_eq!(
        house.event_names(),
        [
            "user.created",
            "account-membership.created",
            "workspace-access.created",
            "workspace-invitation.accepted"
        ]
    );
    let access = house.call("GET", &format!("{}/access/", house.first.api_path), "").body;
    assert!(access.as_array().expect("rows").iter().any(|row| row["name"] == "mo"), "{access}");
    let again = house.call("POST", &base, r#"{"email":"mo@acme.example"}"#).body;
    let revoke = format!("{base}{}/revoke", again["id"].as_str().expect("an id"));
    assert_eq!(house.call("POST", &revoke, "").status, 204);
    let declined = Invited::new(house.call("POST", &base, r#"{"email":"x@acme.example"}"#).body);
    assert_eq!(house.call_as(None, "POST", &declined.path("reject"), "").status, 204);
    let names = house.event_names();
    assert_eq!(names[1], "workspace-invitation.deleted");
    assert_eq!(names[3], "workspace-invitation.rejected");
}

#[test]
fn an_invitation_gives_nothing_that_who_invited_has_lost() {
    let house = House::new();
    let path = format!("{}/invitations/", house.account);
    let guests = format!("{}/invitations/", house.first.api_path);
    for (number, loses) in [
        (1, json!({"account_role_id": ACCOUNT_MEMBER.id.to_string()})),
        (2, json!({"active": false})),
        (3, Value::Null),
    ] {
        let admin = house.person(&format!("ada{number}"), &ACCOUNT_ADMIN);
        let invite = |path: &str, body: &Value| {
            let answer = house.call_as(Some(&admin.bearer), "POST", path, &body.to_string());
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.body
        };
        let email = format!("new{number}@acme.example");
        let body = json!([{"email": email, "account_role_id": ACCOUNT_MEMBER.id.to_string()}]);
        let invited = Invited::new(invite(&path, &body)[0].clone());
        let guest = Invited::new(invite(&guests, &json!({"email": email})));
        let mut membership = format!("{}/account_memberships/{}", house.account, admin.membership);
        if loses.get("active").is_some() {
            membership += "/active";
        }
        let lost = match &loses {
            Value::Null => house.call("DELETE", &membership, ""),
            loses => house.call("PATCH", &membership, &loses.to_string()),
        };
        assert!((200..300).contains(&lost.status), "{lost:?}");
        let new = format!(r#"{{"handle":"new{number}","password":"correct horse"}}"#);
        for invited in [&invited, &guest] {
            let answer = house.call_as(None, "POST", &invited.path("accept"), &new);
            assert_eq!(answer.status, 409, "{loses}: {answer:?}");
        }
        let again = format!("{path}{}/resend", invited.id());
        let again = Invited::new(house.call("POST", &again, "").body);
        assert_eq!(house.call_as(None, "POST", &again.path("accept"), &new).status, 204);
    }
}
