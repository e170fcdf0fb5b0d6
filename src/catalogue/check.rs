//! Bodies against the table. In: a kind, a verb, a JSON value. Out: the values of the fields it may set, whole and
//! normalised, or every fault at once in the words clients of the original know. Never repeats what was sent.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::criteria::{read_criteria, read_operands};
use super::{Effect, Fallback, Field, Kind, LIST_MAX, Shape, Source, Verb, domain};
use crate::clock::Time;
use crate::id::Uuid;

/// Longest handle.
pub(super) const HANDLE_MAX_CHARS: usize = 200;
/// Shortest and longest password.
pub(super) const PASSWORD_MIN_CHARS: usize = 8;
pub(super) const PASSWORD_MAX_CHARS: usize = 1000;

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
                let fallback = fallback(field);
                if !(field.kept && verb.effect == Effect::Replace) && field.says(&fallback) {
                    values.insert(field.name.to_owned(), fallback);
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

/// Checks the objects that are a verb's body: one of them, or a list. Whether it was a list.
///
/// # Errors
/// Every fault; those of a list with the place in it.
pub fn check_each(
    kind: &Kind,
    verb: &Verb,
    body: Option<&Value>,
) -> Result<(Vec<Values>, bool), Vec<Fault>> {
    let Some(Value::Array(list)) = body else {
        return Ok((vec![check(kind, verb, body)?], false));
    };
    if list.len() as u64 > LIST_MAX {
        let says = format!("List should have at most {LIST_MAX} items");
        return Err(vec![Fault::new("too_long", &["body"], says)]);
    }
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for (place, one) in list.iter().enumerate() {
        match check(kind, verb, Some(one)) {
            Ok(values) => all.push(values),
            Err(found) => faults.extend(found.into_iter().map(|mut fault| {
                fault.at.insert(1, place.to_string());
                fault
            })),
        }
    }
    if faults.is_empty() { Ok((all, true)) } else { Err(faults) }
}

/// The fields a verb's body may have.
pub(super) fn inputs(kind: &Kind, verb: &Verb) -> Vec<&'static Field> {
    let takes = |field: &&Field| {
        is_input(field) && verb.takes.is_none_or(|takes| takes.contains(&field.name))
    };
    kind.fields.iter().filter(takes).chain(verb.also).collect()
}

/// Whether a body says all there is to say, rather than what is to change.
pub(super) fn is_whole(verb: &Verb) -> bool {
    verb.effect != Effect::Change
}

fn is_input(field: &Field) -> bool {
    matches!(field.source, Source::Given | Source::Required)
}

pub(super) fn is_required(field: &Field) -> bool {
    field.source == Source::Required
}

pub(super) fn demands(verb: &Verb, fields: &[&Field]) -> bool {
    !is_whole(verb) || fields.iter().copied().any(is_required)
}

/// A field's value when nothing was said.
pub(super) fn fallback(field: &Field) -> Value {
    match field.fallback {
        Fallback::Null => Value::Null,
        Fallback::List => Value::Array(Vec::new()),
        Fallback::Text(text) => text.into(),
        Fallback::Flag(flag) => flag.into(),
        Fallback::Count(count) => count.into(),
    }
}

/// A value as its field keeps it.
fn read(field: &Field, value: &Value) -> Result<Value, Fault> {
    let fault = |rule, says: String| Err(Fault::new(rule, &["body", field.name], says));
    match (field.shape.as_taken(), value) {
        (Shape::Text(_) | Shape::Phrase(_) | Shape::Handle | Shape::Password, other)
            if !other.is_string() =>
        {
            fault("string_type", "Input should be a valid string".to_owned())
        }
        (Shape::Text(chars_max) | Shape::Phrase(chars_max), _) => {
            read_text(field, value.as_str().unwrap_or_default(), chars_max)
        }
        (Shape::Flag, Value::Bool(_)) => Ok(value.clone()),
        (Shape::Flag, _) => fault("bool_type", "Input should be a valid boolean".to_owned()),
        (Shape::Reference(_) | Shape::Foreign, _) => match value.as_str().and_then(is_id) {
            Some(id) => Ok(id.to_string().into()),
            None => fault("uuid_parsing", "Input should be a valid UUID".to_owned()),
        },
        (Shape::Instant, _) => match value.as_str().and_then(Time::parse) {
            Some(time) => Ok(time.to_string().into()),
            None => fault("datetime_parsing", "Input should be a valid datetime".to_owned()),
        },
        (Shape::Count(most), _) => read_count(field.name, value, most),
        (Shape::Choice(words), _) => {
            if value.as_str().is_some_and(|word| words.contains(&word)) {
                return Ok(value.clone());
            }
            fault("enum", format!("Input should be one of: {}", words.join(", ")))
        }
        (Shape::Ids(most), _) => read_ids(field.name, value, most),
        (Shape::Choices(words), _) => read_choices(field.name, value, words),
        (Shape::Handle, _) if value.as_str().is_some_and(is_handle) => Ok(value.clone()),
        (Shape::Handle, _) => {
            let says = format!(
                "Value error, a handle is 1 to {HANDLE_MAX_CHARS} lower-case letters, digits and dashes"
            );
            fault("value_error", says)
        }
        (Shape::Password, _) => {
            let chars = value.as_str().map_or(0, |text| text.chars().count());
            if !(PASSWORD_MIN_CHARS..=PASSWORD_MAX_CHARS).contains(&chars) {
                let says = format!(
                    "Value error, a password has {PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS} characters"
                );
                return fault("value_error", says);
            }
            Ok(value.clone())
        }
        (Shape::Texts(most, chars_max), _) => read_texts(field.name, value, most, chars_max),
        (Shape::Words(most, chars_max), _) => {
            read_texts(field.name, value, most, chars_max).map(as_set)
        }
        (Shape::Domains(most), _) => read_domains(field.name, value, most),
        (Shape::Object(_), other) if !other.is_object() => {
            fault("dict_type", "Input should be a valid dictionary".to_owned())
        }
        (Shape::Json(max_bytes) | Shape::Object(max_bytes), _) => {
            if value.to_string().len() > max_bytes {
                let says = format!("Value error, at most {max_bytes} bytes of JSON");
                return fault("value_error", says);
            }
            Ok(value.clone())
        }
        (Shape::Criteria(about), _) => read_criteria(field.name, about, value),
        (
            Shape::Id | Shape::Slug | Shape::Key | Shape::Concealed(_) | Shape::ConcealedTexts(..),
            _,
        ) => fault("extra_forbidden", "Extra inputs are not permitted".to_owned()),
    }
}

/// Text as it was sent. What must be said says something.
fn read_text(field: &Field, text: &str, chars_max: u64) -> Result<Value, Fault> {
    let fault = |rule, says: String| Err(Fault::new(rule, &["body", field.name], says));
    if text.len() as u64 > chars_max && text.chars().count() as u64 > chars_max {
        let says = format!("String should have at most {chars_max} characters");
        return fault("string_too_long", says);
    }
    let must_say = is_required(field) && matches!(field.shape, Shape::Text(_));
    if must_say && text.trim().is_empty() {
        let says = "String should have at least 1 character that is not blank";
        return fault("string_too_short", says.to_owned());
    }
    Ok(text.into())
}

fn read_count(name: &str, value: &Value, most: u64) -> Result<Value, Fault> {
    let fault = |rule, says: String| Err(Fault::new(rule, &["body", name], says));
    match value.as_u64() {
        Some(count) if count <= most => Ok(value.clone()),
        Some(_) => {
            fault("less_than_equal", format!("Input should be less than or equal to {most}"))
        }
        None if value.is_i64() => {
            fault("greater_than_equal", "Input should be greater than or equal to 0".to_owned())
        }
        None => fault("int_type", "Input should be a valid integer".to_owned()),
    }
}

fn is_handle(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=HANDLE_MAX_CHARS).contains(&text.len()) && text.bytes().all(fits)
}

fn read_texts(name: &str, value: &Value, most: usize, chars_max: u64) -> Result<Value, Fault> {
    let fault = |rule, says: String| Err(Fault::new(rule, &["body", name], says));
    match value {
        Value::Array(list) if list.len() > most => {
            fault("too_long", format!("List should have at most {most} items"))
        }
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let long = |text: &str| text.chars().count() as u64 > chars_max;
            if list.iter().filter_map(Value::as_str).any(long) {
                let says = format!("String should have at most {chars_max} characters");
                return fault("string_too_long", says);
            }
            Ok(value.clone())
        }
        _ => fault("list_type", "Input should be a valid list of strings".to_owned()),
    }
}

/// Texts each once, in the order of letters, however they were sent.
fn as_set(list: Value) -> Value {
    let Value::Array(list) = list else { return list };
    let texts: BTreeSet<&str> = list.iter().filter_map(Value::as_str).collect();
    texts.into_iter().collect()
}

fn read_ids(name: &str, value: &Value, most: usize) -> Result<Value, Fault> {
    let fault = |rule, says: String| Err(Fault::new(rule, &["body", name], says));
    match value {
        Value::Array(list) if list.is_empty() => {
            fault("too_short", "List should have at least 1 item".to_owned())
        }
        Value::Array(list) if list.len() > most => {
            fault("too_long", format!("List should have at most {most} items"))
        }
        Value::Array(list) => read_operands(list.clone(), true, &["body", name]),
        _ => fault("list_type", "Input should be a valid list".to_owned()),
    }
}

/// Names of domains in their one form: a set has no other.
fn read_domains(name: &str, value: &Value, most: usize) -> Result<Value, Fault> {
    read_texts(name, value, most, domain::NAME_MAX_CHARS)?;
    let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let Some(names) = domain::read(names) else {
        let says = "Value error, a domain is written as in mail.example.com";
        return Err(Fault::new("value_error", &["body", name], says));
    };
    Ok(names.into_iter().map(Value::from).collect::<Vec<_>>().into())
}

/// Words in the order the table has them, however they were sent.
fn read_choices(name: &str, value: &Value, words: &[&str]) -> Result<Value, Fault> {
    let fault = |rule, says: String| Err(Fault::new(rule, &["body", name], says));
    let Some(list) = value.as_array().filter(|list| list.iter().all(Value::is_string)) else {
        return fault("list_type", "Input should be a valid list of strings".to_owned());
    };
    let is_known = |one: &Value| one.as_str().is_some_and(|one| words.contains(&one));
    if !list.iter().all(is_known) {
        return fault("enum", format!("Input should be any of: {}", words.join(", ")));
    }
    let chosen = words.iter().filter(|word| list.iter().any(|one| one == **word));
    Ok(chosen.copied().map(Value::from).collect::<Vec<_>>().into())
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
                "rotate",
                json!({"old_key_expires_in_seconds": 172_801}),
                json!(["less_than_equal old_key_expires_in_seconds"]),
            ),
            (
                "filter",
                json!({"service_accounts": {"name": {"any_": ["a"], "like_": null},
                    "id": {"any_": null}}}),
                json!({"service_accounts": {"name": {"any": ["a"]}}, "offset": 0, "limit": 200}),
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
    #[test]
    fn no_kind_takes_a_blank_where_something_must_be_said() {
        let mut seen = 0;
        for kind in super::super::KINDS {
            for verb in kind.verbs {
                for field in inputs(kind, verb) {
                    if !(matches!(field.shape, Shape::Text(_)) && is_required(field)) {
                        continue;
                    }
                    seen += 1;
                    for blank in ["", " ", "\t\n\u{a0}"] {
                        let told = checked(kind, verb.name, &json!({ field.name: blank }));
                        let fault = format!("string_too_short {}", field.name);
                        let all = told.as_array().cloned().unwrap_or_default();
                        assert!(all.contains(&fault.as_str().into()), "{} {told}", kind.name);
                    }
                }
            }
        }
        assert!(seen >= 20, "{seen}");
    }
}
