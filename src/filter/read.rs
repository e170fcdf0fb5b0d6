//! A filter out of JSON. In: what a client sent. Out: a [`Filter`] whose lists are bounded, or every fault with its
//! place, in the words clients of the original know. `null` is what was not sent, everywhere.

use serde_json::{Map, Value};

use super::{
    DAYS, Fault, Filter, LIMIT_MAX, Labels, Names, OFFSET_MAX, Order, Pattern, QUERY_MAX_CHARS,
    Text, VALUE_MAX_CHARS, VALUES_MAX, Wanted,
};
use crate::clock::Time;
use crate::id::Uuid;

const DAY_MICROS: i64 = 86_400_000_000;

/// Reads a filter at a moment.
pub(super) fn read(value: &Value, now: Time) -> Result<Filter, Vec<Fault>> {
    let mut notes = Notes { faults: Vec::new(), at: Vec::new(), values: 0 };
    let day = now.micros().div_euclid(DAY_MICROS) - DAYS;
    let mut filter = Filter {
        since: Time::from_micros(day * DAY_MICROS),
        until: None,
        names: Names::default(),
        resource: Wanted::default(),
        distinct: false,
        related: Vec::new(),
        any: Vec::new(),
        ids: Vec::new(),
        text: None,
        order: Order::default(),
        account: None,
        workspaces: Vec::new(),
        limit: None,
        offset: 0,
    };
    notes.object(value, |notes, key, value| {
        match key {
            "occurred" => occurred(notes, value, &mut filter),
            "event" => filter.names = names(notes, value),
            "resource" => filter.resource = resource(notes, value, OWN, &mut filter.distinct),
            "related" => filter.related = several(notes, value, RELATED),
            "any_resource" => filter.any = several(notes, value, ANY),
            "id" => notes.object(value, |notes, key, value| {
                key == "id" && {
                    filter.ids = notes.ids(value);
                    true
                }
            }),
            "text" => notes.object(value, |notes, key, value| {
                key == "query" && {
                    let query = notes.text(value, QUERY_MAX_CHARS);
                    let text = query.as_deref().map(Text::read);
                    filter.text = text.filter(|text| !text.is_empty());
                    true
                }
            }),
            "order" => match value.as_str() {
                Some("ASC") => filter.order = Order::Ascending,
                Some("DESC") => filter.order = Order::Descending,
                _ => notes.fault("enum", "Input should be 'ASC' or 'DESC'"),
            },
            "scope" => scope(notes, value, &mut filter),
            "limit" => filter.limit = notes.count(value, LIMIT_MAX),
            "offset" => filter.offset = notes.count(value, OFFSET_MAX).unwrap_or(0),
            _ => return false,
        }
        true
    });
    if notes.values > VALUES_MAX {
        let says = format!("A filter should have at most {VALUES_MAX} values");
        notes.fault("too_long", says);
    }
    if notes.faults.is_empty() { Ok(filter) } else { Err(notes.faults) }
}

fn occurred(notes: &mut Notes, value: &Value, filter: &mut Filter) {
    notes.object(value, |notes, key, value| {
        let moment = match key {
            "since" | "until" => notes.moment(value),
            _ => return false,
        };
        match key {
            "since" => filter.since = moment.unwrap_or(filter.since),
            _ => filter.until = moment,
        }
        true
    });
}

fn names(notes: &mut Notes, value: &Value) -> Names {
    let mut names = Names::default();
    notes.object(value, |notes, key, value| {
        let list = match key {
            "prefix" => &mut names.prefix,
            "exclude_prefix" => &mut names.exclude_prefix,
            "name" => &mut names.name,
            "exclude_name" => &mut names.exclude_name,
            _ => return false,
        };
        *list = notes.texts(value);
        true
    });
    names
}

/// Keys of the resource an event is about, of one it relates, and of either.
const OWN: &[&str] = &["id", "id_prefix", "labels", "distinct"];
const RELATED: &[&str] = &["id", "role", "resources_in_roles", "labels"];
const ANY: &[&str] = &["id", "id_prefix", "labels"];

/// What a resource is asked for, by those of these keys that are there.
fn resource(notes: &mut Notes, value: &Value, takes: &[&str], distinct: &mut bool) -> Wanted {
    let mut wanted = Wanted::default();
    notes.object(value, |notes, key, value| {
        if !takes.contains(&key) {
            return false;
        }
        match key {
            "id" => wanted.id = notes.texts(value),
            "id_prefix" => wanted.id_prefix = notes.texts(value),
            "role" => wanted.role = notes.texts(value),
            "resources_in_roles" => wanted.pairs = pairs(notes, value),
            "labels" => wanted.labels = labels(notes, value),
            "distinct" => match value {
                Value::Bool(flag) => *distinct = *flag,
                _ => notes.fault("bool_type", "Input should be a valid boolean"),
            },
            _ => return false,
        }
        true
    });
    wanted
}

/// One of them, or a list; what asks nothing is left out.
fn several(notes: &mut Notes, value: &Value, takes: &[&str]) -> Vec<Wanted> {
    let one = |notes: &mut Notes, value: &Value| resource(notes, value, takes, &mut false);
    let mut all = match value {
        Value::Array(_) => notes.list(value, |notes, item| Some(one(notes, item))),
        _ => vec![one(notes, value)],
    };
    all.retain(|wanted| !wanted.is_empty());
    all
}

fn labels(notes: &mut Notes, value: &Value) -> Labels {
    let mut labels = Labels::default();
    notes.object(value, |notes, label, value| {
        if value.is_null() {
            return true;
        }
        let texts = match value {
            Value::String(_) => notes.text(value, VALUE_MAX_CHARS).into_iter().collect(),
            _ => notes.texts(value),
        };
        notes.values += 1;
        let patterns = texts.iter().map(|text| Pattern::read(text)).collect();
        labels.0.insert(label.to_owned(), patterns);
        true
    });
    labels
}

fn pairs(notes: &mut Notes, value: &Value) -> Vec<(String, String)> {
    notes.list(value, |notes, item| {
        let Some([id, role]) = item.as_array().map(Vec::as_slice) else {
            notes.fault("tuple_type", "Input should be a pair of resource id and role");
            return None;
        };
        let id = notes.text(id, VALUE_MAX_CHARS);
        Some((id?, notes.text(role, VALUE_MAX_CHARS)?))
    })
}

fn scope(notes: &mut Notes, value: &Value, filter: &mut Filter) {
    notes.object(value, |notes, key, value| {
        match key {
            "account" => filter.account = notes.id(value),
            "workspace" => filter.workspaces = notes.ids(value),
            _ => return false,
        }
        true
    });
}

/// The faults found so far, the place being read, and how many values were taken.
struct Notes {
    faults: Vec<Fault>,
    at: Vec<String>,
    values: usize,
}

impl Notes {
    fn fault(&mut self, rule: &'static str, says: impl Into<String>) {
        // Nobody reads more, and a reply must stay small.
        if self.faults.len() < VALUES_MAX {
            self.faults.push(Fault { rule, at: self.at.clone(), says: says.into() });
        }
    }

    /// Hands on each member that is not null; `false` says that there is none of that name.
    fn object(&mut self, value: &Value, mut each: impl FnMut(&mut Self, &str, &Value) -> bool) {
        let none = Map::new();
        let members = match value {
            Value::Object(members) => members,
            Value::Null => &none,
            _ => {
                let says = "Input should be a valid dictionary or object to extract fields from";
                return self.fault("model_attributes_type", says);
            }
        };
        for (key, value) in members {
            self.at.push(key.chars().take(VALUE_MAX_CHARS).collect());
            let known = if value.is_null() {
                // Named all the same, so that a name nobody knows is a fault.
                let (faults, values) = (self.faults.len(), self.values);
                let known = each(self, key, &Value::Null);
                self.faults.truncate(faults);
                self.values = values;
                known
            } else {
                each(self, key, value)
            };
            if !known {
                self.fault("extra_forbidden", "Extra inputs are not permitted");
            }
            self.at.pop();
        }
    }

    fn list<T>(
        &mut self,
        value: &Value,
        mut each: impl FnMut(&mut Self, &Value) -> Option<T>,
    ) -> Vec<T> {
        let items = match value {
            Value::Array(items) => items,
            Value::Null => return Vec::new(),
            _ => {
                self.fault("list_type", "Input should be a valid list");
                return Vec::new();
            }
        };
        let mut all = Vec::new();
        for (place, item) in items.iter().take(VALUES_MAX + 1).enumerate() {
            self.at.push(place.to_string());
            self.values += 1;
            all.extend(each(self, item));
            self.at.pop();
        }
        all
    }

    fn texts(&mut self, value: &Value) -> Vec<String> {
        self.list(value, |notes, item| notes.text(item, VALUE_MAX_CHARS))
    }

    fn ids(&mut self, value: &Value) -> Vec<Uuid> {
        self.list(value, Self::id)
    }

    fn text(&mut self, value: &Value, chars_max: usize) -> Option<String> {
        let Some(text) = value.as_str() else {
            self.fault("string_type", "Input should be a valid string");
            return None;
        };
        if text.len() > chars_max && text.chars().count() > chars_max {
            let says = format!("String should have at most {chars_max} characters");
            self.fault("string_too_long", says);
            return None;
        }
        Some(text.to_owned())
    }

    fn id(&mut self, value: &Value) -> Option<Uuid> {
        let id = value.as_str().filter(|text| matches!(text.len(), 32 | 36));
        let id = id.and_then(|text| Uuid::parse_str(text).ok());
        if id.is_none() {
            self.fault("uuid_parsing", "Input should be a valid UUID");
        }
        id
    }

    /// RFC 3339; without an offset it is UTC, without a time the day's start.
    fn moment(&mut self, value: &Value) -> Option<Time> {
        let moment = value.as_str().and_then(|text| {
            let text = text.trim();
            Time::parse(text)
                .or_else(|| Time::parse(&format!("{text}Z")))
                .or_else(|| Time::parse(&format!("{text}T00:00:00Z")))
        });
        if moment.is_none() {
            self.fault("datetime_parsing", "Input should be a valid datetime");
        }
        moment
    }

    fn count(&mut self, value: &Value, most: u64) -> Option<u64> {
        match value.as_u64() {
            Some(count) if count <= most => return Some(count),
            Some(_) => {
                let says = format!("Input should be less than or equal to {most}");
                self.fault("less_than_equal", says);
            }
            None if value.is_i64() => {
                self.fault("greater_than_equal", "Input should be greater than or equal to 0");
            }
            None => self.fault("int_type", "Input should be a valid integer"),
        }
        None
    }
}
