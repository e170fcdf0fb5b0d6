//! Macros as Python's Jinja2 calls them. In: the engine's macro, and what its declaration says. Out: a callable that
//! binds arguments by place or by name, collects what is left, and hands all on by place.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Tuple};
use minijinja::{Error, State, Value};

use super::args::{named, split};
use super::value::fault;

/// What the declaration of a macro says.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    /// `None` for the body of a `call` block.
    pub(super) name: Option<String>,
    pub(super) params: Vec<String>,
    /// How many parameters, from the first, have no default.
    pub(super) required: usize,
    /// The body reads `caller`, declared or not.
    pub(super) reads_caller: bool,
    /// The body reads `kwargs`.
    pub(super) kwargs: bool,
    /// The body reads `varargs`.
    pub(super) varargs: bool,
}

impl Object for Signature {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// Stands for an argument that was not given, so that its default is taken.
#[derive(Debug)]
pub(super) struct Absent;

impl Object for Absent {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// A macro as a value.
#[derive(Debug)]
pub(super) struct Routine {
    inner: Value,
    signature: Arc<Signature>,
}

/// Wraps the engine's macro.
pub(super) fn wrap(inner: &Value, signature: &Value) -> Value {
    match signature.downcast_object::<Signature>() {
        Some(signature) => Value::from_object(Routine { inner: inner.clone(), signature }),
        None => inner.clone(),
    }
}

/// Whether an argument was given.
pub(super) fn is_given(value: &Value) -> bool {
    value.downcast_object_ref::<Absent>().is_none()
}

impl Signature {
    fn declares_caller(&self) -> bool {
        self.params.iter().any(|param| param == "caller")
    }

    fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("macro '{name}'"),
            None => "the body of 'call'".to_owned(),
        }
    }

    /// The arguments in the order of the engine's macro.
    fn bind(&self, args: &[Value]) -> Result<Vec<Value>, Error> {
        let (placed, kwargs) = split(args);
        let mut kwargs = named(kwargs);
        let count = self.params.len().min(placed.len());
        let mut bound = placed[..count].to_vec();
        let mut found_caller = self.declares_caller() && count == self.params.len();
        for (place, param) in self.params.iter().enumerate().skip(count) {
            found_caller |= param == "caller";
            let given = kwargs.iter().position(|(name, _)| name == param);
            bound.push(match given {
                Some(at) => kwargs.remove(at).1,
                None if place < self.required => Value::UNDEFINED,
                None => Value::from_object(Absent),
            });
        }
        if self.reads_caller && !self.declares_caller() && !found_caller {
            let given = kwargs.iter().position(|(name, _)| name == "caller");
            let caller = given.map(|at| kwargs.remove(at).1).filter(|caller| !caller.is_none());
            bound.push(caller.unwrap_or(Value::UNDEFINED));
        }
        if self.kwargs {
            bound.push(Value::from_pairs(kwargs));
        } else if let Some((name, _)) = kwargs.first() {
            return Err(fault(format!("{} has no argument '{name}'", self.title())));
        }
        let surplus = &placed[count..];
        if self.varargs {
            bound.push(Tuple::from(surplus).into());
        } else if !surplus.is_empty() {
            let (most, given) = (self.params.len(), placed.len());
            let title = self.title();
            return Err(fault(format!("{title} takes at most {most} arguments, not {given}")));
        }
        Ok(bound)
    }
}

impl Object for Routine {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let signature = &self.signature;
        Some(match key {
            "name" => signature.name.as_deref().map_or(Value::from(()), Value::from),
            "arguments" => {
                let params = signature.params.iter().map(|param| Value::from(&**param));
                Tuple::from(params.collect::<Vec<_>>()).into()
            }
            "catch_kwargs" => Value::from(signature.kwargs),
            "catch_varargs" => Value::from(signature.varargs),
            "caller" => Value::from(signature.reads_caller),
            "explicit_caller" => Value::from(signature.declares_caller()),
            _ => return None,
        })
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        self.inner.call(state, &self.signature.bind(args)?)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.signature.name {
            Some(name) => write!(f, "<Macro '{name}'>"),
            None => write!(f, "<Macro anonymous>"),
        }
    }
}
