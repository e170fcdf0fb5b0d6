//! Bodies against the table. In: a kind, a verb, a JSON value. Out: the values of the fields it may set, whole and
//! normalised, or every fault at once in the words clients of the original know. Never repeats what was sent.

use serde_json::{Map, Value};

use super::{Effect, Fallback, Field, Kind, Shape, Source, Verb};
use crate::clock::Time;
use crate::id::Uuid;

/// Values by field name.
pub type Values = Map<String, Value>;

/// What is wrong with one place of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule's name.
    pub rule: &'static str,
    /// Where: `body` or `path` and what follows, strings only.
    pub at: Vec<String>,
    /// The rule in words.
    pub says: String,
}

impl Fault {
    /// A fault of the body's field of that path.
    #[must_use]
    pub fn new(rule: &'static str, at: &[&str], says: impl Into<String>) -> Self {
        Self { rule, at: at.iter().map(|&part| part.to_owned()).collect(), says: says.into() }
    }
}

/// Whether text is an id as paths and bodies may have it: 32 hexadecimal digits, with hyphens or without.
#[must_use]
pub fn is_id(text: &str) -> Option<Uuid> {
    matches!(text.len(), 32 | 36).then(|| Uuid::parse_str(text).ok()).flatten()
}

/// Checks a verb's body; `None` when nothing was sent. What is absent has its fallback, except where the present
/// value is to be kept: such fields are not among the values.
///
/// # Errors
/// Every fault.
pub fn check(kind: &Kind, verb: &Verb, body: Option<&Value>) -> Result<Values, Vec<Fault>> {
    let empty = Values::new();
    let fields = inputs(kind, verb);
    let given = match body {
        Some(Value::Object(given)) => given,
        None | Some(Value::Null) if !demands(verb, &fields) => &empty,
        None => return Err(vec![Fault::new("missing", &["body"], "Field required")]),
        Some(_) => {
            let says = "Input should be a valid dictionary or object to extract fields from";
            return Err(vec![Fault::new("model_attributes_type", &["body"], says)]);
        }
    };
    let mut faults = Vec::new();
    let mut values = Values::new();
    for field in &fields {
        let value = given.get(field.name);
        match (value, is_whole(verb)) {
            (None, true) if is_required(field) => {
                faults.push(Fault::new("missing", &["body", field.name], "Field required"));
            }
            (Some(Value::Null), _) if field.null_clears => {
                values.insert(field.name.to_owned(), Value::Null);
            }
            (Some(Value::Null), true) if is_required(field) => match read(field, &Value::Null) {
                Ok(_) => {}
                Err(fault) => faults.push(fault),
            },
            (None | Some(Value::Null), false) => {}
            (None | Some(Value::Null), true) => {
                if !(field.kept && verb.effect == Effect::Replace) {
                    values.insert(field.name.to_owned(), fallback(field));
                }
            }
            (Some(value), _) => match read(field, value) {
                Ok(value) => {
                    values.insert(field.name.to_owned(), value);
                }
                Err(fault) => faults.push(fault),
            },
        }
    }
    for name in given.keys().filter(|name| !fields.iter().any(|field| field.name == **name)) {
        let says = "Extra inputs are not permitted";
        faults.push(Fault::new("extra_forbidden", &["body", name], says));
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

/// The fields a verb's body may have.
fn inputs(kind: &Kind, verb: &Verb) -> Vec<&'static Field> {
    let takes = |field: &&Field| {
        is_input(field) && verb.takes.is_none_or(|takes| takes.contains(&field.name))
    };
    kind.fields.iter().filter(takes).chain(verb.also).collect()
}

/// Whether a body says all there is to say, rather than what is to change.
fn is_whole(verb: &Verb) -> bool {
    verb.effect != Effect::Change
}

fn is_input(field: &Field) -> bool {
    matches!(field.source, Source::Given | Source::Required)
}

fn is_required(field: &Field) -> bool {
    field.source == Source::Required
}

fn demands(verb: &Verb, fields: &[&Field]) -> bool {
    !is_whole(verb) || fields.iter().copied().any(is_required)
}

fn fallback(field: &Field) -> Value {
    match field.fallback {
        Fallback::Null => Value::Null,
        Fallback::Text(text) => text.into(),
        Fallback::Flag(flag) => flag.into(),
        Fallback::Count(count) => count.into(),
    }
}

/// A value as its field keeps it.
fn read(field: &Field, value: &Value) -> Result<Value, Fault> {
    let fault = |rule, says: String| Err(Fault::new(rule, &["body", field.name], says));
    match (field.shape, value) {
        (Shape::Text(chars_max), Value::String(text)) => {
            if text.len() as u64 > chars_max && text.chars().count() as u64 > chars_max {
                let says = format!("String should have at most {chars_max} characters");
                return fault("string_too_long", says);
            }
            Ok(value.clone())
        }
        (Shape::Text(_), _) => fault("string_type", "Input should be a valid string".to_owned()),
        (Shape::Flag, Value::Bool(_)) => Ok(value.clone()),
        (Shape::Flag, _) => fault("bool_type", "Input should be a valid boolean".to_owned()),
        (Shape::Reference(targets), _) => match value.as_str().and_then(is_id) {
            Some(_) if targets.is_empty() => {
                fault("value_error", "Value error, nothing of that id can be named here".to_owned())
            }
            Some(id) => Ok(id.to_string().into()),
            None => fault("uuid_parsing", "Input should be a valid UUID".to_owned()),
        },
        (Shape::Instant, _) => match value.as_str().and_then(Time::parse) {
            Some(time) => Ok(time.to_string().into()),
            None => fault("datetime_parsing", "Input should be a valid datetime".to_owned()),
        },
        (Shape::Count(most), Value::Number(number)) => match number.as_u64() {
            Some(count) if count <= most => Ok(value.clone()),
            Some(_) => {
                let says = format!("Input should be less than or equal to {most}");
                fault("less_than_equal", says)
            }
            None if number.is_i64() => {
                fault("greater_than_equal", "Input should be greater than or equal to 0".to_owned())
            }
            None => fault("int_type", "Input should be a valid integer".to_owned()),
        },
        (Shape::Count(_), _) => fault("int_type", "Input should be a valid integer".to_owned()),
        (Shape::Choice(words), _) => {
            if value.as_str().is_some_and(|word| words.contains(&word)) {
                return Ok(value.clone());
            }
            fault("enum", format!("Input should be one of: {}", words.join(", ")))
        }
        (Shape::Criteria, _) => read_criteria(field.name, value),
        (Shape::Id | Shape::Slug | Shape::Key, _) => {
            fault("extra_forbidden", "Extra inputs are not permitted".to_owned())
        }
    }
}

/// Criteria as `{"ids": […], "names": […], "like": "…"}`, null where nothing is asked.
fn read_criteria(name: &str, value: &Value) -> Result<Value, Fault> {
    let extra =
        |at: &[&str]| Err(Fault::new("extra_forbidden", at, "Extra inputs are not permitted"));
    let object = |value: &Value, at: &[&str]| match value {
        Value::Object(object) => Ok(object.clone()),
        Value::Null => Ok(Values::new()),
        _ => Err(Fault::new("dict_type", at, "Input should be a valid dictionary")),
    };
    let mut read = Values::new();
    for (about, criterion) in object(value, &["body", name])? {
        for (operator, operand) in object(&criterion, &["body", name, &about])? {
            let at = ["body", name, &about, &operator];
            let key = match (about.as_str(), operator.as_str()) {
                ("id", "any_") => "ids",
                ("name", "any_") => "names",
                ("name", "like_") => "like",
                _ => return extra(&at),
            };
            let operand = match (key, operand) {
                (_, Value::Null) => continue,
                ("like", text @ Value::String(_)) => text,
                ("ids", Value::Array(list)) => {
                    let id =
                        |id: &Value| Some(Value::from(id.as_str().and_then(is_id)?.to_string()));
                    let ids: Option<Vec<Value>> = list.iter().map(id).collect();
                    let says = "Input should be a valid UUID";
                    ids.ok_or_else(|| Fault::new("uuid_parsing", &at, says))?.into()
                }
                ("names", Value::Array(list)) if list.iter().all(Value::is_string) => list.into(),
                _ => return Err(Fault::new("type_error", &at, "Input has the wrong type")),
            };
            read.insert(key.to_owned(), operand);
        }
        if !matches!(about.as_str(), "id" | "name") {
            return extra(&["body", name, &about]);
        }
    }
    Ok(read.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{SERVICE_ACCOUNT, WEBHOOK};
    use super::*;

    fn checked(kind: &'static Kind, verb: &str, body: &Value) -> Value {
        let verb = kind.verbs.iter().find(|row| row.name == verb).expect("a verb");
        match check(kind, verb, Some(body)) {
            Ok(values) => values.into(),
            Err(faults) => {
                let told = |fault: &Fault| format!("{} {}", fault.rule, fault.at[1..].join("."));
                faults.iter().map(told).collect::<Vec<_>>().into()
            }
        }
    }

    #[test]
    fn bodies_of_webhooks() {
        let whole = json!({"name": "n", "template": "t", "description": "", "enabled": true,
            "service_account_id": null});
        let id = "3F0C6A1E00004000800000000000000A";
        let hyphens = "3f0c6a1e-0000-4000-8000-00000000000a";
        for (verb, body, expected) in [
            ("create", json!({"name": "n", "template": "t"}), whole.clone()),
            (
                "create",
                json!({"name": "n", "template": "t", "description": null, "enabled": null,
                    "service_account_id": null}),
                whole,
            ),
            (
                "replace",
                json!({"name": "n", "template": "t"}),
                json!({"name": "n", "description": "", "template": "t"}),
            ),
            (
                "replace",
                json!({"name": "n", "template": "t", "enabled": null, "service_account_id": null}),
                json!({"name": "n", "description": "", "template": "t", "service_account_id": null}),
            ),
            (
                "replace",
                json!({"name": "n", "template": "t", "enabled": false, "service_account_id": id}),
                json!({"name": "n", "description": "", "enabled": false, "template": "t",
                    "service_account_id": hyphens}),
            ),
            ("change", json!({"enabled": false}), json!({"enabled": false})),
            ("change", json!({}), json!({})),
            ("change", json!({"enabled": null}), json!({})),
            ("change", json!({"name": "x"}), json!(["extra_forbidden name"])),
            (
                "create",
                json!({"name": null, "enabled": "true", "service_account_id": 7, "slug": "s",
                    "id": "i"}),
                json!([
                    "string_type name",
                    "bool_type enabled",
                    "missing template",
                    "uuid_parsing service_account_id",
                    "extra_forbidden slug",
                    "extra_forbidden id"
                ]),
            ),
            (
                "create",
                json!({"name": "é".repeat(5001), "template": "é".repeat(30_001)}),
                json!(["string_too_long name", "string_too_long template"]),
            ),
            ("create", json!([]), json!(["model_attributes_type "])),
            ("filter", json!({}), json!({"sort": "NAME_ASC", "offset": 0, "limit": 200})),
            (
                "filter",
                json!({"sort": null, "offset": null, "limit": 0}),
                json!({"sort": "NAME_ASC", "offset": 0, "limit": 0}),
            ),
            (
                "filter",
                json!({"sort": "SIZE", "offset": -1, "limit": 201}),
                json!(["enum sort", "greater_than_equal offset", "less_than_equal limit"]),
            ),
            ("filter", json!({"limit": 1.5}), json!(["int_type limit"])),
        ] {
            let seen = checked(&WEBHOOK, verb, &body);
            assert_eq!(seen, expected, "{verb} {body}");
        }
        let longest = json!({"name": "é".repeat(5000), "template": "é".repeat(30_000)});
        assert!(checked(&WEBHOOK, "create", &longest).is_object());
    }

    #[test]
    fn bodies_of_service_accounts() {
        for (verb, body, expected) in [
            (
                "create",
                json!({"name": "n", "api_key_expiration": "2027-01-01T01:00:00+01:00"}),
                json!({"name": "n", "api_key_expiration": "2027-01-01T00:00:00Z",
                    "account_role_id": null}),
            ),
            (
                "create",
                json!({"name": "n", "api_key_expiration": "soon"}),
                json!(["datetime_parsing api_key_expiration"]),
            ),
            (
                "create",
                json!({"name": "n", "account_role_id": "3F0C6A1E00004000800000000000000A"}),
                json!(["value_error account_role_id"]),
            ),
            (
                "rotate",
                json!({"old_key_expires_in_seconds": 172_801}),
                json!(["less_than_equal old_key_expires_in_seconds"]),
            ),
            (
                "filter",
                json!({"service_accounts": {"name": {"any_": ["a"], "like_": null},
                    "id": {"any_": null}}}),
                json!({"service_accounts": {"names": ["a"]}, "offset": 0, "limit": 200}),
            ),
            (
                "filter",
                json!({"service_accounts": {"name": {"is_": 1}}}),
                json!(["extra_forbidden service_accounts.name.is_"]),
            ),
            (
                "filter",
                json!({"service_accounts": {"id": {"any_": ["x"]}}}),
                json!(["uuid_parsing service_accounts.id.any_"]),
            ),
        ] {
            assert_eq!(checked(&SERVICE_ACCOUNT, verb, &body), expected, "{verb} {body}");
        }
    }

    #[test]
    fn an_absent_body_is_a_fault_only_where_something_is_required() {
        let absent = |kind: &'static Kind, name| {
            let verb = kind.verbs.iter().find(|verb| verb.name == name).expect("a verb");
            check(kind, verb, None).map_err(|faults| faults[0].at.join("."))
        };
        assert_eq!(absent(&WEBHOOK, "create"), Err("body".to_owned()));
        assert!(absent(&WEBHOOK, "filter").is_ok());
        assert!(absent(&WEBHOOK, "rotate").is_ok());
        assert!(absent(&SERVICE_ACCOUNT, "rotate").is_ok());
    }
}
