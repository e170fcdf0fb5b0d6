//! The names every template has besides the request's: `range`, `dict`, `namespace`. In: arguments. Out: values.
//! Never `debug`, never anything of the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use minijinja::value::{Object, ObjectRepr, Tuple};
use minijinja::{Error, ErrorKind, State, Value};

use super::args::{bind, named, split};
use super::budget;
use super::chars;
use super::keeper::new_namespace;
use super::lookup::{check_key, collect};
use super::methods::from_keys;
use super::repr::pairs;
use super::value::{Kind, Range, fault, index, kind, marked, type_name};

/// Most paragraphs of `lipsum`.
const LIPSUM_MAX: i64 = 20;
/// Most words of one.
const LIPSUM_WORDS_MAX: i64 = 200;

type Call = fn(&[Value]) -> Result<Value, Error>;

/// A function of ours as a value.
pub(super) struct Function {
    name: &'static str,
    call: Call,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            "dict" => f.write_str("<class 'dict'>"),
            "cycler" => f.write_str("<class 'jinja2.utils.Cycler'>"),
            "joiner" => f.write_str("<class 'jinja2.utils.Joiner'>"),
            "namespace" => f.write_str("<class 'jinja2.utils.Namespace'>"),
            name => write!(f, "<function {name}>"),
        }
    }
}

impl Object for Function {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        (self.call)(args)
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match (self.name, method) {
            ("dict", "fromkeys") => from_keys(args),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Value)> {
    let table: [(&'static str, Call); 6] = [
        ("cycler", cycler),
        ("dict", dict),
        ("joiner", joiner),
        ("lipsum", lipsum),
        ("namespace", namespace),
        ("range", range),
    ];
    table.into_iter().map(|(name, call)| (name, Value::from_object(Function { name, call })))
}

fn range(args: &[Value]) -> Result<Value, Error> {
    let (placed, kwargs) = split(args);
    if kwargs.is_some() {
        return Err(fault("range takes no named arguments"));
    }
    let mut bounds = Vec::with_capacity(3);
    for arg in placed {
        bounds.push(match kind(arg) {
            Kind::Int(number) => i64::try_from(number)
                .ok()
                .filter(|number| number.unsigned_abs() <= 1 << 60)
                .ok_or_else(|| fault(format!("range goes up to 2**60, not to {number}")))?,
            Kind::Bool(truth) => i64::from(truth),
            _ => return Err(fault(format!("range counts integers, not {}", type_name(arg)))),
        });
    }
    let (start, end, step) = match bounds[..] {
        [end] => (0, end, 1),
        [start, end] => (start, end, 1),
        [start, end, step] => (start, end, step),
        _ => return Err(fault("range takes one to three integers")),
    };
    if step == 0 {
        return Err(fault("the step of a range cannot be zero"));
    }
    let distance = if step > 0 { end - start } else { start - end };
    let length = if distance <= 0 { 0 } else { (distance - 1) / step.abs() + 1 };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let most = budget::range_max_items();
    if length > most {
        return Err(fault(format!("a range has at most {most} items, not {length}")));
    }
    Ok(Value::from_object(Range { start, end, step, length }))
}

/// The pairs of a mapping or of a row of pairs, and of the named arguments.
fn gather(what: &str, args: &[Value]) -> Result<Vec<(Value, Value)>, Error> {
    let (placed, kwargs) = split(args);
    let [given] = bind(what, ["mapping"], 0, placed)?;
    let mut made = match given.as_ref().map(|given| (given, kind(given))) {
        None => Vec::new(),
        Some((_, Kind::Dict(dict))) => pairs(dict),
        Some((_, Kind::Undefined)) => return Err(fault(format!("{what} needs a mapping"))),
        Some((given, _)) => {
            let mut made = Vec::new();
            for row in collect(given)? {
                match &collect(&row)?[..] {
                    [key, value] => {
                        check_key(key)?;
                        made.push((key.clone(), value.clone()));
                    }
                    other => {
                        let length = other.len();
                        return Err(fault(format!("{what} needs pairs, not rows of {length}")));
                    }
                }
            }
            made
        }
    };
    made.extend(named(kwargs).into_iter().map(|(name, value)| (Value::from(name), value)));
    budget::take_values(made.len() * 2)?;
    Ok(made)
}

fn dict(args: &[Value]) -> Result<Value, Error> {
    gather("dict", args).map(Value::from_pairs)
}

fn namespace(args: &[Value]) -> Result<Value, Error> {
    let given = gather("namespace", args)?;
    let (namespace, value) = new_namespace();
    for (name, value) in given {
        match kind(&name) {
            Kind::Str(name) => namespace.set(name, value),
            _ => return Err(fault("the names of a namespace are strings")),
        }
    }
    Ok(value)
}

/// What `cycler()` gives: items taken in turn, without end.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    place: AtomicUsize,
}

fn cycler(args: &[Value]) -> Result<Value, Error> {
    let (items, kwargs) = split(args);
    if kwargs.is_some() || items.is_empty() {
        return Err(fault("cycler needs at least one item, and no named ones"));
    }
    budget::take_values(items.len())?;
    Ok(Value::from_object(Cycler { items: items.to_vec(), place: AtomicUsize::new(0) }))
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let place = self.place.load(Ordering::Relaxed);
        match key {
            "current" => Some(self.items[place].clone()),
            "items" => Some(Tuple::from(&self.items[..]).into()),
            "pos" => Some(Value::from(place)),
            _ => None,
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let place = self.place.load(Ordering::Relaxed);
        match method {
            "next" | "reset" if !args.is_empty() => {
                Err(fault(format!("{method} takes no arguments")))
            }
            "next" => {
                self.place.store((place + 1) % self.items.len(), Ordering::Relaxed);
                Ok(self.items[place].clone())
            }
            "reset" => {
                self.place.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Cycler>")
    }
}

/// What `joiner()` gives: nothing when first called, then a separator.
#[derive(Debug)]
struct Joiner {
    between: Value,
    used: AtomicBool,
}

fn joiner(args: &[Value]) -> Result<Value, Error> {
    let [between] = bind("joiner", ["sep"], 0, args)?;
    let between = between.unwrap_or_else(|| Value::from(", "));
    Ok(Value::from_object(Joiner { between, used: AtomicBool::new(false) }))
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "sep" => Some(self.between.clone()),
            "used" => Some(Value::from(self.used.load(Ordering::Relaxed))),
            _ => None,
        }
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        if !args.is_empty() {
            return Err(fault("a joiner takes no arguments"));
        }
        if self.used.swap(true, Ordering::Relaxed) {
            return Ok(self.between.clone());
        }
        Ok(Value::from(""))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Joiner>")
    }
}

const WORDS: [&str; 24] = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetuer",
    "adipiscing",
    "elit",
    "sed",
    "diam",
    "nonummy",
    "nibh",
    "euismod",
    "tincidunt",
    "ut",
    "laoreet",
    "magna",
    "aliquam",
    "erat",
    "volutpat",
    "wisi",
    "enim",
    "minim",
    "veniam",
];

/// Text without meaning. Jinja draws its words; here they follow each other, so that a rendering can be repeated.
fn lipsum(args: &[Value]) -> Result<Value, Error> {
    let [count, html, least, most] = bind("lipsum", ["n", "html", "min", "max"], 0, args)?;
    let number = |value: Option<Value>, default: i64| {
        value.map_or(Ok(default), |value| index("lipsum", &value))
    };
    let (count, least, most) = (number(count, 5)?, number(least, 20)?, number(most, 100)?);
    if count > LIPSUM_MAX || most > LIPSUM_WORDS_MAX {
        return Err(fault(format!(
            "lipsum writes at most {LIPSUM_MAX} paragraphs of {LIPSUM_WORDS_MAX} words"
        )));
    }
    if least >= most {
        return Err(fault("lipsum needs a largest number of words above the smallest"));
    }
    let html = html.is_none_or(|html| html.is_true());
    let mut paragraphs = Vec::new();
    for paragraph in 0..count {
        let words = least.max(1) + (paragraph * 7) % (most - least);
        let chosen = (0..words).map(|word| WORDS[(paragraph * 5 + word) as usize % WORDS.len()]);
        let text = chars::capitalize(&chosen.collect::<Vec<_>>().join(" "));
        budget::take(text.len())?;
        paragraphs.push(if html { format!("<p>{text}.</p>") } else { format!("{text}.") });
    }
    let text = paragraphs.join(if html { "\n" } else { "\n\n" });
    Ok(marked(text, html))
}
