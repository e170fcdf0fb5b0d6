//! What settings there are, read from the schema of [`Config`], so that file, environment and suggestions agree.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Integer,
    Boolean,
    /// A list of texts.
    List,
    /// A list of tables, each of which a text can stand for as `to`.
    Tables,
    /// Tables by names of the operator's, for which no text can stand.
    Named,
}

/// One setting.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Section and name, joined by a dot.
    pub path: String,
    pub shape: Shape,
}

impl Key {
    /// Its environment variable.
    pub(super) fn variable(&self) -> String {
        format!("HOOKGATE_{}", self.path.to_uppercase().replace('.', "__"))
    }
}

/// The JSON Schema of a configuration file.
#[must_use]
pub fn schema() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Config>().to_value()
}

/// Every setting, in the order of the schema.
pub(super) fn keys() -> Vec<Key> {
    let mut found = Vec::new();
    walk(&schema(), "", &mut found);
    found
}

fn walk(schema: &Value, path: &str, found: &mut Vec<Key>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        found.push(Key { path: path.to_owned(), shape: shape(schema) });
        return;
    };
    for (name, schema) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        walk(schema, &path, found);
    }
}

fn shape(schema: &Value) -> Shape {
    let kind = schema.get("type");
    let is = |name: &str| {
        kind.is_some_and(|kind| match kind {
            Value::Array(names) => names.iter().any(|other| other == name),
            other => other == name,
        })
    };
    if is("array") {
        let table = schema.pointer("/items/properties").is_some();
        if table { Shape::Tables } else { Shape::List }
    } else if is("integer") {
        Shape::Integer
    } else if is("boolean") {
        Shape::Boolean
    } else if is("object") {
        Shape::Named
    } else {
        Shape::Text
    }
}

/// The candidate most like `name`, unless none is.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
