//! The table told in OpenAPI 3.1. In: the rows. Out: an operation for each verb, a schema for what each kind's records
//! look like. Bodies have the bounds that [`check`](super::check) holds them to. Pure; whoever assembles the document
//! defines the problems that operations name.

use serde_json::{Map, Value, json};

use super::check::{
    HANDLE_MAX_CHARS, PASSWORD_MAX_CHARS, PASSWORD_MIN_CHARS, demands, inputs, is_required,
    is_whole,
};
use super::domain::NAME_MAX_CHARS;
use super::{
    Effect, Fallback, Field, IS_GLOBAL, KINDS, Kind, LIST_MAX, Permission, Shape, Source, Verb,
};

/// One operation of the document.
#[derive(Debug)]
pub struct Operation {
    /// The path, with `{parts}`, from the root.
    pub path: String,
    /// The method in lower case, as OpenAPI has it.
    pub method: String,
    /// The operation object.
    pub told: Map<String, Value>,
}

/// An operation for each verb of each kind.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let verbs = KINDS.iter().flat_map(|kind| kind.verbs.iter().map(move |verb| (*kind, verb)));
    verbs.map(|(kind, verb)| operation(kind, verb)).collect()
}

/// The schema of the records of each kind that a verb tells, by the kind's name.
#[must_use]
pub fn schemas() -> Map<String, Value> {
    let told = KINDS.iter().filter(|kind| !kind.verbs.is_empty());
    told.map(|kind| (kind.name.to_owned(), record(kind))).collect()
}

/// The path parameters of a path: ids of records, and of resources of any kind; numbers of versions.
#[must_use]
pub fn parameters(path: &str) -> Vec<Value> {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let told = |name| {
        let schema = match name {
            "resource" => json!({"type": "string", "minLength": 1}),
            "number" => json!({"type": "integer", "minimum": 1}),
            _ => json!({"type": "string", "format": "uuid"}),
        };
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    };
    named.map(told).collect()
}

/// The reply of a problem, by the name of its response.
#[must_use]
pub fn problem(name: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{name}") })
}

fn operation(kind: &Kind, verb: &Verb) -> Operation {
    let path = format!("/api/{}", kind.path(verb));
    let mut told = Map::new();
    told.insert("operationId".to_owned(), format!("{}.{}", kind.name, verb.name).into());
    told.insert("tags".to_owned(), json!([kind.name]));
    told.insert("description".to_owned(), needs(verb.needs).into());
    if verb.has_body() {
        let schema = body(kind, verb);
        let content = json!({ "application/json": { "schema": schema } });
        let required = demands(verb, &inputs(kind, verb));
        told.insert("requestBody".to_owned(), json!({"required": required, "content": content}));
    }
    if verb.needs == Permission::Open {
        told.insert("security".to_owned(), json!([]));
    }
    told.insert("responses".to_owned(), replies(kind, verb, &path).into());
    Operation { path, method: verb.method.to_lowercase(), told }
}

fn needs(permission: Permission) -> String {
    match permission {
        Permission::Open => "Needs no key.".to_owned(),
        Permission::Caller => "Needs a valid key.".to_owned(),
        Permission::Oneself => "Needs a key of the user that the path names.".to_owned(),
        Permission::Account(name) => format!("Needs the permission `{name}` in the account."),
        Permission::Workspace(name) => format!("Needs the scope `{name}` in the workspace."),
    }
}

/// Everything a verb may be answered with.
fn replies(kind: &Kind, verb: &Verb, path: &str) -> Map<String, Value> {
    let mut replies = Map::new();
    replies.insert(verb.status.to_string(), success(kind, verb));
    let is_keyed = verb.needs != Permission::Open;
    let changes = verb.method != "GET" && !matches!(verb.effect, Effect::Filter | Effect::Count);
    for (status, name, holds) in [
        ("400", "malformed", true),
        ("401", "unauthorized", is_keyed),
        ("403", "forbidden", is_keyed),
        ("404", "not_found", is_keyed || path.contains('{')),
        ("408", "too_slow", verb.has_body()),
        ("409", "conflict", changes),
        ("413", "too_large", verb.has_body()),
        ("415", "encoding", verb.has_body()),
        ("422", "invalid", verb.has_body() || path.contains('{')),
        ("503", "unavailable", true),
    ] {
        if holds {
            replies.insert(status.to_owned(), problem(name));
        }
    }
    replies
}

fn success(kind: &Kind, verb: &Verb) -> Value {
    let of_kind = json!({ "$ref": format!("#/components/schemas/{}", kind.name) });
    let schema = match verb.effect {
        _ if verb.status == 204 => return json!({"description": "Done."}),
        Effect::List | Effect::Filter => {
            json!({"type": "array", "items": of_kind, "maxItems": LIST_MAX})
        }
        Effect::Each(_) => one_or_all(&of_kind),
        Effect::Count => json!({"type": "integer", "minimum": 0}),
        _ => of_kind,
    };
    json!({"description": "Done.", "content": {"application/json": {"schema": schema}}})
}

/// The body a verb takes. Null stands for an absent field wherever the field may be absent.
fn body(kind: &Kind, verb: &Verb) -> Value {
    let fields = inputs(kind, verb);
    let is_demanded = |field: &Field| is_required(field) && is_whole(verb);
    let property = |field: &&'static Field| {
        let mut schema = input(field);
        if !is_demanded(field) {
            schema = or_null(schema);
        }
        (field.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = fields.iter().map(property).collect();
    let required: Vec<&str> =
        fields.iter().filter(|field| is_demanded(field)).map(|field| field.name).collect();
    let mut schema =
        json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    match verb.effect {
        Effect::Each(_) => one_or_all(&schema),
        _ if demands(verb, &fields) => schema,
        _ => or_null(schema),
    }
}

/// One of them, or a list.
fn one_or_all(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "array", "items": schema, "maxItems": LIST_MAX}]})
}

/// What a body's field may hold.
fn input(field: &Field) -> Value {
    match field.shape {
        Shape::Text(chars_max) if is_required(field) => {
            json!({"type": "string", "minLength": 1, "pattern": "\\S", "maxLength": chars_max})
        }
        Shape::Text(chars_max) => json!({"type": "string", "maxLength": chars_max}),
        Shape::Count(most) => json!({"type": "integer", "minimum": 0, "maximum": most}),
        Shape::Choice(words) => json!({"type": "string", "enum": words}),
        Shape::Choices(words) => {
            json!({"type": "array", "items": {"type": "string", "enum": words}})
        }
        Shape::Texts(most, chars_max) | Shape::Words(most, chars_max) => {
            json!({"type": "array", "maxItems": most,
                "items": {"type": "string", "maxLength": chars_max}})
        }
        Shape::Domains(most) => {
            json!({"type": "array", "maxItems": most,
                "items": {"type": "string", "maxLength": NAME_MAX_CHARS}})
        }
        Shape::Json(max_bytes) => {
            json!({"description": format!("Any JSON of at most {max_bytes} bytes.")})
        }
        Shape::Object(max_bytes) => {
            let says = format!("An object of at most {max_bytes} bytes of JSON.");
            json!({"type": "object", "description": says})
        }
        Shape::Handle => {
            json!({"type": "string", "pattern": "^[a-z0-9-]+$", "maxLength": HANDLE_MAX_CHARS})
        }
        Shape::Criteria(fields) => criteria(fields),
        Shape::Password => {
            json!({"type": "string", "format": "password", "writeOnly": true,
                "minLength": PASSWORD_MIN_CHARS, "maxLength": PASSWORD_MAX_CHARS})
        }
        Shape::Phrase(chars_max) | Shape::Concealed(chars_max) => {
            json!({"type": "string", "format": "password", "writeOnly": true,
                "maxLength": chars_max})
        }
        Shape::ConcealedTexts(most, chars_max) => {
            json!({"type": "array", "maxItems": most, "writeOnly": true,
                "items": {"type": "string", "format": "password", "maxLength": chars_max}})
        }
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Instant => json!({"type": "string", "format": "date-time"}),
        Shape::Ids(most) => {
            json!({"type": "array", "minItems": 1, "maxItems": most,
                "items": {"type": "string", "format": "uuid"}})
        }
        Shape::Reference(_) | Shape::Foreign | Shape::Id => {
            json!({"type": "string", "format": "uuid"})
        }
        Shape::Slug | Shape::Key => json!(false),
    }
}

fn criteria(fields: &[&str]) -> Value {
    let list =
        |items: Value| or_null(json!({"type": "array", "items": items, "maxItems": LIST_MAX}));
    let one = |name: &&str| {
        let is_id = *name == "id" || name.ends_with("_id");
        let items = if is_id {
            json!({"type": "string", "format": "uuid"})
        } else {
            json!({"type": "string"})
        };
        let mut operators = json!({"any_": list(items.clone()), "not_any_": list(items)});
        if !is_id {
            operators["like_"] = or_null(json!({"type": "string"}));
        }
        let mut criterion =
            json!({"type": "object", "properties": operators, "additionalProperties": false});
        if *name == IS_GLOBAL {
            criterion["type"] = json!(["boolean", "object", "null"]);
        }
        ((*name).to_owned(), or_null(criterion))
    };
    let named = ["id", "name"];
    let properties: Map<String, Value> = named.iter().chain(fields).map(one).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// What a record's field is told as.
fn output(field: &Field) -> Value {
    let schema = match field.shape {
        Shape::Handle | Shape::Text(_) => json!({"type": "string"}),
        Shape::Texts(..) | Shape::Words(..) => {
            json!({"type": "array", "items": {"type": "string"}})
        }
        Shape::Json(_) => json!({}),
        Shape::Slug
        | Shape::Key
        | Shape::Password
        | Shape::Phrase(_)
        | Shape::Criteria(_)
        | Shape::Concealed(_)
        | Shape::ConcealedTexts(..) => json!(false),
        _ => input(field),
    };
    let may_be_null = field.fallback == Fallback::Null && field.source != Source::Required;
    if may_be_null { or_null(schema) } else { schema }
}

/// A record that is told as the table has it.
fn record(kind: &Kind) -> Value {
    let mut properties = Map::new();
    for name in ["id", "account_id"] {
        properties.insert(name.to_owned(), json!({"type": "string", "format": "uuid"}));
    }
    for name in ["created", "updated"] {
        properties.insert(name.to_owned(), json!({"type": "string", "format": "date-time"}));
    }
    if kind.scope == super::Scope::Workspace {
        properties.insert("workspace_id".to_owned(), json!({"type": "string", "format": "uuid"}));
    }
    let is_shown = |field: &&Field| field.source != Source::Secret && !field.is_concealed();
    for field in kind.fields.iter().filter(is_shown) {
        properties.insert(field.name.to_owned(), output(field));
    }
    let is_always = |name: &&String| kind.field(name).is_none_or(|field| !field.is_own);
    let required: Vec<&String> = properties.keys().filter(is_always).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// The same, or null.
fn or_null(mut schema: Value) -> Value {
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    match schema.get("type").cloned() {
        Some(kind @ Value::String(_)) => schema["type"] = json!([kind, "null"]),
        Some(_) => {}
        None if schema.is_object() => {}
        None => schema = json!({"type": "null"}),
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_bounds_of_the_table() {
        let all = operations();
        let create = all
            .iter()
            .find(|one| one.told["operationId"] == "webhook.create")
            .expect("an operation");
        assert_eq!(create.method, "post");
        assert_eq!(create.path, "/api/accounts/{account}/workspaces/{workspace}/webhooks");
        let body = &create.told["requestBody"];
        assert_eq!(body["required"], true);
        let schema = &body["content"]["application/json"]["schema"];
        assert_eq!(schema["required"], json!(["name", "template"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(
            schema["properties"]["template"],
            json!({"type": "string", "minLength": 1, "pattern": "\\S", "maxLength": 30_000})
        );
        assert_eq!(schema["properties"]["enabled"], json!({"type": ["boolean", "null"]}));
        assert!(schema["properties"].get("slug").is_none());
    }
}
