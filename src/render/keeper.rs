//! Values that keep what they are given: namespaces, and what a loop was last asked about. In: values. Out: those
//! values. Never kept beyond the rendering: one may hold itself, so all are emptied when it ends.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, Mutex};

use minijinja::Value;
use minijinja::value::{DynObject, Object, ObjectRepr};

use super::compare::equal;

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

/// Something that keeps values it is given, itself perhaps among them.
trait Keeper: Send + Sync {
    fn forget(&self);
}

impl Keeper for Namespace {
    fn forget(&self) {
        drop(self.names.lock().map(|mut names| std::mem::take(&mut *names)));
    }
}

thread_local! {
    /// The keepers of the rendering on this thread: each is emptied when it ends, so that no circle stays in memory.
    static KEEPERS: RefCell<Vec<Arc<dyn Keeper>>> = const { RefCell::new(Vec::new()) };
}

/// A new namespace.
pub(super) fn new_namespace() -> (Arc<Namespace>, Value) {
    let namespace = Arc::new(Namespace::default());
    let keeper: Arc<dyn Keeper> = Arc::<Namespace>::clone(&namespace);
    KEEPERS.with_borrow_mut(|all| all.push(keeper));
    (Arc::clone(&namespace), Value::from_dyn_object(namespace))
}

/// Empties all keepers of a rendering that is over.
pub(super) fn forget_kept() {
    for keeper in KEEPERS.take() {
        keeper.forget();
    }
}

/// What `loop.changed` was last asked about; equal to what has equal values.
#[derive(Debug)]
pub(super) struct Asked {
    values: Mutex<Vec<Value>>,
}

/// Values as one that can be compared and is forgotten when the rendering ends.
pub(super) fn asked(values: Vec<Value>) -> Value {
    let asked = Arc::new(Asked { values: Mutex::new(values) });
    let keeper: Arc<dyn Keeper> = Arc::<Asked>::clone(&asked);
    KEEPERS.with_borrow_mut(|all| all.push(keeper));
    Value::from_dyn_object(asked)
}

impl Keeper for Asked {
    fn forget(&self) {
        drop(self.values.lock().map(|mut values| std::mem::take(&mut *values)));
    }
}

impl Object for Asked {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        let (mine, theirs) = (self.values.try_lock().ok()?, other.values.try_lock().ok()?);
        let same = mine.len() == theirs.len()
            && mine.iter().zip(theirs.iter()).all(|(a, b)| equal(a, b).unwrap_or(false));
        Some(if same { Ordering::Equal } else { Ordering::Less })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<asked>")
    }
}
