//! Filters over things that have items. In: lists, dicts, strings, generators. Out: an item, a list, or a generator.

use std::hash::{DefaultHasher, Hash, Hasher};

use minijinja::value::Tuple;
use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::budget;
use super::super::compare::{self, How};
use super::super::engine::Scope;
use super::super::lookup::{collect, deferred, iterate};
use super::super::number::Reckon;
use super::super::ops;
use super::super::repr::{pairs, text};
use super::super::value::{
    Kind, fault, flag, generate, index, is_undefined, kind, lazily, marked, type_name,
};
use super::Table;
use super::html::escaped;
use super::path::{Path, folded};

pub(super) const TABLE: Table = &[
    ("batch", batch),
    ("count", |_, value, args| length("count", value, args)),
    ("d", default),
    ("default", default),
    ("dictsort", dict_sort),
    ("first", first),
    ("groupby", group_by),
    ("items", entries),
    ("join", join),
    ("last", last),
    ("length", |_, value, args| length("length", value, args)),
    ("list", list),
    ("max", |_, value, args| extreme("max", How::Greater, value, args)),
    ("min", |_, value, args| extreme("min", How::Less, value, args)),
    ("random", random),
    ("reverse", reverse),
    ("slice", slice),
    ("sort", sort),
    ("sum", sum),
    ("unique", unique),
];

fn default(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [other, boolean] = bind("default", ["default_value", "boolean"], 0, args)?;
    let replaces = boolean.is_some_and(|boolean| boolean.is_true()) && !value.is_true();
    Ok(if is_undefined(value) || replaces {
        other.unwrap_or_else(|| Value::from(""))
    } else {
        value.clone()
    })
}

fn length(name: &str, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind(name, [], 0, args)?;
    match super::super::lookup::length(value) {
        Some(length) => Ok(Value::from(length)),
        None => Err(fault(format!("{} has no length", type_name(value)))),
    }
}

fn list(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("list", [], 0, args)?;
    collect(value).map(Value::from)
}

fn entries(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("items", [], 0, args)?;
    let pairs = match kind(value) {
        Kind::Undefined => Vec::new(),
        Kind::Dict(dict) => pairs(dict),
        _ => {
            let what = format!("items needs a mapping, not {}", type_name(value));
            return Ok(lazily(std::iter::once_with(move || Err(fault(what)))));
        }
    };
    budget::take_values(pairs.len() * 3)?;
    Ok(generate(pairs.into_iter().map(Value::from).collect()))
}

fn first(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("first", [], 0, args)?;
    iterate(value)?.next().unwrap_or(Ok(Value::UNDEFINED))
}

fn last(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("last", [], 0, args)?;
    if matches!(kind(value), Kind::Generator) {
        return Err(fault("a generator has no last item before it is a list"));
    }
    Ok(collect(value)?.pop().unwrap_or_default())
}

/// An item that stays the same for the same items: a rendering can be repeated.
fn random(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("random", [], 0, args)?;
    if let Kind::Generator | Kind::Dict(_) = kind(value) {
        return Err(fault(format!("random needs a sequence, not {}", type_name(value))));
    }
    let items = collect(value)?;
    let mut hasher = DefaultHasher::new();
    text(value)?.hash(&mut hasher);
    let place = hasher.finish() as usize % items.len().max(1);
    Ok(items.get(place).cloned().unwrap_or_default())
}

fn reverse(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [] = bind("reverse", [], 0, args)?;
    match kind(value) {
        Kind::Str(text) => {
            budget::take(text.len())?;
            Ok(marked(text.chars().rev().collect(), value.is_safe()))
        }
        Kind::Generator => {
            let mut items = collect(value)?;
            items.reverse();
            Ok(Value::from(items))
        }
        _ => {
            let mut items = collect(value)?;
            items.reverse();
            Ok(generate(items))
        }
    }
}

/// Rows that are made when the first is asked for.
fn rows(make: impl FnOnce() -> Result<Vec<Value>, Error> + Send + 'static) -> Value {
    lazily(std::iter::once_with(make).flat_map(|rows| {
        let (rows, fault) = match rows {
            Ok(rows) => (rows, None),
            Err(fault) => (Vec::new(), Some(Err(fault))),
        };
        rows.into_iter().map(Ok).chain(fault)
    }))
}

fn batch(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [count, fill] = bind("batch", ["linecount", "fill_with"], 1, args)?;
    let (value, count) = (value.clone(), count.unwrap_or_default());
    let fill = fill.filter(|fill| !fill.is_none());
    Ok(rows(move || batches(&value, &count, fill)))
}

fn batches(value: &Value, count: &Value, fill: Option<Value>) -> Result<Vec<Value>, Error> {
    let mut rows: Vec<Value> = Vec::new();
    let mut row: Vec<Value> = Vec::new();
    for item in collect(value)? {
        if compare::equal(&Value::from(row.len()), count)? {
            rows.push(Value::from(std::mem::take(&mut row)));
        }
        row.push(item);
    }
    if !row.is_empty() {
        if let Some(fill) = fill
            && compare::holds(How::Less, &Value::from(row.len()), count)?
        {
            let wanted = usize::try_from(index("batch", count)?).unwrap_or(usize::MAX);
            budget::take_values(wanted)?;
            row.resize(wanted, fill);
        }
        rows.push(Value::from(row));
    }
    Ok(rows)
}

fn slice(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [count, fill] = bind("slice", ["slices", "fill_with"], 1, args)?;
    let (value, count) = (value.clone(), count.unwrap_or_default());
    let fill = fill.filter(|fill| !fill.is_none());
    Ok(rows(move || slices(&value, &count, fill.as_ref())))
}

fn slices(value: &Value, count: &Value, fill: Option<&Value>) -> Result<Vec<Value>, Error> {
    let items = collect(value)?;
    let count = index("slice", count)?;
    if count == 0 {
        return Err(fault("division by zero"));
    }
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    budget::take_values(count)?;
    let (each, extra) = (items.len() / count.max(1), items.len() % count.max(1));
    let mut rows = Vec::with_capacity(count);
    let mut items = items.into_iter();
    for place in 0..count {
        let mut row: Vec<Value> = items.by_ref().take(each + usize::from(place < extra)).collect();
        if place >= extra {
            row.extend(fill.cloned());
        }
        rows.push(Value::from(row));
    }
    Ok(rows)
}

fn sort(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["reverse", "case_sensitive", "attribute"];
    let [reverse, case, attribute] = bind("sort", names, 0, args)?;
    let case = case.is_some_and(|case| case.is_true());
    let paths = Path::several(attribute.as_ref())?;
    let mut rows = Vec::new();
    for item in collect(value)? {
        let mut key = Vec::with_capacity(paths.len());
        for path in &paths {
            key.push(folded(path.follow(&item)?, case));
        }
        rows.push((Value::from(key), item));
    }
    let reverse = reverse.map_or(Ok(false), |reverse| flag("reverse", &reverse))?;
    let rows = compare::sorted(rows, reverse, |row| &row.0)?;
    Ok(rows.into_iter().map(|row| row.1).collect::<Vec<_>>().into())
}

fn dict_sort(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [case, by, reverse] = bind("dictsort", ["case_sensitive", "by", "reverse"], 0, args)?;
    let case = case.is_some_and(|case| case.is_true());
    let by_value = match by.as_ref().map(kind) {
        None | Some(Kind::Str("key")) => false,
        Some(Kind::Str("value")) => true,
        _ => return Err(fault("dictsort sorts by 'key' or by 'value'")),
    };
    let Kind::Dict(dict) = kind(value) else {
        return Err(fault(format!("dictsort needs a dict, not {}", type_name(value))));
    };
    let keyed = |(key, value): (Value, Value)| {
        let by = if by_value { value.clone() } else { key.clone() };
        (folded(by, case), Value::from((key, value)))
    };
    let rows: Vec<(Value, Value)> = pairs(dict).into_iter().map(keyed).collect();
    let reverse = reverse.map_or(Ok(false), |reverse| flag("reverse", &reverse))?;
    let rows = compare::sorted(rows, reverse, |row| &row.0)?;
    Ok(rows.into_iter().map(|row| row.1).collect::<Vec<_>>().into())
}

fn extreme(name: &str, how: How, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [case, attribute] = bind(name, ["case_sensitive", "attribute"], 0, args)?;
    let case = case.is_some_and(|case| case.is_true());
    let path = Path::one(attribute.as_ref(), None)?;
    let mut best: Option<(Value, Value)> = None;
    for item in collect(value)? {
        let key = folded(path.follow(&item)?, case);
        let beats = match &best {
            Some((held, _)) => compare::holds(how, &key, held)?,
            None => true,
        };
        if beats {
            best = Some((key, item));
        }
    }
    Ok(best.map(|row| row.1).unwrap_or_default())
}

fn unique(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [case, attribute] = bind("unique", ["case_sensitive", "attribute"], 0, args)?;
    let case = case.is_some_and(|case| case.is_true());
    let path = Path::one(attribute.as_ref(), None)?;
    let mut seen = compare::Keys::default();
    let items = deferred(value);
    Ok(lazily(items.filter_map(move |item| {
        let kept = item.and_then(|item| {
            let key = folded(path.follow(&item)?, case);
            Ok(seen.insert(key)?.then_some(item))
        });
        kept.transpose()
    })))
}

fn group_by(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let names = ["attribute", "default", "case_sensitive"];
    let [attribute, default, case] = bind("groupby", names, 1, args)?;
    let case = case.is_some_and(|case| case.is_true());
    let path = Path::one(attribute.as_ref(), default)?;
    let mut rows = Vec::new();
    for item in collect(value)? {
        let real = path.follow(&item)?;
        rows.push((folded(real.clone(), case), real, item));
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (key, real, item) in compare::sorted(rows, false, |row| &row.0)? {
        match groups.last_mut() {
            Some((held, _, items)) if compare::equal(held, &key)? => items.push(item),
            _ => groups.push((key, real, vec![item])),
        }
    }
    let group = |(_, real, items): (Value, Value, Vec<Value>)| {
        let pair = Tuple::from([real, Value::from(items)]);
        Value::from_object(super::super::value::Group { pair })
    };
    Ok(groups.into_iter().map(group).collect::<Vec<_>>().into())
}

fn sum(_scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [attribute, start] = bind("sum", ["attribute", "start"], 0, args)?;
    let path = Path::one(attribute.as_ref(), None)?;
    let mut total = start.unwrap_or_else(|| Value::from(0));
    if let Kind::Str(_) | Kind::Bytes(_) = kind(&total) {
        return Err(fault("sum adds no strings; use join"));
    }
    for item in collect(value)? {
        total = ops::arithmetic(Reckon::Add, &total, &path.follow(&item)?)?;
    }
    Ok(total)
}

fn join(scope: Scope, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [between, attribute] = bind("join", ["d", "attribute"], 0, args)?;
    let between = between.unwrap_or_else(|| Value::from(""));
    let path = Path::one(attribute.as_ref(), None)?;
    let mut items = Vec::new();
    for item in collect(value)? {
        items.push(path.follow(&item)?);
    }
    // Under autoescape one safe part makes all safe, and escapes the others; undefined is safe as an item.
    let has_html = |item: &Value| item.is_safe() || item.is_undefined();
    let some = !between.is_undefined() && items.iter().any(has_html);
    let is_safe = scope.escaping && (between.is_safe() || some);
    let write = |value: &Value| if is_safe { escaped(value) } else { text(value) };
    let between = write(&between)?;
    let mut out = String::new();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            budget::take(between.len())?;
            out.push_str(&between);
        }
        out.push_str(&write(item)?);
    }
    Ok(marked(out, is_safe))
}
