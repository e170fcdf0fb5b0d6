//! People: what is known of them, and the keys they make. In: what they say of themselves. Out: their record, the names
//! others see it by, and a key's text for the one reply that tells it.

use super::deed::Deed;
use super::key::expiration;
use super::present;
use super::problem::Problem;
use super::question::reply;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{ACCOUNT_MEMBERSHIP, TEAM_MEMBERSHIP, USER, Values, WORKSPACE_ACCESS};
use crate::store::{Record, Write};

/// What clients send empty when they mean to leave it.
const EMPTY_KEEPS: [&str; 3] = ["first_name", "last_name", "email"];

/// A person as a change leaves them: empty texts keep what was there, and the name follows from its parts.
pub(super) fn complete_user(before: &Values, user: &mut Record) {
    if user.kind.name != USER.name {
        return;
    }
    for field in EMPTY_KEEPS {
        if user.text(field).is_empty() {
            let kept = before.get(field).cloned().unwrap_or_default();
            user.fields.insert(field.to_owned(), kept);
        }
    }
    let name = name_of(user);
    user.fields.insert("name".to_owned(), name.into());
}

/// First and last name, or the handle of who has none.
fn name_of(user: &Record) -> String {
    let name = format!("{} {}", user.text("first_name").trim(), user.text("last_name").trim());
    match name.trim() {
        "" => user.text("handle").to_owned(),
        name => name.to_owned(),
    }
}

impl Api {
    /// Has the places of somebody whose name changed bear the new one. The person's event tells it.
    pub(super) async fn rename(
        &self,
        before: &Values,
        user: &Record,
        deed: &mut Deed<'_>,
    ) -> Result<(), Problem> {
        if user.kind.name != USER.name || before.get("name") == user.fields.get("name") {
            return Ok(());
        }
        for kind in [&ACCOUNT_MEMBERSHIP, &TEAM_MEMBERSHIP, &WORKSPACE_ACCESS] {
            for mut place in self.store.holders(kind.name, vec![user.id]).await? {
                place.fields.insert("name".to_owned(), user.text("name").into());
                deed.write(Write::Update(place));
            }
        }
        Ok(())
    }

    /// A key for the person the path names; a service account's is made with it and rotated.
    pub(super) async fn make_key(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let caller = call.caller.as_ref().ok_or(Problem::Unauthorized)?;
        let text = |name| values.get(name).cloned().unwrap_or_default();
        let mut deed = self.deed(call);
        let name = text("name").as_str().unwrap_or_default().to_owned();
        let expiration = expiration(values, "expiration", deed.now)?;
        let (key, secret) = self.mint_key(&caller.owner, &name, expiration, &deed);
        deed.insert(key.clone());
        deed.commit().await?;
        super::change::note(call, &key);
        Ok(reply(call, &present::key(&key, Some(&secret))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Time;
    use crate::id::Uuid;

    #[test]
    fn a_name_follows_from_its_parts_and_nothing_empties_them() {
        let values = |value: serde_json::Value| value.as_object().cloned().expect("an object");
        let before =
            values(json!({"name": "Rin", "handle": "rin", "first_name": "Rin", "email": "r@x"}));
        for (change, name, email) in [
            (json!({"first_name": "", "email": ""}), "Rin", "r@x"),
            (json!({"first_name": null, "last_name": "Okada "}), "Rin Okada", "r@x"),
            (json!({"first_name": " "}), "rin", "r@x"),
            (json!({"email": "o@x"}), "Rin", "o@x"),
        ] {
            let mut fields = before.clone();
            fields.extend(values(change.clone()));
            let mut user = Record::new(Uuid::nil(), &USER, Uuid::nil(), fields, Time::default());
            complete_user(&before, &mut user);
            assert_eq!((user.text("name"), user.text("email")), (name, email), "{change}");
        }
    }
}
