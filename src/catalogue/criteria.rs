//! Criteria of a filter, as a body holds them. In: a field of criteria and its value. Out: what is asked of each field
//! of a kind, without what asks nothing; or the first fault. Never a field that the table does not name.

use serde_json::Value;

use super::{Fault, IS_GLOBAL, LIST_MAX, Values, is_id};

/// What criteria may hold beside fields: whether all of them count, or any.
pub const OPERATOR: &str = "operator";

/// Criteria as `{"name": {"any": […], "not_any": […], "like": "…"}}`, without what asks nothing.
pub(super) fn read_criteria(name: &str, fields: &[&str], value: &Value) -> Result<Value, Fault> {
    let extra =
        |at: &[&str]| Err(Fault::new("extra_forbidden", at, "Extra inputs are not permitted"));
    let object = |value: &Value, at: &[&str]| match value {
        Value::Object(object) => Ok(object.clone()),
        Value::Null => Ok(Values::new()),
        _ => Err(Fault::new("dict_type", at, "Input should be a valid dictionary")),
    };
    let mut read = Values::new();
    for (about, criterion) in object(value, &["body", name])? {
        if about == OPERATOR && !criterion.is_object() {
            match criterion.as_str() {
                Some("and_") | None if !criterion.is_array() => {}
                Some("or_") => drop(read.insert(about, criterion)),
                _ => {
                    let says = "Input should be one of: and_, or_";
                    return Err(Fault::new("enum", &["body", name, OPERATOR], says));
                }
            }
            continue;
        }
        if !matches!(about.as_str(), "id" | "name") && !fields.contains(&about.as_str()) {
            return extra(&["body", name, &about]);
        }
        if criterion.is_boolean() && about == IS_GLOBAL {
            read.insert(about, criterion);
            continue;
        }
        let is_id = about == "id" || about.ends_with("_id");
        let mut asked = Values::new();
        for (operator, operand) in object(&criterion, &["body", name, &about])? {
            let at = ["body", name, &about, &operator];
            let key = match operator.as_str() {
                "any_" => "any",
                "not_any_" => "not_any",
                "like_" if !is_id => "like",
                _ => return extra(&at),
            };
            match operand {
                Value::Null => {}
                text @ Value::String(_) if key == "like" => {
                    asked.insert(key.to_owned(), text);
                }
                Value::Array(list) if key != "like" && list.len() <= LIST_MAX as usize => {
                    asked.insert(key.to_owned(), read_operands(list, is_id, &at)?);
                }
                _ => return Err(Fault::new("type_error", &at, "Input has the wrong type")),
            }
        }
        if !asked.is_empty() {
            read.insert(about, asked.into());
        }
    }
    Ok(read.into())
}

/// Texts, or ids in their one form.
pub(super) fn read_operands(list: Vec<Value>, ids: bool, at: &[&str]) -> Result<Value, Fault> {
    if !ids {
        let wrong = || Fault::new("type_error", at, "Input has the wrong type");
        return if list.iter().all(Value::is_string) { Ok(list.into()) } else { Err(wrong()) };
    }
    let id = |id: &Value| Some(Value::from(id.as_str().and_then(is_id)?.to_string()));
    let ids: Option<Vec<Value>> = list.iter().map(id).collect();
    let wrong = || Fault::new("uuid_parsing", at, "Input should be a valid UUID");
    ids.map(Value::from).ok_or_else(wrong)
}
