//! Attributes of items by path, as `map`, `sort` and their kin take them. In: `a.b.0`, or a number. Out: what is
//! there. Never a change of the item.

use minijinja::{Error, Value};

use super::super::chars::{decimal_value, is_digit};
use super::super::lookup::item;
use super::super::value::{Kind, fault, is_undefined, kind, marked};

/// A way into an item; no steps at all is the item itself.
pub(super) struct Path {
    steps: Vec<Value>,
    default: Option<Value>,
}

impl Path {
    /// Of an `attribute` argument.
    pub(super) fn one(attribute: Option<&Value>, default: Option<Value>) -> Result<Self, Error> {
        let default = default.filter(|default| !default.is_none());
        let steps = match attribute.map(|attribute| (attribute, kind(attribute))) {
            None | Some((_, Kind::None)) => Vec::new(),
            Some((_, Kind::Str(path))) => path.split('.').map(step).collect::<Result<_, _>>()?,
            Some((key, _)) => vec![key.clone()],
        };
        Ok(Self { steps, default })
    }

    /// Of an `attribute` argument that may name several, with commas between them.
    pub(super) fn several(attribute: Option<&Value>) -> Result<Vec<Self>, Error> {
        match attribute.map(kind) {
            Some(Kind::Str(paths)) => {
                paths.split(',').map(|path| Self::one(Some(&Value::from(path)), None)).collect()
            }
            _ => Ok(vec![Self::one(attribute, None)?]),
        }
    }

    /// What an item has there.
    pub(super) fn follow(&self, of: &Value) -> Result<Value, Error> {
        let mut at = of.clone();
        for step in &self.steps {
            at = item(&at, step)?;
            if let Some(default) = &self.default
                && is_undefined(&at)
            {
                at = default.clone();
            }
        }
        Ok(at)
    }
}

fn step(name: &str) -> Result<Value, Error> {
    if name.is_empty() || !name.chars().all(is_digit) {
        return Ok(Value::from(name));
    }
    // Of any script, as Python reads them.
    let value = |c: char| decimal_value(c).and_then(|value| char::from_digit(value, 10));
    let place = name.chars().map(value).collect::<Option<String>>();
    let place = place.and_then(|digits| digits.parse::<i64>().ok());
    place.map(Value::from).ok_or_else(|| fault(format!("'{name}' is no place in a list")))
}

/// A key for comparing: strings in lower case, unless case matters.
pub(super) fn folded(key: Value, case_sensitive: bool) -> Value {
    match kind(&key) {
        Kind::Str(text) if !case_sensitive => marked(text.to_lowercase(), key.is_safe()),
        _ => key,
    }
}
