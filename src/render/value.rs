//! Values as Python sees them. In: the engine's values. Out: their Python kind, and the objects for what the engine
//! cannot hold: big integers, ranges, views, bound methods, generators. Never a conversion of a whole tree.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, Mutex};

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use num_bigint::BigInt;
use num_traits::ToPrimitive;

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
    Generator(&'a DynObject),
    Namespace(&'a Namespace),
    Method(&'a Method),
    /// Macros, loops and functions: the engine's own objects, and ours.
    Other(&'a DynObject),
}

/// A value's kind; a few comparisons, no allocation.
pub(super) fn kind(value: &Value) -> Kind<'_> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::Invalid => Kind::Undefined,
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
    match object.repr() {
        ObjectRepr::Seq => match object.downcast_ref::<Tuple>() {
            Some(tuple) => Kind::Tuple(tuple),
            None => match object.downcast_ref::<Range>() {
                Some(range) => Kind::Range(range),
                None => Kind::List(object),
            },
        },
        ObjectRepr::Iterable => match object.downcast_ref::<View>() {
            Some(view) => Kind::View(view),
            None => Kind::Generator(object),
        },
        ObjectRepr::Plain => plain_kind(object),
        // The engine's loops and macros call themselves maps.
        _ if object.type_name().starts_with("minijinja::vm") => Kind::Other(object),
        _ => Kind::Dict(object),
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
        Kind::Generator(_) => "generator",
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

/// What `namespace()` gives: the one thing a template may write to, in the order written.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    names: Mutex<Vec<(Arc<str>, Value)>>,
}

impl Namespace {
    pub(super) fn set(&self, name: &str, value: Value) {
        let Ok(mut names) = self.names.lock() else { return };
        match names.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, old)) => *old = value,
            None => names.push((Arc::from(name), value)),
        }
    }

    pub(super) fn pairs(&self) -> Vec<(Value, Value)> {
        let Ok(names) = self.names.lock() else { return Vec::new() };
        names.iter().map(|(name, value)| (Value::from(&**name), value.clone())).collect()
    }
}

impl Object for Namespace {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let names = self.names.lock().ok()?;
        names.iter().find(|(known, _)| **known == *key).map(|(_, value)| value.clone())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    /// The engine's own text would follow a namespace that holds itself for ever.
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Namespace>")
    }
}

thread_local! {
    /// The namespaces of the rendering on this thread: one may hold itself, so each is emptied when it ends.
    static NAMESPACES: RefCell<Vec<Arc<Namespace>>> = const { RefCell::new(Vec::new()) };
}

/// A new namespace.
pub(super) fn new_namespace() -> (Arc<Namespace>, Value) {
    let namespace = Arc::new(Namespace::default());
    NAMESPACES.with_borrow_mut(|all| all.push(Arc::clone(&namespace)));
    (Arc::clone(&namespace), Value::from_dyn_object(namespace))
}

/// Empties all namespaces of a rendering that is over.
pub(super) fn empty_namespaces() {
    for namespace in NAMESPACES.take() {
        let names = namespace.names.lock().map(|mut names| std::mem::take(&mut *names));
        drop(names);
    }
}

/// Items that are made one by one and only once.
struct Generator {
    items: Mutex<std::vec::IntoIter<Value>>,
}

/// Items as a generator.
pub(super) fn generate(items: Vec<Value>) -> Value {
    Value::from_object(Generator { items: Mutex::new(items.into_iter()) })
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
        let items = Arc::clone(self);
        Enumerator::Iter(Box::new(std::iter::from_fn(move || items.items.lock().ok()?.next())))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}
