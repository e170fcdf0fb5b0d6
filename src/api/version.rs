//! Versions of a webhook's template: what was saved when and by whom, a draft beside what is live, and the ways from
//! one to the other. In: calls. Out: versions as JSON, and changes whose audit events are the webhook's own. What is
//! live changes only with such an event.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use http::StatusCode;
use serde_json::{Value, json};

use super::change::note;
use super::deed::Deed;
use super::problem::Problem;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{Fault, Permission, Values, Versioning, WEBHOOK};
use crate::render::{Difference, Made, Verdict};
use crate::store::{Record, StoreError, Version, Write};

/// The field that counts versions; the newest is live.
const NUMBER: &str = "template_version";
const TEMPLATE: &str = "template";
const DRAFT: &str = "draft";
const SEES_EVENTS: Permission = Permission::Workspace("see_events");

/// Counts on when a webhook gets another template.
pub(super) fn complete(before: Option<&Record>, record: &mut Record) {
    let text = |record: &Record| record.text(TEMPLATE).to_owned();
    if before.is_none_or(|before| text(before) != text(record)) {
        record.fields.insert(NUMBER.to_owned(), (before.map_or(0, number) + 1).into());
    }
}

fn number(webhook: &Record) -> u64 {
    webhook.fields.get(NUMBER).and_then(Value::as_u64).unwrap_or(0)
}

/// Keeps what a webhook's template was saved as, when that is another than before.
pub(super) fn keep(
    call: &Call,
    before: Option<&Record>,
    record: &Record,
    word: &str,
    deed: &mut Deed<'_>,
) {
    let is_kept = before.is_some_and(|before| number(before) == number(record));
    if record.kind.name != WEBHOOK.name || is_kept {
        return;
    }
    let actor = &call.scene.actor;
    deed.write(Write::Version(Version {
        webhook: record.id,
        number: number(record),
        template: record.text(TEMPLATE).to_owned(),
        note: word.to_owned(),
        author: Some((actor.id, actor.name.clone())),
        saved: deed.now,
    }));
}

/// The word to a version among a body's values.
pub(super) fn word<'a>(values: &'a Values, field: &str) -> &'a str {
    values.get(field).and_then(Value::as_str).unwrap_or_default()
}

impl Api {
    /// Does what a verb asks about the versions of a template.
    pub(super) async fn act_on_template(
        &self,
        call: &Call,
        what: Versioning,
        values: &Values,
    ) -> Result<Reply, Problem> {
        match what {
            Versioning::List => self.versions(call).await,
            Versioning::Read => self.version(call).await,
            Versioning::RollBack => self.roll_back(call, values).await,
            Versioning::Draft => self.draft_told(call).await,
            Versioning::PutDraft => self.put_draft(call, values).await,
            Versioning::DropDraft => self.drop_draft(call).await,
            Versioning::Shadow => self.shadow(call).await,
            Versioning::Publish => self.publish_draft(call, values).await,
        }
    }

    /// Tells all versions that are kept, the newest first, without their texts.
    async fn versions(&self, call: &Call) -> Result<Reply, Problem> {
        let record = self.record(call).await?;
        let all = self.store.versions(record.id).await?;
        let told: Vec<Value> = all.iter().map(|version| tell(version, &record)).collect();
        Ok(json(&told.into()))
    }

    /// Tells one version with its text.
    async fn version(&self, call: &Call) -> Result<Reply, Problem> {
        let record = self.record(call).await?;
        let wanted: u64 = call.resource.parse().map_err(|_| {
            let says = "Input should be a valid integer";
            Problem::Invalid(vec![Fault::new("int_parsing", &["path", "number"], says)])
        })?;
        let version = self.find_version(&record, wanted).await?.ok_or(Problem::NotFound)?;
        let mut told = tell(&version, &record);
        told[TEMPLATE] = version.template.into();
        Ok(json(&told))
    }

    async fn find_version(&self, record: &Record, wanted: u64) -> Result<Option<Version>, Problem> {
        let all = self.store.versions(record.id).await?;
        Ok(all.into_iter().find(|version| version.number == wanted))
    }

    /// Makes what an earlier version says live again, as the newest.
    async fn roll_back(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let wanted = values.get("version").and_then(Value::as_u64).unwrap_or(0);
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let before = self.record(call).await?;
            let Some(version) = self.find_version(&before, wanted).await? else {
                let says = format!("Value error, there is no version {wanted}, or not any more");
                let fault = Fault::new("value_error", &["body", "version"], says);
                return Err(Problem::Invalid(vec![fault]));
            };
            // What was taken once may break a rule that came later.
            let template = Values::from_iter([(TEMPLATE.to_owned(), version.template.into())]);
            self.check_template(&template)?;
            let word = match word(values, "note") {
                "" => format!("rolled back to {wanted}"),
                said => said.to_owned(),
            };
            let mut record = before.clone();
            record.fields.extend(template);
            if let Some(reply) = self.make_live(call, &before, record, &word).await? {
                return Ok(reply);
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Makes a webhook's template what a record says; the newest version then. `None`: somebody else was faster.
    async fn make_live(
        &self,
        call: &Call,
        before: &Record,
        mut record: Record,
        word: &str,
    ) -> Result<Option<Reply>, Problem> {
        let mut deed = self.deed(call);
        complete(Some(before), &mut record);
        let had_draft = before.fields.get(DRAFT) != record.fields.get(DRAFT);
        if !deed.update(&before.fields, record.clone()) && had_draft {
            // It said what is live: only the draft is gone.
            write_draft(&mut deed, &record);
        }
        keep(call, Some(before), &record, word, &mut deed);
        let changes = !deed.is_empty();
        if !deed.commit().await? {
            return Ok(None);
        }
        if changes {
            note(call, &record);
        }
        let version = self.find_version(&record, number(&record)).await?;
        Ok(Some(json(&version.map(|version| tell(&version, &record)).into())))
    }

    /// Tells the draft.
    async fn draft_told(&self, call: &Call) -> Result<Reply, Problem> {
        let record = self.record(call).await?;
        draft(&record).map(json).ok_or(Problem::NotFound)
    }

    /// Keeps a template beside the live one; it makes no events until it is published.
    async fn put_draft(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        self.check_template(values)?;
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut record = self.record(call).await?;
            let actor = &call.scene.actor;
            let template = word(values, TEMPLATE);
            let kept = json!({
                "template": template,
                "hash": hash(template),
                "note": word(values, "note"),
                "shadow": values.get("shadow").and_then(Value::as_bool).unwrap_or(false),
                "beside": number(&record),
                "saved": deed.now.to_string(),
                "author": {"id": actor.id.to_string(), "name": actor.name},
            });
            record.fields.insert(DRAFT.to_owned(), kept.clone());
            write_draft(&mut deed, &record);
            if deed.commit().await? {
                note(call, &record);
                return Ok(json(&kept));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Tells how the draft differs from what is live, as far as requests have shown since both are there, and since the
    /// gateway started.
    async fn shadow(&self, call: &Call) -> Result<Reply, Problem> {
        let record = self.record(call).await?;
        draft(&record).filter(|draft| draft["shadow"] == true).ok_or(Problem::NotFound)?;
        let shadow = self.options.shadows.find(record.id);
        let tally = shadow.map(|shadow| shadow.tally()).unwrap_or_default();
        let mut told = json!({ "beside": number(&record) });
        for (verdict, name) in Verdict::ALL {
            told[name] = tally.counts[verdict as usize].into();
        }
        told["skipped"] = tally.skipped.into();
        // What was rendered is an event that some who see webhooks may not see.
        let all = call.caller.as_ref().is_some_and(|caller| caller.powers.allow(SEES_EVENTS));
        told["last"] = tally.last.iter().map(|one| tell_difference(one, all)).collect();
        Ok(json(&told))
    }

    /// Forgets the draft.
    async fn drop_draft(&self, call: &Call) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let mut deed = self.deed(call);
            let mut record = self.record(call).await?;
            draft(&record).ok_or(Problem::NotFound)?;
            record.fields.remove(DRAFT);
            write_draft(&mut deed, &record);
            if deed.commit().await? {
                note(call, &record);
                return Ok(Reply::empty(StatusCode::NO_CONTENT));
            }
        }
        Err(StoreError::Stale.into())
    }

    /// Makes the draft live.
    async fn publish_draft(&self, call: &Call, values: &Values) -> Result<Reply, Problem> {
        let mut tries = self.tries(call.account());
        while tries.again().await {
            let before = self.record(call).await?;
            let Some(draft) = draft(&before) else {
                return Err(Problem::Conflict("There is no draft to publish".to_owned()));
            };
            let (template, own) = (draft[TEMPLATE].clone(), draft["note"].clone());
            let template = Values::from_iter([(TEMPLATE.to_owned(), template)]);
            self.check_template(&template)?;
            let said = word(values, "note");
            let word = if said.is_empty() { own.as_str().unwrap_or_default() } else { said };
            let mut record = before.clone();
            record.fields.extend(template);
            record.fields.remove(DRAFT);
            if let Some(reply) = self.make_live(call, &before, record, word).await? {
                return Ok(reply);
            }
        }
        Err(StoreError::Stale.into())
    }
}

/// A draft that was kept or dropped; its audit event says no more than that.
fn write_draft(deed: &mut Deed<'_>, record: &Record) {
    let mut record = record.clone();
    record.updated = record.updated.max(deed.now);
    deed.tell(&record, &[], "updated", &json!({ "updated_fields": [DRAFT] }));
    deed.write(Write::Update(record));
}

fn draft(record: &Record) -> Option<&Value> {
    record.fields.get(DRAFT).filter(|draft| !draft.is_null())
}

fn tell(version: &Version, webhook: &Record) -> Value {
    let author = version.author.as_ref();
    let author = author.map(|(id, name)| json!({"id": id.to_string(), "name": name}));
    json!({
        "number": version.number,
        "live": version.number == number(webhook),
        "hash": hash(&version.template),
        "saved": version.saved.to_string(),
        "author": author,
        "note": version.note,
    })
}

fn tell_difference(difference: &Difference, with_events: bool) -> Value {
    let made = |made: &Made| match made {
        Made::Event(Some(text)) => json!({ "event": serde_json::from_str::<Value>(text).ok() }),
        Made::Event(None) => json!({ "event": null, "truncated": true }),
        Made::Fault(text) => json!({ "error": text }),
    };
    let mut told = json!({
        "receipt": difference.receipt.to_string(),
        "received": difference.received.to_string(),
        "verdict": difference.verdict.name(),
        "places": difference.places,
    });
    if with_events {
        (told["live"], told["draft"]) = (made(&difference.live), made(&difference.draft));
    }
    told
}

/// SHA-256 of a template, in hexadecimal.
fn hash(template: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(&SHA256, template.as_bytes()).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn json(told: &Value) -> Reply {
    Reply::json(StatusCode::OK, told.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::id::Uuid;

    #[test]
    fn events_in_differences_are_for_those_who_see_events() {
        let made = || Made::Event(Some(r#"{"payload":{"password":"p"}}"#.into()));
        let difference = Difference {
            receipt: Uuid::nil(),
            received: Time::default(),
            verdict: Verdict::Changed,
            places: vec!["/payload/password".to_owned()],
            live: made(),
            draft: made(),
        };
        let all = tell_difference(&difference, true);
        assert_eq!(all["live"]["event"]["payload"]["password"], "p");
        let some = tell_difference(&difference, false);
        assert_eq!((&some["live"], &some["draft"]), (&Value::Null, &Value::Null));
        assert_eq!(some["places"], all["places"]);
    }
}
