//! Everybody at every door: each verb of the table as each pair of built-in roles, as somebody of another account, with
//! keys that count no more, and with none. What is to happen is computed from the table alone.

use super::*;
use crate::catalogue::role::{ACCOUNT_ROLES, BuiltIn, WORKSPACE_ROLES};
use crate::catalogue::{Permission, Powers};
use crate::store::{Batch, Record, Write};

/// Whoever knocks, and what they may do.
struct Visitor {
    says: String,
    /// None for a key that counts no more, or for nobody.
    id: Option<Uuid>,
    bearer: Option<String>,
    is_inside: bool,
    is_person: bool,
    powers: Powers,
}

impl Visitor {
    fn nobody(says: &str, bearer: Option<String>) -> Self {
        let powers = Powers::default();
        Self { says: says.to_owned(), id: None, bearer, is_inside: false, is_person: true, powers }
    }

    /// The status that the table wants; `None` when the visitor is let in.
    fn refusal(&self, needs: Permission, path: &str) -> Option<u16> {
        let own = self.id.map(|id| id.to_string());
        if needs == Permission::Open {
            return None;
        }
        let Some(own) = own else { return Some(401) };
        let (in_account, in_workspace) = (path.contains("{account}"), path.contains("{workspace}"));
        if (in_account || in_workspace) && !self.is_inside {
            return Some(404);
        }
        if in_workspace && !self.powers.reach_workspace() {
            return Some(404);
        }
        match needs {
            Permission::Oneself if !(self.is_person && path.contains(&own)) => Some(404),
            needs if !self.powers.allow(needs) => Some(403),
            _ => None,
        }
    }
}

impl House {
    /// A program with these roles.
    fn robot(&self, account: &BuiltIn) -> (Uuid, String) {
        let body = json!({"name": "p", "account_role_id": account.id.to_string()}).to_string();
        let bot = self.call("POST", &format!("{}/bots/", self.account), &body).body;
        let key = bot["api_key"]["key"].as_str().expect("a key");
        let id = bot["id"].as_str().and_then(catalogue::is_id).expect("an id");
        (id, format!("Bearer {key}"))
    }

    /// A place in the first workspace.
    fn let_in(&self, field: &str, who: Uuid, role: &BuiltIn) {
        let fields = json!({"name": "p", field: who.to_string(),
            "workspace_role_id": role.id.to_string()});
        let fields = fields.as_object().cloned().expect("an object");
        let (clock, kind) = (&self.api.clock, &catalogue::WORKSPACE_ACCESS);
        let account = self.first.account_id;
        let mut place = Record::new(id::now(clock), kind, account, fields, clock.now());
        place.workspace = Some(self.first.workspace_id);
        let writes = vec![Write::Insert(place)];
        wait(self.api.store.commit(Batch { writes, events: Vec::new() })).expect("made");
    }

    /// Every pair of roles, as a person and as a program.
    fn insiders(&self) -> Vec<Visitor> {
        let mut visitors = Vec::new();
        for account in ACCOUNT_ROLES {
            let places = [None].into_iter().chain(WORKSPACE_ROLES.map(Some));
            for (number, place) in places.enumerate() {
                let person =
                    self.person(&format!("{}-{number}", account.name.to_lowercase()), account);
                let person = ("user_id", person.id, person.bearer);
                let (id, bearer) = self.robot(account);
                for (field, id, bearer) in [person, ("bot_id", id, bearer)] {
                    if let Some(role) = place {
                        self.let_in(field, id, role);
                    }
                    let workspace = place.map(BuiltIn::powers);
                    let powers = Powers { account: account.powers(), workspace };
                    let place = place.map_or("outside", |role| role.name);
                    let says = format!("{field} {} / {place}", account.name);
                    visitors.push(Visitor {
                        says,
                        id: Some(id),
                        bearer: Some(bearer),
                        is_inside: true,
                        is_person: field == "user_id",
                        powers,
                    });
                }
            }
        }
        visitors
    }

    /// Those who have no business here.
    fn outsiders(&self) -> Vec<Visitor> {
        let (other, _) = self.second();
        let other = catalogue::is_id(&other[other.len() - 36..]).expect("an id");
        let stranger = self.person_of(other, "stranger", ACCOUNT_ROLES[0]);
        let stranger = Visitor {
            id: Some(stranger.id),
            powers: Powers { account: ACCOUNT_ROLES[0].powers(), workspace: None },
            ..Visitor::nobody("another account", Some(stranger.bearer))
        };
        let bots = format!("{}/bots/", self.account);
        let owner = ACCOUNT_ROLES[0].id.to_string();
        let expired = json!({"name": "e", "account_role_id": owner,
            "api_key_expiration": "2023-11-14T22:13:21Z"});
        let expired = self.call("POST", &bots, &expired.to_string()).body;
        let expired = expired["api_key"]["key"].as_str().expect("a key").to_owned();
        let (rotated_id, rotated) = self.robot(ACCOUNT_ROLES[0]);
        let rotate = format!("{bots}{rotated_id}/rotate_api_key");
        assert_eq!(self.call("POST", &rotate, "").status, 201);
        let (deleted_id, deleted) = self.robot(ACCOUNT_ROLES[0]);
        assert_eq!(self.call("DELETE", &format!("{bots}{deleted_id}"), "").status, 204);
        vec![
            stranger,
            Visitor::nobody("expired", Some(format!("Bearer {expired}"))),
            Visitor::nobody("rotated", Some(rotated)),
            Visitor::nobody("deleted", Some(deleted)),
            Visitor::nobody("nobody", None),
        ]
    }

    /// The status of a visitor who is turned away; the call itself is not made.
    fn knock_as(&self, visitor: &Visitor, method: &str, path: &str) -> Option<u16> {
        let arrival = self.arrival(visitor.bearer.as_deref(), method, path);
        let admitted = match Api::find(&arrival) {
            Ok(asked) => wait(self.api.admit(asked, &arrival)).map(|_| ()),
            Err(problem) => Err(problem),
        };
        admitted.err().map(|problem| problem.reply().status.as_u16())
    }
}

#[test]
fn every_verb_lets_in_whom_the_table_says() {
    let house = House::new();
    let mut visitors = house.insiders();
    visitors.extend(house.outsiders());
    house.api.clock.advance_seconds(2);
    let mut knocks = 0;
    for kind in catalogue::KINDS {
        for verb in kind.verbs {
            for visitor in &visitors {
                let mut paths = vec![kind.path(verb)];
                if let (Permission::Oneself, Some(id)) = (verb.needs, visitor.id) {
                    paths.push(paths[0].replace("{user}", &id.to_string()));
                }
                for path in paths {
                    let filled = house.fill(&path);
                    let found = house.knock_as(visitor, verb.method, &filled);
                    let wanted = visitor.refusal(verb.needs, &path);
                    assert_eq!(found, wanted, "{} {path} by {}", verb.method, visitor.says);
                    knocks += 1;
                }
            }
        }
    }
    assert!(knocks > 1000, "{knocks}");
}

#[test]
fn every_page_wants_a_key_unless_it_is_open() {
    let house = House::new();
    let visitors = house.outsiders();
    house.api.clock.advance_seconds(2);
    for page in pages::PAGES {
        for visitor in &visitors {
            let wanted = (visitor.id.is_none() && !page.is_open).then_some(401);
            let found = house.knock_as(visitor, "GET", page.path);
            assert_eq!(found, wanted, "{} by {}", page.path, visitor.says);
            assert_eq!(house.knock_as(visitor, "PUT", page.path), Some(405), "{}", page.path);
        }
    }
}

#[test]
fn every_route_of_events_lets_in_whom_its_table_says() {
    let house = House::new();
    let mut visitors = house.insiders();
    visitors.extend(house.outsiders());
    house.api.clock.advance_seconds(2);
    let mut knocks = 0;
    for (method, suffix, needs) in crate::api::events::doors() {
        let bases = ["accounts/{account}", "accounts/{account}/workspaces/{workspace}"];
        for (base, needs) in bases.into_iter().zip(needs) {
            for visitor in &visitors {
                let path = house.fill(&format!("{base}/events/{suffix}"));
                let arrival = house.arrival(visitor.bearer.as_deref(), method, &path);
                let found = wait(house.api.knock_at_events(&arrival)).err();
                let found = found.map(|problem| problem.reply().status.as_u16());
                let wanted = visitor.refusal(needs, base);
                assert_eq!(found, wanted, "{method} {path} by {}", visitor.says);
                knocks += 1;
            }
        }
        for visitor in visitors.iter().filter(|visitor| visitor.id.is_none()) {
            let path = house.fill(&format!("events/{suffix}"));
            let arrival = house.arrival(visitor.bearer.as_deref(), method, &path);
            let found = wait(house.api.knock_at_events(&arrival)).err();
            assert_eq!(found, Some(Problem::Unauthorized), "{path} by {}", visitor.says);
        }
    }
    assert!(knocks > 300, "{knocks}");
}
