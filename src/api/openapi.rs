//! The OpenAPI 3.1 document of this plane. In: the catalogue's table, and openapi.json, which says what no table does:
//! problems, replies of a shape of their own, paths that are no record's. Out: one text, the same for everybody.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::catalogue::openapi;

/// What the table does not say. At a path of the table it stands for the table's word.
const BESIDE: &str = include_str!("openapi.json");

/// The document, made once.
static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// The document, as `/api/openapi.json` serves it.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

fn document() -> Value {
    let mut document: Value = serde_json::from_str(BESIDE).unwrap_or_default();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let schemas = object(&mut document["components"]["schemas"]);
    for (name, schema) in openapi::schemas() {
        schemas.entry(name).or_insert(schema);
    }
    if let Some(status) = schemas.get_mut("destination") {
        status["properties"]["status"] =
            json!({ "$ref": "#/components/schemas/destination-status" });
    }
    let events = document.as_object_mut().and_then(|told| told.remove("x-events"));
    let said = document.as_object_mut().and_then(|told| told.remove("x-said"));
    let said = said.unwrap_or_default();
    let paths = object(&mut document["paths"]);
    tell_events(paths, &events.unwrap_or_default());
    for operation in openapi::operations() {
        let path = object(paths.entry(operation.path).or_insert_with(|| json!({})));
        let told = object(path.entry(operation.method).or_insert_with(|| json!({})));
        lay_under(told, operation.told);
        tell_said(told, &said);
    }
    paths.values_mut().for_each(tell_guesses);
    for (path, told) in paths.iter_mut() {
        let own = object(told).remove("parameters").unwrap_or_default();
        let mut parameters = own.as_array().cloned().unwrap_or_default();
        for parameter in openapi::parameters(path) {
            if !parameters.iter().any(|own| own["name"] == parameter["name"]) {
                parameters.push(parameter);
            }
        }
        if !parameters.is_empty() {
            object(told).insert("parameters".to_owned(), parameters.into());
        }
    }
    document
}

/// The routes of events, which are the same below each of three places.
fn tell_events(paths: &mut Map<String, Value>, events: &Value) {
    let places = [
        ("", "server"),
        ("/accounts/{account}", "account"),
        ("/accounts/{account}/workspaces/{workspace}", "workspace"),
    ];
    for (below, item) in events.as_object().into_iter().flatten() {
        for (place, name) in places {
            let mut item = item.clone();
            let operations = object(&mut item).iter_mut().filter(|(key, _)| *key != "parameters");
            for (_, operation) in operations {
                let verb = operation["operationId"].as_str().unwrap_or_default();
                operation["operationId"] = format!("events.{verb}.{name}").into();
                operation["tags"] = json!(["events"]);
            }
            paths.insert(format!("/api{place}/events{below}"), item);
        }
    }
}

/// Whoever may be told that a key is wrong may be told that too many were.
fn tell_guesses(item: &mut Value) {
    let operations = object(item).iter_mut().filter(|(key, _)| *key != "parameters");
    for (_, told) in operations {
        if let Some(Value::Object(replies)) = told.get_mut("responses")
            && replies.contains_key("401")
        {
            let busy = || json!({ "$ref": "#/components/responses/busy" });
            replies.entry("429").or_insert_with(busy);
        }
    }
}

/// What the fields of a kind's bodies may hold that are only an object to the table.
fn tell_said(told: &mut Map<String, Value>, said: &Value) {
    let tag = told.get("tags").and_then(|tags| tags[0].as_str());
    let Some(fields) = tag.and_then(|tag| said.get(tag)?.as_object()) else { return };
    let schema = told.get_mut("requestBody").map(|body| &mut body["content"]["application/json"]);
    let Some(Value::Object(properties)) = schema.map(|body| &mut body["schema"]["properties"])
    else {
        return;
    };
    for (name, schema) in fields {
        if let (Some(field), Some(schema)) = (properties.get_mut(name), schema.as_str()) {
            *field = json!({ "$ref": format!("#/components/schemas/{schema}") });
        }
    }
}

/// Puts what the table says where nothing else is said; each status by itself.
fn lay_under(told: &mut Map<String, Value>, table: Map<String, Value>) {
    for (key, value) in table {
        match (told.get_mut(&key), value) {
            (Some(Value::Object(own)), Value::Object(replies)) if key == "responses" => {
                for (status, reply) in replies {
                    own.entry(status).or_insert(reply);
                }
            }
            (Some(_), _) => {}
            (None, value) => {
                told.insert(key, value);
            }
        }
    }
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object just now")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::{events, pages, verification};
    use crate::catalogue::{self, KINDS};

    /// Every reference of a value.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    found.insert(to.trim_start_matches('#').to_owned());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn routes_and_document_are_equal() {
        let document = document();
        let mut told = BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("a path").keys() {
                if method != "parameters" {
                    told.insert((method.to_uppercase(), path.clone()));
                }
            }
        }
        let verbs = KINDS.iter().flat_map(|kind| {
            let path = move |verb: &catalogue::Verb| format!("/api/{}", kind.path(verb));
            kind.verbs.iter().map(move |verb| (verb.method.to_owned(), path(verb)))
        });
        let shown = pages::paths().map(|path| ("GET".to_owned(), path.to_owned()));
        let served: BTreeSet<_> = verbs.chain(shown).chain(events::routes()).collect();
        let apart: Vec<_> = told.symmetric_difference(&served).collect();
        assert!(apart.is_empty(), "told and not served, or served and not told: {apart:?}");
    }

    #[test]
    fn all_that_a_verification_says_and_shows_is_told() {
        let document = document();
        let mut keys = verification::KEYS;
        keys.sort_unstable();
        for name in ["verification", "verification-said"] {
            let told = &document["components"]["schemas"][name]["properties"];
            let mut told: Vec<_> = told.as_object().expect("an object").keys().collect();
            told.sort_unstable();
            assert_eq!(told, keys, "{name}");
        }
        let webhooks = "/api/accounts/{account}/workspaces/{workspace}/webhooks";
        for (path, method) in [(webhooks, "post"), (&format!("{webhooks}/{{id}}"), "put")] {
            let body = &document["paths"][path][method]["requestBody"]["content"];
            let field = &body["application/json"]["schema"]["properties"]["verification"];
            assert_eq!(field["$ref"], "#/components/schemas/verification-said", "{path}");
        }
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let missing: Vec<_> = found.iter().filter(|to| document.pointer(to).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths").values();
        let operations = paths.flat_map(|item| item.as_object().expect("a path").iter());
        let operations: Vec<_> = operations
            .filter(|(method, _)| *method != "parameters")
            .map(|(_, told)| told)
            .collect();
        let names: BTreeSet<_> =
            operations.iter().filter_map(|told| told["operationId"].as_str()).collect();
        assert_eq!(names.len(), operations.len());
        assert!(operations.iter().all(|told| told["responses"].is_object()));
    }
}
