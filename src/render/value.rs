//! Values as Python sees them. In: the engine's values. Out: their Python kind, and the objects for what the engine
//! cannot hold: big integers, ranges, views, bound methods, generators. Never a conversion of a whole tree.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ptr;
use std::sync::{Arc, Mutex};

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::budget;
use super::keeper::Namespace;
use super::lazy::Node;
use super::methods;

/// Most digits of an integer that Python reads or prints.
pub(super) const DIGITS_MAX: usize = 4300;
/// Deepest value that is printed, compared or serialised; Python gives up near it too.
pub(super) const DEPTH_MAX: usize = 500;

/// A fault of the template, in words.
pub(super) fn fault(what: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// What Python would call a value.
#[derive(Debug)]
pub(super) enum Kind<'a> {
    /// A value that could not be made: it holds the error, which [`broken`] tells.
    Broken,
    Undefined,
    None,
    Bool(bool),
    Int(i128),
    Big(&'a Big),
    Float(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    List(&'a DynObject),
    Tuple(&'a Tuple),
    Dict(&'a DynObject),
    Range(&'a Range),
    View(&'a View),
    /// Yields its items once and has no length.
    Generator,
    Namespace(&'a Namespace),
    Method(&'a Method),
    /// Macros, loops and functions: the engine's own objects, and ours.
    Other(&'a DynObject),
}

/// A value's kind; a few comparisons, no allocation.
pub(super) fn kind(value: &Value) -> Kind<'_> {
    match value.kind() {
        ValueKind::Undefined => Kind::Undefined,
        ValueKind::Invalid => Kind::Broken,
        ValueKind::None => Kind::None,
        ValueKind::Bool => Kind::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => Kind::Int(integer(value)),
        ValueKind::Number => Kind::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        ValueKind::String => Kind::Str(value.as_str().unwrap_or_default()),
        ValueKind::Bytes => Kind::Bytes(value.as_bytes().unwrap_or_default()),
        _ => value.as_object().map_or(Kind::Undefined, object_kind),
    }
}

fn integer(value: &Value) -> i128 {
    match value.as_i64() {
        Some(small) => i128::from(small),
        // Literals beyond it were made big integers when the template was compiled.
        None => i128::try_from(value.clone()).unwrap_or(i128::MAX),
    }
}

fn object_kind(object: &DynObject) -> Kind<'_> {
    // Most objects of a template are parts of its request.
    if let Some(node) = object.downcast_ref::<Node>() {
        return if node.is_array() { Kind::List(object) } else { Kind::Dict(object) };
    }
    match object.repr() {
        ObjectRepr::Seq => sequence_kind(object),
        ObjectRepr::Iterable => match object.downcast_ref::<View>() {
            Some(view) => Kind::View(view),
            None => Kind::Generator,
        },
        ObjectRepr::Plain => plain_kind(object),
        // The engine's loops and macros call themselves maps.
        _ if object.type_name().starts_with("minijinja::vm") => Kind::Other(object),
        _ => Kind::Dict(object),
    }
}

fn sequence_kind(object: &DynObject) -> Kind<'_> {
    if let Some(tuple) = object.downcast_ref::<Tuple>() {
        return Kind::Tuple(tuple);
    }
    if let Some(range) = object.downcast_ref::<Range>() {
        return Kind::Range(range);
    }
    match object.downcast_ref::<Group>() {
        Some(group) => Kind::Tuple(&group.pair),
        None => Kind::List(object),
    }
}

fn plain_kind(object: &DynObject) -> Kind<'_> {
    if let Some(big) = object.downcast_ref::<Big>() {
        return Kind::Big(big);
    }
    if object.downcast_ref::<Nothing>().is_some() {
        return Kind::Undefined;
    }
    if let Some(namespace) = object.downcast_ref::<Namespace>() {
        return Kind::Namespace(namespace);
    }
    match object.downcast_ref::<Method>() {
        Some(method) => Kind::Method(method),
        None => Kind::Other(object),
    }
}

/// Python's name of a value's type, for messages.
pub(super) fn type_name(value: &Value) -> &'static str {
    match kind(value) {
        Kind::Broken => "a broken value",
        Kind::Undefined => "undefined",
        Kind::None => "none",
        Kind::Bool(_) => "bool",
        Kind::Int(_) | Kind::Big(_) => "integer",
        Kind::Float(_) => "float",
        Kind::Str(_) => "string",
        Kind::Bytes(_) => "bytes",
        Kind::List(_) => "list",
        Kind::Tuple(_) => "tuple",
        Kind::Dict(_) => "dict",
        Kind::Range(_) => "range",
        Kind::View(_) => "dict view",
        Kind::Generator => "generator",
        Kind::Namespace(_) => "namespace",
        Kind::Method(_) => "method",
        Kind::Other(_) => "object",
    }
}

/// Whether the value is one of the two kinds of undefined.
pub(super) fn is_undefined(value: &Value) -> bool {
    matches!(kind(value), Kind::Undefined)
}

/// An integer beyond `i128`.
#[derive(Debug)]
pub(super) struct Big(pub(super) BigInt);

impl Object for Big {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An integer of any size as a value, in its smallest form.
pub(super) fn from_big(number: BigInt) -> Value {
    match number.to_i128() {
        Some(small) => from_int(small),
        None => Value::from_object(Big(number)),
    }
}

/// An integer as a value, in its smallest form.
pub(super) fn from_int(number: i128) -> Value {
    match i64::try_from(number) {
        Ok(small) => Value::from(small),
        Err(_) => Value::from(number),
    }
}

/// What an `if` without `else` gives: undefined, but unlike others it may not be asked for anything.
#[derive(Debug)]
pub(super) struct Nothing;

impl Object for Nothing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, _key: &Value) -> Option<Value> {
        let what =
            "an `if` without `else` that is false gives nothing, and nothing can be read of it";
        Some(Value::from(fault(what)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Empty
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// What `range()` gives.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) step: i64,
    pub(super) length: usize,
}

impl Range {
    /// The item at a place inside.
    pub(super) fn item(&self, place: usize) -> i64 {
        self.start + self.step * place.cast_signed() as i64
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let place = key.as_usize().filter(|place| *place < self.length)?;
        Some(Value::from(self.item(place)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.length)
    }
}

/// What of a dict a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Keys,
    Values,
    Items,
}

/// What `keys()`, `values()` and `items()` give: a list that is none.
#[derive(Debug)]
pub(super) struct View {
    pub(super) side: Side,
    pub(super) items: Vec<Value>,
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    /// Values are themselves alone, also as keys of dicts; keys and items are what they hold.
    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        let is_itself = self.side == Side::Values || other.side == Side::Values;
        is_itself.then(|| ptr::from_ref::<Self>(self).cmp(&ptr::from_ref(other)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let view = Arc::clone(self);
        let places = 0..view.items.len();
        Enumerator::Iter(Box::new(places.map(move |place| view.items[place].clone())))
    }
}

/// A method of a value that was named but not yet called.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) of: Value,
    pub(super) name: &'static str,
}

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        methods::call(state, &self.of, self.name, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<built-in method {}>", self.name)
    }
}

/// Why a value could not be made: what its maker found.
pub(super) fn broken(value: &Value) -> Error {
    if let Err(over) = budget::spend(1) {
        return over;
    }
    // The engine tells what an invalid value holds only when it goes through items.
    let items = Value::from(vec![value.clone()]);
    let told = items.try_iter().and_then(|items| items.checked().collect::<Result<Vec<_>, _>>());
    told.err().unwrap_or_else(|| fault("a value could not be made"))
}

/// What `self` is outside of a call: the template, of which nothing can be read.
#[derive(Debug)]
pub(super) struct Reference;

impl Object for Reference {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<TemplateReference None>")
    }
}

/// One group of `groupby`: a tuple whose two items have names.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) pair: Tuple,
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_usize() {
            Some(place) => self.pair.get(place).cloned(),
            None => self.get_value_by_str(key.as_str()?),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "grouper" => self.pair.first().cloned(),
            "list" => self.pair.last().cloned(),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.pair.len())
    }
}

type Items = Box<dyn Iterator<Item = Result<Value, Error>> + Send>;

/// Items that are made one by one, when asked for, and only once.
struct Generator {
    items: Mutex<Items>,
}

/// Items as a generator.
pub(super) fn generate(items: Vec<Value>) -> Value {
    lazily(items.into_iter().map(Ok))
}

/// Items that may fail, as a generator.
pub(super) fn lazily(items: impl Iterator<Item = Result<Value, Error>> + Send + 'static) -> Value {
    Value::from_object(Generator { items: Mutex::new(Box::new(items)) })
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<generator object>")
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let generator = Arc::clone(self);
        Enumerator::Iter(Box::new(std::iter::from_fn(move || {
            // One that asks itself for items is locked already.
            match generator.items.try_lock() {
                Ok(mut items) => items.next().map(|item| item.unwrap_or_else(Value::from)),
                Err(_) => Some(Value::from(fault("a generator cannot go through itself"))),
            }
        })))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// A string, safe or not.
pub(super) fn marked(text: String, is_safe: bool) -> Value {
    if is_safe { Value::from_safe_string(text) } else { Value::from(text) }
}

/// An argument that must be an integer; one out of range is as good as the largest.
pub(super) fn index(what: &str, value: &Value) -> Result<i64, Error> {
    match kind(value) {
        Kind::Int(number) => Ok(number.clamp(i64::MIN.into(), i64::MAX.into()) as i64),
        Kind::Bool(truth) => Ok(i64::from(truth)),
        Kind::Big(_) => Err(fault(format!("{what} takes no integer this large"))),
        _ => Err(fault(format!("{what} needs an integer, not {}", type_name(value)))),
    }
}

/// An argument that must be yes or no, or an integer in their place.
pub(super) fn flag(what: &str, value: &Value) -> Result<bool, Error> {
    match kind(value) {
        Kind::Bool(_) | Kind::Int(_) | Kind::Big(_) => Ok(value.is_true()),
        _ => Err(fault(format!("{what} is true or false, not {}", type_name(value)))),
    }
}
