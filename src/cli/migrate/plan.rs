//! What a migration would do. In: the webhooks and service accounts of both sides. Out: for each webhook of the source,
//! whether it is made, changed, left or skipped at the target. Pure: asks nobody.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::cli::listing::text;

/// What is to become of one webhook.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// It is not there: this is made.
    Create(Value),
    /// It is there, and another: this is set, on that record.
    Update(Value, Value),
    /// It is there as it is to be.
    Keep(Value),
    /// It would not be the same webhook there; why.
    Skip(String),
}

/// A step for each webhook of the source, in its order.
pub(super) fn plan(source: &[Value], target: &[Value], callers: &[Value]) -> Vec<Step> {
    // Names may be doubled. The first made goes with the first made, so that a second run finds the same pairs.
    let mut there: HashMap<String, Vec<&Value>> = HashMap::new();
    let age = |webhook: &&Value| (text(webhook, "created"), text(webhook, "id"));
    let mut ordered: Vec<&Value> = target.iter().collect();
    ordered.sort_by_key(age);
    for webhook in ordered.into_iter().rev() {
        there.entry(text(webhook, "name")).or_default().push(webhook);
    }
    let mut next = |name: &str| there.get_mut(name).and_then(Vec::pop);
    source.iter().map(|webhook| step(webhook, next(&text(webhook, "name")), callers)).collect()
}

/// The webhooks of the source in the order in which they are made: the oldest first.
pub(super) fn order(source: &mut [Value]) {
    source.sort_by_key(|webhook| (text(webhook, "created"), text(webhook, "id")));
}

fn step(webhook: &Value, there: Option<&Value>, callers: &[Value]) -> Step {
    let caller = match caller(webhook, callers) {
        Ok(caller) => caller,
        Err(why) => return Step::Skip(why),
    };
    let description = webhook["description"].as_str().unwrap_or_default();
    let wanted = json!({
        "name": webhook["name"],
        "description": description,
        "template": webhook["template"],
        "enabled": webhook["enabled"] != false,
        "service_account_id": caller,
    });
    let Some(there) = there else { return Step::Create(wanted) };
    let is_same = wanted.as_object().into_iter().flatten().all(|(key, value)| there[key] == *value);
    if is_same { Step::Keep(there.clone()) } else { Step::Update(wanted, there.clone()) }
}

/// The target's service account of the same name; nothing when the webhook has none.
fn caller(webhook: &Value, callers: &[Value]) -> Result<Value, String> {
    if webhook["service_account_id"].is_null() {
        return Ok(Value::Null);
    }
    let name = &webhook["service_account"]["name"];
    let Some(known) = name.as_str() else {
        return Err("the source does not say who its service account is".to_owned());
    };
    let fitting: Vec<&Value> = callers.iter().filter(|bot| bot["name"] == *name).collect();
    match fitting[..] {
        [only] => Ok(only["id"].clone()),
        [] => Err(format!("the target has no service account {known:?}: make it, and run again")),
        _ => Err(format!("the target has {} service accounts {known:?}", fitting.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(name: &str, id: &str, template: &str) -> Value {
        json!({
            "id": id, "created": format!("2026-01-0{id}T00:00:00Z"), "name": name,
            "description": "", "template": template, "enabled": true, "service_account_id": null,
        })
    }

    fn words(steps: &[Step]) -> Vec<String> {
        let word = |step: &Step| match step {
            Step::Create(made) => format!("create {}", text(made, "template")),
            Step::Update(set, there) => format!("update {} {}", text(there, "id"), set["enabled"]),
            Step::Keep(there) => format!("keep {}", text(there, "id")),
            Step::Skip(why) => why.clone(),
        };
        steps.iter().map(word).collect()
    }

    #[test]
    fn what_is_not_there_is_made_and_a_second_run_changes_nothing() {
        let mut source =
            vec![webhook("b", "3", "t3\r\n"), webhook("a", "2", "t2"), webhook("a", "1", "t1")];
        order(&mut source);
        let made = plan(&source, &[], &[]);
        assert_eq!(words(&made), ["create t1", "create t2", "create t3\r\n"]);
        // As they are then, with ids of the target's own.
        let copies: Vec<Value> = made
            .iter()
            .zip(4..)
            .map(|(step, id)| {
                let Step::Create(made) = step else { panic!("{step:?}") };
                let mut made = made.clone();
                made["id"] = id.to_string().into();
                made["created"] = format!("2026-02-0{id}T00:00:00Z").into();
                made
            })
            .collect();
        let shuffled = [copies[2].clone(), copies[1].clone(), copies[0].clone()];
        assert_eq!(words(&plan(&source, &shuffled, &[])), ["keep 4", "keep 5", "keep 6"]);
        source[1]["enabled"] = false.into();
        source[2]["template"] = "t3\n".into();
        let changed = plan(&source, &shuffled, &[]);
        assert_eq!(words(&changed), ["keep 4", "update 5 false", "update 6 true"]);
    }

    #[test]
    fn no_webhook_loses_its_guard() {
        let mut guarded = webhook("a", "1", "t");
        guarded["service_account_id"] = "there".into();
        guarded["service_account"] = json!({ "name": "shop" });
        let source = [guarded];
        let bots = [json!({ "name": "shop", "id": "here" })];
        let Step::Create(made) = &plan(&source, &[], &bots)[0] else { panic!("it is not made") };
        assert_eq!(made["service_account_id"], "here");
        let said = words(&plan(&source, &[], &[]));
        assert!(said[0].contains("no service account \"shop\""), "{said:?}");
        let said = words(&plan(&source, &[], &[bots.clone(), bots].concat()));
        assert!(said[0].contains("2 service accounts"), "{said:?}");
    }
}
