//! Changes that come at the same moment.

use tokio::task::JoinSet;

use super::*;

impl House {
    /// The statuses of calls that are made at once.
    fn at_once(&self, calls: &[(String, String)]) -> Vec<u16> {
        let bearer = format!("Bearer {}", self.key);
        let arrivals = calls.iter().map(|(path, body)| {
            let raw = Bytes::copy_from_slice(body.as_bytes());
            (self.arrival(Some(&bearer), "PATCH", path), Body::from_bytes(raw))
        });
        wait(async {
            let mut all = JoinSet::new();
            for (arrival, body) in arrivals {
                let api = Arc::clone(&self.api);
                all.spawn(async move { api.answer(arrival, body).await.status.as_u16() });
            }
            all.join_all().await
        })
    }
}

#[test]
fn as_many_changes_of_one_record_as_come_at_once_are_all_made() {
    let house = House::new();
    let hook = house.make(&json!({"name": "a", "template": "t"}));
    let path = format!("{}/{}", house.base, hook["id"].as_str().expect("an id"));
    house.events();
    let off = |number: usize| json!({ "enabled": number.is_multiple_of(2) }).to_string();
    let calls: Vec<_> = (0..40).map(|number| (path.clone(), off(number))).collect();
    assert_eq!(house.at_once(&calls), [204; 40]);
    // Each that changed something says so, and no two say the same in a row.
    let to = |event: &Value| event.pointer("/payload/updates/enabled/to").cloned();
    let told: Vec<_> = house.events().iter().map(to).collect();
    assert!(!told.is_empty() && told.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
}

#[test]
fn roles_do_not_come_to_inherit_from_each_other() {
    let house = House::new();
    let base = format!("{}/workspace_roles", house.account);
    let made = |name: &str| {
        let body = json!({ "name": name }).to_string();
        let answer = house.call("POST", &base, &body);
        answer.body["id"].as_str().expect("an id").to_owned()
    };
    for round in 0..10 {
        let ring = ["a", "b", "c"].map(|name| made(&format!("{name}{round}")));
        let calls: Vec<_> = (0..ring.len())
            .map(|at| {
                let above = &ring[(at + 1) % ring.len()];
                let body = json!({ "inherited_role_id": above }).to_string();
                (format!("{base}/{}", ring[at]), body)
            })
            .collect();
        let mut statuses = house.at_once(&calls);
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 204, 422], "round {round}");
    }
}
